//! Project quotas: what files of one number may take of a file system, as xfs and ext4 have them.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::ioctl::{Getter, Setter, ioctl, opcode};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// A project's number is what files and folders get that are made below.
const INHERITED: u32 = 0x200;

/// `struct fsxattr`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Attributes {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    copied_extent_size: u32,
    padding: [u8; 8],
}

const GET_ATTRIBUTES: rustix::ioctl::Opcode = opcode::read::<Attributes>(b'X', 31);
const SET_ATTRIBUTES: rustix::ioctl::Opcode = opcode::write::<Attributes>(b'X', 32);

/// `struct fs_disk_quota`, whose sizes are in blocks of 512 bytes.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct DiskQuota {
    version: i8,
    kind: i8,
    fields: u16,
    id: u32,
    block_hard: u64,
    block_soft: u64,
    inode_hard: u64,
    inode_soft: u64,
    blocks: u64,
    inodes: u64,
    timers: [u64; 2],
    realtime: [u64; 3],
    rest: [u64; 2],
}

/// `struct fs_quota_statv`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct QuotaState {
    version: i8,
    padding: u8,
    flags: u16,
    in_core: u32,
    rest: [u64; 19],
}

const BLOCK: u64 = 512;
const VERSION: i8 = 1;
const OF_PROJECT: i8 = 2;
/// `FS_DQ_BSOFT | FS_DQ_BHARD`.
const BLOCK_LIMITS: u16 = 0b1100;
/// `FS_QUOTA_PDQ_ACCT | FS_QUOTA_PDQ_ENFD`.
const COUNTED_AND_HELD: u16 = 0b11_0000;

/// `QCMD(Q_X…, PRJQUOTA)`: ext4 answers xfs' commands, too.
const fn command(number: u32) -> u32 {
    (((b'X' as u32) << 8 | number) << 8) | 2
}
const GET: u32 = command(3);
const SET_LIMIT: u32 = command(4);
const STATE: u32 = command(8);
const GET_NEXT: u32 = command(9);

/// What a file system knows of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    pub project: u32,
    /// In bytes; nothing is no limit.
    pub limit: u64,
    /// Files and folders that are the project's now.
    pub files: u64,
}

/// Whether the kernel can be asked about quotas by a descriptor: Linux 5.14 and later.
pub fn quotas_by_descriptor() -> bool {
    // SAFETY: no descriptor has this number, so nothing is read or written.
    let asked = unsafe { libc::syscall(libc::SYS_quotactl_fd, -1, STATE, 0, std::ptr::null_mut::<u8>()) };
    asked == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ENOSYS)
}

/// Whether the file system that a descriptor is of counts projects' files and holds them to their limits.
pub fn holds_projects(place: BorrowedFd<'_>) -> bool {
    let mut state = QuotaState { version: VERSION, ..QuotaState::default() };
    ask(place, STATE, 0, &mut state).is_ok() && state.flags & COUNTED_AND_HELD == COUNTED_AND_HELD
}

/// The project of a file or folder; 0 is none.
pub fn project_of(file: BorrowedFd<'_>) -> io::Result<u32> {
    Ok(attributes(file)?.project)
}

/// Gives a folder to a project, and all that is made in it from now on.
pub fn give_to_project(folder: BorrowedFd<'_>, project: u32) -> io::Result<()> {
    let before = attributes(folder)?;
    let after = Attributes { flags: before.flags | INHERITED, project, ..before };
    // SAFETY: the command takes a `struct fsxattr`, whose layout this is.
    let set = unsafe { Setter::<SET_ATTRIBUTES, Attributes>::new(after) };
    // SAFETY: as above; the kernel reads it and keeps no pointer.
    Ok(unsafe { ioctl(folder, set) }?)
}

fn attributes(file: BorrowedFd<'_>) -> io::Result<Attributes> {
    // SAFETY: the command fills a `struct fsxattr`, whose layout this is.
    let get = unsafe { Getter::<GET_ATTRIBUTES, Attributes>::new() };
    // SAFETY: as above.
    Ok(unsafe { ioctl(file, get) }?)
}

/// What a file system knows of a project; it may have never heard of it.
pub fn account(place: BorrowedFd<'_>, project: u32) -> io::Result<Account> {
    let nothing = Account { project, limit: 0, files: 0 };
    Ok(read(place, GET, project)?.unwrap_or(nothing))
}

/// The first project from this number on that a file system knows.
pub fn next_account(place: BorrowedFd<'_>, project: u32) -> io::Result<Option<Account>> {
    read(place, GET_NEXT, project)
}

fn read(place: BorrowedFd<'_>, command: u32, project: u32) -> io::Result<Option<Account>> {
    let mut quota = DiskQuota::default();
    match ask(place, command, project, &mut quota) {
        Ok(()) => Ok(Some(Account {
            project: quota.id,
            limit: quota.block_hard.saturating_mul(BLOCK),
            files: quota.inodes,
        })),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Holds a project to so many bytes; 0 is no limit.
pub fn limit_project(place: BorrowedFd<'_>, project: u32, bytes: u64) -> io::Result<()> {
    let blocks = bytes.div_ceil(BLOCK);
    let mut quota = DiskQuota {
        version: VERSION,
        kind: OF_PROJECT,
        fields: BLOCK_LIMITS,
        id: project,
        block_hard: blocks,
        block_soft: blocks,
        ..DiskQuota::default()
    };
    ask(place, SET_LIMIT, project, &mut quota)
}

/// Calls `quotactl_fd` with the structure that the command is about.
fn ask<T>(place: BorrowedFd<'_>, command: u32, project: u32, about: &mut T) -> io::Result<()> {
    let (place, about) = (place.as_fd().as_raw_fd(), std::ptr::from_mut(about));
    // SAFETY: each command of this file comes with the structure that the kernel reads or fills for it, in its full size;
    // it is borrowed mutably for the call.
    match unsafe { libc::syscall(libc::SYS_quotactl_fd, place, command, project, about) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// While it lives, limits hold for this thread, too: ext4 has none for who administers resources.
#[derive(Debug)]
pub struct WithinLimits(CapabilitySets, PhantomData<*const ()>);

impl WithinLimits {
    pub fn enter() -> io::Result<Self> {
        let before = capabilities(None)?;
        let effective = before.effective.difference(CapabilitySet::SYS_RESOURCE);
        set_capabilities(None, CapabilitySets { effective, ..before })?;
        Ok(Self(before, PhantomData))
    }
}

impl Drop for WithinLimits {
    fn drop(&mut self) {
        // What was effective is permitted still, so it can't be refused.
        let _ = set_capabilities(None, self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_are_as_large_as_the_kernels() {
        assert_eq!(size_of::<Attributes>(), 28);
        assert_eq!(size_of::<DiskQuota>(), 112);
        assert_eq!(size_of::<QuotaState>(), 160);
    }

    #[test]
    fn memory_knows_no_projects() {
        let place = std::fs::File::open("/dev/shm").unwrap();
        assert!(!holds_projects(place.as_fd()));
        account(place.as_fd(), 7).unwrap_err();
    }

    #[test]
    fn a_thread_is_as_before_afterwards() {
        let before = capabilities(None).unwrap();
        let within = WithinLimits::enter().unwrap();
        assert!(!capabilities(None).unwrap().effective.contains(CapabilitySet::SYS_RESOURCE));
        drop(within);
        assert_eq!(capabilities(None).unwrap(), before);
    }
}
