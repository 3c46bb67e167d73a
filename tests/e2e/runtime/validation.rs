//! What OCI's runtime-tools validate and youki's integration tests ask of a runtime, as far as `fields` and `lifecycle`
//! don't show it. Each part is named after the program of theirs that asks the same.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};
use testkit::command::run;
use testkit::eventually;

use super::Bundles;

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

fn config(bundles: &Bundles, name: &str) -> Value {
    serde_json::from_slice(&fs::read(bundles.scratch.join(name).join("config.json")).unwrap()).unwrap()
}

/// `config_updates_without_affect`
#[test]
fn a_change_of_the_bundle_after_create_has_no_effect() {
    let bundles = Bundles::new();
    let id = bundles.create("change", "echo first >/tmp/which", &json!({}));
    bundles.bundle(
        "change",
        "echo second >/tmp/which",
        &json!({"hooks": {"poststart": [{"path": "/bin/false"}]}}),
    );
    bundles.ketch(&["start", &id]).ok();
    let which = bundles.scratch.join("rootfs/tmp/which");
    eventually(PATIENCE, || match fs::read_to_string(&which).unwrap_or_default() {
        text if text == "first\n" => Ok(()),
        other => Err(other),
    });
    bundles.ketch(&["delete", "-f", &id]).ok();
    bundles.finish();
}

/// `default`: devices and links that a container has without asking.
#[test]
fn default_devices_and_links_are_there() {
    let bundles = Bundles::new();
    let script = "for d in null zero full random urandom tty; do stat -c '%n %F %t:%T %a' /dev/$d; done; \
        for l in fd stdin stdout stderr ptmx; do echo $l $(readlink /dev/$l); done; : >/dev/null && echo ok >/dev/full";
    let output = bundles.run("default", script, &json!({}));
    let expected = "/dev/null character special file 1:3 666\n/dev/zero character special file 1:5 666\n\
        /dev/full character special file 1:7 666\n/dev/random character special file 1:8 666\n\
        /dev/urandom character special file 1:9 666\n/dev/tty character special file 5:0 666\n\
        fd /proc/self/fd\nstdin /proc/self/fd/0\nstdout /proc/self/fd/1\nstderr /proc/self/fd/2\nptmx pts/ptmx\n";
    assert_eq!(output.stdout, expected, "{}", output.stderr);
    bundles.finish();
}

/// `misc_props`: what nobody knows is passed over, annotations are told.
#[test]
fn unknown_properties_are_passed_over_and_annotations_are_told() {
    let bundles = Bundles::new();
    let patch = json!({"unknown": {"a": 1}, "annotations": {"org.example.key": "value", "empty": ""}});
    let id = bundles.create("props", "true", &patch);
    let state: Value = serde_json::from_str(&bundles.ketch(&["state", &id]).ok()).unwrap();
    assert_eq!(state["annotations"]["org.example.key"], "value");
    for (key, kind) in
        [("ociVersion", "a text"), ("id", "a text"), ("bundle", "a text"), ("status", "a text")]
    {
        assert!(state[key].is_string(), "{key} is not {kind}: {state}");
    }
    assert!(state["pid"].as_i64().is_some_and(|pid| pid > 1), "{state}");
    bundles.ketch(&["delete", &id]).ok();
    bundles.finish();
}

/// `killsig`, `kill`, `kill_no_effect`
#[test]
fn each_signal_arrives_by_name_and_by_number() {
    let bundles = Bundles::new();
    let script = "for s in HUP INT QUIT USR1 USR2 TERM; do trap \"echo $s >>/tmp/heard\" $s; done; echo up >/tmp/heard; \
        while :; do sleep 0.05; done";
    let id = bundles.create("signals", script, &json!({}));
    bundles.ketch(&["start", &id]).ok();
    let heard = bundles.scratch.join("rootfs/tmp/heard");
    let wait_for = |word: &str| {
        eventually(PATIENCE, || match fs::read_to_string(&heard).unwrap_or_default() {
            text if text.ends_with(&format!("{word}\n")) => Ok(()),
            other => Err(other),
        });
    };
    wait_for("up");
    for (given, word) in [
        ("HUP", "HUP"),
        ("SIGINT", "INT"),
        ("3", "QUIT"),
        ("usr1", "USR1"),
        ("SIGUSR2", "USR2"),
        ("TERM", "TERM"),
    ] {
        bundles.ketch(&["kill", &id, given]).ok();
        wait_for(word);
    }
    bundles.ketch(&["kill", &id, "NONSENSE"]).assert_code(1);
    bundles.ketch(&["kill", &id, "999"]).assert_code(1);
    bundles.ketch(&["kill", &id, "KILL"]).ok();
    eventually(PATIENCE, || match bundles.status(&id).as_str() {
        "stopped" => Ok(()),
        other => Err(other.to_owned()),
    });
    for words in [["kill", &id], ["start", &id], ["pause", &id], ["resume", &id]] {
        assert!(!bundles.ketch(&words).assert_code(1).stderr.is_empty(), "{words:?}");
    }
    bundles.ketch(&["delete", &id]).ok();
    for verb in ["start", "state", "kill", "delete", "pause", "resume", "ps", "update"] {
        let output = bundles.ketch(&[verb, "nobody"]).assert_code(1);
        assert_eq!(output.stderr, "container does not exist: nobody\n", "{verb}");
    }
    bundles.finish();
}

