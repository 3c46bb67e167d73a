//! A profile, checked and in numbers: what happens to each call of each architecture.
//!
//! Where several rules are about one call, one without conditions decides, whatever its place; otherwise the first whose
//! conditions all hold; otherwise the default. Two conditions of one rule on the same argument make the rule one rule
//! for each condition, as with runc. Names that no architecture knows are passed over, for a profile may be newer than
//! this program.

use std::collections::BTreeMap;

use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompArg, LinuxSeccompOperator as Operator,
    LinuxSyscall,
};

use super::arch::Arch;
use crate::Error;

/// `SECCOMP_RET_ERRNO` with `ENOSYS`.
pub(super) const NO_SUCH_CALL: u32 = ERRNO | 38;
const ERRNO: u32 = 0x0005_0000;
const EPERM: u32 = 1;
/// The kernel makes larger ones this one.
const MAX_ERRNO: u32 = 4095;

/// What happens to the calls of one architecture.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) arch: Arch,
    /// By number as the filter sees it.
    pub(super) decisions: BTreeMap<u32, Decision>,
    /// Calls with greater numbers don't exist as far as the profile knows; nothing where that makes no difference.
    pub(super) newest: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    Always(u32),
    /// The first that holds, else the default.
    If(Vec<Conditional>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conditional {
    pub(super) conditions: Vec<Condition>,
    pub(super) action: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) argument: u32,
    pub(super) compare: Compare,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    NotEqual(u64),
    Less(u64),
    LessOrEqual(u64),
    Equal(u64),
    GreaterOrEqual(u64),
    Greater(u64),
    Masked { mask: u64, value: u64 },
}

/// The default action's value for the kernel.
pub(super) fn default_action(profile: &LinuxSeccomp) -> Result<u32, Error> {
    action(profile.default_action(), profile.default_errno_ret(), "defaultErrnoRet")
}

/// The rules for one architecture.
pub(super) fn calls(profile: &LinuxSeccomp, arch: Arch) -> Result<Calls, Error> {
    let default = default_action(profile)?;
    let mut calls = Calls { arch, decisions: BTreeMap::new(), newest: None };
    for rule in profile.syscalls().iter().flatten() {
        calls.take(rule, default)?;
    }
    // A program that probes for a new call must hear that it doesn't exist rather than that it is forbidden.
    let permits = |action| matches!(action, Action::ScmpActAllow | Action::ScmpActLog | Action::ScmpActTrace);
    if permits(profile.default_action()) {
        calls.newest = None;
    }
    Ok(calls)
}

impl Calls {
    fn take(&mut self, rule: &LinuxSyscall, default: u32) -> Result<(), Error> {
        let action = action(rule.action(), rule.errno_ret(), "errnoRet")?;
        let alternatives = alternatives(rule)?;
        if rule.names().is_empty() {
            return Err(invalid("has a rule without names".into()));
        }
        for name in rule.names() {
            if let Some(number) = self.arch.number(name) {
                if self.arch.is_ordinary(number) {
                    self.newest = self.newest.max(Some(number));
                }
                if action != default {
                    self.add(number, &alternatives, action);
                }
            }
            // Behind a pointer the other arguments can't be seen.
            if let Some((number, selector)) = self.arch.multiplexed(name)
                && alternatives.iter().all(Vec::is_empty)
                && action != default
            {
                let selected = Condition { argument: 0, compare: Compare::Equal(selector) };
                self.add(number, &[vec![selected]], action);
            }
        }
        Ok(())
    }

    fn add(&mut self, number: u32, alternatives: &[Vec<Condition>], action: u32) {
        let decision = self.decisions.entry(number).or_insert_with(|| Decision::If(Vec::new()));
        for conditions in alternatives {
            match decision {
                Decision::Always(_) => return,
                _ if conditions.is_empty() => *decision = Decision::Always(action),
                Decision::If(rules) => rules.push(Conditional { conditions: conditions.clone(), action }),
            }
        }
    }
}

/// The conditions that must all hold; as many lists as there are ways to match.
fn alternatives(rule: &LinuxSyscall) -> Result<Vec<Vec<Condition>>, Error> {
    let args = rule.args().as_deref().unwrap_or_default();
    let conditions = args.iter().map(condition).collect::<Result<Vec<_>, _>>()?;
    let repeated = |at: usize| conditions[..at].iter().any(|c| c.argument == conditions[at].argument);
    Ok(match (0..conditions.len()).any(repeated) {
        true => conditions.into_iter().map(|condition| vec![condition]).collect(),
        false => vec![conditions],
    })
}

fn condition(arg: &LinuxSeccompArg) -> Result<Condition, Error> {
    let argument = u32::try_from(arg.index()).ok().filter(|index| *index < 6);
    let argument = argument.ok_or_else(|| invalid(format!("has a condition on argument {}", arg.index())))?;
    let value = arg.value();
    let compare = match arg.op() {
        Operator::ScmpCmpNe => Compare::NotEqual(value),
        Operator::ScmpCmpLt => Compare::Less(value),
        Operator::ScmpCmpLe => Compare::LessOrEqual(value),
        Operator::ScmpCmpEq => Compare::Equal(value),
        Operator::ScmpCmpGe => Compare::GreaterOrEqual(value),
        Operator::ScmpCmpGt => Compare::Greater(value),
        Operator::ScmpCmpMaskedEq => {
            Compare::Masked { mask: value, value: arg.value_two().unwrap_or(0) & value }
        }
    };
    Ok(Condition { argument, compare })
}

/// The kernel's `SECCOMP_RET_*` with its data.
fn action(action: Action, data: Option<u32>, field: &str) -> Result<u32, Error> {
    let code = match action {
        Action::ScmpActKill | Action::ScmpActKillThread => 0,
        Action::ScmpActKillProcess => 0x8000_0000,
        Action::ScmpActTrap => 0x0003_0000,
        Action::ScmpActErrno => return with_data(ERRNO, data, MAX_ERRNO, field),
        Action::ScmpActNotify => 0x7fc0_0000,
        Action::ScmpActTrace => return with_data(0x7ff0_0000, data, u32::from(u16::MAX), field),
        Action::ScmpActLog => 0x7ffc_0000,
        Action::ScmpActAllow => 0x7fff_0000,
    };
    match data {
        None => Ok(code),
        Some(_) => Err(invalid(format!("has {field} for {action}, which has no number"))),
    }
}

fn with_data(code: u32, data: Option<u32>, most: u32, field: &str) -> Result<u32, Error> {
    match data.unwrap_or(EPERM) {
        data if data <= most => Ok(code | data),
        data => Err(invalid(format!("has {field} {data}, more than {most}"))),
    }
}

pub(super) fn invalid(why: String) -> Error {
    Error::Invalid { field: "linux.seccomp", why }
}
