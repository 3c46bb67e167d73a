//! Names: containers find each other, and everything else is asked of the host's resolvers.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use network::Interior;
use serde_json::{Value, json};
use testkit::http::{Reply, Request};
use testkit::{Engine, Scratch, eventually};

use crate::containers::logs;

const A: u16 = 1;
const PTR: u16 = 12;
const AAAA: u16 = 28;
const REFUSED: u8 = 5;
const UNKNOWN: u8 = 3;
const FAILED: u8 = 2;
const DEADLINE: Duration = Duration::from_secs(30);

/// An engine with networks that are removed at the end, on a shared engine too.
struct Setup {
    engine: Engine,
    networks: Vec<String>,
    image: String,
}

impl Setup {
    fn on(engine: Engine) -> Self {
        let image = engine.busybox();
        Self { engine, networks: Vec::new(), image }
    }

    fn network(&mut self, name: &str, more: &Value) -> String {
        let name = self.engine.name(name);
        let mut body = json!({"Name": name});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.post("/networks/create", &body).expect(201);
        self.networks.push(name.clone());
        name
    }

    /// What dockerd answers to these calls isn't recorded.
    fn post(&self, path: &str, body: &Value) -> Reply {
        self.engine.request_unchecked(&Request::new("POST", path).json(body))
    }

    /// A container that runs a script, in a network; its name.
    fn container(&self, name: &str, network: &str, endpoint: &Value, script: &str) -> String {
        let name = self.engine.name(name);
        let config = json!({
            "Image": self.image,
            "Cmd": ["sh", "-c", script],
            "HostConfig": {"NetworkMode": network},
            "NetworkingConfig": {"EndpointsConfig": {network: endpoint}},
        });
        self.create(&name, &config)
    }

    fn create(&self, name: &str, config: &Value) -> String {
        self.engine.post(&format!("/containers/create?name={name}"), config).expect(201);
        self.engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
        name.to_owned()
    }

    fn inspect(&self, name: &str) -> Value {
        let path = format!("/containers/{name}/json");
        self.engine.request_unchecked(&Request::new("GET", &path)).expect(200).json()
    }

    fn address(&self, name: &str, network: &str) -> String {
        let found = &self.inspect(name)["NetworkSettings"]["Networks"][network]["IPAddress"];
        found.as_str().unwrap_or_default().to_owned()
    }

    /// What the container hears when it asks, from a socket in its network.
    fn ask(&self, name: &str, asked: &str, kind: u16) -> Answer {
        Answer::read(&self.inside(name, || by_udp(asked, kind)))
    }

    /// Does something in a container's network.
    fn inside<T: Send>(&self, name: &str, work: impl FnOnce() -> T + Send) -> T {
        let pid = self.inspect(name)["State"]["Pid"].as_i64().unwrap() as i32;
        Interior::of_process(pid).unwrap().enter(|_| Ok(work())).unwrap()
    }

    /// The addresses that a container's program finds.
    fn finds(&self, name: &str, asked: &str) -> Vec<String> {
        let ran = self.engine.docker(["exec", name, "busybox", "nslookup", asked]);
        let after = ran.stdout.split_once("Name:").map_or("", |(_, rest)| rest);
        after.split_whitespace().filter(|word| word.parse::<Ipv4Addr>().is_ok()).map(str::to_owned).collect()
    }

    fn end(self) {
        let all = Request::new("GET", "/containers/json?all=1");
        let containers = self.engine.request_unchecked(&all).expect(200).json();
        for container in containers.as_array().into_iter().flatten() {
            let own = container["Image"] == self.image.as_str();
            if let (true, Some(id)) = (own, container["Id"].as_str()) {
                self.engine.delete(&format!("/containers/{id}?force=1")).expect(204);
            }
        }
        for network in &self.networks {
            let path = format!("/networks/{network}");
            self.engine.request_unchecked(&Request::new("DELETE", &path)).expect(204);
        }
    }
}

fn query(name: &str, kind: u16) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    bytes
}

fn by_udp(name: &str, kind: u16) -> Vec<u8> {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.connect((network::RESOLVER, 53)).unwrap();
    socket.send(&query(name, kind)).unwrap();
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

fn by_tcp(name: &str, kind: u16) -> Vec<u8> {
    let mut stream = TcpStream::connect((network::RESOLVER, 53)).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    converse(&mut stream, &query(name, kind));
    receive(&mut stream)
}

fn converse(stream: &mut TcpStream, message: &[u8]) {
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length, message].concat()).unwrap();
}

fn receive(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).unwrap();
    message
}

#[derive(Debug)]
struct Answer {
    code: u8,
    records: u8,
    cut: bool,
    /// The IPv4 address in its last record.
    last: Ipv4Addr,
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let last: [u8; 4] = bytes[bytes.len() - 4..].try_into().unwrap();
        Self { code: bytes[3] & 15, records: bytes[7], cut: bytes[2] & 2 != 0, last: last.into() }
    }
}

