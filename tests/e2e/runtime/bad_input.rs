//! Bundles that are wrong, and specifications that are wrong in every way a small program can think of.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use super::{Bundles, cgroups};

#[test]
fn ids_are_names_and_nothing_else() {
    let bundles = Bundles::new();
    let bundle = bundles.bundle("id", "true", &json!({}));
    for id in ["../up", "a/b", ".", "..", "with space", "", "ä"] {
        let output = bundles.ketch(&["run", "-b", bundle.to_str().unwrap(), id]).assert_code(1);
        assert!(output.stderr.starts_with("invalid container ID"), "{id:?}: {}", output.stderr);
    }
    let id = bundles.create("twice", "true", &json!({}));
    let output = bundles.ketch(&["create", "-b", bundle.to_str().unwrap(), &id]).assert_code(1);
    assert_eq!(output.stderr, format!("container with given ID already exists: {id}\n"));
    bundles.ketch(&["delete", &id]).ok();
    bundles.finish();
}

#[test]
fn a_root_that_is_no_directory_is_refused() {
    let bundles = Bundles::new();
    symlink("/", bundles.scratch.join("link")).unwrap();
    bundles.scratch.write("file", "");
    for root in ["link", "file", "nothing"] {
        let patch = json!({"root": {"path": bundles.scratch.join(root)}});
        let output = bundles.run("root", "echo inside", &patch).assert_code(1);
        assert!(output.stderr.starts_with("cannot open the root file system"), "{root}: {}", output.stderr);
    }
    for text in ["", "{", "[]", "null", "{\"ociVersion\":1}"] {
        let bundle = bundles.scratch.write("broken/config.json", text);
        let bundle = bundle.parent().unwrap().to_str().unwrap();
        let output = bundles.ketch(&["run", "-b", bundle, &bundles.id("broken")]).assert_code(1);
        assert!(!output.stderr.is_empty() && output.stdout.is_empty());
    }
    bundles.finish();
}

/// Each value of the specification in turn becomes each of these.
fn wrong_values() -> Vec<Value> {
    vec![
        json!(null),
        json!(-1),
        json!(u64::MAX),
        json!(""),
        json!("../../.."),
        json!("\u{0}"),
        json!([]),
        json!({}),
        json!([null]),
        json!(true),
    ]
}

fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, inner)| places(inner, &format!("{at}/{key}"), found));
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(n, inner)| places(inner, &format!("{at}/{n}"), found));
        }
        _ => {}
    }
    if !at.is_empty() {
        found.push(at.to_owned());
    }
}

/// Whatever stands in it: an answer in time, no panic, and nothing left.
#[test]
fn a_specification_with_a_wrong_value_anywhere_leaves_nothing_behind() {
    let bundles = Bundles::new();
    let rich = json!({
        "hostname": "h",
        "process": {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}], "oomScoreAdj": 5,
            "capabilities": {"bounding": ["CAP_KILL"]}, "scheduler": {"policy": "SCHED_BATCH", "nice": 1},
            "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 3}},
        "mounts": [{"destination": "/t", "type": "tmpfs", "source": "t", "options": ["size=1m"]}],
        "linux": {"sysctl": {"kernel.msgmax": "9000"}, "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"],
            "devices": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3}],
            "resources": {"memory": {"limit": 50_000_000}, "pids": {"limit": 50}, "cpu": {"shares": 100},
                "devices": [{"allow": false, "access": "rwm"}]},
            "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}},
    });
    let bundle = bundles.bundle("good", "true", &rich);
    let good: Value = serde_json::from_slice(&fs::read(bundle.join("config.json")).unwrap()).unwrap();
    let (id, own) = (bundles.id("wrong"), bundles.id(""));
    assert_eq!(bundles.ketch(&["run", "-b", bundle.to_str().unwrap(), &id]).code, 0);
    let mut all = Vec::new();
    places(&good, "", &mut all);
    for place in all {
        for wrong in wrong_values() {
            let mut spec = good.clone();
            *spec.pointer_mut(&place).unwrap() = wrong.clone();
            fs::write(bundle.join("config.json"), spec.to_string()).unwrap();
            let output = bundles.ketch(&["run", "-b", bundle.to_str().unwrap(), &id]);
            assert!(
                output.code != 101 && !output.stderr.contains("panicked"),
                "{place} = {wrong}: {}",
                output.stderr
            );
            assert!(output.code == 0 || !output.stderr.is_empty(), "{place} = {wrong}: code {}", output.code);
            assert!(!bundles.scratch.join("state").join(&id).exists(), "{place} = {wrong}");
            assert!(cgroups(&own).is_empty(), "{place} = {wrong}");
        }
    }
    bundles.finish();
}

