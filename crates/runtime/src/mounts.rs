//! The specification's mounts. Each is made detached and attached to a verified descriptor; no path is looked up twice. What is made
//! here, where nothing of the container runs yet, has its options changed when it is attached: older kernels can't do it before.

mod copy_up;
mod options;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Linux, Mount};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, mkdirat, open, openat, symlinkat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, open_tree,
};
use sys::{MountAttributes, Propagation};

use crate::cgroups::Cgroup;
use crate::error::Doing;
use crate::root::{Root, attach, is_procfs};
use crate::{Error, identities};
use options::Options;

/// A mount that is ready to be made.
pub(crate) struct Planned {
    destination: PathBuf,
    options: Options,
    source: Source,
}

enum Source {
    /// A copy of a host's mount, with its attributes, attached nowhere.
    Bind(OwnedFd),
    /// Its type, and what it is called in the table of mounts.
    New(String, Option<String>),
    Cgroups,
}

/// The file systems of the kernel's that a specification may ask for by name.
const KNOWN: [&str; 6] = ["proc", "sysfs", "tmpfs", "devpts", "mqueue", "ramfs"];
/// Where something may be mounted inside of `/proc`: files that lxcfs and the like replace.
const WITHIN_PROC: [&str; 10] = [
    "cpuinfo",
    "diskstats",
    "meminfo",
    "stat",
    "swaps",
    "uptime",
    "loadavg",
    "slabinfo",
    "net/dev",
    "sys/kernel/ns_last_pid",
];

/// Reads the mounts and copies what they bind: in the caller, whose paths they are, and who may do it also where the
/// container has users of its own.
pub(crate) fn plan(mounts: &[Mount], linux: &Linux) -> Result<Vec<Planned>, Error> {
    mounts.iter().map(|mount| plan_one(mount, linux)).collect()
}

fn plan_one(mount: &Mount, linux: &Linux) -> Result<Planned, Error> {
    let destination = mount.destination().clone();
    let options = Options::parse(mount.options().as_deref().unwrap_or_default(), &destination)?;
    let kind = mount.typ().as_deref().unwrap_or("none");
    let source = if options.bind || kind == "bind" {
        options.refuse_data(&destination)?;
        let source = mount.source().as_ref().ok_or_else(|| Error::Invalid {
            field: "mounts",
            why: format!("have no source for {}", destination.display()),
        })?;
        let tree = clone_tree(source, options.recursive)?;
        options.apply(tree.as_fd(), &destination)?;
        map_ids(tree.as_fd(), mount, linux, &options)?;
        Source::Bind(tree)
    } else if kind == "cgroup" || kind == "cgroup2" {
        options.refuse_data(&destination)?;
        Source::Cgroups
    } else if KNOWN.contains(&kind) {
        options.refuse_id_map(mount)?;
        let name = mount.source().as_ref().map(|name| name.display().to_string());
        Source::New(kind.to_owned(), name)
    } else {
        return Err(Error::Unsupported(format!("mounts: {}: type {kind}", destination.display())));
    };
    Ok(Planned { destination, options, source })
}

fn clone_tree(source: &Path, recursive: bool) -> Result<OwnedFd, Error> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let copied = open_tree(CWD, source, flags);
    // A mount that is attached nowhere can't be copied by every kernel. Given as somebody's descriptor it is taken itself.
    let copied = match copied {
        Err(Errno::INVAL) if source.starts_with("/proc") => {
            open(source, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        }
        other => other,
    };
    copied.doing(&format!("open {} to bind it", source.display()))
}

/// By the mount's own table, or by the container's.
fn map_ids(tree: BorrowedFd<'_>, mount: &Mount, linux: &Linux, options: &Options) -> Result<(), Error> {
    let own = (mount.uid_mappings().as_deref(), mount.gid_mappings().as_deref());
    let (users, groups, recursive) = match (own, options.id_map) {
        ((None, None), None) => return Ok(()),
        ((None, None), Some(recursive)) => {
            let containers = (linux.uid_mappings().as_deref(), linux.gid_mappings().as_deref());
            (containers.0.unwrap_or_default(), containers.1.unwrap_or_default(), recursive)
        }
        ((users, groups), recursive) => {
            (users.unwrap_or_default(), groups.unwrap_or_default(), recursive.unwrap_or(false))
        }
    };
    let namespace = identities::namespace(users, groups)?;
    sys::map_ids(tree, namespace.as_fd(), recursive)
        .doing(&format!("map the owners of the mount {}", mount.destination().display()))
}

