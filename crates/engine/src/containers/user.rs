//! Who a container runs as: `user`, `user:group`, numbers or names from the image's own files.
//!
//! A string of digits is a number, anything else is a name; a name that the image doesn't know is an error, never a
//! fallback.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use crate::Error;

/// No real `/etc/passwd` or `/etc/group` is longer, and no line of one.
const MAX_FILE: u64 = 8 << 20;
const MAX_LINE: usize = 1 << 20;
/// The kernel takes no more groups.
const MAX_GROUPS: usize = 65536;

/// A resolved identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub home: String,
}

/// Resolves what `--user` or the image says, inside the root file system.
pub(super) fn resolve(given: &str, root: BorrowedFd<'_>) -> Result<User, Error> {
    identify(given, &mut open(root, "etc/passwd")?, &mut open(root, "etc/group")?)
}

/// A group by number or name, inside the root file system.
pub(super) fn group(given: &str, root: BorrowedFd<'_>) -> Result<u32, Error> {
    group_id(given, &mut open(root, "etc/group")?)
}

fn identify<F: Read + Seek>(given: &str, passwd: &mut Table<F>, group: &mut Table<F>) -> Result<User, Error> {
    let (name, group_name) = match given.split_once(':') {
        Some((name, group)) => (name, Some(group).filter(|group| !group.is_empty())),
        None => (given, None),
    };
    let name = if name.is_empty() { "0" } else { name };
    let by_number = number(name)?;
    let entry = passwd.find(|fields| match by_number {
        Some(uid) => id(fields, 2) == Some(uid),
        None => fields[0] == name && id(fields, 2).is_some(),
    })?;
    let entry: Vec<&str> = entry.iter().flat_map(|line| line.split(':')).collect();
    let uid = by_number.or_else(|| id(&entry, 2)).ok_or_else(|| {
        Error::Invalid(format!("unable to find user {name}: no matching entries in passwd file"))
    })?;
    let primary = id(&entry, 3).unwrap_or(0);
    let (gid, groups) = match (group_name, entry.first()) {
        (Some(name), _) => (group_id(name, group)?, Vec::new()),
        (None, Some(login)) => (primary, memberships(login, primary, group)?),
        (None, None) => (primary, Vec::new()),
    };
    let home = entry.get(5).filter(|home| !home.is_empty()).unwrap_or(&"/");
    Ok(User { uid, gid, groups, home: (*home).to_owned() })
}

fn group_id<F: Read + Seek>(name: &str, group: &mut Table<F>) -> Result<u32, Error> {
    if let Some(gid) = number(name)? {
        return Ok(gid);
    }
    let entry = group.find(|fields| fields[0] == name && id(fields, 2).is_some())?;
    entry.and_then(|line| id(&line.split(':').collect::<Vec<_>>(), 2)).ok_or_else(|| {
        Error::Invalid(format!("unable to find group {name}: no matching entries in group file"))
    })
}

fn memberships<F: Read + Seek>(login: &str, primary: u32, group: &mut Table<F>) -> Result<Vec<u32>, Error> {
    let mut groups = Vec::new();
    group.each(|fields| {
        let is_member = fields.get(3).is_some_and(|members| members.split(',').any(|member| member == login));
        groups.extend(id(fields, 2).filter(|gid| is_member && *gid != primary));
        match groups.len() > MAX_GROUPS {
            true => Err(Error::Invalid(format!("user {login} is in more than {MAX_GROUPS} groups"))),
            false => Ok(ControlFlow::Continue(())),
        }
    })?;
    Ok(groups)
}

/// `None` for a name. What docker calls out of range is, too: a number below zero is no name either.
fn number(text: &str) -> Result<Option<u32>, Error> {
    let digits = text.strip_prefix('-').filter(|rest| !rest.is_empty()).unwrap_or(text);
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<u32>() {
        Ok(id) if id <= i32::MAX.unsigned_abs() => Ok(Some(id)),
        _ => Err(Error::Invalid(format!("uids and gids must be in range 0-2147483647, not {text}"))),
    }
}

/// The kernel keeps 2^32-1 for "no id", and no file makes one of it.
fn id(fields: &[&str], index: usize) -> Option<u32> {
    fields.get(index)?.parse().ok().filter(|id| *id != u32::MAX)
}

/// A file of lines with colons, from an image: read line by line, whatever it is.
struct Table<F> {
    path: &'static str,
    /// An image without it still has numbers.
    file: Option<F>,
}

