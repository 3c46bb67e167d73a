//! What broke other runtimes, tried on this one. A test's name begins with the rows of docs/security.md.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::{Value, json};
use testkit::{Faults, eventually};

use super::Bundles;

/// Files of the host that nobody in a container is to see or to change.
struct Canary {
    folder: PathBuf,
    before: Vec<String>,
}

impl Canary {
    fn plant(bundles: &Bundles) -> Self {
        bundles.scratch.write("canary/file", "canary");
        let folder = bundles.scratch.join("canary");
        Self { before: Self::look(&folder), folder }
    }

    fn look(folder: &Path) -> Vec<String> {
        let mut all = vec![Self::line(folder)];
        all.extend(fs::read_dir(folder).unwrap().map(|entry| Self::line(&entry.unwrap().path())));
        all.sort();
        all
    }

    fn line(path: &Path) -> String {
        let about = fs::symlink_metadata(path).unwrap();
        let content = fs::read(path).unwrap_or_default();
        let (mode, owner) = (about.mode(), about.uid());
        format!("{} {mode:o} {owner} {} {content:?} {}", path.display(), about.ino(), about.ctime_nsec())
    }

    #[track_caller]
    fn check(&self) {
        assert_eq!(Self::look(&self.folder), self.before);
    }
}

/// Swaps a folder for a link and back as fast as it can, until it is dropped.
struct Racer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl Racer {
    fn start(one: PathBuf, other: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let heard = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut swaps = 0;
            while !heard.load(Ordering::Relaxed) {
                renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
                swaps += 1;
            }
            swaps
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let swaps = self.thread.take().map(|thread| thread.join());
        assert!(swaps.is_some_and(|swaps| swaps.is_ok_and(|count| count > 0)), "nothing was swapped");
    }
}

fn host_mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap()
}

/// Of all mounts, those that are or were below a test's folder.
fn own_mounts(bundles: &Bundles) -> usize {
    host_mounts().matches(bundles.scratch.path().to_str().unwrap()).count()
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Value {
    json!({"mounts": [{"destination": destination, "type": kind, "source": source, "options": options}]})
}

fn bind(source: &Path, destination: &str) -> Value {
    mount(destination, "none", source.to_str().unwrap(), &["bind"])
}

const PTRACE: &[&str] = &["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"];

fn tracer() -> Value {
    json!({"process": {"capabilities": {"bounding": PTRACE, "effective": PTRACE, "permitted": PTRACE}}})
}

/// Whoever may look into every process of the container finds no way to our executable that can be written to, no process
/// that is in the host's namespaces, and no descriptor of the host's.
#[test]
fn s001_s003_s004_s033_newcomers_cannot_be_used() {
    let mut bundles = Bundles::new();
    let own = "m=$(readlink /proc/self/ns/mnt); while [ ! -e /tmp/stop ]; do for p in /proc/[0-9]*; do \
        e=$(readlink $p/exe) || continue; [ $e = /bin/busybox ] || { echo seen >>/tmp/log; \
        n=$(readlink $p/ns/mnt); [ -z $n ] || [ $n = $m ] || echo namespace $n >>/tmp/log; \
        (: >>$p/exe) 2>/dev/null && echo written >>/tmp/log; \
        for f in $p/fd/*; do t=$(readlink $f) || continue; \
        case $t in pipe:*|socket:*|/dev/null|/dev/pts/*|/dev/ptmx|/bin/*|/|/proc/[0-9]*/status) ;; *) echo descriptor $t >>/tmp/log;; esac; done; }; \
        done; done";
    let binary = testkit::command::ketch_binary();
    let before = fs::metadata(&binary).unwrap();
    let id = bundles.create("tracer", own, &tracer());
    bundles.ketch(&["start", &id]).ok();
    for round in 0..Faults::of(1000).count {
        // By both ways to a protected executable.
        bundles.anew = round % 2 == 1;
        let output = bundles.ketch(&["exec", &id, "grep", "-E", "^Cap(Inh|Amb)", "/proc/self/status"]);
        assert_eq!(output.ok(), "CapInh:\t0000000000000000\nCapAmb:\t0000000000000000");
    }
    fs::write(bundles.scratch.join("rootfs/tmp/stop"), "").unwrap();
    bundles.ketch(&["delete", "-f", &id]).ok();
    let log = fs::read_to_string(bundles.scratch.join("rootfs/tmp/log")).unwrap_or_default();
    let mut odd: Vec<&str> = log.lines().filter(|line| *line != "seen").collect();
    odd.sort_unstable();
    odd.dedup();
    assert!(odd.is_empty(), "{odd:?}");
    let after = fs::metadata(&binary).unwrap();
    assert_eq!(
        (after.len(), after.mtime_nsec(), after.ino()),
        (before.len(), before.mtime_nsec(), before.ino())
    );
    bundles.finish();
}

/// While it waits to become its program, a process that joins has nothing open that is not its own.
#[test]
fn s003_s004_a_newcomer_holds_nothing_of_the_host() {
    let bundles = Bundles::new();
    let id = bundles.create("holder", "sleep 1000", &json!({}));
    bundles.ketch(&["start", &id]).ok();
    // Whoever is to be told of the process doesn't listen: so it waits.
    let path = bundles.scratch.join("deaf");
    let deaf =
        rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&deaf, &rustix::net::SocketAddrUnix::new(&path).unwrap()).unwrap();
    rustix::net::listen(&deaf, 0).unwrap();
    let _waits = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let mut exec = bundles.command(&["exec", "--pidfd-socket", path.to_str().unwrap(), &id, "true"]);
    // What the tests themselves write to may be any file.
    let mut exec = exec.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let listed =
        || -> Vec<i32> { serde_json::from_str(&bundles.ketch(&["ps", "-f", "json", &id]).ok()).unwrap() };
    let own = fs::read_link(format!("/proc/{}/ns/mnt", listed()[0])).unwrap();
    let links = |pid: i32| -> Vec<String> {
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
        entries.filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.display().to_string())).collect()
    };
    eventually(std::time::Duration::from_secs(30), || {
        let newcomer = listed().into_iter().skip(1).last().ok_or_else(String::new)?;
        let odd: Vec<String> = links(newcomer)
            .into_iter()
            .filter(|link| {
                !["/dev/null", "pipe:", "socket:", "/dev/pts"].iter().any(|good| link.starts_with(good))
            })
            .collect();
        // Until then it is the go-between, which the container can't see.
        let there = fs::read_link(format!("/proc/{newcomer}/ns/mnt")).is_ok_and(|place| place == own);
        // It opens the root of the container for a moment.
        if odd.is_empty() && there { Ok(()) } else { Err(odd.join(" ")) }
    });
    exec.kill().unwrap();
    exec.wait().unwrap();
    bundles.ketch(&["delete", "-f", &id]).ok();
    bundles.finish();
}

