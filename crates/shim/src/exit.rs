//! `exit.json`: how process 1 ended, on disk before anybody is told.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use crate::Error;
use crate::protocol::Exit;

const FILE: &str = "exit.json";
const TEMPORARY: &str = "exit.json.new";
const MAX_SIZE: u64 = 4096;

/// Whatever happens meanwhile, the file is there whole or not at all; after a power cut only if it is `lasting`, which takes a disk a millisecond and more.
pub(crate) fn write(container_dir: &Path, exit: &Exit, lasting: bool) -> io::Result<()> {
    let temporary = container_dir.join(TEMPORARY);
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec(exit)?)?;
    if lasting {
        file.sync_all()?;
    }
    fs::rename(&temporary, container_dir.join(FILE))?;
    if lasting { File::open(container_dir)?.sync_all() } else { Ok(()) }
}

/// How the container's last run ended, if its shim put that on disk.
pub fn read_exit(container_dir: &Path) -> Result<Option<Exit>, Error> {
    let path = container_dir.join(FILE);
    let mut text = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(MAX_SIZE).read_to_end(&mut text));
    match read {
        Ok(_) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|source| Error::ReadExit { path, source: source.into() }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::ReadExit { path, source }),
    }
}

/// Forgets the last run, before a next one.
pub fn forget_exit(container_dir: &Path) -> Result<(), Error> {
    let path = container_dir.join(FILE);
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::ForgetExit { path, source }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_is_there_whole_however_long_it_is_to_last() {
        let folder = tempfile::tempdir().unwrap();
        for lasting in [false, true] {
            let exit = Exit { code: 7, signal: None, oom_killed: false, at: 1 };
            write(folder.path(), &exit, lasting).unwrap();
            assert_eq!(read_exit(folder.path()).unwrap().map(|exit| exit.code), Some(7));
            assert!(!folder.path().join(TEMPORARY).exists());
            forget_exit(folder.path()).unwrap();
            assert!(read_exit(folder.path()).unwrap().is_none());
        }
    }
}
