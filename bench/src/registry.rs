//! The private registry and docker's (Debian's docker-registry), spoken to over bare sockets, so that the client costs
//! next to nothing: one blob of 1 GB each way, and a thousand clients that all ask for a manifest at once.

use std::cell::OnceCell;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use sha2::{Digest as _, Sha256};
use testkit::command::ketch_binary;
use testkit::http::{self, Request};
use testkit::{Registry, Scratch};

use crate::case::{Against, Case, Owed};
use crate::stats::milliseconds;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "registry-push",
        what: "push of a blob of 1 GB",
        unit: "ms",
        rounds: 3,
        owed: &[Owed::Part(1.5)],
        against: Against::Program("docker-registry"),
        ours: |_| ours(Measure::Push),
        theirs: Some(|_| docker(Measure::Push)),
    },
    Case {
        name: "registry-pull",
        what: "pull of it",
        unit: "ms",
        rounds: 3,
        owed: &[Owed::Part(1.5)],
        against: Against::Program("docker-registry"),
        ours: |_| ours(Measure::Pull),
        theirs: Some(|_| docker(Measure::Pull)),
    },
    Case {
        name: "registry-reads",
        what: "20 manifests for each of 1,000 clients at once",
        unit: "ms",
        rounds: 5,
        owed: &[Owed::Part(5.0)],
        against: Against::Program("docker-registry"),
        ours: |_| ours(Measure::Reads),
        theirs: Some(|_| docker(Measure::Reads)),
    },
    Case {
        name: "registry-memory",
        what: "its largest resident size in all of that",
        unit: "MB",
        rounds: 1,
        owed: &[Owed::Below(50.0)],
        against: Against::Program("docker-registry"),
        ours: |_| ours(Measure::Memory),
        theirs: None,
    },
];

/// Sixteen of these are the blob.
const PIECE: usize = 64 << 20;
const PIECES: usize = 16;
const CLIENTS: usize = 1000;
const ROUNDS: usize = 20;
const THREADS: usize = 4;
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Bytes that no file system makes fewer.
struct Large {
    piece: Vec<u8>,
    digest: String,
}

thread_local! {
    static LARGE: OnceCell<&'static Large> = const { OnceCell::new() };
}

fn large() -> &'static Large {
    LARGE.with(|cell| {
        *cell.get_or_init(|| {
            let mut state = 0x9e37_79b9_7f4a_7c15_u64;
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_ne_bytes()
            };
            let piece: Vec<u8> = (0..PIECE / 8).flat_map(|_| next()).collect();
            let mut hash = Sha256::new();
            (0..PIECES).for_each(|_| hash.update(&piece));
            let digest = format!("sha256:{:x}", hash.finalize());
            Box::leak(Box::new(Large { piece, digest }))
        })
    })
}

/// A registry of either kind, with its content in a scratch folder.
enum Server {
    Ours { child: Child, address: SocketAddr, scratch: Scratch },
    Docker(Registry),
}

