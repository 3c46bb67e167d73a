//! Each test is a host of its own: what its engine makes of links and rules nobody else sees.

use std::cell::Cell;
use std::net::TcpListener;

use netlink::{Message, Socket};

thread_local! {
    static ENTERED: Cell<bool> = const { Cell::new(false) };
}

/// The host's address beside its loopback, one that documentation has to itself.
pub const ADDRESS: &str = "192.0.2.1";

/// Gives the calling thread a network of its own, once. What it starts from here on is in it too. When a peer is judged,
/// everything stays where the peer is. Whatever makes a scratch directory is there already.
pub fn enter() {
    if std::env::var_os("KETCH_TEST_DOCKER_HOST").is_some() || ENTERED.replace(true) {
        return;
    }
    sys::enter_new_network().unwrap_or_else(|error| panic!("cannot give the test a network: {error}"));
    let furnished =
        network::Links::open().and_then(|mut links| links.raise_loopback()).and_then(|()| add_link());
    furnished.unwrap_or_else(|error| panic!("cannot furnish the test's network: {error}"));
}

/// A socket that listens on the loopback, where the test's engine can reach it.
pub fn listen() -> TcpListener {
    enter();
    TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("a loopback port is free: {error}"))
}

/// A link with [`ADDRESS`], by hand: the product's own way would set the kernel's switches as the product needs them.
fn add_link() -> Result<(), network::Error> {
    const UP: u8 = 1;
    let mut header = [0; 16];
    (header[8], header[12]) = (UP, UP);
    let mut link = Message::new(16, 0x600, &header);
    link.text(3, "lan0").nest(18, |info| {
        info.text(1, "bridge");
    });
    let mut socket = Socket::route()?;
    socket.apply(vec![link])?;
    let index = network::Links::open()?.index("lan0")?.unwrap_or_default();
    let mut header = vec![2, 24, 0, 0];
    header.extend(index.to_ne_bytes());
    let mut address = Message::new(20, 0x600, &header);
    address.bytes(2, &[192, 0, 2, 1]).bytes(1, &[192, 0, 2, 1]);
    Ok(socket.apply(vec![address])?)
}
