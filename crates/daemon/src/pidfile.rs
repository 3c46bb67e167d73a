//! The pid file: refuses when its process lives, removed when the engine ends.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::listen::make_folder;

/// Our pid, on disk until this goes.
#[derive(Debug)]
pub(crate) struct PidFile(PathBuf);

impl PidFile {
    /// Writes our pid. A file of a process that lives is refused; one that was left behind is replaced.
    pub(crate) fn write(path: &Path) -> Result<Self, Error> {
        let me = std::process::id();
        if let Some(pid) = read(path).filter(|pid| *pid != me && is_alive(*pid)) {
            return Err(Error::StillRunning { pid, pidfile: path.to_owned() });
        }
        if let Some(folder) = path.parent() {
            make_folder(folder).map_err(|source| failed("create", folder, source))?;
        }
        fs::write(path, me.to_string()).map_err(|source| failed("write", path, source))?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.0.display(), %error, "cannot remove the pid file");
            }
            _ => {}
        }
    }
}

fn failed(doing: &'static str, path: &Path, source: io::Error) -> Error {
    Error::File { doing, path: path.to_owned(), source }
}

fn read(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// A process of that number that isn't a zombie. A pid is reused, so an engine's is told by what it runs.
fn is_alive(pid: u32) -> bool {
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    !command.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_process_is_respected_and_a_dead_one_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/ketch.pid");
        fs::create_dir(path.parent().unwrap()).unwrap();
        fs::write(&path, "1").unwrap();
        assert!(matches!(PidFile::write(&path), Err(Error::StillRunning { pid: 1, .. })));
        for dead in ["999999999", "garbage", ""] {
            fs::write(&path, dead).unwrap();
            let file = PidFile::write(&path).unwrap();
            assert_eq!(read(&path), Some(std::process::id()));
            drop(file);
            assert!(!path.exists());
        }
    }
}
