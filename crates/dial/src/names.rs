//! Host names without libc's resolver, which a static binary can't use: `/etc/hosts`, then plain DNS.
//!
//! One question for A and one for AAAA to each server of `/etc/resolv.conf` in turn, over UDP, with search domains.
//! An answer counts only with the right identity, question and sender. What it doesn't do: TCP, DNSSEC, mDNS.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;

const WAIT: Duration = Duration::from_secs(3);
const A: u16 = 1;
const AAAA: u16 = 28;

/// The addresses of a name, IPv4 first.
pub async fn lookup(name: &str) -> io::Result<Vec<IpAddr>> {
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let mut found = from_hosts(&hosts, name);
    if found.is_empty() && name == "localhost" {
        found = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    if !found.is_empty() {
        return Ok(found);
    }
    let conf = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let (servers, domains) = read_conf(&conf);
    let mut names = vec![name.trim_end_matches('.').to_owned()];
    if !name.contains('.') {
        names = domains.iter().map(|domain| format!("{name}.{domain}")).chain(names).collect();
    }
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("no such host: {name}"));
    for name in &names {
        for server in &servers {
            match ask_both(*server, name).await {
                Ok(found) if !found.is_empty() => return Ok(found),
                Ok(_) => break,
                Err(e) => last = e,
            }
        }
    }
    Err(last)
}

fn from_hosts(hosts: &str, name: &str) -> Vec<IpAddr> {
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    let entries = lines.filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
    });
    entries.collect()
}

fn read_conf(conf: &str) -> (Vec<SocketAddr>, Vec<String>) {
    let (mut servers, mut domains) = (Vec::new(), Vec::new());
    for line in conf.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("nameserver") => {
                let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                servers.extend(address.map(|address| SocketAddr::new(address, 53)));
            }
            Some("search" | "domain") => domains = words.take(6).map(str::to_owned).collect(),
            _ => {}
        }
    }
    servers.truncate(3);
    (servers, domains)
}

async fn ask_both(server: SocketAddr, name: &str) -> io::Result<Vec<IpAddr>> {
    let (v4, v6) = tokio::join!(ask(server, name, A), ask(server, name, AAAA));
    match (v4, v6) {
        (Err(e), Err(_)) => Err(e),
        (v4, v6) => Ok(v4.into_iter().chain(v6).flatten().collect()),
    }
}

async fn ask(server: SocketAddr, name: &str, kind: u16) -> io::Result<Vec<IpAddr>> {
    let local: SocketAddr =
        if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(local).await?;
    // A connected socket drops what comes from anybody else; the kernel's random port is the other half of the guard.
    socket.connect(server).await?;
    let mut id = [0; 2];
    rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())?;
    let query = question(id, name, kind)?;
    socket.send(&query).await?;
    let mut reply = [0; 1232];
    let answered = async {
        loop {
            let size = socket.recv(&mut reply).await?;
            if let Some(found) = answers(&reply[..size], &query, kind) {
                return Ok(found);
            }
        }
    };
    tokio::time::timeout(WAIT, answered).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn question(id: [u8; 2], name: &str, kind: u16) -> io::Result<Vec<u8>> {
    // Recursion desired, one question.
    let mut query = vec![id[0], id[1], 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|n| (1..64).contains(n));
        query.push(length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a host name"))?);
        query.extend_from_slice(label.as_bytes());
    }
    query.push(0);
    query.extend_from_slice(&kind.to_be_bytes());
    query.extend_from_slice(&[0, 1]);
    Ok(query)
}

/// The addresses in a reply to `query`; `None` where it is no reply to it.
fn answers(reply: &[u8], query: &[u8], kind: u16) -> Option<Vec<IpAddr>> {
    let echoed = reply.get(12..query.len())?.eq_ignore_ascii_case(&query[12..]);
    if reply[..2] != query[..2] || reply[2] & 0x80 == 0 || !echoed {
        return None;
    }
    let count = u16::from_be_bytes([reply[6], reply[7]]);
    let mut at = query.len();
    let mut found = Vec::new();
    for _ in 0..count {
        let Some((end, record)) = record(reply, at) else { break };
        match (record.0 == kind, record.1.len()) {
            (true, 4) => found.extend(<[u8; 4]>::try_from(record.1).ok().map(IpAddr::from)),
            (true, 16) => found.extend(<[u8; 16]>::try_from(record.1).ok().map(IpAddr::from)),
            _ => {}
        }
        at = end;
    }
    Some(found)
}

/// The record at `at`: where the next one starts, its type and data.
fn record(reply: &[u8], mut at: usize) -> Option<(usize, (u16, &[u8]))> {
    loop {
        match *reply.get(at)? {
            0 => break at += 1,
            length if length >= 0xc0 => break at += 2,
            length => at += usize::from(length) + 1,
        }
    }
    let head = reply.get(at..at + 10)?;
    let (kind, size) = (u16::from_be_bytes([head[0], head[1]]), u16::from_be_bytes([head[8], head[9]]));
    let data = reply.get(at + 10..at + 10 + usize::from(size))?;
    Some((at + 10 + data.len(), (kind, data)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_file_answers_first() {
        let hosts = "127.0.0.1 localhost # x me\n::1 localhost\n10.0.0.1 Me other\n";
        assert_eq!(from_hosts(hosts, "me"), ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(from_hosts(hosts, "localhost").len(), 2);
    }

    #[test]
    fn a_reply_is_read_through_its_aliases() {
        let query = question([7, 9], "a.example", A).unwrap();
        let mut reply = query.clone();
        reply[2] = 0x81;
        reply[7] = 2;
        reply.extend_from_slice(&[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 12]);
        reply.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 1, 2, 3]);
        assert_eq!(answers(&reply, &query, A).unwrap(), ["10.1.2.3".parse::<IpAddr>().unwrap()]);
        for end in 0..reply.len() {
            let _ = answers(&reply[..end], &query, A);
        }
        reply[0] = 8;
        assert!(answers(&reply, &query, A).is_none());
    }
}
