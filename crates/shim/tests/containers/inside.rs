//! What a program finds around itself.

use std::fs;

use serde_json::json;

use crate::fixture::Fixture;

fn sh(script: &str) -> String {
    let (stdout, stderr, exit) = Fixture::new(&["sh", "-c", script]).run();
    assert_eq!((stderr.as_str(), exit.code), ("", 0), "{stdout}");
    stdout
}

#[test]
fn it_is_process_1_of_its_own_namespaces_with_its_own_root() {
    let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert_eq!(sh("echo $$; hostname; ls /; echo $A"), "1\nbox\nbin\ndev\netc\nproc\nsys\ntmp\nb\n");
    let kinds = ["net", "ipc", "uts", "mnt", "pid"];
    let inside = sh("for n in net ipc uts mnt pid; do readlink /proc/self/ns/$n; done");
    for (kind, inside) in kinds.iter().zip(inside.lines()) {
        assert_ne!(fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().to_str().unwrap(), inside);
    }
    let after = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let ours = |text: &str| text.lines().filter(|l| l.contains(" overlay ") || l.contains("ketch")).count();
    assert_eq!(ours(&before), ours(&after));
}

#[test]
fn it_has_exactly_three_descriptors_and_no_way_to_the_host() {
    // The fourth is the directory that `ls` itself lists.
    assert_eq!(Fixture::new(&["ls", "/proc/self/fd"]).run().0, "0\n1\n2\n3\n");
    assert_eq!(sh("cd ../../../..; ls"), "bin\ndev\netc\nproc\nsys\ntmp\n");
    // Its root is at the bottom of its mount table: nothing of the host's is beneath.
    let table = sh("cat /proc/self/mountinfo");
    assert!(
        table.lines().all(|line| line.contains(" - overlay ") == (line.split(' ').nth(4) == Some("/"))),
        "{table}"
    );
}

#[test]
fn its_user_capabilities_and_limits_are_exactly_those_asked_for() {
    let status = sh("grep -E '^(Cap|NoNewPrivs|Groups)' /proc/self/status | tr '\\t' ' '");
    assert_eq!(
        status,
        "Groups:  \nCapInh: 0000000000000000\nCapPrm: 00000000000001eb\nCapEff: 00000000000001eb\n\
         CapBnd: 00000000000001eb\nCapAmb: 0000000000000000\nNoNewPrivs: 1\n"
    );
    let mut container = Fixture::new(&[
        "sh",
        "-c",
        "id -u; id -g; id -G; umask; grep CapEff /proc/self/status; ulimit -n; pwd",
    ]);
    container.spec["process"]["user"] =
        json!({"uid": 1000, "gid": 1001, "additionalGids": [7, 8], "umask": 0o27});
    container.spec["process"]["cwd"] = json!("/tmp/made/for/it");
    let (stdout, ..) = container.run();
    assert_eq!(stdout, "1000\n1001\n1001 7 8\n0027\nCapEff:\t0000000000000000\n100\n/tmp/made/for/it\n");
}

#[test]
fn ambient_capabilities_reach_a_user_who_is_not_root() {
    let mut container = Fixture::new(&["grep", "Cap[EA]", "/proc/self/status"]);
    container.spec["process"]["args"] = json!(["busybox", "grep", "Cap[EA]", "/proc/self/status"]);
    container.spec["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    for set in ["inheritable", "ambient"] {
        container.spec["process"]["capabilities"][set] = json!(["CAP_KILL"]);
    }
    let (stdout, ..) = container.run();
    assert_eq!(stdout, "CapEff:\t0000000000000020\nCapAmb:\t0000000000000020\n");
}

#[test]
fn the_kernel_s_files_are_masked_and_read_only() {
    assert_eq!(sh("busybox wc -c < /proc/keys; ls /sys/firmware"), "0\n");
    let tried = sh(
        "(echo 1 > /proc/sys/net/ipv4/ip_forward) 2>&1; (echo x > /proc/sys/kernel/hostname) 2>&1; (echo x > /sys/x) 2>&1; \
        (busybox mknod /tmp/x b 7 0) 2>&1; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; cat /proc/1/oom_score_adj",
    );
    let lines: Vec<_> = tried.lines().collect();
    assert!(lines[..2].iter().all(|l| l.contains("Read-only file system")), "{tried}");
    assert!(!lines[2].is_empty() && lines[3].contains("not permitted"), "{tried}");
    assert_eq!(lines[4..], ["0", "0"]);
}

#[test]
fn its_devices_are_the_usual_ones_and_no_others_can_be_opened() {
    let listed = sh("cd /dev; for d in null zero full random urandom tty; do test -c $d && echo $d; done; \
        busybox readlink fd; busybox readlink ptmx; busybox dd if=/dev/zero bs=3 count=1 2>/dev/null | busybox wc -c");
    assert_eq!(listed, "null\nzero\nfull\nrandom\nurandom\ntty\n/proc/self/fd\npts/ptmx\n3\n");
}

#[test]
fn limits_hold_and_killing_for_memory_is_told() {
    let mut container = Fixture::new(&["sh", "-c", "busybox tail /dev/zero; exit 9"]);
    container.spec["linux"]["resources"]["memory"]["limit"] = json!(8 << 20);
    let (_, _, exit) = container.run();
    assert!(exit.oom_killed, "{exit:?}");
    let mut container = Fixture::new(&["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 100 & done"]);
    container.spec["linux"]["resources"]["pids"]["limit"] = json!(5);
    let (_, stderr, exit) = container.run();
    assert!(stderr.contains("can't fork") && exit.code != 0, "{stderr}");
}

