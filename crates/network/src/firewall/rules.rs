//! The rules: few, and the same however many containers there are. What differs is in sets and maps.
//!
//! ```text
//! forward      admin's rules │ known connections │ within a network │ internal networks │ restricted ones │ published ports │ inward │ between networks │ from outside
//! inward       networks without translation │ ports at the container's own address
//! input        internal networks don't reach the host, nor restricted ones what isn't listed
//! raw          127.0.0.0/8 comes by no wire
//! prerouting   to an address of this host: published ports
//! output       the same for the host's own programs
//! postrouting  containers go out under the host's address
//! ```

use netlink::Message;

use super::message::{
    Expressions, Hook, Meta, NETWORK_HEADER, Register, Set, TRANSPORT_HEADER, Table, Type, Verdict,
    flush_chain, flush_set, new_chain, new_rule, new_set, new_table,
};

pub(super) const BRIDGES: &str = "bridges";
pub(super) const WITHIN: &str = "within";
pub(super) const INTERNAL: &str = "internal";
pub(super) const REACHABLE_4: &str = "reachable4";
pub(super) const REACHABLE_6: &str = "reachable6";
pub(super) const MASQUERADED_4: &str = "masqueraded4";
pub(super) const MASQUERADED_6: &str = "masqueraded6";
pub(super) const ROUTED_4: &str = "routed4";
pub(super) const ROUTED_6: &str = "routed6";
pub(super) const DIRECT: &str = "direct";
pub(super) const TRUSTED: &str = "trusted";
pub(super) const OPEN_4: &str = "open4";
pub(super) const OPEN_RANGES_4: &str = "open_ranges4";
pub(super) const OPEN_6: &str = "open6";
pub(super) const OPEN_RANGES_6: &str = "open_ranges6";
pub(super) const INNER_4: &str = "inner4";
pub(super) const INNER_RANGES_4: &str = "inner_ranges4";
pub(super) const INNER_6: &str = "inner6";
pub(super) const INNER_RANGES_6: &str = "inner_ranges6";
pub(super) const PORTS_4: &str = "ports4";
pub(super) const PORTS_4_AT: &str = "ports4_at";
pub(super) const RANGES_4: &str = "ranges4";
pub(super) const PORTS_6: &str = "ports6";
pub(super) const PORTS_6_AT: &str = "ports6_at";
pub(super) const RANGES_6: &str = "ranges6";
/// Networks whose containers reach only what is listed: by address, and what names stood for.
pub(super) const RESTRICTED: &str = "restricted";
pub(super) const EGRESS_4: &str = "egress4";
pub(super) const EGRESS_6: &str = "egress6";
pub(super) const NAMED_4: &str = "named4";
pub(super) const NAMED_6: &str = "named6";

use Type::{Ipv4, Ipv6, Link, Protocol, Service};

const fn links(name: &'static str) -> Set {
    Set { name, key: &[Link], data: &[], interval: false, fleeting: false }
}

const OF_PORT_4: &[Type] = &[Ipv4, Protocol, Service];
const OF_PORT_6: &[Type] = &[Ipv6, Protocol, Service];

const fn ports(name: &'static str, key: &'static [Type], interval: bool) -> Set {
    Set { name, key, data: &[], interval, fleeting: false }
}

const fn map(name: &'static str, key: &'static [Type], data: &'static [Type], interval: bool) -> Set {
    Set { name, key, data, interval, fleeting: false }
}

