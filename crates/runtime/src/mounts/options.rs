//! Mount options: words that are attributes of the mount, words that are its propagation, and the file system's own.

use std::os::fd::BorrowedFd;
use std::path::Path;

use oci_spec::runtime::Mount;
use sys::{MountAttributes, Propagation};

use crate::Error;
use crate::error::Doing;

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// `MOUNT_ATTR_*` of the mount itself.
    pub(crate) set: u64,
    clear: u64,
    /// The same for it and all that is mounted below.
    deep_set: u64,
    deep_clear: u64,
    pub(crate) bind: bool,
    pub(crate) recursive: bool,
    propagation: Option<(Propagation, bool)>,
    pub(crate) copy_up: bool,
    /// `idmap`, or with what is mounted below `ridmap`.
    pub(crate) id_map: Option<bool>,
    /// For the file system: `size=64m`.
    pub(crate) data: Vec<String>,
}

const ATIME: u64 = 0x70;
const NO_ATIME: u64 = 0x10;
const STRICT_ATIME: u64 = 0x20;
const NO_DIR_ATIME: u64 = 0x80;
const NO_SYMLINK_FOLLOW: u64 = 0x20_0000;

/// The words for attributes, with the bits that they set and clear; with an `r` before them, for all mounts below, too.
/// The modes of access times are values of one field, of which `relatime` is zero.
pub(crate) const ATTRIBUTES: [(&str, u64, u64); 16] = [
    ("ro", sys::READ_ONLY, 0),
    ("rw", 0, sys::READ_ONLY),
    ("nosuid", sys::NO_SUID, 0),
    ("suid", 0, sys::NO_SUID),
    ("nodev", sys::NO_DEVICES, 0),
    ("dev", 0, sys::NO_DEVICES),
    ("noexec", sys::NO_EXEC, 0),
    ("exec", 0, sys::NO_EXEC),
    ("noatime", NO_ATIME, ATIME & !NO_ATIME),
    ("strictatime", STRICT_ATIME, ATIME & !STRICT_ATIME),
    ("relatime", 0, ATIME),
    ("atime", 0, NO_ATIME),
    ("nodiratime", NO_DIR_ATIME, 0),
    ("diratime", 0, NO_DIR_ATIME),
    ("nosymfollow", NO_SYMLINK_FOLLOW, 0),
    ("symfollow", 0, NO_SYMLINK_FOLLOW),
];
/// Words that change nothing: they say what is so anyhow.
pub(crate) const PLAIN: [&str; 4] = ["defaults", "async", "norelatime", "nostrictatime"];
pub(crate) const PROPAGATIONS: [(&str, Propagation); 4] = [
    ("private", Propagation::Private),
    ("slave", Propagation::Slave),
    ("shared", Propagation::Shared),
    ("unbindable", Propagation::Unbindable),
];

impl Options {
    pub(crate) fn parse(words: &[String], destination: &Path) -> Result<Self, Error> {
        let mut options = Self::default();
        for word in words {
            options.take(word, destination)?;
        }
        Ok(options)
    }

    fn take(&mut self, word: &str, destination: &Path) -> Result<(), Error> {
        let attribute = |word: &str| ATTRIBUTES.iter().find(|(name, ..)| *name == word);
        if let Some((_, set, clear)) = attribute(word) {
            // The later word wins, as for mount(8).
            self.set = (self.set & !clear) | set;
            self.clear = (self.clear & !set) | clear;
            return Ok(());
        }
        if let Some((_, set, clear)) = word.strip_prefix('r').and_then(attribute) {
            self.deep_set = (self.deep_set & !clear) | set;
            self.deep_clear = (self.deep_clear & !set) | clear;
            return Ok(());
        }
        let propagation = |word: &str| PROPAGATIONS.iter().find(|(name, _)| *name == word).map(|(_, p)| *p);
        let shallow = propagation(word).map(|p| (p, false));
        if let Some(found) = shallow.or(word.strip_prefix('r').and_then(propagation).map(|p| (p, true))) {
            self.propagation = Some(found);
            return Ok(());
        }
        self.take_other(word, destination)
    }

    fn take_other(&mut self, word: &str, destination: &Path) -> Result<(), Error> {
        match word {
            "bind" => self.bind = true,
            "rbind" => (self.bind, self.recursive) = (true, true),
            "tmpcopyup" => self.copy_up = true,
            "idmap" => self.id_map = Some(false),
            "ridmap" => self.id_map = Some(true),
            "remount" | "copy-symlink" | "nostrictatime" => {
                return Err(Error::Unsupported(format!("mounts: {}: option {word}", destination.display())));
            }
            plain if PLAIN.contains(&plain) => {}
            _ => self.data.push(word.to_owned()),
        }
        Ok(())
    }

    /// A bind has no file system of its own that could have options.
    pub(crate) fn refuse_data(&self, destination: &Path) -> Result<(), Error> {
        let word = self.data.first().map(String::as_str).or(self.copy_up.then_some("tmpcopyup"));
        match word {
            Some(word) => {
                Err(Error::Unsupported(format!("mounts: {}: option {word}", destination.display())))
            }
            None => Ok(()),
        }
    }

    /// A new file system belongs to the container's users already.
    pub(crate) fn refuse_id_map(&self, mount: &Mount) -> Result<(), Error> {
        if self.id_map.is_some() || mount.uid_mappings().is_some() || mount.gid_mappings().is_some() {
            let destination = mount.destination().display();
            return Err(Error::Unsupported(format!("mounts: {destination}: uidMappings of what is no bind")));
        }
        Ok(())
    }

    /// A new mount is made with the attributes that it is to have, and is private.
    pub(crate) fn say_more_than_new(&self) -> bool {
        self.propagation.is_some() || self.deep_set != 0 || self.deep_clear != 0
    }

    /// Gives a mount its attributes and its propagation.
    pub(crate) fn apply(&self, mount: BorrowedFd<'_>, destination: &Path) -> Result<(), Error> {
        // A mount shares nothing with the host unless that was asked for.
        let (propagation, deep) = self.propagation.unwrap_or((Propagation::Private, self.recursive));
        let plain = |set, clear, recursive| MountAttributes { set, clear, propagation: None, recursive };
        let changes = [
            MountAttributes { propagation: Some(propagation), recursive: deep, ..MountAttributes::default() },
            plain(self.deep_set, self.deep_clear, true),
            plain(self.set, self.clear, false),
        ];
        let doing = format!("set the options of the mount {}", destination.display());
        let nothing = MountAttributes::default();
        let changes =
            changes.into_iter().filter(|change| MountAttributes { recursive: false, ..*change } != nothing);
        changes.into_iter().try_for_each(|change| sys::set_mount_attributes(mount, change)).doing(&doing)
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
        let options = parse(&["rro", "rnosuid", "rsuid", "rslave"]).unwrap();
        assert_eq!((options.deep_set, options.deep_clear), (sys::READ_ONLY, sys::NO_SUID));
        assert_eq!((options.set, options.propagation), (0, Some((Propagation::Slave, true))));
    }

    #[test]
    fn what_is_not_built_is_refused_by_name() {
        let refusal = parse(&["copy-symlink"]).unwrap_err().to_string();
        assert_eq!(refusal, "mounts: /x: option copy-symlink is not supported");
        let bind = parse(&["bind", "size=1"]).unwrap();
        assert!(bind.refuse_data(Path::new("/x")).is_err());
    }
}
