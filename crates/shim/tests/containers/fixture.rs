//! A container of a static busybox, with everything of it below one temporary folder.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use layers::LayerStore;
use serde_json::{Value, json};
use shim::protocol::{Exit, FromShim, ToShim, receive, send};
use shim::{Launch, Launched, Launcher, LogConfig, LogFile, LogFormat, Stdin};

pub(crate) struct Fixture {
    folder: tempfile::TempDir,
    pub(crate) id: String,
    pub(crate) spec: Value,
    pub(crate) stdin: Stdin,
    pub(crate) log: LogConfig,
    /// Symlinks that the image has besides: name and target.
    pub(crate) links: Vec<(String, String)>,
    /// What its shim keeps for engines.
    pub(crate) kept: Vec<OwnedFd>,
    /// The last of those are their sockets.
    pub(crate) relays: Vec<shim::Relay>,
}

/// A container whose shim is running. Killed, with its shim, when dropped.
pub(crate) struct Running {
    pub(crate) shim: Launched,
    pub(crate) pid: i32,
    run_dir: PathBuf,
    cgroup: String,
}

impl Fixture {
    /// A container that runs these arguments, with Docker's usual mounts and capabilities.
    pub(crate) fn new(args: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let folder = tempfile::tempdir().unwrap();
        for name in ["run", "container", "container/upper", "container/work"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let id = format!("ketch-test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let log = LogConfig { file: Some(json_file(folder.path().join("container/log"))), forward: None };
        let spec = spec(&id, args);
        Self {
            folder,
            id,
            spec,
            stdin: Stdin::Closed,
            log,
            links: Vec::new(),
            kept: Vec::new(),
            relays: Vec::new(),
        }
    }

    pub(crate) fn container_dir(&self) -> PathBuf {
        self.folder.path().join("container")
    }

    pub(crate) fn run_dir(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    pub(crate) fn log_text(&self) -> String {
        fs::read_to_string(self.container_dir().join("log")).unwrap()
    }

    /// Starts the shim and returns what it says first.
    pub(crate) fn launch(&self) -> (Launched, FromShim) {
        let store =
            LayerStore::open(self.folder.path(), layers::Choice::default(), layers::Limits::default())
                .unwrap();
        store.apply(&busybox_layer(&self.links)[..], None).unwrap();
        launch(&self.description(), self.folder.path(), &self.kept)
    }

    fn description(&self) -> Launch {
        Launch {
            id: self.id.clone(),
            run_dir: self.run_dir(),
            container_dir: self.container_dir(),
            spec: serde_json::from_value(self.spec.clone()).unwrap(),
            seccomp: None,
            stdin: self.stdin,
            log: self.log.clone(),
            runtime: None,
            kept: (self.kept.len() - self.relays.len()) as u32,
            relays: self.relays.clone(),
            closed: false,
            fleeting: false,
        }
    }

    /// Starts the container from a process that then does nothing: this test binary, run once more.
    pub(crate) fn launch_from_another_process(&self) -> OtherEngine {
        let store =
            LayerStore::open(self.folder.path(), layers::Choice::default(), layers::Limits::default())
                .unwrap();
        store.apply(&busybox_layer(&self.links)[..], None).unwrap();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "fixture::other_engine", "--nocapture"])
            .env("KETCH_TEST_ENGINE", serde_json::to_string(&self.description()).unwrap())
            .env("KETCH_TEST_ROOT", self.folder.path())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        assert!(lines.any(|line| line.unwrap().ends_with("STARTED")), "the other engine failed");
        OtherEngine(child)
    }

    /// Creates the container, which then waits to be started.
    pub(crate) fn create(&self) -> Running {
        let (shim, first) = self.launch();
        let FromShim::Created { pid } = first else { panic!("{first:?}") };
        Running { shim, pid, run_dir: self.run_dir(), cgroup: self.id.clone() }
    }

    /// Runs it to its end: its output streams and its exit.
    pub(crate) fn run(&self) -> (String, String, Exit) {
        let container = self.create();
        let client = container.attach(false);
        container.start();
        let (stdout, stderr) = read_frames(client);
        let exit = container.wait();
        container.end();
        (stdout, stderr, exit)
    }

    /// The failure of a container that can't be created or started.
    pub(crate) fn failure(&self) -> FromShim {
        let (shim, first) = self.launch();
        let failed = match first {
            FromShim::Created { .. } => {
                send(&shim.control, &ToShim::Start).unwrap();
                receive(&shim.control).unwrap()
            }
            failed => failed,
        };
        sys::wait_for(&shim.pidfd).unwrap();
        assert_eq!(cgroups_of(&self.id), Vec::<PathBuf>::new());
        assert!(!self.container_dir().join("exit.json").exists());
        failed
    }
}

impl Running {
    pub(crate) fn say(&self, message: &ToShim) {
        send(&self.shim.control, message).unwrap();
    }

