//! Who reaches whom.

use std::net::{TcpListener, UdpSocket};

use testkit::{Engine, Lan, Neighbour};

use super::{Site, fetch, fetched, ip};

#[test]
fn s133_neighbours_in_a_network_reach_each_other_and_networks_do_not() {
    [true, false].into_iter().for_each(neighbours_and_strangers);
}

fn neighbours_and_strangers(filtered: bool) {
    let site = Site::isolated();
    site.filter_bridges(filtered);
    let (first, second) = (site.network("a", &[]), site.network("b", &[]));
    let server = site.serves("server", &["--network", &first]);
    let beside = site.stays("beside", &["--network", &first]);
    let elsewhere = site.stays("elsewhere", &["--network", &second]);
    let default = site.stays("default", &[]);
    let url = format!("{}/cgi-bin/who", site.address(&server, &first));
    assert_eq!(site.fetched_in(&beside, &url), site.address(&beside, &first));
    for other in [&elsewhere, &default] {
        assert_ne!(site.fetch_in(other, &url).0, 0, "{other} reaches {server}");
    }
    // Back through the default network neither.
    let in_default = site.serves("server2", &[]);
    let address = site.address(&in_default, "bridge");
    assert_eq!(site.fetched_in(&default, &format!("{address}/index.html")), "here");
    assert_ne!(site.fetch_in(&beside, &format!("{address}/index.html")).0, 0);
}

#[test]
fn s131_an_internal_network_reaches_neither_out_nor_the_host() {
    let site = Site::of(Engine::ours());
    let lan = Lan::new();
    let outside = lan.neighbour(2);
    outside.at(|| serve_in_background("0.0.0.0:8000"));
    serve_in_background("0.0.0.0:8001");
    let internal = site.network("in", &["--internal"]);
    let open = site.network("open", &[]);
    let closed = site.serves("closed", &["--network", &internal]);
    let beside = site.stays("beside", &["--network", &internal]);
    let free = site.stays("free", &["--network", &open]);
    let own = site.address(&closed, &internal);
    let gateway = |container: &str, network: &str| {
        let address = site.address(container, network);
        format!("{}.1", address.rsplit_once('.').unwrap().0)
    };
    // The controls: the servers are there, and neighbours reach each other.
    assert_eq!(site.fetched_in(&free, "192.0.2.2:8000/"), "served");
    assert_eq!(site.fetched_in(&free, &format!("{}:8001/", gateway(&free, &open))), "served");
    assert_eq!(site.fetched_in(&beside, &format!("{own}/index.html")), "here");
    for url in ["192.0.2.2:8000/", "192.0.2.1:8001/", &format!("{}:8001/", gateway(&closed, &internal))] {
        assert_ne!(site.fetch_in(&closed, url).0, 0, "{url}");
    }
    assert_ne!(site.fetch_in(&free, &format!("{own}/index.html")).0, 0);
    assert!(outside.at(|| fetch((ip(&own), 80), "/")).is_err());
    // The host itself reaches it, as with dockerd.
    assert_eq!(fetched((ip(&own), 80), "/index.html"), "here");
}

/// A server of one line at the calling thread's host, for as long as the test runs.
pub(super) fn serve_in_background(at: &str) {
    use std::io::{Read as _, Write as _};
    let listener = TcpListener::bind(at).unwrap_or_else(|error| panic!("cannot listen at {at}: {error}"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nserved");
        }
    });
}

