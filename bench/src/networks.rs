//! Networks: what connecting costs, and how fast bytes go by published ports and between containers.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use network::Interior;
use serde_json::{Value, json};
use testkit::Lan;
use testkit::http::{self, Request};

use crate::case::{Against, Case, Owed};
use crate::dns;
use crate::processes::peer_place;
use crate::stage::{Bench, TAG, timed};
use crate::stats::milliseconds;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "run-bridge",
        what: "`run --rm busybox true` on the default bridge",
        unit: "ms",
        rounds: 20,
        owed: &[Owed::Part(12.0), Owed::Below(20.0)],
        against: Against::Docker,
        ours: |bench| timed(&mut bench.ketch(ON_BRIDGE)),
        theirs: Some(|bench| timed(&mut bench.docker(ON_BRIDGE))),
    },
    Case {
        name: "run-ports",
        what: "the same with ten published ports",
        unit: "ms",
        rounds: 10,
        owed: &[Owed::Part(30.0)],
        against: Against::Docker,
        ours: |bench| timed(&mut bench.ketch(TEN_PORTS)),
        theirs: Some(|bench| timed(&mut bench.docker(TEN_PORTS))),
    },
    Case {
        name: "run-range",
        what: "the same with 10,000 published as a range",
        unit: "ms",
        rounds: 10,
        owed: &[Owed::Below(50.0)],
        against: Against::Docker,
        ours: |bench| timed(&mut bench.ketch(RANGE)),
        theirs: None,
    },
    Case {
        name: "network-create",
        what: "`network create`",
        unit: "ms",
        rounds: 10,
        owed: &[],
        against: Against::Docker,
        ours: |bench| create(&|words| timed(&mut bench.ketch(words))),
        theirs: Some(|bench| create(&|words| timed(&mut bench.docker(words)))),
    },
    Case {
        name: "dns",
        what: "a question for a container's name",
        unit: "µs",
        rounds: 10,
        owed: &[Owed::Below(50.0)],
        against: Against::Docker,
        ours: |bench| dns::throughput(bench.socket(), TAG),
        theirs: Some(|bench| dns::throughput(&bench.peer_socket(), TAG)),
    },
    Case {
        name: "dns-cost",
        what: "the engine's processor time for one",
        unit: "µs",
        rounds: 10,
        owed: &[],
        against: Against::Docker,
        ours: |bench| dns::cost(bench.socket(), TAG, bench.engine_pid()?),
        theirs: None,
    },
    Case {
        name: "dns-p99",
        what: "99 of 100 questions, sixteen under way",
        unit: "ms",
        rounds: 10,
        owed: &[Owed::Below(2.0)],
        against: Against::Docker,
        ours: |bench| dns::slowest(bench.socket(), TAG),
        theirs: Some(|bench| dns::slowest(&bench.peer_socket(), TAG)),
    },
    Case {
        name: "stream-loopback",
        what: "a stream of 1 GB from the host's loopback by a published port",
        unit: "ms",
        rounds: 21,
        owed: &[Owed::Part(1.0)],
        against: Against::Docker,
        ours: |bench| stream(&bench.place()?, From::Loopback, bench.megabytes()),
        theirs: Some(|bench| {
            let socket = bench.peer_socket();
            stream(&peer_place(&socket)?, From::Loopback, bench.megabytes())
        }),
    },
    Case {
        name: "stream-loopback6",
        what: "the same by `[::1]`",
        unit: "ms",
        rounds: 21,
        owed: &[Owed::Part(1.0)],
        against: Against::Docker,
        ours: |bench| stream(&bench.place()?, From::Loopback6, bench.megabytes()),
        theirs: Some(|bench| {
            let socket = bench.peer_socket();
            stream(&peer_place(&socket)?, From::Loopback6, bench.megabytes())
        }),
    },
    Case {
        name: "stream-outside",
        what: "the same from another host",
        unit: "ms",
        rounds: 21,
        owed: &[Owed::Part(1.0)],
        against: Against::Docker,
        ours: |bench| stream(&bench.place()?, From::Outside, bench.megabytes()),
        theirs: Some(|bench| {
            let socket = bench.peer_socket();
            stream(&peer_place(&socket)?, From::Outside, bench.megabytes())
        }),
    },
    Case {
        name: "stream-containers",
        what: "the same from another container",
        unit: "ms",
        rounds: 21,
        owed: &[Owed::Part(1.0)],
        against: Against::Docker,
        ours: |bench| stream(&bench.place()?, From::Container, bench.megabytes()),
        theirs: Some(|bench| {
            let socket = bench.peer_socket();
            stream(&peer_place(&socket)?, From::Container, bench.megabytes())
        }),
    },
    Case {
        name: "run-bridge-crowd",
        what: "`run --rm busybox true` beside 300 containers with ten ports each",
        unit: "ms",
        rounds: 20,
        owed: &[Owed::Times(1.2, "run-bridge")],
        against: Against::Docker,
        ours: |bench| {
            bench.crowd()?;
            timed(&mut bench.ketch(ON_BRIDGE))
        },
        theirs: None,
    },
    Case {
        name: "run-ports-crowd",
        what: "the same with ten published ports",
        unit: "ms",
        rounds: 20,
        owed: &[Owed::Times(1.2, "run-ports")],
        against: Against::Docker,
        ours: |bench| {
            bench.crowd()?;
            timed(&mut bench.ketch(TEN_PORTS))
        },
        theirs: None,
    },
];

