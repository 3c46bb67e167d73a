//! Who a container may be on its network's wire. What it could do by raw sockets, tests do by the kernel's own means in its
//! network: what comes out of its cable is the same.

#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;

use rustix::net::sockopt::set_ipv6_multicast_hops;
use rustix::net::{AddressFamily, SocketType, ipproto, socket};
use testkit::{DEADLINE, Engine, Neighbour, command, eventually};

use super::{Site, fetched, ip};

const PORT: u16 = 9999;
const SUBNETS: [&str; 4] = ["--subnet", "10.226.60.0/24", "--subnet", "fd00:226:60::/64"];

/// Two in a network: what one sends, the other hears or not.
struct Wire {
    villain: Neighbour,
    victim: Neighbour,
    ears: UdpSocket,
    /// The victim's addresses, and the villain's.
    to: [IpAddr; 2],
    from: [IpAddr; 2],
    gateway: [IpAddr; 2],
}

impl Wire {
    fn new(site: &Site, network: &str, flags: &[&str]) -> Self {
        let names = ["villain", "victim"].map(|name| {
            site.stays(&format!("{name}-{network}"), &[&["--network", network][..], flags].concat())
        });
        let inside =
            |name: &str| Neighbour::of_process(site.inspect(name, "{{.State.Pid}}").parse().unwrap());
        let addresses = |name: &str| {
            let of = |key: &str| format!("{{{{(index .NetworkSettings.Networks {network:?}).{key}}}}}");
            ["IPAddress", "GlobalIPv6Address"].map(|key| ip(&site.inspect(name, &of(key))))
        };
        let victim = inside(&names[1]);
        let ears = victim.at(|| UdpSocket::bind(("::", PORT)).unwrap());
        ears.set_read_timeout(Some(DEADLINE)).unwrap();
        let gateway = ["10.226.60.1", "fd00:226:60::1"].map(ip);
        let [from, to] = [addresses(&names[0]), addresses(&names[1])];
        Self { villain: inside(&names[0]), victim, ears, to, from, gateway }
    }

    /// Sends a word from an address and port of the villain's kernel.
    fn send(&self, from: IpAddr, port: u16, to: IpAddr, word: &str) {
        self.villain.at(|| {
            let socket = eventually(DEADLINE, || UdpSocket::bind(SocketAddr::new(from, port)));
            let _ = socket.send_to(word.as_bytes(), (to, PORT));
        });
    }

    /// What the victim hears up to the word `end`, which is sent honestly.
    fn heard(&self, to: IpAddr) -> Vec<String> {
        let own = if to.is_ipv4() { self.from[0] } else { self.from[1] };
        self.send(own, 0, to, "end");
        let mut heard = Vec::new();
        let mut buffer = [0; 64];
        loop {
            let length = self.ears.recv(&mut buffer).expect("the honest word");
            match String::from_utf8_lossy(&buffer[..length]).into_owned() {
                word if word == "end" => return heard,
                word => heard.push(word),
            }
        }
    }

    fn in_villain(&self, words: &[&str]) {
        self.villain.at(|| command::run(Command::new(words[0]).args(&words[1..])).ok());
    }

    fn in_victim(&self, words: &[&str]) -> String {
        self.victim.at(|| command::run(Command::new(words[0]).args(&words[1..])).ok())
    }

    /// An ICMPv6 message to all, with the hop limit that neighbours' have.
    fn tell_all(&self, message: &[u8]) {
        self.villain.at(|| {
            let raw = socket(AddressFamily::INET6, SocketType::RAW, Some(ipproto::ICMPV6)).unwrap();
            set_ipv6_multicast_hops(&raw, 255).unwrap();
            let index = std::fs::read_to_string("/proc/thread-self/net/igmp6").unwrap();
            let line = index.lines().find(|line| line.contains("eth0")).unwrap();
            let scope = line.split_whitespace().next().unwrap().parse().unwrap();
            let all = std::net::SocketAddrV6::new("ff02::1".parse().unwrap(), 0, 0, scope);
            rustix::net::sendto(&raw, message, rustix::net::SendFlags::empty(), &SocketAddr::V6(all))
                .unwrap();
        });
    }
}

