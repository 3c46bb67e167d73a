//! What networks are made of, and what else on the machine is in their way.

use network::firewall::{self, Dropping};

use super::{Files, Finding};
use crate::networks::{Driver, Networks};

pub(super) fn examine(files: &Files, networks: &Networks) -> Vec<Finding> {
    let (inet, bridges) = firewall::kernel_has();
    let all = networks.list();
    let has_ipv6 = all.iter().any(|network| network.driver == Driver::Bridge && network.ipv6);
    let mut findings =
        vec![nftables(inet), guard(bridges), forwarding_4(files), forwarding_6(files, has_ipv6)];
    findings.push(conntrack(files));
    findings.push(strangers(&networks.dropping_chains()));
    findings.push(conflicts(&networks.conflicts()));
    findings
}

fn nftables(there: bool) -> Finding {
    match there {
        true => Finding::fine("nftables", "there"),
        false => Finding::failed(
            "nftables",
            "this kernel has none now: no container gets a network of its own but `none`",
            "modprobe nf_tables, or a kernel with CONFIG_NF_TABLES_INET",
        ),
    }
}

fn guard(there: bool) -> Finding {
    match there {
        true => Finding::fine("source guard", "containers send under their own addresses alone"),
        false => Finding::warning(
            "source guard",
            "this kernel has no tables for bridges: a container may send under its neighbour's address",
            "a kernel with CONFIG_NF_TABLES_BRIDGE, and --cap-drop NET_RAW",
        ),
    }
}

fn forwarding_4(files: &Files) -> Finding {
    let subject = "IPv4 forwarding";
    match files.number("proc/sys/net/ipv4/ip_forward") {
        Some(1) => Finding::fine(subject, "on"),
        _ => Finding::warning(
            subject,
            "off until the first container needs it; with `ip-forward: false` it stays so",
            "sysctl -w net.ipv4.ip_forward=1",
        ),
    }
}

fn forwarding_6(files: &Files, needed: bool) -> Finding {
    let subject = "IPv6 forwarding";
    match files.number("proc/sys/net/ipv6/conf/all/forwarding") {
        None => Finding::fine(subject, "this host has no IPv6"),
        Some(1) => Finding::fine(subject, "on"),
        Some(_) if needed => Finding::warning(
            subject,
            "off until the first container of a network with IPv6 needs it; with `ip-forward: false` it stays so",
            "sysctl -w net.ipv6.conf.all.forwarding=1",
        ),
        Some(_) => Finding::fine(subject, "off, and no network has IPv6"),
    }
}

/// Every connection of a container's has an entry there; without room for it packets are lost.
fn conntrack(files: &Files) -> Finding {
    let of = |name: &str| files.number(&format!("proc/sys/net/netfilter/nf_conntrack_{name}"));
    match (of("count"), of("max")) {
        (Some(count), Some(max)) if count.saturating_mul(10) >= max.saturating_mul(9) => Finding::failed(
            "conntrack",
            format!("{count} of {max} connections: new ones fail"),
            format!("sysctl -w net.netfilter.nf_conntrack_max={}", max.saturating_mul(4)),
        ),
        (Some(count), Some(max)) => Finding::fine("conntrack", format!("{count} of {max} connections")),
        _ => Finding::warning(
            "conntrack",
            "the kernel doesn't tell: no published port works without it",
            "modprobe nf_conntrack",
        ),
    }
}

/// A packet passes when all tables let it: ours can't speak for another's.
fn strangers(dropping: &[Dropping]) -> Finding {
    let subject = "other firewalls";
    let mut passed = dropping.iter().filter(|chain| !chain.is_input);
    let Some(first) = passed.next() else {
        return Finding::fine(subject, "none drops what is passed on to containers");
    };
    let names: Vec<String> = std::iter::once(first).chain(passed).map(ToString::to_string).collect();
    Finding::failed(
        subject,
        format!("{} drops what it doesn't accept, and so what containers send and get", names.join(", ")),
        remedy(first),
    )
}

fn remedy(chain: &Dropping) -> String {
    let program = if chain.family == "ip6" { "ip6tables" } else { "iptables" };
    match (chain.family, chain.table.as_str(), chain.chain.as_str()) {
        // dockerd leaves a chain for rules like this one, and puts the policy back at each start.
        ("ip" | "ip6", "filter", "FORWARD") => format!(
            "stop dockerd for good and `{program} -P FORWARD ACCEPT`; beside it, `{program} -I DOCKER-USER -i <bridge> -j ACCEPT` and `-o <bridge>` for each network of Ketch's"
        ),
        (family, table, name) => {
            format!("nft add rule {family} {table} {name} iifname \"br-*\" accept, and oifname likewise")
        }
    }
}

/// Routes that came after the network.
fn conflicts(found: &[String]) -> Finding {
    match found {
        [] => Finding::fine("subnets", "no route of the host's leads elsewhere"),
        found => Finding::failed(
            "subnets",
            found.join("; "),
            "make the network again with another --subnet, or take the route away",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::doctor::Health;

    #[test]
    fn a_firewall_that_drops_is_named_with_what_helps() {
        let chain = |family, table: &str, name: &str, is_input| Dropping {
            family,
            table: table.to_owned(),
            chain: name.to_owned(),
            is_input,
        };
        assert_eq!(strangers(&[chain("inet", "host", "input", true)]).health, Health::Fine);
        let dockerd = strangers(&[chain("ip", "filter", "FORWARD", false)]);
        assert_eq!(dockerd.health, Health::Failed);
        assert!(
            dockerd.said.starts_with("ip filter FORWARD drops") && dockerd.remedy.contains("DOCKER-USER")
        );
        let own = strangers(&[chain("inet", "host", "forward", false)]);
        assert!(own.remedy.starts_with("nft add rule inet host forward"), "{}", own.remedy);
    }

    #[test]
    fn a_table_of_connections_that_is_nearly_full_is_told() {
        let root = tempfile::tempdir().unwrap();
        let files = Files { root: root.path().to_owned() };
        assert_eq!(conntrack(&files).health, Health::Warning);
        let folder = root.path().join("proc/sys/net/netfilter");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("nf_conntrack_max"), "1000\n").unwrap();
        for (count, health) in [("10\n", Health::Fine), ("950\n", Health::Failed)] {
            std::fs::write(folder.join("nf_conntrack_count"), count).unwrap();
            assert_eq!(conntrack(&files).health, health);
        }
        assert_eq!(forwarding_6(&files, true).health, Health::Fine);
    }
}