const SINK: &str = "ketch-bench-sink";
const SOURCE: &str = "ketch-bench-source";
/// Where the stream ends in its container, and at the host.
const INSIDE: u16 = 5001;
const OUTSIDE: u16 = 18401;
/// The ports of those that are there beside what is measured.
const CROWDED: u16 = 20_000;

const ON_BRIDGE: &[&str] = &["run", "--rm", TAG, "true"];
const TEN_PORTS: &[&str] = &["run", "--rm", "-p", "18411-18420:80-89", TAG, "true"];
const RANGE: &[&str] = &["run", "--rm", "-p", "30000-39999:30000-39999", TAG, "true"];

/// Where a stream comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum From {
    /// The host's own loopback, by a published port.
    Loopback,
    /// The same over IPv6, where somebody stands between.
    Loopback6,
    /// Another host, by a published port.
    Outside,
    /// Another container of the network.
    Container,
}

/// An engine: where it listens, and a process of its host's network.
pub(crate) struct Place<'a> {
    pub(crate) socket: &'a Path,
    pub(crate) pid: i32,
}

fn call(socket: &Path, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
    let reply = http::call(socket, &Request::new(method, path).json(body))?;
    ensure!(reply.status() < 300, "{method} {path}: {}", reply.text());
    Ok(if reply.text().is_empty() { Value::Null } else { reply.json() })
}

/// A network for the streams, of a subnet that no machine has: that of the default network may be somebody else's, too,
/// where several engines share a host. It goes when dropped.
struct Wires<'a>(&'a Path);

impl<'a> Wires<'a> {
    const NAME: &'static str = "ketch-bench-streams";

    fn lay(socket: &'a Path) -> anyhow::Result<Self> {
        let ipam = json!({"Driver": "default", "Config": [{"Subnet": "10.225.250.0/24"}]});
        call(socket, "POST", "/networks/create", &json!({"Name": Self::NAME, "IPAM": ipam}))?;
        Ok(Self(socket))
    }
}

impl Drop for Wires<'_> {
    fn drop(&mut self) {
        let _ = http::call(self.0, &Request::new("DELETE", &format!("/networks/{}", Self::NAME)));
    }
}

/// A container that sleeps in it. It goes when dropped.
struct Sleeper<'a> {
    socket: &'a Path,
    name: String,
    pid: i32,
    ip: IpAddr,
}

impl<'a> Sleeper<'a> {
    fn start(socket: &'a Path, name: &str, bindings: &Value) -> anyhow::Result<Self> {
        let host = json!({"PortBindings": bindings, "NetworkMode": Wires::NAME});
        // dockerd publishes no port that isn't exposed, too.
        let exposed: serde_json::Map<String, Value> =
            bindings.as_object().into_iter().flatten().map(|(port, _)| (port.clone(), json!({}))).collect();
        let config = json!({
            "Image": TAG, "Cmd": ["sleep", "100000"], "ExposedPorts": exposed, "HostConfig": host
        });
        call(socket, "POST", &format!("/containers/create?name={name}"), &config)?;
        let unspecified = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let mut sleeper = Self { socket, name: name.to_owned(), pid: 0, ip: unspecified };
        call(socket, "POST", &format!("/containers/{name}/start"), &Value::Null)?;
        let found = call(socket, "GET", &format!("/containers/{name}/json"), &Value::Null)?;
        sleeper.pid = found["State"]["Pid"].as_i64().context("it has no process")? as i32;
        let ip = found["NetworkSettings"]["Networks"][Wires::NAME]["IPAddress"].as_str().unwrap_or_default();
        sleeper.ip = ip.parse().with_context(|| format!("no address: {ip:?}"))?;
        Ok(sleeper)
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        // What stays is seen by the next run, which then can't make it.
        let path = format!("/containers/{}?force=1", self.name);
        let _ = http::call(self.socket, &Request::new("DELETE", &path));
    }
}

