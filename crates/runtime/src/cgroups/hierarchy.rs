//! The cgroup hierarchies that are mounted on this host.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::error::Doing;

const ROOT: &str = "/sys/fs/cgroup";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hierarchy {
    pub(super) mount: PathBuf,
    pub(super) unified: bool,
    controllers: Vec<String>,
}

impl Hierarchy {
    pub(super) fn all() -> Result<Vec<Self>, Error> {
        let table = text("/proc/self/mountinfo").doing("read the mount table")?;
        let found = parse(&table);
        if found.is_empty() {
            return Err(Error::Unsupported(format!("a host without cgroups at {ROOT}")));
        }
        Ok(found)
    }

    /// The name of its mount point: `memory`, `cpu,cpuacct`, `systemd`.
    pub(super) fn name(&self) -> &str {
        self.mount.file_name().and_then(|n| n.to_str()).unwrap_or_default()
    }

    pub(super) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|c| c == controller)
    }

    /// Lets what may be limited through to a directory that somebody else made.
    pub(super) fn delegate_to(&self, folder: &Path) {
        let above: Vec<&Path> =
            folder.ancestors().skip(1).take_while(|a| a.starts_with(&self.mount)).collect();
        above.into_iter().rev().for_each(|ancestor| self.delegate(ancestor));
    }

    /// Makes the directories above a container's and lets what they may limit through to it.
    pub(super) fn prepare_ancestors(&self, path: &Path) -> Result<(), Error> {
        let mut folder = self.mount.clone();
        self.delegate(&folder);
        for component in path.components() {
            folder.push(component);
            if !folder.is_dir() {
                match fs::create_dir(&folder) {
                    Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                    other => other.doing(&format!("create the cgroup {}", folder.display()))?,
                }
            }
            self.inherit_cpuset(&folder)?;
            self.delegate(&folder);
        }
        Ok(())
    }

    /// On v2, what a parent doesn't hand down its children lack. One by one, because one refusal refuses a whole line; a
    /// limit whose controller could not be had is an error when it is set.
    fn delegate(&self, folder: &Path) {
        if !self.unified {
            return;
        }
        let read = |file: &str| text(folder.join(file)).unwrap_or_default();
        let (offered, enabled) = (read("cgroup.controllers"), read("cgroup.subtree_control"));
        for controller in offered.split_whitespace().filter(|c| !enabled.split_whitespace().any(|e| e == *c))
        {
            let _ = fs::write(folder.join("cgroup.subtree_control"), format!("+{controller}"));
        }
    }

    /// On v1, a new cpuset has neither processors nor memory nodes and takes no process.
    pub(super) fn inherit_cpuset(&self, folder: &Path) -> Result<(), Error> {
        if self.unified || !self.has("cpuset") {
            return Ok(());
        }
        let Some(parent) = folder.parent() else { return Ok(()) };
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let doing = format!("fill {file} of the cgroup {}", folder.display());
            let own = text(folder.join(file)).doing(&doing)?;
            if own.trim().is_empty() {
                let value = text(parent.join(file)).doing(&doing)?;
                fs::write(folder.join(file), value).doing(&doing)?;
            }
        }
        Ok(())
    }
}

/// What a file of the kernel's says. These have no size, and a growing buffer would be filled 32 bytes first.
fn text(path: impl AsRef<Path>) -> io::Result<String> {
    let mut text = String::with_capacity(4096);
    File::open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// Lines are `id parent dev root mountpoint options… - type source superoptions`.
fn parse(table: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in table.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let (Some(mount), mut right) = (left.split(' ').nth(4), right.split(' ')) else { continue };
        let (kind, options) = (right.next().unwrap_or_default(), right.nth(1).unwrap_or_default());
        let ours = Path::new(mount).starts_with(ROOT) && matches!(kind, "cgroup" | "cgroup2");
        if !ours || found.iter().any(|h| h.mount == Path::new(mount)) {
            continue;
        }
        let controllers =
            options.split(',').filter(|o| !matches!(*o, "rw" | "ro")).map(str::to_owned).collect();
        found.push(Hierarchy { mount: mount.into(), unified: kind == "cgroup2", controllers });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_found_by_type_and_place() {
        let table = "30 23 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
            31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
            32 30 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
            33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
            34 30 0:29 / /mnt/elsewhere rw - cgroup2 cgroup2 rw\n";
        let found = parse(table);
        assert_eq!(
            found.iter().map(Hierarchy::name).collect::<Vec<_>>(),
            ["cpu,cpuacct", "systemd", "unified"]
        );
        assert!(found[0].has("cpuacct") && !found[0].has("memory"));
        assert!(found[2].unified && !found[1].unified);
    }
}
