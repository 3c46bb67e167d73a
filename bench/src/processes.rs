//! Processes of engines: when they are ready, what memory they take.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use testkit::Scratch;
use testkit::daemon::{Daemon, Plan};

use crate::networks::Place;
use crate::stage::Bench;
use crate::stats::milliseconds;

pub(crate) fn ready(_: &Bench) -> anyhow::Result<f64> {
    let scratch = Scratch::create();
    let plan = Plan::below(&scratch);
    let begun = Instant::now();
    let mut daemon = Daemon::start(&plan);
    let took = milliseconds(begun.elapsed());
    daemon.signal(rustix::process::Signal::TERM);
    daemon.wait();
    scratch.remove();
    Ok(took)
}

pub(crate) fn memory(_: &Bench) -> anyhow::Result<f64> {
    let scratch = Scratch::create();
    let mut daemon = Daemon::start(&Plan::below(&scratch));
    let resident = resident(daemon.pid());
    daemon.signal(rustix::process::Signal::TERM);
    daemon.wait();
    scratch.remove();
    resident
}

/// The peer's host, wherever it has its network.
pub(crate) fn peer_place(socket: &Path) -> anyhow::Result<Place<'_>> {
    Ok(Place { socket, pid: listener(socket)? })
}

/// The process that listens at a socket: the kernel remembers it.
fn listener(socket: &Path) -> anyhow::Result<i32> {
    let stream = UnixStream::connect(socket).with_context(|| format!("{}", socket.display()))?;
    let who = rustix::net::sockopt::socket_peercred(&stream)?;
    Ok(who.pid.as_raw_nonzero().get())
}

/// dockerd and the containerd that it started.
pub(crate) fn peer_memory(bench: &Bench) -> anyhow::Result<f64> {
    let dockerd = listener(&bench.peer_socket())?.cast_unsigned();
    // A child is the thread's that made it.
    let threads = std::fs::read_dir(format!("/proc/{dockerd}/task"))?.flatten();
    let children: String =
        threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok()).collect();
    let is_containerd = |pid: &u32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.trim() == "containerd"
    };
    let beside = children.split_whitespace().filter_map(|pid| pid.parse().ok()).filter(is_containerd);
    beside.chain([dockerd]).map(resident).sum()
}

/// Our engine's, since it was started.
pub(crate) fn peak(bench: &Bench) -> anyhow::Result<f64> {
    high_water(bench.engine_pid()?)
}

/// The most that a process ever had.
pub(crate) fn high_water(pid: u32) -> anyhow::Result<f64> {
    status(pid, "VmHWM:")
}

pub(crate) fn resident(pid: u32) -> anyhow::Result<f64> {
    status(pid, "VmRSS:")
}

fn status(pid: u32, key: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with(key)).with_context(|| format!("no {key}"))?;
    let kilobytes: f64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kilobytes / 1024.0)
}
