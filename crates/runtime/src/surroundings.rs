//! How the kernel treats a process beyond what it may do: when it runs, where its memory comes from, what machine it
//! seems to be on, and its label. Set while we still may.

use oci_spec::runtime::{
    IOPriorityClass, Linux, LinuxIOPriority, LinuxMemoryPolicy, LinuxPersonality, LinuxPersonalityDomain,
    LinuxSchedulerFlag as SchedulerFlag, LinuxSchedulerPolicy as Policy, MemoryPolicyFlagType as MemoryFlag,
    MemoryPolicyModeType as MemoryMode, Process, Scheduler,
};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::Error;
use crate::error::Doing;
use crate::procfs::Procfs;

/// In the new process, before it becomes the container's user.
pub(crate) fn apply(process: &Process, linux: Option<&Linux>) -> Result<(), Error> {
    if let Some(scheduler) = process.scheduler() {
        sys::set_scheduling(scheduling(scheduler)?).doing("set process.scheduler")?;
    }
    if let Some(priority) = process.io_priority() {
        set_io_priority(priority)?;
    }
    if let Some(personality) = linux.and_then(|l| l.personality().as_ref()) {
        sys::set_personality(domain(personality)?).doing("set linux.personality")?;
    }
    if let Some(policy) = linux.and_then(|l| l.memory_policy().as_ref()) {
        set_memory_policy(policy)?;
    }
    labels(process)
}

fn scheduling(wanted: &Scheduler) -> Result<sys::Scheduling, Error> {
    let invalid = |why: String| Error::Invalid { field: "process.scheduler", why };
    let policy = match wanted.policy() {
        Policy::SchedOther => 0,
        Policy::SchedFifo => 1,
        Policy::SchedRr => 2,
        Policy::SchedBatch => 3,
        Policy::SchedIso => return Err(Error::Unsupported("process.scheduler: SCHED_ISO".into())),
        Policy::SchedIdle => 5,
        Policy::SchedDeadline => 6,
    };
    let mut flags = 0;
    for flag in wanted.flags().iter().flatten() {
        flags |= match flag {
            SchedulerFlag::SchedResetOnFork => 0x01,
            SchedulerFlag::SchedFlagReclaim => 0x02,
            SchedulerFlag::SchedFlagDLOverrun => 0x04,
            SchedulerFlag::SchedFlagKeepPolicy => 0x08,
            SchedulerFlag::SchedFlagKeepParams => 0x10,
            // The specification has no field for the values.
            SchedulerFlag::SchedFlagUtilClampMin | SchedulerFlag::SchedFlagUtilClampMax => {
                return Err(Error::Unsupported("process.scheduler.flags: SCHED_FLAG_UTIL_CLAMP".into()));
            }
        };
    }
    let priority = wanted.priority().unwrap_or(0);
    let priority = u32::try_from(priority).map_err(|_| invalid(format!("has the priority {priority}")))?;
    Ok(sys::Scheduling {
        policy,
        flags,
        nice: wanted.nice().unwrap_or(0),
        priority,
        runtime: wanted.runtime().unwrap_or(0),
        deadline: wanted.deadline().unwrap_or(0),
        period: wanted.period().unwrap_or(0),
        ..sys::Scheduling::default()
    })
}

fn set_io_priority(wanted: &LinuxIOPriority) -> Result<(), Error> {
    let class = match wanted.class() {
        IOPriorityClass::IoprioClassRt => 1,
        IOPriorityClass::IoprioClassBe => 2,
        IOPriorityClass::IoprioClassIdle => 3,
    };
    let level = u8::try_from(wanted.priority()).ok().filter(|level| *level < 8);
    let level = level.ok_or_else(|| Error::Invalid {
        field: "process.ioPriority",
        why: format!("has the priority {}, not one from 0 to 7", wanted.priority()),
    })?;
    sys::set_io_priority(class, level).doing("set process.ioPriority")
}

