//! nf_tables' messages: tables, chains, sets, elements, and rules as lists of expressions.

use std::time::Duration;

use netlink::Message;

const SUBSYSTEM: u16 = 10 << 8;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;
const LIST_ELEMENT: u16 = 1;
const VALUE: u16 = 1;

/// Which packets a table sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// Those of IPv4 and IPv6.
    Inet = 1,
    /// What bridges pass on, whatever it is.
    Bridge = 7,
}

/// A table by its name: each family has one of that name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    pub(super) family: Family,
    pub(super) name: &'a str,
}

fn message(table: Table<'_>, kind: u16, flags: u16) -> Message {
    Message::new(SUBSYSTEM | kind, flags, &[table.family as u8, 0, 0, 0])
}

/// All of them, or none, when they are sent between these.
pub(super) fn batch(messages: Vec<Message>) -> Vec<Message> {
    let end = |kind| Message::silent(kind, &[0, 0, 0, 10]);
    let mut batch = Vec::with_capacity(messages.len() + 2);
    batch.push(end(0x10));
    batch.extend(messages);
    batch.push(end(0x11));
    batch
}

pub(super) fn new_table(table: Table<'_>) -> Message {
    let mut message = message(table, 0, CREATE);
    message.text(1, table.name);
    message
}

pub(super) fn delete_table(table: Table<'_>) -> Message {
    let mut message = message(table, 2, 0);
    message.text(1, table.name);
    message
}

/// Where packets come from into a chain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hook {
    pub(super) number: u32,
    pub(super) priority: i32,
    pub(super) nat: bool,
}

pub(super) fn new_chain(table: Table<'_>, chain: &str, hook: Option<Hook>) -> Message {
    let mut message = message(table, 3, CREATE);
    message.text(1, table.name).text(3, chain);
    if let Some(hook) = hook {
        message.nest(4, |inner| {
            inner.be32(1, hook.number).be32(2, hook.priority.cast_unsigned());
        });
        message.text(7, if hook.nat { "nat" } else { "filter" });
    }
    message
}

/// Takes all rules out of a chain.
pub(super) fn flush_chain(table: Table<'_>, chain: &str) -> Message {
    let mut message = message(table, 8, 0);
    message.text(1, table.name).text(2, chain);
    message
}

/// The type of a value, with the number by which `nft list` knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Hardware,
    Ipv4,
    Ipv6,
    Protocol,
    Service,
    Link,
}

impl Type {
    fn number(self) -> u32 {
        match self {
            Self::Hardware => 9,
            Self::Ipv4 => 7,
            Self::Ipv6 => 8,
            Self::Protocol => 12,
            Self::Service => 13,
            Self::Link => 41,
        }
    }

    fn length(self) -> u32 {
        match self {
            Self::Hardware => 6,
            Self::Ipv4 => 4,
            Self::Ipv6 | Self::Link => 16,
            Self::Protocol => 1,
            Self::Service => 2,
        }
    }
}

/// The place of a value among others that make up one key: each begins at four bytes.
fn padded(types: &[Type]) -> u32 {
    types.iter().map(|kind| kind.length().next_multiple_of(4)).sum()
}

fn joined(types: &[Type]) -> u32 {
    types.iter().fold(0, |all, kind| all << 6 | kind.number())
}

/// A set, or, with data, a map.
#[derive(Debug, Clone, Copy)]
pub(super) struct Set {
    pub(super) name: &'static str,
    pub(super) key: &'static [Type],
    pub(super) data: &'static [Type],
    pub(super) interval: bool,
    /// Its elements go after a time of their own.
    pub(super) fleeting: bool,
}

const FLAG_INTERVAL: u32 = 4;
const FLAG_MAP: u32 = 8;
const FLAG_TIMEOUT: u32 = 0x10;
const FLAG_CONCAT: u32 = 0x80;

pub(super) fn new_set(table: Table<'_>, set: &Set, id: u32) -> Message {
    let mut message = message(table, 9, CREATE);
    let mut flags = 0;
    if set.interval {
        flags |= FLAG_INTERVAL | FLAG_CONCAT;
    }
    if !set.data.is_empty() {
        flags |= FLAG_MAP;
    }
    if set.fleeting {
        flags |= FLAG_TIMEOUT;
    }
    let length = match set.key {
        [one] => one.length(),
        several => padded(several),
    };
    message.text(1, table.name).text(2, set.name).be32(3, flags).be32(4, joined(set.key)).be32(5, length);
    if !set.data.is_empty() {
        let length = match set.data {
            [one] => one.length(),
            several => padded(several),
        };
        message.be32(6, joined(set.data)).be32(7, length);
    }
    if set.interval {
        message.nest(9, |description| {
            description.nest(2, |fields| {
                for kind in set.key {
                    fields.nest(LIST_ELEMENT, |field| {
                        field.be32(1, kind.length());
                    });
                }
            });
        });
    }
    message.be32(10, id);
    message
}

