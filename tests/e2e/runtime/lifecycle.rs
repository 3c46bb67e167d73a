//! The states of a container and the commands that lead from one to the next.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;

use super::Bundles;

const PATIENCE: Duration = Duration::from_secs(30);

fn wait_until(bundles: &Bundles, id: &str, status: &str) {
    eventually(PATIENCE, || match bundles.status(id) {
        now if now == status => Ok(()),
        other => Err(other),
    });
}

#[test]
fn a_container_goes_from_created_to_running_to_stopped() {
    let bundles = Bundles::new();
    let id =
        bundles.create("life", "trap 'exit 0' TERM; echo up >/up; while :; do sleep 1; done", &json!({}));
    assert_eq!(bundles.status(&id), "created");
    assert!(!bundles.scratch.join("rootfs/up").exists());
    bundles.ketch(&["start", &id]).ok();
    assert_eq!(bundles.status(&id), "running");
    let again = bundles.ketch(&["start", &id]).assert_code(1);
    assert_eq!(again.stderr, format!("cannot start container {id} that is running\n"));
    let delete = bundles.ketch(&["delete", &id]).assert_code(1);
    assert_eq!(delete.stderr, format!("cannot delete container {id} that is running\n"));
    eventually(PATIENCE, || fs::read(bundles.scratch.join("rootfs/up")));
    bundles.ketch(&["kill", &id]).ok();
    wait_until(&bundles, &id, "stopped");
    assert_eq!(bundles.ketch(&["kill", &id]).assert_code(1).stderr, "container not running\n");
    assert_eq!(
        bundles.ketch(&["exec", &id, "true"]).assert_code(255).stderr,
        format!("cannot exec in container {id} that is stopped\n")
    );
    bundles.ketch(&["delete", &id]).ok();
    assert_eq!(
        bundles.ketch(&["state", &id]).assert_code(1).stderr,
        format!("container does not exist: {id}\n")
    );
    bundles.ketch(&["delete", "--force", &id]).ok();
    bundles.finish();
}

#[test]
fn a_paused_container_waits_and_can_still_be_killed() {
    let bundles = Bundles::new();
    let id = bundles.create("pause", "sleep 1000", &json!({}));
    bundles.ketch(&["start", &id]).ok();
    bundles.ketch(&["pause", &id]).ok();
    assert_eq!(bundles.status(&id), "paused");
    assert!(bundles.ketch(&["exec", &id, "true"]).assert_code(255).stderr.contains("paused container"));
    bundles.ketch(&["pause", &id]).assert_code(1);
    bundles.ketch(&["resume", &id]).ok();
    assert_eq!(bundles.status(&id), "running");
    bundles.ketch(&["pause", &id]).ok();
    bundles.ketch(&["kill", &id, "KILL"]).ok();
    wait_until(&bundles, &id, "stopped");
    bundles.ketch(&["delete", &id]).ok();
    bundles.finish();
}

/// What a container can get hold of as `/proc/1/exe` is our executable until it is its program: not to be written to.
#[test]
fn the_runtime_s_executable_is_on_a_read_only_mount() {
    let mut bundles = Bundles::new();
    for anew in [false, true] {
        bundles.anew = anew;
        executable_is_on_a_read_only_mount(&bundles);
    }
    bundles.finish();
}

fn executable_is_on_a_read_only_mount(bundles: &Bundles) {
    let id = bundles.create("exe", "true", &json!({}));
    let state: Value = serde_json::from_str(&bundles.ketch(&["state", &id]).ok()).unwrap();
    let process = PathBuf::from(format!("/proc/{}", state["pid"]));
    // The executable itself, and what of it is mapped.
    let mapped = fs::read_dir(process.join("map_files")).unwrap().map(|entry| entry.unwrap().path());
    let seen: Vec<_> = mapped.chain([process.join("exe")]).collect();
    for path in &seen {
        let mount = rustix::fs::statvfs(path).unwrap();
        assert!(mount.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY), "{}", path.display());
    }
    assert!(seen.len() > 2, "{seen:?}");
    // As a program it is the container's to run, and nothing more.
    let bundle = bundles.bundle("itself", "", &json!({}));
    let mut spec: Value = serde_json::from_slice(&fs::read(bundle.join("config.json")).unwrap()).unwrap();
    spec["process"]["args"] = json!(["/proc/self/exe", "runtime", "--version"]);
    fs::write(bundle.join("config.json"), spec.to_string()).unwrap();
    let output = bundles.ketch(&["run", "-b", bundle.to_str().unwrap(), &bundles.id("itself")]);
    assert!(output.code == 0 || output.stderr.starts_with("exec"), "{}", output.stderr);
    bundles.ketch(&["delete", &id]).ok();
}

