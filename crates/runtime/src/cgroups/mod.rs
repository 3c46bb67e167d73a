//! A container's cgroups: one directory in each hierarchy of v1, one on v2, all of one path; or a scope of systemd's.
//!
//! On v2 init is cloned straight into its cgroup. On v1 it moves itself, by writing `0` to the `tasks` file that its
//! parent opened: the kernel moves a single thread that is the writer itself without the lock whose grace period stalls
//! every other way of moving by 6-15 ms.

mod block_io;
mod devices;
mod freezer;
mod hierarchy;
mod limits;
mod scope;
mod stats;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use oci_spec::runtime::LinuxResources;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::Error;
use crate::error::Doing;
use hierarchy::Hierarchy;
pub(crate) use scope::Scope;

/// The cgroups of one container. They outlive this value; [`Cgroup::delete`] removes them.
#[derive(Debug)]
pub struct Cgroup {
    folders: Vec<Folder>,
    scope: Option<Scope>,
}

#[derive(Debug)]
struct Folder {
    hierarchy: Hierarchy,
    path: PathBuf,
}

/// What init needs to get into its cgroups, opened before it exists.
#[derive(Default)]
pub(crate) struct Entrance {
    unified: Option<OwnedFd>,
    tasks: Vec<File>,
}

impl Entrance {
    /// The directory on v2, for the caller of `clone3`.
    pub(crate) fn unified_copy(&self) -> Result<Option<OwnedFd>, Error> {
        self.unified.as_ref().map(OwnedFd::try_clone).transpose().doing("open the cgroup twice")
    }

    /// In init.
    pub(crate) fn enter(&self) -> Result<(), Error> {
        self.tasks
            .iter()
            .try_for_each(|mut tasks| tasks.write_all(b"0"))
            .doing("enter the container's cgroups")
    }
}

impl Cgroup {
    /// Makes the directories and sets the limits; after an error none of the directories is left. A scope is only made
    /// sure of: it comes with its first process ([`Cgroup::take_in`]).
    pub fn create(path: &Path, resources: Option<&LinuxResources>) -> Result<Self, Error> {
        if let Some(scope) = Scope::parse(path)? {
            return Self::of_scope(scope);
        }
        let path = relative(path)?;
        let mut cgroup = Self { folders: Vec::new(), scope: None };
        let made = Hierarchy::all()?.into_iter().try_for_each(|hierarchy| cgroup.add(hierarchy, &path));
        let limited =
            made.and_then(|()| resources.map_or(Ok(()), |resources| limits::apply(&cgroup, resources)));
        match limited {
            Ok(()) => Ok(cgroup),
            Err(error) => {
                // The first failure is the one to tell.
                let _ = cgroup.delete();
                Err(error)
            }
        }
    }

    fn of_scope(scope: Scope) -> Result<Self, Error> {
        let hierarchy = systemd_s_hierarchy()?;
        let path = hierarchy.mount.join(scope.folder());
        Ok(Self { folders: vec![Folder { hierarchy, path }], scope: Some(scope) })
    }

    /// Has systemd make the scope around the container's first process, and sets the limits.
    pub(crate) fn take_in(
        &self,
        process: i32,
        resources: Option<&LinuxResources>,
        annotations: Option<&HashMap<String, String>>,
    ) -> Result<(), Error> {
        let Some(scope) = &self.scope else { return Ok(()) };
        scope.start(process, resources, annotations)?;
        for folder in &self.folders {
            folder.hierarchy.delegate_to(&folder.path);
        }
        resources.map_or(Ok(()), |resources| limits::apply(self, resources))
    }

    pub(crate) fn is_scope(&self) -> bool {
        self.scope.is_some()
    }

    /// Changes the limits of what is inside; devices stay as they are.
    pub fn limit(&self, resources: &LinuxResources) -> Result<(), Error> {
        if let Some(scope) = &self.scope {
            scope.limit(resources)?;
        }
        limits::apply_values(self, resources)
    }

