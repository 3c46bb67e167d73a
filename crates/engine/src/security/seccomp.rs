//! The default seccomp profile: docker 28.5's, with the sockets that reach out of every namespace closed.

use oci_spec::runtime as rt;

use super::default_calls::ALLOWED;
use super::profile::{Architecture, Circumstances, Kernel, Profile, Rule};

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// `CLONE_NEW*` but for time, which `clone` can't make.
const NAMESPACES: u64 = 0x7e02_0000;

/// Linux, Linux with its addresses at random places switched off, and the question which it is.
const PERSONALITIES: [u64; 5] = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// The last before `AF_ALG`, whose parsers run in the kernel and belong to nobody's namespace.
const LAST_BEFORE_ALG: u64 = 37;
/// The families after it, without `AF_VSOCK` (40), which speaks to the hypervisor whatever the network namespace.
const AFTER_ALG: [u64; 6] = [39, 41, 42, 43, 44, 45];

/// What a capability is for must not be forbidden to those who were given it.
const BY_CAPABILITY: &[(&str, &str)] = &[
    ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
    (
        "CAP_SYS_ADMIN",
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr \
         lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl \
         quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare",
    ),
    ("CAP_SYS_BOOT", "reboot"),
    ("CAP_SYS_CHROOT", "chroot"),
    ("CAP_SYS_MODULE", "delete_module init_module finit_module"),
    ("CAP_SYS_PACCT", "acct"),
    ("CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"),
    ("CAP_SYS_RAWIO", "iopl ioperm"),
    ("CAP_SYS_TIME", "settimeofday stime clock_settime clock_settime64"),
    ("CAP_SYS_TTY_CONFIG", "vhangup"),
    ("CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    ("CAP_SYSLOG", "syslog"),
    ("CAP_BPF", "bpf"),
    ("CAP_PERFMON", "perf_event_open"),
];

/// The profile of every container that doesn't bring its own.
pub(super) fn default_profile() -> Profile {
    let mut rules = vec![allow(ALLOWED)];
    // Before 4.8 a tracer could change the number of a call after the filter had looked at it.
    let since = Circumstances { min_kernel: Some(Kernel(4, 8)), ..Circumstances::default() };
    rules.push(including(allow("process_vm_readv process_vm_writev ptrace"), since));
    rules.push(allow_if("socket", rt::LinuxSeccompOperator::ScmpCmpLe, LAST_BEFORE_ALG));
    let equal = rt::LinuxSeccompOperator::ScmpCmpEq;
    rules.extend(AFTER_ALG.map(|family| allow_if("socket", equal, family)));
    rules.extend(PERSONALITIES.map(|persona| allow_if("personality", equal, persona)));
    let arm = "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls";
    rules.push(including(allow(arm), architectures(&["arm", "arm64"])));
    rules.push(including(allow("arch_prctl"), architectures(&["amd64", "x32"])));
    rules.push(including(allow("modify_ldt"), architectures(&["amd64", "x32", "x86"])));
    rules.extend(BY_CAPABILITY.iter().map(|(cap, names)| including(allow(names), capability(cap))));
    rules.extend(clone());
    Profile {
        default_action: Some(rt::LinuxSeccompAction::ScmpActErrno),
        default_errno_ret: Some(EPERM),
        arch_map: Some(vec![
            architecture(rt::Arch::ScmpArchX86_64, &[rt::Arch::ScmpArchX86, rt::Arch::ScmpArchX32]),
            architecture(rt::Arch::ScmpArchAarch64, &[rt::Arch::ScmpArchArm]),
        ]),
        syscalls: Some(rules),
        ..Profile::default()
    }
}

/// Threads and processes, no namespaces. `clone3` has its flags in memory, where a filter can't look; told that it
/// doesn't exist, C libraries use `clone`.
fn clone() -> [Rule; 2] {
    let masked = rt::LinuxSeccompOperator::ScmpCmpMaskedEq;
    let without = Some(capability("CAP_SYS_ADMIN"));
    let threads = Rule { excludes: without.clone(), ..allow_if("clone", masked, NAMESPACES) };
    let unknown = Rule {
        names: Some(vec!["clone3".to_owned()]),
        action: rt::LinuxSeccompAction::ScmpActErrno,
        errno_ret: Some(ENOSYS),
        excludes: without,
        ..Rule::default()
    };
    [threads, unknown]
}

fn allow(names: &str) -> Rule {
    let names = names.split_whitespace().map(str::to_owned).collect();
    Rule { names: Some(names), action: rt::LinuxSeccompAction::ScmpActAllow, ..Rule::default() }
}

/// By the first argument. For a mask it must have none of its bits.
fn allow_if(name: &str, op: rt::LinuxSeccompOperator, value: u64) -> Rule {
    let arg = rt::LinuxSeccompArgBuilder::default().index(0usize).value(value).op(op).build();
    Rule { args: arg.ok().map(|arg| vec![arg]), ..allow(name) }
}

fn including(rule: Rule, circumstances: Circumstances) -> Rule {
    Rule { includes: Some(circumstances), ..rule }
}

fn capability(name: &str) -> Circumstances {
    Circumstances { caps: Some(vec![name.to_owned()]), ..Circumstances::default() }
}

fn architectures(names: &[&str]) -> Circumstances {
    let names = names.iter().map(|&name| name.to_owned()).collect();
    Circumstances { arches: Some(names), ..Circumstances::default() }
}

fn architecture(architecture: rt::Arch, more: &[rt::Arch]) -> Architecture {
    Architecture { architecture, sub_architectures: Some(more.to_vec()) }
}
