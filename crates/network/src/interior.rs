//! A container's own network: a namespace that exists before the container does, and cables into it.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::error::system;
use crate::links::{Child, PortSwitch, Split, Veth};
use crate::{Address, Error, Links, sysctl};

/// A network namespace. It lives for as long as somebody holds it open or is in it.
#[derive(Debug)]
pub struct Interior {
    namespace: OwnedFd,
}

/// A connection from the host into a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cable {
    pub way: Way,
    /// The end's name in the container.
    pub inside: String,
    pub mac: [u8; 6],
    pub mtu: Option<u32>,
    pub addresses: Vec<Address>,
    /// Where everything else goes, if by this cable.
    pub gateways: Vec<IpAddr>,
    /// Switches of the container's link, as `ipv4/conf/log_martians`, with their values.
    pub switches: Vec<(String, String)>,
    /// Neighbours may know its IPv4 address under another station, and have to hear of this one.
    pub announced: bool,
}

impl Cable {
    /// An address of IPv6 has no station of its own: it may have been another's a moment ago.
    fn is_announced(&self) -> bool {
        self.announced || self.addresses.iter().any(|address| address.ip.is_ipv6())
    }
}

/// What a cable hangs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    Bridge {
        /// The end's name at the host.
        outside: String,
        /// The bridge's index at the host.
        bridge: u32,
        /// It reaches no other cable of the bridge that is kept apart too.
        isolated: bool,
    },
    /// A part of a link of the host's.
    Parent { index: u32, split: Split },
}

impl Interior {
    /// A new one, with its loopback up.
    pub fn create() -> Result<Self, Error> {
        Self::create_with(None, |_, _| Ok(())).map(|(interior, ())| interior)
    }

    /// A new one, with these cables. `links` is the host's.
    pub fn connected(links: &mut Links, cables: &[Cable]) -> Result<Self, Error> {
        Self::connected_in(None, links, cables)
    }

    /// The same in a namespace that is there, if there is one, and has nothing yet.
    pub fn connected_in(
        namespace: Option<OwnedFd>,
        links: &mut Links,
        cables: &[Cable],
    ) -> Result<Self, Error> {
        let made = Self::create_with(namespace, |inside, namespace| {
            cables.iter().try_for_each(|cable| plug(links, inside, namespace, cable))
        });
        made.map(|(interior, ())| interior)
    }

    fn create_with<T: Send>(
        given: Option<OwnedFd>,
        work: impl FnOnce(&mut Links, BorrowedFd<'_>) -> Result<T, Error> + Send,
    ) -> Result<(Self, T), Error> {
        on_a_thread(move || {
            let namespace = match given {
                Some(namespace) => {
                    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                        .map_err(system("enter a container's network"))?;
                    namespace
                }
                None => sys::enter_new_network().map_err(system("make a network namespace"))?,
            };
            let mut inside = Links::open()?;
            inside.raise_loopback()?;
            let value = work(&mut inside, namespace.as_fd())?;
            Ok((Self { namespace }, value))
        })
    }

    /// The one that a process is in, which is known to live.
    pub fn of_process(pid: i32) -> Result<Self, Error> {
        Self::at(&Path::new("/proc").join(pid.to_string()).join("ns/net"))
    }

    fn at(path: &Path) -> Result<Self, Error> {
        let namespace = File::open(path).map_err(system(format!("open {}", path.display())))?;
        Ok(Self { namespace: namespace.into() })
    }

    /// The same, held open once more.
    pub fn duplicate(&self) -> Result<Self, Error> {
        let namespace = self.namespace.try_clone().map_err(system("hold a container's network open"))?;
        Ok(Self { namespace })
    }

    /// Adds a cable.
    pub fn connect(&self, links: &mut Links, cable: &Cable) -> Result<(), Error> {
        self.enter(|inside| plug(links, inside, self.namespace.as_fd(), cable))
    }

    /// Lets everything that nothing else is said about go by this link.
    pub fn route_by(&self, link: &str, gateways: &[IpAddr]) -> Result<(), Error> {
        self.enter(|inside| match inside.index(link)? {
            Some(index) => inside.set_gateways(index, gateways),
            None => Ok(()),
        })
    }

    /// Removes a cable by its inner end; false if there is none.
    pub fn disconnect(&self, inside: &str) -> Result<bool, Error> {
        self.enter(|links| links.remove(inside))
    }

    /// Does something on a thread that is in it.
    pub fn enter<T: Send>(
        &self,
        work: impl FnOnce(&mut Links) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        on_a_thread(|| {
            move_into_link_name_space(self.namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .map_err(system("enter a container's network"))?;
            work(&mut Links::open()?)
        })
    }
}

impl From<Interior> for OwnedFd {
    fn from(interior: Interior) -> Self {
        interior.namespace
    }
}

impl AsFd for Interior {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }
}

/// A thread of its own, since it doesn't come back from where it goes.
fn on_a_thread<T: Send>(work: impl FnOnce() -> Result<T, Error> + Send) -> Result<T, Error> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("network".to_owned()).spawn_scoped(scope, work);
        let thread = thread.map_err(system("start a thread"))?;
        thread.join().unwrap_or_else(|_| {
            let source = std::io::Error::other("its thread ended early");
            Err(system("work on a container's network")(source))
        })
    })
}

