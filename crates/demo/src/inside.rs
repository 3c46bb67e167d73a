//! What runs inside the demo's containers.

use std::fs;
use std::io::{self, Write};
use std::time::Duration;

/// How many lines the counting container writes.
pub(crate) const LINES: u32 = 30;
/// With what it ends.
pub(crate) const EXIT_CODE: i32 = 7;
const PAUSE: Duration = Duration::from_millis(50);

/// `look` tells what the container can see; `count` writes lines for a while and ends with a code of its own.
pub fn main() -> i32 {
    let told = match std::env::args().nth(2).as_deref() {
        Some("look") => look().map(|()| 0),
        Some("count") => count().map(|()| EXIT_CODE),
        _ => Ok(2),
    };
    told.unwrap_or(1)
}

fn look() -> io::Result<()> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let status = read("/proc/self/status");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    let mut root: Vec<String> =
        fs::read_dir("/")?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    root.sort();
    let links: Vec<String> = read("/proc/net/dev")
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.trim().to_owned())
        .collect();
    let mut out = io::stdout();
    writeln!(out, "I am process {} on host {}", std::process::id(), read("/etc/hostname").trim())?;
    writeln!(out, "my root holds {}", root.join(" "))?;
    writeln!(out, "my network has {}", links.join(" "))?;
    writeln!(out, "my capabilities are {}", field("CapEff:"))?;
    let written = fs::write("/written", "by the container");
    writeln!(out, "my own layer is {}", if written.is_ok() { "writable" } else { "read-only" })
}

fn count() -> io::Result<()> {
    for line in 1..=LINES {
        writeln!(io::stdout(), "line {line}")?;
        pause()?;
    }
    Ok(())
}

fn pause() -> io::Result<()> {
    let time = rustix::time::Timespec { tv_sec: 0, tv_nsec: PAUSE.subsec_nanos().into() };
    rustix::event::poll(&mut [], Some(&time))?;
    Ok(())
}