#[test]
fn containers_find_each_other_by_all_their_names_within_their_networks() {
    let mut setup = Setup::on(Engine::isolated());
    let (one, two) = (setup.network("one", &json!({})), setup.network("two", &json!({})));
    let aliases = json!({"Aliases": ["web", "Shop.Example"]});
    let a = setup.container("a", &one, &aliases, "sleep 600");
    let b = setup.container("b", &one, &aliases, "sleep 600");
    let other = setup.container("other", &two, &json!({"Links": [format!("{a}:boss")]}), "sleep 600");
    let (ip, short) = (setup.address(&a, &one), setup.inspect(&a)["Id"].as_str().unwrap()[..12].to_owned());
    assert!(!ip.is_empty());
    for name in [&a, &a.to_uppercase(), &format!("{a}."), &short, &format!("{a}.{one}")] {
        assert_eq!(setup.finds(&b, name), [&*ip], "{name}");
    }
    let mut both = [ip.clone(), setup.address(&b, &one)];
    both.sort();
    for name in ["web", "shop.example"] {
        let mut found = setup.finds(&a, name);
        found.sort();
        assert_eq!(found, both, "{name}");
    }
    assert!(setup.finds(&other, &a).is_empty() && setup.finds(&other, "web").is_empty());
    let reverse: Vec<&str> = ip.rsplit('.').collect();
    let reverse = setup.engine.docker(["exec", &b, "busybox", "nslookup", &ip]).stdout
        + &format!(" {}", reverse.join("."));
    assert!(reverse.contains(&format!("{a}.{one}")), "{reverse}");

    // Connected, it is known under what it is called there; disconnected, it isn't any more.
    let connect =
        json!({"Container": other, "EndpointConfig": {"Aliases": ["late"], "Links": [format!("{a}:boss")]}});
    setup.post(&format!("/networks/{one}/connect"), &connect).expect(200);
    assert_eq!(setup.finds(&a, "late"), [setup.address(&other, &one)]);
    assert_eq!(setup.finds(&other, "boss"), [&*ip]);
    let disconnect = json!({"Container": other});
    setup.post(&format!("/networks/{one}/disconnect"), &disconnect).expect(200);
    assert!(setup.finds(&a, "late").is_empty());
    let renamed = setup.engine.name("renamed");
    setup.engine.post(&format!("/containers/{a}/rename?name={renamed}"), &Value::Null).expect(204);
    assert_eq!(setup.finds(&b, &renamed), [&*ip]);
    assert!(setup.finds(&b, &a).is_empty());
    setup.end();
}

#[test]
fn a_known_name_has_no_other_records_and_the_host_has_a_name() {
    let mut setup = Setup::on(Engine::ours());
    let one = setup.network("one", &json!({}));
    let a = setup.container("a", &one, &json!({}), "sleep 600");
    for kind in [AAAA, 15, 16] {
        let answer = setup.ask(&a, &a, kind);
        assert_eq!((answer.code, answer.records), (0, 0), "{kind}");
    }
    let gateway = setup.inspect(&a)["NetworkSettings"]["Networks"][&one]["Gateway"].clone();
    for name in ["host.docker.internal", "gateway.docker.internal"] {
        assert_eq!(setup.ask(&a, name, A).last.to_string(), gateway, "{name}");
    }
    setup.end();
}

// ── the host's resolvers ──

/// A resolver on port 53 of a loopback address of the test's host, by UDP and TCP. It counts what it is asked.
pub(crate) struct Resolver {
    asked: Arc<AtomicUsize>,
}

impl Resolver {
    /// `text` says for a name what becomes of it: `nx…` is unknown, `big…` only fits TCP, `silent…` is never answered, and
    /// others have the address.
    pub(crate) fn at(ip: &str, address: Ipv4Addr) -> Self {
        let (socket, listener) = (UdpSocket::bind((ip, 53)).unwrap(), TcpListener::bind((ip, 53)).unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let (by_udp, by_tcp) = (asked.clone(), asked.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, client)) = socket.recv_from(&mut buffer) {
                by_udp.fetch_add(1, Ordering::Relaxed);
                if let Some(answer) = Self::answer(&buffer[..length], address, false) {
                    socket.send_to(&answer, client).unwrap();
                }
            }
        });
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                by_tcp.fetch_add(1, Ordering::Relaxed);
                let query = receive(&mut stream);
                converse(&mut stream, &Self::answer(&query, address, true).unwrap());
            }
        });
        Self { asked }
    }

    fn answer(query: &[u8], address: Ipv4Addr, whole: bool) -> Option<Vec<u8>> {
        let name = String::from_utf8_lossy(&query[13..]).to_lowercase();
        let (flags, rest): ([u8; 2], Vec<u8>) = match &*name {
            name if name.starts_with("silent") => return None,
            name if name.starts_with("nx") => ([0x81, 0x80 | UNKNOWN], vec![]),
            name if name.starts_with("big") && !whole => ([0x83, 0x80], vec![]),
            name if name.starts_with("big") => ([0x81, 0x80], vec![7; 3000]),
            _ => {
                let record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4];
                ([0x81, 0x80], [&record[..], &address.octets()].concat())
            }
        };
        let mut answer = [&query[..2], &flags, &query[4..], &rest].concat();
        answer[7] = u8::from(rest.len() == 16);
        Some(answer)
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

