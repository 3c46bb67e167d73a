//! Limits, as the files of v1 and v2 want them written.

use std::fs;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;

use oci_spec::runtime::{
    LinuxCpu, LinuxDeviceCgroup, LinuxHugepageLimit, LinuxMemory, LinuxNetwork, LinuxRdma, LinuxResources,
};

use super::{Cgroup, block_io, devices};
use crate::Error;
use crate::error::Doing;

pub(super) fn apply(cgroup: &Cgroup, resources: &LinuxResources) -> Result<(), Error> {
    apply_values(cgroup, resources)?;
    apply_devices(cgroup, resources.devices().as_deref().unwrap_or_default())
}

/// All but the devices.
pub(super) fn apply_values(cgroup: &Cgroup, resources: &LinuxResources) -> Result<(), Error> {
    if let Some(memory) = resources.memory() {
        apply_memory(cgroup, memory)?;
    }
    if let Some(cpu) = resources.cpu() {
        apply_cpu(cgroup, cpu)?;
    }
    if let Some(pids) = resources.pids() {
        // Zero and less mean no limit, as for runc.
        let limit = if pids.limit() > 0 { pids.limit().to_string() } else { "max".into() };
        set(cgroup, "pids", "pids.max", &limit)?;
    }
    if let Some(block) = resources.block_io() {
        block_io::apply(cgroup, block)?;
    }
    for limit in resources.hugepage_limits().iter().flatten() {
        apply_huge_pages(cgroup, limit)?;
    }
    for (device, limit) in resources.rdma().iter().flatten() {
        apply_rdma(cgroup, device, limit)?;
    }
    if let Some(network) = resources.network() {
        apply_network(cgroup, network)?;
    }
    for (file, value) in resources.unified().iter().flatten() {
        apply_unified(cgroup, file, value)?;
    }
    Ok(())
}

fn apply_huge_pages(cgroup: &Cgroup, limit: &LinuxHugepageLimit) -> Result<(), Error> {
    let size = limit.page_size();
    if !size.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(Error::Invalid {
            field: "linux.resources.hugepageLimits",
            why: format!("has the size {size:?}"),
        });
    }
    let value = if limit.limit() < 0 { "max".to_owned() } else { limit.limit().to_string() };
    match on_v1(cgroup, "hugetlb") {
        true => set(cgroup, "hugetlb", &format!("hugetlb.{size}.limit_in_bytes"), &limit.limit().to_string()),
        false => set(cgroup, "hugetlb", &format!("hugetlb.{size}.max"), &value),
    }
}

/// `2MB`, `1GB`: how the kernel's files call a size of pages.
pub(super) fn page_size_name(kilobytes: u64) -> String {
    match kilobytes {
        n if n >= 1 << 20 => format!("{}GB", n >> 20),
        n if n >= 1 << 10 => format!("{}MB", n >> 10),
        n => format!("{n}KB"),
    }
}

fn apply_rdma(cgroup: &Cgroup, device: &str, limit: &LinuxRdma) -> Result<(), Error> {
    let number = |n: Option<u32>| n.map_or("max".to_owned(), |n| n.to_string());
    let (handles, objects) = (number(limit.hca_handles()), number(limit.hca_objects()));
    set(cgroup, "rdma", "rdma.max", &format!("{device} hca_handle={handles} hca_object={objects}"))
}

fn apply_network(cgroup: &Cgroup, network: &LinuxNetwork) -> Result<(), Error> {
    if let Some(class) = network.class_id() {
        if !on_v1(cgroup, "net_cls") {
            return Err(Error::Unsupported(
                "linux.resources.network.classID without cgroup v1's net_cls".into(),
            ));
        }
        set(cgroup, "net_cls", "net_cls.classid", &class.to_string())?;
    }
    for priority in network.priorities().iter().flatten() {
        if !on_v1(cgroup, "net_prio") {
            return Err(Error::Unsupported(
                "linux.resources.network.priorities without cgroup v1's net_prio".into(),
            ));
        }
        set(
            cgroup,
            "net_prio",
            "net_prio.ifpriomap",
            &format!("{} {}", priority.name(), priority.priority()),
        )?;
    }
    Ok(())
}

/// Any file of v2, in the container's own directory and nowhere else.
fn apply_unified(cgroup: &Cgroup, file: &str, value: &str) -> Result<(), Error> {
    let invalid = |why: String| Error::Invalid { field: "linux.resources.unified", why };
    let Some(folder) = cgroup.folders.iter().find(|folder| folder.hierarchy.unified) else {
        return Err(Error::Unsupported("linux.resources.unified without cgroup v2".into()));
    };
    if file.contains('/') || !file.contains('.') || file.starts_with('.') {
        return Err(invalid(format!("has the file {file:?}")));
    }
    if file.starts_with("cgroup.") && !matches!(file, "cgroup.max.depth" | "cgroup.max.descendants") {
        return Err(invalid(format!("has the file {file:?}, which is no limit")));
    }
    let mut opened = match fs::File::options().write(true).open(folder.path.join(file)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(missing(file)),
        other => other.doing(&format!("open {file}"))?,
    };
    // Some files take one line a write.
    for line in value.lines() {
        opened.write_all(line.as_bytes()).doing(&format!("set {file} to {line:?}"))?;
    }
    Ok(())
}

