//! The specification's fields, each proved by what a program inside sees of it.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;

use serde_json::{Value, json};
use testkit::command::run;

use super::Bundles;

struct Row {
    field: &'static str,
    patch: Value,
    script: &'static str,
    shows: &'static str,
}

fn row(field: &'static str, patch: Value, script: &'static str, shows: &'static str) -> Row {
    Row { field, patch, script, shows }
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Value {
    json!({"mounts": [{"destination": destination, "type": kind, "source": source, "options": options}]})
}

fn namespace(kind: &str) -> Value {
    json!({"linux": {"namespaces": [{"type": kind}]}})
}

#[expect(clippy::needless_pass_by_value, reason = "rows read better")]
fn with(mut one: Value, other: Value) -> Value {
    super::merge(&mut one, &other);
    one
}

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    let cap = |set: &str| json!({"process": {"capabilities": {set: ["CAP_KILL"]}}});
    let users = json!({"linux": {"namespaces": [{"type": "user"}],
        "uidMappings": [{"containerID": 0, "hostID": 100_000, "size": 1000}],
        "gidMappings": [{"containerID": 0, "hostID": 100_000, "size": 1000}]}});
    vec![
        row("hostname", json!({"hostname": "boat"}), "hostname", "boat"),
        row("domainname", json!({"domainname": "sea"}), "cat /proc/sys/kernel/domainname", "sea"),
        row("root.readonly", json!({"root": {"readonly": true}}), "touch /x 2>/dev/null || echo no", "no"),
        row("process.cwd", json!({"process": {"cwd": "/bin"}}), "pwd", "/bin"),
        row("process.env", json!({"process": {"env": ["A=b"]}}), "echo $A", "b"),
        row("process.user", json!({"process": {"user": {"uid": 7, "gid": 8, "additionalGids": [9, 10]}}}), "id -u; id -g; id -G", "7 8 8 9 10"),
        row("process.user.umask", json!({"process": {"user": {"umask": 63}}}), "umask", "0077"),
        row("process.rlimits", json!({"process": {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]}}), "ulimit -n; ulimit -Hn", "100 200"),
        row("process.noNewPrivileges", json!({}), "grep NoNewPrivs /proc/self/status | cut -f2", "1"),
        row("process.oomScoreAdj", json!({"process": {"oomScoreAdj": 77}}), "cat /proc/self/oom_score_adj", "77"),
        row("capabilities.bounding", cap("bounding"), "grep CapBnd /proc/self/status | cut -f2", "0000000000000020"),
        row("capabilities.effective", with(with(cap("effective"), cap("permitted")), cap("bounding")), "grep CapEff /proc/self/status | cut -f2", "0000000000000020"),
        row("capabilities.inheritable", with(cap("inheritable"), with(cap("permitted"), cap("bounding"))), "grep CapInh /proc/self/status | cut -f2", "0000000000000020"),
        row("capabilities.ambient", with(with(cap("ambient"), json!({"process": {"user": {"uid": 5, "gid": 5}}})), with(cap("inheritable"), with(cap("permitted"), cap("bounding")))), "grep CapAmb /proc/self/status | cut -f2", "0000000000000020"),
        row("process.scheduler", json!({"process": {"scheduler": {"policy": "SCHED_BATCH", "nice": 5}}}), "cut -d' ' -f19,41 /proc/self/stat", "5 3"),
        row("process.ioPriority", json!({"process": {"ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 0}}}), "ionice", "idle"),
        row("linux.personality", json!({"linux": {"personality": {"domain": "LINUX32"}}}), "uname -m", "i686"),
        row("linux.sysctl", json!({"linux": {"sysctl": {"kernel.msgmax": "9999", "net.ipv4.ip_forward": "1"}}}), "cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_forward", "9999 1"),
        row("linux.maskedPaths", json!({"linux": {"maskedPaths": ["/proc/meminfo", "/proc/tty"]}}), "cat /proc/meminfo; ls /proc/tty; echo none", "none"),
        row("linux.readonlyPaths", json!({"linux": {"readonlyPaths": ["/proc/sys"]}}), "(echo x >/proc/sys/kernel/domainname) 2>/dev/null || echo no", "no"),
        row("linux.devices", json!({"linux": {"devices": [{"path": "/dev/mine", "type": "c", "major": 1, "minor": 5, "fileMode": 384, "uid": 3, "gid": 4}]}}), "stat -c '%t %T %a %u %g' /dev/mine", "1 5 600 3 4"),
        row("linux.devices: a FIFO", json!({"linux": {"devices": [{"path": "/dev/queue", "type": "p", "major": 0, "minor": 0}]}}), "test -p /dev/queue && echo yes", "yes"),
        row("linux.seccomp: errno", json!({"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["chmod", "fchmodat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 22}]}}}), "chmod 700 /bin 2>&1 | grep -o 'Invalid argument'", "Invalid argument"),
        row("linux.seccomp: kill", json!({"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["chmod", "fchmodat"], "action": "SCMP_ACT_KILL_PROCESS"}]}}}), "chmod 700 /bin; echo $?", "159 Bad system call"),
        row("linux.seccomp: log", json!({"linux": {"seccomp": {"defaultAction": "SCMP_ACT_LOG", "flags": ["SECCOMP_FILTER_FLAG_LOG"]}}}), "echo on", "on"),
        row("namespaces: cgroup", namespace("cgroup"), "cut -d: -f3 /proc/self/cgroup | sort -u", "/"),
        row("namespaces: time", with(namespace("time"), json!({"linux": {"timeOffsets": {"boottime": {"secs": 5_000_000}}}})), "test $(cut -d. -f1 /proc/uptime) -ge 5000000 && echo later", "later"),
        row("namespaces: user", users.clone(), "id -u; tr -s ' ' </proc/self/uid_map; echo x >/dev/null && echo null", "0  0 100000 1000 null"),
        row("namespaces: user, another user", with(users, json!({"process": {"user": {"uid": 9, "gid": 9}}})), "id -u; id -g", "9 9"),
        row("mounts: ro", mount("/t", "tmpfs", "t", &["ro"]), "touch /t/x 2>/dev/null || echo no", "no"),
        row("mounts: noexec", mount("/t", "tmpfs", "t", &["noexec", "nosuid", "nodev", "size=1m"]), "grep ' /t ' /proc/mounts | cut -d' ' -f4 | cut -d, -f1-5", "rw,nosuid,nodev,noexec,relatime"),
        row("mounts: noatime", mount("/t", "tmpfs", "t", &["noatime"]), "grep -o 'noatime' /proc/mounts", "noatime"),
        row("mounts: strictatime", mount("/t", "tmpfs", "t", &["strictatime"]), "grep ' /t ' /proc/mounts | cut -d' ' -f4 | grep -c relatime", "0"),
        row("mounts: nosymfollow", mount("/t", "tmpfs", "t", &["nosymfollow"]), "ln -s /bin/sh /t/x; cat /t/x 2>/dev/null || echo no", "no"),
        row("mounts: propagation", mount("/t", "tmpfs", "t", &["rshared"]), "grep -c ' /t .*shared:' /proc/self/mountinfo", "1"),
        row("mounts: unbindable", mount("/t", "tmpfs", "t", &["unbindable"]), "grep -c ' /t .*unbindable' /proc/self/mountinfo", "1"),
        row("mounts: tmpcopyup", mount("/bin", "tmpfs", "t", &["tmpcopyup", "ro"]), "touch /bin/x 2>/dev/null || readlink /bin/sh", "busybox"),
        row("mounts: mqueue", mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid"]), "grep -c ' /dev/mqueue mqueue' /proc/mounts", "1"),
        row("linux.rootfsPropagation", json!({"linux": {"rootfsPropagation": "shared"}}), "grep -c ' / / .*shared:\\|/rootfs / .*shared:' /proc/self/mountinfo", "1"),
        row("resources.pids", json!({"linux": {"resources": {"pids": {"limit": 9}}}}), "cat /proc/self/cgroup >/dev/null; echo ok", "ok"),
    ]
}

#[test]
fn a_program_inside_sees_what_each_field_asks_for() {
    let bundles = Bundles::new();
    let mut wrong = Vec::new();
    for (number, row) in rows().iter().enumerate() {
        let output = bundles.run(&format!("row{number}"), row.script, &row.patch);
        let seen = format!("{}{}", output.stdout, output.stderr);
        let seen = seen.trim().replace('\n', " ");
        if seen != row.shows {
            wrong.push(format!("{}: {seen:?}, not {:?}", row.field, row.shows));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    bundles.finish();
}

#[test]
fn what_is_not_built_or_missing_in_the_kernel_is_refused_by_name() {
    let bundles = Bundles::new();
    let with_linux = |value: Value| json!({"linux": value});
    let rows = [
        ("linux.intelRdt", with_linux(json!({"intelRdt": {"closID": "x"}}))),
        ("linux.mountLabel", with_linux(json!({"mountLabel": "x"}))),
        ("process.commandLine", json!({"process": {"commandLine": "x"}})),
        (
            "process.apparmorProfile (this kernel has no AppArmor)",
            json!({"process": {"apparmorProfile": "x"}}),
        ),
        ("process.selinuxLabel (this kernel has no SELinux)", json!({"process": {"selinuxLabel": "x"}})),
        ("process.scheduler: SCHED_ISO", json!({"process": {"scheduler": {"policy": "SCHED_ISO"}}})),
        ("mounts: /t: option copy-symlink", mount("/t", "tmpfs", "t", &["copy-symlink"])),
        ("mounts: /t: type ext4", mount("/t", "ext4", "/dev/none", &[])),
        ("linux.resources.memory.kernel", with_linux(json!({"resources": {"memory": {"kernel": 1}}}))),
    ];
    for (number, (name, patch)) in rows.iter().enumerate() {
        let output = bundles.run(&format!("refused{number}"), "true", patch).assert_code(1);
        assert_eq!(output.stderr.trim(), format!("{name} is not supported"));
    }
    bundles.finish();
}

#[test]
fn binds_take_attributes_for_themselves_or_for_all_below() {
    let bundles = Bundles::new();
    let outer = bundles.scratch.join("outer");
    fs::create_dir_all(outer.join("inner")).unwrap();
    let script = format!(
        "mount -t tmpfs t {0}/inner && exec {1} runtime --root {2} run -b {3} {4}",
        outer.display(),
        testkit::command::ketch_binary().display(),
        bundles.scratch.join("state").display(),
        bundles.scratch.join("deep").display(),
        bundles.id("deep"),
    );
    for (option, seen) in [("ro", "outer=no inner=yes"), ("rro", "outer=no inner=no")] {
        let patch = mount("/t", "none", outer.to_str().unwrap(), &["rbind", option]);
        let inside = "can() { touch $1/x 2>/dev/null && echo yes || echo no; }; echo outer=$(can /t) inner=$(can /t/inner)";
        bundles.bundle("deep", inside, &patch);
        let output = run(std::process::Command::new("unshare").args(["-m", "sh", "-c", &script]));
        assert_eq!(output.ok(), seen, "{option}");
    }
    bundles.finish();
}

#[test]
fn the_owners_of_a_bind_are_mapped() {
    let bundles = Bundles::new();
    // The root file system of the machine may be one that can't map owners; a tmpfs can.
    let shared = tempfile::tempdir_in("/dev/shm").unwrap();
    fs::set_permissions(shared.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let map = json!([{"containerID": 0, "hostID": 5000, "size": 10}]);
    let patch = json!({"mounts": [{"destination": "/t", "type": "none", "source": shared.path(), "options": ["bind"],
        "uidMappings": map, "gidMappings": map}]});
    let output = bundles.run("idmap", "stat -c '%u %g' /t; touch /t/new 2>/dev/null; true", &patch);
    // The mount's table maps what is on the disk (0) to what is seen (5000).
    assert_eq!(output.ok(), "5000 5000");
    assert_eq!(fs::metadata(shared.path()).unwrap().uid(), 0);
    bundles.finish();
}

#[test]
fn namespaces_are_joined_by_their_paths() {
    let bundles = Bundles::new();
    let users = json!({"linux": {"namespaces": [{"type": "user"}],
        "uidMappings": [{"containerID": 0, "hostID": 100_000, "size": 1000}],
        "gidMappings": [{"containerID": 0, "hostID": 100_000, "size": 1000}]}, "hostname": "first"});
    let first = bundles.create("first", "sleep 1000", &users);
    bundles.ketch(&["start", &first]).ok();
    let state: Value = serde_json::from_str(&bundles.ketch(&["state", &first]).ok()).unwrap();
    let of =
        |kind: &str, file: &str| json!({"type": kind, "path": format!("/proc/{}/ns/{file}", state["pid"])});
    let joined =
        [of("user", "user"), of("pid", "pid"), of("uts", "uts"), of("ipc", "ipc"), of("network", "net")];
    let mut all = vec![json!({"type": "mount"})];
    all.extend(joined);
    let bundle = bundles.bundle(
        "second",
        "hostname; id -u; ps | grep -c 'sleep 100[0]'",
        &json!({"linux": {"namespaces": null}}),
    );
    let path = bundle.join("config.json");
    let mut spec: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    spec["linux"]["namespaces"] = all.into();
    fs::write(&path, spec.to_string()).unwrap();
    let output = bundles.ketch(&["run", "-b", bundle.to_str().unwrap(), &bundles.id("second")]);
    assert_eq!(output.ok(), "first\n0\n1");
    bundles.ketch(&["delete", "-f", &first]).ok();
    bundles.finish();
}

#[test]
fn hooks_run_at_each_stage_and_are_told_the_state() {
    let bundles = Bundles::new();
    let log = bundles.scratch.join("hooks.log");
    let hook = |stage: &str| {
        let script = format!("cat >{0}.{stage}; echo {stage} >>{0}", log.display());
        json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}])
    };
    let inside = json!([{"path": "/bin/sh", "args": ["sh", "-c", "cat >/hook.start; hostname >/hook.name"], "env": ["PATH=/bin"]}]);
    let hooks = json!({"hostname": "inside", "annotations": {"a": "b"}, "hooks": {
        "prestart": hook("prestart"), "createRuntime": hook("createRuntime"), "createContainer": hook("createContainer"),
        "startContainer": inside, "poststart": hook("poststart"), "poststop": hook("poststop")}});
    let id = bundles.create("hooked", "sleep 1000", &hooks);
    assert_eq!(fs::read_to_string(&log).unwrap(), "prestart\ncreateRuntime\ncreateContainer\n");
    bundles.ketch(&["start", &id]).ok();
    bundles.ketch(&["delete", "-f", &id]).ok();
    assert_eq!(
        fs::read_to_string(&log).unwrap(),
        "prestart\ncreateRuntime\ncreateContainer\npoststart\npoststop\n"
    );
    let told = |stage: &str| -> Value {
        serde_json::from_slice(&fs::read(format!("{}.{stage}", log.display())).unwrap()).unwrap()
    };
    assert_eq!(
        (&told("createRuntime")["status"], &told("poststart")["status"]),
        (&json!("creating"), &json!("running"))
    );
    assert_eq!(
        (&told("poststop")["status"], &told("poststop")["annotations"]["a"]),
        (&json!("stopped"), &json!("b"))
    );
    assert!(told("createRuntime")["pid"].as_i64().unwrap() > 1);
    assert_eq!(fs::read_to_string(bundles.scratch.join("rootfs/hook.name")).unwrap(), "inside\n");
    bundles.finish();
}

#[test]
fn a_hook_that_fails_or_hangs_ends_the_creation() {
    let bundles = Bundles::new();
    for (stage, hook, why) in [
        (
            "createRuntime",
            json!({"path": "/bin/sh", "args": ["sh", "-c", "echo no luck >&2; exit 3"]}),
            "no luck",
        ),
        ("createContainer", json!({"path": "/bin/false"}), "run the createContainer hook /bin/false"),
        ("prestart", json!({"path": "/bin/sleep", "args": ["sleep", "1000"], "timeout": 1}), "timed out"),
        ("startContainer", json!({"path": "/nowhere"}), "run the startContainer hook /nowhere"),
        ("poststart", json!({"path": "/bin/false"}), "run the poststart hook"),
    ] {
        let output = bundles.run(stage, "sleep 1000", &json!({"hooks": {stage: [hook]}})).assert_code(1);
        assert!(output.stderr.contains(why), "{stage}: {}", output.stderr);
    }
    bundles.finish();
}

#[test]
fn a_seccomp_listener_is_given_its_descriptor() {
    let bundles = Bundles::new();
    let socket = bundles.scratch.join("listener.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let patch = json!({"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": socket, "listenerMetadata": "hello",
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}}});
    assert_eq!(bundles.run("notified", "echo on", &patch).ok(), "on");
    let mut said = String::new();
    listener.accept().unwrap().0.read_to_string(&mut said).unwrap();
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["fds"], &said["metadata"]), (&json!(["seccompFd"]), &json!("hello")));
    assert_eq!(said["pid"], said["state"]["pid"]);
    assert!(said["pid"].as_i64().unwrap() > 1);
    bundles.finish();
}