#[test]
fn s132_from_outside_only_published_ports_are_open() {
    let site = Site::of(Engine::ours());
    let lan = Lan::new();
    let outside = lan.neighbour(2);
    let network = site.network("a", &[]);
    for (name, flags) in [("default", &[][..]), ("user", &["--network", network.as_str()])] {
        let closed = site.serves(&format!("{name}-closed"), flags);
        let open = site.serves(&format!("{name}-open"), &[flags, &["-p", "80"]].concat());
        let port = site.port(&open, "80");
        let of = |container: &str| ip(&site.address(container, flags.last().copied().unwrap_or("bridge")));
        let (closed, open) = (of(&closed), of(&open));
        assert_eq!(fetched((closed, 80), "/index.html"), "here");
        // The client's address is kept.
        assert_eq!(outside.at(|| fetched((Lan::HOST, port), "/cgi-bin/who")), "192.0.2.2");
        // Who routes to the container's own address meets nobody, whether something is published or not.
        for target in [closed, open] {
            assert!(outside.at(|| fetch((target, 80), "/")).is_err(), "{name}: {target}");
        }
    }
}

#[test]
fn s134_a_port_on_loopback_is_not_for_neighbours() {
    let site = Site::of(Engine::ours());
    let lan = Lan::new();
    let outside = lan.neighbour(2);
    let server = site.serves("c", &["-p", "127.0.0.1::80"]);
    let port = site.port(&server, "80");
    assert_eq!(fetched((ip("127.0.0.1"), port), "/index.html"), "here");
    assert!(outside.at(|| fetch((Lan::HOST, port), "/")).is_err());
    // One who routes 127.0.0.0/8 by this host, which the kernel needs to be talked into.
    outside.at(|| {
        for command in [
            "busybox ip route del local 127.0.0.0/8 dev lo table local",
            "busybox ip route add 127.0.0.1/32 via 192.0.2.1",
        ] {
            let done = std::process::Command::new("sh").args(["-c", command]).output();
            assert!(done.is_ok_and(|output| output.status.success()), "{command}");
        }
        std::fs::write("/proc/thread-self/net/../../sys/net/ipv4/conf/all/route_localnet", "1").ok();
        assert!(fetch((ip("127.0.0.1"), port), "/").is_err());
    });
    // The host's other addresses neither.
    assert!(fetch((Lan::HOST, port), "/").is_err());
}

// covers: value network-option bridge com.docker.network.bridge.enable_icc
#[test]
fn without_icc_neighbours_do_not_reach_each_other() {
    [true, false].into_iter().for_each(kept_apart);
}

fn kept_apart(filtered: bool) {
    let site = Site::isolated();
    site.filter_bridges(filtered);
    let network = site.network("a", &["-o", "com.docker.network.bridge.enable_icc=false"]);
    let server = site.serves("server", &["--network", &network, "-p", "80"]);
    let beside = site.stays("beside", &["--network", &network]);
    let address = site.address(&server, &network);
    // It is up: it reaches itself.
    assert_eq!(site.fetched_in(&server, "127.0.0.1/index.html"), "here");
    assert_ne!(site.fetch_in(&beside, &format!("{address}/index.html")).0, 0);
}

#[test]
fn datagrams_come_and_go_by_published_ports() {
    let site = Site::of(Engine::ours());
    let lan = Lan::new();
    let outside = lan.neighbour(2);
    let server = site.stays("c", &["-p", "5353:5353/udp"]);
    let inside = Neighbour::of_process(site.inspect(&server, "{{.State.Pid}}").parse().unwrap());
    let socket = inside.at(|| UdpSocket::bind("0.0.0.0:5353").unwrap());
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], from);
        }
    });
    let echoed = |to: std::net::IpAddr| {
        testkit::eventually(testkit::DEADLINE, || {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.set_read_timeout(Some(std::time::Duration::from_millis(200)))?;
            socket.connect((to, 5353))?;
            socket.send(b"ping")?;
            let mut buffer = [0; 16];
            let length = socket.recv(&mut buffer)?;
            Ok::<_, std::io::Error>(buffer[..length].to_vec())
        })
    };
    assert_eq!(outside.at(|| echoed(Lan::HOST)), b"ping");
    assert_eq!(echoed(ip("127.0.0.1")), b"ping");
    assert_eq!(site.docker(&["port", &server]).lines().next(), Some("5353/udp -> 0.0.0.0:5353"));
}