impl Planned {
    pub(crate) fn mount(&self, root: &Root<'_>, cgroup: &Cgroup) -> Result<(), Error> {
        match &self.source {
            Source::Bind(tree) => self.bind(root, tree.as_fd()),
            Source::New(kind, name) => self.new_file_system(root, kind, name.as_deref()),
            Source::Cgroups => self.cgroups(root, cgroup),
        }
    }

    fn bind(&self, root: &Root<'_>, tree: BorrowedFd<'_>) -> Result<(), Error> {
        let is_folder = FileType::from_raw_mode(fstat(tree).doing("look at what to bind")?.st_mode)
            == FileType::Directory;
        let target = match is_folder {
            true => root.ensure_directory(&self.destination),
            false => root.ensure_file(&self.destination),
        };
        let target = target.map_err(|error| self.mismatch(error, is_folder, Errno::NOTDIR))?;
        self.refuse_within_proc(target.as_fd())?;
        let attached = attach(tree, target.as_fd(), &self.destination);
        attached.map_err(|error| self.mismatch(error, !is_folder, Errno::INVAL))
    }

    /// What the kernel says of a folder on a file (`NOTDIR`) or a file on a folder (`INVAL`), said to people: mostly the host's path
    /// isn't the one that was meant, and what was missing there was made as a folder.
    fn mismatch(&self, error: Error, possible: bool, errno: Errno) -> Error {
        match error {
            Error::Setup { doing, source }
                if possible && source.raw_os_error() == Some(errno.raw_os_error()) =>
            {
                let (what, there) = match errno {
                    Errno::NOTDIR => ("a folder", "a file"),
                    _ => ("a file", "a folder"),
                };
                let why = format!(
                    "{what} is to be mounted where {there} is: is the host's path the one that was meant?"
                );
                Error::Setup { doing, source: std::io::Error::other(why) }
            }
            other => other,
        }
    }

