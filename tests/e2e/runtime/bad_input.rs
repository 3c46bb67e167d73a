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
