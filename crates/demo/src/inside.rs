//! What runs inside the demo's containers.

use std::fs;
use std::io::{self, Read as _, Write};
use std::net::TcpListener;
use std::time::Duration;

/// How many lines the counting container writes.
pub(crate) const LINES: u32 = 30;
/// With what it ends.
pub(crate) const EXIT_CODE: i32 = 7;
/// How often a service is tried that doesn't answer.
const VISITS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(50);

/// `look` tells what the container can see; `serve` counts its visitors; `visit` asks a service by its name; `count` writes lines for a while and ends with a code of its own.
pub fn main() -> i32 {
    let told = match std::env::args().nth(2).as_deref() {
        Some("look") => look().map(|()| 0),
        Some("serve") => serve().map(|()| 0),
        Some("visit") => visit().map(|()| 0),
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
    root.sort_unstable();
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
    let users = read("/proc/self/uid_map");
    let mut users = users.split_whitespace().skip(1);
    if let Some(host) = users.next().filter(|host| *host != "0") {
        writeln!(out, "I am root, whom the host knows as user {host}")?;
    }
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

/// Greets each visitor with the number that it has, which is kept in a volume.
fn serve() -> io::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", 80))?;
    for stream in listener.incoming() {
        let mut stream = stream?;
        let mut request = [0; 1024];
        let _ = stream.read(&mut request)?;
        // Anew for each visitor: somebody may change it meanwhile.
        let greeting = fs::read_to_string("/greeting.txt")?;
        let before = fs::read_to_string("/data/count").ok().and_then(|text| text.parse::<u32>().ok());
        let visitor = before.unwrap_or(0).saturating_add(1);
        fs::write("/data/count", visitor.to_string())?;
        let page = format!("{greeting}, visitor {visitor}\n");
        let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", page.len());
        stream.write_all((head + &page).as_bytes())?;
    }
    Ok(())
}

fn visit() -> io::Result<()> {
    let host = std::env::args().nth(3).unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut left = VISITS;
    let stream = loop {
        match runtime.block_on(dial::connect(&host, 80)) {
            Ok(stream) => break stream.into_std()?,
            // The service runs and doesn't listen yet.
            Err(_) if left > 0 => left -= 1,
            Err(error) => return Err(error),
        }
        pause()?;
    };
    stream.set_nonblocking(false)?;
    let mut stream = stream;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    write!(io::stdout(), "{host} says: {}", answer.split("\r\n\r\n").nth(1).unwrap_or_default())
}

fn pause() -> io::Result<()> {
    let time = rustix::time::Timespec { tv_sec: 0, tv_nsec: PAUSE.subsec_nanos().into() };
    rustix::event::poll(&mut [], Some(&time))?;
    Ok(())
}