    /// The cgroups that exist under a path, for removing what somebody left.
    pub fn find(path: &Path) -> Result<Self, Error> {
        let scope = Scope::parse(path)?;
        let path = scope.as_ref().map_or_else(|| relative(path), |scope| Ok(scope.folder()))?;
        let all = Hierarchy::all()?.into_iter();
        let folders = all.map(|hierarchy| Folder { path: hierarchy.mount.join(&path), hierarchy });
        Ok(Self { folders: folders.filter(|folder| folder.path.is_dir()).collect(), scope })
    }

    fn add(&mut self, hierarchy: Hierarchy, path: &Path) -> Result<(), Error> {
        let full = hierarchy.mount.join(path);
        let doing = format!("create the cgroup {}", full.display());
        if let Some(parent) = path.parent() {
            hierarchy.prepare_ancestors(parent)?;
        }
        match fs::create_dir(&full) {
            // Left by somebody who was killed. With a process in it, it can't be removed, and that is the error.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_dir(&full).and_then(|()| fs::create_dir(&full)).doing(&doing)?;
            }
            other => other.doing(&doing)?,
        }
        hierarchy.inherit_cpuset(&full)?;
        self.folders.push(Folder { hierarchy, path: full });
        Ok(())
    }

    /// For the first process: into a scope it is brought by systemd.
    pub(crate) fn first_entrance(&self) -> Result<Entrance, Error> {
        match self.scope {
            Some(_) => Ok(Entrance::default()),
            None => self.entrance(),
        }
    }

    pub(crate) fn entrance(&self) -> Result<Entrance, Error> {
        let mut entrance = Entrance::default();
        for folder in &self.folders {
            let doing = format!("open the cgroup {}", folder.path.display());
            if folder.hierarchy.unified {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                entrance.unified = Some(open(&folder.path, flags, Mode::empty()).doing(&doing)?);
            } else {
                let tasks = File::options().write(true).open(folder.path.join("tasks")).doing(&doing)?;
                entrance.tasks.push(tasks);
            }
        }
        Ok(entrance)
    }

    /// The directory on v2, when there is no other hierarchy.
    pub(crate) fn unified_only(&self) -> Option<&Path> {
        match self.folders.as_slice() {
            [only] if only.hierarchy.unified => Some(&only.path),
            _ => None,
        }
    }

    /// The directories on v1, each with the name of its mount point.
    pub(crate) fn v1_folders(&self) -> impl Iterator<Item = (&str, &Path)> {
        let v1 = self.folders.iter().filter(|folder| !folder.hierarchy.unified);
        v1.map(|folder| (folder.hierarchy.name(), folder.path.as_path()))
    }

    /// Whether the kernel killed something in it for want of memory.
    pub fn oom_killed(&self) -> bool {
        let count =
            |text: &str| text.lines().find_map(|l| l.strip_prefix("oom_kill ")?.trim().parse::<u64>().ok());
        self.folders.iter().any(|folder| {
            let file = match folder.hierarchy.unified {
                true => "memory.events",
                false if folder.hierarchy.has("memory") => "memory.oom_control",
                false => return false,
            };
            let text = fs::read_to_string(folder.path.join(file)).unwrap_or_default();
            count(&text).is_some_and(|killed| killed > 0)
        })
    }

    /// Kills whatever is left inside and waits until it is gone, at most so long. A container with a process namespace
    /// of its own has nothing left when its first process has ended; this is for those that share one.
    pub fn kill(&self, patience: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + patience;
        loop {
            let left = self.processes()?;
            if left.is_empty() || Instant::now() >= deadline {
                return Ok(());
            }
            for folder in self.folders.iter().filter(|folder| folder.hierarchy.unified) {
                // Linux 5.14: in one step, whatever forks meanwhile. Without it, round by round.
                let _ = fs::write(folder.path.join("cgroup.kill"), "1");
            }
            for process in &left {
                let _ = sys::send_signal(process, 9);
            }
            for process in &left {
                let left = deadline.saturating_duration_since(Instant::now());
                let timeout = Timespec::try_from(left).ok();
                let _ = poll(&mut [PollFd::new(process, PollFlags::IN)], timeout.as_ref());
            }
        }
    }

    /// The processes inside, also in groups that the container made for itself.
    pub fn process_ids(&self) -> Result<Vec<i32>, Error> {
        let Some(folder) = self.folders.first() else { return Ok(Vec::new()) };
        let doing = "list the container's processes";
        let (mut pids, mut waiting) = (Vec::new(), vec![folder.path.clone()]);
        while let Some(group) = waiting.pop() {
            match fs::read_to_string(group.join("cgroup.procs")) {
                Ok(list) => pids.extend(list.lines().filter_map(|line| line.parse::<i32>().ok())),
                // The container takes its own groups away as it likes, and systemd a scope in which nobody is left.
                Err(error) if group != folder.path || is_gone(&error) => continue,
                Err(error) => return Err(error).doing(doing),
            }
            let entries = fs::read_dir(&group).into_iter().flatten().flatten();
            waiting
                .extend(entries.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path()));
        }
        Ok(pids)
    }

    /// Descriptors of the processes inside: they can't come to mean others.
    fn processes(&self) -> Result<Vec<OwnedFd>, Error> {
        let Some(folder) = self.folders.first() else { return Ok(Vec::new()) };
        let list = match fs::read_to_string(folder.path.join("cgroup.procs")) {
            Err(error) if is_gone(&error) => String::new(),
            other => other.doing("list the container's processes")?,
        };
        let pids = list.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?));
        Ok(pids.filter_map(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()).collect())
    }

    /// The same with the groups that the container made below its own.
    pub fn delete_all(&self) -> Result<(), Error> {
        for folder in &self.folders {
            remove_below(&folder.path, 0);
        }
        self.delete()
    }

    /// Removes the directories, all that can be, and reports the first that could not.
    pub fn delete(&self) -> Result<(), Error> {
        let mut result = self.scope.as_ref().map_or(Ok(()), Scope::stop);
        for folder in &self.folders {
            match fs::remove_dir(&folder.path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound && result.is_ok() => {
                    result = Err(e).doing(&format!("remove the cgroup {}", folder.path.display()));
                }
                _ => {}
            }
        }
        result
    }
}

