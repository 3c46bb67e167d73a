//! Which ports of the host lead to containers, who can come by them, and which rule decides it.

use std::net::{IpAddr, Ipv4Addr};

use network::firewall::{self, Dropping, Publication, Reach};

use super::ports::Wanted;
use super::record::Driver;
use super::{NetworkError, Networks, options};
use crate::Error;

/// A published port, or several in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    pub container: String,
    pub port: Publication,
    /// Who can come by it.
    pub reach: String,
    /// What lets them in.
    pub rule: String,
    /// What keeps some or all of them out nevertheless.
    pub hindered: Vec<String>,
}

/// What of the host matters to who can come.
struct Surroundings {
    /// Its addresses, with their links.
    addresses: Vec<(IpAddr, String)>,
    dropping: Vec<Dropping>,
    admin: usize,
    table: String,
}

impl Networks {
    /// All published ports, as the firewall has them now.
    pub fn openings(&self) -> Result<Vec<Opening>, Error> {
        let table = self.kernel.table().to_owned();
        let around = Surroundings {
            addresses: self.kernel.addresses()?,
            dropping: firewall::dropping_chains(&table).map_err(NetworkError::from)?,
            admin: firewall::admin_rules(&table).map_err(NetworkError::from)?,
            table,
        };
        let mut published = self.tables().published.clone();
        published.sort_unstable_by_key(|(port, _)| (port.host, port.transport, port.first));
        let opening = |(port, container): (Publication, String)| Opening {
            reach: around.reach(&port),
            rule: around.rule(&port),
            hindered: around.hindered(&port),
            container,
            port,
        };
        Ok(published.into_iter().map(opening).collect())
    }

    /// What to tell whoever makes a container in this network with a port that everybody will reach, if none is reached so
    /// yet: one line, once.
    pub(crate) fn warn_of_first_public(&self, mode: &str, wanted: &[Wanted]) -> Option<String> {
        let port = wanted.iter().find(|port| port.is_for_all_addresses())?.inside();
        let network = self.get(mode).ok().filter(|network| network.driver == Driver::Bridge)?;
        let binding = network.options.get(options::HOST_BINDING).and_then(|text| text.parse::<IpAddr>().ok());
        let is_open = |port: &Publication| port.host.is_unspecified() && port.reach != Reach::Container;
        if network.internal
            || network.is_input()
            || binding.is_some_and(|ip| !ip.is_unspecified())
            || self.tables().published.iter().any(|(port, _)| is_open(port))
        {
            return None;
        }
        let (ip, link) = self.kernel.addresses().ok()?.into_iter().find(|(ip, _)| is_public(*ip))?;
        Some(format!(
            "Port {port} will be open to everybody at {ip} ({link}), whatever the host's own firewall says of its input: publish it at 127.0.0.1 if that isn't meant. `ketch system ports` shows who reaches what"
        ))
    }

    /// Chains of others that drop what they don't accept.
    pub(crate) fn dropping_chains(&self) -> Vec<Dropping> {
        firewall::dropping_chains(self.kernel.table()).unwrap_or_default()
    }

    /// Subnets of networks to which the host has a route by another link by now.
    pub(crate) fn conflicts(&self) -> Vec<String> {
        let routes = self.kernel.routes().unwrap_or_default();
        let mut found = Vec::new();
        for network in self.list().iter().filter(|network| network.driver == Driver::Bridge) {
            let bridge = self.kernel.bridge_name(network);
            for range in network.live_subnets() {
                let others =
                    routes.iter().filter(|(subnet, link)| *link != bridge && subnet.overlaps(&range.subnet));
                found.extend(others.map(|(subnet, link)| {
                    format!(
                        "{} of the network {} overlaps the route to {subnet} by {link}",
                        range.subnet, network.name
                    )
                }));
            }
        }
        found
    }
}

impl Surroundings {
    fn reach(&self, port: &Publication) -> String {
        if port.reach == Reach::Container {
            return format!("who has a route to {}", port.container);
        }
        if port.host.is_loopback() {
            return "this host alone".to_owned();
        }
        if !port.host.is_unspecified() {
            return match is_public(port.host) {
                true => format!("everybody, at {}", port.host),
                false => format!("who reaches {}", port.host),
            };
        }
        let own = self.addresses.iter().filter(|(ip, _)| ip.is_ipv4() == port.host.is_ipv4());
        let (public, private): (Vec<_>, Vec<_>) =
            own.filter(|(ip, _)| !ip.is_loopback()).partition(|(ip, _)| is_public(*ip));
        let list = |addresses: &[&(IpAddr, String)]| {
            let words = addresses.iter().map(|(ip, link)| format!("{ip} ({link})"));
            words.collect::<Vec<_>>().join(", ")
        };
        match (public.is_empty(), private.is_empty()) {
            (false, _) => format!("everybody, at {}", list(&public)),
            (true, false) => format!("who reaches {}", list(&private)),
            (true, true) => "this host alone: it has no other address".to_owned(),
        }
    }