#[test]
fn of_two_starts_at_once_one_starts() {
    let bundles = Bundles::new();
    for round in 0..5 {
        let id = bundles.create(&format!("race{round}"), "sleep 1000", &json!({}));
        let mut starts: Vec<_> =
            (0..4).map(|_| bundles.command(&["start", &id]).stderr(Stdio::null()).spawn().unwrap()).collect();
        let won = starts.iter_mut().filter_map(|start| start.wait().unwrap().success().then_some(())).count();
        assert_eq!(won, 1);
        bundles.ketch(&["delete", "-f", &id]).ok();
    }
    bundles.finish();
}

#[test]
fn a_program_that_cannot_be_executed_is_told_at_the_right_moment() {
    let bundles = Bundles::new();
    bundles.scratch.write("rootfs/garbage", "\x7fELFgarbage");
    bundles.scratch.write("rootfs/script", "#!/no/such/interpreter\n");
    bundles.scratch.write("rootfs/plain", "text");
    for name in ["garbage", "script"] {
        let path = bundles.scratch.join("rootfs").join(name);
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    for (program, complaint) in [
        ("nosuch", "exec: \"nosuch\": executable file not found in $PATH\n"),
        ("/nosuch", "exec: \"/nosuch\": stat /nosuch: no such file or directory\n"),
        ("/plain", "exec: \"/plain\": permission denied\n"),
        ("/garbage", "exec /garbage: exec format error\n"),
        ("/script", "exec /script: no such file or directory\n"),
        ("/bin", "exec: \"/bin\": is a directory: permission denied\n"),
    ] {
        let bundle = bundles.bundle("program", "", &json!({}));
        let path = bundle.join("config.json");
        let mut spec: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        spec["process"]["args"] = json!([program]);
        fs::write(&path, spec.to_string()).unwrap();
        let output = bundles.ketch(&["run", "-b", bundle.to_str().unwrap(), &bundles.id("program")]);
        assert_eq!(output.assert_code(1).stderr, complaint);
    }
    bundles.finish();
}

#[test]
fn exec_is_confined_as_the_container_is() {
    let bundles = Bundles::new();
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]});
    let id = bundles.create(
        "exec",
        "sleep 1000",
        &json!({"hostname": "h", "process": {"user": {"uid": 5, "gid": 6}}, "linux": {
        "seccomp": profile, "personality": {"domain": "LINUX32"}}}),
    );
    bundles.ketch(&["start", &id]).ok();
    let inside = |words: &[&str]| bundles.ketch(&[&["exec"], words].concat());
    let script = "hostname; id -u; uname -m; mkdir /tmp/x 2>/dev/null || echo no; grep -E 'Seccomp:|NoNew|CapEff' /proc/self/status | cut -f2";
    assert_eq!(inside(&[&id, "sh", "-c", script]).ok(), "h\n5\ni686\nno\n0000000000000000\n1\n2");
    assert_eq!(
        inside(&[
            "-u",
            "7:8",
            "--cwd",
            "/bin",
            "-e",
            "A=b",
            "-g",
            "9",
            &id,
            "sh",
            "-c",
            "id -u; id -G; pwd; echo $A; exit 4"
        ])
        .assert_code(4)
        .stdout,
        "7\n8 9\n/bin\nb\n"
    );
    assert_eq!(
        inside(&["--cap", "CAP_KILL", "-u", "0", &id, "grep", "CapEff", "/proc/self/status"]).ok(),
        "CapEff:\t0000000000000020"
    );
    let process = bundles.scratch.write(
        "process.json",
        json!({"cwd": "/", "user": {"uid": 1, "gid": 1}, "args": ["/bin/id", "-u"],
        "execCPUAffinity": {"final": "0"}})
        .to_string(),
    );
    assert_eq!(inside(&["--process", process.to_str().unwrap(), &id]).ok(), "1");
    assert_eq!(
        inside(&[&id, "nosuch"]).assert_code(255).stderr,
        "exec: \"nosuch\": executable file not found in $PATH\n"
    );
    let pid_file = bundles.scratch.join("pid");
    let mut detached =
        bundles.command(&["exec", "--detach", "--pid-file", pid_file.to_str().unwrap(), &id, "sleep", "999"]);
    // It would keep our pipes open.
    assert!(detached.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
    let pid: i32 = fs::read_to_string(&pid_file).unwrap().parse().unwrap();
    let listed: Vec<i32> = serde_json::from_str(&bundles.ketch(&["ps", "-f", "json", &id]).ok()).unwrap();
    assert!(listed.contains(&pid), "{listed:?}");
    assert!(bundles.ketch(&["ps", &id]).ok().contains("sleep 999"));
    bundles.ketch(&["delete", "-f", &id]).ok();
    bundles.finish();
}