#[test]
fn its_cgroups_are_seen_inside_read_only() {
    let text = sh("cat /sys/fs/cgroup/pids/pids.max; (echo 1 > /sys/fs/cgroup/pids/pids.max) 2>&1 || true");
    assert!(text.starts_with("50\n") && text.contains("Read-only"), "{text}");
}

#[test]
fn binds_are_what_they_say() {
    let host = tempfile::tempdir().unwrap();
    fs::write(host.path().join("file"), "from the host").unwrap();
    let path = host.path().to_str().unwrap();
    let mut container =
        Fixture::new(&["sh", "-c", "cat /a/b/file /etc/one; echo x > /a/b/file; echo new > /rw/new"]);
    let mounts = container.spec["mounts"].as_array_mut().unwrap();
    mounts.push(json!({"destination": "/a/b", "source": path, "type": "bind", "options": ["rbind", "ro"]}));
    mounts.push(json!({"destination": "/rw", "source": path, "type": "bind", "options": ["rbind"]}));
    mounts.push(json!({"destination": "/etc/one", "source": format!("{path}/file"), "type": "bind", "options": ["bind"]}));
    let (stdout, stderr, exit) = container.run();
    assert_eq!((stdout.as_str(), exit.code), ("from the hostfrom the host", 0));
    assert!(stderr.contains("Read-only file system"), "{stderr}");
    assert_eq!(fs::read_to_string(host.path().join("new")).unwrap(), "new\n");
    assert_eq!(fs::read_to_string(host.path().join("file")).unwrap(), "from the host");
}

#[test]
fn a_read_only_root_can_t_be_written() {
    let mut container = Fixture::new(&["sh", "-c", "echo x > /file"]);
    container.spec["root"]["readonly"] = json!(true);
    let (_, stderr, exit) = container.run();
    assert!(stderr.contains("Read-only file system") && exit.code == 1, "{stderr}");
}

#[test]
fn our_executable_can_t_be_overwritten_from_inside() {
    // The kernel refuses to write what is being executed; the mount refuses also when nobody executes it any more.
    let container = Fixture::new(&["true"]);
    let running = container.create();
    let flags = rustix::fs::statvfs(format!("/proc/{}/exe", running.pid)).unwrap().f_flag;
    assert!(flags.contains(rustix::fs::StatVfsMountFlags::RDONLY), "{flags:?}");
    assert!(fs::OpenOptions::new().write(true).open(format!("/proc/{}/exe", running.pid)).is_err());
}

#[test]
fn a_home_is_found_in_the_image_unless_one_is_given() {
    let home = |uid: u32, env: &[&str]| {
        let mut container = Fixture::new(&["sh", "-c", "echo $HOME"]);
        container.spec["process"]["user"] = json!({"uid": uid, "gid": 0});
        container.spec["process"]["env"] = json!([&["PATH=/bin"], env].concat());
        container.run().0
    };
    assert_eq!((home(0, &[]), home(5, &[])), ("/root\n".into(), "/\n".into()));
    assert_eq!(home(0, &["HOME=/given"]), "/given\n");
}

/// A profile that forbids what the runtime itself needs, but not what `sh` and `cat` do.
fn filtered(no_new_privileges: bool, uid: u32) -> (String, String, i64) {
    let mut container = Fixture::new(&["sh", "-c", "cat /proc/self/status; chroot /"]);
    let forbidden = ["setuid", "setgroups", "mount", "pivot_root", "chdir", "recvmsg", "setsid", "chroot"];
    container.spec["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": forbidden, "action": "SCMP_ACT_ERRNO", "errnoRet": 95}],
    });
    container.spec["process"]["noNewPrivileges"] = json!(no_new_privileges);
    container.spec["process"]["user"] = json!({"uid": uid, "gid": uid});
    let (stdout, stderr, exit) = container.run();
    (stdout, stderr, exit.code.into())
}

#[test]
fn a_filter_is_about_the_program_and_leaves_no_capability_behind() {
    for (no_new_privileges, uid) in [(true, 0), (false, 0), (true, 1000), (false, 1000)] {
        let (status, stderr, _) = filtered(no_new_privileges, uid);
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.map(str::trim).unwrap_or_default().to_owned()
        };
        assert_eq!((field("Seccomp:"), field("Seccomp_filters:")), ("2".into(), "1".into()), "{stderr}");
        assert_eq!(field("NoNewPrivs:"), u8::from(no_new_privileges).to_string());
        // The capability to administer the system, which loading the filter takes, is bit 21.
        let expected = if uid == 0 { "00000000000001eb" } else { "0000000000000000" };
        assert_eq!((field("CapPrm:").as_str(), field("CapEff:").as_str()), (expected, expected));
        assert_eq!(field("CapBnd:"), "00000000000001eb");
        assert!(stderr.contains("Operation not supported"), "{stderr}");
    }
}

#[test]
fn a_filter_that_forbids_the_program_itself_is_told() {
    let mut container = Fixture::new(&["true"]);
    container.spec["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["execve", "execveat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
    });
    match container.failure() {
        shim::protocol::FromShim::Failed { message, .. } => {
            assert_eq!(message, "exec /bin/true: operation not permitted");
        }
        other => panic!("{other:?}"),
    }
}