    fn rule(&self, port: &Publication) -> String {
        if port.is_relayed() {
            return "a socket of the container's shim, behind the host's own rules for input".to_owned();
        }
        let chain = if port.reach == Reach::Container { "inward" } else { "published" };
        format!("inet {}, chain {chain}, @{}", self.table, port.sets().join(" @"))
    }

    fn hindered(&self, port: &Publication) -> Vec<String> {
        let mut hindered = Vec::new();
        if port.host.is_loopback() {
            hindered.push(format!("inet {}, chain raw: nothing that comes by a wire", self.table));
        }
        if self.admin > 0 && !port.is_relayed() {
            hindered.push(format!("inet {}, chain admin: {} rules come first", self.table, self.admin));
        }
        let family = if port.host.is_ipv4() { "ip" } else { "ip6" };
        let concerned = self
            .dropping
            .iter()
            .filter(|chain| chain.is_input == port.is_relayed() && ["inet", family].contains(&chain.family));
        hindered.extend(concerned.map(|chain| format!("{chain} drops what it doesn't accept")));
        hindered
    }
}

/// Whether others on the internet can have a way to it.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            // Providers' own, behind which customers are.
            let shared = a == 100 && (64..128).contains(&b);
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_documentation()
                || ip == Ipv4Addr::UNSPECIFIED
                || shared)
        }
        IpAddr::V6(ip) => ip.segments()[0] & 0xe000 == 0x2000 && ip.segments()[..2] != [0x2001, 0xdb8],
    }
}

#[cfg(test)]
mod tests {
    use network::firewall::Transport;

    use super::*;

    fn port(host: &str, container: &str) -> Publication {
        Publication {
            host: host.parse().unwrap(),
            transport: Transport::Tcp,
            first: 80,
            count: 1,
            container: container.parse().unwrap(),
            container_port: 80,
            reach: Reach::Host,
        }
    }

    #[test]
    fn what_everybody_reaches_is_told_from_what_few_do() {
        for (ip, public) in [
            ("8.8.8.8", true),
            ("10.0.0.1", false),
            ("100.64.0.1", false),
            ("192.0.2.1", false),
            ("169.254.1.1", false),
            ("2a00::1", true),
            ("fd00::1", false),
            ("fe80::1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_public(ip.parse().unwrap()), public, "{ip}");
        }
    }

    #[test]
    fn each_port_has_who_comes_and_what_is_in_their_way() {
        let around = Surroundings {
            addresses: [("127.0.0.1", "lo"), ("192.168.1.5", "eth0"), ("8.8.4.4", "eth1")]
                .map(|(ip, link)| (ip.parse().unwrap(), link.to_owned()))
                .into(),
            dropping: vec![Dropping {
                family: "ip",
                table: "filter".to_owned(),
                chain: "FORWARD".to_owned(),
                is_input: false,
            }],
            admin: 2,
            table: "ketch".to_owned(),
        };
        assert_eq!(around.reach(&port("0.0.0.0", "10.0.0.2")), "everybody, at 8.8.4.4 (eth1)");
        assert_eq!(around.reach(&port("127.0.0.1", "10.0.0.2")), "this host alone");
        assert_eq!(around.reach(&port("192.168.1.5", "10.0.0.2")), "who reaches 192.168.1.5");
        assert_eq!(around.rule(&port("0.0.0.0", "10.0.0.2")), "inet ketch, chain published, @ports4");
        let hindered = around.hindered(&port("0.0.0.0", "10.0.0.2"));
        assert_eq!(
            hindered,
            ["inet ketch, chain admin: 2 rules come first", "ip filter FORWARD drops what it doesn't accept"]
        );
        let relayed = port("::", "10.0.0.2");
        assert!(around.rule(&relayed).contains("shim") && around.hindered(&relayed).is_empty());
        let taken_in = Publication { reach: Reach::Input, ..port("0.0.0.0", "10.0.0.2") };
        assert!(around.rule(&taken_in).contains("shim") && around.hindered(&taken_in).is_empty());
        assert_eq!(around.reach(&taken_in), "everybody, at 8.8.4.4 (eth1)");
    }
}