const FIRST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SECOND: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// An engine whose host asks whom this file names, and the file.
fn with_resolvers(text: &str) -> (Setup, std::path::PathBuf) {
    let mut path = None;
    let engine = Engine::planned(|plan, scratch: &Scratch| {
        let file = scratch.write("resolv.conf", text);
        let plan = plan.config(scratch, &json!({"resolv-conf": file}));
        path = Some(file);
        plan
    });
    (Setup::on(engine), path.unwrap())
}

// covers: daemon config-key resolv-conf
#[test]
fn other_names_are_asked_of_the_host_s_resolvers_as_they_are_at_the_time() {
    let (mut setup, file) = with_resolvers("nameserver 127.0.0.1\nsearch corp.test\n");
    let (_first, second) = (Resolver::at("127.0.0.1", FIRST), Resolver::at("127.0.0.2", SECOND));
    let one = setup.network("one", &json!({}));
    let a = setup.container("a", &one, &json!({}), "cat /etc/resolv.conf; sleep 600");
    eventually(DEADLINE, || match logs(&setup.engine, &a) {
        text if text == "nameserver 127.0.0.11\nsearch corp.test\noptions ndots:0\n" => Ok(()),
        other => Err(other),
    });
    assert_eq!(setup.ask(&a, "example.test", A).last, FIRST);
    assert_eq!(setup.ask(&a, "nx.test", A).code, UNKNOWN);
    let cut = setup.ask(&a, "big.test", 16);
    assert!(cut.cut && cut.code == 0, "{cut:?}");
    let whole = setup.inside(&a, || by_tcp("big.test", 16));
    assert!(whole.ends_with(&[7; 3000]));
    // Its own names are nobody else's business.
    let before = second.asked();
    std::fs::write(&file, "nameserver 127.0.0.2\n").unwrap();
    assert_eq!(setup.ask(&a, &a, A).records, 1);
    assert_eq!(second.asked(), before);
    assert_eq!(setup.ask(&a, "example.test", A).last, SECOND);
    // One that isn't there is passed over.
    std::fs::write(&file, "nameserver 127.0.0.3\nnameserver 127.0.0.2\n").unwrap();
    assert_eq!(setup.ask(&a, "example.test", A).last, SECOND);
    // Nobody is.
    std::fs::write(&file, "nameserver 127.0.0.3\n").unwrap();
    assert_eq!(setup.ask(&a, "example.test", A).code, FAILED);
    setup.end();
}

#[test]
fn a_container_s_own_resolvers_come_before_the_host_s() {
    let (mut setup, _) = with_resolvers("nameserver 127.0.0.1\n");
    let (first, _second) = (Resolver::at("127.0.0.1", FIRST), Resolver::at("127.0.0.2", SECOND));
    let one = setup.network("one", &json!({}));
    let config = json!({
        "Image": setup.image, "Cmd": ["sleep", "600"],
        "HostConfig": {"NetworkMode": one, "Dns": ["127.0.0.2"]},
    });
    let name = setup.engine.name("a");
    let a = setup.create(&name, &config);
    assert_eq!(setup.ask(&a, "example.test", A).last, SECOND);
    assert_eq!(first.asked(), 0);
    setup.end();
}

#[test]
fn s131_an_internal_network_asks_nobody() {
    let (mut setup, _) = with_resolvers("nameserver 127.0.0.1\n");
    let resolver = Resolver::at("127.0.0.1", FIRST);
    let inner = setup.network("inner", &json!({"Internal": true}));
    let a = setup.container("a", &inner, &json!({}), "sleep 600");
    for kind in [A, AAAA, 16, 5, PTR] {
        assert_eq!(setup.ask(&a, "secret.exfil.test", kind).code, FAILED);
        let by_tcp = setup.inside(&a, || by_tcp("secret.exfil.test", kind));
        assert_eq!(Answer::read(&by_tcp).code, FAILED);
    }
    assert_eq!(setup.ask(&a, &a, A).records, 1);
    assert_eq!(resolver.asked(), 0);
    setup.end();
}

