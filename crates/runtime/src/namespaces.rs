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
}

impl Plan {
    /// Opens what is to be joined: before init exists, so that a wrong path is found early.
    pub(crate) fn of(linux: &Linux) -> Result<Self, Error> {
        let mut plan = Self { new: sys::Namespaces::default(), new_cgroup: false, joined: Vec::new() };
        for namespace in linux.namespaces().iter().flatten() {
            if let Some(path) = namespace.path() {
                let fd = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                    .doing(&format!("open the namespace {}", path.display()))?;
                plan.joined.extend(kind_to_join(namespace.typ()).map(|kind| (kind, fd)));
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
        // Refused by `supported`.
        Kind::Mount | Kind::Pid | Kind::User | Kind::Time => return None,
    })
}
