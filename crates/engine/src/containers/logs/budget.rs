//! The budget of all logs together: beyond it the oldest of the files that were rotated away go, whosever they are.
//!
//! A log is bounded by its own options, and many bounded logs still fill a disk. Logs grow by beginning new files, which
//! their shims tell; only then, at a container's end, and when the engine starts, is anything looked at. Meanwhile each file
//! that is written to may come to its own limit.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

use crate::settings::LogBudget;

const LEAST: u64 = 1_000_000_000;

/// From one look to the next: each looks at every container's folder, and where there are hundreds, one ends all the time.
const PAUSE: Duration = Duration::from_secs(1);

/// Where it is told that logs may have grown.
#[derive(Debug, Default)]
pub(crate) struct Budget(Arc<Notify>);

/// A file of a log that isn't written to any more.
struct Old {
    written: SystemTime,
    size: u64,
    path: PathBuf,
}

impl Budget {
    /// Watches over the logs below a folder of containers, for as long as the engine lives.
    pub(crate) fn keep(&self, containers: PathBuf, budget: LogBudget) {
        let grown = self.0.clone();
        if budget == LogBudget::None {
            return;
        }
        grown.notify_one();
        tasks::spawn(async move {
            loop {
                grown.notified().await;
                let folder = containers.clone();
                // A panic or a shutdown: the next engine looks again.
                let _ = tasks::blocking(move || enforce(&folder, limit(&folder, budget))).await;
                tokio::time::sleep(PAUSE).await;
            }
        });
    }

    pub(crate) fn may_have_grown(&self) {
        self.0.notify_one();
    }
}

fn limit(folder: &Path, budget: LogBudget) -> u64 {
    match budget {
        LogBudget::Bytes(bytes) => bytes,
        LogBudget::None => u64::MAX,
        LogBudget::OfDisk => {
            let size = rustix::fs::statvfs(folder).map_or(u64::MAX, |fs| fs.f_frsize * fs.f_blocks);
            LEAST.max(size / 50)
        }
    }
}

/// Removes old files until all logs together fit, or none is left.
fn enforce(containers: &Path, limit: u64) {
    let (mut total, mut old) = (0, Vec::new());
    for container in folders(containers) {
        for folder in [container.join("local-logs"), container] {
            // What can't be listed has been removed meanwhile.
            total += measure(&folder, &mut old).unwrap_or(0);
        }
    }
    old.sort_unstable_by_key(|file| file.written);
    for file in old {
        if total <= limit {
            return;
        }
        tracing::info!(path = %file.path.display(), "all logs together are too large: the oldest lines go");
        match fs::remove_file(&file.path) {
            Ok(()) => total -= file.size,
            Err(error) => tracing::debug!(%error, "an old log file is gone already"),
        }
    }
}

fn folders(path: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// The size of all log files in a folder; those that are not written to any more go to `old`.
fn measure(folder: &Path, old: &mut Vec<Old>) -> io::Result<u64> {
    let mut total = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some((_, rest)) = name.to_str().and_then(|name| name.split_once(".log")) else { continue };
        let meta = entry.metadata()?;
        if !meta.is_file() {
            continue;
        }
        let size = meta.blocks() * 512;
        total += size;
        if is_rotated(rest) {
            old.push(Old { written: meta.modified()?, size, path: entry.path() });
        }
    }
    Ok(total)
}

/// `.3` or `.3.gz`.
fn is_rotated(suffix: &str) -> bool {
    let number = suffix.strip_prefix('.').map(|rest| rest.strip_suffix(".gz").unwrap_or(rest));
    number.is_some_and(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_files_of_all_go_and_none_that_is_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, age: u64| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, vec![1; 100_000]).unwrap();
            let time = SystemTime::now() - std::time::Duration::from_secs(age);
            fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        };
        for (name, age) in [
            ("a/a-json.log", 9),
            ("a/a-json.log.1", 20),
            ("a/a-json.log.2.gz", 40),
            ("b/local-logs/container.log", 90),
            ("b/local-logs/container.log.1.gz", 30),
            ("b/hosts", 99),
        ] {
            write(name, age);
        }
        let left = |limit| {
            enforce(folder.path(), limit);
            let exists = |name: &str| folder.path().join(name).exists();
            [
                exists("a/a-json.log.2.gz"),
                exists("b/local-logs/container.log.1.gz"),
                exists("a/a-json.log.1"),
                exists("a/a-json.log") && exists("b/local-logs/container.log") && exists("b/hosts"),
            ]
        };
        assert_eq!(left(u64::MAX), [true, true, true, true]);
        assert_eq!(left(450_000), [false, true, true, true]);
        assert_eq!(left(320_000), [false, false, true, true]);
        assert_eq!(left(0), [false, false, false, true]);
    }

    #[test]
    fn what_was_rotated_has_a_number() {
        for (suffix, is) in [(".1", true), (".12.gz", true), ("", false), (".", false), (".1.new", false)] {
            assert_eq!(is_rotated(suffix), is, "{suffix}");
        }
    }
}
