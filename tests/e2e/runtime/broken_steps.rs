//! Each step of `create` broken in turn: what the host has afterwards is what it had before.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use testkit::leaks;

use super::{Bundles, cgroups};

/// What a failed creation could leave.
#[derive(Debug, PartialEq, Eq)]
struct Inventory {
    processes: Vec<(i32, String)>,
    mounts: BTreeSet<String>,
    cgroups: Vec<std::path::PathBuf>,
    states: Vec<String>,
}

impl Inventory {
    fn take(bundles: &Bundles) -> Self {
        let states = fs::read_dir(bundles.scratch.join("state")).into_iter().flatten().flatten();
        Self {
            processes: leaks::processes(bundles.scratch.path()),
            mounts: leaks::mounts(bundles.scratch.path()).into_iter().collect(),
            cgroups: cgroups(&bundles.id("")),
            states: states.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect(),
        }
    }
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Value {
    json!({"mounts": [{"destination": destination, "type": kind, "source": source, "options": options}]})
}

/// In the order in which they are taken.
fn steps() -> Vec<(&'static str, Value, &'static [&'static str])> {
    let hook = |stage: &str| json!({"hooks": {stage: [{"path": "/bin/false"}]}});
    let linux = |value: Value| json!({"linux": value});
    vec![
        (
            "the seccomp profile",
            linux(
                json!({"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [], "action": "SCMP_ACT_ERRNO"}]}}),
            ),
            &[],
        ),
        ("the root", json!({"root": {"path": "/nowhere"}}), &[]),
        ("the check", linux(json!({"intelRdt": {"closID": "x"}})), &[]),
        ("the cgroup's limits", linux(json!({"resources": {"cpu": {"cpus": "4000"}}})), &[]),
        ("the device rules", linux(json!({"resources": {"devices": [{"allow": true, "type": "p"}]}})), &[]),
        ("a namespace's path", linux(json!({"namespaces": [{"type": "cgroup", "path": "/nowhere"}]})), &[]),
        ("the sysctls' check", linux(json!({"sysctl": {"kernel.panic": "1"}})), &[]),
        ("a bind's source", mount("/t", "bind", "/nowhere", &["bind"]), &[]),
        (
            "the listener",
            linux(json!({"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/nowhere"}})),
            &[],
        ),
        (
            "the time's offsets",
            linux(json!({"namespaces": [{"type": "time"}], "timeOffsets": {"sideways": {"secs": 1}}})),
            &[],
        ),
        (
            "the users' table",
            linux(
                json!({"namespaces": [{"type": "user"}], "uidMappings": [{"containerID": 0, "hostID": 0, "size": 0}], "gidMappings": [{"containerID": 0, "hostID": 0, "size": 1}]}),
            ),
            &[],
        ),
        ("the hook prestart", hook("prestart"), &[]),
        ("the hook createRuntime", hook("createRuntime"), &[]),
        (
            "joining a namespace",
            linux(json!({"namespaces": [{"type": "cgroup", "path": "/proc/self/ns/net"}]})),
            &[],
        ),
        ("a file system's option", mount("/t", "tmpfs", "t", &["size=nonsense"]), &[]),
        ("a mount's place", mount("/bin/busybox/x", "tmpfs", "t", &[]), &[]),
        ("a mount over procfs", mount("/proc/1", "tmpfs", "t", &[]), &[]),
        (
            "a device",
            linux(json!({"devices": [{"path": "/bin/sh/x", "type": "c", "major": 1, "minor": 3}]})),
            &[],
        ),
        ("a mask", linux(json!({"maskedPaths": ["/proc/self/environ"]})), &[]),
        ("the hook createContainer", hook("createContainer"), &[]),
        ("a sysctl's value", linux(json!({"sysctl": {"kernel.msgmax": "nonsense"}})), &[]),
        (
            "a limit",
            json!({"process": {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 20, "hard": 10}]}}),
            &[],
        ),
        ("the scheduler", json!({"process": {"scheduler": {"policy": "SCHED_FIFO", "priority": 1000}}}), &[]),
        ("the working directory", json!({"process": {"cwd": "/bin/busybox"}}), &[]),
        ("the program", json!({"process": {"args": null, "env": []}}), &[]),
        ("the process' number", json!({}), &["--pid-file", "/nowhere/pid"]),
        ("the process' descriptor", json!({}), &["--pidfd-socket", "/nowhere/socket"]),
        ("the console", json!({"process": {"terminal": true}}), &["--console-socket", "/nowhere/socket"]),
        ("descriptors to preserve", json!({}), &["--preserve-fds", "100"]),
    ]
}

#[test]
fn create_leaves_nothing_behind_whichever_step_breaks() {
    let bundles = Bundles::new();
    let before = Inventory::take(&bundles);
    for (number, (step, patch, flags)) in steps().iter().enumerate() {
        let bundle = bundles.bundle(&format!("step{number}"), "true", patch);
        let id = bundles.id(&format!("step{number}"));
        let words = [&["create", "-b", bundle.to_str().unwrap()], *flags, &[id.as_str()]].concat();
        let output = bundles.ketch(&words);
        assert_eq!(output.code, 1, "{step} was not broken: {}", output.stderr);
        assert!(!output.stderr.is_empty(), "{step}");
        assert_eq!(Inventory::take(&bundles), before, "{step} left something");
    }
    bundles.finish();
}
