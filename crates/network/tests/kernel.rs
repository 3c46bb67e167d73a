//! The kernel takes what is written. Each test has a network namespace of its own, which stands for a host.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};

use network::firewall::{Entry, Firewall, Network, Publication, Reach, Transport};
use network::{Address, Bridge, Cable, Interior, Links, Way};

const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 1);
const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 2);

fn on_a_host_of_its_own(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _namespace = sys::enter_new_network().unwrap();
            test();
        });
    });
}

fn network() -> Network {
    Network {
        bridge: "br0".to_owned(),
        internal: false,
        masquerade_4: true,
        masquerade_6: false,
        reachable_4: false,
        reachable_6: false,
        routed_4: false,
        routed_6: false,
        direct: false,
        trusted: Vec::new(),
        open_within: true,
        egress: None,
    }
}

fn container(links: &mut Links) -> Interior {
    let addresses = vec![Address { ip: IpAddr::V4(GATEWAY), prefix: 24 }];
    let bridge = links
        .ensure_bridge(&Bridge { name: "br0".to_owned(), mtu: None, addresses, forwarding: true })
        .unwrap();
    let cable = Cable {
        way: Way::Bridge { outside: "veth1".to_owned(), bridge, isolated: true },
        inside: "eth0".to_owned(),
        mac: [2, 0, 0, 0, 0, 1],
        mtu: None,
        addresses: vec![Address { ip: IpAddr::V4(INSIDE), prefix: 24 }],
        gateways: vec![IpAddr::V4(GATEWAY)],
        switches: vec![("ipv4/conf/log_martians".to_owned(), "1".to_owned())],
        announced: true,
    };
    Interior::connected(links, &[cable]).unwrap()
}

#[test]
fn a_container_is_reached_by_its_address_and_by_a_published_port() {
    on_a_host_of_its_own(|| {
        let mut links = Links::open().unwrap();
        links.raise_loopback().unwrap();
        let interior = container(&mut links);
        let port = Publication {
            host: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            transport: Transport::Tcp,
            first: 8080,
            count: 1,
            container: IpAddr::V4(INSIDE),
            container_port: 80,
            reach: Reach::Host,
        };
        let range = Publication { first: 9000, count: 100, container_port: 9000, ..port };
        let mut firewall = Firewall::install("test", &[Entry::Network(network())]).unwrap();
        firewall.add(&[Entry::Port(port.clone()), Entry::Port(range)]).unwrap();
        let listener = interior.enter(|_| Ok(TcpListener::bind((INSIDE, 80)).unwrap())).unwrap();
        let ranged = interior.enter(|_| Ok(TcpListener::bind((INSIDE, 9042)).unwrap())).unwrap();
        for (listener, address) in [
            (&listener, SocketAddr::from((INSIDE, 80))),
            (&listener, SocketAddr::from((GATEWAY, 8080))),
            (&ranged, SocketAddr::from((GATEWAY, 9042))),
        ] {
            let mut client = TcpStream::connect(address).unwrap();
            let (mut server, _) = listener.accept().unwrap();
            server.write_all(b"hello").unwrap();
            drop(server);
            let mut text = String::new();
            client.read_to_string(&mut text).unwrap();
            assert_eq!(text, "hello", "{address}");
        }
        firewall.remove(&[Entry::Port(port)]).unwrap();
        assert!(TcpStream::connect((GATEWAY, 8080)).is_err());
        firewall.uninstall().unwrap();
    });
}

#[test]
fn a_container_asks_our_sockets_at_port_53_and_may_serve_there_itself() {
    on_a_host_of_its_own(|| {
        let interior = Interior::create().unwrap();
        let sockets = interior.resolver().unwrap();
        let (udp, tcp) = (UdpSocket::from(sockets.udp), TcpListener::from(sockets.tcp));
        let (own, asking, mut stream) = interior
            .enter(|_| {
                let own = UdpSocket::bind("0.0.0.0:53").unwrap();
                TcpListener::bind("0.0.0.0:53").unwrap();
                let asking = UdpSocket::bind("0.0.0.0:0").unwrap();
                asking.connect("127.0.0.11:53").unwrap();
                asking.send(b"who?").unwrap();
                Ok((own, asking, TcpStream::connect("127.0.0.11:53").unwrap()))
            })
            .unwrap();
        let mut buffer = [0; 16];
        let (length, from) = udp.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"who?");
        udp.send_to(b"me", from).unwrap();
        // The client's socket is connected: it takes answers from where it asked alone.
        assert_eq!(asking.recv(&mut buffer).unwrap(), 2);
        tcp.accept().unwrap().0.write_all(b"me").unwrap();
        stream.read_exact(&mut buffer[..2]).unwrap();
        own.set_nonblocking(true).unwrap();
        assert!(own.recv(&mut buffer).is_err(), "the container's own server isn't asked");
    });
}
