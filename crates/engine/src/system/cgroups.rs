//! Which cgroup hierarchy this machine has, and which limits it can hold.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The hierarchy and its controllers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroups {
    pub version: u8,
    controllers: BTreeSet<String>,
    root: &'static str,
}

impl Cgroups {
    /// Looks at `/sys/fs/cgroup`. A hybrid machine counts as version 1, as for dockerd: its controllers are there.
    pub fn detect() -> Self {
        let root = "/sys/fs/cgroup";
        match fs::read_to_string(Path::new(root).join("cgroup.controllers")) {
            Ok(list) => {
                Self { version: 2, controllers: list.split_whitespace().map(str::to_owned).collect(), root }
            }
            Err(_) => Self {
                version: 1,
                controllers: v1_controllers(&fs::read_to_string("/proc/cgroups").unwrap_or_default()),
                root,
            },
        }
    }

    /// Whether a controller is there and enabled.
    pub fn has(&self, controller: &str) -> bool {
        // Version 2 folds these into others or into the core.
        match (self.version, controller) {
            (2, "cpuacct") => self.controllers.contains("cpu"),
            (2, "freezer" | "devices") => true,
            (2, "blkio") => self.controllers.contains("io"),
            _ => self.controllers.contains(controller),
        }
    }

    /// Whether a file exists in the root group of a version 1 controller; on version 2 the question is the
    /// controller's.
    pub fn has_file(&self, controller: &str, file: &str) -> bool {
        match self.version {
            2 => self.has(controller),
            _ => Path::new(self.root).join(controller).join(file).exists(),
        }
    }
}

fn v1_controllers(table: &str) -> BTreeSet<String> {
    table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let name = fields.next()?;
            (fields.nth(2)? == "1").then(|| name.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disabled_controllers_do_not_count() {
        let table = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t3\t1\t1\nmemory\t0\t9\t0\n";
        assert_eq!(v1_controllers(table), BTreeSet::from(["cpuset".to_owned()]));
    }
}