/// All that is tried; with what became of it: words that came through, the victim's gateway's station, its routes.
fn tried(site: &Site, wire: &Wire) -> (Vec<String>, bool, bool) {
    let mut heard = Vec::new();
    for (to, from) in wire.to.into_iter().zip(wire.from) {
        assert!(wire.heard(to).is_empty());
        let stranger = if to.is_ipv4() { "10.226.60.200" } else { "fd00:226:60::200" };
        let prefixed = format!("{stranger}/{}", if to.is_ipv4() { 24 } else { 64 });
        wire.in_villain(&["busybox", "ip", "addr", "add", &prefixed, "dev", "eth0"]);
        wire.send(ip(stranger), 0, to, "stranger");
        wire.send(from, if to.is_ipv4() { 67 } else { 547 }, to, "giver");
        heard.extend(wire.heard(to));
        wire.in_villain(&["busybox", "ip", "addr", "del", &prefixed, "dev", "eth0"]);
    }
    let station = |wire: &Wire| {
        let table = wire.in_victim(&["cat", "/proc/thread-self/net/arp"]);
        let line = table.lines().find(|line| line.starts_with("10.226.60.1 ")).unwrap_or_default().to_owned();
        line.split_whitespace().nth(3).unwrap_or_default().to_owned()
    };
    let gateway = wire.gateway[0].to_string();
    wire.victim.at(|| UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"x", (wire.gateway[0], 9)).unwrap());
    let before = eventually(DEADLINE, || match station(wire) {
        found if found.is_empty() || found.starts_with("00:00") => Err(found),
        found => Ok(found),
    });
    // As the gateway, to whoever hears it.
    wire.in_villain(&["busybox", "ip", "addr", "add", &format!("{gateway}/32"), "dev", "eth0"]);
    for kind in ["-U", "-A"] {
        wire.villain.at(|| {
            let words = ["arping", kind, "-c", "3", "-I", "eth0", "-s", &gateway, &gateway];
            command::run(Command::new("busybox").args(words))
        });
    }
    wire.in_villain(&["busybox", "ip", "addr", "del", &format!("{gateway}/32"), "dev", "eth0"]);
    let misled = station(wire) != before;
    // A router for half an hour.
    let mut advertisement = vec![134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    advertisement.extend([3, 4, 64, 0xc0, 0, 0, 7, 8, 0, 0, 7, 8, 0, 0, 0, 0]);
    advertisement.extend("2001:db8:bad::".parse::<std::net::Ipv6Addr>().unwrap().octets());
    wire.tell_all(&advertisement);
    assert!(wire.heard(wire.to[1]).is_empty());
    let routed = wire.in_victim(&["ip", "-6", "route"]).contains("2001:db8:bad");
    // Another's station last: the bridge knows it under its own again when it has sent something.
    wire.in_villain(&["busybox", "ip", "link", "set", "eth0", "address", "02:00:00:00:00:99"]);
    wire.send(wire.from[0], 0, wire.to[0], "station");
    site.engine.get("/_ping").expect(200);
    (heard, misled, routed)
}

#[test]
fn s129_a_container_is_nobody_but_itself_on_its_wire() {
    let mut site = Site::of(Engine::ours());
    let network = site.network("guarded", &[&["--ipv6"][..], &SUBNETS].concat());
    let wire = Wire::new(&site, &network, &[]);
    assert_eq!(tried(&site, &wire), (Vec::new(), false, false));
    // What it said as another station was never heard, and it is none now.
    wire.in_villain(&["busybox", "ip", "link", "set", "eth0", "address", &own_station(&site, &network)]);
    assert!(wire.heard(wire.to[0]).is_empty());
    // The same after the rules were made anew, by whatever.
    for _ in 0..2 {
        testkit::flush_firewall();
        site.engine.crash_and_restart();
        wire.in_villain(&["busybox", "ip", "addr", "add", "10.226.60.201/24", "dev", "eth0"]);
        wire.send(ip("10.226.60.201"), 0, wire.to[0], "stranger");
        assert!(wire.heard(wire.to[0]).is_empty());
        wire.in_villain(&["busybox", "ip", "addr", "del", "10.226.60.201/24", "dev", "eth0"]);
    }
}

fn own_station(site: &Site, network: &str) -> String {
    let template = format!("{{{{(index .NetworkSettings.Networks {network:?}).MacAddress}}}}");
    site.inspect(&site.engine.name(&format!("villain-{network}")), &template)
}

/// The control: without the guard all of it works, so the test above sees something.
// covers: value network-option bridge com.ketch.guard
#[test]
fn where_nobody_guards_a_container_is_whoever_it_says() {
    let site = Site::of(Engine::ours());
    let flags = [&["--ipv6", "-o", "com.ketch.guard=false"][..], &SUBNETS].concat();
    let network = site.network("open", &flags);
    let wire = Wire::new(&site, &network, &[]);
    let (heard, misled, routed) = tried(&site, &wire);
    assert_eq!(heard, ["stranger", "giver", "stranger", "giver"]);
    assert!(misled && routed, "{misled} {routed}");
}

/// Clusters in containers do that: nodes are privileged, and pass on what their pods send.
#[test]
fn who_administers_its_links_may_be_a_router() {
    let site = Site::of(Engine::ours());
    let network = site.network("nodes", &[&["--ipv6"][..], &SUBNETS].concat());
    let wire = Wire::new(&site, &network, &["--cap-add", "NET_ADMIN"]);
    let (heard, ..) = tried(&site, &wire);
    assert_eq!(heard, ["stranger", "giver", "stranger", "giver"]);
    let later = site.serves("later", &[]);
    let second = site.network("second", &["--subnet", "10.226.61.0/24"]);
    site.docker(&["network", "connect", &second, &later]);
    assert_eq!(fetched((ip(&site.address(&later, &second)), 80), "/index.html"), "here");
}

#[test]
fn s130_without_ipv6_there_is_no_address_of_it() {
    let site = Site::isolated();
    let network = site.network("four", &[]);
    for flags in [&["--network", network.as_str()][..], &[]] {
        let name = site.stays(&format!("c{}", flags.len()), flags);
        let (code, said) = site.exec(&name, "busybox ip -6 -o addr show dev eth0");
        assert_eq!((code, said.as_str()), (0, ""));
    }
}
