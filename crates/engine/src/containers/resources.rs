//! Limits: what is refused, in dockerd's words, and what a change leaves as it was.

use std::collections::BTreeSet;
use std::fs;

use oci_spec::runtime as rt;
use serde::Deserialize as _;
use serde_json::Value;

use super::config::{self, HostConfig, Labels, Ulimit};
use super::{block_io, restart};
use crate::Error;
use crate::system::Cgroups;

const LEAST_MEMORY: i64 = 6 << 20;
const MOST_CPU: u32 = 8192;

/// A change to a container's limits, restart policy and labels; what is zero or empty stays as it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    host: HostConfig,
    /// Ours alone: dockerd changes no labels, and doesn't look at what it doesn't know.
    labels: Labels,
}

/// What can be changed. Everything else is refused by name.
const DONE: &[&str] = &[
    "BlkioWeight",
    "CpuPeriod",
    "CpuQuota",
    "CpuShares",
    "CpusetCpus",
    "CpusetMems",
    "Memory",
    "MemoryReservation",
    "MemorySwap",
    "NanoCpus",
    "PidsLimit",
    "RestartPolicy",
];

impl Update {
    /// Reads the body of `POST /containers/{id}/update` and checks what can be checked without the container.
    pub fn from_json(body: Value) -> Result<Self, Error> {
        let wrong = |error: serde_json::Error| Error::Invalid(format!("Labels: {error}"));
        let labels = body.get("Labels").map(Option::<Labels>::deserialize).transpose().map_err(wrong)?;
        let host = config::host_config(body)?;
        config::refuse_unsupported(&host, DONE, "")?;
        restart::check(&host.restart_policy)?;
        check(&host, Whole::No)?;
        Ok(Self { host, labels: labels.flatten().unwrap_or_default() })
    }

    /// What the container has after it.
    pub(super) fn merged(&self, present: &HostConfig) -> Result<HostConfig, String> {
        let (new, mut host) = (&self.host, present.clone());
        self.conflict(present)?;
        let set = |field: &mut i64, value: i64| {
            if value != 0 {
                *field = value;
            }
        };
        set(&mut host.cpu_period, new.cpu_period);
        set(&mut host.cpu_quota, new.cpu_quota);
        set(&mut host.cpu_shares, new.cpu_shares);
        set(&mut host.nano_cpus, new.nano_cpus);
        set(&mut host.memory, new.memory);
        set(&mut host.memory_reservation, new.memory_reservation);
        set(&mut host.memory_swap, new.memory_swap);
        if new.blkio_weight != 0 {
            host.blkio_weight = new.blkio_weight;
        }
        host.pids_limit = new.pids_limit.or(host.pids_limit);
        let text = |field: &mut String, value: &String| {
            if !value.is_empty() {
                field.clone_from(value);
            }
        };
        text(&mut host.cpuset_cpus, &new.cpuset_cpus);
        text(&mut host.cpuset_mems, &new.cpuset_mems);
        if !new.restart_policy.name.is_empty() {
            host.restart_policy = new.restart_policy.clone();
        }
        Ok(host)
    }

    /// The container's labels after it.
    pub(super) fn relabel(&self, labels: &mut Option<Labels>) {
        if !self.labels.is_empty() {
            labels.get_or_insert_default().extend(self.labels.clone());
        }
    }

    fn conflict(&self, present: &HostConfig) -> Result<(), String> {
        let new = &self.host;
        for (name, own, other, set) in [
            ("Nano CPUs", new.nano_cpus, "CPU Period", present.cpu_period),
            ("Nano CPUs", new.nano_cpus, "CPU Quota", present.cpu_quota),
            ("CPU Period", new.cpu_period, "NanoCPUs", present.nano_cpus),
            ("CPU Quota", new.cpu_quota, "NanoCPUs", present.nano_cpus),
        ] {
            if own > 0 && set > 0 {
                return Err(format!(
                    "Conflicting options: {name} cannot be updated as {other} has already been set"
                ));
            }
        }
        if new.memory != 0 && new.memory_swap == 0 && new.memory > present.memory_swap {
            return Err(
                "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at \
                        the same time"
                    .into(),
            );
        }
        let policy = new.restart_policy.name.as_str();
        if present.auto_remove && !matches!(policy, "" | "no") {
            return Err(
                "Restart policy cannot be updated because AutoRemove is enabled for the container".into()
            );
        }
        Ok(())
    }
}

/// Whether it is all that a container is given, or a change to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whole {
    Yes,
    No,
}

/// Fills in what follows from a container's limits, and checks them.
pub(super) fn settle(host: &mut HostConfig) -> Result<(), Error> {
    host.pids_limit = host.pids_limit.filter(|limit| *limit > 0);
    if host.memory > 0 && host.memory_swap == 0 {
        // Without this the kernel may write all of it out. A kernel that can't count swap limits the memory alone.
        let counts = Cgroups::detect().has_file("memory", "memory.memsw.limit_in_bytes");
        host.memory_swap = if counts { host.memory.saturating_mul(2) } else { -1 };
    }
    check(host, Whole::Yes)
}

fn check(host: &HostConfig, whole: Whole) -> Result<(), Error> {
    check_memory(host, whole)
        .and_then(|()| check_cpu(host))
        .and_then(|()| check_process(host))
        .and_then(|()| block_io::check(host))
        .map_err(Error::Invalid)
}

