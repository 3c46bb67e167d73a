//! What the program may do: limits, user, capabilities, privileges. One function for every way into a container.

use oci_spec::runtime::{Capabilities, LinuxCapabilities, PosixRlimit, PosixRlimitType, Process};
use rustix::process::{Pid, Resource, Rlimit, prlimit, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, configure_capability_in_ambient_set,
    remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities, set_no_new_privs,
};

use crate::Error;
use crate::error::Doing;

/// A process' capability sets, as the kernel takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sets {
    bounding: CapabilitySet,
    effective: CapabilitySet,
    permitted: CapabilitySet,
    inheritable: CapabilitySet,
    ambient: CapabilitySet,
}

impl Sets {
    /// None at all where the specification says nothing.
    pub(crate) fn of(capabilities: Option<&LinuxCapabilities>) -> Result<Self, Error> {
        let set = |pick: fn(&LinuxCapabilities) -> &Option<Capabilities>| -> Result<CapabilitySet, Error> {
            capabilities.and_then(|c| pick(c).as_ref()).map_or(Ok(CapabilitySet::empty()), bits)
        };
        Ok(Self {
            bounding: set(LinuxCapabilities::bounding)?,
            effective: set(LinuxCapabilities::effective)?,
            permitted: set(LinuxCapabilities::permitted)?,
            inheritable: set(LinuxCapabilities::inheritable)?,
            ambient: set(LinuxCapabilities::ambient)?,
        })
    }

    fn drop_from_bounding(&self) -> Result<(), Error> {
        for capability in CapabilitySet::all().difference(self.bounding).iter() {
            match remove_capability_from_bounding_set(capability) {
                // Newer than this kernel.
                Ok(()) | Err(rustix::io::Errno::INVAL) => {}
                Err(e) => return Err(e).doing("drop a capability from the bounding set"),
            }
        }
        Ok(())
    }

    /// These sets, with more in effect and permitted.
    fn set(&self, effective: CapabilitySet, permitted: CapabilitySet) -> Result<(), Error> {
        let sets = CapabilitySets {
            effective: self.effective | effective,
            permitted: self.permitted | permitted,
            inheritable: self.inheritable,
        };
        set_capabilities(None, sets).doing("set the capabilities")
    }

    fn apply(&self, last: Last) -> Result<(), Error> {
        self.set(CapabilitySet::empty(), last.permitted())?;
        clear_ambient_capability_set().doing("clear the ambient capabilities")?;
        for capability in self.ambient.iter() {
            configure_capability_in_ambient_set(capability, true).doing("raise an ambient capability")?;
        }
        Ok(())
    }
}

fn bits(capabilities: &Capabilities) -> Result<CapabilitySet, Error> {
    let mut set = CapabilitySet::empty();
    for capability in capabilities {
        let name = capability.to_string();
        set |= CapabilitySet::from_name(&name)
            .ok_or_else(|| Error::Unsupported(format!("process.capabilities: CAP_{name}")))?;
    }
    Ok(set)
}

/// Limits on resources, while we may still raise them.
pub(crate) fn limit(limits: &[PosixRlimit]) -> Result<(), Error> {
    for limit in limits {
        setrlimit(resource(limit.typ()), ends(limit)).doing(&format!("set {}", limit.typ()))?;
    }
    Ok(())
}

/// The same of another process.
pub(crate) fn limit_of(pid: i32, limits: &[PosixRlimit]) -> Result<(), Error> {
    for limit in limits {
        prlimit(Pid::from_raw(pid), resource(limit.typ()), ends(limit))
            .doing(&format!("set {}", limit.typ()))?;
    }
    Ok(())
}

fn ends(limit: &PosixRlimit) -> Rlimit {
    let finite = |value: u64| (value != u64::MAX).then_some(value);
    Rlimit { current: finite(limit.soft()), maximum: finite(limit.hard()) }
}