#[test]
fn the_default_network_asks_by_the_engine_where_only_the_host_can() {
    let (setup, file) = with_resolvers("nameserver 127.0.0.1\n");
    let _resolver = Resolver::at("127.0.0.1", FIRST);
    let a = setup.container("a", "bridge", &json!({}), "cat /etc/resolv.conf; sleep 600");
    eventually(DEADLINE, || match logs(&setup.engine, &a) {
        text if text == "nameserver 127.0.0.11\n" => Ok(()),
        other => Err(other),
    });
    assert_eq!(setup.ask(&a, "example.test", A).last, FIRST);
    assert_eq!(setup.ask(&a, &format!("nx-{a}"), A).code, UNKNOWN, "no names there");
    std::fs::write(&file, "nameserver 192.0.2.53\n").unwrap();
    let b = setup.container("b", "bridge", &json!({}), "cat /etc/resolv.conf");
    eventually(DEADLINE, || match logs(&setup.engine, &b) {
        text if text == "nameserver 192.0.2.53\n" => Ok(()),
        other => Err(other),
    });
    setup.end();
}

#[test]
fn questions_to_a_silent_resolver_hold_up_nobody() {
    let (mut setup, _) = with_resolvers("nameserver 127.0.0.1\n");
    let _resolver = Resolver::at("127.0.0.1", FIRST);
    let one = setup.network("one", &json!({}));
    let a = setup.container("a", &one, &json!({}), "sleep 600");
    let b = setup.container("b", &one, &json!({}), "sleep 600");
    let refused = setup.inside(&a, || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.connect((network::RESOLVER, 53)).unwrap();
        let mut buffer = [0; 4096];
        // Until it is too much, which is said at once.
        (0..100_000).find(|number| {
            socket.send(&query(&format!("silent{number}.test"), A)).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket.recv(&mut buffer).is_ok() && buffer[3] & 15 == REFUSED
        })
    });
    assert!(refused.is_some());
    // The flood may still fill the socket that datagrams of this network come to: one more could be lost, a stream can't.
    assert_eq!(Answer::read(&setup.inside(&a, || by_tcp(&b, A))).records, 1);
    assert_eq!(setup.ask(&b, "example.test", A).last, FIRST);
    setup.end();
}

// ── life ──

#[test]
fn a_container_may_serve_on_port_53_itself() {
    let mut setup = Setup::on(Engine::ours());
    let one = setup.network("one", &json!({}));
    let a = setup.container("a", &one, &json!({}), "sleep 600");
    let b = setup.container("b", &one, &json!({}), "sleep 600");
    let (socket, listener) = setup
        .inside(&a, || (UdpSocket::bind("0.0.0.0:53").unwrap(), TcpListener::bind("0.0.0.0:53").unwrap()));
    assert_eq!(setup.finds(&a, &b), [setup.address(&b, &one)]);
    assert_eq!(Answer::read(&setup.inside(&a, || by_tcp(&b, A))).records, 1);
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut [0; 16]).is_err(), "it heard what was meant for the engine");
    // Sockets hold the network that they are in.
    drop((socket, listener));
    setup.end();
}

#[test]
fn no_question_is_lost_when_the_engine_is_killed() {
    let mut setup = Setup::on(Engine::ours());
    let one = setup.network("one", &json!({}));
    let b = setup.container("b", &one, &json!({}), "sleep 600");
    let script =
        format!("while true; do busybox nslookup {b} > /dev/null 2>&1 && echo fine || echo lost; done");
    let a = setup.container("a", &one, &json!({}), &script);
    let mut seen = 0;
    for _ in 0..5 {
        seen = eventually(DEADLINE, || match logs(&setup.engine, &a).lines().count() {
            count if count > seen + 2 => Ok(count),
            count => Err(count),
        });
        setup.engine.crash_and_restart();
    }
    // And by TCP.
    let answer = setup.inside(&a, || by_tcp(&b, A));
    assert_eq!(Answer::read(&answer).last.to_string(), setup.address(&b, &one));
    let text = logs(&setup.engine, &a);
    assert!(!text.contains("lost"), "{text}");
    setup.end();
}

#[test]
fn a_container_that_comes_to_a_network_with_names_while_it_runs_finds_them() {
    let mut setup = Setup::on(Engine::isolated());
    let one = setup.network("one", &json!({}));
    let b = setup.container("b", &one, &json!({}), "sleep 600");
    let a = setup.container("a", "bridge", &json!({}), "sleep 600");
    setup.post(&format!("/networks/{one}/connect"), &json!({"Container": a})).expect(200);
    assert_eq!(setup.finds(&a, &b), [setup.address(&b, &one)]);
    if !setup.engine.is_peer() {
        setup.engine.crash_and_restart();
        assert_eq!(setup.finds(&a, &b), [setup.address(&b, &one)]);
    }
    setup.end();
}
