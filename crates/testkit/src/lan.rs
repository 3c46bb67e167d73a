//! Other hosts: network namespaces on a wire with the test's own host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use network::{Address, Bridge, Cable, Interior, Links, Way};

const LINK: &str = "lan0";

/// A wire that the test's host is on, as 192.0.2.1 and 2001:db8::1. It goes when dropped.
#[derive(Debug)]
pub struct Lan {
    link: u32,
    subnet: Subnet,
}

/// The first three bytes of a wire's IPv4 addresses.
type Subnet = [u8; 3];

const USUAL: Subnet = [192, 0, 2];
const OTHER: Subnet = [198, 51, 100];

/// A host on it, which knows the test's host as its router.
#[derive(Debug)]
pub struct Neighbour {
    interior: Interior,
    /// Our end of its cable: connections that wait for their end would keep it.
    outside: Option<String>,
}

fn addresses([a, b, c]: Subnet, number: u8) -> [IpAddr; 2] {
    [
        IpAddr::V4(Ipv4Addr::new(a, b, c, number)),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(number))),
    ]
}

fn with_prefixes(addresses: [IpAddr; 2]) -> Vec<Address> {
    addresses.map(|ip| Address { ip, prefix: if ip.is_ipv4() { 24 } else { 64 } }).into()
}

impl Lan {
    /// Where the test's host is reached.
    pub const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    /// The same for IPv6.
    pub const HOST_6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

    /// Lays the wire.
    #[track_caller]
    pub fn new() -> Self {
        Self::within(USUAL)
    }

    /// One for a machine whose own network may be what tests use: the host is 198.51.100.1.
    #[track_caller]
    pub fn elsewhere() -> Self {
        Self::within(OTHER)
    }

    #[track_caller]
    fn within(subnet: Subnet) -> Self {
        let addresses = with_prefixes(addresses(subnet, 1));
        let bridge = Bridge { name: LINK.to_owned(), mtu: None, addresses, forwarding: true };
        let link = Links::open().and_then(|mut links| links.ensure_bridge(&bridge));
        Self { link: link.unwrap_or_else(|error| panic!("cannot make a LAN: {error:?}")), subnet }
    }

    /// Where the test's host is reached.
    pub fn host(&self) -> IpAddr {
        addresses(self.subnet, 1)[0]
    }

    /// Another host, as 192.0.2.`number` and 2001:db8::`number`.
    #[track_caller]
    pub fn neighbour(&self, number: u8) -> Neighbour {
        let outside = format!("vethlan{number}");
        let cable = Cable {
            way: Way::Bridge { outside: outside.clone(), bridge: self.link, isolated: false },
            inside: "eth0".to_owned(),
            mac: [2, 0, 0, 0, 0x2a, number],
            mtu: None,
            addresses: with_prefixes(addresses(self.subnet, number)),
            gateways: vec![self.host(), Self::HOST_6],
            switches: Vec::new(),
            announced: true,
        };
        let made = Links::open().and_then(|mut links| Interior::connected(&mut links, &[cable]));
        let interior = made.unwrap_or_else(|error| panic!("cannot make a neighbour: {error:?}"));
        Neighbour { interior, outside: Some(outside) }
    }
}

impl Default for Lan {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        let _ = Links::open().and_then(|mut links| links.remove(LINK));
    }
}

impl Neighbour {
    /// Where a process is: a container's network, as its programs see it.
    #[track_caller]
    pub fn of_process(pid: i32) -> Self {
        let interior = Interior::of_process(pid);
        let interior = interior.unwrap_or_else(|error| panic!("no network of {pid}: {error:?}"));
        Self { interior, outside: None }
    }

    /// Does something there.
    #[track_caller]
    pub fn at<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.interior.enter(|_| Ok(work())).unwrap_or_else(|error| panic!("at a neighbour: {error:?}"))
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        if let Some(outside) = &self.outside {
            let _ = Links::open().and_then(|mut links| links.remove(outside));
        }
    }
}