impl Server {
    fn ours() -> anyhow::Result<Self> {
        let scratch = Scratch::create();
        let mut child = Command::new(ketch_binary())
            .args(["registry", "serve", "--addr", "127.0.0.1:0", "--root"])
            .arg(scratch.join("root"))
            .stderr(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(child.stderr.take().context("no log")?);
        let mut line = String::new();
        lines.read_line(&mut line)?;
        let address = line.split("address=").nth(1).and_then(|rest| rest.split(' ').next());
        let address = address.and_then(|text| text.parse().ok()).with_context(|| line.clone())?;
        // Its log is read as fast as it comes, as a journal would.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Ok(Self::Ours { child, address, scratch })
    }

    fn docker() -> anyhow::Result<Self> {
        Ok(Self::Docker(Registry::start()))
    }

    fn address(&self) -> anyhow::Result<SocketAddr> {
        match self {
            Self::Ours { address, .. } => Ok(*address),
            Self::Docker(registry) => Ok(registry.address().parse()?),
        }
    }

    fn send(&self, request: &Request) -> anyhow::Result<http::Reply> {
        Ok(http::open_on(http::connect_tcp(self.address()?)?, request)?.finish()?)
    }

    /// Where an upload goes on: the path of what was answered.
    fn begin(&self) -> anyhow::Result<String> {
        let reply = self.send(&Request::new("POST", "/v2/bench/blobs/uploads/"))?;
        let place = reply.header("location").context("no location")?;
        Ok(place[place.find("/v2/").context("no path")?..].to_owned())
    }

    fn close(&self, place: &str, digest: &str, body: &[u8]) -> anyhow::Result<()> {
        let separator = if place.contains('?') { '&' } else { '?' };
        let request = Request::new("PUT", &format!("{place}{separator}digest={digest}"));
        let reply = self.send(&request.header("Content-Length", &body.len().to_string()).body(body))?;
        ensure!(reply.status() == 201, "{}: {}", reply.status(), reply.text());
        Ok(())
    }

    /// As docker's client does it: one request with all bytes, one that closes.
    fn push(&self) -> anyhow::Result<Duration> {
        let large = large();
        let begun = Instant::now();
        let place = self.begin()?;
        let mut stream = TcpStream::connect(self.address()?)?;
        write!(
            stream,
            "PATCH {place} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\n\r\n",
            PIECE * PIECES
        )?;
        for _ in 0..PIECES {
            stream.write_all(&large.piece)?;
        }
        let mut reader = BufReader::new(stream);
        let head = head(&mut reader)?;
        ensure!(head.starts_with("HTTP/1.1 202"), "{head}");
        let place = field(&head, "location").context("no location")?;
        self.close(&place[place.find("/v2/").context("no path")?..], &large.digest, b"")?;
        Ok(begun.elapsed())
    }

    fn pull(&self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(self.address()?)?;
        write!(stream, "GET /v2/bench/blobs/{} HTTP/1.1\r\nHost: bench\r\n\r\n", large().digest)?;
        let mut reader = BufReader::with_capacity(4096, stream);
        let head = head(&mut reader)?;
        ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
        let mut left = PIECE * PIECES - reader.buffer().len();
        let mut buffer = vec![0; 1 << 20];
        while left > 0 {
            let most = left.min(buffer.len());
            // The kernel throws the bytes away: a copy out of the socket costs as much as all that a server does.
            // And it is asked again and again: waking a client that sleeps on a virtual processor costs a server as much again.
            match recv(reader.get_ref(), &mut buffer[..most], RecvFlags::TRUNC | RecvFlags::DONTWAIT) {
                Err(Errno::AGAIN) => std::hint::spin_loop(),
                Ok((_, 0)) => anyhow::bail!("{left} bytes are missing"),
                other => left -= other?.1,
            }
        }
        Ok(begun.elapsed())
    }

    fn push_manifest(&self) -> anyhow::Result<()> {
        let config = b"{}";
        let digest = format!("sha256:{:x}", Sha256::digest(config));
        self.close(&self.begin()?, &digest, config)?;
        let pointer = serde_json::json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": 2});
        let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": pointer, "layers": [],
            "annotations": {"padding": "x".repeat(1500)}});
        let put = Request::new("PUT", "/v2/bench/manifests/one").header("Content-Type", MANIFEST);
        let reply = self.send(&put.body(manifest.to_string()))?;
        ensure!(reply.status() == 201, "{}", reply.text());
        Ok(())
    }

    /// A thousand clients, each with a connection that stays, that ask at once, many times.
    fn reads(&self) -> anyhow::Result<Duration> {
        self.push_manifest()?;
        let address = self.address()?;
        let connect = || -> anyhow::Result<_> {
            let all = (0..CLIENTS / THREADS)
                .map(|_| Ok(BufReader::with_capacity(8 << 10, TcpStream::connect(address)?)));
            all.collect::<anyhow::Result<Vec<_>>>()
        };
        let mut groups = (0..THREADS).map(|_| connect()).collect::<anyhow::Result<Vec<_>>>()?;
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let threads: Vec<_> = groups.iter_mut().map(|group| scope.spawn(|| ask(group))).collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().unwrap_or_else(|_| anyhow::bail!("a client failed")))
        })?;
        Ok(begun.elapsed())
    }

    /// The largest resident size since it was started, without the files that it has mapped.
    fn peak(&self) -> anyhow::Result<f64> {
        let Self::Ours { child, .. } = self else { anyhow::bail!("only ours is looked into") };
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no size")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1000.0)
    }
}

fn ask(group: &mut [BufReader<TcpStream>]) -> anyhow::Result<()> {
    let request =
        format!("GET /v2/bench/manifests/one HTTP/1.1\r\nHost: bench\r\nAccept: {MANIFEST}\r\n\r\n");
    for _ in 0..ROUNDS {
        for stream in group.iter_mut() {
            stream.get_mut().write_all(request.as_bytes())?;
        }
        for stream in group.iter_mut() {
            let head = head(stream)?;
            ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
            let length = field(&head, "content-length").and_then(|text| text.parse::<usize>().ok());
            stream.read_exact(&mut vec![0; length.context("no length")?])?;
        }
    }
    Ok(())
}

fn head(stream: &mut BufReader<TcpStream>) -> anyhow::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        ensure!(stream.read_line(&mut head)? > 0, "it ended: {head}");
    }
    Ok(head)
}

fn field(head: &str, name: &str) -> Option<String> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.into_iter().find_map(|(key, value)| key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned()))
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Self::Ours { child, scratch, .. } = self {
            let _ = child.kill();
            let _ = child.wait();
            scratch.remove();
        }
    }
}

/// What is measured of a server that has just been started.
#[derive(Clone, Copy)]
pub(crate) enum Measure {
    Push,
    Pull,
    Reads,
    /// In megabytes, after the reads and a pull.
    Memory,
}

fn measured(server: &Server, measure: Measure) -> anyhow::Result<f64> {
    Ok(match measure {
        Measure::Push => milliseconds(server.push()?),
        Measure::Pull => {
            server.push()?;
            milliseconds(server.pull()?)
        }
        Measure::Reads => milliseconds(server.reads()?),
        Measure::Memory => {
            server.push()?;
            server.pull()?;
            server.reads()?;
            server.peak()?
        }
    })
}

pub(crate) fn ours(measure: Measure) -> anyhow::Result<f64> {
    measured(&Server::ours()?, measure)
}

pub(crate) fn docker(measure: Measure) -> anyhow::Result<f64> {
    measured(&Server::docker()?, measure)
}
