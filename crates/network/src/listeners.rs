//! Who listens on which port of this network namespace.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use netlink::{Socket, u32_of};

use crate::Error;
use crate::error::kernel;
use crate::firewall::Transport;

/// A socket that takes what comes to a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    pub ip: IpAddr,
    pub port: u16,
    inode: u32,
}

/// All sockets that listen, or those at one port: the kernel finds these without telling of all others.
pub fn listeners(transport: Transport, port: Option<u16>) -> Result<Vec<Listener>, Error> {
    const BY_FAMILY: u16 = 20;
    const TCP_LISTEN: u32 = 1 << 10;
    const UDP_UNCONNECTED: u32 = 1 << 7;
    let states = match transport {
        Transport::Tcp => TCP_LISTEN,
        Transport::Udp => UDP_UNCONNECTED,
        // Their kernel part is one of its own, and hardly anywhere.
        Transport::Sctp => return Ok(Vec::new()),
    };
    let mut socket = Socket::diagnosis()?;
    let mut found = Vec::new();
    for family in [2, 10] {
        let mut request = [0; 56];
        request[..2].copy_from_slice(&[family, transport.number()]);
        request[4..8].copy_from_slice(&states.to_ne_bytes());
        // No port is any.
        request[8..10].copy_from_slice(&port.unwrap_or_default().to_be_bytes());
        let sockets = socket.list(BY_FAMILY, &request, |_| {}).map_err(kernel("list who listens"))?;
        found.extend(sockets.iter().filter_map(|socket| read(&socket.body)));
    }
    Ok(found)
}

/// `struct inet_diag_msg`.
fn read(body: &[u8]) -> Option<Listener> {
    let port = body.get(4..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))?;
    let ip = match body.first()? {
        2 => IpAddr::V4(Ipv4Addr::from(*body.get(8..)?.first_chunk::<4>()?)),
        _ => IpAddr::V6(Ipv6Addr::from(*body.get(8..)?.first_chunk::<16>()?)),
    };
    Some(Listener { ip, port, inode: u32_of(body.get(68..)?)? })
}

impl Listener {
    /// Whether it would get what is sent to this address and port.
    pub fn takes(&self, ip: IpAddr, port: u16) -> bool {
        // A socket on `::` takes IPv4 as well, unless it was told not to: who can't know refuses.
        let everything = self.ip == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let same_family = self.ip.is_ipv4() == ip.is_ipv4();
        self.port == port
            && (everything
                || same_family && (self.ip == ip || self.ip.is_unspecified() || ip.is_unspecified()))
    }

    /// The process that holds it, for people: its name and number. Reads `/proc`: for when something went wrong.
    pub fn holder(&self) -> String {
        let link = format!("socket:[{}]", self.inode);
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let processes = entries
            .filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()));
        let holds = |process: &Path| {
            let fds = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
            fds.filter_map(|fd| fs::read_link(fd.path()).ok())
                .any(|target| target.as_os_str() == link.as_str())
        };
        let holder = processes.map(|entry| entry.path()).find(|path| holds(path));
        let named = holder.and_then(|path| {
            let name = fs::read_to_string(path.join("comm")).ok()?;
            Some(format!("{} (process {})", name.trim(), path.file_name()?.display()))
        });
        named.unwrap_or_else(|| "another process".to_owned())
    }
}

/// How many connections others have to the sockets that listen in a process' network, also those that nobody has taken yet.
pub fn accepted(pid: i32) -> usize {
    let tables = ["tcp", "tcp6"].map(|name| fs::read_to_string(format!("/proc/{pid}/net/{name}")));
    tables.into_iter().flatten().map(|table| count_accepted(&table)).sum()
}

/// Of a table as `/proc/net/tcp` is: connections that are open, that begin, and whose other end has said all.
fn count_accepted(table: &str) -> usize {
    const LISTENS: &str = "0A";
    const LIVES: [&str; 3] = ["01", "03", "08"];
    let sockets: Vec<(&str, &str, &str)> = table.lines().skip(1).filter_map(socket_of).collect();
    let listens = |port: &str| sockets.iter().any(|(_, own, state)| *own == port && *state == LISTENS);
    let lives = |(remote, port, state): &&(&str, &str, &str)| {
        // What the container says to itself holds nobody up: 127.0.0.1, in IPv6's notation too, and `::1`.
        let is_own = remote.ends_with("0100007F") || *remote == "00000000000000000000000001000000";
        LIVES.contains(state) && !is_own && listens(port)
    };
    sockets.iter().filter(lives).count()
}

/// The other end's address, the own port, and the state.
fn socket_of(line: &str) -> Option<(&str, &str, &str)> {
    let mut words = line.split_whitespace().skip(1);
    let (own, remote, state) = (words.next()?, words.next()?, words.next()?);
    Some((remote.split_once(':')?.0, own.split_once(':')?.1, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_found_with_its_process() {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = std::net::UdpSocket::bind("[::1]:0").unwrap();
        for (transport, address) in
            [(Transport::Tcp, tcp.local_addr().unwrap()), (Transport::Udp, udp.local_addr().unwrap())]
        {
            let takes = |listener: &&Listener| listener.takes(address.ip(), address.port());
            let all = listeners(transport, None).unwrap();
            let found = all.iter().find(takes).unwrap();
            assert!(found.holder().contains(&std::process::id().to_string()), "{}", found.holder());
            let there = listeners(transport, Some(address.port())).unwrap();
            assert_eq!(there.iter().find(takes), Some(found));
            assert!(there.iter().all(|listener| listener.port == address.port()), "{there:?}");
        }
    }

    #[test]
    fn only_what_others_connected_to_is_counted() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1\n\
             1: 020011AC:0050 010011AC:D431 01 00000000:00000000 00:00000000 00000000 0 0 2\n\
             2: 020011AC:0050 010011AC:D432 06 00000000:00000000 00:00000000 00000000 0 0 3\n\
             3: 020011AC:9999 030011AC:0CEA 01 00000000:00000000 00:00000000 00000000 0 0 4\n\
             4: 0100007F:0050 0100007F:D433 01 00000000:00000000 00:00000000 00000000 0 0 5\n";
        assert_eq!(count_accepted(table), 1);
        assert_eq!(count_accepted(""), 0);
    }
}
