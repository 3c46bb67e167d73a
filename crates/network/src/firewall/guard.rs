//! Who a container may be on its network's wire: itself. A table of the bridges' own family sees each frame before the
//! bridge does, so that what is refused teaches it nothing either.
//!
//! A container that may configure its links (`NET_ADMIN`) can be a router or have more addresses, and isn't held to this:
//! its cable isn't in the sets.

use std::net::{IpAddr, Ipv6Addr};

use netlink::Message;

use super::message::{
    Element, Expressions, Hook, LINK_HEADER, Meta, NETWORK_HEADER, Register, Set, TRANSPORT_HEADER, Table,
    Type, Verdict, flush_chain, flush_set, new_chain, new_rule, new_set, new_table,
};
use super::{link_key, octets};

const GUARDED: &str = "guarded";
const STATIONS: &str = "stations";
const SOURCES_4: &str = "sources4";
const SOURCES_6: &str = "sources6";
const WHOLE_4: &str = "whole4";
const WHOLE_6: &str = "whole6";

const fn set(name: &'static str, key: &'static [Type]) -> Set {
    Set { name, key, data: &[], interval: false, fleeting: false }
}

pub(super) const SETS: &[Set] = &[
    set(GUARDED, &[Type::Link]),
    set(STATIONS, &[Type::Link, Type::Hardware]),
    set(SOURCES_4, &[Type::Link, Type::Ipv4]),
    set(SOURCES_6, &[Type::Link, Type::Ipv6]),
    set(WHOLE_4, &[Type::Link, Type::Hardware, Type::Ipv4]),
    set(WHOLE_6, &[Type::Link, Type::Hardware, Type::Ipv6]),
];

const CHAIN: &str = "guard";
/// Before anything else that looks at what a bridge gets.
const HOOK: Hook = Hook { number: 0, priority: -300, nat: false };

const IPV4: [u8; 2] = [0x08, 0x00];
const ARP: [u8; 2] = [0x08, 0x06];
const IPV6: [u8; 2] = [0x86, 0xdd];
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP_6: u8 = 58;

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// Who says that there is a router, or a better way, is one.
const ROUTERS: [u8; 2] = [134, 137];
/// Ports from which addresses are given: of DHCP and of DHCPv6.
const GIVERS: [u16; 2] = [67, 547];

/// What a container has on one wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The end of its cable that is in the bridge.
    pub link: String,
    pub mac: [u8; 6],
    pub addresses: Vec<IpAddr>,
}

/// In which sets it is, and as what.
pub(super) fn places(source: &Source) -> Vec<(&'static str, Element)> {
    let link = link_key(&source.link);
    let station = [&source.mac[..], &[0, 0]].concat();
    let with = |value: &[u8]| Element::plain([&link[..], value].concat());
    let mut places = vec![(GUARDED, Element::plain(link.clone())), (STATIONS, with(&station))];
    let own = source.addresses.iter().any(IpAddr::is_ipv6).then(|| IpAddr::V6(link_local(source.mac)));
    for ip in source.addresses.iter().copied().chain(own) {
        let (sources, whole) = if ip.is_ipv4() { (SOURCES_4, WHOLE_4) } else { (SOURCES_6, WHOLE_6) };
        places.push((sources, with(&octets(ip))));
        places.push((whole, with(&[&station[..], &octets(ip)].concat())));
    }
    places
}

