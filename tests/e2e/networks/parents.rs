//! Networks on a link of the host's: containers are hosts on its wire.

use testkit::{Engine, Lan, command};

use super::{Site, fetched, ip};

// covers: value network-driver docker network create -d macvlan
// covers: value network-option macvlan macvlan
// covers: value network-option macvlan parent
// covers: value network-option macvlan macvlan_mode
// covers: value network-option macvlan bridge
#[test]
fn a_macvlan_container_is_a_host_on_the_wire() {
    let mut site = Site::of(Engine::ours());
    let lan = Lan::new();
    let outside = lan.neighbour(2);
    // The host's end of another cable of that wire.
    let _up = Wire::new("up0", "lan0");
    let network = site.network(
        "m",
        &[
            "-d",
            "macvlan",
            "--subnet",
            "192.0.2.0/24",
            "--ip-range",
            "192.0.2.64/27",
            "--gateway",
            "192.0.2.1",
            "-o",
            "parent=up0",
        ],
    );
    let server = site.serves("server", &["--network", &network, "--mac-address", "02:42:00:00:00:77"]);
    let address = site.address(&server, &network);
    assert_eq!(address, "192.0.2.64");
    assert_eq!(outside.at(|| fetched((ip(&address), 80), "/cgi-bin/who")), "192.0.2.2");
    assert_eq!(site.exec(&server, "cat /sys/class/net/eth0/address").1, "02:42:00:00:00:77");
    assert!(site.exec(&server, "busybox ip route").1.contains("default via 192.0.2.1"));
    // Names and neighbours are there as in any network; links that are parts reach each other.
    let client = site.stays("client", &["--network", &network]);
    assert_eq!(site.fetched_in(&client, &format!("{server}/index.html")), "here");
    let described =
        site.docker(&["network", "inspect", "-f", "{{.Driver}} {{index .Options \"parent\"}}", &network]);
    assert_eq!(described, "macvlan up0");
    site.engine.crash_and_restart();
    assert_eq!(outside.at(|| fetched((ip(&address), 80), "/index.html")), "here");
    site.docker(&["network", "disconnect", &network, &client]);
    assert!(!site.exec(&client, "busybox ip -o link").1.contains("eth0"));
    site.docker(&["network", "connect", &network, &client]);
    assert_eq!(site.fetched_in(&client, &format!("{server}/index.html")), "here");
}

/// A pair of links, whose far end is in the bridge. It goes when dropped.
struct Wire(String);

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = std::process::Command::new("ip").args(["link", "del", &self.0]).status();
    }
}

impl Wire {
    fn new(name: &str, bridge: &str) -> Self {
        let script = format!(
            "ip link add {name} type veth peer name {name}-peer && ip link set {name}-peer master {bridge} \
         && ip link set {name}-peer up && ip link set {name} up"
        );
        command::run(std::process::Command::new("sh").args(["-c", &script])).ok();
        Self(name.to_owned())
    }
}

// covers: value network-option macvlan private
// covers: value network-option macvlan vepa
// covers: value network-option macvlan passthru
#[test]
fn each_macvlan_mode_is_the_kernels() {
    let site = Site::of(Engine::ours());
    let _lan = Lan::new();
    let mut wires = Vec::new();
    for (mode, reaches) in [("bridge", true), ("private", false), ("vepa", false)] {
        let link = format!("up-{mode}");
        wires.push(Wire::new(&link, "lan0"));
        let (parent, mode_option) = (format!("parent={link}"), format!("macvlan_mode={mode}"));
        let subnet = format!("10.227.{}.0/24", mode.len());
        let network =
            site.network(mode, &["-d", "macvlan", "--subnet", &subnet, "-o", &parent, "-o", &mode_option]);
        let server = site.serves(&format!("{mode}-s"), &["--network", &network]);
        let client = site.stays(&format!("{mode}-c"), &["--network", &network]);
        let url = format!("{}/index.html", site.address(&server, &network));
        match reaches {
            true => assert_eq!(site.fetched_in(&client, &url), "here"),
            false => assert_ne!(site.fetch_in(&client, &url).0, 0, "{mode}"),
        }
    }
    wires.push(Wire::new("up-all", "lan0"));
    let flags = [
        "-d",
        "macvlan",
        "--subnet",
        "10.227.100.0/24",
        "-o",
        "parent=up-all",
        "-o",
        "macvlan_mode=passthru",
    ];
    let network = site.network("all", &flags);
    let member = site.stays("all-c", &["--network", &network]);
    assert!(site.exec(&member, "busybox ip -o addr").1.contains("10.227.100."));
    let name = site.engine.name("second");
    let said = site.refused(&["network", "create", "-d", "macvlan", "-o", "parent=up-all", &name]);
    assert!(said.contains("cannot use mode passthru, macvlan network ") && said.contains("up-all"), "{said}");
}

