//! Networks: the commands, who reaches whom, published ports, and what crashes leave of them.

mod commands;
mod default_network;
mod doctor;
mod egress;
mod faults;
mod isolation;
mod lasting;
mod links;
mod members;
mod modes;
mod options;
mod parents;
mod places;
mod ports;
mod sources;

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use testkit::{DEADLINE, Engine, command, eventually};

/// A web server that tells each client where it comes from.
const TELLS_CLIENTS: &str = "mkdir -p /tmp/cgi-bin; cd /tmp; echo here > index.html; \
    printf '#!/bin/sh\\necho\\necho $REMOTE_ADDR\\n' > cgi-bin/who; chmod +x cgi-bin/who; \
    exec busybox httpd -f -p 80 -h /tmp";

/// An engine with the image, and names of its own.
struct Site {
    engine: Engine,
    image: String,
}

impl Site {
    fn isolated() -> Self {
        Self::of(Engine::isolated())
    }

    fn of(engine: Engine) -> Self {
        let image = engine.busybox();
        Self { engine, image }
    }

    /// The real client, to the end, with what it said.
    #[track_caller]
    fn docker(&self, words: &[&str]) -> String {
        command::run(self.engine.docker_command().args(words)).ok()
    }

    /// What it says of what it refuses.
    #[track_caller]
    fn refused(&self, words: &[&str]) -> String {
        let output = command::run(self.engine.docker_command().args(words));
        assert_ne!(output.code, 0, "{}: {}", output.line, output.stdout);
        output.stderr
    }

    #[track_caller]
    fn network(&self, name: &str, flags: &[&str]) -> String {
        let name = self.engine.name(name);
        self.docker(&[&["network", "create"], flags, &[&name]].concat());
        name
    }

    /// A container that stays, with these flags of `run`.
    #[track_caller]
    fn stays(&self, name: &str, flags: &[&str]) -> String {
        self.runs(name, flags, "exec sleep 1000")
    }

    /// One that serves at port 80.
    #[track_caller]
    fn serves(&self, name: &str, flags: &[&str]) -> String {
        self.runs(name, flags, TELLS_CLIENTS)
    }

    #[track_caller]
    fn runs(&self, name: &str, flags: &[&str], script: &str) -> String {
        let name = self.engine.name(name);
        let words = [&["run", "-d", "--name", &name], flags, &[&self.image, "sh", "-c", script]].concat();
        self.docker(&words);
        name
    }

    #[track_caller]
    fn inspect(&self, name: &str, template: &str) -> String {
        self.docker(&["inspect", "-f", template, name])
    }

    /// A container's address in a network.
    #[track_caller]
    fn address(&self, container: &str, network: &str) -> String {
        let template = format!("{{{{(index .NetworkSettings.Networks {network:?}).IPAddress}}}}");
        self.inspect(container, &template)
    }

    /// A command in a container: its exit code and what it printed.
    fn exec(&self, container: &str, script: &str) -> (i32, String) {
        let output = command::run(self.engine.docker_command().args(["exec", container, "sh", "-c", script]));
        (output.code, output.stdout.trim_end().to_owned())
    }

    /// What a server says to a container, sooner or later.
    #[track_caller]
    fn fetched_in(&self, container: &str, url: &str) -> String {
        eventually(DEADLINE, || match self.fetch_in(container, url) {
            (0, text) => Ok(text),
            failed => Err(failed),
        })
    }

    /// The same once, within two seconds. `url` is a host, perhaps with a port, and a path.
    fn fetch_in(&self, container: &str, url: &str) -> (i32, String) {
        let (host, path) = url.split_once('/').unwrap_or((url, ""));
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port),
            _ => (host, "80"),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let ask = format!("printf 'GET /{path} HTTP/1.0\\r\\n\\r\\n' | busybox nc -w 2 {host} {port}");
        let (code, text) = self.exec(container, &ask);
        match body(&text) {
            Some(body) => (code, body),
            None => (code.max(1), text),
        }
    }

    /// A port of the host that a container's is published at.
    #[track_caller]
    fn port(&self, container: &str, port: &str) -> u16 {
        let line = self.docker(&["port", container, port]);
        let line = line.lines().next().unwrap_or_default();
        line.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("{line}"))
    }

    /// Has br_netfilter show the firewall what bridges pass on, or not: rules have to hold in both cases. A kernel without
    /// it knows one of them alone.
    fn filter_bridges(&self, on: bool) {
        let switch = std::path::Path::new("/proc/sys/net/bridge/bridge-nf-call-iptables");
        if !self.engine.is_peer() && switch.exists() {
            std::fs::write(switch, if on { "1" } else { "0" }).expect("a host of the test's own");
        }
    }

    fn client(&self, ours: bool) -> Command {
        if ours { self.engine.ketch_command() } else { self.engine.docker_command() }
    }
}

/// A page, from where the calling thread is; within a second.
fn fetch(to: (IpAddr, u16), path: &str) -> io::Result<String> {
    let limit = Duration::from_secs(1);
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from(to), limit)?;
    stream.set_read_timeout(Some(limit))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    body(&text).ok_or_else(|| io::Error::other(text))
}

/// What is behind the head; an address as one writes it.
fn body(text: &str) -> Option<String> {
    let (_, body) = text.split_once("\r\n\r\n").or_else(|| text.split_once("\n\n"))?;
    let bare = body.trim().trim_start_matches('[').trim_end_matches(']');
    Some(bare.trim_start_matches("::ffff:").to_owned())
}

/// What a server says once it is up.
#[track_caller]
fn fetched(to: (IpAddr, u16), path: &str) -> String {
    eventually(DEADLINE, || fetch(to, path))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|_| panic!("no address: {text:?}"))
}
