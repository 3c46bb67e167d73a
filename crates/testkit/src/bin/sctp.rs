//! Both ends of an SCTP association, for machines that have nothing else that speaks it (`tests/vm/links.sh`).
//!
//! `sctp listen PORT` answers each message with who said it, and `sctp ask ADDRESS TEXT` prints the answer.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use anyhow::{Context, bail};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, ipproto, listen, socket_with};

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["listen", port] => answer(port.parse()?),
        ["ask", to, text] => ask(to.parse()?, text),
        _ => bail!("sctp listen PORT | sctp ask ADDRESS:PORT TEXT"),
    }
}

/// Of the kind that is used like one of TCP: that is how the standard library's types fit.
fn socket() -> anyhow::Result<std::os::fd::OwnedFd> {
    let made =
        socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, Some(ipproto::SCTP));
    made.context("no socket of SCTP")
}

fn answer(port: u16) -> anyhow::Result<()> {
    let socket = socket()?;
    bind(&socket, &SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))?;
    listen(&socket, 8)?;
    let door = TcpListener::from(socket);
    loop {
        let (mut stream, from) = door.accept()?;
        let mut message = [0; 1 << 10];
        let count = stream.read(&mut message)?;
        let said = String::from_utf8_lossy(&message[..count]);
        write!(stream, "{} said {said}", from.ip())?;
    }
}

fn ask(to: SocketAddr, text: &str) -> anyhow::Result<()> {
    let socket = socket()?;
    connect(&socket, &to).with_context(|| format!("nobody answers at {to}"))?;
    let mut stream = TcpStream::from(socket);
    stream.write_all(text.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    println!("{answer}");
    Ok(())
}