// refuses: value network-driver docker network create -d overlay because networks of several hosts are not part of Ketch
// refuses: value network-option overlay overlay because networks of several hosts are not part of Ketch
// refuses: value network-option overlay encrypted because networks of several hosts are not part of Ketch
// refuses: field Address Addr because it stands in lists of a container's further addresses, which dockerd leaves empty, too
// refuses: field Address PrefixLen because it stands in lists of a container's further addresses, which dockerd leaves empty, too
// refuses: value network-driver docker network create -d windows because it exists for Windows only
// refuses: value network-driver docker network create -d remote because network plugins are not part of Ketch
// refuses: value network-driver docker network create -d host because there is one network of the host, and every engine has it
// refuses: value network-driver docker network create -d null because there is one network without links, and every engine has it
// refuses: value ipam-driver docker network create --ipam-driver null because it gives no addresses, which a bridge cannot do without
// refuses: value ipam-driver docker network create --ipam-driver remote because address plugins are not part of Ketch
// refuses: value ipam-driver docker network create --ipam-driver windowsipam because it exists for Windows only
#[test]
fn what_a_network_cannot_be_is_refused_by_name() {
    let site = Site::of(Engine::ours());
    let _lan = Lan::new();
    let name = site.engine.name("x");
    let refused = |flags: &[&str]| site.refused(&[&["network", "create"], flags, &[&name]].concat());
    for (flags, expected) in [
        (&["-d", "macvlan", "-o", "parent=nosuch0"][..], "the parent nosuch0 is no link of this host"),
        (&["-d", "macvlan", "-o", "parent=nosuch0.10"], "the parent nosuch0 is no link of this host"),
        (&["-d", "macvlan", "-o", "parent=lan0.5000"], "the parent lan0.5000 is no link of this host"),
        (
            &["-d", "macvlan", "-o", "parent=lan0", "-o", "macvlan_mode=foo"],
            "requested macvlan mode 'foo' is not valid, 'bridge' mode is the macvlan driver default",
        ),
        (&["-d", "macvlan", "-o", "parent=lan0", "-o", "foo=bar"], "the network option foo is not supported"),
        (
            &["-d", "macvlan", "-o", "parent=lan0", "--internal"],
            "an internal network of the driver macvlan on a link of the host's is not supported",
        ),
        (
            &["-d", "ipvlan", "-o", "parent=lan0", "-o", "ipvlan_mode=l4"],
            "requested ipvlan mode 'l4' is not valid, 'l2' mode is the ipvlan driver default",
        ),
        (&["-d", "overlay"], "the network driver overlay is not supported"),
        (&["-d", "host"], "only one instance of \"host\" network is allowed"),
        (&["-d", "null"], "only one instance of \"null\" network is allowed"),
        (&["-d", "weave"], "plugin \"weave\" not found"),
        (&["-d", "windows"], "plugin \"windows\" not found"),
        (&["--ipam-driver", "null"], "ipv4 pool is empty"),
        (&["--ipam-driver", "infoblox"], "plugin \"infoblox\" not found"),
    ] {
        let said = refused(flags);
        assert!(said.contains(expected), "{flags:?}: {said}");
    }
    let said = command::run(site.engine.docker_command().args([
        "network",
        "create",
        "-d",
        "ipvlan",
        "-o",
        "parent=lan0",
        &name,
    ]));
    let has_ipvlan = said.code == 0;
    assert!(has_ipvlan || said.stderr.contains("this kernel has no ipvlan links"), "{}", said.stderr);
    // What is made with the network where the kernel has it, and said by name where not.
    for (flags, link, kind) in [
        (&["-d", "macvlan", "-o", "parent=lan0.10"][..], "lan0.10", "vlan"),
        (&["-d", "macvlan"], "dm-", "dummy"),
        (&["-d", "ipvlan", "--internal"], "dm-", "dummy"),
    ] {
        let made = command::run(
            site.engine.docker_command().args([&["network", "create"], flags, &[&name]].concat()),
        );
        let links = std::fs::read_to_string("/proc/thread-self/net/dev").expect("the kernel's own");
        if made.code == 0 {
            assert!(links.contains(link), "{flags:?}: {links}");
            site.docker(&["network", "rm", &name]);
        } else {
            let missing = [kind, "ipvlan"].map(|kind| format!("this kernel has no {kind} links"));
            assert!(missing.iter().any(|words| made.stderr.contains(words)), "{flags:?}: {}", made.stderr);
            assert!(!links.contains("dm-") && !links.contains("lan0.10"), "{links}");
        }
    }
    let warned = command::run(site.engine.ketch_command().args([
        "create",
        "-p",
        "80:80",
        "--network",
        "host",
        &site.image,
        "true",
    ]));
    assert!(warned.stderr.contains("Published ports are discarded"), "{}", warned.stderr);
}
