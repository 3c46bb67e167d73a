//! `/dev`: the nodes every container has, those that the specification adds, and the terminal.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, chmodat, chownat, fstat, fstatfs, makedev, mknodat,
    openat, symlinkat,
};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};

use crate::Error;
use crate::error::Doing;
use crate::root::{Root, attach};

const DEVPTS_MAGIC: u64 = 0x1cd1;
const NODES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
const LINKS: [(&str, &str); 6] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
    ("/proc/kcore", "core"),
];

/// Where nodes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    New,
    /// In a user namespace no device can be made; the host's own are bound, if they are what is asked for.
    Host,
}

/// Makes the nodes and links. All of it by the descriptor of `/dev` beneath the root, wherever an image's links lead.
pub(crate) fn make(root: &Root<'_>, devices: &[LinuxDevice], source: Source) -> Result<(), Error> {
    let dev = root.ensure_directory(Path::new("/dev"))?;
    for (name, major, minor) in NODES {
        let node = Node {
            name,
            kind: FileType::CharacterDevice,
            device: makedev(major, minor),
            mode: 0o666,
            owner: (0, 0),
        };
        node.provide(dev.as_fd(), source, &Path::new("/dev").join(name))?;
    }
    for (target, name) in LINKS {
        match symlinkat(target, &dev, name) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(e).doing(&format!("link /dev/{name}")),
        }
    }
    devices.iter().try_for_each(|device| make_requested(root, device, source))
}

fn make_requested(root: &Root<'_>, device: &LinuxDevice, source: Source) -> Result<(), Error> {
    let path = device.path();
    let invalid =
        |why: &str| Error::Invalid { field: "linux.devices", why: format!("{why}: {}", path.display()) };
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str())) else {
        return Err(invalid("have no file name"));
    };
    let number = |n: i64| u32::try_from(n).map_err(|_| invalid("have a number out of range"));
    let kind = match device.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => FileType::CharacterDevice,
        LinuxDeviceType::B => FileType::BlockDevice,
        LinuxDeviceType::P => FileType::Fifo,
        LinuxDeviceType::A => return Err(invalid("can't be of type `a`")),
    };
    let owner = (device.uid().unwrap_or(0), device.gid().unwrap_or(0));
    if owner.0 == u32::MAX || owner.1 == u32::MAX {
        return Err(invalid("have an owner that nobody can be"));
    }
    let folder = root.ensure_directory(parent)?;
    Node {
        name,
        kind,
        device: makedev(number(device.major())?, number(device.minor())?),
        mode: device.file_mode().unwrap_or(0o666) & 0o7777,
        owner,
    }
    .provide(folder.as_fd(), source, path)
}

struct Node<'a> {
    name: &'a str,
    kind: FileType,
    device: u64,
    mode: u32,
    owner: (u32, u32),
}

impl Node<'_> {
    fn provide(&self, folder: BorrowedFd<'_>, source: Source, path: &Path) -> Result<(), Error> {
        match source {
            Source::New => self.make(folder),
            Source::Host => self.bind(folder, path),
        }
    }

    fn bind(&self, folder: BorrowedFd<'_>, path: &Path) -> Result<(), Error> {
        let doing = format!("bind the device {}", path.display());
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let host = open_tree(CWD, path, flags).doing(&doing)?;
        let stat = fstat(&host).doing(&doing)?;
        if FileType::from_raw_mode(stat.st_mode) != self.kind || stat.st_rdev != self.device {
            let why = format!("have {}, which is another device on this host", path.display());
            return Err(Error::Invalid { field: "linux.devices", why });
        }
        let create = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(folder, self.name, create, Mode::from_raw_mode(0o666)) {
            Ok(_) | Err(Errno::EXIST) => {}
            Err(e) => return Err(e).doing(&doing),
        }
        let place =
            openat(folder, self.name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
        let place = place.doing(&doing)?;
        if FileType::from_raw_mode(fstat(&place).doing(&doing)?.st_mode) == FileType::Symlink {
            return Err(Error::Invalid {
                field: "linux.devices",
                why: format!("have a link at {}", path.display()),
            });
        }
        attach(host.as_fd(), place.as_fd(), path)
    }

    /// The umask is zero while init sets up, so that the mode is what was asked for.
    fn make(&self, folder: BorrowedFd<'_>) -> Result<(), Error> {
        let doing = format!("create the device {}", self.name);
        match mknodat(folder, self.name, self.kind, Mode::from_raw_mode(self.mode), self.device) {
            // A /dev that is bound from elsewhere, or the specification lists what every container has.
            Err(Errno::EXIST) => return Ok(()),
            other => other.doing(&doing)?,
        }
        if self.owner == (0, 0) {
            return Ok(());
        }
        let (uid, gid) = (Uid::from_raw(self.owner.0), Gid::from_raw(self.owner.1));
        chownat(folder, self.name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).doing(&doing)?;
        chmodat(folder, self.name, Mode::from_raw_mode(self.mode), AtFlags::empty()).doing(&doing)
    }
}

/// A terminal of the container's own devpts.
pub(crate) struct Terminal {
    pub(crate) master: OwnedFd,
    pub(crate) slave: OwnedFd,
}

impl Terminal {
    /// Opens one; a name in `/dev/pts` is never looked up.
    pub(crate) fn open(root: &Root<'_>, owner: u32) -> Result<Self, Error> {
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let master = root
            .open_strictly(Path::new("/dev/pts/ptmx"), flags)
            .doing("open /dev/pts/ptmx in the container")?;
        if !fstatfs(&master).is_ok_and(|fs| fs.f_type as u64 == DEVPTS_MAGIC) {
            return Err(Error::Invalid {
                field: "mounts",
                why: "have no devpts at /dev/pts for the terminal".into(),
            });
        }
        unlockpt(&master).doing("unlock the terminal")?;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let slave = ioctl_tiocgptpeer(&master, flags).doing("open the terminal's slave")?;
        rustix::fs::fchown(&slave, Some(Uid::from_raw(owner)), None)
            .doing("give the terminal to the container's user")?;
        Ok(Self { master, slave })
    }

    /// Puts its slave at `/dev/console`.
    pub(crate) fn at_console(self, root: &Root<'_>) -> Result<Self, Error> {
        let flags =
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
        let console = open_tree(&self.slave, "", flags).doing("copy the terminal's mount")?;
        let target = root.ensure_file(Path::new("/dev/console"))?;
        attach(console.as_fd(), target.as_fd(), Path::new("/dev/console"))?;
        Ok(self)
    }
}
