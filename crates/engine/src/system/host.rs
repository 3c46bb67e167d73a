//! The machine: kernel, distribution, memory, processors.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// What doesn't change while an engine runs, read once at its start.
#[derive(Debug, Clone)]
pub struct Host {
    pub kernel_version: String,
    /// `uname -m`: `x86_64`.
    pub machine: String,
    pub name: String,
    /// `PRETTY_NAME` of os-release.
    pub operating_system: String,
    pub os_version: String,
    pub memory: i64,
    pub processors: i64,
}

impl Host {
    /// Asks the kernel and `/etc/os-release`. What can't be found out is empty or zero, as dockerd reports it.
    pub fn read() -> Self {
        let uname = rustix::system::uname();
        let info = rustix::system::sysinfo();
        let (operating_system, os_version) = os_release(Path::new("/etc/os-release"))
            .or_else(|| os_release(Path::new("/usr/lib/os-release")))
            .unwrap_or_default();
        Self {
            kernel_version: uname.release().to_string_lossy().into_owned(),
            machine: uname.machine().to_string_lossy().into_owned(),
            name: uname.nodename().to_string_lossy().into_owned(),
            operating_system,
            os_version,
            memory: memory(info.totalram, info.mem_unit),
            processors: std::thread::available_parallelism()
                .map_or(0, |count| i64::try_from(count.get()).unwrap_or(0)),
        }
    }

    /// The name that images use for this machine: `amd64`.
    pub fn image_architecture(&self) -> &str {
        match self.machine.as_str() {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "i686" | "i386" => "386",
            "armv7l" | "armv6l" => "arm",
            other => other,
        }
    }
}

/// Whether the kernel forwards IPv4 between interfaces now.
pub fn forwards_ipv4() -> bool {
    fs::read_to_string("/proc/sys/net/ipv4/ip_forward").is_ok_and(|text| text.trim() == "1")
}

/// How many descriptors this process has open.
pub fn open_descriptors() -> i64 {
    fs::read_dir("/proc/self/fd").map_or(-1, |entries| i64::try_from(entries.count()).unwrap_or(-1))
}

fn memory(units: impl TryInto<i64>, unit: u32) -> i64 {
    units.try_into().unwrap_or(0).saturating_mul(i64::from(unit))
}

fn os_release(path: &Path) -> Option<(String, String)> {
    let mut text = String::new();
    File::open(path).ok()?.take(64 * 1024).read_to_string(&mut text).ok()?;
    let value = |key: &str| {
        text.lines()
            .filter_map(|line| line.split_once('='))
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value.trim().trim_matches(['"', '\'']).to_owned())
    };
    Some((value("PRETTY_NAME").unwrap_or_default(), value("VERSION_ID").unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release_is_read_with_and_without_quotes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("os-release");
        fs::write(&path, "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=12\n").unwrap();
        let found = os_release(&path).unwrap();
        assert_eq!(found, ("Debian GNU/Linux 12 (bookworm)".to_owned(), "12".to_owned()));
    }
}