fn domain(wanted: &LinuxPersonality) -> Result<u32, Error> {
    if wanted.flags().as_ref().is_some_and(|flags| !flags.is_empty()) {
        return Err(Error::Unsupported("linux.personality.flags".into()));
    }
    Ok(match wanted.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => 8,
    })
}

fn set_memory_policy(wanted: &LinuxMemoryPolicy) -> Result<(), Error> {
    let mode = match wanted.mode() {
        MemoryMode::MpolDefault => 0,
        MemoryMode::MpolPreferred => 1,
        MemoryMode::MpolBind => 2,
        MemoryMode::MpolInterleave => 3,
        MemoryMode::MpolLocal => 4,
        MemoryMode::MpolPreferredMany => 5,
        MemoryMode::MpolWeightedInterleave => 6,
    };
    let flags = wanted.flags().iter().flatten().fold(0, |all, flag| {
        all | match flag {
            MemoryFlag::MpolFNumaBalancing => 1 << 13,
            MemoryFlag::MpolFRelativeNodes => 1 << 14,
            MemoryFlag::MpolFStaticNodes => 1 << 15,
        }
    });
    let mut nodes = Vec::new();
    for node in numbers("linux.memoryPolicy", wanted.nodes().as_deref().unwrap_or_default())? {
        nodes.resize(nodes.len().max(node / 64 + 1), 0);
        nodes[node / 64] |= 1 << (node % 64);
    }
    sys::set_memory_policy(mode | flags, &nodes).map_err(|source| match source.raw_os_error() {
        Some(number) if number == rustix::io::Errno::NOSYS.raw_os_error() => {
            Error::Unsupported("linux.memoryPolicy (this kernel knows of no memory nodes)".into())
        }
        _ => Error::Setup { doing: "set linux.memoryPolicy".into(), source },
    })
}

/// The processors on which a process that joins may run: `process.execCPUAffinity`.
pub(crate) fn set_affinity(list: Option<&String>) -> Result<(), Error> {
    let Some(list) = list else { return Ok(()) };
    let mut set = CpuSet::new();
    for number in numbers("process.execCPUAffinity", list)? {
        set.set(number);
    }
    sched_setaffinity(None, &set).doing(&format!("set process.execCPUAffinity to {list:?}"))
}

/// `0-3,7`, each below the kernel's own limit.
pub(crate) fn numbers(field: &'static str, list: &str) -> Result<Vec<usize>, Error> {
    let invalid = || Error::Invalid { field, why: format!("has the list {list:?}") };
    let number = |text: &str| text.trim().parse::<usize>().ok().filter(|n| *n < CpuSet::MAX_CPU);
    let mut all = Vec::new();
    for part in list.split(',').filter(|part| !part.trim().is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (Some(first), Some(last)) = (number(first), number(last)) else { return Err(invalid()) };
        all.extend(first..=last);
    }
    Ok(all)
}

/// Labels hold from the next `execve` on. `supported` has seen that the kernel has what they are for.
fn labels(process: &Process) -> Result<(), Error> {
    let given = |text: &Option<String>| text.as_ref().filter(|t| !t.is_empty()).cloned();
    let (profile, label) = (given(process.apparmor_profile()), given(process.selinux_label()));
    if profile.is_none() && label.is_none() {
        return Ok(());
    }
    let procfs = Procfs::open()?;
    let own = std::process::id();
    if let Some(profile) = profile {
        procfs.write(&format!("{own}/attr/apparmor/exec"), &format!("exec {profile}"))?;
    }
    if let Some(label) = label {
        procfs.write(&format!("{own}/attr/exec"), &label)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_bounded() {
        assert_eq!(numbers("x", "0-2,5, 7").unwrap(), [0, 1, 2, 5, 7]);
        assert_eq!(numbers("x", "").unwrap(), [] as [usize; 0]);
        for wrong in ["a", "1-", "0-99999999999", "4000000", "-1"] {
            assert!(numbers("x", wrong).is_err(), "{wrong}");
        }
    }
}
