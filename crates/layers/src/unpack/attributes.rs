//! Owner, mode, times and extended attributes of an entry, from its header and its PAX records.

use std::io::Read;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::place::Place;
use crate::Error;

/// On a directory: overlayfs looks no further down.
pub(crate) const OPAQUE: &str = "trusted.overlay.opaque";
const XATTR: &str = "SCHILY.xattr.";
/// overlayfs' own attributes, with which a layer could point anywhere below; only we may write them.
const RESERVED: [&str; 2] = ["trusted.overlay.", "user.overlay."];

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: i64,
}

#[derive(Debug)]
pub(crate) struct Attributes {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Whether the owner is set at all; without, this is somebody's own tree and he may be anybody.
    pub(crate) owned: bool,
    pub(crate) mode: u32,
    pub(crate) times: Times,
    pub(crate) xattrs: Vec<(String, Vec<u8>)>,
}

impl Attributes {
    pub(super) fn read(entry: &mut tar::Entry<'_, impl Read>, place: &Place) -> Result<Self, Error> {
        let header = entry.header();
        let bad = |_| place.refuse("has a malformed header");
        let field = |raw: &[u8], read: fn(&tar::Header) -> std::io::Result<u64>| match is_empty(raw) {
            true => Ok(0),
            false => read(header).map_err(bad),
        };
        let raw = header.as_old();
        let mut uid = field(&raw.uid, tar::Header::uid)?;
        let mut gid = field(&raw.gid, tar::Header::gid)?;
        let mode = field(&raw.mode, |header| header.mode().map(u64::from))? as u32 & 0o7777;
        let mut times = Times { seconds: field(&raw.mtime, tar::Header::mtime)? as i64, nanoseconds: 0 };
        let mut xattrs = Vec::new();
        for record in entry.pax_extensions().map_err(bad)?.into_iter().flatten() {
            let record = record.map_err(bad)?;
            let key = record.key().map_err(|_| place.refuse("has a malformed header"))?;
            let text = || record.value().ok();
            match key {
                "uid" => uid = number(text(), place)?,
                "gid" => gid = number(text(), place)?,
                "mtime" => {
                    let value = text().and_then(Times::parse);
                    times = value.ok_or_else(|| place.refuse("has a malformed modification time"))?;
                }
                _ if key.starts_with("GNU.sparse.") => {
                    return Err(place.refuse("is sparse in PAX's way, which layers don't use"));
                }
                _ => xattrs.extend(xattr(key, record.value_bytes())),
            }
        }
        Ok(Self { uid: id(uid, place)?, gid: id(gid, place)?, owned: true, mode, times, xattrs })
    }

    /// Everything but the times, on an open file or directory.
    pub(super) fn apply_to(&self, file: BorrowedFd<'_>, place: &Place) -> Result<(), Error> {
        if self.owned {
            rustix::fs::fchown(file, Some(self.owner()), Some(self.group()))
                .map_err(|e| place.failed("chown", e))?;
        }
        // After the owner, which clears the set-user-id bit.
        rustix::fs::fchmod(file, Mode::from_raw_mode(self.mode)).map_err(|e| place.failed("chmod", e))?;
        for (name, value) in &self.xattrs {
            match rustix::fs::fsetxattr(file, name, value, XattrFlags::empty()) {
                // The file system has no such attributes; Docker goes on as well.
                Ok(()) | Err(Errno::OPNOTSUPP) => {}
                Err(Errno::PERM) if !self.owned => {}
                Err(e) => return Err(place.failed("set an extended attribute of", e)),
            }
        }
        Ok(())
    }

    /// Owner and times of a symlink; it has no mode.
    pub(super) fn apply_to_link(&self, parent: BorrowedFd<'_>, place: &Place) -> Result<(), Error> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        if self.owned {
            rustix::fs::chownat(parent, place.single(), Some(self.owner()), Some(self.group()), flags)
                .map_err(|e| place.failed("chown", e))?;
        }
        rustix::fs::utimensat(parent, place.single(), &self.times.both(), flags)
            .map_err(|e| place.failed("set the times of", e))
    }

    /// The same and the mode, of a device or FIFO that was just made there: opening one may block or do things.
    pub(super) fn apply_to_node(&self, parent: BorrowedFd<'_>, place: &Place) -> Result<(), Error> {
        self.apply_to_link(parent, place)?;
        // By a descriptor: in a live container the name may stand for a link by now, and the kernel would follow it.
        let look = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let node = rustix::fs::openat(parent, place.single(), look, Mode::empty())
            .map_err(|e| place.failed("open", e))?;
        let itself = format!("/proc/self/fd/{}", node.as_raw_fd());
        rustix::fs::chmod(itself, Mode::from_raw_mode(self.mode)).map_err(|e| place.failed("chmod", e))
    }

    fn owner(&self) -> Uid {
        Uid::from_raw(self.uid)
    }

    fn group(&self) -> Gid {
        Gid::from_raw(self.gid)
    }
}

impl Times {
    pub(super) fn apply_to(&self, file: BorrowedFd<'_>, place: &Place) -> Result<(), Error> {
        rustix::fs::futimens(file, &self.both()).map_err(|e| place.failed("set the times of", e))
    }

    fn both(&self) -> Timestamps {
        let time = Timespec { tv_sec: self.seconds, tv_nsec: self.nanoseconds };
        Timestamps { last_access: time, last_modification: time }
    }

    /// PAX's decimal seconds: `-1.5` is half a second before the second before the epoch.
    fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let negative = whole.starts_with('-');
        let seconds: i64 = whole.parse().ok()?;
        if fraction.len() > 100 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let digits = format!("{fraction:0<9.9}");
        let nanoseconds: i64 = digits.parse().ok()?;
        Some(match negative && nanoseconds > 0 {
            true => Self { seconds: seconds.checked_sub(1)?, nanoseconds: 1_000_000_000 - nanoseconds },
            false => Self { seconds, nanoseconds },
        })
    }
}

/// A number that its writer left out; Go's reader, and so dockerd, takes it for 0.
fn is_empty(field: &[u8]) -> bool {
    field.iter().all(|byte| matches!(byte, 0 | b' '))
}

fn number(text: Option<&str>, place: &Place) -> Result<u64, Error> {
    text.and_then(|t| t.parse().ok()).ok_or_else(|| place.refuse("has a malformed owner"))
}

fn id(value: u64, place: &Place) -> Result<u32, Error> {
    // The last value means "leave as it is" to the kernel.
    u32::try_from(value)
        .ok()
        .filter(|id| *id != u32::MAX)
        .ok_or_else(|| place.refuse("has an owner out of range"))
}

fn xattr(key: &str, value: &[u8]) -> Option<(String, Vec<u8>)> {
    let name = key.strip_prefix(XATTR)?;
    let reserved = RESERVED.iter().any(|prefix| name.starts_with(prefix));
    (!reserved).then(|| (name.to_owned(), value.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_nanoseconds_and_may_lie_before_the_epoch() {
        let times = |seconds, nanoseconds| Some(Times { seconds, nanoseconds });
        assert_eq!(Times::parse("12"), times(12, 0));
        assert_eq!(Times::parse("12.5"), times(12, 500_000_000));
        assert_eq!(Times::parse("12.0123456789"), times(12, 12_345_678));
        assert_eq!(Times::parse("-1.5"), times(-2, 500_000_000));
        assert_eq!(Times::parse("1.x"), None);
        assert_eq!(Times::parse(""), None);
    }
}
