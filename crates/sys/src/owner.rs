//! A thread whose new files are somebody else's.

use std::io;

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// What a file's owner may not all do, and whoever writes files for others must.
const FOR_FILES: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::LINUX_IMMUTABLE)
    .union(CapabilitySet::MAC_OVERRIDE);

/// Runs `work` on a thread of its own whose files belong to this user and group from the start, and which may otherwise do
/// with files what the caller may: a file system whose owners are mapped refuses to make one for somebody whom it doesn't map.
pub fn as_owner<T: Send>(uid: u32, gid: u32, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("owner".to_owned()).spawn_scoped(scope, || {
            become_owner(uid, gid)?;
            Ok(work())
        })?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("its thread ended early")))
    })
}

fn become_owner(uid: u32, gid: u32) -> io::Result<()> {
    let before = capabilities(None)?;
    set_file_id(libc::SYS_setfsgid, gid)?;
    set_file_id(libc::SYS_setfsuid, uid)?;
    // Leaving root's id took those that are for files away, and others stay as they were.
    let effective = before.effective.union(before.permitted.intersection(FOR_FILES));
    Ok(set_capabilities(None, CapabilitySets { effective, ..before })?)
}

fn set_file_id(call: libc::c_long, id: u32) -> io::Result<()> {
    // SAFETY: takes a plain number; the id by which files are made belongs to the calling thread alone.
    unsafe { libc::syscall(call, id) };
    // It says only what it was before: so it is asked once more, for an id that nobody can have, which changes nothing.
    // SAFETY: as above.
    let now = unsafe { libc::syscall(call, u32::MAX) };
    if now == i64::from(id) { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EPERM)) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn new_files_are_the_owners_and_old_ones_can_be_changed() {
        let folder = std::env::temp_dir().join(format!("ketch-owner-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let made = as_owner(70_000, 70_001, || {
            std::fs::write(folder.join("a"), "a")?;
            std::os::unix::fs::chown(folder.join("a"), Some(70_002), None)?;
            std::fs::metadata(folder.join("a"))
        });
        let made = made.unwrap().unwrap();
        std::fs::write(folder.join("b"), "b").unwrap();
        let ours = std::fs::metadata(folder.join("b")).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!((made.uid(), made.gid()), (70_002, 70_001));
        assert_eq!((ours.uid(), ours.gid()), (0, 0));
    }
}
