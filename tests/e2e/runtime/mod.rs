//! `ketch runtime`: bundles, by hand and by those who call a runtime.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod bad_input;
mod broken_steps;
mod callers;
mod fields;
mod hostile;
mod lifecycle;
mod validation;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use testkit::Scratch;
use testkit::command::{Output, ketch_binary, run};

/// A state directory with bundles of busybox.
pub(crate) struct Bundles {
    pub(crate) scratch: Scratch,
    /// Whether the runtime starts itself anew to be protected, in the place of taking what is mapped of it from elsewhere.
    pub(crate) anew: bool,
}

impl Bundles {
    pub(crate) fn new() -> Self {
        let scratch = Scratch::create();
        let bin = scratch.join("rootfs/bin");
        for folder in ["bin", "proc", "dev", "t", "tmp"] {
            fs::create_dir_all(scratch.join("rootfs").join(folder)).unwrap();
        }
        fs::copy("/bin/busybox", bin.join("busybox")).unwrap();
        let applets = run(Command::new("/bin/busybox").arg("--list")).ok();
        for applet in applets.lines().filter(|name| *name != "busybox") {
            symlink("busybox", bin.join(applet)).unwrap();
        }
        Self { scratch, anew: false }
    }

    /// The name of a container, and of its cgroup, that nobody else has.
    pub(crate) fn id(&self, name: &str) -> String {
        format!("{}-{name}", self.scratch.path().file_name().unwrap().to_string_lossy())
    }

    /// A bundle that runs a script, with `patch` merged into its specification.
    pub(crate) fn bundle(&self, name: &str, script: &str, patch: &Value) -> PathBuf {
        let mut spec = specification(&self.scratch.join("rootfs"), script);
        merge(&mut spec, patch);
        self.scratch.write(&format!("{name}/config.json"), spec.to_string()).parent().unwrap().to_owned()
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(ketch_binary());
        command.args(["runtime", "--root"]).arg(self.scratch.join("state")).args(words).stdin(Stdio::null());
        if self.anew {
            command.env("KETCH_START_ANEW", "1");
        }
        command
    }

    #[track_caller]
    pub(crate) fn ketch(&self, words: &[&str]) -> Output {
        run(&mut self.command(words))
    }

    /// Runs a script in a container of its own.
    #[track_caller]
    pub(crate) fn run(&self, name: &str, script: &str, patch: &Value) -> Output {
        let bundle = self.bundle(name, script, patch);
        self.ketch(&["run", "-b", bundle.to_str().unwrap(), &self.id(name)])
    }

    /// A container that waits for its start, without our pipes.
    #[track_caller]
    pub(crate) fn create(&self, name: &str, script: &str, patch: &Value) -> String {
        let (bundle, id) = (self.bundle(name, script, patch), self.id(name));
        let output = fs::File::create(bundle.join("output")).unwrap();
        let mut command = self.command(&["create", "-b", bundle.to_str().unwrap(), &id]);
        let status = command.stdout(output.try_clone().unwrap()).stderr(output).status().unwrap();
        assert!(status.success(), "{}", fs::read_to_string(bundle.join("output")).unwrap());
        id
    }

    pub(crate) fn status(&self, id: &str) -> String {
        let state = self.ketch(&["state", id]).ok();
        serde_json::from_str::<Value>(&state).unwrap()["status"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn finish(&self) {
        assert_eq!(self.ketch(&["list", "-q"]).ok(), "");
        let own = self.id("");
        assert_eq!(cgroups(&own), Vec::<PathBuf>::new());
        self.scratch.remove();
    }
}

/// The cgroups below `ketch` whose names begin so.
pub(crate) fn cgroups(start: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["/sys/fs/cgroup/ketch".into()]
        .into_iter()
        .chain(fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path().join("ketch")))
    {
        let entries = fs::read_dir::<PathBuf>(folder).into_iter().flatten().flatten();
        found
            .extend(entries.filter(|e| e.file_name().to_string_lossy().starts_with(start)).map(|e| e.path()));
    }
    found
}

fn specification(rootfs: &Path, script: &str) -> Value {
    json!({
        "ociVersion": "1.2.1",
        "root": {"path": rootfs},
        "process": {
            "user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["sh", "-c", script], "env": ["PATH=/bin"],
            "noNewPrivileges": true,
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["newinstance", "ptmxmode=0666", "mode=0620"]},
        ],
        "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}, {"type": "uts"}, {"type": "ipc"}, {"type": "network"}]},
    })
}

/// RFC 7386, but lists are joined.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                match value {
                    Value::Null => drop(target.remove(key)),
                    _ => merge(target.entry(key.clone()).or_insert(Value::Null), value),
                }
            }
        }
        (Value::Array(target), Value::Array(patch)) => target.extend(patch.iter().cloned()),
        (target, patch) => *target = patch.clone(),
    }
}
