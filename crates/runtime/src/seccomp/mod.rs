//! System call filters: an OCI profile becomes a program for the kernel.
//!
//! [`compile`] is a pure function and takes a fraction of a millisecond, so whoever starts many containers of one profile
//! keeps its [`Filter`] and gives it to [`crate::create`] ready-made. Init only hands it to the kernel, as the last thing
//! before `execve`.
//!
//! What the profile says is [`rules`]; how it is searched is [`emit`]; the encoding is [`assemble`]; the numbers are
//! [`table`]. A profile that leaves calls to a listener (`SCMP_ACT_NOTIFY`) says where it is, or nobody would answer.

mod arch;
mod assemble;
mod emit;
mod rules;
mod table;
#[cfg(test)]
mod tests;

use std::os::fd::OwnedFd;

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSeccompFilterFlag as Flag, LinuxSyscall};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::Doing;
use arch::Arch;
use rules::invalid;

/// A compiled profile, as the kernel takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// `struct sock_filter`s, each as one number.
    program: Vec<u64>,
    /// `SECCOMP_FILTER_FLAG_*`.
    flags: u32,
    /// Some calls are left to a listener.
    #[serde(default)]
    listens: bool,
}

/// Compiles a profile for this machine.
pub fn compile(profile: &LinuxSeccomp) -> Result<Filter, Error> {
    let native = Arch::native()
        .ok_or_else(|| Error::Unsupported(format!("linux.seccomp on {}", std::env::consts::ARCH)))?;
    check_listener(profile)?;
    compile_for(profile, native)
}

fn compile_for(profile: &LinuxSeccomp, native: Arch) -> Result<Filter, Error> {
    let default = rules::default_action(profile)?;
    let calls = architectures(profile, native).into_iter().map(|arch| rules::calls(profile, arch));
    let calls = calls.collect::<Result<Vec<_>, _>>()?;
    let program = emit::emit(&calls, default)
        .assemble()
        .map_err(|length| invalid(format!("needs {length} instructions, more than the kernel takes")))?;
    let program = program.into_iter().map(|instruction| u64::from_ne_bytes(instruction.bytes())).collect();
    Ok(Filter { program, flags: flags(profile), listens: notifies(profile) })
}

/// The native one and those that the profile names. Others that it names can't occur on this machine.
fn architectures(profile: &LinuxSeccomp, native: Arch) -> Vec<Arch> {
    let mut all = vec![native];
    for name in profile.architectures().iter().flatten() {
        match Arch::named(*name, native) {
            Some(arch) if arch.runs_on(native) && !all.contains(&arch) => all.push(arch),
            _ => {}
        }
    }
    all
}

fn notifies(profile: &LinuxSeccomp) -> bool {
    let notify = |action| action == LinuxSeccompAction::ScmpActNotify;
    notify(profile.default_action()) || profile.syscalls().iter().flatten().any(|rule| notify(rule.action()))
}

/// Whoever answers must be known, and the call that hands over the descriptor can't be one that waits for an answer.
fn check_listener(profile: &LinuxSeccomp) -> Result<(), Error> {
    if !notifies(profile) {
        return Ok(());
    }
    if profile.listener_path().is_none() {
        return Err(invalid("has SCMP_ACT_NOTIFY and no listenerPath".into()));
    }
    let asks = |rule: &&LinuxSyscall| {
        rule.action() == LinuxSeccompAction::ScmpActNotify && rule.names().iter().any(|n| n == "sendmsg")
    };
    if profile.default_action() == LinuxSeccompAction::ScmpActNotify
        || profile.syscalls().iter().flatten().any(|rule| asks(&rule))
    {
        return Err(Error::Unsupported("linux.seccomp: SCMP_ACT_NOTIFY for sendmsg".into()));
    }
    Ok(())
}

/// A profile that doesn't say gets what runc gives it: no speculation barrier that the program didn't ask for.
fn flags(profile: &LinuxSeccomp) -> u32 {
    let Some(flags) = profile.flags() else { return sys::SECCOMP_SPEC_ALLOW };
    let bit = |flag: &Flag| match flag {
        // The one thread that there is.
        Flag::SeccompFilterFlagTsync => 0,
        Flag::SeccompFilterFlagLog => sys::SECCOMP_LOG,
        Flag::SeccompFilterFlagSpecAllow => sys::SECCOMP_SPEC_ALLOW,
        // The kernel takes it only where there is a listener.
        Flag::SeccompFilterFlagWaitKillableRecv if notifies(profile) => sys::SECCOMP_WAIT_KILLABLE,
        Flag::SeccompFilterFlagWaitKillableRecv => 0,
    };
    flags.iter().map(bit).fold(0, |all, bit| all | bit)
}

impl Filter {
    /// Puts it on this thread for good. Needs `no_new_privs` or the capability to administer the system.
    pub(crate) fn load(&self) -> Result<(), Error> {
        sys::load_seccomp_filter(&self.program, self.flags).doing("load the seccomp filter")
    }

    pub(crate) fn listens(&self) -> bool {
        self.listens
    }

    /// The same, with the descriptor on which the questions arrive.
    pub(crate) fn load_listening(&self) -> Result<OwnedFd, Error> {
        sys::load_seccomp_listener(&self.program, self.flags).doing("load the seccomp filter")
    }
}
