//! The default network as the administrator's keys and flags make it.

use std::process::Command;

use serde_json::{Value, json};
use testkit::{Engine, command};

use super::Site;

/// An engine with these keys in its file.
fn with_keys(keys: &Value) -> Site {
    Site::of(Engine::planned(|plan, scratch| plan.config(scratch, keys)))
}

/// One with these words on its command line.
fn with_flags(words: &[&str]) -> Site {
    Site::of(Engine::planned(|plan, _| words.iter().fold(plan, |plan, word| plan.arg(*word))))
}

fn ipam(site: &Site) -> Value {
    let text = site.docker(&["network", "inspect", "-f", "{{json .IPAM.Config}}", "bridge"]);
    serde_json::from_str(&text).expect("the test's own")
}

fn route(site: &Site, flags: &[&str]) -> String {
    site.docker(&[&["run", "--rm"], flags, &[&site.image, "busybox", "ip", "route"]].concat())
}

// covers: daemon config-key bip
// covers: daemon config-key fixed-cidr
// covers: daemon config-key default-gateway
// covers: daemon flag --bip
// covers: daemon flag --fixed-cidr
// covers: daemon flag --default-gateway
#[test]
fn its_addresses_are_the_administrators() {
    let keys =
        json!({"bip": "10.239.0.1/24", "fixed-cidr": "10.239.0.128/25", "default-gateway": "10.239.0.3"});
    let flags =
        ["--bip", "10.239.0.1/24", "--fixed-cidr", "10.239.0.128/25", "--default-gateway", "10.239.0.3"];
    for site in [with_keys(&keys), with_flags(&flags)] {
        // As dockerd shows it.
        let expected = json!([{
            "Subnet": "10.239.0.0/24", "IPRange": "10.239.0.128/25", "Gateway": "10.239.0.1",
            "AuxiliaryAddresses": {"DefaultGatewayIPv4": "10.239.0.3"},
        }]);
        assert_eq!(ipam(&site), expected);
        let member = site.stays("c", &[]);
        assert_eq!(site.inspect(&member, "{{.NetworkSettings.IPAddress}}"), "10.239.0.128");
        assert!(site.exec(&member, "busybox ip route").1.contains("default via 10.239.0.3"));
        let bridge = site.docker(&[
            "network",
            "inspect",
            "-f",
            "{{index .Options \"com.docker.network.bridge.name\"}}",
            "bridge",
        ]);
        let host =
            command::run(Command::new("busybox").args(["ip", "-o", "-4", "addr", "show", "dev", &bridge]))
                .ok();
        assert!(host.contains("10.239.0.1/24"), "{host}");
    }
}

// covers: daemon config-key ipv6
// covers: daemon config-key bip6
// covers: daemon config-key fixed-cidr-v6
// covers: daemon config-key default-gateway-v6
// covers: daemon flag --ipv6
// covers: daemon flag --bip6
// covers: daemon flag --fixed-cidr-v6
// covers: daemon flag --default-gateway-v6
#[test]
fn it_speaks_ipv6_where_it_is_told_to() {
    let keys = json!({"ipv6": true, "bip6": "fd00:239::1/64", "fixed-cidr-v6": "fd00:239::100/120", "default-gateway-v6": "fd00:239::3"});
    let flags = [
        "--ipv6",
        "--bip6",
        "fd00:239::1/64",
        "--fixed-cidr-v6",
        "fd00:239::100/120",
        "--default-gateway-v6",
        "fd00:239::3",
    ];
    for site in [with_keys(&keys), with_flags(&flags)] {
        assert_eq!(site.docker(&["network", "inspect", "-f", "{{.EnableIPv6}}", "bridge"]), "true");
        assert_eq!(ipam(&site)[1]["Gateway"], "fd00:239::1");
        let member = site.stays("c", &[]);
        let address = site.inspect(&member, "{{.NetworkSettings.GlobalIPv6Address}}");
        assert!(address.starts_with("fd00:239::1"), "{address}");
        assert!(site.exec(&member, "busybox ip -6 route").1.contains("default via fd00:239::3"));
    }
    // Without a word on addresses, out of this engine's own range.
    let site = with_keys(&json!({"ipv6": true}));
    let member = site.stays("c", &[]);
    assert!(site.inspect(&member, "{{.NetworkSettings.GlobalIPv6Address}}").starts_with("fd"));
}

