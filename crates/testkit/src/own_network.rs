//! Each test is a host of its own: what its engine makes of links and rules nobody else sees.

use std::cell::Cell;

thread_local! {
    static ENTERED: Cell<bool> = const { Cell::new(false) };
}

/// Gives the calling thread a network of its own, once. What it starts from here on is in it too. When a peer is judged,
/// everything stays where the peer is. Whatever makes a scratch directory is there already.
pub fn enter() {
    if std::env::var_os("KETCH_TEST_DOCKER_HOST").is_some() || ENTERED.replace(true) {
        return;
    }
    sys::enter_new_network().unwrap_or_else(|error| panic!("cannot give the test a network: {error}"));
    let raised = network::Links::open().and_then(|mut links| links.raise_loopback());
    raised.unwrap_or_else(|error| panic!("cannot bring the test's loopback up: {error}"));
}