    fn new_file_system(&self, root: &Root<'_>, kind: &str, name: Option<&str>) -> Result<(), Error> {
        let doing = |what: &str| format!("{what} the {kind} for {}", self.destination.display());
        let fs = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).doing(&doing("open"))?;
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            fsconfig_set_string(&fs, "source", name).doing(&doing("name"))?;
        }
        for option in &self.options.data {
            match option.split_once('=') {
                Some((key, value)) => fsconfig_set_string(&fs, key, value),
                None => fsconfig_set_flag(&fs, option.as_str()),
            }
            .doing(&doing(&format!("set the option {option:?} of")))?;
        }
        fsconfig_create(&fs).doing(&doing("create"))?;
        // What is copied into it has to be written first.
        let attributes = self.options.set & if self.options.copy_up { !sys::READ_ONLY } else { u64::MAX };
        let attributes = MountAttrFlags::from_bits_retain(attributes as u32);
        let mount = fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes).doing(&doing("mount"))?;
        let target = self.kernel_target(root, kind)?;
        self.refuse_within_proc(target.as_fd())?;
        if self.options.copy_up {
            let from = root.open(&self.destination, OFlags::RDONLY | OFlags::DIRECTORY);
            let from = from.doing(&doing("open what goes into"))?;
            copy_up::copy(from.as_fd(), mount.as_fd()).doing(&doing("fill"))?;
        }
        attach(mount.as_fd(), target.as_fd(), &self.destination)?;
        match self.options.copy_up || self.options.say_more_than_new() {
            true => self.options.apply(mount.as_fd(), &self.destination),
            false => Ok(()),
        }
    }

    /// An image in which `/proc` or `/sys` is a symlink would have the kernel's files elsewhere, and our masks on nothing.
    fn kernel_target(&self, root: &Root<'_>, kind: &str) -> Result<OwnedFd, Error> {
        let target = root.ensure_directory(&self.destination)?;
        if !matches!(kind, "proc" | "sysfs") {
            return Ok(target);
        }
        root.open_strictly(&self.destination, OFlags::PATH | OFlags::DIRECTORY)
            .doing(&format!("open {} in the container without following links", self.destination.display()))
    }

    fn refuse_within_proc(&self, target: BorrowedFd<'_>) -> Result<(), Error> {
        let allowed = self
            .destination
            .strip_prefix("/proc")
            .is_ok_and(|p| WITHIN_PROC.iter().any(|a| p == Path::new(a)));
        if is_procfs(target) && !allowed {
            let why = format!("would cover {}, a part of procfs", self.destination.display());
            return Err(Error::Invalid { field: "mounts", why });
        }
        Ok(())
    }

    /// The container's own cgroups: on v2 its one directory, on v1 a tmpfs with one directory for each hierarchy.
    fn cgroups(&self, root: &Root<'_>, cgroup: &Cgroup) -> Result<(), Error> {
        let target = root.ensure_directory(&self.destination)?;
        let change = MountAttributes {
            set: self.options.set,
            propagation: Some(Propagation::Private),
            ..MountAttributes::default()
        };
        if let Some(unified) = cgroup.unified_only() {
            let tree = clone_tree(unified, false)?;
            attach(tree.as_fd(), target.as_fd(), &self.destination)?;
            return sys::set_mount_attributes(tree.as_fd(), change)
                .doing("set the options of the cgroup mount");
        }
        let folder = self.hierarchies(cgroup, change)?;
        attach(folder.as_fd(), target.as_fd(), &self.destination)?;
        // The directories below can only be mounted on once their file system is attached.
        for (name, path) in cgroup.v1_folders() {
            let tree = clone_tree(path, false)?;
            let place =
                openat(&folder, name, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                    .doing(&format!("open the mount point of the cgroup {name}"))?;
            attach(tree.as_fd(), place.as_fd(), &self.destination.join(name))?;
            sys::set_mount_attributes(tree.as_fd(), change).doing("set the options of a cgroup mount")?;
        }
        sys::set_mount_attributes(folder.as_fd(), change).doing("set the options of the cgroup mount")
    }

    fn hierarchies(&self, cgroup: &Cgroup, change: MountAttributes) -> Result<OwnedFd, Error> {
        let folder = small_tmpfs(change.set & !sys::READ_ONLY)?;
        for (name, _) in cgroup.v1_folders() {
            mkdirat(&folder, name, Mode::from_raw_mode(0o755)).doing("make the mount point of a cgroup")?;
            // Hierarchies of several controllers (`cpu,cpuacct`) are found under each one's name, too.
            for alias in name.split(',').filter(|alias| *alias != name) {
                match symlinkat(name, &folder, alias) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(e) => return Err(e).doing("link a cgroup"),
                }
            }
        }
        Ok(folder)
    }
}

/// Every word that is not a file system's own.
pub(crate) fn option_names() -> Vec<String> {
    let attributes = options::ATTRIBUTES.iter().map(|(name, ..)| *name);
    let doubled = attributes.chain(options::PROPAGATIONS.iter().map(|(name, _)| *name));
    let doubled = doubled.flat_map(|name| [name.to_owned(), format!("r{name}")]);
    let single = ["bind", "rbind", "tmpcopyup", "idmap", "ridmap"].into_iter().chain(options::PLAIN);
    let mut all: Vec<String> = doubled.chain(single.map(str::to_owned)).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// A detached tmpfs for a few directory entries.
pub(crate) fn small_tmpfs(attributes: u64) -> Result<OwnedFd, Error> {
    let fs = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).doing("open a tmpfs")?;
    fsconfig_set_string(&fs, "mode", "755").doing("set a tmpfs' mode")?;
    fsconfig_set_string(&fs, "size", "64k").doing("set a tmpfs' size")?;
    fsconfig_create(&fs).doing("create a tmpfs")?;
    let attributes = MountAttrFlags::from_bits_retain(attributes as u32);
    fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes).doing("mount a tmpfs")
}
