//! Which namespaces are made by `clone3` and which are joined.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use oci_spec::runtime::{Linux, LinuxNamespaceType as Kind};
use rustix::fs::{Mode, OFlags, open};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::Error;
use crate::error::Doing;

/// A container's namespaces. The cgroup namespace is made last, after init sits in its cgroup, which becomes its root.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) new: sys::Namespaces,
    pub(crate) new_cgroup: bool,
    new_time: bool,
    joined: Vec<(LinkNameSpaceType, OwnedFd)>,
    /// Those that a process can't enter, but be born in.
    pid: Option<OwnedFd>,
    users: Option<OwnedFd>,
}

impl Plan {
    /// Opens what is to be joined: before init exists, so that a wrong path is found early.
    pub(crate) fn of(linux: &Linux) -> Result<Self, Error> {
        let invalid = |why: &str| Error::Invalid { field: "linux.namespaces", why: why.into() };
        let mut plan = Self::default();
        let all = linux.namespaces().as_deref().unwrap_or_default();
        for (number, namespace) in all.iter().enumerate() {
            if all[..number].iter().any(|other| other.typ() == namespace.typ()) {
                return Err(invalid(&format!("has {} more than once", namespace.typ())));
            }
            match namespace.path().as_ref().filter(|path| !path.as_os_str().is_empty()) {
                Some(path) => {
                    let fd = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                        .doing(&format!("open the namespace {}", path.display()))?;
                    plan.add_joined(namespace.typ(), fd);
                }
                None => plan.add_new(namespace.typ()),
            }
        }
        if !plan.new.mount {
            return Err(invalid("lacks a mount namespace"));
        }
        if linux.time_offsets().as_ref().is_some_and(|o| !o.is_empty()) && !plan.new_time {
            return Err(invalid("lacks the time namespace that linux.timeOffsets is for"));
        }
        let mapped = linux.uid_mappings().as_ref().is_some_and(|m| !m.is_empty());
        if mapped && !plan.has_own_users() {
            return Err(invalid("lacks the user namespace that linux.uidMappings is for"));
        }
        Ok(plan)
    }

    fn add_new(&mut self, kind: Kind) {
        match kind {
            Kind::Mount => self.new.mount = true,
            Kind::Pid => self.new.pid = true,
            Kind::Network => self.new.network = true,
            Kind::Ipc => self.new.ipc = true,
            Kind::Uts => self.new.uts = true,
            Kind::User => self.new.user = true,
            Kind::Cgroup => self.new_cgroup = true,
            Kind::Time => self.new_time = true,
        }
    }

    fn add_joined(&mut self, kind: Kind, fd: OwnedFd) {
        let link = match kind {
            Kind::Network => LinkNameSpaceType::Network,
            Kind::Ipc => LinkNameSpaceType::InterProcessCommunication,
            Kind::Uts => LinkNameSpaceType::HostNameAndNISDomainName,
            Kind::Cgroup => LinkNameSpaceType::ControlGroup,
            Kind::Time => LinkNameSpaceType::Time,
            Kind::Pid => return self.pid = Some(fd),
            Kind::User => return self.users = Some(fd),
            // Refused by `supported`.
            Kind::Mount => return,
        };
        self.joined.push((link, fd));
    }

    /// Before the `clone3`, in the caller: where its next child is born, as far as it can't go there by itself.
    pub(crate) fn aim(&self, linux: &Linux) -> Result<(), Error> {
        if self.new_time {
            sys::unshare_time_namespace().doing("make a time namespace")?;
            for (clock, offset) in linux.time_offsets().iter().flatten() {
                let (secs, nanosecs) = (offset.secs().unwrap_or(0), offset.nanosecs().unwrap_or(0));
                let line = format!("{clock} {secs} {nanosecs}\n");
                fs::write("/proc/self/timens_offsets", &line)
                    .doing(&format!("set linux.timeOffsets to {:?}", line.trim_end()))?;
            }
        }
        if let Some(pid) = &self.pid {
            move_into_link_name_space(pid.as_fd(), Some(LinkNameSpaceType::ProcessID))
                .doing("join the process namespace")?;
        }
        Ok(())
    }

    /// After it: hooks and whatever else the caller starts are not of the container.
    pub(crate) fn aim_back(&self) -> Result<(), Error> {
        let back = |name: &str, kind| {
            let doing = "return to the caller's own namespace";
            let own = open(format!("/proc/self/ns/{name}"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                .doing(doing)?;
            move_into_link_name_space(own.as_fd(), Some(kind)).doing(doing)
        };
        if self.new_time {
            back("time", LinkNameSpaceType::Time)?;
        }
        if self.pid.is_some() {
            back("pid", LinkNameSpaceType::ProcessID)?;
        }
        Ok(())
    }

    /// In init.
    pub(crate) fn join(&self) -> Result<(), Error> {
        for (kind, fd) in &self.joined {
            move_into_link_name_space(fd.as_fd(), Some(*kind))
                .doing(&format!("join a namespace ({kind:?})"))?;
        }
        Ok(())
    }

    /// The user namespace that is joined, and that owns all that are made.
    pub(crate) fn users_to_join(&self) -> Option<BorrowedFd<'_>> {
        self.users.as_ref().map(AsFd::as_fd)
    }

    pub(crate) fn network_to_join(&self) -> Option<BorrowedFd<'_>> {
        self.joined.iter().find(|(kind, _)| *kind == LinkNameSpaceType::Network).map(|(_, fd)| fd.as_fd())
    }

    pub(crate) fn has_own_users(&self) -> bool {
        self.new.user || self.users.is_some()
    }

    pub(crate) fn has_own_network(&self) -> bool {
        self.new.network || self.has_joined(LinkNameSpaceType::Network)
    }

    pub(crate) fn has_own_ipc(&self) -> bool {
        self.new.ipc || self.has_joined(LinkNameSpaceType::InterProcessCommunication)
    }

    pub(crate) fn has_own_names(&self) -> bool {
        self.new.uts || self.has_joined(LinkNameSpaceType::HostNameAndNISDomainName)
    }

    fn has_joined(&self, wanted: LinkNameSpaceType) -> bool {
        self.joined.iter().any(|(kind, _)| *kind == wanted)
    }
}
