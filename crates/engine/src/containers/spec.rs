//! From what a client asked for to the runtime's specification: the one place where a container's confinement is
//! decided.

use std::collections::{HashMap, HashSet};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;

use oci_spec::runtime as rt;
use runtime::Filter;

use super::config::HostConfig;
use super::exec::ExecConfig;
use super::namespaces::Joined;
use super::record::{Container, Places};
use super::{block_io, cdi, devices, etc, resources, user};
use crate::Error;
use crate::security::{Filters, Seccomp, SecurityOptions};
use crate::settings::{CgroupDriver, Settings};

/// Docker's default set.
const CAPABILITIES: &[rt::Capability] = &[
    rt::Capability::AuditWrite,
    rt::Capability::Chown,
    rt::Capability::DacOverride,
    rt::Capability::Fowner,
    rt::Capability::Fsetid,
    rt::Capability::Kill,
    rt::Capability::Mknod,
    rt::Capability::NetBindService,
    rt::Capability::NetRaw,
    rt::Capability::Setfcap,
    rt::Capability::Setgid,
    rt::Capability::Setpcap,
    rt::Capability::Setuid,
    rt::Capability::SysChroot,
];

/// Docker's masked paths; `inspect` shows them.
pub(super) const MASKED_PATHS: &[&str] = &[
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Docker's read-only paths.
pub(super) const READONLY_PATHS: &[&str] =
    &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where a container finds its init, as in Docker.
pub(super) const INIT: &str = "/sbin/docker-init";

/// Whether the first process is an init of ours, which starts the program.
pub(super) fn has_init(container: &Container, settings: &Settings) -> bool {
    container.host.init.unwrap_or(settings.init)
}

/// Writes the specification for a container whose root file system is `root`.
pub(super) fn build(
    container: &Container,
    root: BorrowedFd<'_>,
    places: &Places,
    settings: &Settings,
    joined: &Joined,
) -> Result<rt::Spec, Error> {
    let (config, host) = (&container.config, &container.host);
    let mut first = process(container, root, settings)?;
    if has_init(container, settings) {
        let program = first.args().clone().unwrap_or_default();
        first.set_args(Some([vec![INIT.to_owned(), "--".to_owned()], program].concat()));
    }
    let own_names = host.network_mode != "host" && host.uts_mode != "host";
    let domain = Some(config.domainname.clone()).filter(|name| own_names && !name.is_empty());
    let mapped = container.mounts.iter().any(|point| point.id_map);
    let user = if mapped { Some(user::resolve(&config.user, root)?) } else { None };
    let user = user.map(|user| (user.uid, user.gid));
    let mut spec = rt::Spec::default();
    spec.set_process(Some(first))
        .set_root(Some(rt_root(host)))
        .set_hostname(own_names.then(|| config.hostname.clone()))
        .set_domainname(domain)
        .set_mounts(Some(mounts(container, places, joined, user)?))
        .set_annotations(host.annotations.clone().map(HashMap::from_iter))
        .set_linux(Some(linux(container, settings, joined)?));
    cdi::apply(host, &settings.cdi_folders, &mut spec)?;
    Ok(spec)
}

fn process(container: &Container, root: BorrowedFd<'_>, settings: &Settings) -> Result<rt::Process, Error> {
    let config = &container.config;
    let options = SecurityOptions::parse(container.host.security_opt.as_ref())?;
    let mut user = user::resolve(&config.user, root)?;
    // Also as a supplementary group: what is forbidden to it must not be allowed to one who has dropped it.
    user.groups.retain(|group| *group != user.gid);
    user.groups.insert(0, user.gid);
    for group in container.host.group_add.iter().flatten() {
        let group = user::group(group, root)?;
        if !user.groups.contains(&group) {
            user.groups.push(group);
        }
    }
    let limits = container.host.ulimits.iter().flatten().map(resources::rlimit);
    let limits: Vec<_> = limits.collect::<Result<_, _>>().map_err(Error::Invalid)?;
    let mut ids = rt::User::default();
    ids.set_uid(user.uid).set_gid(user.gid).set_additional_gids(Some(user.groups.clone()));
    let mut process = rt::Process::default();
    let cwd = if config.working_dir.is_empty() { "/" } else { &config.working_dir };
    process
        .set_terminal(Some(config.tty))
        .set_user(ids)
        .set_args(Some(container.command()))
        .set_env(Some(environment(container, &user.home)))
        .set_cwd(cwd.into())
        .set_no_new_privileges(Some(options.no_new_privileges.unwrap_or(settings.no_new_privileges)))
        .set_capabilities(Some(capabilities(&container.host)?))
        .set_rlimits(Some(limits).filter(|limits| !limits.is_empty()))
        .set_oom_score_adj(Some(container.host.oom_score_adj as i32).filter(|score| *score != 0));
    if let [rows, columns] = container.host.console_size
        && rows > 0
        && columns > 0
    {
        let size = rt::BoxBuilder::default().height(rows).width(columns).build();
        process.set_console_size(size.ok());
    }
    Ok(process)
}

/// A process that joins the container: what the container's own first one may, or less, but for what is asked for it.
pub(super) fn guest(
    container: &Container,
    exec: &ExecConfig,
    size: Option<[u32; 2]>,
    root: BorrowedFd<'_>,
    settings: &Settings,
) -> Result<rt::Process, Error> {
    let mut like = container.clone();
    like.config.tty = exec.tty;
    like.config.env = Some(merged(like.config.env.take(), exec.env.as_deref().unwrap_or_default()));
    if !exec.user.is_empty() {
        like.config.user.clone_from(&exec.user);
    }
    if !exec.working_dir.is_empty() {
        like.config.working_dir.clone_from(&exec.working_dir);
    }
    like.host.privileged |= exec.privileged;
    like.host.console_size = size.unwrap_or_default();
    let mut process = process(&like, root, settings)?;
    process.set_args(Some(exec.command().to_vec()));
    Ok(process)
}

/// Variables with later ones in the place of earlier ones of the same name; a name alone takes one away.
fn merged(base: Option<Vec<String>>, more: &[String]) -> Vec<String> {
    fn name(entry: &str) -> &str {
        entry.split('=').next().unwrap_or_default()
    }
    let mut env = base.unwrap_or_default();
    for entry in more {
        match env.iter().position(|known| name(known) == name(entry)) {
            Some(at) if entry.contains('=') => env[at].clone_from(entry),
            Some(at) => drop(env.remove(at)),
            None => env.push(entry.clone()),
        }
    }
    env
}

/// What the container's processes may call; nothing where that is everything. It isn't in the specification: the runtime
/// gets it compiled.
pub(super) fn filter(host: &HostConfig, filters: &Filters) -> Result<Option<Arc<Filter>>, Error> {
    let (asked, bounding) = asked_profile(host)?;
    filters.get(&asked, &bounding)
}

/// What is asked for, and the capabilities that it depends on.
fn asked_profile(host: &HostConfig) -> Result<(Seccomp, HashSet<rt::Capability>), Error> {
    let asked = match SecurityOptions::parse(host.security_opt.as_ref())?.seccomp {
        // Privileged means without confinement, unless a profile is asked for.
        Seccomp::Default if host.privileged => Seccomp::Unconfined,
        asked => asked,
    };
    Ok((asked, capabilities(host)?.bounding().clone().unwrap_or_default()))
}

/// The same for another runtime, which compiles what the specification says.
pub(super) fn add_profile(spec: &mut rt::Spec, host: &HostConfig, filters: &Filters) -> Result<(), Error> {
    let (asked, bounding) = asked_profile(host)?;
    let profile = filters.profile(&asked, &bounding)?;
    if let Some(linux) = spec.linux_mut() {
        linux.set_seccomp(profile);
    }
    Ok(())
}

fn environment(container: &Container, home: &str) -> Vec<String> {
    let given = container.config.env.clone().unwrap_or_default();
    let has = |name: &str| given.iter().any(|entry| entry.split('=').next() == Some(name));
    let mut env = Vec::with_capacity(given.len() + 4);
    if !has("PATH") {
        env.push(DEFAULT_PATH.to_owned());
    }
    if !has("HOSTNAME") {
        env.push(format!("HOSTNAME={}", container.config.hostname));
    }
    if container.config.tty && !has("TERM") {
        env.push("TERM=xterm".to_owned());
    }
    let home = (!has("HOME")).then(|| format!("HOME={home}"));
    let linked =
        container.link_environment().filter(|entry| !has(entry.split('=').next().unwrap_or_default()));
    env.extend(linked.cloned());
    // A name without `=` only unsets, and there is nothing to unset.
    env.extend(given.into_iter().filter(|entry| entry.contains('=')));
    env.extend(home);
    env
}

/// Whether its processes may configure the links that they have.
pub(super) fn administers_its_network(host: &HostConfig) -> bool {
    let held = |set: &rt::LinuxCapabilities| {
        set.bounding().as_ref().is_some_and(|set| set.contains(&rt::Capability::NetAdmin))
    };
    capabilities(host).is_ok_and(|set| held(&set))
}

fn capabilities(host: &HostConfig) -> Result<rt::LinuxCapabilities, Error> {
    let parse = |field: &str, list: &Option<Vec<String>>| -> Result<(bool, Vec<rt::Capability>), Error> {
        let names = list.iter().flatten().map(|name| name.to_uppercase());
        let (all, named): (Vec<_>, Vec<_>) = names.partition(|name| name == "ALL");
        let named = named.iter().map(|name| {
            capability(name).ok_or_else(|| {
                let bare = name.strip_prefix("CAP_").unwrap_or(name);
                Error::Invalid(format!("invalid {field}: unknown capability: \"CAP_{bare}\""))
            })
        });
        let named = named.collect::<Result<_, _>>()?;
        Ok((!all.is_empty(), named))
    };
    let (add_all, added) = parse("CapAdd", &host.cap_add)?;
    let (drop_all, dropped) = parse("CapDrop", &host.cap_drop)?;
    // Whoever asks for everything gets it, whatever else was said: as docker has it.
    let (add_all, drop_all, dropped) = match host.privileged {
        true => (true, false, Vec::new()),
        false => (add_all, drop_all, dropped),
    };
    let base: Vec<rt::Capability> = match (add_all, drop_all) {
        (true, _) => every_capability(),
        (false, true) => Vec::new(),
        (false, false) => CAPABILITIES.to_vec(),
    };
    let kept = base.into_iter().chain(added).filter(|cap| !dropped.contains(cap));
    let set: HashSet<_> = kept.collect();
    let mut capabilities = rt::LinuxCapabilities::default();
    // Inheritable and ambient stay empty: what the program itself executes gets nothing by inheritance.
    capabilities
        .set_bounding(Some(set.clone()))
        .set_effective(Some(set.clone()))
        .set_permitted(Some(set))
        .set_inheritable(None)
        .set_ambient(None);
    Ok(capabilities)
}

fn capability(name: &str) -> Option<rt::Capability> {
    // `oci-spec` parses names without the prefix only.
    name.strip_prefix("CAP_").unwrap_or(name).parse().ok()
}

/// All that this engine may give: an engine in a container has less than the kernel knows.
fn every_capability() -> Vec<rt::Capability> {
    let own = rustix::thread::capabilities(None).map_or(u64::MAX, |sets| sets.permitted.bits());
    (0..=40).filter(|number| own & (1 << number) != 0).filter_map(capability_by_number).collect()
}

fn capability_by_number(number: u32) -> Option<rt::Capability> {
    const NAMES: &str = "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP \
        LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO \
        SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD \
        LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ \
        PERFMON BPF CHECKPOINT_RESTORE";
    let name = NAMES.split_whitespace().nth(usize::try_from(number).ok()?)?;
    capability(name)
}

fn rt_root(host: &HostConfig) -> rt::Root {
    let mut root = rt::Root::default();
    // The path is a form: the root comes to the shim as a descriptor.
    root.set_path("rootfs".into()).set_readonly(Some(host.readonly_rootfs));
    root
}

fn mount(target: &str, kind: &str, source: &str, options: &[&str]) -> rt::Mount {
    let mut mount = rt::Mount::default();
    mount
        .set_destination(target.into())
        .set_typ(Some(kind.to_owned()))
        .set_source(Some(source.into()))
        .set_options(Some(options.iter().map(|&option| option.to_owned()).collect()));
    mount
}

fn mounts(
    container: &Container,
    places: &Places,
    joined: &Joined,
    user: Option<(u32, u32)>,
) -> Result<Vec<rt::Mount>, Error> {
    // A privileged container administers the machine.
    let access = if container.host.privileged { "rw" } else { "ro" };
    let mut mounts = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", access]),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &[access, "nosuid", "noexec", "nodev"]),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ];
    mounts.extend(shared_memory(&container.host, joined));
    for name in etc::NAMES {
        let source = etc::path(name, container, places).to_string_lossy().into_owned();
        let mut file = mount(&format!("/etc/{name}"), "bind", &source, &["rbind", "rprivate"]);
        if let Some(users) = joined.users() {
            users.show(&mut file);
        }
        mounts.push(file);
    }
    if joined.users().is_some() {
        for (device, inside) in devices::to_bind(&container.host)? {
            let (device, inside) = (device.to_string_lossy(), inside.to_string_lossy());
            mounts.push(mount(&inside, "bind", &device, &["bind", "rprivate"]));
        }
    }
    if let Some(source) = joined.source(INIT) {
        mounts.push(mount(INIT, "bind", &source, &["bind", "rprivate", "ro", "nosuid", "nodev"]));
    }
    // What somebody wants in the place of one of these takes it, and with `/dev` all that is in it.
    let wanted = |path: &std::path::Path| {
        container.mounts.iter().any(|point| {
            path.as_os_str() == point.destination.as_str()
                || (point.destination == "/dev" && path.starts_with("/dev"))
        })
    };
    mounts.retain(|mount| !wanted(mount.destination()));
    for point in &container.mounts {
        mounts.push(point.spec_for(joined, user)?);
    }
    Ok(mounts)
}

/// `/dev/shm`: its own, the host's or another container's, as its IPC namespace is.
fn shared_memory(host: &HostConfig, joined: &Joined) -> Option<rt::Mount> {
    let bind =
        |source: &str| mount("/dev/shm", "bind", source, &["rbind", "rprivate", "nosuid", "noexec", "nodev"]);
    match host.ipc_mode.as_str() {
        "none" => None,
        "host" => Some(bind("/dev/shm")),
        _ => Some(joined.shared_memory().map_or_else(
            || {
                let size = format!("size={}", host.shm_size);
                mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", &size])
            },
            |path| bind(&path),
        )),
    }
}

/// Below the parent that was asked for, or the engine's.
pub(super) fn cgroup_path(container: &Container, settings: &Settings) -> PathBuf {
    let asked = &container.host.cgroup_parent;
    let parent = if asked.is_empty() { &settings.cgroup_parent } else { asked };
    match settings.cgroup_driver {
        CgroupDriver::Cgroupfs => format!("{parent}/{}", container.id).into(),
        CgroupDriver::Systemd => format!("{parent}:ketch:{}", container.id).into(),
    }
}

fn linux(container: &Container, settings: &Settings, joined: &Joined) -> Result<rt::Linux, Error> {
    let host = &container.host;
    let (mut nodes, rules) = devices::requested(host)?;
    if host.privileged {
        nodes.extend(devices::of_host());
    }
    if joined.users().is_some() {
        nodes.clear();
    }
    let paths = |given: &Option<Vec<String>>| given.clone();
    let mut linux = rt::Linux::default();
    linux
        .set_namespaces(Some(namespaces(host, joined)))
        .set_devices(Some(nodes).filter(|nodes| !nodes.is_empty()))
        .set_sysctl(host.sysctls.clone().map(HashMap::from_iter))
        .set_masked_paths(paths(&host.masked_paths))
        .set_readonly_paths(paths(&host.readonly_paths))
        .set_cgroups_path(Some(cgroup_path(container, settings)))
        .set_resources(Some(resources(host, rules)?));
    if let Some(users) = joined.users() {
        users.tell(&mut linux);
    }
    Ok(linux)
}

fn namespaces(host: &HostConfig, joined: &Joined) -> Vec<rt::LinuxNamespace> {
    let kinds = [
        (true, rt::LinuxNamespaceType::Mount),
        (host.uts_mode != "host", rt::LinuxNamespaceType::Uts),
        (host.ipc_mode != "host", rt::LinuxNamespaceType::Ipc),
        (host.pid_mode != "host", rt::LinuxNamespaceType::Pid),
        (host.network_mode != "host", rt::LinuxNamespaceType::Network),
        (host.cgroupns_mode == "private", rt::LinuxNamespaceType::Cgroup),
        (joined.users().is_some(), rt::LinuxNamespaceType::User),
    ];
    let wanted = kinds.into_iter().filter(|(wanted, _)| *wanted);
    let namespaces = wanted.map(|(_, kind)| {
        let mut namespace = rt::LinuxNamespace::default();
        namespace.set_typ(kind).set_path(joined.path(kind).map(Into::into));
        namespace
    });
    namespaces.collect()
}

fn resources(host: &HostConfig, rules: Vec<rt::LinuxDeviceCgroup>) -> Result<rt::LinuxResources, Error> {
    let mut resources = limits(host);
    resources.set_block_io(block_io::requested(host)?);
    if !host.privileged {
        // No device; the runtime adds those that every container has in its `/dev`. A container may make nodes, so
        // without this it could open the host's disks.
        let mut none = rt::LinuxDeviceCgroup::default();
        none.set_allow(false).set_access(Some("rwm".to_owned()));
        resources.set_devices(Some([vec![none], rules].concat()));
    }
    Ok(resources)
}

/// What can be changed while it runs.
pub(super) fn limits(host: &HostConfig) -> rt::LinuxResources {
    let mut resources = rt::LinuxResources::default();
    let given = |value: i64| Some(value).filter(|value| *value != 0);
    if [host.memory, host.memory_reservation, host.memory_swap].iter().any(|value| *value != 0) {
        let mut memory = rt::LinuxMemory::default();
        memory
            .set_limit(given(host.memory))
            .set_reservation(given(host.memory_reservation))
            .set_swap(given(host.memory_swap));
        resources.set_memory(Some(memory));
    }
    if let Some(limit) = host.pids_limit {
        let mut pids = rt::LinuxPids::default();
        pids.set_limit(limit);
        resources.set_pids(Some(pids));
    }
    if host.blkio_weight != 0 {
        let mut block = rt::LinuxBlockIo::default();
        block.set_weight(Some(host.blkio_weight));
        resources.set_block_io(Some(block));
    }
    resources.set_cpu(Some(cpu(host)));
    resources
}

fn cpu(host: &HostConfig) -> rt::LinuxCpu {
    let mut cpu = rt::LinuxCpu::default();
    let (period, quota) = match host.nano_cpus {
        0 => (host.cpu_period, host.cpu_quota),
        // One hundred milliseconds, the kernel's own default period.
        nano => (100_000, nano / 10_000),
    };
    let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    cpu.set_period(u64::try_from(period).ok().filter(|period| *period > 0))
        .set_quota(Some(quota).filter(|quota| *quota != 0))
        .set_shares(u64::try_from(host.cpu_shares).ok().filter(|shares| *shares > 0))
        .set_cpus(text(&host.cpuset_cpus))
        .set_mems(text(&host.cpuset_mems));
    cpu
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounding(add: &[&str], drop: &[&str]) -> HashSet<rt::Capability> {
        let list = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
        let host = HostConfig { cap_add: list(add), cap_drop: list(drop), ..HostConfig::default() };
        capabilities(&host).unwrap().bounding().clone().unwrap_or_default()
    }

    #[test]
    fn capabilities_are_added_and_dropped_with_and_without_their_prefix() {
        let default = bounding(&[], &[]);
        assert_eq!(default.len(), 14);
        let changed = bounding(&["CAP_SYS_ADMIN", "bpf"], &["kill", "CAP_MKNOD"]);
        assert_eq!(changed.len(), 14);
        assert!(changed.contains(&rt::Capability::Bpf) && !changed.contains(&rt::Capability::Kill));
        let all = every_capability().len();
        assert_eq!(bounding(&["ALL"], &[]).len(), all);
        assert_eq!(bounding(&["ALL"], &["KILL"]).len(), all - 1);
        assert_eq!(bounding(&["KILL"], &["ALL"]), HashSet::from([rt::Capability::Kill]));
    }
}