fn resource(kind: PosixRlimitType) -> Resource {
    use PosixRlimitType as R;
    match kind {
        R::RlimitCpu => Resource::Cpu,
        R::RlimitFsize => Resource::Fsize,
        R::RlimitData => Resource::Data,
        R::RlimitStack => Resource::Stack,
        R::RlimitCore => Resource::Core,
        R::RlimitRss => Resource::Rss,
        R::RlimitNproc => Resource::Nproc,
        R::RlimitNofile => Resource::Nofile,
        R::RlimitMemlock => Resource::Memlock,
        R::RlimitAs => Resource::As,
        R::RlimitLocks => Resource::Locks,
        R::RlimitSigpending => Resource::Sigpending,
        R::RlimitMsgqueue => Resource::Msgqueue,
        R::RlimitNice => Resource::Nice,
        R::RlimitRtprio => Resource::Rtprio,
        R::RlimitRttime => Resource::Rttime,
    }
}

/// What is still needed after everything else was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    Nothing,
    /// A filter on system calls is loaded by a process that can never gain privileges, or by one that may administer the
    /// system: without `no_new_privs` that capability stays permitted, but not in effect, until the filter is there.
    Administer,
}

impl Last {
    pub(crate) fn of(process: &Process, filtered: bool) -> Self {
        match process.no_new_privileges() {
            Some(true) => Self::Nothing,
            _ if filtered => Self::Administer,
            _ => Self::Nothing,
        }
    }

    fn permitted(self) -> CapabilitySet {
        match self {
            Self::Nothing => CapabilitySet::empty(),
            Self::Administer => CapabilitySet::SYS_ADMIN,
        }
    }

    /// Before the filter is loaded.
    pub(crate) fn arm(self, sets: Sets) -> Result<(), Error> {
        match self {
            Self::Nothing => Ok(()),
            Self::Administer => sets.set(self.permitted(), self.permitted()),
        }
    }

    /// After it, so the filter must allow `capset`.
    pub(crate) fn disarm(self, sets: Sets) -> Result<(), Error> {
        match self {
            Self::Nothing => Ok(()),
            Self::Administer => sets.set(CapabilitySet::empty(), CapabilitySet::empty()),
        }
    }
}

/// Becomes the process' user with exactly its groups and capabilities; nothing is left of what we were but `last`.
pub(crate) fn become_user(process: &Process, sets: Sets, last: Last) -> Result<(), Error> {
    sets.drop_from_bounding()?;
    set_keep_capabilities(true).doing("keep capabilities over the change of user")?;
    let user = process.user();
    let groups = user.additional_gids().as_deref().unwrap_or_default();
    let doing = format!("become user {} of group {}", user.uid(), user.gid());
    sys::become_user(user.uid(), user.gid(), groups).doing(&doing)?;
    set_keep_capabilities(false).doing("stop keeping capabilities")?;
    sets.apply(last)?;
    if process.no_new_privileges() == Some(true) {
        set_no_new_privs(true).doing("forbid new privileges")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::Capability;

    use super::*;

    #[test]
    fn every_capability_of_the_specification_has_its_bit() {
        for name in [
            "CAP_CHOWN",
            "CAP_NET_BIND_SERVICE",
            "CAP_SYS_ADMIN",
            "CAP_IPC_LOCK",
            "CAP_AUDIT_READ",
            "CAP_BPF",
            "CAP_PERFMON",
            "CAP_CHECKPOINT_RESTORE",
            "CAP_SYSLOG",
            "CAP_MAC_ADMIN",
            "CAP_SETFCAP",
            "CAP_SYS_RAWIO",
            "CAP_SYS_TTY_CONFIG",
            "CAP_WAKE_ALARM",
            "CAP_BLOCK_SUSPEND",
            "CAP_DAC_READ_SEARCH",
        ] {
            let capability: Capability = serde_json::from_value(name.into()).unwrap();
            assert_eq!(bits(&[capability].into()).unwrap().iter().count(), 1, "{name}");
        }
    }
}
