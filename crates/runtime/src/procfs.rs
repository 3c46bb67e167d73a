//! A procfs of our own, attached nowhere: what we write to `/proc` can't be redirected by what a container has mounted
//! or linked there.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

use crate::Error;
use crate::error::Doing;
use crate::namespaces::Plan;
use crate::root::is_procfs;

pub(crate) struct Procfs(OwnedFd);

impl Procfs {
    /// In init: it shows init's process namespace.
    pub(crate) fn open() -> Result<Self, Error> {
        let fs = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC).doing("open a procfs")?;
        fsconfig_create(&fs).doing("create a procfs")?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let mount = fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes).doing("mount a procfs")?;
        Ok(Self(mount))
    }

    pub(crate) fn write(&self, path: &str, value: &str) -> Result<(), Error> {
        let doing = format!("write {value:?} to /proc/{path}");
        let resolve = ResolveFlags::BENEATH
            | ResolveFlags::NO_SYMLINKS
            | ResolveFlags::NO_MAGICLINKS
            | ResolveFlags::NO_XDEV;
        let file =
            openat2(&self.0, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty(), resolve).doing(&doing)?;
        if !is_procfs(file.as_fd()) {
            return Err(Error::Unsupported(format!("a /proc/{path} that is no procfs")));
        }
        rustix::io::write(&file, value.as_bytes()).doing(&doing).map(drop)
    }
}

/// Kernel parameters that belong to a namespace which the container has for itself; any other would be the host's.
pub(crate) fn check_sysctls(sysctls: &BTreeMap<String, String>, plan: &Plan) -> Result<(), Error> {
    const IPC: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    for (name, value) in sysctls {
        if value.contains(|c: char| c.is_control() && c != '\t') {
            let why = format!("has a value for {name:?} that is more than one: {value:?}");
            return Err(Error::Invalid { field: "linux.sysctl", why });
        }
        let ipc = IPC.contains(&name.as_str()) || name.starts_with("fs.mqueue.");
        let names = name == "kernel.domainname" && plan.has_own_names();
        let allowed =
            names || (ipc && plan.has_own_ipc()) || (name.starts_with("net.") && plan.has_own_network());
        let clean = !name.contains('/') && !name.contains("..");
        if !(allowed && clean) {
            let why = format!("has {name:?}, which is not of a namespace of the container's own");
            return Err(Error::Invalid { field: "linux.sysctl", why });
        }
    }
    Ok(())
}

pub(crate) fn apply_sysctls(procfs: &Procfs, sysctls: &BTreeMap<String, String>) -> Result<(), Error> {
    sysctls
        .iter()
        .try_for_each(|(name, value)| procfs.write(&format!("sys/{}", name.replace('.', "/")), value))
}