#[test]
fn s002_a_working_directory_does_not_lead_out_by_a_descriptor() {
    let bundles = Bundles::new();
    let canary = Canary::plant(&bundles);
    let id = bundles.create("cwd", "sleep 1000", &json!({}));
    bundles.ketch(&["start", &id]).ok();
    let script = "test -x ../../../../../../../../bin/busybox && test ! -e /../../../../../../../../etc/passwd && echo inside";
    let good = |output: &testkit::command::Output, place: &str| {
        let refused = output.code != 0 && output.stdout.is_empty();
        assert!(refused || output.stdout.trim() == "inside", "{place}: {output:?}");
    };
    for number in 0..40 {
        let place = format!("/proc/self/fd/{number}");
        let ran = bundles.run("cwd-run", script, &json!({"process": {"cwd": place}}));
        good(&ran, &place);
        good(&bundles.ketch(&["exec", "--cwd", &place, &id, "sh", "-c", script]), &place);
    }
    bundles.ketch(&["delete", "-f", &id]).ok();
    canary.check();
    bundles.finish();
}

/// Somebody who shares a volume swaps a folder in it for a link to the host while containers mount below it.
#[test]
fn s005_s012_s015_s022_s034_mounts_below_a_swapped_folder_stay_inside() {
    let bundles = Bundles::new();
    let canary = Canary::plant(&bundles);
    let volume = bundles.scratch.join("volume");
    fs::create_dir_all(volume.join("real")).unwrap();
    symlink(&canary.folder, volume.join("link")).unwrap();
    let source = bundles.scratch.join("source");
    fs::create_dir_all(&source).unwrap();
    let before = own_mounts(&bundles);
    let mut patch = bind(&volume, "/v");
    for target in ["/v/real/made/deep", "/v/real/file"] {
        super::merge(&mut patch, &mount(target, "tmpfs", "t", &[]));
    }
    super::merge(&mut patch, &bind(&source, "/v/real/bound"));
    let racer = Racer::start(volume.join("real"), volume.join("link"));
    let script = "cat /v/real/file 2>/dev/null; cat /v/link/file 2>/dev/null; true";
    for _ in 0..Faults::of(500).count {
        let output = bundles.run("raced", script, &patch);
        assert!(!output.stdout.contains("canary"), "{output:?}");
        assert_eq!(own_mounts(&bundles), before);
    }
    drop(racer);
    canary.check();
    bundles.finish();
}