/// Called inside the namespace.
fn plug(
    outside: &mut Links,
    inside: &mut Links,
    namespace: BorrowedFd<'_>,
    cable: &Cable,
) -> Result<(), Error> {
    let namespace = namespace.as_raw_fd().cast_unsigned();
    match &cable.way {
        Way::Bridge { outside: name, bridge, isolated } => {
            outside.make_veth(&Veth {
                outside: name,
                bridge: *bridge,
                inside: &cable.inside,
                namespace,
                mac: cable.mac,
                mtu: cable.mtu,
            })?;
            if *isolated {
                outside.switch_on(name, PortSwitch::Isolated)?;
            }
            // There, a container that asks for its own published port is answered by the bridge, not by a route.
            if sysctl::bridges_are_filtered() {
                outside.switch_on(name, PortSwitch::Hairpin)?;
            }
        }
        Way::Parent { index, split } => {
            let (name, mac) = (&cable.inside, split.has_addresses().then_some(cable.mac));
            outside.make_child(&Child {
                name,
                parent: *index,
                namespace,
                split: *split,
                mac,
                mtu: cable.mtu,
            })?;
        }
    }
    let index = inside.index(&cable.inside)?.unwrap_or_default();
    if sysctl::has_ipv6() {
        let wanted = cable.addresses.iter().any(|address| address.ip.is_ipv6());
        sysctl::set(&format!("ipv6/conf/{}/disable_ipv6", cable.inside), if wanted { "0" } else { "1" })?;
    }
    if cable.announced {
        sysctl::set(&format!("ipv4/conf/{}/arp_notify", cable.inside), "1")?;
    }
    if sysctl::has_ipv6() && cable.addresses.iter().any(|address| address.ip.is_ipv6()) {
        sysctl::set(&format!("ipv6/conf/{}/ndisc_notify", cable.inside), "1")?;
    }
    for (name, value) in &cable.switches {
        // `ipv4/conf/log_martians` is `ipv4/conf/eth0/log_martians` here.
        let (kind, last) = name.rsplit_once('/').unwrap_or((name, ""));
        sysctl::set(&format!("{kind}/{}/{last}", cable.inside), value)?;
    }
    inside.raise(index, &cable.addresses, &cable.gateways)?;
    match &cable.way {
        Way::Bridge { outside: name, .. } if cable.is_announced() => {
            announce_again(outside, name, inside, index, cable.mac)
        }
        _ => Ok(()),
    }
}

/// What the kernel sends when a link comes up is lost: the bridge passes nothing on by a cable until it has noticed, a moment
/// later, that both its ends are up.
#[expect(
    clippy::disallowed_methods,
    reason = "who is in a container's namespace hears no news of the host's links"
)]
fn announce_again(
    outside: &mut Links,
    name: &str,
    inside: &mut Links,
    index: u32,
    station: [u8; 6],
) -> Result<(), Error> {
    const TRIES: u32 = 200;
    for _ in 0..TRIES {
        if outside.works(name)? {
            return inside.announce(index, station);
        }
        std::thread::sleep(std::time::Duration::from_micros(500));
    }
    tracing::warn!(link = name, "neighbours haven't been told of a container's station");
    Ok(())
}
