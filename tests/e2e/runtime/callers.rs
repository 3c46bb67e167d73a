//! Those who call a runtime, with ours: podman, containerd and dockerd. A machine has to have them, so these run when they are
//! asked for, and fail where somebody is missing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use testkit::Scratch;
use testkit::command::{ketch_binary, run};
use testkit::eventually;

const PATIENCE: Duration = Duration::from_secs(60);

/// Callers take one path, so the binary is called by a name of its own.
fn runtime(scratch: &Scratch) -> PathBuf {
    let path = scratch.join("ketch-runtime");
    symlink(ketch_binary(), &path).unwrap();
    path
}

fn image(scratch: &Scratch) -> PathBuf {
    scratch.write("busybox.tar", testkit::images::busybox("busybox:callers").unwrap())
}

struct Daemon(Child);

impl Daemon {
    fn start(command: &mut Command, log: &fs::File) -> Self {
        let out = log.try_clone().unwrap();
        Self(command.stdin(Stdio::null()).stdout(out).stderr(log.try_clone().unwrap()).spawn().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.0),
            rustix::process::Signal::TERM,
        );
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs podman and conmon: `cargo nextest run -p e2e --run-ignored only callers`"]
fn podman_runs_containers_with_it() {
    let scratch = Scratch::create();
    let (runtime, image) = (runtime(&scratch), image(&scratch));
    let podman = |words: &[&str]| {
        let mut command = Command::new("podman");
        command.env("PODMAN_IGNORE_CGROUPSV1_WARNING", "1").arg("--root").arg(scratch.join("root"));
        command.arg("--runroot").arg(scratch.join("run")).args(["--cgroup-manager", "cgroupfs"]);
        run(command.arg("--runtime").arg(&runtime).args(words))
    };
    podman(&["load", "-q", "-i", image.to_str().unwrap()]).ok();
    let ran = podman(&["run", "--rm", "--network", "none", "busybox:callers", "echo", "hi"]).ok();
    assert_eq!(ran, "hi");
    let limited = [
        "run",
        "--rm",
        "--network",
        "none",
        "-m",
        "32m",
        "--pids-limit",
        "20",
        "--read-only",
        "--tmpfs",
        "/tmp",
        "--cap-drop",
        "all",
        "-u",
        "1000",
        "busybox:callers",
        "sh",
        "-c",
        "touch /x 2>/dev/null || touch /tmp/x && id -u",
    ];
    assert_eq!(podman(&limited).ok(), "1000");
    podman(&["run", "-d", "--name", "one", "--network", "none", "busybox:callers", "sleep", "1000"]).ok();
    assert_eq!(podman(&["exec", "one", "sh", "-c", "exit 7"]).code, 7);
    assert_eq!(podman(&["exec", "-t", "one", "tty"]).ok().trim(), "/dev/pts/0");
    podman(&["pause", "one"]).ok();
    podman(&["unpause", "one"]).ok();
    podman(&["stop", "-t", "0", "one"]).ok();
    podman(&["rm", "one"]).ok();
    assert_eq!(podman(&["run", "--rm", "--network", "none", "busybox:callers", "nosuch"]).code, 127);
    podman(&["system", "reset", "-f"]).ok();
    scratch.remove();
}

#[test]
#[ignore = "needs containerd, ctr, dockerd and docker: `cargo nextest run -p e2e --run-ignored only callers`"]
fn containerd_and_dockerd_run_containers_with_it() {
    let scratch = Scratch::create();
    let (runtime, image) = (runtime(&scratch), image(&scratch));
    let path = |name: &str| scratch.join(name).to_str().unwrap().to_owned();
    let config = format!(
        "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\n  address = {:?}\n",
        path("c"),
        path("s"),
        path("c.sock"),
    );
    let log = fs::File::create(scratch.join("log")).unwrap();
    let config = scratch.write("config.toml", config);
    let containerd = Daemon::start(Command::new("containerd").arg("-c").arg(config), &log);
    let ctr = |words: &[&str]| run(Command::new("ctr").args(["-a", &path("c.sock")]).args(words));
    eventually(PATIENCE, || match ctr(&["version"]).code {
        0 => Ok(()),
        code => Err(code),
    });
    ctr(&["images", "import", image.to_str().unwrap()]).ok();
    let (binary, name) = (runtime.to_str().unwrap(), "docker.io/library/busybox:callers");
    assert_eq!(ctr(&["run", "--rm", "--runc-binary", binary, name, "one", "echo", "hi"]).ok(), "hi");
    ctr(&["run", "-d", "--runc-binary", binary, name, "two", "sleep", "1000"]).ok();
    assert_eq!(ctr(&["task", "exec", "--exec-id", "e", "two", "sh", "-c", "exit 9"]).code, 9);
    ctr(&["task", "pause", "two"]).ok();
    ctr(&["task", "resume", "two"]).ok();
    ctr(&["task", "kill", "-s", "KILL", "two"]).ok();
    eventually(PATIENCE, || match ctr(&["task", "rm", "two"]).code {
        0 | 137 => Ok(()),
        code => Err(code),
    });
    ctr(&["container", "rm", "two"]).ok();

    let settings = serde_json::json!({"runtimes": {"ketch": {"path": runtime}}, "default-runtime": "ketch",
        "bridge": "none", "iptables": false, "ip6tables": false});
    let settings = scratch.write("daemon.json", settings.to_string());
    let mut command = Command::new("dockerd");
    command.arg("--config-file").arg(settings).args(["--data-root", &path("d"), "--exec-root", &path("e")]);
    command.args([
        "--pidfile",
        &path("pid"),
        "--containerd",
        &path("c.sock"),
        "-H",
        &format!("unix://{}", path("d.sock")),
    ]);
    let dockerd = Daemon::start(&mut command, &log);
    let docker = |words: &[&str]| {
        run(Command::new("docker").args(["-H", &format!("unix://{}", path("d.sock"))]).args(words))
    };
    eventually(PATIENCE, || match docker(&["version"]).code {
        0 => Ok(()),
        code => Err(code),
    });
    docker(&["load", "-q", "-i", image.to_str().unwrap()]).ok();
    assert_eq!(docker(&["run", "--rm", "--network", "none", "busybox:callers", "echo", "hi"]).ok(), "hi");
    assert_eq!(
        docker(&["run", "--rm", "--network", "none", "-t", "busybox:callers", "tty"]).ok().trim(),
        "/dev/pts/0"
    );
    docker(&[
        "run",
        "-d",
        "--name",
        "one",
        "--network",
        "none",
        "--memory",
        "64m",
        "--pids-limit",
        "50",
        "busybox:callers",
        "sleep",
        "1000",
    ])
    .ok();
    assert_eq!(
        docker(&["exec", "-u", "1000", "-w", "/tmp", "one", "sh", "-c", "id -u; pwd; exit 5"])
            .assert_code(5)
            .stdout,
        "1000\n/tmp\n"
    );
    for words in [
        &["pause", "one"][..],
        &["unpause", "one"],
        &["update", "--memory", "32m", "--memory-swap", "64m", "one"],
        &["top", "one"],
        &["stop", "-t", "0", "one"],
        &["start", "one"],
        &["kill", "one"],
        &["rm", "one"],
    ] {
        docker(words).ok();
    }
    assert_eq!(docker(&["run", "--rm", "--network", "none", "busybox:callers", "nosuch"]).code, 127);
    drop(dockerd);
    drop(containerd);
    // dockerd leaves the namespaces of its networks.
    for mount in testkit::leaks::mounts(scratch.path()) {
        run(Command::new("umount").args(["-l", mount.split(' ').nth(5).unwrap_or(&mount)])).ok();
    }
    scratch.remove();
}