/// Several values at once, of the kind that stands there and of others: what one wrong value doesn't reach.
#[test]
fn specifications_that_are_wrong_in_several_places_leave_nothing_behind() {
    let bundles = Bundles::new();
    let mut faults = testkit::Faults::of(3000);
    let bundle = bundles.bundle("base", "true", &everything());
    let base: Value = serde_json::from_slice(&fs::read(bundle.join("config.json")).unwrap()).unwrap();
    let (id, own) = (bundles.id("several"), bundles.id(""));
    let mut all = Vec::new();
    places(&base, "", &mut all);
    // Another root would be the host's.
    all.retain(|place| place != "/root/path");
    for _ in 0..faults.count {
        let mut spec = base.clone();
        let mut pick = |bound: usize| usize::try_from(faults.below(bound as u64)).unwrap();
        for _ in 0..=pick(4) {
            let place = all[pick(all.len())].clone();
            let Some(value) = spec.pointer_mut(&place) else { continue };
            let kinds = of_its_kind(value);
            *value = kinds[pick(kinds.len())].clone();
        }
        fs::write(bundle.join("config.json"), spec.to_string()).unwrap();
        let output = bundles.ketch(&["run", "-b", bundle.to_str().unwrap(), &id]);
        let bad = output.code == 101 || output.stderr.contains("panicked");
        assert!(!bad && (output.code == 0 || !output.stderr.is_empty()), "{spec}: {output:?}");
        assert!(!bundles.scratch.join("state").join(&id).exists() && cgroups(&own).is_empty(), "{spec}");
    }
    bundles.finish();
}

/// Values that could stand where this one does, the odd ones among them.
fn of_its_kind(value: &Value) -> Vec<Value> {
    let mut all = match value {
        Value::Number(_) => {
            [0, 1, 2, 7, 1000, i64::from(u32::MAX), i64::MAX, -1, i64::MIN].map(Value::from).to_vec()
        }
        Value::String(text) => {
            let long = "x".repeat(5000);
            let odd = [
                &format!("{text}{text}"),
                "/",
                "/proc/self/ns/net",
                "/dev/null",
                "a\nb",
                "\u{0}",
                &long,
                "0-3",
                "ro",
                "CAP_SYS_ADMIN",
            ];
            odd.iter().map(|text| Value::from(*text)).collect()
        }
        Value::Bool(flag) => vec![Value::from(!flag)],
        Value::Array(list) => {
            let doubled = [list.as_slice(), list.as_slice()].concat();
            vec![json!([]), Value::from(doubled), Value::from(list.iter().rev().cloned().collect::<Vec<_>>())]
        }
        Value::Object(_) | Value::Null => vec![json!({}), json!({"unknown": 1})],
    };
    all.push(json!(null));
    all.push(json!({"path": "/x", "type": "c"}));
    all
}

/// Something of each part of the specification that this machine can do.
fn everything() -> Value {
    json!({
        "hostname": "h", "domainname": "d", "annotations": {"a": "b"}, "root": {"readonly": false},
        "process": {
            "user": {"umask": 18, "additionalGids": [3]}, "oomScoreAdj": 5, "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 3},
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 20, "hard": 20}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}],
            "capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]},
            "scheduler": {"policy": "SCHED_BATCH", "nice": 1}, "consoleSize": {"height": 1, "width": 1},
        },
        "hooks": {"prestart": [{"path": "/bin/true", "timeout": 5}], "createRuntime": [{"path": "/bin/true", "args": ["true"]}],
            "createContainer": [{"path": "/bin/true", "env": ["A=b"]}], "poststop": [{"path": "/bin/true"}]},
        "mounts": [
            {"destination": "/t", "type": "tmpfs", "source": "t", "options": ["size=1m", "mode=755", "rnosuid", "rprivate"]},
            {"destination": "/tmp/up", "type": "tmpfs", "source": "t", "options": ["tmpcopyup"]},
            {"destination": "/tmp/bound", "type": "none", "source": "/usr", "options": ["rbind", "ro", "rslave"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]},
        ],
        "linux": {
            "namespaces": [{"type": "cgroup"}, {"type": "time"}], "timeOffsets": {"boottime": {"secs": 5, "nanosecs": 1}},
            "sysctl": {"kernel.msgmax": "9000", "net.ipv4.ip_forward": "1"}, "rootfsPropagation": "private",
            "maskedPaths": ["/proc/kcore", "/proc/acpi"], "readonlyPaths": ["/proc/sys"], "personality": {"domain": "LINUX"},
            "devices": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3, "fileMode": 438, "uid": 1, "gid": 1}],
            "resources": {
                "memory": {"limit": 50_000_000, "reservation": 30_000_000, "swappiness": 10}, "pids": {"limit": 50},
                "cpu": {"shares": 100, "quota": 50_000, "period": 100_000, "cpus": "0"},
                "devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw"}],
            },
            "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
                "flags": ["SECCOMP_FILTER_FLAG_LOG"],
                "syscalls": [{"names": ["mkdir", "personality"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5,
                    "args": [{"index": 0, "value": 7, "valueTwo": 1, "op": "SCMP_CMP_MASKED_EQ"}]}]},
        },
    })
}
