//! The host's `resolv.conf`, followed when it changes.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Where systemd keeps those that its own resolver asks.
const BEHIND_SYSTEMD: &str = "/run/systemd/resolve/resolv.conf";
/// More than a person writes.
const LONGEST: u64 = 1 << 20;

/// Who the host asks.
#[derive(Debug)]
pub(crate) struct Resolvers {
    path: PathBuf,
    known: Mutex<Option<(Stamp, Vec<IpAddr>)>>,
}

/// Changes when the file does.
type Stamp = (u64, u64, i64, i64);

impl Resolvers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, known: Mutex::default() }
    }

    /// The file as it is; nothing where there is none.
    pub(crate) fn text(&self) -> String {
        read(&self.path)
    }

    /// The same for those who can't reach the host's loopback: behind a resolver of systemd's own, those that it asks.
    pub(crate) fn text_for_others(&self) -> String {
        let text = self.text();
        let servers = servers(&text);
        match !servers.is_empty() && servers.iter().all(|ip| ip.to_string() == "127.0.0.53") {
            true => Some(read(Path::new(BEHIND_SYSTEMD))).filter(|other| !other.is_empty()).unwrap_or(text),
            false => text,
        }
    }

    /// Who is asked from the host's own network, where its loopback is as good as any other address.
    pub(super) fn servers(&self) -> Vec<IpAddr> {
        let stamp = fs::metadata(&self.path)
            .map_or((0, 0, 0, 0), |meta| (meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((read_at, servers)) if *read_at == stamp => servers.clone(),
            _ => known.insert((stamp, servers(&self.text()))).1.clone(),
        }
    }
}

fn read(path: &Path) -> String {
    let too_long = fs::metadata(path).is_ok_and(|meta| meta.len() > LONGEST);
    if too_long { String::new() } else { fs::read_to_string(path).unwrap_or_default() }
}

/// The addresses on `nameserver` lines. One with a zone after it can't be asked from elsewhere.
pub(crate) fn servers(text: &str) -> Vec<IpAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        words.next().filter(|word| *word == "nameserver").and_then(|_| words.next()?.parse().ok())
    };
    text.lines().filter_map(server).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        let resolvers = Resolvers::new(path.clone());
        assert!(resolvers.servers().is_empty());
        fs::write(&path, "# nameserver 1.1.1.1\nnameserver\t9.9.9.9 \nnameserver nonsense\n").unwrap();
        assert_eq!(resolvers.servers(), ["9.9.9.9".parse::<IpAddr>().unwrap()]);
        fs::write(folder.path().join("new"), "nameserver ::1\nnameserver 8.8.8.8\n").unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        assert_eq!(resolvers.servers().len(), 2);
        assert_eq!(resolvers.text_for_others(), "nameserver ::1\nnameserver 8.8.8.8\n");
    }
}