/// An image whose `/proc`, `/sys` or `/dev` is not what it should be.
#[test]
fn s006_s007_s008_s013_s031_folders_of_the_kernel_that_are_links() {
    let bundles = Bundles::new();
    let canary = Canary::plant(&bundles);
    let rootfs = bundles.scratch.join("rootfs");
    let links = ["/t", canary.folder.to_str().unwrap(), "..", "self"];
    for (name, kind) in [("proc", "proc"), ("sys", "sysfs")] {
        let _ = fs::remove_dir(rootfs.join(name));
        for target in links {
            symlink(target, rootfs.join(name)).unwrap();
            let output = bundles.run("linked", "echo ran", &mount(&format!("/{name}"), kind, kind, &[]));
            assert!(output.code != 0 && output.stdout.is_empty(), "/{name} -> {target}: {output:?}");
            fs::remove_file(rootfs.join(name)).unwrap();
        }
        fs::create_dir(rootfs.join(name)).unwrap();
    }
    fs::remove_dir(rootfs.join("dev")).unwrap();
    symlink(&canary.folder, rootfs.join("dev")).unwrap();
    let devices = json!({"linux": {"devices": [{"path": "/dev/mine", "type": "c", "major": 1, "minor": 3}]}});
    let output = bundles.run("dev", "ls /dev", &devices);
    assert!(!output.stdout.contains("file"), "{output:?}");
    canary.check();
    bundles.finish();
}

/// The image brings a `/dev/null` of its own, and terminals, that lead to files of the kernel's.
#[test]
fn s009_s010_s011_s014_s032_masks_and_terminals_are_the_host_s_own() {
    let bundles = Bundles::new();
    let pattern = fs::read("/proc/sys/kernel/core_pattern").unwrap();
    let shared = bundles.scratch.join("dev");
    fs::create_dir_all(shared.join("pts")).unwrap();
    let decoy = "/proc/sys/kernel/core_pattern";
    for name in ["null", "console", "ptmx", "stdin", "fd", "tty"] {
        symlink(decoy, shared.join(name)).unwrap();
    }
    fs::write(shared.join("other"), "").unwrap();
    let racer = Racer::start(shared.join("null"), shared.join("other"));
    let mut patch = bind(&shared, "/dev");
    super::merge(
        &mut patch,
        &json!({"linux": {"maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi"],
            "readonlyPaths": ["/proc/sys", "/proc/sysrq-trigger"], "sysctl": {"kernel.msgmax": "9000"}}}),
    );
    let script = "for f in /proc/kcore /proc/keys /proc/timer_list; do [ ! -e $f ] || stat -c '%t:%T' $f; done | sort -u; \
        (echo x >/proc/sys/kernel/core_pattern) 2>/dev/null || echo kept; cat /proc/sys/kernel/msgmax; \
        (echo x >/proc/sysrq-trigger) 2>/dev/null || echo kept";
    for _ in 0..Faults::of(300).count {
        let output = bundles.run("masked", script, &patch);
        if output.code == 0 {
            assert_eq!(output.stdout, "1:3\nkept\n9000\nkept\n", "{output:?}");
        }
    }
    drop(racer);
    assert_eq!(fs::read("/proc/sys/kernel/core_pattern").unwrap(), pattern);
    let socket = bundles.scratch.join("console.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    super::merge(&mut patch, &json!({"process": {"terminal": true}}));
    let bundle = bundles.bundle("terminal", "stat -Lc %t /proc/self/fd/0 >/tmp/major", &patch);
    let words = ["create", "-b", bundle.to_str().unwrap(), "--console-socket", socket.to_str().unwrap()];
    let id = bundles.id("terminal");
    let output = bundles.ketch(&[&words[..], &[&id]].concat());
    if output.code == 0 {
        let _master = listener.accept().unwrap();
        bundles.ketch(&["start", &id]).ok();
        let major = bundles.scratch.join("rootfs/tmp/major");
        eventually(std::time::Duration::from_secs(30), || {
            let text = fs::read_to_string(&major).unwrap_or_default();
            if text == "88\n" { Ok(()) } else { Err(text) }
        });
        bundles.ketch(&["delete", "-f", &id]).ok();
    }
    assert_eq!(fs::read("/proc/sys/kernel/core_pattern").unwrap(), pattern);
    bundles.finish();
}

