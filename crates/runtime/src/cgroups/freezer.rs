//! Holding all processes of a container still.

use std::fs;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, poll};

use super::{Cgroup, Folder};
use crate::Error;
use crate::error::Doing;

/// How often the kernel is asked whether it has come to pass.
const ROUND: Duration = Duration::from_millis(1);

impl Cgroup {
    /// Freezes or thaws every process inside and returns when that has happened. What can't be frozen within `patience`
    /// is thawed again.
    pub fn set_frozen(&self, frozen: bool, patience: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + patience;
        let folder = self.freezer()?;
        loop {
            // v1 gives up on processes that fork meanwhile, and wants to be asked again.
            folder.write_frozen(frozen)?;
            if folder.is_frozen()? == frozen {
                return Ok(());
            }
            if Instant::now() >= deadline {
                folder.write_frozen(false)?;
                return Err(Error::Setup {
                    doing: "freeze the container".into(),
                    source: std::io::ErrorKind::TimedOut.into(),
                });
            }
            // v1's file can't be waited for.
            let _ = poll(&mut [], Timespec::try_from(ROUND).ok().as_ref());
        }
    }

    /// Whether everything inside is held still; without a freezer nothing is.
    pub fn is_frozen(&self) -> bool {
        self.freezer().and_then(Folder::is_frozen).unwrap_or(false)
    }

    fn freezer(&self) -> Result<&Folder, Error> {
        let v1 = self.folders.iter().find(|f| !f.hierarchy.unified && f.hierarchy.has("freezer"));
        let any = v1.or_else(|| self.folders.iter().find(|f| f.hierarchy.unified));
        any.ok_or_else(|| Error::Unsupported("pausing (this kernel has no cgroup freezer)".into()))
    }
}

impl Folder {
    fn write_frozen(&self, frozen: bool) -> Result<(), Error> {
        let (file, value) = match (self.hierarchy.unified, frozen) {
            (true, true) => ("cgroup.freeze", "1"),
            (true, false) => ("cgroup.freeze", "0"),
            (false, true) => ("freezer.state", "FROZEN"),
            (false, false) => ("freezer.state", "THAWED"),
        };
        fs::write(self.path.join(file), value).doing(&format!("set {file} to {value}"))
    }

    fn is_frozen(&self) -> Result<bool, Error> {
        let file = if self.hierarchy.unified { "cgroup.events" } else { "freezer.state" };
        let text = fs::read_to_string(self.path.join(file)).doing(&format!("read {file}"))?;
        // v1 says FREEZING until all of them are.
        Ok(text.lines().any(|line| matches!(line, "frozen 1" | "FROZEN")))
    }
}
