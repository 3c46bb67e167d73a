//! Values of flags, where there are only so many.

use flags::{Flag, Kind, Place};

use super::names::{self, Which};
use super::{Answer, Candidate, Directive};
use crate::tree::Action;

const CAPABILITIES: &str = "ALL AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE \
    DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN \
    NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT \
    SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM";
const SIGNALS: &str = "SIGABRT SIGALRM SIGCONT SIGHUP SIGINT SIGIO SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTERM SIGTSTP SIGUSR1 \
    SIGUSR2 SIGWINCH";
const PLATFORMS: &str =
    "linux/amd64 linux/arm64 linux/arm/v7 linux/arm/v6 linux/386 linux/ppc64le linux/riscv64 linux/s390x";

/// What these flags may be, whichever command has them.
const FIXED: &[(&[&str], &str)] = &[
    (&["restart"], "no always on-failure unless-stopped"),
    (&["pull"], "always missing never"),
    (&["log-driver"], "fluentd gelf journald json-file local none syslog"),
    (&["cap-add", "cap-drop"], CAPABILITIES),
    (&["platform"], PLATFORMS),
    (&["signal", "stop-signal"], SIGNALS),
    (&["pid", "uts"], "host"),
    (&["userns"], "host"),
    (&["ipc"], "host none private shareable"),
    (&["cgroupns"], "host private"),
    (&["security-opt"], "no-new-privileges seccomp=unconfined apparmor=unconfined label=disable"),
    (&["progress"], "auto plain quiet rawjson tty"),
    (&["log-level"], "debug info warn error fatal"),
];

const FILES: &[&str] = &[
    "cidfile",
    "config",
    "env-file",
    "file",
    "iidfile",
    "input",
    "label-file",
    "metadata-file",
    "output",
    "tlscacert",
    "tlscert",
    "tlskey",
];

/// What the value of this flag may be.
pub(super) fn of_flag(place: &Place<Action>, flag: &Flag, begun: &str) -> Answer {
    let command = place.command().name;
    let engine = |which| (names::ask(place, which), Directive::NoFiles);
    match flag.long {
        "network" | "net" if matches!(command, "run" | "create") => engine(Which::Networks),
        "volumes-from" | "link" => engine(Which::Containers(names::any)),
        "context" => engine(Which::Contexts),
        "profile" => engine(Which::Profiles),
        "volume" => volume(place, begun),
        "project-directory" => (Vec::new(), Directive::Folders),
        "driver" if place.levels.iter().any(|(one, _)| one.name == "network") => {
            words("bridge host ipvlan macvlan none")
        }
        "format" if !matches!(flag.kind, Kind::Bool) => (list("json table"), Directive::Files),
        name if FILES.contains(&name) => (Vec::new(), Directive::Files),
        name => match FIXED.iter().find(|(names, _)| names.contains(&name)) {
            Some((_, values)) => words(values),
            None => (Vec::new(), Directive::Files),
        },
    }
}

fn words(values: &str) -> Answer {
    (list(values), Directive::NoFiles)
}

fn list(values: &str) -> Vec<Candidate> {
    values.split_whitespace().map(Candidate::bare).collect()
}

/// A path is the shell's, a name ours.
fn volume(place: &Place<Action>, begun: &str) -> Answer {
    if begun.starts_with(['/', '.', '~']) {
        return (Vec::new(), Directive::Files);
    }
    let names = names::ask(place, Which::Volumes).into_iter();
    (names.map(|one| Candidate { word: one.word + ":", ..one }).collect(), Directive::NoSpace)
}
