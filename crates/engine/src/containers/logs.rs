//! Reading what a container wrote: Docker's `json-file` format, oldest line first, across rotated files, and following.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::inotify;
use serde::Deserialize;

use super::config;
use crate::Error;
use crate::ready::Readable;

/// A line of the file: 16 KiB of text, at worst each byte as `\u00xx`, and what is around it.
const MAX_LINE: u64 = 256 * 1024;

/// Which stream a line was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    Stdout,
    Stderr,
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Line {
    pub log: String,
    pub stream: Stream,
    /// RFC 3339 with nanoseconds, as written.
    pub time: String,
}

/// What of the log is wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub stdout: bool,
    pub stderr: bool,
    pub since: Option<SystemTime>,
    pub until: Option<SystemTime>,
    /// The last so many lines; all without it.
    pub tail: Option<usize>,
}

impl Wanted {
    fn admits(&self, line: &Line) -> bool {
        let stream = match line.stream {
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
        };
        stream && self.admits_time(&line.time)
    }

    fn admits_time(&self, text: &str) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return true;
        }
        let Ok(time) = text.parse::<jiff::Timestamp>() else { return true };
        let time = SystemTime::from(time);
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time <= until)
    }
}

/// The shim's log settings for what a client asked for; unknown drivers and options are refused by name.
pub fn configure(asked: &config::LogConfig, path: &Path) -> Result<shim::LogConfig, Error> {
    match asked.r#type.as_str() {
        "none" => Ok(shim::LogConfig::None),
        "json-file" => {
            let mut file = shim::JsonFile::bounded(path.to_owned());
            for (key, value) in &asked.config {
                match key.as_str() {
                    "max-size" => file.max_size = size(value)?,
                    "max-file" => file.max_files = count(value)?,
                    _ => return Err(unsupported(format!("log option {key}"))),
                }
            }
            Ok(shim::LogConfig::JsonFile(file))
        }
        "awslogs" | "gcplogs" | "splunk" | "etwlogs" | "fluentd" | "gelf" | "journald" | "local"
        | "syslog" => Err(unsupported(format!("log driver {}", asked.r#type))),
        other => Err(Error::Device(format!(
            "error looking up logging plugin {other}: plugin \"{other}\" not found"
        ))),
    }
}

fn unsupported(feature: String) -> Error {
    Error::Unsupported { feature, instead: Some("use `json-file` or `none`".into()) }
}

fn size(text: &str) -> Result<u64, Error> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: u64 = match &lower[digits.len()..] {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => 0,
    };
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    bytes
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| Error::Invalid(format!("invalid value for max-size: {text}")))
}

fn count(text: &str) -> Result<u32, Error> {
    let number = text.parse().ok().filter(|number| (1..=1000).contains(number));
    number.ok_or_else(|| Error::Invalid(format!("invalid value for max-file: {text}")))
}

/// Reads the log up to its present end, calling `each` for every wanted line. Blocking. Returns where to go on from.
pub fn read(
    path: &Path,
    wanted: &Wanted,
    mut each: impl FnMut(Line) -> io::Result<()>,
) -> Result<Position, Error> {
    let failed = |source| Error::File { doing: "read", path: path.to_owned(), source };
    let mut position = Position { path: path.to_owned(), file: None, partial: Vec::new() };
    let mut kept = VecDeque::new();
    let mut take = |line: Line| match wanted.tail {
        None => each(line),
        Some(0) => Ok(()),
        Some(limit) => {
            if kept.len() == limit {
                kept.pop_front();
            }
            kept.push_back(line);
            Ok(())
        }
    };
    for rotated in rotated_files(path).map_err(failed)? {
        let mut older = Position { path: rotated.clone(), file: None, partial: Vec::new() };
        older.advance(wanted, &mut take).map_err(failed)?;
    }
    position.advance(wanted, &mut take).map_err(failed)?;
    for line in kept {
        each(line).map_err(failed)?;
    }
    Ok(position)
}

/// `<path>.N`, oldest first.
fn rotated_files(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for number in 1.. {
        let rotated = PathBuf::from(format!("{}.{number}", path.display()));
        if !rotated.try_exists()? {
            break;
        }
        files.push(rotated);
    }
    files.reverse();
    Ok(files)
}

/// Where a reader has got to.
#[derive(Debug)]
pub struct Position {
    path: PathBuf,
    file: Option<BufReader<File>>,
    /// The beginning of a line whose end isn't written yet.
    partial: Vec<u8>,
}