/// `delete_only_create_resources`: what was there before stays.
#[test]
fn a_cgroup_above_that_somebody_else_made_stays() {
    let bundles = Bundles::new();
    let parent = bundles.id("parent");
    let path = format!("/ketch/{parent}/child");
    for deep in [false, true] {
        let places: Vec<_> = fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|e| e.path()).collect();
        let made: Vec<_> = places
            .iter()
            .map(|place| place.join("ketch").join(&parent))
            .filter(|place| {
                place.parent().is_some_and(|above| above.is_dir()) && fs::create_dir(place).is_ok()
            })
            .collect();
        let script = if deep { "sleep 1000 & sleep 1000" } else { "true" };
        let id = bundles.create("within", script, &json!({"linux": {"cgroupsPath": path}}));
        bundles.ketch(&["start", &id]).ok();
        bundles.ketch(&["delete", "-f", &id]).ok();
        for place in made {
            assert!(place.is_dir() && !place.join("child").exists(), "{}", place.display());
        }
        for place in super::cgroups(&parent) {
            fs::remove_dir(place).unwrap();
        }
    }
    bundles.finish();
}

/// `process_rlimits_fail`, `process_capabilities_fail`, `linux_ns_path_type`, `linux_masked_paths` and the like: refused
/// with a reason, and nothing is left.
#[test]
fn what_makes_no_sense_is_refused() {
    let bundles = Bundles::new();
    let linux = |value: Value| json!({"linux": value});
    let users = |uids: Value| linux(json!({"namespaces": [{"type": "user"}], "uidMappings": uids}));
    let rows = [
        (
            "a limit nobody knows",
            json!({"process": {"rlimits": [{"type": "RLIMIT_TEST", "soft": 1, "hard": 1}]}}),
        ),
        (
            "a limit twice",
            json!({"process": {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 9, "hard": 9}, {"type": "RLIMIT_NOFILE", "soft": 8, "hard": 8}]}}),
        ),
        ("a capability nobody knows", json!({"process": {"capabilities": {"bounding": ["CAP_TEST"]}}})),
        (
            "a namespace of another kind",
            linux(json!({"namespaces": [{"type": "cgroup", "path": "/proc/self/ns/mnt"}]})),
        ),
        (
            "a namespace that is no namespace",
            linux(json!({"namespaces": [{"type": "cgroup", "path": "/etc/hostname"}]})),
        ),
        ("a namespace twice", linux(json!({"namespaces": [{"type": "pid"}]}))),
        ("a user namespace without a table", users(json!([]))),
        (
            "tables that overlap",
            users(
                json!([{"containerID": 0, "hostID": 1, "size": 9}, {"containerID": 5, "hostID": 90, "size": 9}]),
            ),
        ),
        ("propagation nobody knows", linux(json!({"rootfsPropagation": "sideways"}))),
        ("a working directory that is relative", json!({"process": {"cwd": "bin"}})),
        (
            "a mount that is relative",
            json!({"mounts": [{"destination": "../x", "type": "tmpfs", "source": "t"}]}),
        ),
        (
            "an architecture nobody knows",
            linux(
                json!({"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_TEST"]}}),
            ),
        ),
        ("an action nobody knows", linux(json!({"seccomp": {"defaultAction": "SCMP_ACT_TEST"}}))),
        ("a personality nobody knows", linux(json!({"personality": {"domain": "LINUX16"}}))),
        ("a personality's flag", linux(json!({"personality": {"domain": "LINUX", "flags": ["X"]}}))),
        (
            "a class of I/O nobody knows",
            json!({"process": {"ioPriority": {"class": "IOPRIO_CLASS_TEST", "priority": 1}}}),
        ),
        (
            "a priority of I/O beyond the last",
            json!({"process": {"ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 8}}}),
        ),
        ("a policy nobody knows", json!({"process": {"scheduler": {"policy": "SCHED_TEST"}}})),
        ("a deadline without its times", json!({"process": {"scheduler": {"policy": "SCHED_DEADLINE"}}})),
        (
            "a clock nobody knows",
            linux(json!({"namespaces": [{"type": "time"}], "timeOffsets": {"realtime": {"secs": 1}}})),
        ),
        ("offsets without a namespace", linux(json!({"timeOffsets": {"boottime": {"secs": 1}}}))),
        (
            "huge pages of no size",
            linux(json!({"resources": {"hugepageLimits": [{"pageSize": "3MB", "limit": 1}]}})),
        ),
        (
            "a device of rdma that isn't there",
            linux(json!({"resources": {"rdma": {"mlx5_9": {"hcaHandles": 1}}}})),
        ),
        ("processors that aren't there", linux(json!({"resources": {"cpu": {"cpus": "4095"}}}))),
        ("a quota that is too small", linux(json!({"resources": {"cpu": {"quota": 1, "period": 100_000}}}))),
    ];
    let mut accepted = Vec::new();
    for (number, (what, patch)) in rows.iter().enumerate() {
        let output = bundles.run(&format!("senseless{number}"), "true", patch);
        if output.code != 1 || output.stderr.is_empty() {
            accepted.push(what);
        }
    }
    assert!(accepted.is_empty(), "{accepted:?}");
    bundles.finish();
}

/// `mounts_recursive`: each attribute for all that is mounted below.
#[test]
fn recursive_attributes_hold_for_what_is_mounted_below() {
    let bundles = Bundles::new();
    let outer = bundles.scratch.join("outer");
    fs::create_dir_all(outer.join("inner")).unwrap();
    let words = ["rro", "rnosuid", "rnodev", "rnoexec", "rnoatime", "rnodiratime", "rnosymfollow"];
    let seen = ["ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "nosymfollow"];
    let rows = words.iter().zip(seen).map(|(word, seen)| (*word, seen, "1"));
    // What the host's mount has is taken away again.
    let undone = ["rsuid", "rdev", "rexec", "ratime"].iter().zip(["nosuid", "nodev", "noexec", "noatime"]);
    for (word, seen, count) in rows.chain(undone.map(|(word, seen)| (*word, seen, "0"))) {
        let patch = json!({"mounts": [{"destination": "/t", "type": "none", "source": outer, "options": ["rbind", word]}]});
        let inside = format!("grep ' /t/inner ' /proc/mounts | cut -d' ' -f4 | tr , '\\n' | grep -cx {seen}");
        bundles.bundle("deep", &inside, &patch);
        let given = if count == "0" { "nosuid,nodev,noexec,noatime" } else { "rw" };
        let script = format!(
            "mount -t tmpfs -o {given} t {0}/inner && exec {1} runtime --root {2} run -b {3} {4}",
            outer.display(),
            testkit::command::ketch_binary().display(),
            bundles.scratch.join("state").display(),
            bundles.scratch.join("deep").display(),
            bundles.id("deep"),
        );
        let output = run(std::process::Command::new("unshare").args(["-m", "sh", "-c", &script]));
        assert_eq!(output.stdout.trim(), count, "{word}: {}", output.stderr);
    }
    bundles.finish();
}

/// `linux_rootfs_propagation`
#[test]
fn the_root_s_propagation_is_what_was_asked_for() {
    let bundles = Bundles::new();
    for (asked, seen) in
        [("shared", "shared:"), ("unbindable", "unbindable"), ("private", "none"), ("rslave", "none")]
    {
        let script = "o=$(grep ' / / \\| / rw\\| / ro\\|/rootfs / ' /proc/self/mountinfo | head -1 | sed 's/ - .*//'); \
            case $o in *shared:*) echo shared:;; *unbindable*) echo unbindable;; *) echo none;; esac";
        let output = bundles.run(asked, script, &json!({"linux": {"rootfsPropagation": asked}}));
        assert_eq!(output.stdout.trim(), seen, "{asked}: {}", output.stderr);
    }
    bundles.finish();
}

/// `poststop_fail`: told, and no reason to keep what is left.
#[test]
fn a_hook_that_fails_after_the_end_is_told_and_changes_nothing() {
    let bundles = Bundles::new();
    let ran = bundles.scratch.join("ran");
    let second = json!({"path": "/bin/sh", "args": ["sh", "-c", format!("echo yes >{}", ran.display())]});
    let patch = json!({"hooks": {"poststop": [{"path": "/bin/false"}, second]}});
    let bundle = bundles.bundle("poststop", "true", &patch);
    let log = bundles.scratch.join("log");
    let words =
        ["--log", log.to_str().unwrap(), "run", "-b", bundle.to_str().unwrap(), &bundles.id("poststop")];
    bundles.ketch(&words).ok();
    assert_eq!(fs::read_to_string(&ran).unwrap(), "yes\n");
    assert!(fs::read_to_string(&log).unwrap().contains("poststop hook /bin/false"));
    bundles.finish();
}

/// `process`, `root_readonly_true`, `pidfile`, `create`: one bundle with much in it at once.
#[test]
fn many_fields_at_once_are_all_kept() {
    let bundles = Bundles::new();
    let patch = json!({
        "hostname": "all", "root": {"readonly": true},
        "process": {"user": {"uid": 11, "gid": 12, "additionalGids": [13]}, "cwd": "/tmp", "env": ["X=1"], "oomScoreAdj": 100,
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]},
        "mounts": [{"destination": "/t", "type": "tmpfs", "source": "t", "options": ["size=1m", "nosuid"]}],
        "linux": {"sysctl": {"net.ipv4.ip_forward": "1"}, "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"],
            "resources": {"memory": {"limit": 60_000_000}, "pids": {"limit": 30}}},
    });
    let script = "hostname; id -u; id -G; pwd; echo $X; ulimit -n; ulimit -c; cat /proc/self/oom_score_adj; \
        touch /x 2>/dev/null || echo read-only; touch /t/x && echo written; cat /proc/sys/net/ipv4/ip_forward";
    let bundle = bundles.bundle("all", script, &patch);
    let (id, pid_file) = (bundles.id("all"), bundles.scratch.join("pid"));
    let mut command = bundles.command(&[
        "create",
        "-b",
        bundle.to_str().unwrap(),
        "--pid-file",
        pid_file.to_str().unwrap(),
        &id,
    ]);
    let output = fs::File::create(bundles.scratch.join("output")).unwrap();
    let status = command.stdout(output).stderr(Stdio::null()).status().unwrap();
    assert!(status.success());
    let state: Value = serde_json::from_str(&bundles.ketch(&["state", &id]).ok()).unwrap();
    assert_eq!(state["pid"].to_string(), fs::read_to_string(&pid_file).unwrap());
    assert_eq!(state["bundle"], bundle.to_str().unwrap());
    bundles.ketch(&["start", &id]).ok();
    let expected = "all\n11\n12 13\n/tmp\n1\n64\n0\n100\nread-only\nwritten\n1\n";
    eventually(PATIENCE, || match fs::read_to_string(bundles.scratch.join("output")).unwrap() {
        text if text == expected => Ok(()),
        other => Err(other),
    });
    assert_eq!(config(&bundles, "all")["hostname"], "all");
    bundles.ketch(&["delete", "-f", &id]).ok();
    bundles.finish();
}