pub(super) const SETS: &[Set] = &[
    links(BRIDGES),
    Set { name: WITHIN, key: &[Link, Link], data: &[], interval: false, fleeting: false },
    links(INTERNAL),
    links(REACHABLE_4),
    links(REACHABLE_6),
    links(MASQUERADED_4),
    links(MASQUERADED_6),
    links(ROUTED_4),
    links(ROUTED_6),
    links(DIRECT),
    Set { name: TRUSTED, key: &[Link, Link], data: &[], interval: false, fleeting: false },
    ports(OPEN_4, OF_PORT_4, false),
    ports(OPEN_RANGES_4, OF_PORT_4, true),
    ports(OPEN_6, OF_PORT_6, false),
    ports(OPEN_RANGES_6, OF_PORT_6, true),
    ports(INNER_4, OF_PORT_4, false),
    ports(INNER_RANGES_4, OF_PORT_4, true),
    ports(INNER_6, OF_PORT_6, false),
    ports(INNER_RANGES_6, OF_PORT_6, true),
    map(PORTS_4, &[Protocol, Service], &[Ipv4, Service], false),
    map(PORTS_4_AT, &[Ipv4, Protocol, Service], &[Ipv4, Service], false),
    map(RANGES_4, &[Ipv4, Protocol, Service], &[Ipv4], true),
    map(PORTS_6, &[Protocol, Service], &[Ipv6, Service], false),
    map(PORTS_6_AT, &[Ipv6, Protocol, Service], &[Ipv6, Service], false),
    map(RANGES_6, &[Ipv6, Protocol, Service], &[Ipv6], true),
    links(RESTRICTED),
    ports(EGRESS_4, &[Link, Ipv4], true),
    ports(EGRESS_6, &[Link, Ipv6], true),
    Set { name: NAMED_4, key: &[Link, Ipv4], data: &[], interval: false, fleeting: true },
    Set { name: NAMED_6, key: &[Link, Ipv6], data: &[], interval: false, fleeting: true },
];

/// The administrator's: made empty, and never touched again.
pub(super) const ADMIN: &str = "admin";
const PUBLISHED: &str = "published";
/// What reaches containers without having been translated.
const INWARD: &str = "inward";

const CHAINS: &[(&str, Option<Hook>)] = &[
    (PUBLISHED, None),
    (INWARD, None),
    ("raw", Some(Hook { number: 0, priority: -300, nat: false })),
    ("prerouting", Some(Hook { number: 0, priority: -100, nat: true })),
    ("input", Some(Hook { number: 1, priority: 0, nat: false })),
    ("forward", Some(Hook { number: 2, priority: 0, nat: false })),
    ("output", Some(Hook { number: 3, priority: -100, nat: true })),
    ("postrouting", Some(Hook { number: 4, priority: 100, nat: true })),
];

const IPV4: u8 = 2;
const IPV6: u8 = 10;
const ESTABLISHED_OR_RELATED: u32 = 2 | 4;
const ICMP_4: u8 = 1;
const ICMP_6: u8 = 58;

/// Makes the table as it is without any network, whatever was there before.
pub(super) fn base(table: Table<'_>) -> Vec<Message> {
    let mut messages = vec![new_table(table), new_chain(table, ADMIN, None)];
    messages.extend(CHAINS.iter().map(|(name, hook)| new_chain(table, name, *hook)));
    messages.extend(CHAINS.iter().map(|(name, _)| flush_chain(table, name)));
    messages.extend(SETS.iter().zip(1..).map(|(set, id)| new_set(table, set, id)));
    // What names stood for a moment ago still holds.
    let lasting = SETS.iter().filter(|set| !set.fleeting);
    messages.extend(lasting.map(|set| flush_set(table, set.name)));
    let mut rule = |chain: &str, write: &dyn Fn(&mut Expressions<'_>)| {
        messages.push(new_rule(table, chain, |expressions| write(expressions)));
    };
    raw(&mut rule);
    input(&mut rule);
    forward(&mut rule);
    inward(&mut rule);
    // There are sockets for it.
    rule("output", &|e| {
        e.family(IPV6).payload(NETWORK_HEADER, 24, 16, Register::FIRST);
        e.equals(Register::FIRST, &std::net::Ipv6Addr::LOCALHOST.octets()).verdict(Verdict::Accept);
    });
    for chain in ["prerouting", "output"] {
        rule(chain, &|e| {
            e.is_for_this_host().verdict(Verdict::Jump(PUBLISHED));
        });
    }
    published(&mut rule);
    postrouting(&mut rule);
    messages
}