    pub(crate) fn hear(&self) -> FromShim {
        receive(&self.shim.control).unwrap()
    }

    pub(crate) fn start(&self) {
        self.say(&ToShim::Start);
        assert_eq!(self.hear(), FromShim::Started);
    }

    pub(crate) fn wait(&self) -> Exit {
        loop {
            match self.hear() {
                FromShim::Exited(exit) => return exit,
                FromShim::Rotated => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Another connection to the shim, after its greeting.
    pub(crate) fn connect(&self) -> (UnixStream, FromShim) {
        let stream = shim::connect(&self.run_dir).unwrap();
        let hello = receive(&stream).unwrap();
        (stream, hello)
    }

    pub(crate) fn attach(&self, stdin: bool) -> UnixStream {
        let (stream, _) = self.connect();
        send(&stream, &ToShim::Attach { exec: None, stdin, stdout: true, stderr: true }).unwrap();
        assert_eq!(receive::<FromShim>(&stream).unwrap(), FromShim::Attached);
        stream
    }

    /// Releases the shim, waits for its end and looks for what it left.
    pub(crate) fn end(self) {
        self.say(&ToShim::Release);
        assert_eq!(sys::wait_for(&self.shim.pidfd).unwrap().exit_status(), Some(0));
        assert_eq!(cgroups_of(&self.cgroup), Vec::<PathBuf>::new());
        assert!(!self.run_dir.join("shim.sock").exists());
        assert!(!Path::new(&format!("/proc/{}", self.pid)).exists());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(pidfd) = rustix::process::pidfd_open(
            rustix::process::Pid::from_raw(self.pid).unwrap(),
            rustix::process::PidfdFlags::empty(),
        ) {
            let _ = sys::send_signal(&pidfd, 9);
        }
    }
}

/// A process that started a shim.
pub(crate) struct OtherEngine(std::process::Child);

impl OtherEngine {
    /// With SIGKILL.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// What [`Fixture::launch_from_another_process`] runs; as an ordinary test it has nothing to do.
#[test]
fn other_engine() {
    let Ok(description) = std::env::var("KETCH_TEST_ENGINE") else { return };
    let root = std::env::var("KETCH_TEST_ROOT").unwrap();
    let (shim, _) = launch(&serde_json::from_str(&description).unwrap(), Path::new(&root), &[]);
    send(&shim.control, &ToShim::Start).unwrap();
    assert_eq!(receive::<FromShim>(&shim.control).unwrap(), FromShim::Started);
    println!("STARTED");
    // Until it is killed; should the test die first, this ends.
    let _ = std::io::stdin().read(&mut [0]);
}

fn launch(description: &Launch, data_root: &Path, kept: &[OwnedFd]) -> (Launched, FromShim) {
    let store = LayerStore::open(data_root, layers::Choice::default(), layers::Limits::default()).unwrap();
    let (upper, work) = (description.container_dir.join("upper"), description.container_dir.join("work"));
    let root = store.mount_root(&store.list().unwrap(), &upper, &work).unwrap();
    let launcher = Launcher::of(Path::new(env!("CARGO_BIN_EXE_ketch-shim"))).unwrap();
    let launched = launcher
        .launch(description, root.as_fd(), &kept.iter().map(AsFd::as_fd).collect::<Vec<_>>())
        .unwrap();
    let first = receive(&launched.control).unwrap();
    (launched, first)
}

/// Stdout and stderr out of Docker's multiplexed stream, to its end.
pub(crate) fn read_frames(mut client: UnixStream) -> (String, String) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut header = [0; 8];
    while client.read_exact(&mut header).is_ok() {
        let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let mut body = vec![0; length];
        client.read_exact(&mut body).unwrap();
        match header[0] {
            1 => stdout.extend(body),
            2 => stderr.extend(body),
            other => panic!("stream {other}"),
        }
    }
    (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Waits for a condition and says what it last was.
pub(crate) fn eventually<T: std::fmt::Debug>(mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match look() {
            Ok(value) => return value,
            Err(last) if Instant::now() > deadline => panic!("{last}"),
            Err(_) => std::thread::yield_now(),
        }
    }
}

pub(crate) fn cgroups_of(name: &str) -> Vec<PathBuf> {
    let hierarchies = fs::read_dir("/sys/fs/cgroup").unwrap().map(|entry| entry.unwrap().path());
    hierarchies.map(|path| path.join(name)).filter(|path| path.exists()).collect()
}

fn busybox_layer(links: &[(String, String)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut add = |kind, path: &str, mode, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        builder.append_data(&mut header, path, content).unwrap();
    };
    let busybox = fs::read("/bin/busybox").expect("the tests need the Debian package busybox-static");
    add(tar::EntryType::Directory, "bin", 0o755, b"");
    add(tar::EntryType::Directory, "tmp", 0o1777, b"");
    add(tar::EntryType::Regular, "bin/busybox", 0o755, &busybox);
    add(tar::EntryType::Regular, "etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n");
    add(tar::EntryType::Regular, "etc/plain", 0o644, b"not a program");
    add(tar::EntryType::Regular, "bin/broken", 0o755, b"#!/no/such/interpreter\n");
    add(tar::EntryType::Regular, "bin/garbage", 0o755, b"\x7fELF garbage");
    let applets =
        ["sh", "true", "cat", "sleep", "ls", "id", "hostname", "dd", "stty", "tty", "seq", "chroot"];
    let applets = applets.map(|name| (format!("bin/{name}"), "busybox".to_owned()));
    for (name, target) in applets.iter().chain(links) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        builder.append_link(&mut header, name, target).unwrap();
    }
    builder.into_inner().unwrap()
}

fn spec(id: &str, args: &[&str]) -> Value {
    let capabilities = [
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
        "CAP_KILL",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETPCAP",
    ];
    json!({
        "ociVersion": "1.2.0",
        "process": {
            "user": {"uid": 0, "gid": 0}, "args": args, "cwd": "/",
            "env": ["PATH=/bin", "A=b"],
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "noNewPrivileges": true,
            "oomScoreAdj": 0,
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}],
        },
        "root": {"path": "rootfs"},
        "hostname": "box",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro", "nosuid", "noexec", "nodev"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"]},
        ],
        "linux": {
            "cgroupsPath": format!("/{id}"),
            "sysctl": {"net.ipv4.ip_unprivileged_port_start": "0"},
            "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}],
            "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi", "/sys/firmware", "/no/such"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
            "resources": {
                "devices": [
                    {"allow": false, "access": "rwm"},
                    {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
                    {"allow": true, "type": "c", "major": 1, "minor": 5, "access": "rwm"},
                    {"allow": true, "type": "c", "major": 1, "minor": 7, "access": "rwm"},
                    {"allow": true, "type": "c", "major": 1, "minor": 8, "access": "rwm"},
                    {"allow": true, "type": "c", "major": 1, "minor": 9, "access": "rwm"},
                    {"allow": true, "type": "c", "major": 5, "minor": 0, "access": "rwm"},
                    {"allow": true, "type": "c", "major": 5, "minor": 2, "access": "rwm"},
                    {"allow": true, "type": "c", "major": 136, "access": "rwm"},
                ],
                "pids": {"limit": 50}, "memory": {"limit": 67108864},
            },
        },
    })
}

fn json_file(path: PathBuf) -> LogFile {
    LogFile::bounded(path, LogFormat::Json { attributes: BTreeMap::new() })
}