/// One element's bytes: what it is looked up by, up to where if it is an interval, and what is found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) key: Vec<u8>,
    pub(super) until: Option<Vec<u8>>,
    pub(super) data: Vec<u8>,
    /// How long it is there.
    pub(super) lasts: Option<Duration>,
}

impl Element {
    /// One that is there or isn't.
    pub(super) fn plain(key: Vec<u8>) -> Self {
        Self { key, ..Self::default() }
    }
}

pub(super) fn add_elements(table: Table<'_>, set: &str, elements: &[Element]) -> Message {
    elements_message(message(table, 12, CREATE), table, set, elements, true)
}

/// Elements that aren't there are an error: what is recorded and what the kernel has would not be the same.
pub(super) fn remove_elements(table: Table<'_>, set: &str, elements: &[Element]) -> Message {
    elements_message(message(table, 14, 0), table, set, elements, false)
}

/// Takes all elements out of a set.
pub(super) fn flush_set(table: Table<'_>, set: &str) -> Message {
    let mut message = message(table, 14, 0);
    message.text(1, table.name).text(2, set);
    message
}

fn elements_message(
    mut message: Message,
    table: Table<'_>,
    set: &str,
    elements: &[Element],
    with_data: bool,
) -> Message {
    message.text(1, table.name).text(2, set).nest(3, |list| {
        for element in elements {
            list.nest(LIST_ELEMENT, |item| {
                item.nest(1, |key| {
                    key.bytes(VALUE, &element.key);
                });
                if with_data && !element.data.is_empty() {
                    item.nest(2, |data| {
                        data.bytes(VALUE, &element.data);
                    });
                }
                if let Some(lasts) = element.lasts.filter(|_| with_data) {
                    let milliseconds = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
                    item.bytes(4, &milliseconds.to_be_bytes());
                }
                if let Some(until) = &element.until {
                    item.nest(10, |key| {
                        key.bytes(VALUE, until);
                    });
                }
            });
        }
    });
    message
}

pub(super) fn new_rule(table: Table<'_>, chain: &str, write: impl FnOnce(&mut Expressions<'_>)) -> Message {
    let mut message = message(table, 6, CREATE | APPEND);
    message.text(1, table.name).text(2, chain).nest(4, |list| write(&mut Expressions(list)));
    message
}

/// A place for values while a rule is looked at. There are sixteen of four bytes; larger values take several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Register(pub(super) u32);

impl Register {
    /// The first four-byte place.
    pub(super) const FIRST: Self = Self(8);

    /// So many four-byte places further on.
    pub(super) const fn plus(self, places: u32) -> Self {
        Self(self.0 + places)
    }
}

/// A rule's expressions, one after the other; the first that doesn't match ends the rule.
pub(super) struct Expressions<'a>(&'a mut Message);

/// What ends a packet's way through a chain.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verdict<'a> {
    Accept,
    Drop,
    Jump(&'a str),
}

/// What of a packet is not in its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Meta {
    /// What is in a frame, as its header says.
    Content = 1,
    InLink = 6,
    OutLink = 7,
    NetworkProtocol = 15,
    Protocol = 16,
}

pub(super) const LINK_HEADER: u32 = 0;
pub(super) const NETWORK_HEADER: u32 = 1;
pub(super) const TRANSPORT_HEADER: u32 = 2;

const LOCAL: u32 = 2;
const FIB_DESTINATION: u32 = 2;

