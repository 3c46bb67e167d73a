//! Nothing in the container moves while this lives.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::Error;

const CGROUPS: &str = "/sys/fs/cgroup";
/// How often it is looked, once a millisecond, whether all have come to rest. One in an uninterruptible sleep may take
/// longer than anybody wants to wait; then the rest is at rest.
const LOOKS: u32 = 2000;

pub(crate) struct Frozen {
    switch: PathBuf,
    thaw: &'static str,
}

impl Frozen {
    /// Stops everything in the cgroup of a process, which must be the container's own; nothing if somebody else has.
    #[expect(clippy::disallowed_methods, reason = "v1's freezer tells nobody when it is done")]
    pub(super) fn enter(pid: i32, container: &str) -> Result<Option<Self>, Error> {
        let path = PathBuf::from(format!("/proc/{pid}/cgroup"));
        let table =
            fs::read_to_string(&path).map_err(|source| Error::File { doing: "read", path, source })?;
        let failed = |source| Error::System { doing: "pause the container", source };
        let (switch, freeze, thaw) = switch(&table, container)
            .ok_or_else(|| failed(std::io::Error::other("it has no cgroup of its own that can be frozen")))?;
        let frozen = fs::read_to_string(&switch).map_err(failed)?;
        if !matches!(frozen.trim(), "0" | "THAWED") {
            return Ok(None);
        }
        fs::write(&switch, freeze).map_err(failed)?;
        let frozen = Self { switch, thaw };
        for _ in 0..LOOKS {
            if frozen.is_still() {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(Some(frozen))
    }

    /// Lets a container go on that an engine had stopped and then died.
    pub(crate) fn leave_behind(pid: i32, container: &str) {
        let table = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let Some((switch, _, thaw)) = switch(&table, container) else { return };
        if fs::read_to_string(&switch).is_ok_and(|now| !matches!(now.trim(), "0" | "THAWED")) {
            drop(Self { switch, thaw });
        }
    }

    fn is_still(&self) -> bool {
        match self.thaw {
            "0" => fs::read_to_string(self.switch.with_file_name("cgroup.events"))
                .is_ok_and(|events| events.lines().any(|line| line == "frozen 1")),
            _ => fs::read_to_string(&self.switch).is_ok_and(|state| state.trim() == "FROZEN"),
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        if let Err(error) = fs::write(&self.switch, self.thaw) {
            tracing::error!(path = %self.switch.display(), %error, "cannot let a container go on");
        }
    }
}

/// The file, and what stops and starts, on v1 or v2. The cgroup is a container's own if it is called so.
fn switch(table: &str, container: &str) -> Option<(PathBuf, &'static str, &'static str)> {
    let own = |path: &str| path.rsplit('/').next().is_some_and(|name| name.contains(container));
    table.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (kind, path) = (parts.next()?, parts.next()?);
        let found = match kind {
            "freezer" => (format!("{CGROUPS}/freezer{path}/freezer.state"), "FROZEN", "THAWED"),
            "" => (format!("{CGROUPS}{path}/cgroup.freeze"), "1", "0"),
            _ => return None,
        };
        let file = PathBuf::from(found.0);
        (own(path) && file.is_file()).then_some((file, found.1, found.2))
    })
}
