//! The user's home directory, for a `HOME` that the specification doesn't set: programs expect one, and runc gives it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustix::fs::{FileType, OFlags, fstat};

use crate::root::Root;

/// More of a container's user table is not looked at.
const MAX_TABLE: u64 = 1 << 20;

/// From the container's own `/etc/passwd`, which may be anything: what isn't a readable table means `/`.
pub(crate) fn of(root: &Root<'_>, uid: u32) -> String {
    find(&table(root).unwrap_or_default(), uid).unwrap_or("/").to_owned()
}

fn table(root: &Root<'_>) -> Option<String> {
    // A FIFO must not hold us up, nor a device do whatever it does.
    let fd = root.open(Path::new("/etc/passwd"), OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY).ok()?;
    if FileType::from_raw_mode(fstat(&fd).ok()?.st_mode) != FileType::RegularFile {
        return None;
    }
    let mut bytes = Vec::new();
    File::from(fd).take(MAX_TABLE).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Lines are `name:password:uid:gid:comment:home:shell`.
fn find(table: &str, uid: u32) -> Option<&str> {
    let mut users = table.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let user = users.find(|fields| fields.get(2).and_then(|field| field.parse().ok()) == Some(uid))?;
    user.get(5).copied().filter(|home| home.starts_with('/') && !home.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_user_counts() {
        let table =
            "root:x:0:0:root:/root:/bin/sh\n\ngarbage\nme:x:1000:1000::/home/me:/bin/sh\nmine:x:1000:1:::\n";
        assert_eq!(find(table, 0), Some("/root"));
        assert_eq!(find(table, 1000), Some("/home/me"));
        assert_eq!((find(table, 7), find("x:x:1:1::relative:", 1), find("", 0)), (None, None, None));
    }
}
