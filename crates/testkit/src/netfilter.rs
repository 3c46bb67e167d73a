//! What the network has beyond sockets: interfaces, and the kernel's packet filter, read without any tool.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// `NFNL_SUBSYS_NFTABLES << 8`, and the two messages that ask for everything there is.
const GET_TABLES: u16 = 10 << 8 | 1;
const GET_RULES: u16 = 10 << 8 | 7;
/// `NLM_F_REQUEST | NLM_F_DUMP`
const DUMP: u16 = 1 | 0x300;
const DONE: u16 = 3;
const ERROR: u16 = 2;

/// A look at the calling thread's network namespace.
///
/// What is in a later look and not in an earlier one was made in between: by this test's engine, since no other engine
/// of the tests makes anything in this namespace that it doesn't take away.
pub(crate) fn look() -> BTreeSet<String> {
    let mut found: BTreeSet<String> = interfaces();
    for (kind, message) in [("nftables table", GET_TABLES), ("nftables rule", GET_RULES)] {
        let objects = dump(message).unwrap_or_else(|error| panic!("cannot list each {kind}: {error}"));
        found.extend(objects.into_iter().map(|name| format!("{kind}: {name}")));
    }
    // iptables' older back end; a table is listed from its first use on.
    for file in ["ip_tables_names", "ip6_tables_names"] {
        let text = fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap_or_default();
        found.extend(text.lines().map(|name| format!("{file}: {name}")));
    }
    found
}

/// Takes away every table of the calling thread's network, as `nft flush ruleset` does.
pub fn flush_firewall() {
    use ::netlink::{Message, Socket, attributes};
    const NAME: u16 = 1;
    let flushed = Socket::netfilter().and_then(|mut socket| {
        let tables = socket.list(GET_TABLES, &[0; 4], |_| {})?;
        let mut batch = vec![Message::silent(0x10, &[0, 0, 0, 10])];
        for table in &tables {
            let name = attributes(table.body.get(4..).unwrap_or_default()).find(|found| found.kind == NAME);
            let mut message = Message::new(10 << 8 | 2, 0, &[table.body[0], 0, 0, 0]);
            message.text(NAME, name.map_or("", |name| name.text()));
            batch.push(message);
        }
        batch.push(Message::silent(0x11, &[0, 0, 0, 10]));
        socket.apply(batch)
    });
    flushed.unwrap_or_else(|error| panic!("cannot flush the rules: {error}"));
}

/// The keys of all elements of a set or map of this name, in whichever of our tables.
pub fn firewall_keys(set: &str) -> Vec<Vec<u8>> {
    use ::netlink::{Message, Socket, attributes};
    const GET_ELEMENTS: u16 = 10 << 8 | 13;
    const INET: [u8; 4] = [1, 0, 0, 0];
    let names = |body: &[u8]| {
        let found = attributes(body.get(4..).unwrap_or_default()).find(|found| found.kind == 1);
        found.map(|found| found.text().to_owned())
    };
    let ask = |table: &str| {
        let write = |message: &mut Message| {
            message.text(1, table).text(2, set);
        };
        Socket::netfilter()?.list(GET_ELEMENTS, &INET, write)
    };
    let tables = Socket::netfilter().and_then(|mut socket| socket.list(GET_TABLES, &INET, |_| {}));
    let tables = tables.unwrap_or_else(|error| panic!("cannot list tables: {error}"));
    let ours = tables.iter().filter_map(|table| names(&table.body)).filter(|name| name.starts_with("ketch"));
    let mut keys = Vec::new();
    for part in
        ours.flat_map(|table| ask(&table).unwrap_or_else(|error| panic!("cannot list {set}: {error}")))
    {
        let nested = |bytes, kind| attributes(bytes).find(|found| found.kind & 0x3fff == kind);
        let Some(list) = nested(part.body.get(4..).unwrap_or_default(), 3) else { continue };
        for element in attributes(list.value) {
            let key = nested(element.value, 1).and_then(|key| nested(key.value, 1));
            keys.extend(key.map(|key| key.value.to_vec()));
        }
    }
    keys
}

/// Makes a chain of IPv4's that drops all that is passed on, as dockerd makes one. It goes with [`flush_firewall`].
pub fn drop_what_is_forwarded(table: &str, chain: &str) {
    drop_at(2, table, chain);
}

/// The same for what is this host's own.
pub fn drop_what_comes_in(table: &str, chain: &str) {
    drop_at(1, table, chain);
}

fn drop_at(hook_number: u32, table: &str, chain: &str) {
    use ::netlink::{Message, Socket};
    const CREATE: u16 = 0x400;
    const IPV4: [u8; 4] = [2, 0, 0, 0];
    let edge = |kind| Message::silent(kind, &[0, 0, 0, 10]);
    let mut made = Message::new(10 << 8, CREATE, &IPV4);
    made.text(1, table);
    let mut hooked = Message::new(10 << 8 | 3, CREATE, &IPV4);
    hooked.text(1, table).text(3, chain).nest(4, |hook| {
        hook.be32(1, hook_number).be32(2, 0);
    });
    hooked.be32(5, 0).text(7, "filter");
    let batch = vec![edge(0x10), made, hooked, edge(0x11)];
    let done = Socket::netfilter().and_then(|mut socket| socket.apply(batch));
    done.unwrap_or_else(|error| panic!("cannot make a chain that drops: {error}"));
}