/// A group that was removed: before its file was opened, or after that and before it was read.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}

/// Whether systemd can keep cgroups on this host.
pub fn check_systemd() -> Result<(), Error> {
    systemd_s_hierarchy().map(drop)
}

/// On v1 systemd knows but a few of the hierarchies, and newer ones of it none.
fn systemd_s_hierarchy() -> Result<Hierarchy, Error> {
    if !systemd::runs() {
        return Err(systemd::Error::Absent.into());
    }
    let mut all = Hierarchy::all()?;
    match (all.pop(), all.is_empty()) {
        (Some(hierarchy), true) if hierarchy.unified => Ok(hierarchy),
        _ => Err(Error::Unsupported("systemd as the driver of cgroups on cgroup v1".into())),
    }
}

/// More levels than any container needs; a deeper tree stays, and is the error of removing its root.
const MAX_DEPTH: usize = 64;

fn remove_below(folder: &Path, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_below(&entry.path(), depth + 1);
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// A cgroup's path below its hierarchy, refused unless it stays there.
fn relative(path: &Path) -> Result<PathBuf, Error> {
    let invalid = || Error::Invalid { field: "linux.cgroupsPath", why: format!("is {}", path.display()) };
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return Err(invalid()),
        }
    }
    if clean.as_os_str().is_empty() || clean.to_string_lossy().contains(':') {
        return Err(invalid());
    }
    Ok(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_in_its_hierarchy() {
        assert_eq!(relative(Path::new("/ketch/abc")).unwrap(), Path::new("ketch/abc"));
        for path in ["/", "", "../x", "/a/../../b", "system.slice:ketch:abc"] {
            assert!(relative(Path::new(path)).is_err(), "{path}");
        }
    }

    #[test]
    fn what_fails_half_way_leaves_no_directory() {
        let name = format!("ketch-test-{}", std::process::id());
        let text = r#"{"cpu":{"cpus":"4000-4001"}}"#;
        let resources: LinuxResources = serde_json::from_str(text).unwrap();
        let error = Cgroup::create(Path::new(&name), Some(&resources)).unwrap_err();
        assert!(error.to_string().contains("4000-4001"), "{error}");
        assert!(Cgroup::find(Path::new(&name)).unwrap().folders.is_empty());
    }
}
