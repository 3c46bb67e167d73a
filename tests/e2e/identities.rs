//! Who a container's processes are, whatever its image's files of users and groups say. `s040` and the like name the
//! class of hole, as in docs/security.md.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::fmt::Write as _;
use std::process::Command;

use serde_json::json;
use testkit::command::{self, Output};
use testkit::http::Request;
use testkit::{Engine, images};

/// A path and what is there.
type File<'a> = (&'a str, &'a [u8]);

/// An image of busybox with these files, and this user in its configuration.
fn image(engine: &Engine, name: &str, files: &[File<'_>], user: &str) -> String {
    let mut layer = images::Layer::default();
    let program = std::fs::read("/bin/busybox").unwrap();
    layer.file("bin/busybox", &program).unwrap();
    for applet in ["cat", "id", "ls", "mount", "sh", "sleep", "test", "unshare"] {
        layer.link(&format!("bin/{applet}"), "busybox").unwrap();
    }
    for (path, content) in files {
        layer.file(path, content).unwrap();
    }
    let config = json!({"Cmd": ["sh"], "Env": ["PATH=/bin"], "User": user});
    let name = format!("{}:1", engine.name(name));
    let archive = images::archive(&name, &layer.finish().unwrap(), &config).unwrap();
    let request = Request::new("POST", "/images/load").header("Content-Type", "application/x-tar");
    assert_eq!(engine.request_unchecked(&request.body(archive)).status(), 200);
    name
}

fn run(engine: &Engine, options: &[&str], image: &str, arguments: &[&str]) -> Output {
    let mut command: Command = engine.docker_command();
    command.args(["run", "--rm", "--network", "none"]).args(options).arg(image).args(arguments);
    command::run(&mut command)
}

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n1000:x:0:0::/:/bin/sh\n9999999999:x:0:0::/:/bin/sh\n\
                      -1:x:0:0::/:/bin/sh\nweb:x:33:34::/srv:/bin/sh\nminus:x:-1:0::/:\nnone:x:4294967295:0::/:\n";
const GROUP: &str = "root:x:0:\n1000:x:0:\nwww:x:34:\nstaff:x:50:web,root\nstaff:x:51:web\n";

/// Every form in which somebody may be named, and who it is.
const FORMS: &[(&str, Option<&str>)] = &[
    ("0", Some("0:0")),
    ("00", Some("0:0")),
    ("1", Some("1:0")),
    ("1000", Some("1000:0")),
    ("1000:1000", Some("1000:1000")),
    ("01000", Some("1000:0")),
    ("2147483647", Some("2147483647:0")),
    ("web", Some("33:34")),
    ("33", Some("33:34")),
    ("web:staff", Some("33:50")),
    ("web:7", Some("33:7")),
    (":7", Some("0:7")),
    ("web:", Some("33:34")),
    // Neither the number that it overflows to nor the user whom the image calls so.
    ("2147483648", None),
    ("4294967295", None),
    ("4294967296", None),
    ("9999999999", None),
    ("99999999999999999999999", None),
    ("web:4294967296", None),
    ("-1", None),
    ("web:-1", None),
    ("0x0", None),
    (" 0", None),
    ("0 ", None),
    ("+0", None),
    ("minus", None),
    ("none", None),
    ("nobody", None),
    ("web:nogroup", None),
    ("web:7:8", None),
];

fn who(output: &Output) -> Option<String> {
    (output.code == 0).then(|| output.stdout.trim().to_owned())
}

#[test]
fn s040_s041_s042_s043_numbers_are_numbers_and_fit_or_are_refused() {
    let engine = Engine::ours();
    let files: [(&str, &[u8]); 2] = [("etc/passwd", PASSWD.as_bytes()), ("etc/group", GROUP.as_bytes())];
    let image_ = image(&engine, "numbers", &files, "");
    let ask = "echo $(id -u):$(id -g)";
    let sleeper = engine.docker(["run", "-d", "--network", "none", &image_, "sleep", "1000"]).ok();
    for (number, (given, expected)) in FORMS.iter().enumerate() {
        let expected = expected.map(str::to_owned);
        let user = format!("--user={given}");
        assert_eq!(who(&run(&engine, &[&user], &image_, &["sh", "-c", ask])), expected, "run {given:?}");
        let exec = engine.docker(["exec", &user, &sleeper, "sh", "-c", ask]);
        assert_eq!(who(&exec), expected, "exec {given:?}");
        if !given.starts_with(' ') && !given.ends_with(' ') {
            let named = image(&engine, &format!("form{number}"), &files, given);
            assert_eq!(who(&run(&engine, &[], &named, &["sh", "-c", ask])), expected, "USER {given:?}");
        }
    }
    engine.docker(["rm", "-f", &sleeper]).ok();
}

#[test]
fn s044_s045_s046_no_file_of_users_holds_the_engine_up_or_fills_its_memory() {
    let engine = Engine::ours();
    let pid = engine.pid().unwrap();
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let plain = image(&engine, "plain", &[], "");
    run(&engine, &["--user", "7"], &plain, &["id"]).ok();
    let lines = "\n".repeat(8 << 20);
    let members = format!("staff:x:50:{}\n", "web,".repeat(2 << 20));
    let mut groups = String::new();
    (1..80_000).for_each(|gid| writeln!(groups, "g{gid}:x:{gid}:web").unwrap());
    let web = b"web:x:33:34::/:\n";
    let large: [(&str, &[File<'_>]); 3] = [
        ("lines", &[("etc/passwd", lines.as_bytes()), ("etc/group", lines.as_bytes())]),
        ("members", &[("etc/passwd", web), ("etc/group", members.as_bytes())]),
        ("groups", &[("etc/passwd", web), ("etc/group", groups.as_bytes())]),
    ];
    let before = resident();
    for (name, files) in large {
        let image = image(&engine, name, files, "");
        assert_ne!(run(&engine, &["--user", "web"], &image, &["id"]).code, 0, "{name}");
    }
    let special = [
        "busybox mkfifo /etc/passwd",
        "busybox ln -s /pipe /etc/passwd && busybox mkfifo /pipe",
        "busybox mknod /etc/passwd c 1 5",
        "busybox ln -s /proc/kcore /etc/passwd",
        "busybox ln -s /etc/passwd /etc/passwd",
        "busybox mkdir /etc/passwd",
        "busybox truncate -s 16M /etc/passwd",
    ];
    for (number, script) in special.iter().enumerate() {
        let name = engine.name(&format!("special{number}"));
        let script = format!("busybox mkdir -p /etc && busybox rm -f /etc/passwd && {script}");
        engine.docker(["run", "--name", &name, "--network", "none", &plain, "sh", "-c", &script]).ok();
        engine.docker(["commit", &name, &format!("{name}:1")]).ok();
        let told = run(&engine, &["--user", "web"], &format!("{name}:1"), &["id"]);
        assert_ne!(told.code, 0, "{script}");
        assert!(!told.stderr.is_empty(), "{script}");
        engine.docker(["rm", &name]).ok();
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 10, "the engine grew by {grown} kB");
}

#[test]
fn s047_no_text_becomes_a_second_record() {
    let engine = Engine::ours();
    let box_ = engine.busybox();
    for option in [
        "--hostname=a\nb",
        "--hostname=a b",
        "--domainname=a\nb",
        "--add-host=a\nb:1.2.3.4",
        "--add-host=a:1.2.3.4\nb",
        "--dns-search=a\nnameserver 1.2.3.4",
        "--dns-opt=a\nnameserver 1.2.3.4",
        "--user=a\nroot:x:0",
    ] {
        let output =
            run(&engine, &[option], &box_, &["cat", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname"]);
        assert_ne!(output.code, 0, "{option:?}: {output:?}");
        assert!(!output.stderr.is_empty(), "{option:?}");
    }
    // A folder may be called so, and an environment may have such a text: neither becomes a line of a file.
    let options = ["--workdir=/a\nb", "-e", "HOME=/x\nevil:x:0:0::/:/bin/sh"];
    let told = run(&engine, &options, &box_, &["sh", "-c", "cat /etc/passwd /etc/group 2>/dev/null; pwd"]);
    assert_eq!(told.ok(), "/a\nb");
}

#[test]
fn s048_groups_are_those_of_the_files_and_no_others() {
    let engine = Engine::ours();
    let files: [(&str, &[u8]); 2] = [("etc/passwd", PASSWD.as_bytes()), ("etc/group", GROUP.as_bytes())];
    let image_ = image(&engine, "groups", &files, "web");
    let groups = |options: &[&str]| run(&engine, options, &image_, &["id", "-G"]).ok();
    assert_eq!(groups(&[]), "34 50 51");
    assert_eq!(groups(&["--user", "33"]), "34 50 51");
    assert_eq!(groups(&["--user", "web:www"]), "34");
    assert_eq!(groups(&["--user", "1234"]), "0");
    assert_eq!(groups(&["--user", "0"]), "0 50");
    assert_eq!(groups(&["--group-add", "77", "--group-add", "www"]), "34 50 51 77");
    // A file that its group may not read is closed to who is in the group, however they came into it.
    let script = "busybox mkdir /d; echo x >/d/f; busybox chown 0:50 /d/f; busybox chmod 0604 /d/f";
    let name = engine.name("closed");
    engine
        .docker(["run", "--name", &name, "--user", "0", "--network", "none", &image_, "sh", "-c", script])
        .ok();
    engine.docker(["commit", &name, &format!("{name}:1")]).ok();
    let closed = format!("{name}:1");
    assert_ne!(run(&engine, &["--user", "web"], &closed, &["cat", "/d/f"]).code, 0);
    assert_eq!(run(&engine, &["--user", "web:www"], &closed, &["cat", "/d/f"]).ok(), "x");
    let sleeper =
        engine.docker(["run", "-d", "--network", "none", "--user", "1", &closed, "sleep", "1000"]).ok();
    assert_ne!(engine.docker(["exec", "--user", "web", &sleeper, "cat", "/d/f"]).code, 0);
    engine.docker(["rm", "-f", &sleeper, &name]).ok();
}

#[test]
fn s054_no_new_namespace_opens_the_hosts_cgroups() {
    let engine = Engine::ours();
    let image_ = image(&engine, "unshare", &[], "");
    for way in ["unshare -r -C -m", "unshare -r -m", "unshare -C -m"] {
        let script = format!(
            "{way} sh -c 'busybox mkdir /tmp; busybox mkdir /tmp/c; mount -t cgroup -o memory none /tmp/c && echo opened'"
        );
        for user in ["0", "1000"] {
            let told = run(&engine, &["--user", user], &image_, &["sh", "-c", &script]);
            assert!(told.code != 0 && !told.stdout.contains("opened"), "{way}: {told:?}");
        }
    }
    let told = run(
        &engine,
        &[],
        &image_,
        &[
            "sh",
            "-c",
            "for f in $(busybox find /sys/fs/cgroup -name release_agent -o -name cgroup.procs 2>/dev/null); do echo 1 2>/dev/null >$f && echo wrote $f; done; true",
        ],
    );
    assert_eq!(told.ok(), "");
}