/// A link of the host's becomes the container's, with its addresses; where the container isn't made after all, it is the
/// host's again.
#[test]
fn links_of_the_host_are_given_with_their_addresses() {
    let bundles = Bundles::new();
    let devices = |inside: &str| json!({"linux": {"netDevices": {"kv1": {"name": inside}}}});
    let inside =
        "ip -o addr show dev eth5 | tr -s ' ' | cut -d' ' -f2-4; ip -o link show dev eth5 | grep -c ,UP";
    bundles.bundle("given", inside, &devices("eth5"));
    bundles.bundle("failing", "true", &with(devices("eth5"), json!({"process": {"args": null, "env": []}})));
    for (name, wrong) in [("long", "a-name-that-is-too-long"), ("slash", "a/b")] {
        bundles.bundle(name, "true", &devices(wrong));
    }
    let ketch = testkit::command::ketch_binary();
    let run_of = |name: &str| {
        let (state, bundle) = (bundles.scratch.join("state"), bundles.scratch.join(name));
        format!(
            "{} runtime --root {} run -b {} {}",
            ketch.display(),
            state.display(),
            bundle.display(),
            bundles.id(name)
        )
    };
    let outside = "busybox ip -o addr show dev kv1 2>&1 | tr -s ' ' | cut -d' ' -f2-4";
    let script = format!(
        "busybox ip link add kv1 type veth && busybox ip addr add 10.9.8.7/24 dev kv1 && \
         busybox ip addr add fd00::7/64 dev kv1 && busybox ip link set kv1 up && busybox ip link set veth0 up || exit 9; \
         {} 2>/dev/null; {outside} | grep -v fe80; {} 2>&1; {} 2>&1; {}; {outside}",
        run_of("failing"),
        run_of("long"),
        run_of("slash"),
        run_of("given"),
    );
    let output = run(std::process::Command::new("unshare").args(["-n", "sh", "-c", &script])).ok();
    let lines: Vec<&str> = output.lines().filter(|line| !line.contains("fe80")).collect();
    assert_eq!(
        lines,
        [
            "kv1 inet 10.9.8.7/24",
            "kv1 inet6 fd00::7/64",
            "the specification's linux.netDevices has the name \"a-name-that-is-too-long\"",
            "the specification's linux.netDevices has the name \"a/b\"",
            "eth5 inet 10.9.8.7/24",
            "eth5 inet6 fd00::7/64",
            "1",
            "can't find device",
        ]
    );
    let host = json!({"linux": {"netDevices": {"lo": {}}, "namespaces": null}});
    let bundle = bundles.bundle("host", "true", &host);
    let mut spec: Value = serde_json::from_slice(&fs::read(bundle.join("config.json")).unwrap()).unwrap();
    spec["linux"]["namespaces"] = json!([{"type": "mount"}, {"type": "pid"}]);
    fs::write(bundle.join("config.json"), spec.to_string()).unwrap();
    let refused = bundles.ketch(&["run", "-b", bundle.to_str().unwrap(), &bundles.id("host")]).assert_code(1);
    assert!(refused.stderr.contains("without a network namespace"), "{}", refused.stderr);
    bundles.finish();
}
