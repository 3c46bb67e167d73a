//! Where an entry goes: a name from the tar, taken apart and resolved beneath the layer's directory.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, XattrFlags};
use rustix::io::Errno;

use super::attributes::OPAQUE;
use crate::{Error, Limits};

const BENEATH: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);
const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::RDONLY).union(OFlags::CLOEXEC);

/// What Linux' file systems take in one piece.
const MAX_NAME: usize = 255;

/// An entry's place: components without `.`, `..`, empty ones and NUL bytes.
pub(crate) struct Place {
    components: Vec<Vec<u8>>,
}

impl Place {
    /// Takes a name from the tar apart, or refuses it.
    pub(crate) fn read(name: &[u8], limits: &Limits) -> Result<Self, Error> {
        let refuse =
            |why| Error::Entry { name: String::from_utf8_lossy(&name[..name.len().min(300)]).into(), why };
        let component = name.split(|byte| *byte == b'/').map(<[u8]>::len).max().unwrap_or_default();
        if name.len() > limits.path || component > MAX_NAME {
            return Err(refuse("has a name that is too long"));
        }
        let parts = name.split(|b| *b == b'/').filter(|part| !matches!(*part, b"" | b"."));
        let components: Vec<_> = parts.map(<[u8]>::to_vec).collect();
        if components.iter().any(|part| part == b"..") {
            return Err(refuse("points out of the layer"));
        }
        if components.iter().any(|part| part.contains(&0)) {
            return Err(refuse("has a NUL byte in its name"));
        }
        if components.len() > limits.depth {
            return Err(refuse("is nested too deeply"));
        }
        Ok(Self { components })
    }

    /// With another first component.
    pub(super) fn renamed(mut self, from: &[u8], to: &[u8]) -> Self {
        match self.components.first_mut() {
            _ if matches!(from, b"." | b"/") => self.components.insert(0, to.to_vec()),
            Some(first) if first == from => *first = to.to_vec(),
            _ => {}
        }
        self
    }

    /// The last component; nothing for the root itself.
    pub(crate) fn name(&self) -> Option<&[u8]> {
        self.components.last().map(Vec::as_slice)
    }

    /// The last component, for calls that take a single name. Never a path.
    pub(super) fn single(&self) -> &OsStr {
        OsStr::from_bytes(self.name().unwrap_or(b"."))
    }

    /// All components but the last.
    pub(crate) fn parents(&self) -> &[Vec<u8>] {
        &self.components[..self.components.len().saturating_sub(1)]
    }

    pub(super) fn path(&self) -> Vec<u8> {
        self.components.join(&b'/')
    }

    /// The path of something beside it.
    pub(super) fn beside(&self, name: &[u8]) -> Vec<u8> {
        self.parents().iter().map(Vec::as_slice).chain([name]).collect::<Vec<_>>().join(&b'/')
    }

    pub(super) fn parent_path(&self) -> Vec<u8> {
        let parents = self.components.len().saturating_sub(1);
        self.components[..parents].join(&b'/')
    }

    pub(super) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.path()).into_owned()
    }

    pub(crate) fn refuse(&self, why: &'static str) -> Error {
        Error::Entry { name: self.shown(), why }
    }

    pub(crate) fn failed(&self, doing: &'static str, source: impl Into<io::Error>) -> Error {
        Error::Unpack { doing, name: self.shown(), source: source.into() }
    }
}

/// What is at a place already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    Directory,
    Whiteout,
    Other,
}

/// The layer's directory, while it is being filled. Nobody else can reach it yet.
pub(super) struct Tree<'a> {
    root: BorrowedFd<'a>,
    /// The parent of the last entry: tars list a directory's children one after the other.
    last: RefCell<Option<(Vec<u8>, OwnedFd)>>,
}

impl<'a> Tree<'a> {
    pub(super) fn new(root: BorrowedFd<'a>) -> Self {
        Self { root, last: RefCell::new(None) }
    }