/// A container puts links where its mounts are and is made again on the same root.
#[test]
fn s015_a_second_start_trusts_nothing_of_the_first() {
    let bundles = Bundles::new();
    let canary = Canary::plant(&bundles);
    let patch = mount("/t/inner", "tmpfs", "t", &[]);
    let outside = canary.folder.display();
    bundles.run("first", &format!("ln -s {outside} /tmp/l; mkdir -p /x"), &patch).ok();
    let rootfs = bundles.scratch.join("rootfs");
    fs::remove_dir_all(rootfs.join("t")).unwrap();
    symlink(&canary.folder, rootfs.join("t")).unwrap();
    let output = bundles.run("second", "echo >/t/inner/new; ls /t", &patch);
    assert!(!output.stdout.contains("file"), "{output:?}");
    canary.check();
    bundles.finish();
}

/// What of procfs a container may write to: what is its own, and nothing of the host's.
#[test]
fn s016_s017_nothing_of_the_host_s_procfs_can_be_written_to() {
    let bundles = Bundles::new();
    let folder = bundles.scratch.join("spec");
    fs::create_dir(&folder).unwrap();
    bundles.ketch(&["spec", "-b", folder.to_str().unwrap()]).ok();
    let path = folder.join("config.json");
    let mut spec: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let script = "find /proc /sys -type f ! -path '/proc/[0-9]*' ! -path '/proc/self/*' ! -path '/proc/thread-self/*' \
        2>/dev/null | while read -r f; do (: >>\"$f\") 2>/dev/null && echo \"$f\"; done; true";
    spec["root"] = json!({"path": bundles.scratch.join("rootfs")});
    spec["process"]["args"] = json!(["sh", "-c", script]);
    spec["process"]["env"] = json!(["PATH=/bin"]);
    spec["process"]["terminal"] = false.into();
    fs::write(&path, spec.to_string()).unwrap();
    let output = bundles.ketch(&["run", "-b", folder.to_str().unwrap(), &bundles.id("writable")]).ok();
    // Whoever opens these for writing asks to be woken when somebody waits: for nobody but itself.
    let odd: Vec<&str> = output.lines().filter(|path| !path.starts_with("/proc/pressure/")).collect();
    assert!(odd.is_empty(), "these can be opened for writing: {odd:?}");
    bundles.finish();
}

/// Hooks are the administrator's: nothing of the container's environment gets to them.
#[test]
fn s036_a_hook_has_no_environment_but_its_own() {
    let bundles = Bundles::new();
    let log = bundles.scratch.join("seen");
    let script = format!("/usr/bin/env >>{}", log.display());
    let hook = json!([{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["OWN=1"]}]);
    let patch = json!({"process": {"env": ["LD_PRELOAD=/evil.so", "LD_LIBRARY_PATH=/evil", "GCONV_PATH=/evil"]},
        "hooks": {"prestart": hook, "createRuntime": hook, "createContainer": hook, "poststart": hook, "poststop": hook}});
    let mut command =
        bundles.command(&["run", "-b", bundles.bundle("env", "true", &patch).to_str().unwrap()]);
    testkit::command::run(command.arg(bundles.id("env")).env("SECRET", "of the caller's")).ok();
    let seen = fs::read_to_string(&log).unwrap();
    assert_eq!(seen.matches("OWN=1").count(), 5);
    for word in ["evil", "SECRET"] {
        assert!(!seen.contains(word), "{seen}");
    }
    bundles.finish();
}

