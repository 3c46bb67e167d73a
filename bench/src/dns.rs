//! What a container's questions for names of its network cost.

use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use network::Interior;
use serde_json::{Value, json};
use testkit::http::{self, Request};

use crate::stats::milliseconds;

const NAME: &str = "ketch-bench-dns";
const QUERIES: usize = 20_000;
/// How many are under way at a time.
const WINDOW: usize = 16;

/// A container that sleeps in a network of its own.
struct Asker<'a> {
    socket: &'a Path,
    pid: i32,
}

impl<'a> Asker<'a> {
    fn start(socket: &'a Path, image: &str) -> anyhow::Result<Self> {
        let call = |method: &str, path: &str, body: &Value| {
            let reply = http::call(socket, &Request::new(method, path).json(body))?;
            ensure!(reply.status() < 300, "{path}: {}", reply.text());
            anyhow::Ok(reply)
        };
        call("POST", "/networks/create", &json!({"Name": NAME}))?;
        let mut asker = Self { socket, pid: 0 };
        let config = json!({"Image": image, "Cmd": ["sleep", "100000"], "HostConfig": {"NetworkMode": NAME}});
        call("POST", &format!("/containers/create?name={NAME}"), &config)?;
        call("POST", &format!("/containers/{NAME}/start"), &Value::Null)?;
        let inspected = http::call(socket, &Request::new("GET", &format!("/containers/{NAME}/json")))?.json();
        asker.pid = inspected["State"]["Pid"].as_i64().context("it has no process")? as i32;
        Ok(asker)
    }

    /// How long each query took, from the one that was asked first.
    fn ask(&self) -> anyhow::Result<Vec<Duration>> {
        let asked = Interior::of_process(self.pid)?.enter(|_| Ok(questions()));
        asked?
    }
}

impl Drop for Asker<'_> {
    fn drop(&mut self) {
        for path in [format!("/containers/{NAME}?force=1"), format!("/networks/{NAME}")] {
            // What stays is seen by the next run, which then can't make it.
            let _ = http::call(self.socket, &Request::new("DELETE", &path));
        }
    }
}

fn questions() -> anyhow::Result<Vec<Duration>> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket.connect("127.0.0.11:53")?;
    let mut query = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, NAME.len() as u8];
    query.extend(NAME.as_bytes());
    query.extend([0, 0, 1, 0, 1]);
    let (mut begun, mut took) = (vec![Instant::now(); QUERIES], Vec::with_capacity(QUERIES));
    let mut next = 0;
    let mut buffer = [0; 512];
    while took.len() < QUERIES {
        while next < QUERIES && next - took.len() < WINDOW {
            query[..2].copy_from_slice(&(next as u16).to_be_bytes());
            begun[next] = Instant::now();
            socket.send(&query)?;
            next += 1;
        }
        let length = socket.recv(&mut buffer)?;
        ensure!(length > query.len() && buffer[7] == 1, "no answer: {:?}", &buffer[..length]);
        let number = usize::from(u16::from_be_bytes([buffer[0], buffer[1]]));
        took.push(begun[number].elapsed());
    }
    Ok(took)
}

/// Microseconds from the first question to the last answer, for each.
pub(crate) fn throughput(socket: &Path, image: &str) -> anyhow::Result<f64> {
    let asker = Asker::start(socket, image)?;
    let begun = Instant::now();
    asker.ask()?;
    Ok(milliseconds(begun.elapsed()) * 1000.0 / QUERIES as f64)
}

/// Microseconds of an engine's processor for each question.
pub(crate) fn cost(socket: &Path, image: &str, engine: u32) -> anyhow::Result<f64> {
    let asker = Asker::start(socket, image)?;
    let before = busy(engine)?;
    asker.ask()?;
    Ok((busy(engine)? - before) * 1_000_000.0 / QUERIES as f64)
}

/// Milliseconds within which 99 of 100 questions are answered.
pub(crate) fn slowest(socket: &Path, image: &str) -> anyhow::Result<f64> {
    let mut took = Asker::start(socket, image)?.ask()?;
    took.sort();
    Ok(milliseconds(took[QUERIES * 99 / 100]))
}

/// Seconds of processor time that a process has had.
fn busy(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no process")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
}