impl Position {
    /// Reads what has been added. A file that was rotated away is read to its end first, then the new one.
    pub fn advance(
        &mut self,
        wanted: &Wanted,
        each: &mut dyn FnMut(Line) -> io::Result<()>,
    ) -> io::Result<()> {
        loop {
            let Some(file) = &mut self.file else {
                match File::open(&self.path) {
                    Ok(file) => self.file = Some(BufReader::new(file)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                    Err(error) => return Err(error),
                }
                continue;
            };
            while read_line(file, &mut self.partial)? {
                let line = std::mem::take(&mut self.partial);
                match serde_json::from_slice::<Line>(&line) {
                    Ok(line) if wanted.admits(&line) => each(line)?,
                    Ok(_) => {}
                    // A torn line after a power cut: the rest of the log is still good.
                    Err(error) => tracing::debug!(%error, "a damaged line in a log"),
                }
            }
            if !was_rotated(file.get_ref(), &self.path)? {
                return Ok(());
            }
            self.partial.clear();
            self.file = None;
        }
    }
}

/// Whether a whole line is in `line` now.
fn read_line(file: &mut BufReader<File>, line: &mut Vec<u8>) -> io::Result<bool> {
    use io::Read as _;
    let left = MAX_LINE.saturating_sub(line.len() as u64);
    file.take(left.max(1)).read_until(b'\n', line)?;
    Ok(line.last() == Some(&b'\n') || line.len() as u64 >= MAX_LINE)
}

fn was_rotated(open: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    match std::fs::metadata(path) {
        Ok(now) => Ok(now.ino() != open.metadata()?.ino()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Wakes a reader when a log may have grown.
#[derive(Debug)]
pub struct Growth(Readable);

impl Growth {
    /// Watches the folder that holds the log: the file itself is replaced when it rotates.
    pub fn watch(path: &Path) -> Result<Self, Error> {
        let failed = |source: io::Error| Error::File { doing: "watch", path: path.to_owned(), source };
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let watcher = inotify::init(flags).map_err(|e| failed(e.into()))?;
        let interest =
            inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
        let folder = path.parent().unwrap_or(path);
        inotify::add_watch(&watcher, folder, interest).map_err(|e| failed(e.into()))?;
        Readable::new(watcher).map(Self).map_err(failed)
    }

    /// Waits for a change. What happened before is told once.
    pub async fn changed(&mut self) -> io::Result<()> {
        self.0.wait().await?;
        let mut buffer = [0; 4096];
        // Many changes are one reason to look.
        while matches!(self.0.read(&mut buffer), Ok(1..)) {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn entry(text: &str, stream: &str, second: u32) -> String {
        format!(
            "{{\"log\":\"{text}\\n\",\"stream\":\"{stream}\",\"time\":\"2026-01-01T00:00:{second:02}.5Z\"}}\n"
        )
    }

    fn all() -> Wanted {
        Wanted { stdout: true, stderr: true, ..Wanted::default() }
    }

    fn lines(path: &Path, wanted: &Wanted) -> Vec<String> {
        let mut lines = Vec::new();
        read(path, wanted, |line| {
            lines.push(line.log.trim_end().to_owned());
            Ok(())
        })
        .unwrap();
        lines
    }

    #[test]
    fn rotated_files_come_first_and_oldest_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, entry("c", "stdout", 3)).unwrap();
        std::fs::write(dir.path().join("log.1"), entry("b", "stderr", 2)).unwrap();
        std::fs::write(dir.path().join("log.2"), entry("a", "stdout", 1)).unwrap();
        assert_eq!(lines(&path, &all()), ["a", "b", "c"]);
        assert_eq!(lines(&path, &Wanted { stderr: false, ..all() }), ["a", "c"]);
        assert_eq!(lines(&path, &Wanted { tail: Some(2), ..all() }), ["b", "c"]);
        let since = Some(SystemTime::from("2026-01-01T00:00:02Z".parse::<jiff::Timestamp>().unwrap()));
        assert_eq!(lines(&path, &Wanted { since, ..all() }), ["b", "c"]);
    }

    #[test]
    fn following_crosses_a_rotation_and_waits_for_the_end_of_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let whole = entry("b", "stdout", 2);
        std::fs::write(&path, format!("{}{}", entry("a", "stdout", 1), &whole[..10])).unwrap();
        let mut seen = Vec::new();
        let mut each = |line: Line| {
            seen.push(line.log.trim_end().to_owned());
            Ok(())
        };
        let mut position = read(&path, &all(), &mut each).unwrap();
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(&whole.as_bytes()[10..]).unwrap();
        std::fs::rename(&path, dir.path().join("log.1")).unwrap();
        std::fs::write(&path, entry("c", "stdout", 3)).unwrap();
        position.advance(&all(), &mut each).unwrap();
        assert_eq!(seen, ["a", "b", "c"]);
    }

    #[test]
    fn a_damaged_line_hides_only_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, format!("{}\0\0\0\n{}", entry("a", "stdout", 1), entry("b", "stdout", 2)))
            .unwrap();
        assert_eq!(lines(&path, &all()), ["a", "b"]);
    }
}