/// All ways into a container have the same confinement.
#[test]
fn s038_s049_s050_s051_s052_init_and_exec_are_confined_alike() {
    let bundles = Bundles::new();
    let few = ["CAP_CHOWN", "CAP_KILL"];
    for (name, user) in [("root", 0), ("user", 1000)] {
        let patch = json!({"process": {"user": {"uid": user, "gid": user}, "oomScoreAdj": 9,
            "capabilities": {"bounding": few, "effective": few, "permitted": few},
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 100}]},
            "linux": {"namespaces": [{"type": "cgroup"}], "seccomp": {"defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}}});
        let look = "grep -E '^(Cap|Seccomp|NoNewPrivs|Uid|Gid|Groups)' /proc/self/status; cat /proc/self/cgroup; \
            for n in /proc/self/ns/*; do case $n in *_for_children) ;; *) readlink $n;; esac; done; ulimit -n; \
            cat /proc/self/oom_score_adj; cat /secret 2>&1";
        let secret = bundles.scratch.write("rootfs/secret", "told");
        fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let id =
            bundles.create(name, &format!("({look}) >/t/log; sleep 1000"), &with_writable_t(patch, &bundles));
        bundles.ketch(&["start", &id]).ok();
        let joined = bundles.ketch(&["exec", &id, "sh", "-c", look]).stdout;
        eventually(std::time::Duration::from_secs(30), || {
            let own = fs::read_to_string(bundles.scratch.join("shared/log")).unwrap_or_default();
            if own == joined { Ok(()) } else { Err((own, joined.clone())) }
        });
        assert!(joined.contains("CapInh:\t0000000000000000") && joined.contains("CapAmb:\t0000000000000000"));
        assert_eq!(user == 1000, joined.contains("CapEff:\t0000000000000000"), "{joined}");
        assert_eq!(user == 0, joined.ends_with("told"), "{joined}");
        bundles.ketch(&["delete", "-f", &id]).ok();
    }
    bundles.finish();
}

fn with_writable_t(mut patch: Value, bundles: &Bundles) -> Value {
    let shared = bundles.scratch.join("shared");
    fs::create_dir_all(&shared).unwrap();
    fs::set_permissions(&shared, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let _ = fs::remove_file(shared.join("log"));
    super::merge(&mut patch, &bind(&shared, "/t"));
    patch
}

#[test]
fn s053_a_kernel_parameter_is_one_of_the_container_s_own() {
    let bundles = Bundles::new();
    let pattern = fs::read("/proc/sys/kernel/core_pattern").unwrap();
    for (key, value) in [
        ("kernel.core_pattern", "|/evil"),
        ("kernel/core_pattern", "|/evil"),
        ("kernel.shm_rmid_forced", "1+kernel.core_pattern=|/evil"),
        ("kernel.shm_rmid_forced", "1\nkernel.core_pattern=|/evil"),
        ("kernel.shm_rmid_forced/../core_pattern", "|/evil"),
        ("net/../kernel/core_pattern", "|/evil"),
        ("net.../kernel.core_pattern", "|/evil"),
        ("kernel.shm_rmid_forced\u{0}", "1"),
        ("vm.drop_caches", "1"),
        ("", "1"),
    ] {
        let output = bundles.run("sysctl", "true", &json!({"linux": {"sysctl": {key: value}}}));
        assert_eq!(output.code, 1, "{key}={value}: {output:?}");
    }
    assert_eq!(fs::read("/proc/sys/kernel/core_pattern").unwrap(), pattern);
    bundles.finish();
}

#[test]
fn s056_s058_limits_hold_whatever_the_namespaces_and_the_runtime_stays_outside() {
    let bundles = Bundles::new();
    let users = json!({"linux": {"namespaces": [{"type": "user"}],
        "uidMappings": [{"containerID": 0, "hostID": 100_000, "size": 1000}],
        "gidMappings": [{"containerID": 0, "hostID": 100_000, "size": 1000}]}});
    let modes = [json!({}), json!({"linux": {"namespaces": [{"type": "cgroup"}]}}), users];
    for (number, mode) in modes.into_iter().enumerate() {
        let mut patch =
            json!({"linux": {"resources": {"memory": {"limit": 20_000_000}, "pids": {"limit": 8}}}});
        super::merge(&mut patch, &mode);
        let hog = bundles.run(
            &format!("hog{number}"),
            "dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null",
            &patch,
        );
        assert_ne!(hog.code, 0, "mode {number}: {hog:?}");
        let id =
            bundles.create(&format!("bomb{number}"), "b() { b | b & b; }; b 2>/dev/null; sleep 1000", &patch);
        bundles.ketch(&["start", &id]).ok();
        let listed: Vec<i32> = serde_json::from_str(&bundles.ketch(&["ps", "-f", "json", &id]).ok()).unwrap();
        assert!(listed.len() <= 8, "{listed:?}");
        bundles.ketch(&["delete", "-f", &id]).ok();
    }
    bundles.finish();
}

#[test]
fn s057_lists_and_numbers_without_end_are_refused() {
    let bundles = Bundles::new();
    for resources in [
        json!({"cpu": {"cpus": "0-2147483647"}}),
        json!({"cpu": {"mems": "0-4294967295"}}),
        json!({"cpu": {"cpus": "0,".repeat(100_000)}}),
        json!({"cpu": {"period": u64::MAX}}),
        json!({"hugepageLimits": [{"pageSize": "99999999999TB", "limit": 1}]}),
    ] {
        let output = bundles.run("endless", "true", &json!({"linux": {"resources": resources}}));
        assert_eq!(output.code, 1, "{output:?}");
    }
    let many: Vec<String> = (0..200_000).map(|n| format!("V{n}=x")).collect();
    let output = bundles.run("environment", "true", &json!({"process": {"env": many}}));
    assert!(output.stderr.contains("argument list too long"), "{}", output.stderr);
    bundles.finish();
}