fn check_memory(host: &HostConfig, whole: Whole) -> Result<(), String> {
    let (memory, swap, reservation) = (host.memory, host.memory_swap, host.memory_reservation);
    let rules = [
        (memory != 0 && memory < LEAST_MEMORY, "Minimum memory limit allowed is 6MB"),
        (
            memory > 0 && swap > 0 && swap < memory,
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        ),
        (
            memory == 0 && swap > 0 && whole == Whole::Yes,
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        ),
        (reservation != 0 && reservation < LEAST_MEMORY, "Minimum memory reservation allowed is 6MB"),
        (
            memory > 0 && reservation > 0 && memory < reservation,
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        ),
    ];
    match rules.into_iter().find(|(broken, _)| *broken) {
        Some((_, why)) => Err(why.into()),
        None => Ok(()),
    }
}

fn check_cpu(host: &HostConfig) -> Result<(), String> {
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get() as i64);
    if host.nano_cpus > 0 && host.cpu_period > 0 {
        return Err("Conflicting options: Nano CPUs and CPU Period cannot both be set".into());
    }
    if host.nano_cpus > 0 && host.cpu_quota > 0 {
        return Err("Conflicting options: Nano CPUs and CPU Quota cannot both be set".into());
    }
    if !(0..=processors.saturating_mul(1_000_000_000)).contains(&host.nano_cpus) {
        return Err(format!(
            "range of CPUs is from 0.01 to {processors}.00, as there are only {processors} CPUs available"
        ));
    }
    if host.cpu_shares < 0 {
        let shares = host.cpu_shares;
        return Err(format!("invalid CPU shares ({shares}): value must be a positive integer"));
    }
    if host.cpu_period != 0 && !(1000..=1_000_000).contains(&host.cpu_period) {
        return Err(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)".into()
        );
    }
    if host.cpu_quota > 0 && host.cpu_quota < 1000 {
        return Err("CPU cfs quota can not be less than 1ms (i.e. 1000)".into());
    }
    check_set(&host.cpuset_cpus, "cpus", "CPUs")?;
    check_set(&host.cpuset_mems, "mems", "memory nodes")
}

fn check_process(host: &HostConfig) -> Result<(), String> {
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        return Err(format!(
            "Invalid value {}, range for oom score adj is [-1000, 1000]",
            host.oom_score_adj
        ));
    }
    host.ulimits.iter().flatten().try_for_each(|limit| rlimit(limit).map(drop))
}

/// `--ulimit` as the runtime is told; -1 is no limit.
pub(super) fn rlimit(limit: &Ulimit) -> Result<rt::PosixRlimit, String> {
    let name = format!("RLIMIT_{}", limit.name.to_uppercase());
    let kind = serde_json::from_value(Value::String(name))
        .map_err(|_| format!("invalid ulimit type: {}", limit.name))?;
    let (soft, hard) = (limit.soft, limit.hard);
    if hard != -1 && (soft == -1 || soft > hard) {
        return Err(format!("ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"));
    }
    let value = |number: i64| if number == -1 { u64::MAX } else { number.unsigned_abs() };
    let limits = rt::PosixRlimitBuilder::default()
        .typ::<rt::PosixRlimitType>(kind)
        .soft(value(soft))
        .hard(value(hard));
    limits.build().map_err(|error| error.to_string())
}

/// A list of processors or memory nodes: written as the kernel writes them, and there.
fn check_set(asked: &str, kind: &str, name: &str) -> Result<(), String> {
    if asked.is_empty() {
        return Ok(());
    }
    let wanted = numbers(asked).map_err(|why| format!("Invalid value {asked} for cpuset {kind}: {why}"))?;
    let present =
        ["cpuset/cpuset.", "cpuset."].iter().zip(["", ".effective"]).find_map(|(prefix, suffix)| {
            fs::read_to_string(format!("/sys/fs/cgroup/{prefix}{kind}{suffix}")).ok()
        });
    // What there is can't be found out: the kernel will say.
    let Some(present) = present else { return Ok(()) };
    let present = present.trim();
    match numbers(present) {
        Ok(all) if wanted.is_subset(&all) => Ok(()),
        _ => Err(format!("Requested {name} are not available - requested {asked}, available: {present}")),
    }
}

/// `0-3,7`.
fn numbers(text: &str) -> Result<BTreeSet<u32>, String> {
    let invalid = || format!("invalid format: {text}");
    let mut all = BTreeSet::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.parse::<u32>().map_err(|_| invalid());
        let (first, last) = (number(first)?, number(last)?);
        if last > MOST_CPU {
            return Err(format!("value of out range, maximum is {MOST_CPU}"));
        }
        if first > last {
            return Err(invalid());
        }
        all.extend(first..=last);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_of_numbers_are_read_as_the_kernel_writes_them() {
        assert_eq!(numbers("0-2,7").unwrap(), BTreeSet::from([0, 1, 2, 7]));
        for wrong in ["", "x", "3-1", "1-", "-1", "1,,2", "0-8193", "99999999999"] {
            assert!(numbers(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let present = HostConfig { memory: 1, cpu_shares: 5, memory_swap: -1, ..HostConfig::default() };
        let update = Update::from_json(json!({"CpuShares": 7, "PidsLimit": -1, "Memory": 0})).unwrap();
        let merged = update.merged(&present).unwrap();
        assert_eq!((merged.memory, merged.cpu_shares, merged.pids_limit), (1, 7, Some(-1)));
    }

    #[test]
    fn what_can_not_be_changed_is_refused_by_name() {
        let error = Update::from_json(json!({"CpuRealtimePeriod": 100})).unwrap_err();
        assert_eq!(error.to_string(), "CpuRealtimePeriod is not supported");
    }
}