/// Milliseconds for so many megabytes into a container, from the first byte until it has the last.
pub(crate) fn stream(place: &Place<'_>, from: From, megabytes: usize) -> anyhow::Result<f64> {
    let bindings = json!({ format!("{INSIDE}/tcp"): [{"HostPort": OUTSIDE.to_string()}] });
    let _wires = Wires::lay(place.socket)?;
    let sink = Sleeper::start(place.socket, SINK, &bindings)?;
    let listener =
        Interior::of_process(sink.pid)?.enter(|_| Ok(TcpListener::bind(("0.0.0.0", INSIDE))))??;
    let swallowing = std::thread::spawn(move || swallow(&listener));
    let at_host = Interior::of_process(place.pid)?;
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, OUTSIDE));
    let took = match from {
        From::Loopback => at_host.enter(|_| Ok(pour(loopback, megabytes)))?,
        From::Loopback6 => {
            let six = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, OUTSIDE));
            at_host.enter(|_| Ok(pour(six, megabytes)))?
        }
        From::Outside => at_host.enter(|_| {
            let lan = Lan::elsewhere();
            let neighbour = lan.neighbour(2);
            Ok(neighbour.at(|| pour(SocketAddr::from((lan.host(), OUTSIDE)), megabytes)))
        })?,
        From::Container => {
            let source = Sleeper::start(place.socket, SOURCE, &json!({}))?;
            let to = SocketAddr::from((sink.ip, INSIDE));
            Interior::of_process(source.pid)?.enter(|_| Ok(pour(to, megabytes)))?
        }
    }?;
    let swallowed = swallowing.join().ok().context("the sink's thread ended early")??;
    ensure!(swallowed == megabytes << 20, "{swallowed} bytes came");
    Ok(milliseconds(took))
}

/// The first connection's bytes, to their end, which is answered.
fn swallow(listener: &TcpListener) -> anyhow::Result<usize> {
    let (mut stream, _) = listener.accept()?;
    let mut buffer = vec![0; 1 << 18];
    let mut count = 0;
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            more => count += more,
        }
    }
    stream.write_all(b".")?;
    Ok(count)
}

fn pour(to: SocketAddr, megabytes: usize) -> anyhow::Result<Duration> {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(10))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let bytes = vec![7; 1 << 18];
    let begun = Instant::now();
    for _ in 0..megabytes * 4 {
        stream.write_all(&bytes)?;
    }
    stream.shutdown(Shutdown::Write)?;
    stream.read_exact(&mut [0])?;
    Ok(begun.elapsed())
}

/// Milliseconds of `network create`; the network goes again.
pub(crate) fn create(run: &dyn Fn(&[&str]) -> anyhow::Result<f64>) -> anyhow::Result<f64> {
    const NAME: &str = "ketch-bench-network";
    let took = run(&["network", "create", NAME])?;
    run(&["network", "rm", NAME])?;
    Ok(took)
}

/// Containers that are there beside what is measured, each with ten published ports. They go when dropped.
pub(crate) struct Crowd {
    socket: std::path::PathBuf,
    names: Vec<String>,
}

impl Crowd {
    pub(crate) fn gather(bench: &Bench, count: u16) -> anyhow::Result<Self> {
        let mut crowd = Self { socket: bench.socket().to_owned(), names: Vec::new() };
        for number in 0..count {
            let name = format!("ketch-bench-crowd-{number}");
            let first = CROWDED + number * 10;
            let bindings = (0..10).map(|port| {
                (format!("{}/tcp", 80 + port), json!([{"HostPort": (first + port).to_string()}]))
            });
            let bindings: serde_json::Map<String, Value> = bindings.collect();
            let config = json!({
                "Image": TAG, "Cmd": ["sleep", "100000"], "HostConfig": {"PortBindings": bindings}
            });
            call(&crowd.socket, "POST", &format!("/containers/create?name={name}"), &config)?;
            crowd.names.push(name.clone());
            call(&crowd.socket, "POST", &format!("/containers/{name}/start"), &Value::Null)?;
        }
        Ok(crowd)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for name in &self.names {
            let remove = Request::new("DELETE", &format!("/containers/{name}?force=1"));
            let _ = http::call(&self.socket, &remove);
        }
    }
}