impl<F: Read + Seek> Table<F> {
    /// Calls `look` with the fields of each line, of which there is at least one, until it breaks off.
    fn each(&mut self, mut look: impl FnMut(&[&str]) -> Result<ControlFlow<()>, Error>) -> Result<(), Error> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let path = self.path;
        let unreadable = |error| unreadable(path, error);
        file.rewind().map_err(unreadable)?;
        let mut reader = BufReader::new(file.take(MAX_FILE + 1));
        let (mut line, mut read) = (Vec::new(), 0);
        loop {
            line.clear();
            let count = reader.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line);
            read += count.map_err(unreadable)? as u64;
            if line.is_empty() {
                return Ok(());
            }
            if line.len() > MAX_LINE || read > MAX_FILE {
                return Err(unreadable(io::Error::other("it, or a line of it, is too long")));
            }
            let text = String::from_utf8_lossy(&line);
            let fields: Vec<&str> = text.trim_end_matches('\n').splitn(8, ':').collect();
            if look(&fields)?.is_break() {
                return Ok(());
            }
        }
    }

    /// The first line whose fields are those that are wanted.
    fn find(&mut self, is_wanted: impl Fn(&[&str]) -> bool) -> Result<Option<String>, Error> {
        let mut found = None;
        self.each(|fields| {
            if !is_wanted(fields) {
                return Ok(ControlFlow::Continue(()));
            }
            found = Some(fields.join(":"));
            Ok(ControlFlow::Break(()))
        })?;
        Ok(found)
    }
}

fn open(root: BorrowedFd<'_>, path: &'static str) -> Result<Table<File>, Error> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = match openat2(root, path, flags, Mode::empty(), resolve) {
        Ok(fd) => File::from(fd),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(Table { path, file: None }),
        Err(errno) => return Err(unreadable(path, errno.into())),
    };
    let is_file = file.metadata().map_err(|error| unreadable(path, error))?.is_file();
    if !is_file {
        return Err(unreadable(path, io::Error::other("it is not a regular file")));
    }
    Ok(Table { path, file: Some(file) })
}

fn unreadable(path: &str, source: io::Error) -> Error {
    Error::File { doing: "read the image's", path: path.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table<io::Cursor<&[u8]>> {
        Table { path: "etc/passwd", file: Some(io::Cursor::new(text.as_bytes())) }
    }

    fn who(given: &str) -> Result<User, String> {
        let mut passwd = table("root:x:0:0:root:/root:/bin/sh\nweb:x:33:33::/var/www:\n1000:x:7:7::/odd:\n");
        let mut group = table("root:x:0:\nwww:x:33:\n\ndisk:x:6:web,other");
        identify(given, &mut passwd, &mut group).map_err(|error| error.to_string())
    }

    fn user(uid: u32, gid: u32, groups: &[u32], home: &str) -> User {
        User { uid, gid, groups: groups.to_vec(), home: home.to_owned() }
    }

    #[test]
    fn names_and_numbers_resolve() {
        assert_eq!(who(""), Ok(user(0, 0, &[], "/root")));
        assert_eq!(who("web"), Ok(user(33, 33, &[6], "/var/www")));
        assert_eq!(who("33"), Ok(user(33, 33, &[6], "/var/www")));
        assert_eq!(who("web:disk"), Ok(user(33, 6, &[], "/var/www")));
        assert_eq!(who("4000:5"), Ok(user(4000, 5, &[], "/")));
    }

    #[test]
    fn digits_are_never_a_name() {
        assert_eq!(who("1000"), Ok(user(1000, 0, &[], "/")));
    }

    #[test]
    fn no_file_is_too_long_to_be_refused() {
        let endless = "x".repeat(MAX_LINE + 1);
        let lines = "a:x:1\n".repeat(MAX_FILE as usize / 6 + 1);
        for text in [endless, lines] {
            let mut group = table("");
            assert!(identify("web", &mut table(&text), &mut group).is_err());
        }
        let empty = "\n".repeat(100_000);
        assert!(identify("7", &mut table(&empty), &mut table(&empty)).is_ok());
        let many: String = (1..70_000).map(|gid| format!("g:x:{gid}:web\n")).collect();
        let told = identify("web", &mut table("web:x:33:33"), &mut table(&many)).unwrap_err();
        assert!(told.to_string().contains("more than 65536 groups"), "{told}");
    }

    #[test]
    fn what_is_unknown_or_out_of_range_is_an_error() {
        for wrong in ["nobody", "-1", "0:-1", "web:nogroup", "4294967295", "99999999999", "0:4294967296"] {
            assert!(who(wrong).is_err(), "{wrong}");
        }
    }
}
