//! The same commands by podman, which has no engine: its own folders, below a scratch directory, and its own start each time.

use std::process::Command;

use testkit::{Scratch, images};

use crate::case::{Against, Case, EXEC, Owed, RUN};
use crate::stage::{Bench, SLEEPER, TAG, timed};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "podman-run",
        what: "`run --rm --network none busybox true`",
        unit: "ms",
        rounds: 20,
        owed: &[Owed::Part(1.0)],
        against: Against::Program("podman"),
        ours: |bench| timed(&mut bench.ketch(RUN)),
        theirs: Some(|bench| {
            let podman = bench.podman()?;
            timed(podman.command(&["run", "--rm", "--network", "none"]).args(LIMITS).args([TAG, "true"]))
        }),
    },
    Case {
        name: "podman-exec",
        what: "`exec` of true",
        unit: "ms",
        rounds: 20,
        owed: &[Owed::Part(1.0)],
        against: Against::Program("podman"),
        ours: |bench| timed(&mut bench.ketch(EXEC)),
        theirs: Some(|bench| timed(&mut bench.podman()?.command(EXEC))),
    },
    Case {
        name: "podman-ps",
        what: "`ps`",
        unit: "ms",
        rounds: 20,
        owed: &[Owed::Part(1.0)],
        against: Against::Program("podman"),
        ours: |bench| timed(&mut bench.ketch(&["ps"])),
        theirs: Some(|bench| timed(&mut bench.podman()?.command(&["ps"]))),
    },
];

/// What podman asks for by itself is more than a machine may allow its root.
const LIMITS: &[&str] = &["--ulimit", "nofile=1024:4096", "--ulimit", "nproc=1000:1000"];

/// Podman's storage with the image, and a container that sleeps.
pub(crate) struct Podman {
    scratch: Scratch,
}

impl Podman {
    pub(crate) fn make() -> anyhow::Result<Self> {
        let podman = Self { scratch: Scratch::create() };
        let archive = podman.scratch.write("image.tar", images::busybox(TAG)?);
        timed(podman.command(&["load", "--quiet", "--input"]).arg(archive))?;
        let sleeper = ["run", "--detach", "--network", "none", "--name", SLEEPER];
        timed(podman.command(&sleeper).args(LIMITS).args([TAG, "sleep", "100000"]))?;
        Ok(podman)
    }

    /// With runc, which runs on every layout of cgroups; a default crun refuses some.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("podman");
        command.arg("--root").arg(self.scratch.join("root")).arg("--runroot").arg(self.scratch.join("run"));
        command.args(["--cgroup-manager", "cgroupfs", "--events-backend", "none", "--runtime", "runc"]);
        command.args(words);
        command
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // What stays is seen by whoever looks into the scratch folder.
        let _ = timed(&mut self.command(&["rm", "--all", "--force", "--time", "0"]));
        let _ = timed(&mut self.command(&["rmi", "--all", "--force"]));
        let _ = Command::new("umount").arg(self.scratch.join("root/overlay")).output();
    }
}

impl Bench {
    fn podman(&self) -> anyhow::Result<&Podman> {
        match self.podman.get() {
            Some(podman) => Ok(podman),
            None => {
                let podman = Podman::make()?;
                Ok(self.podman.get_or_init(|| podman))
            }
        }
    }
}