    pub(super) fn root(&self) -> BorrowedFd<'a> {
        self.root
    }

    /// Opens the directory that an entry goes to, making what is missing on the way.
    pub(super) fn parent(&self, place: &Place) -> Result<OwnedFd, Error> {
        let path = place.parent_path();
        let reopen =
            |fd: &OwnedFd| rustix::io::fcntl_dupfd_cloexec(fd, 0).map_err(|e| place.failed("open", e));
        if let Some((last, fd)) = &*self.last.borrow()
            && *last == path
        {
            return reopen(fd);
        }
        let folder = match self.open_path(&path)? {
            Some(folder) => folder,
            None => self.make_path(place)?,
        };
        let kept = reopen(&folder)?;
        *self.last.borrow_mut() = Some((path, kept));
        Ok(folder)
    }

    /// Opens the directory that an entry is in, which must exist.
    pub(super) fn existing_parent(&self, place: &Place) -> Result<OwnedFd, Error> {
        let folder = self.open_path(&place.parent_path())?;
        folder.ok_or_else(|| place.refuse("is the target of a link and isn't in this layer"))
    }

    /// Opens a directory by its path in the layer; nothing if there is none.
    pub(super) fn open_path(&self, path: &[u8]) -> Result<Option<OwnedFd>, Error> {
        let path = if path.is_empty() { b"." } else { path };
        match rustix::fs::openat2(self.root, path, DIRECTORY, Mode::empty(), BENEATH) {
            Ok(folder) => Ok(Some(folder)),
            Err(e) if absent(e) => Ok(None),
            Err(e) => Err(Error::Unpack {
                doing: "open",
                name: String::from_utf8_lossy(path).into(),
                source: e.into(),
            }),
        }
    }

    fn make_path(&self, place: &Place) -> Result<OwnedFd, Error> {
        let parents = place.components.len().saturating_sub(1);
        let mut made = Vec::new();
        let mut folder = self.open_path(b"")?.ok_or_else(|| place.failed("open", Errno::NOENT))?;
        for component in &place.components[..parents] {
            let name = OsStr::from_bytes(component);
            made.extend_from_slice(component);
            folder = match self.open_path(&made)? {
                Some(next) => next,
                None => {
                    // What is there and is no directory, nor a link to one, gives way: the later entry wins.
                    let here = Place { components: vec![component.clone()] };
                    self.clear(&folder, &here)?;
                    rustix::fs::mkdirat(&folder, name, Mode::from_raw_mode(0o755))
                        .map_err(|e| place.failed("create a folder for", e))?;
                    self.open_directory(&folder, &here)?
                }
            };
            made.push(b'/');
        }
        Ok(folder)
    }

    pub(super) fn find(&self, parent: &OwnedFd, place: &Place) -> Result<Found, Error> {
        let stat = match rustix::fs::statat(parent, place.single(), AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(Found::Nothing),
            other => other.map_err(|e| place.failed("look at", e))?,
        };
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Found::Directory,
            FileType::CharacterDevice if stat.st_rdev == 0 => Found::Whiteout,
            _ => Found::Other,
        })
    }

    /// Removes what is at an entry's place.
    pub(super) fn clear(&self, parent: &OwnedFd, place: &Place) -> Result<(), Error> {
        match self.find(parent, place)? {
            Found::Nothing => return Ok(()),
            Found::Directory => remove_directory(parent, place)?,
            Found::Whiteout | Found::Other => rustix::fs::unlinkat(parent, place.single(), AtFlags::empty())
                .map_err(|e| place.failed("replace", e))?,
        }
        // The open directory may just have been removed, or be reached through a link that is no more.
        *self.last.borrow_mut() = None;
        Ok(())
    }

    pub(super) fn make_directory(&self, parent: &OwnedFd, place: &Place) -> Result<(), Error> {
        rustix::fs::mkdirat(parent, place.single(), Mode::from_raw_mode(0o755))
            .map_err(|e| place.failed("create", e))
    }

    pub(super) fn open_directory(&self, parent: &OwnedFd, place: &Place) -> Result<OwnedFd, Error> {
        rustix::fs::openat(parent, place.single(), DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
            .map_err(|e| place.failed("open", e))
    }

    /// `.wh..wh..opq`: nothing of the lower layers is seen in the directory that it is in.
    pub(super) fn mark_opaque(&self, place: &Place) -> Result<(), Error> {
        let parent = self.parent(place)?;
        rustix::fs::fsetxattr(&parent, OPAQUE, b"y", XattrFlags::empty())
            .map_err(|e| place.failed("mark as opaque the folder of", e))
    }

    /// Removes what is beside a place, if it is there.
    pub(super) fn take_away(&self, place: &Place, hidden: &[u8]) -> Result<(), Error> {
        match self.open_path(&place.parent_path())? {
            Some(parent) => self.clear(&parent, &Place { components: vec![hidden.to_vec()] }),
            None => Ok(()),
        }
    }

    /// Removes all that is beside a place.
    pub(super) fn empty(&self, place: &Place) -> Result<(), Error> {
        let Some(parent) = self.open_path(&place.parent_path())? else { return Ok(()) };
        let failed = |e: Errno| place.failed("list the folder of", e);
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&parent).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                names.push(entry.file_name().to_bytes().to_vec());
            }
        }
        names.into_iter().try_for_each(|name| self.clear(&parent, &Place { components: vec![name] }))
    }

    /// `.wh.NAME`: the lower layers' NAME is gone.
    pub(super) fn whiteout(&self, place: &Place, hidden: &[u8]) -> Result<(), Error> {
        let parent = self.parent(place)?;
        let here = Place { components: vec![hidden.to_vec()] };
        match self.find(&parent, &here)? {
            Found::Nothing => {}
            // A whiteout is about the layers below. What this layer brings itself stays, and hides theirs.
            Found::Directory => {
                let folder = self.open_directory(&parent, &here)?;
                return rustix::fs::fsetxattr(&folder, OPAQUE, b"y", XattrFlags::empty())
                    .map_err(|e| place.failed("mark as opaque", e));
            }
            Found::Whiteout | Found::Other => return Ok(()),
        }
        rustix::fs::mknodat(&parent, here.single(), FileType::CharacterDevice, Mode::empty(), 0)
            .map_err(|e| place.failed("make the whiteout", e))
    }
}

/// An error of the kernel's that means "there is no such thing": links that go round in a circle lead nowhere.
fn absent(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
}

fn remove_directory(parent: &OwnedFd, place: &Place) -> Result<(), Error> {
    use std::os::fd::AsRawFd;
    // The standard library's removal goes by descriptors below its first step, and that one is a single name here.
    let path = format!("/proc/self/fd/{}", parent.as_fd().as_raw_fd());
    std::fs::remove_dir_all(Path::new(&path).join(place.single())).map_err(|e| place.failed("replace", e))
}
