//! Runtimes: one bundle of busybox for each of them, with the specification that `ketch runtime spec` writes.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use anyhow::ensure;
use serde_json::{Value, json};
use testkit::Scratch;
use testkit::command::ketch_binary;

use crate::case::{Against, Case, Owed};
use crate::stage::timed;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "runtime-run",
        what: "`ketch runtime run` of a bundle, against crun",
        unit: "ms",
        rounds: 40,
        owed: &[Owed::Part(1.0)],
        against: Against::Program("crun"),
        ours: |bench| bench.bundle()?.run(ketch_binary().into(), &["runtime", "run"]),
        theirs: Some(|bench| bench.bundle()?.run("crun".into(), &["run"])),
    },
    Case {
        name: "runtime-run-runc",
        what: "the same, against runc",
        unit: "ms",
        rounds: 40,
        owed: &[Owed::Part(1.0)],
        against: Against::Program("runc"),
        ours: |bench| bench.bundle()?.run(ketch_binary().into(), &["runtime", "run"]),
        theirs: Some(|bench| bench.bundle()?.run("runc".into(), &["run"])),
    },
];

pub(crate) struct Bundle {
    scratch: Scratch,
    next: Cell<u32>,
}

impl Bundle {
    pub(crate) fn make() -> anyhow::Result<Self> {
        let scratch = Scratch::create();
        fs::create_dir_all(scratch.join("rootfs/bin"))?;
        fs::copy("/bin/busybox", scratch.join("rootfs/bin/busybox"))?;
        symlink("busybox", scratch.join("rootfs/bin/true"))?;
        let status =
            Command::new(ketch_binary()).args(["runtime", "spec", "-b"]).arg(scratch.path()).status()?;
        ensure!(status.success(), "`ketch runtime spec`: {status}");
        let path = scratch.join("config.json");
        let mut spec: Value = serde_json::from_slice(&fs::read(&path)?)?;
        // Older runtimes of distributions refuse a newer one.
        spec["ociVersion"] = "1.0.2".into();
        spec["process"]["terminal"] = false.into();
        spec["process"]["args"] = json!(["/bin/true"]);
        fs::write(path, spec.to_string())?;
        Ok(Self { scratch, next: Cell::new(0) })
    }

    /// One container from its making to its end.
    pub(crate) fn run(&self, runtime: OsString, words: &[&str]) -> anyhow::Result<f64> {
        let number = self.next.replace(self.next.get() + 1);
        let id = format!("ketch-bench-{}-{number}", std::process::id());
        timed(Command::new(runtime).args(words).arg("-b").arg(self.scratch.path()).arg(id))
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        self.scratch.remove();
    }
}
