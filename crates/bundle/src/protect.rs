//! Our executable, protected from those who will run in containers.
//!
//! A container's first process is a copy of us until its `execve`, so a container can get hold of our executable as
//! `/proc/<pid>/exe` and write to it once nobody executes it. Whatever makes a process in a container therefore first
//! executes itself anew through a read-only mount that is attached nowhere.

use std::ffi::CString;
use std::os::fd::AsFd;
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