#[test]
fn a_terminal_s_master_goes_to_the_console_socket() {
    let bundles = Bundles::new();
    let socket = bundles.scratch.join("console.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let terminal = json!({"process": {"terminal": true, "consoleSize": {"height": 10, "width": 20}}});
    let refused = bundles.bundle("refused", "true", &terminal);
    let output =
        bundles.ketch(&["create", "-b", refused.to_str().unwrap(), &bundles.id("refused")]).assert_code(1);
    assert!(output.stderr.contains("--console-socket"));
    let bundle = bundles.bundle("console", "tty; stty size; read line; echo got $line", &terminal);
    let id = bundles.id("console");
    bundles
        .ketch(&["create", "-b", bundle.to_str().unwrap(), "--console-socket", socket.to_str().unwrap(), &id])
        .ok();
    let mut master = fs::File::from(receive(&listener.accept().unwrap().0));
    bundles.ketch(&["start", &id]).ok();
    master.write_all(b"hello\n").unwrap();
    let mut said = Vec::new();
    let mut buffer = [0; 100];
    // The end of a terminal is an error.
    while let Ok(count @ 1..) = master.read(&mut buffer) {
        said.extend_from_slice(&buffer[..count]);
    }
    let said = String::from_utf8(said).unwrap();
    for part in ["/dev/pts/0", "10 20", "got hello"] {
        assert!(said.contains(part), "{said:?}");
    }
    wait_until(&bundles, &id, "stopped");
    bundles.ketch(&["delete", &id]).ok();
    bundles.finish();
}

fn receive(socket: &std::os::unix::net::UnixStream) -> std::os::fd::OwnedFd {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut buffer = [0; 100];
    recvmsg(socket.as_fd(), &mut [std::io::IoSliceMut::new(&mut buffer)], &mut control, RecvFlags::empty())
        .unwrap();
    let found = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    found.unwrap()
}

#[test]
fn only_the_descriptors_that_are_meant_get_in() {
    let bundles = Bundles::new();
    let bundle = bundles.bundle("fds", "ls /proc/self/fd | tr '\\n' ' '", &json!({}));
    let ketch = testkit::command::ketch_binary();
    let run = |flags: &str, name: &str| {
        let script = format!(
            "exec 3</dev/null 4</dev/null 7</dev/null; exec {} runtime --root {} run {flags} -b {} {}",
            ketch.display(),
            bundles.scratch.join("state").display(),
            bundle.display(),
            bundles.id(name),
        );
        testkit::command::run(std::process::Command::new("sh").args(["-c", &script]))
    };
    // `ls` has one more: the directory that it lists.
    assert_eq!(run("", "none").ok(), "0 1 2 3");
    assert_eq!(run("--preserve-fds 2", "two").ok(), "0 1 2 3 4 5");
    assert!(run("--preserve-fds 3", "three").assert_code(1).stderr.contains("descriptor 5 is not open"));
    bundles.finish();
}

#[test]
fn run_passes_exit_codes_and_signals_on() {
    let bundles = Bundles::new();
    assert_eq!(bundles.run("code", "exit 42", &json!({})).code, 42);
    assert_eq!(
        bundles
            .run("signal", "kill -TERM $$; sleep 5", &json!({"linux": {"namespaces": null}, "process": {}}))
            .code,
        1
    );
    let bundle = bundles.bundle(
        "forward",
        "trap 'echo got it; exit 9' USR1; echo ready; while :; do sleep 0.1; done",
        &json!({}),
    );
    let mut child = bundles
        .command(&["run", "-b", bundle.to_str().unwrap(), &bundles.id("forward")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut first = [0; 6];
    out.read_exact(&mut first).unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::USR1).unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!((rest.as_str(), child.wait().unwrap().code()), ("got it\n", Some(9)));
    bundles.finish();
}

#[test]
fn limits_are_updated_and_statistics_told() {
    let bundles = Bundles::new();
    let id = bundles.create(
        "limits",
        "sleep 1000",
        &json!({"linux": {"resources": {"memory": {"limit": 50_000_000}}}}),
    );
    bundles.ketch(&["start", &id]).ok();
    bundles.ketch(&["update", "--memory", "64m", "--pids-limit", "12", &id]).ok();
    let stats: Value = serde_json::from_str(&bundles.ketch(&["events", "--stats", &id]).ok()).unwrap();
    assert_eq!(
        (&stats["type"], &stats["data"]["memory"]["usage"]["limit"]),
        (&json!("stats"), &json!(67_108_864))
    );
    assert_eq!(stats["data"]["pids"], json!({"current": 1, "limit": 12}));
    let file = bundles.scratch.write("resources.json", json!({"pids": {"limit": 13}}).to_string());
    bundles.ketch(&["update", "-r", file.to_str().unwrap(), &id]).ok();
    let stats: Value = serde_json::from_str(&bundles.ketch(&["events", "--stats", &id]).ok()).unwrap();
    assert_eq!(stats["data"]["pids"]["limit"], 13);
    let wrong = bundles.ketch(&["update", "--memory", "a lot", &id]).assert_code(1);
    assert_eq!(wrong.stderr, "--memory: \"a lot\" is no size\n");
    bundles.ketch(&["delete", "-f", &id]).ok();
    bundles.finish();
}

#[test]
fn what_callers_ask_of_a_runtime_is_answered() {
    let bundles = Bundles::new();
    let features: Value = serde_json::from_str(&bundles.ketch(&["features"]).ok()).unwrap();
    assert_eq!(features["ociVersionMin"], "1.0.0");
    assert!(features["mountOptions"].as_array().unwrap().contains(&json!("rro")));
    let folder = bundles.scratch.join("new");
    fs::create_dir(&folder).unwrap();
    bundles.ketch(&["spec", "-b", folder.to_str().unwrap()]).ok();
    let spec: Value = serde_json::from_slice(&fs::read(folder.join("config.json")).unwrap()).unwrap();
    assert_eq!(spec["process"]["args"], json!(["sh"]));
    bundles.ketch(&["spec", "-b", folder.to_str().unwrap()]).assert_code(1);
    for refused in ["checkpoint", "restore"] {
        assert_eq!(bundles.ketch(&[refused, "x"]).assert_code(1).stderr, "containers are not checkpointed\n");
    }
    let log = bundles.scratch.join("log.json");
    let words = ["--log", log.to_str().unwrap(), "--log-format", "json", "state", "nobody"];
    bundles.ketch(&words).assert_code(1);
    let line: Value = serde_json::from_str(&fs::read_to_string(&log).unwrap()).unwrap();
    assert_eq!((&line["level"], &line["msg"]), (&json!("error"), &json!("container does not exist: nobody")));
    assert!(bundles.ketch(&["--version"]).ok().contains("spec: 1.2"));
    assert_eq!(
        bundles.ketch(&["--rootless", "true", "list"]).assert_code(1).stderr,
        "--rootless true is not supported\n"
    );
    bundles.finish();
}