// covers: daemon config-key bridge
// covers: daemon flag --bridge
#[test]
fn its_bridge_may_be_another_or_none() {
    for site in [with_keys(&json!({"bridge": "none"})), with_flags(&["--bridge", "none"])] {
        let names = site.docker(&["network", "ls", "--format", "{{.Name}}"]);
        assert_eq!(names.lines().collect::<Vec<_>>(), ["host", "none"]);
        let links = site.docker(&["run", "--rm", &site.image, "busybox", "ip", "-o", "link"]);
        assert_eq!(links.lines().count(), 1, "{links}");
        let other = site.network("n", &[]);
        assert!(route(&site, &["--network", &other]).contains("default via"));
    }
    let own = |words: &[&str]| {
        let made = Engine::planned(|plan, scratch| {
            let script = "busybox ip link add br-own type bridge; busybox ip addr add 10.238.0.9/24 dev br-own; busybox ip link set br-own up";
            command::run(Command::new("sh").args(["-c", script])).ok();
            match words {
                [] => plan.config(scratch, &json!({"bridge": "br-own"})),
                words => words.iter().fold(plan, |plan, word| plan.arg(*word)),
            }
        });
        Site::of(made)
    };
    let site = own(&["--bridge", "br-own"]);
    assert_eq!(ipam(&site)[0]["Gateway"], "10.238.0.9");
    let member = site.stays("c", &[]);
    assert!(site.exec(&member, "busybox ip route").1.contains("default via 10.238.0.9"));
    site.docker(&["rm", "-f", &member]);
    drop(site);
    command::run(Command::new("busybox").args(["ip", "link", "del", "br-own"])).ok();
}

// covers: daemon config-key default-network-opts
// covers: daemon flag --default-network-opt
#[test]
fn networks_have_the_options_that_all_have() {
    let mtu = "com.docker.network.driver.mtu";
    let keys = json!({"default-network-opts": {"bridge": {mtu: "1234"}}});
    let flag = format!("bridge={mtu}=1234");
    for site in [with_keys(&keys), with_flags(&["--default-network-opt", &flag])] {
        let of = |name: &str| {
            site.docker(&["network", "inspect", "-f", &format!("{{{{index .Options {mtu:?}}}}}"), name])
        };
        assert_eq!(of(&site.network("a", &[])), "1234");
        assert_eq!(of(&site.network("b", &["-o", &format!("{mtu}=1400")])), "1400");
        // As with dockerd, the default network has keys of its own.
        assert_eq!(of("bridge"), "1500");
    }
}

// covers: daemon config-key host-gateway-ip
// covers: daemon config-key host-gateway-ips
// covers: daemon flag --host-gateway-ip
#[test]
fn host_gateway_is_what_the_administrator_says() {
    let hosts = |site: &Site| {
        let words = ["run", "--rm", "--add-host", "up:host-gateway", &site.image, "cat", "/etc/hosts"];
        let text = site.docker(&words);
        let lines = text.lines().filter_map(|line| line.strip_suffix("\tup").map(str::to_owned));
        lines.collect::<Vec<String>>()
    };
    assert_eq!(hosts(&with_keys(&json!({"host-gateway-ip": "192.0.2.9"}))), ["192.0.2.9"]);
    let both = ["192.0.2.9", "2001:db8::9"];
    assert_eq!(hosts(&with_keys(&json!({"host-gateway-ips": both}))), both);
    assert_eq!(hosts(&with_flags(&["--host-gateway-ip", both[0], "--host-gateway-ip", both[1]])), both);
}

// covers: daemon config-key ip-forward
// covers: daemon flag --ip-forward
#[test]
fn forwarding_is_the_hosts_business_if_it_says_so() {
    let switch = "/proc/sys/net/ipv4/ip_forward";
    for site in [with_keys(&json!({"ip-forward": false})), with_flags(&["--ip-forward=false"])] {
        std::fs::write(switch, "0").unwrap();
        site.stays("c", &[]);
        assert_eq!(std::fs::read_to_string(switch).unwrap().trim(), "0");
    }
    let site = Site::isolated();
    site.stays("c", &[]);
    assert_eq!(std::fs::read_to_string(switch).unwrap().trim(), "1");
}

#[test]
fn what_cannot_be_is_said_before_anything_starts() {
    for (flags, expected) in [
        (&["--bip", "xx"][..], "bip: invalid CIDR address: xx"),
        (
            &["--bip", "10.9.0.1/24", "--default-gateway", "10.8.0.1"],
            "the default gateway 10.8.0.1 lies outside of 10.9.0.0/24",
        ),
        (
            &["--bip", "10.9.0.1/24", "--fixed-cidr", "10.8.0.0/24"],
            "the fixed subnet 10.8.0.0/24 lies outside of 10.9.0.0/24",
        ),
        (&["--bridge", "br0", "--bip", "10.9.0.1/24"], "it is for the engine's own bridge"),
        (&["--bridge", "a/b"], "can be no bridge's name"),
        (
            &["--host-gateway-ip", "192.0.2.1", "--host-gateway-ip", "192.0.2.2"],
            "only one address of each family",
        ),
        (&["--default-network-opt", "bridge=nosuch=1"], "the network option nosuch is not supported"),
        (&["--default-network-opt", "nosuch=a=b"], "there is no network driver \"nosuch\""),
    ] {
        let output =
            command::run(Command::new(command::ketch_binary()).args(["daemon", "--validate"]).args(flags));
        assert_ne!(output.code, 0, "{flags:?}");
        assert!(output.stderr.contains(expected), "{flags:?}: {}", output.stderr);
    }
}