fn apply_memory(cgroup: &Cgroup, memory: &LinuxMemory) -> Result<(), Error> {
    check_use(cgroup, memory)?;
    if on_v1(cgroup, "memory") {
        let mut files = vec![
            ("memory.limit_in_bytes", memory.limit()),
            ("memory.soft_limit_in_bytes", memory.reservation()),
            // After a limit that falls, before one that rises: memory and swap together may not be below it.
            ("memory.memsw.limit_in_bytes", memory.swap()),
        ];
        if raises_over_swap(cgroup, memory)? {
            files.reverse();
        }
        files.retain(|(_, value)| value.is_some_and(|v| v != 0));
        for (file, value) in files {
            set(cgroup, "memory", file, &value.unwrap_or(-1).to_string())?;
        }
        if let Some(swappiness) = memory.swappiness() {
            set(cgroup, "memory", "memory.swappiness", &swappiness.to_string())?;
        }
        if memory.disable_oom_killer() == Some(true) {
            set(cgroup, "memory", "memory.oom_control", "1")?;
        }
        return Ok(());
    }
    if memory.swappiness().is_some() {
        return Err(Error::Unsupported("linux.resources.memory.swappiness on cgroup v2".into()));
    }
    if memory.disable_oom_killer() == Some(true) {
        return Err(Error::Unsupported("linux.resources.memory.disableOOMKiller on cgroup v2".into()));
    }
    let text = |value: i64| if value < 0 { "max".to_owned() } else { value.to_string() };
    if let Some(limit) = memory.limit().filter(|l| *l != 0) {
        set(cgroup, "memory", "memory.max", &text(limit))?;
    }
    if let Some(low) = memory.reservation().filter(|r| *r != 0) {
        set(cgroup, "memory", "memory.low", &text(low))?;
    }
    if let Some(alone) = swap_alone(memory) {
        set(cgroup, "memory", "memory.swap.max", &text(alone))?;
    }
    Ok(())
}

/// v1 counts memory and swap together, v2 swap alone.
pub(super) fn swap_alone(memory: &LinuxMemory) -> Option<i64> {
    let swap = memory.swap().filter(|swap| *swap != 0)?;
    Some(if swap < 0 { swap } else { swap.saturating_sub(memory.limit().unwrap_or(0)).max(0) })
}

/// `checkBeforeUpdate`: a limit below what is used already would have the kernel kill somebody.
fn check_use(cgroup: &Cgroup, memory: &LinuxMemory) -> Result<(), Error> {
    let Some(limit) = memory.limit().and_then(|l| u64::try_from(l).ok()).filter(|l| *l != 0) else {
        return Ok(());
    };
    if memory.check_before_update() != Some(true) {
        return Ok(());
    }
    let file = if on_v1(cgroup, "memory") { "memory.usage_in_bytes" } else { "memory.current" };
    let used = read(cgroup, "memory", file)?.trim().parse::<u64>().unwrap_or(0);
    if used > limit {
        let why = format!("has the limit {limit}, and {used} bytes are used");
        return Err(Error::Invalid { field: "linux.resources.memory", why });
    }
    Ok(())
}

/// Whether the limit is to rise above what memory and swap may take together now.
fn raises_over_swap(cgroup: &Cgroup, memory: &LinuxMemory) -> Result<bool, Error> {
    let (Some(limit), Some(_)) = (memory.limit(), memory.swap().filter(|swap| *swap != 0)) else {
        return Ok(false);
    };
    let file = "memory.memsw.limit_in_bytes";
    let now = read(cgroup, "memory", file)?;
    let now = now.trim().parse::<u64>().unwrap_or(u64::MAX);
    Ok(u64::try_from(limit).unwrap_or(u64::MAX) > now)
}

fn apply_cpu(cgroup: &Cgroup, cpu: &LinuxCpu) -> Result<(), Error> {
    let v1 = on_v1(cgroup, "cpu");
    if let Some(shares) = cpu.shares().filter(|s| *s != 0) {
        match v1 {
            true => set(cgroup, "cpu", "cpu.shares", &shares.to_string())?,
            false => set(cgroup, "cpu", "cpu.weight", &weight(shares).to_string())?,
        }
    }
    match (v1, cpu.quota().filter(|q| *q != 0), cpu.period().filter(|p| *p != 0)) {
        (true, quota, period) => {
            // The period first: a quota is checked against it.
            if let Some(period) = period {
                set(cgroup, "cpu", "cpu.cfs_period_us", &period.to_string())?;
            }
            if let Some(quota) = quota {
                set(cgroup, "cpu", "cpu.cfs_quota_us", &quota.to_string())?;
            }
        }
        (false, None, None) => {}
        (false, quota, period) => {
            let quota = quota.filter(|q| *q > 0).map_or("max".to_owned(), |q| q.to_string());
            set(cgroup, "cpu", "cpu.max", &format!("{quota} {}", period.unwrap_or(100_000)))?;
        }
    }
    apply_cpu_rest(cgroup, cpu, v1)?;
    for (file, value) in [("cpuset.cpus", cpu.cpus()), ("cpuset.mems", cpu.mems())] {
        if let Some(value) = value.as_ref().filter(|v| !v.is_empty()) {
            set(cgroup, "cpuset", file, value)?;
        }
    }
    Ok(())
}

