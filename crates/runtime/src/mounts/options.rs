//! Mount options: words that are attributes of the mount, words that are its propagation, and the file system's own.

use std::path::Path;

use sys::Propagation;

use crate::Error;

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) set: u64,
    pub(crate) clear: u64,
    pub(crate) bind: bool,
    pub(crate) recursive: bool,
    pub(crate) propagation: Option<Propagation>,
    /// For the file system: `size=64m`.
    pub(crate) data: Vec<String>,
}

/// `MOUNT_ATTR_*` of the access times, which are values of one field.
const NO_ATIME: u64 = 0x10;
const STRICT_ATIME: u64 = 0x20;
const NO_DIR_ATIME: u64 = 0x80;
const NO_SYMLINK_FOLLOW: u64 = 0x20_0000;

impl Options {
    pub(crate) fn parse(words: &[String], destination: &Path) -> Result<Self, Error> {
        let mut options = Self::default();
        for word in words {
            options.take(word, destination)?;
        }
        Ok(options)
    }

    fn take(&mut self, word: &str, destination: &Path) -> Result<(), Error> {
        let (set, clear) = match word {
            "defaults" | "async" | "relatime" | "norelatime" | "atime" => (0, 0),
            "ro" => (sys::READ_ONLY, 0),
            "rw" => (0, sys::READ_ONLY),
            "nosuid" => (sys::NO_SUID, 0),
            "suid" => (0, sys::NO_SUID),
            "nodev" => (sys::NO_DEVICES, 0),
            "dev" => (0, sys::NO_DEVICES),
            "noexec" => (sys::NO_EXEC, 0),
            "exec" => (0, sys::NO_EXEC),
            "noatime" => (NO_ATIME, 0),
            "strictatime" => (STRICT_ATIME, 0),
            "nodiratime" => (NO_DIR_ATIME, 0),
            "diratime" => (0, NO_DIR_ATIME),
            "nosymfollow" => (NO_SYMLINK_FOLLOW, 0),
            "symfollow" => (0, NO_SYMLINK_FOLLOW),
            _ => return self.take_other(word, destination),
        };
        // The later word wins, as for mount(8).
        self.set = (self.set & !clear) | set;
        self.clear = (self.clear & !set) | clear;
        Ok(())
    }

    fn take_other(&mut self, word: &str, destination: &Path) -> Result<(), Error> {
        match word {
            "bind" => self.bind = true,
            "rbind" => (self.bind, self.recursive) = (true, true),
            "private" | "rprivate" => self.propagation = Some(Propagation::Private),
            "slave" | "rslave" => self.propagation = Some(Propagation::Slave),
            "shared" | "rshared" => self.propagation = Some(Propagation::Shared),
            "unbindable" | "runbindable" => self.propagation = Some(Propagation::Unbindable),
            "tmpcopyup" | "idmap" | "ridmap" | "rro" | "rrw" | "rnosuid" | "rnodev" | "rnoexec" | "sync"
            | "dirsync" | "mand" | "remount" | "copy-symlink" => {
                return Err(Error::Unsupported(format!("mounts: {}: option {word}", destination.display())));
            }
            _ => self.data.push(word.to_owned()),
        }
        Ok(())
    }

    /// A bind has no file system of its own that could have options.
    pub(crate) fn refuse_data(&self, destination: &Path) -> Result<(), Error> {
        match self.data.first() {
            Some(word) => {
                Err(Error::Unsupported(format!("mounts: {}: option {word}", destination.display())))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options, Error> {
        Options::parse(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>(), Path::new("/x"))
    }

    #[test]
    fn the_later_word_wins_and_the_rest_is_the_file_system_s() {
        let options = parse(&["nosuid", "ro", "rw", "size=1m", "mode=755"]).unwrap();
        assert_eq!((options.set, options.clear), (sys::NO_SUID, sys::READ_ONLY));
        assert_eq!(options.data, ["size=1m", "mode=755"]);
    }

    #[test]
    fn what_is_not_built_is_refused_by_name() {
        assert_eq!(
            parse(&["tmpcopyup"]).unwrap_err().to_string(),
            "mounts: /x: option tmpcopyup is not supported"
        );
        let bind = parse(&["bind", "size=1"]).unwrap();
        assert!(bind.refuse_data(Path::new("/x")).is_err());
    }
}