type Add<'a> = &'a mut dyn FnMut(&str, &dyn Fn(&mut Expressions<'_>));

fn is_loopback<'e, 'm>(e: &'e mut Expressions<'m>, address_at: u32) -> &'e mut Expressions<'m> {
    e.family(IPV4);
    e.payload(NETWORK_HEADER, address_at, 4, Register::FIRST);
    e.mask(Register::FIRST, &[255, 0, 0, 0]).equals(Register::FIRST, &[127, 0, 0, 0])
}

/// Our bridges let loopback addresses pass, for the host's own programs: what comes by a wire must not use that.
fn raw(rule: Add<'_>) {
    const DESTINATION: u32 = 16;
    let mut loopback = [0; 16];
    loopback[..2].copy_from_slice(b"lo");
    rule("raw", &|e| {
        e.meta(Meta::InLink, Register::FIRST).differs(Register::FIRST, &loopback);
        is_loopback(e, DESTINATION).verdict(Verdict::Drop);
    });
}

fn input(rule: Add<'_>) {
    rule("input", &|e| {
        e.link_is_in(Meta::InLink, INTERNAL).state(ESTABLISHED_OR_RELATED).verdict(Verdict::Accept);
    });
    // Neighbours are asked for by it: without it the host couldn't reach the container either.
    rule("input", &|e| {
        e.link_is_in(Meta::InLink, INTERNAL).meta(Meta::Protocol, Register::FIRST);
        e.equals(Register::FIRST, &[ICMP_6]).verdict(Verdict::Accept);
    });
    rule("input", &|e| {
        e.link_is_in(Meta::InLink, INTERNAL).verdict(Verdict::Drop);
    });
    rule("input", &|e| {
        e.link_is_in(Meta::InLink, RESTRICTED).state(ESTABLISHED_OR_RELATED).verdict(Verdict::Accept);
    });
    rule("input", &|e| {
        e.link_is_in(Meta::InLink, RESTRICTED).meta(Meta::Protocol, Register::FIRST);
        e.equals(Register::FIRST, &[ICMP_6]).verdict(Verdict::Accept);
    });
    restricted(rule, "input");
}

/// Those who may reach only what is listed for their network go no further with anything else.
fn restricted(rule: Add<'_>, chain: &str) {
    for (to, listed, named) in [(&TO_4, EGRESS_4, NAMED_4), (&TO_6, EGRESS_6, NAMED_6)] {
        rule(chain, &|e| {
            e.link_is_in(Meta::InLink, RESTRICTED).family(to.family);
            e.meta(Meta::InLink, Register::FIRST);
            e.payload(NETWORK_HEADER, to.address_at, to.address_length, Register::FIRST.plus(4));
            e.is_not_in(listed, Register::FIRST).is_not_in(named, Register::FIRST).verdict(Verdict::Drop);
        });
    }
}

fn forward(rule: Add<'_>) {
    use Verdict::{Accept, Drop, Jump};
    rule("forward", &|e| {
        e.verdict(Jump(ADMIN));
    });
    rule("forward", &|e| {
        e.state(ESTABLISHED_OR_RELATED).verdict(Accept);
    });
    // Where the kernel has br_netfilter, what a bridge passes from one of its cables to another comes by here, too.
    rule("forward", &|e| {
        e.meta(Meta::InLink, Register::FIRST).meta(Meta::OutLink, Register::FIRST.plus(4));
        e.is_in(WITHIN, Register::FIRST).verdict(Accept);
    });
    rule("forward", &|e| {
        e.link_is_in(Meta::InLink, INTERNAL).verdict(Drop);
    });
    rule("forward", &|e| {
        e.link_is_in(Meta::OutLink, INTERNAL).verdict(Drop);
    });
    restricted(rule, "forward");
    rule("forward", &|e| {
        e.link_is_in(Meta::OutLink, BRIDGES).is_forwarded_port().verdict(Accept);
    });
    rule("forward", &|e| {
        e.link_is_in(Meta::OutLink, BRIDGES).verdict(Jump(INWARD));
    });
    rule("forward", &|e| {
        e.link_is_in(Meta::InLink, BRIDGES).link_is_in(Meta::OutLink, BRIDGES).verdict(Drop);
    });
    for (family, set) in [(IPV4, REACHABLE_4), (IPV6, REACHABLE_6)] {
        rule("forward", &|e| {
            e.family(family).link_is_in(Meta::OutLink, set).verdict(Accept);
        });
    }
    rule("forward", &|e| {
        e.link_is_in(Meta::OutLink, BRIDGES).verdict(Drop);
    });
}

/// Where a family's packets say whom they are for.
struct Destination {
    family: u8,
    address_at: u32,
    address_length: u32,
}

const TO_4: Destination = Destination { family: IPV4, address_at: 16, address_length: 4 };
const TO_6: Destination = Destination { family: IPV6, address_at: 24, address_length: 16 };

impl Destination {
    /// Address, protocol and port, from the first register on.
    fn load<'e, 'm>(&self, e: &'e mut Expressions<'m>) -> &'e mut Expressions<'m> {
        let protocol = Register::FIRST.plus(self.address_length / 4);
        e.family(self.family);
        e.payload(NETWORK_HEADER, self.address_at, self.address_length, Register::FIRST);
        e.meta(Meta::Protocol, protocol);
        e.payload(TRANSPORT_HEADER, 2, 2, protocol.plus(1))
    }
}

/// Only what goes to a bridge comes here.
fn inward(rule: Add<'_>) {
    use Verdict::Accept;
    for (family, set, icmp) in [(IPV4, ROUTED_4, ICMP_4), (IPV6, ROUTED_6, ICMP_6)] {
        rule(INWARD, &|e| {
            e.family(family).link_is_in(Meta::OutLink, set).meta(Meta::Protocol, Register::FIRST);
            e.equals(Register::FIRST, &[icmp]).verdict(Accept);
        });
    }
    for (to, sets) in [(&TO_4, [OPEN_4, OPEN_RANGES_4]), (&TO_6, [OPEN_6, OPEN_RANGES_6])] {
        for set in sets {
            rule(INWARD, &|e| {
                to.load(e).is_in(set, Register::FIRST).verdict(Accept);
            });
        }
    }
    for (to, sets) in [(&TO_4, [INNER_4, INNER_RANGES_4]), (&TO_6, [INNER_6, INNER_RANGES_6])] {
        for set in sets {
            rule(INWARD, &|e| {
                e.meta(Meta::InLink, Register::FIRST).meta(Meta::OutLink, Register::FIRST.plus(4));
                e.is_in(TRUSTED, Register::FIRST);
                to.load(e).is_in(set, Register::FIRST).verdict(Accept);
            });
            // Networks don't reach each other so.
            rule(INWARD, &|e| {
                e.meta(Meta::InLink, Register::FIRST).is_not_in(BRIDGES, Register::FIRST);
                e.link_is_in(Meta::OutLink, DIRECT);
                to.load(e).is_in(set, Register::FIRST).verdict(Accept);
            });
        }
    }
}

/// From address, protocol and port to a container: by an address that was asked for, by any, or within a range.
fn published(rule: Add<'_>) {
    // In registers: key first, then what is found.
    for (to, [at, any, ranges]) in
        [(TO_4, [PORTS_4_AT, PORTS_4, RANGES_4]), (TO_6, [PORTS_6_AT, PORTS_6, RANGES_6])]
    {
        let family = to.family;
        let protocol = Register::FIRST.plus(to.address_length / 4);
        let found = Register::FIRST.plus(8);
        let port_found = found.plus(to.address_length / 4);
        rule(PUBLISHED, &|e| {
            to.load(e);
            e.find(at, Register::FIRST, found).redirect(family, found, Some(port_found));
        });
        rule(PUBLISHED, &|e| {
            to.load(e);
            e.find(any, protocol, found).redirect(family, found, Some(port_found));
        });
        rule(PUBLISHED, &|e| {
            to.load(e);
            e.find(ranges, Register::FIRST, found).redirect(family, found, None);
        });
    }
}

fn postrouting(rule: Add<'_>) {
    const SOURCE: u32 = 12;
    for (family, set) in [(IPV4, MASQUERADED_4), (IPV6, MASQUERADED_6)] {
        rule("postrouting", &|e| {
            e.family(family).link_is_in(Meta::InLink, set).meta(Meta::OutLink, Register::FIRST);
            e.is_not_in(BRIDGES, Register::FIRST).masquerade();
        });
    }
    // From one container to another by the host's address: the answer has to come back this way.
    rule("postrouting", &|e| {
        e.link_is_in(Meta::InLink, BRIDGES).link_is_in(Meta::OutLink, BRIDGES);
        e.is_forwarded_port().masquerade();
    });
    // The same of what comes by no link: with br_netfilter, where the bridge itself passes it on, and from the host's own
    // programs. A container of several networks would answer these by another one's link, where nobody may say what it is.
    rule("postrouting", &|e| {
        e.meta(Meta::InLink, Register::FIRST).equals(Register::FIRST, &[0; 16]);
        e.link_is_in(Meta::OutLink, BRIDGES).is_forwarded_port().masquerade();
    });
    rule("postrouting", &|e| {
        e.link_is_in(Meta::OutLink, BRIDGES);
        is_loopback(e, SOURCE).masquerade();
    });
}
