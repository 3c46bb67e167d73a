//! Which namespaces are made by `clone3` and which are joined.

use std::os::fd::{AsFd, OwnedFd};

use oci_spec::runtime::{Linux, LinuxNamespaceType as Kind};
use rustix::fs::{Mode, OFlags, open};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::Error;
use crate::error::Doing;

/// A container's namespaces. The cgroup namespace is made last, after init sits in its cgroup, which becomes its root.
pub(crate) struct Plan {
    pub(crate) new: sys::Namespaces,
    pub(crate) new_cgroup: bool,
    joined: Vec<(LinkNameSpaceType, OwnedFd)>,
    /// Whoever is in a process namespace stays there: it is for children that it can be chosen.
    processes: Option<OwnedFd>,
}

impl Plan {
    /// Opens what is to be joined: before init exists, so that a wrong path is found early.
    pub(crate) fn of(linux: &Linux) -> Result<Self, Error> {
        let mut plan =
            Self { new: sys::Namespaces::default(), new_cgroup: false, joined: Vec::new(), processes: None };
        for namespace in linux.namespaces().iter().flatten() {
            if let Some(path) = namespace.path() {
                let fd = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                    .doing(&format!("open the namespace {}", path.display()))?;
                match kind_to_join(namespace.typ()) {
                    Some(kind) => plan.joined.push((kind, fd)),
                    None if namespace.typ() == Kind::Pid => plan.processes = Some(fd),
                    None => {}
                }
                continue;
            }
            match namespace.typ() {
                Kind::Mount => plan.new.mount = true,
                Kind::Pid => plan.new.pid = true,
                Kind::Network => plan.new.network = true,
                Kind::Ipc => plan.new.ipc = true,
                Kind::Uts => plan.new.uts = true,
                Kind::Cgroup => plan.new_cgroup = true,
                // Refused by `supported`.
                Kind::User | Kind::Time => {}
            }
        }
        if !plan.new.mount {
            return Err(Error::Invalid { field: "linux.namespaces", why: "lacks a mount namespace".into() });
        }
        Ok(plan)
    }

    /// In the caller, before the `clone3`: its further children are in the process namespace that is joined.
    pub(crate) fn join_for_children(&self) -> Result<(), Error> {
        let Some(fd) = &self.processes else { return Ok(()) };
        move_into_link_name_space(fd.as_fd(), Some(LinkNameSpaceType::ProcessID))
            .doing("join a process namespace")
    }

    /// In init.
    pub(crate) fn join(&self) -> Result<(), Error> {
        for (kind, fd) in &self.joined {
            move_into_link_name_space(fd.as_fd(), Some(*kind))
                .doing(&format!("join a namespace ({kind:?})"))?;
        }
        Ok(())
    }

    pub(crate) fn has_own_network(&self) -> bool {
        self.new.network || self.joined.iter().any(|(kind, _)| *kind == LinkNameSpaceType::Network)
    }

    pub(crate) fn has_own_ipc(&self) -> bool {
        self.new.ipc
            || self.joined.iter().any(|(kind, _)| *kind == LinkNameSpaceType::InterProcessCommunication)
    }
}

fn kind_to_join(kind: Kind) -> Option<LinkNameSpaceType> {
    Some(match kind {
        Kind::Network => LinkNameSpaceType::Network,
        Kind::Ipc => LinkNameSpaceType::InterProcessCommunication,
        Kind::Uts => LinkNameSpaceType::HostNameAndNISDomainName,
        Kind::Cgroup => LinkNameSpaceType::ControlGroup,
        // `Pid` is joined before the clone; the others are refused by `supported`.
        Kind::Mount | Kind::Pid | Kind::User | Kind::Time => return None,
    })
}