/// What is left of an engine's network, once the kernel has done what it does behind a process's end. Bridges and the
/// firewall's table stay, as dockerd's do: containers may outlive engines.
pub(crate) fn left_since(before: &BTreeSet<String>) -> BTreeSet<String> {
    let stays = |found: &&String| {
        found.starts_with("interface: ketch-")
            || found.starts_with("interface: br-")
            || found.contains("/ketch-")
    };
    let left =
        || -> BTreeSet<String> { look().difference(before).filter(|found| !stays(found)).cloned().collect() };
    let deadline = std::time::Instant::now() + crate::DEADLINE;
    while left().iter().any(|found| found.starts_with("interface: veth"))
        && std::time::Instant::now() < deadline
    {
        std::thread::yield_now();
    }
    left()
}

/// `/sys/class/net` would show the namespace in which it was mounted; this shows the thread's.
fn interfaces() -> BTreeSet<String> {
    let text = fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
    let names = text.lines().skip(2).filter_map(|line| line.split(':').next());
    names.map(|name| format!("interface: {}", name.trim())).collect()
}

/// Every object of one kind, as `family/table/chain#handle` with the parts that this kind has.
fn dump(message: u16) -> io::Result<Vec<String>> {
    let family = AddressFamily::NETLINK;
    let socket =
        rustix::net::socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::NETFILTER))?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, 0))?;
    rustix::net::send(&socket, &request(message, DUMP, &[]), SendFlags::empty())?;
    let mut objects = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let (length, _) = rustix::net::recv(&socket, &mut buffer[..], RecvFlags::empty())?;
        let mut rest = &buffer[..length];
        while let Some((kind, body, after)) = split(rest) {
            match kind {
                DONE => return Ok(objects),
                // A kernel without nftables has no rules of it.
                ERROR => return Ok(Vec::new()),
                _ => objects.extend(describe(body)),
            }
            rest = after;
        }
    }
}

/// One netlink message with nfnetlink's four bytes: any family, version 0, no resource.
fn request(kind: u16, flags: u16, attributes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(20 + attributes.len()).unwrap_or_default();
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    // Sequence number and port: the kernel fills in what matters.
    bytes.extend([0; 8]);
    bytes.extend([0, 0, 0, 0]);
    bytes.extend(attributes);
    bytes
}

/// The first message: its type, what follows its header, and the messages behind it.
fn split(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let body = bytes.get(16..length)?;
    Some((kind, body, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

/// Names are the texts among the first three attributes, a handle is a number of eight bytes.
fn describe(body: &[u8]) -> Option<String> {
    let mut text = body.first()?.to_string();
    let mut rest = body.get(4..)?;
    while let Some(header) = rest.get(..4) {
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]) & 0x3fff;
        let Some(value) = rest.get(4..length) else { break };
        match (kind, value.strip_suffix(&[0])) {
            (1 | 2, Some(name)) if name.iter().all(u8::is_ascii_graphic) && !name.is_empty() => {
                text = format!("{text}/{}", String::from_utf8_lossy(name));
            }
            (3 | 4, _) if value.len() == 8 => {
                let handle = value.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
                text = format!("{text}#{handle}");
            }
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

    use super::*;

    /// Runs in a network namespace of its own, which ends with it.
    fn elsewhere(test: impl FnOnce() + Send) {
        let mut holder = Command::new("unshare");
        holder.args(["--net", "sh", "-c", "echo ready; exec sleep 600"]).stdin(Stdio::null());
        let mut holder = holder.stdout(Stdio::piped()).spawn().unwrap();
        io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut [0; 6]).unwrap();
        let namespace = fs::File::open(format!("/proc/{}/ns/net", holder.id())).unwrap();
        let done = std::thread::scope(|scope| {
            let run = move || {
                use std::os::fd::AsFd;
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                test();
            };
            scope.spawn(run).join()
        });
        holder.kill().unwrap();
        holder.wait().unwrap();
        done.unwrap();
    }

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = (u16::try_from(value.len()).unwrap() + 4).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// `nft add table ip NAME`: a batch of one.
    fn add_table(name: &str) {
        const NEW_TABLE: u16 = 10 << 8;
        const ACKNOWLEDGE: u16 = 1 | 4;
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::NETFILTER),
        )
        .unwrap();
        let mut batch = [
            request(16, 1, &[]),
            request(NEW_TABLE, ACKNOWLEDGE | 0x400, &attribute(1, format!("{name}\0").as_bytes())),
            request(17, 1, &[]),
        ];
        // The batch is nftables' own, and the table of family IPv4.
        for edge in [0, 2] {
            batch[edge][18..20].copy_from_slice(&10_u16.to_be_bytes());
        }
        batch[1][16] = 2;
        rustix::net::send(&socket, &batch.concat(), SendFlags::empty()).unwrap();
        let mut answer = [0; 4096];
        let (length, _) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty()).unwrap();
        let (kind, body, _) = split(&answer[..length]).unwrap();
        assert_eq!((kind, &body[..4]), (ERROR, &[0; 4][..]), "the kernel took the table");
    }

    #[test]
    fn an_interface_and_a_table_that_were_left_are_found() {
        elsewhere(|| {
            let before = look();
            let ran = Command::new("busybox")
                .args(["ip", "link", "add", "kt0", "type", "bridge"])
                .status()
                .unwrap();
            assert!(ran.success());
            add_table("left");
            let after = look();
            let new: Vec<_> = after.difference(&before).map(String::as_str).collect();
            assert!(
                matches!(new[..], ["interface: kt0", table] if table.starts_with("nftables table: 2/left")),
                "{new:?}"
            );
        });
    }
}
