//! Processes of engines: when they are ready, what memory they take.

use std::time::Instant;

use anyhow::{Context, ensure};
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

/// The peer's host: the only dockerd that a machine usually has.
pub(crate) fn peer_place(socket: &std::path::Path) -> anyhow::Result<Place<'_>> {
    let pid = named(&["dockerd"])?.first().copied().context("no dockerd runs on this machine")?;
    Ok(Place { socket, pid: pid.cast_signed() })
}

fn named(names: &[&str]) -> anyhow::Result<Vec<u32>> {
    let entries = std::fs::read_dir("/proc")?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_one = |pid: &u32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        names.contains(&name.trim())
    };
    Ok(pids.filter(is_one).collect())
}

/// dockerd and its containerd, wherever they came from: the only ones that a machine usually has.
pub(crate) fn peer_memory(_: &Bench) -> anyhow::Result<f64> {
    let sum: f64 = named(&["dockerd", "containerd"])?.into_iter().filter_map(|pid| resident(pid).ok()).sum();
    ensure!(sum > 0.0, "no dockerd runs on this machine");
    Ok(sum)
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
