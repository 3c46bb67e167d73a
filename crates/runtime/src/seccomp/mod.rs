//! System call filters: an OCI profile becomes a program for the kernel.
//!
//! [`compile`] is a pure function and takes a fraction of a millisecond, so whoever starts many containers of one profile
//! keeps its [`Filter`] and gives it to [`crate::create`] ready-made. Init only hands it to the kernel, as the last thing
//! before `execve`.
//!
//! What the profile says is [`rules`]; how it is searched is [`emit`]; the encoding is [`assemble`]; the numbers are
//! [`table`]. A profile that wants a listener (`SCMP_ACT_NOTIFY`) is refused, because nobody would answer.

mod arch;
mod assemble;
mod emit;
mod rules;
mod table;
#[cfg(test)]
mod tests;

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSeccompFilterFlag as Flag};
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
}

/// Compiles a profile for this machine.
pub fn compile(profile: &LinuxSeccomp) -> Result<Filter, Error> {
    let native = Arch::native()
        .ok_or_else(|| Error::Unsupported(format!("linux.seccomp on {}", std::env::consts::ARCH)))?;
    refuse_listener(profile)?;
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
    Ok(Filter { program, flags: flags(profile) })
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

fn refuse_listener(profile: &LinuxSeccomp) -> Result<(), Error> {
    let notify = |action| action == LinuxSeccompAction::ScmpActNotify;
    let rules = profile.syscalls().iter().flatten();
    if notify(profile.default_action()) || rules.into_iter().any(|rule| notify(rule.action())) {
        return Err(Error::Unsupported("linux.seccomp: SCMP_ACT_NOTIFY".into()));
    }
    if profile.listener_path().is_some() || profile.listener_metadata().is_some() {
        return Err(Error::Unsupported("linux.seccomp.listenerPath".into()));
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
        // About listeners, of which there is none.
        Flag::SeccompFilterFlagWaitKillableRecv => 0,
    };
    flags.iter().map(bit).fold(0, |all, bit| all | bit)
}

impl Filter {
    /// Puts it on this thread for good. Needs `no_new_privs` or the capability to administer the system.
    pub(crate) fn load(&self) -> Result<(), Error> {
        sys::load_seccomp_filter(&self.program, self.flags).doing("load the seccomp filter")
    }
}