fn apply_cpu_rest(cgroup: &Cgroup, cpu: &LinuxCpu, v1: bool) -> Result<(), Error> {
    if let Some(burst) = cpu.burst() {
        let file = if v1 { "cpu.cfs_burst_us" } else { "cpu.max.burst" };
        set_unless_absent_zero(cgroup, file, i128::from(burst))?;
    }
    if let Some(idle) = cpu.idle() {
        set_unless_absent_zero(cgroup, "cpu.idle", i128::from(idle))?;
    }
    let realtime = [
        ("cpu.rt_period_us", cpu.realtime_period().map(i128::from)),
        ("cpu.rt_runtime_us", cpu.realtime_runtime().map(i128::from)),
    ];
    for (file, value) in
        realtime.into_iter().filter_map(|(file, value)| Some((file, value.filter(|v| *v != 0)?)))
    {
        if !v1 {
            return Err(Error::Unsupported(format!("linux.resources.cpu: {file} on cgroup v2")));
        }
        set(cgroup, "cpu", file, &value.to_string())?;
    }
    Ok(())
}

/// Zero is what a kernel without the file does anyhow.
fn set_unless_absent_zero(cgroup: &Cgroup, file: &str, value: i128) -> Result<(), Error> {
    match set(cgroup, "cpu", file, &value.to_string()) {
        Err(Error::Unsupported(_)) if value == 0 => Ok(()),
        other => other,
    }
}

/// v1's shares from 2 to 262144 onto v2's weights from 1 to 10000, by the formula that runc and systemd agree on.
pub(super) fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

fn apply_devices(cgroup: &Cgroup, given: &[LinuxDeviceCgroup]) -> Result<(), Error> {
    let rules = devices::rules(given)?;
    if rules.is_empty() {
        return Ok(());
    }
    if on_v1(cgroup, "devices") {
        return set_v1_devices(cgroup, &rules);
    }
    let Some(folder) = cgroup.folders.iter().find(|folder| folder.hierarchy.unified) else {
        return Err(Error::Unsupported(
            "linux.resources.devices without a cgroup that could hold them".into(),
        ));
    };
    let opened = fs::File::open(&folder.path).doing(&format!("open the cgroup {}", folder.path.display()))?;
    sys::attach_device_program(opened.as_fd(), &devices::compile(&rules)).doing("set the device rules")
}

/// In order, because the last that matches decides; but each file is opened once for all rules in a row that go there.
fn set_v1_devices(cgroup: &Cgroup, rules: &[devices::Rule]) -> Result<(), Error> {
    let lines: Vec<(&str, String)> = rules.iter().map(devices::Rule::v1_line).collect();
    for run in lines.chunk_by(|(a, _), (b, _)| a == b) {
        let mut opened = open(cgroup, "devices", run[0].0)?;
        for (file, line) in run {
            // One rule a write: that is what the kernel reads.
            opened.write_all(line.as_bytes()).doing(&format!("set {file} to {line:?}"))?;
        }
    }
    Ok(())
}

pub(super) fn on_v1(cgroup: &Cgroup, controller: &str) -> bool {
    cgroup.folders.iter().any(|f| !f.hierarchy.unified && f.hierarchy.has(controller))
}

pub(super) fn set(cgroup: &Cgroup, controller: &str, file: &str, value: &str) -> Result<(), Error> {
    let mut opened = open(cgroup, controller, file)?;
    opened.write_all(value.as_bytes()).doing(&format!("set {file} to {value:?}"))
}

fn missing(file: &str) -> Error {
    Error::Unsupported(format!("{file} (this kernel has no such cgroup control)"))
}

fn place(cgroup: &Cgroup, controller: &str, file: &str) -> Result<PathBuf, Error> {
    let v1 = cgroup.folders.iter().find(|f| !f.hierarchy.unified && f.hierarchy.has(controller));
    let folder = v1.or_else(|| cgroup.folders.iter().find(|f| f.hierarchy.unified));
    Ok(folder.ok_or_else(|| missing(file))?.path.join(file))
}

fn read(cgroup: &Cgroup, controller: &str, file: &str) -> Result<String, Error> {
    match fs::read_to_string(place(cgroup, controller, file)?) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(missing(file)),
        other => other.doing(&format!("read {file}")),
    }
}

pub(super) fn open(cgroup: &Cgroup, controller: &str, file: &str) -> Result<fs::File, Error> {
    let path = place(cgroup, controller, file)?;
    match fs::File::options().write(true).open(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(missing(file)),
        other => other.doing(&format!("open {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_weights_over_the_whole_range() {
        assert_eq!((weight(2), weight(1024), weight(262_144)), (1, 39, 10_000));
        assert_eq!((weight(0), weight(u64::MAX)), (1, 10_000));
    }
}