/// youki's `exec_cpu_affinity` and `memory_policy`, which this kernel may not have.
#[test]
fn affinity_and_memory_policy_hold_or_are_refused_by_name() {
    let bundles = Bundles::new();
    let policy = json!({"linux": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0"}}});
    let output = bundles.run("memory", "echo ran", &policy);
    let missing = "linux.memoryPolicy (this kernel knows of no memory nodes) is not supported";
    assert!(output.stdout == "ran\n" || output.stderr.trim() == missing, "{output:?}");
    let wrong = json!({"linux": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0-99999999"}}});
    bundles.run("memory-wrong", "echo ran", &wrong).assert_code(1);
    let id = bundles.create("affinity", "sleep 1000", &json!({}));
    bundles.ketch(&["start", &id]).ok();
    for (list, seen) in [("1", "1"), ("0", "0")] {
        let process = bundles.scratch.write(
            "process.json",
            json!({"cwd": "/", "user": {"uid": 0, "gid": 0}, "args": ["/bin/grep", "Cpus_allowed_list", "/proc/self/status"],
                "execCPUAffinity": {"initial": "0", "final": list}})
            .to_string(),
        );
        let output = bundles.ketch(&["exec", "--process", process.to_str().unwrap(), &id]).ok();
        assert_eq!(output.split_whitespace().last(), Some(seen));
    }
    bundles.ketch(&["delete", "-f", &id]).ok();
    bundles.finish();
}