impl Expressions<'_> {
    fn add(&mut self, name: &str, write: impl FnOnce(&mut Message)) -> &mut Self {
        self.0.nest(LIST_ELEMENT, |element| {
            element.text(1, name).nest(2, write);
        });
        self
    }

    pub(super) fn meta(&mut self, what: Meta, to: Register) -> &mut Self {
        self.add("meta", |data| {
            data.be32(1, to.0).be32(2, what as u32);
        })
    }

    pub(super) fn payload(&mut self, header: u32, offset: u32, length: u32, to: Register) -> &mut Self {
        self.add("payload", |data| {
            data.be32(1, to.0).be32(2, header).be32(3, offset).be32(4, length);
        })
    }

    /// Puts a value into a register.
    pub(super) fn load(&mut self, value: &[u8], to: Register) -> &mut Self {
        self.add("immediate", |data| {
            data.be32(1, to.0).nest(2, |inner| {
                inner.bytes(VALUE, value);
            });
        })
    }

    pub(super) fn equals(&mut self, register: Register, value: &[u8]) -> &mut Self {
        self.compare(register, 0, value)
    }

    pub(super) fn differs(&mut self, register: Register, value: &[u8]) -> &mut Self {
        self.compare(register, 1, value)
    }

    fn compare(&mut self, register: Register, operator: u32, value: &[u8]) -> &mut Self {
        self.add("cmp", |data| {
            data.be32(1, register.0).be32(2, operator).nest(3, |inner| {
                inner.bytes(VALUE, value);
            });
        })
    }

    pub(super) fn mask(&mut self, register: Register, mask: &[u8]) -> &mut Self {
        self.add("bitwise", |data| {
            data.be32(1, register.0).be32(2, register.0).be32(3, mask.len() as u32);
            data.nest(4, |inner| {
                inner.bytes(VALUE, mask);
            });
            data.nest(5, |inner| {
                inner.bytes(VALUE, &vec![0; mask.len()]);
            });
        })
    }

    pub(super) fn is_in(&mut self, set: &str, register: Register) -> &mut Self {
        self.add("lookup", |data| {
            data.text(1, set).be32(2, register.0);
        })
    }

    pub(super) fn is_not_in(&mut self, set: &str, register: Register) -> &mut Self {
        self.add("lookup", |data| {
            data.text(1, set).be32(2, register.0).be32(5, 1);
        })
    }

    pub(super) fn find(&mut self, map: &str, key: Register, to: Register) -> &mut Self {
        self.add("lookup", |data| {
            data.text(1, map).be32(2, key.0).be32(3, to.0);
        })
    }

    /// Packets that come by a link of this set, or go by one.
    pub(super) fn link_is_in(&mut self, which: Meta, set: &str) -> &mut Self {
        self.meta(which, Register::FIRST).is_in(set, Register::FIRST)
    }

    pub(super) fn family(&mut self, family: u8) -> &mut Self {
        self.meta(Meta::NetworkProtocol, Register::FIRST).equals(Register::FIRST, &[family])
    }

    /// Packets whose connection has one of these states.
    pub(super) fn state(&mut self, states: u32) -> &mut Self {
        self.tracked(0, states)
    }

    /// Packets whose connection had its destination changed.
    pub(super) fn is_forwarded_port(&mut self) -> &mut Self {
        self.tracked(2, 0x20)
    }

    fn tracked(&mut self, key: u32, bits: u32) -> &mut Self {
        self.add("ct", |data| {
            data.be32(1, Register::FIRST.0).be32(2, key);
        });
        self.mask(Register::FIRST, &bits.to_ne_bytes()).differs(Register::FIRST, &[0; 4])
    }

    /// Packets to an address of this host.
    pub(super) fn is_for_this_host(&mut self) -> &mut Self {
        self.kind_of_address(FIB_DESTINATION).equals(Register::FIRST, &LOCAL.to_ne_bytes())
    }

    fn kind_of_address(&mut self, whose: u32) -> &mut Self {
        self.add("fib", |data| {
            data.be32(1, Register::FIRST.0).be32(2, 3).be32(3, whose);
        })
    }

    /// Sends the connection elsewhere: to the address in one register and the port, if it changes, in another.
    pub(super) fn redirect(&mut self, family: u8, address: Register, port: Option<Register>) -> &mut Self {
        self.add("nat", |data| {
            data.be32(1, 1).be32(2, u32::from(family)).be32(3, address.0);
            if let Some(port) = port {
                data.be32(5, port.0);
            }
        })
    }

    pub(super) fn masquerade(&mut self) -> &mut Self {
        self.add("masq", |_| {})
    }

    pub(super) fn verdict(&mut self, verdict: Verdict<'_>) -> &mut Self {
        let (code, chain) = match verdict {
            Verdict::Drop => (0, None),
            Verdict::Accept => (1, None),
            Verdict::Jump(chain) => (-3_i32, Some(chain)),
        };
        self.add("immediate", |data| {
            data.be32(1, 0).nest(2, |inner| {
                inner.nest(2, |verdict| {
                    verdict.be32(1, code.cast_unsigned());
                    if let Some(chain) = chain {
                        verdict.text(2, chain);
                    }
                });
            });
        })
    }
}
