//! Who a container runs as: `user`, `user:group`, numbers or names from the image's own files.
//!
//! A string of digits is a number, anything else is a name; a name that the image doesn't know is an error, never a
//! fallback.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::BorrowedFd;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use crate::Error;

/// No real `/etc/passwd` or `/etc/group` is longer.
const MAX_FILE: u64 = 8 << 20;

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
    let passwd = lines(root, "etc/passwd")?;
    let group = lines(root, "etc/group")?;
    identify(given, &passwd, &group)
}

/// A group by number or name, inside the root file system.
pub(super) fn group(given: &str, root: BorrowedFd<'_>) -> Result<u32, Error> {
    group_id(given, &lines(root, "etc/group")?)
}

fn identify(given: &str, passwd: &[Vec<String>], group: &[Vec<String>]) -> Result<User, Error> {
    let (name, group_name) = match given.split_once(':') {
        Some((name, group)) => (name, Some(group).filter(|group| !group.is_empty())),
        None => (given, None),
    };
    let name = if name.is_empty() { "0" } else { name };
    let by_number = number(name)?;
    let entry = passwd.iter().find(|entry| match by_number {
        Some(uid) => field(entry, 2) == Some(uid),
        None => entry.first().is_some_and(|first| first == name),
    });
    let uid = by_number.or_else(|| entry.and_then(|entry| field(entry, 2))).ok_or_else(|| {
        Error::Invalid(format!("unable to find user {name}: no matching entries in passwd file"))
    })?;
    let login = entry.and_then(|entry| entry.first()).map(String::as_str);
    let primary = entry.and_then(|entry| field(entry, 3)).unwrap_or(0);
    let (gid, groups) = match group_name {
        Some(name) => (group_id(name, group)?, Vec::new()),
        None => (primary, memberships(login, primary, group)),
    };
    let home = entry.and_then(|entry| entry.get(5)).filter(|home| !home.is_empty());
    Ok(User { uid, gid, groups, home: home.cloned().unwrap_or_else(|| "/".to_owned()) })
}

fn group_id(name: &str, group: &[Vec<String>]) -> Result<u32, Error> {
    if let Some(gid) = number(name)? {
        return Ok(gid);
    }
    let entry = group.iter().find(|entry| entry.first().is_some_and(|first| first == name));
    entry.and_then(|entry| field(entry, 2)).ok_or_else(|| {
        Error::Invalid(format!("unable to find group {name}: no matching entries in group file"))
    })
}

fn memberships(login: Option<&str>, primary: u32, group: &[Vec<String>]) -> Vec<u32> {
    let Some(login) = login else { return Vec::new() };
    let is_member = |entry: &&Vec<String>| {
        entry.get(3).is_some_and(|members| members.split(',').any(|member| member == login))
    };
    group.iter().filter(is_member).filter_map(|entry| field(entry, 2)).filter(|gid| *gid != primary).collect()
}

/// `None` for a name. The kernel keeps 2^32-1 for "no id".
fn number(text: &str) -> Result<Option<u32>, Error> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<u32>() {
        Ok(id) if id <= i32::MAX.unsigned_abs() => Ok(Some(id)),
        _ => Err(Error::Invalid(format!("uids and gids must be in range 0-2147483647, not {text}"))),
    }
}

fn field(entry: &[String], index: usize) -> Option<u32> {
    entry.get(index)?.parse().ok()
}

fn lines(root: BorrowedFd<'_>, path: &str) -> Result<Vec<Vec<String>>, Error> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = match openat2(root, path, flags, Mode::empty(), resolve) {
        Ok(fd) => File::from(fd),
        // An image without these files still has numbers.
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(Vec::new()),
        Err(errno) => return Err(unreadable(path, errno.into())),
    };
    let is_file = file.metadata().map_err(|error| unreadable(path, error))?.is_file();
    if !is_file {
        return Err(unreadable(path, io::Error::other("it is not a regular file")));
    }
    let lines: Result<Vec<_>, _> = BufReader::new(file.take(MAX_FILE)).split(b'\n').collect();
    let lines = lines.map_err(|error| unreadable(path, error))?;
    let parse = |line: &Vec<u8>| String::from_utf8_lossy(line).split(':').map(str::to_owned).collect();
    Ok(lines.iter().map(parse).collect())
}

fn unreadable(path: &str, source: io::Error) -> Error {
    Error::File { doing: "read the image's", path: path.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Vec<Vec<String>> {
        text.lines().map(|line| line.split(':').map(str::to_owned).collect()).collect()
    }

    fn who(given: &str) -> Result<User, String> {
        let passwd = table("root:x:0:0:root:/root:/bin/sh\nweb:x:33:33::/var/www:\n1000:x:7:7::/odd:\n");
        let group = table("root:x:0:\nwww:x:33:\ndisk:x:6:web,other\n");
        identify(given, &passwd, &group).map_err(|error| error.to_string())
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
    fn what_is_unknown_or_out_of_range_is_an_error() {
        for wrong in ["nobody", "web:nogroup", "4294967295", "99999999999", "0:4294967296"] {
            assert!(who(wrong).is_err(), "{wrong}");
        }
    }
}
