//! The one table inside a container: what it asks of the resolver's address goes to our sockets, at whichever ports.

use std::net::Ipv4Addr;

use netlink::Socket;

use super::Transport;
use super::message::{
    Family, Hook, Meta, NETWORK_HEADER, Register, TRANSPORT_HEADER, Table, batch, flush_chain, new_chain,
    new_rule, new_table,
};
use crate::Error;
use crate::error::kernel;

const TABLE: Table<'_> = Table { family: Family::Inet, name: "ketch" };
const CHAIN: &str = "resolver";
const IPV4: u8 = 2;

/// Leads what is sent from here to this address and port to other ports of the same address. Called in the container's
/// network.
pub(crate) fn redirect_resolver(
    address: Ipv4Addr,
    port: u16,
    to: [(Transport, u16); 2],
) -> Result<(), Error> {
    let hook = Hook { number: 3, priority: -100, nat: true };
    let mut messages = vec![new_table(TABLE), new_chain(TABLE, CHAIN, Some(hook)), flush_chain(TABLE, CHAIN)];
    messages.extend(to.map(|(transport, target)| {
        new_rule(TABLE, CHAIN, |e| {
            let (protocol, address) = ([transport.number()], address.octets());
            e.family(IPV4);
            e.payload(NETWORK_HEADER, 16, 4, Register::FIRST).equals(Register::FIRST, &address);
            e.meta(Meta::Protocol, Register::FIRST).equals(Register::FIRST, &protocol);
            e.payload(TRANSPORT_HEADER, 2, 2, Register::FIRST).equals(Register::FIRST, &port.to_be_bytes());
            e.load(&address, Register::FIRST).load(&target.to_be_bytes(), Register::FIRST.plus(1));
            e.redirect(IPV4, Register::FIRST, Some(Register::FIRST.plus(1)));
        })
    }));
    let sent = Socket::netfilter()?.apply(batch(messages));
    sent.map_err(kernel("lead a container's questions to its resolver"))
}
