//! Our executable, protected from those who will run in containers.
//!
//! A container's first process is a copy of us until its `execve`, so a container can get hold of our executable as
//! `/proc/<pid>/exe` and write to it once nobody executes it. Whatever makes a process in a container therefore is first made
//! a run of the same file through a read-only mount that is attached nowhere: by taking what is mapped of the program from
//! there (0.1 ms), or, where that can't be or `KETCH_START_ANEW` is set, by executing itself from there.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;

use rustix::fs::{CWD, StatVfsMountFlags, statvfs};
use rustix::mount::{OpenTreeFlags, open_tree};
use sys::MountAttributes;

use crate::error::{Doing, Error};

const SELF: &str = "/proc/self/exe";

/// Returns in a process that is executed from a read-only mount.
pub(crate) fn ensure() -> Result<(), Error> {
    let doing = "execute ourselves from a protected mount";
    if statvfs(SELF).doing(doing)?.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Ok(());
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = open_tree(CWD, SELF, flags).doing(doing)?;
    let read_only = MountAttributes { set: sys::READ_ONLY, ..MountAttributes::default() };
    sys::set_mount_attributes(mount.as_fd(), read_only).doing(doing)?;
    if std::env::var_os("KETCH_START_ANEW").is_none() && adopt(mount.as_fd()).is_ok() {
        return Ok(());
    }
    let args: Result<Vec<_>, _> = std::env::args_os().map(|arg| CString::new(arg.into_vec())).collect();
    let env: Result<Vec<_>, _> = std::env::vars_os()
        .map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            CString::new(name.into_vec())
        })
        .collect();
    // What we were given had no NUL in it.
    let (Ok(args), Ok(env)) = (args, env) else {
        return Err(Error::Invalid("an argument with a NUL".into()));
    };
    Err(sys::exec_at(mount.as_fd(), &args, &env)).doing(doing)
}

fn adopt(program: BorrowedFd<'_>) -> std::io::Result<()> {
    // Opened by its descriptor, it is open through that mount.
    let file = File::open(format!("/proc/self/fd/{}", program.as_raw_fd()))?;
    sys::adopt(&file)
}