/// The address that the kernel gives a link by itself.
fn link_local([a, b, c, d, e, f]: [u8; 6]) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets[..2].copy_from_slice(&[0xfe, 0x80]);
    octets[8..].copy_from_slice(&[a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    octets.into()
}

/// Makes the table as it is without any container, whatever was there before.
pub(super) fn base(table: Table<'_>) -> Vec<Message> {
    let mut messages = vec![new_table(table), new_chain(table, CHAIN, Some(HOOK)), flush_chain(table, CHAIN)];
    messages.extend(SETS.iter().zip(1..).map(|(set, id)| new_set(table, set, id)));
    messages.extend(SETS.iter().map(|set| flush_set(table, set.name)));
    let mut rule = |write: &dyn Fn(&mut Expressions<'_>)| {
        messages.push(new_rule(table, CHAIN, |expressions| write(expressions)));
    };
    streams(&mut rule);
    rule(&|e| {
        e.meta(Meta::InLink, Register::FIRST).is_not_in(GUARDED, Register::FIRST).verdict(Verdict::Accept);
    });
    rule(&|e| {
        is_no_own(e, STATIONS, (LINK_HEADER, 6, 6)).verdict(Verdict::Drop);
    });
    arp(&mut rule);
    ipv4(&mut rule);
    ipv6(&mut rule);
    // Nothing else is spoken: what is wrapped in anything would get past all that.
    rule(&|e| {
        e.verdict(Verdict::Drop);
    });
    messages
}

type Add<'a> = &'a mut dyn FnMut(&dyn Fn(&mut Expressions<'_>));
/// A header, and where in it a value stands and how long that is.
type Place = (u32, u32, u32);

fn look_up<'e, 'm>(e: &'e mut Expressions<'m>, (header, at, length): Place) -> &'e mut Expressions<'m> {
    e.meta(Meta::InLink, Register::FIRST);
    e.payload(header, at, length, Register::FIRST.plus(4))
}

fn is_own<'e, 'm>(e: &'e mut Expressions<'m>, set: &str, place: Place) -> &'e mut Expressions<'m> {
    look_up(e, place).is_in(set, Register::FIRST)
}

fn is_no_own<'e, 'm>(e: &'e mut Expressions<'m>, set: &str, place: Place) -> &'e mut Expressions<'m> {
    look_up(e, place).is_not_in(set, Register::FIRST)
}

fn carries<'e, 'm>(e: &'e mut Expressions<'m>, content: [u8; 2]) -> &'e mut Expressions<'m> {
    e.meta(Meta::Content, Register::FIRST).equals(Register::FIRST, &content)
}

/// Most of what goes over a wire is TCP as it should be: one look tells that, where the rules after it need three.
fn streams(rule: Add<'_>) {
    for (content, set, address) in
        [(IPV4, WHOLE_4, (NETWORK_HEADER, 12, 4)), (IPV6, WHOLE_6, (NETWORK_HEADER, 8, 16))]
    {
        rule(&|e| {
            carries(e, content).meta(Meta::Protocol, Register::FIRST).equals(Register::FIRST, &[TCP]);
            look_up(e, (LINK_HEADER, 6, 6));
            let (header, at, length) = address;
            e.payload(header, at, length, Register::FIRST.plus(6));
            e.is_in(set, Register::FIRST).verdict(Verdict::Accept);
        });
    }
}

fn arp(rule: Add<'_>) {
    const SENDER_STATION: Place = (NETWORK_HEADER, 8, 6);
    const SENDER: Place = (NETWORK_HEADER, 14, 4);
    rule(&|e| {
        is_no_own(carries(e, ARP), STATIONS, SENDER_STATION).verdict(Verdict::Drop);
    });
    rule(&|e| {
        is_own(carries(e, ARP), SOURCES_4, SENDER).verdict(Verdict::Accept);
    });
    // Who asks whether an address is free has none yet.
    rule(&|e| {
        carries(e, ARP).payload(NETWORK_HEADER, 14, 4, Register::FIRST);
        e.equals(Register::FIRST, &[0; 4]).verdict(Verdict::Accept);
    });
}

fn ipv4(rule: Add<'_>) {
    gives_addresses(rule, IPV4, GIVERS[0]);
    rule(&|e| {
        is_own(carries(e, IPV4), SOURCES_4, (NETWORK_HEADER, 12, 4)).verdict(Verdict::Accept);
    });
}

fn gives_addresses(rule: Add<'_>, content: [u8; 2], port: u16) {
    rule(&|e| {
        carries(e, content).meta(Meta::Protocol, Register::FIRST).equals(Register::FIRST, &[UDP]);
        e.payload(TRANSPORT_HEADER, 0, 2, Register::FIRST).equals(Register::FIRST, &port.to_be_bytes());
        e.verdict(Verdict::Drop);
    });
}

fn is_icmp_6<'e, 'm>(e: &'e mut Expressions<'m>, kind: u8) -> &'e mut Expressions<'m> {
    carries(e, IPV6).meta(Meta::Protocol, Register::FIRST).equals(Register::FIRST, &[ICMP_6]);
    e.payload(TRANSPORT_HEADER, 0, 1, Register::FIRST).equals(Register::FIRST, &[kind])
}

fn ipv6(rule: Add<'_>) {
    const TARGET: Place = (TRANSPORT_HEADER, 8, 16);
    const SOURCE: Place = (NETWORK_HEADER, 8, 16);
    for kind in ROUTERS {
        rule(&|e| {
            is_icmp_6(e, kind).verdict(Verdict::Drop);
        });
    }
    rule(&|e| {
        is_no_own(is_icmp_6(e, ADVERTISEMENT), SOURCES_6, TARGET).verdict(Verdict::Drop);
    });
    gives_addresses(rule, IPV6, GIVERS[1]);
    rule(&|e| {
        is_own(carries(e, IPV6), SOURCES_6, SOURCE).verdict(Verdict::Accept);
    });
    rule(&|e| {
        is_icmp_6(e, SOLICITATION).payload(NETWORK_HEADER, 8, 16, Register::FIRST);
        e.equals(Register::FIRST, &[0; 16]).verdict(Verdict::Accept);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_has_the_address_that_the_kernel_makes_of_its_own() {
        assert_eq!(link_local([2, 0x42, 0xac, 0x11, 0, 2]).to_string(), "fe80::42:acff:fe11:2");
    }

    #[test]
    fn without_ipv6_there_is_no_source_of_it() {
        let source = Source {
            link: "veth1".to_owned(),
            mac: [2, 0, 0, 0, 0, 1],
            addresses: vec!["10.0.0.2".parse().unwrap()],
        };
        let sets: Vec<_> = places(&source).into_iter().map(|(set, _)| set).collect();
        assert_eq!(sets, [GUARDED, STATIONS, SOURCES_4, WHOLE_4]);
    }
}
