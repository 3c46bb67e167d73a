//! A container's own network: a namespace that exists before the container does, and cables into it.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::error::system;
use crate::links::{PortSwitch, Veth};
use crate::{Address, Error, Links, sysctl};

/// A network namespace. It lives for as long as somebody holds it open or is in it.
#[derive(Debug)]
pub struct Interior {
    namespace: OwnedFd,
}

/// A connection from a bridge into a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cable {
    /// The end's name at the host.
    pub outside: String,
    /// The bridge's index at the host.
    pub bridge: u32,
    /// The end's name in the container.
    pub inside: String,
    pub mac: [u8; 6],
    pub mtu: Option<u32>,
    pub addresses: Vec<Address>,
    /// Where everything else goes, if by this cable.
    pub gateways: Vec<IpAddr>,
    /// It reaches no other cable of the bridge that is kept apart too.
    pub isolated: bool,
}

impl Interior {
    /// A new one, with its loopback up.
    pub fn create() -> Result<Self, Error> {
        Self::create_with(|_, _| Ok(())).map(|(interior, ())| interior)
    }

    /// A new one, with these cables. `links` is the host's.
    pub fn connected(links: &mut Links, cables: &[Cable]) -> Result<Self, Error> {
        let made = Self::create_with(|inside, namespace| {
            cables.iter().try_for_each(|cable| plug(links, inside, namespace, cable))
        });
        made.map(|(interior, ())| interior)
    }

    fn create_with<T: Send>(
        work: impl FnOnce(&mut Links, BorrowedFd<'_>) -> Result<T, Error> + Send,
    ) -> Result<(Self, T), Error> {
        on_a_thread(move || {
            let namespace = sys::enter_new_network().map_err(system("make a network namespace"))?;
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
    outside.make_veth(&Veth {
        outside: &cable.outside,
        bridge: cable.bridge,
        inside: &cable.inside,
        namespace: namespace.as_raw_fd().cast_unsigned(),
        mac: cable.mac,
        mtu: cable.mtu,
    })?;
    if cable.isolated {
        outside.switch_on(&cable.outside, PortSwitch::Isolated)?;
    }
    // There, a container that asks for its own published port is answered by the bridge, not by a route.
    if sysctl::bridges_are_filtered() {
        outside.switch_on(&cable.outside, PortSwitch::Hairpin)?;
    }
    let index = inside.index(&cable.inside)?.unwrap_or_default();
    if sysctl::has_ipv6() {
        let wanted = cable.addresses.iter().any(|address| address.ip.is_ipv6());
        sysctl::set(&format!("ipv6/conf/{}/disable_ipv6", cable.inside), if wanted { "0" } else { "1" })?;
    }
    inside.raise(index, &cable.addresses, &cable.gateways)
}
