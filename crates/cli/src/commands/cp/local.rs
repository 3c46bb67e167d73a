//! The end of a copy that is on this host.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use layers::{Extract, Limits, Overwrite, Owner, Written};
use rustix::fs::{CWD, Mode, OFlags};

use super::Plan;
use super::names::{self, Source, Target};
use crate::error::Error;

/// As many links as docker follows.
const MAX_LINKS: usize = 10;

fn failed(doing: &str, path: &str, error: &io::Error) -> Error {
    Error::Usage(format!("{doing} {}: {error}", path.trim_end_matches('/')))
}

/// Whether there can be something at a path.
pub(super) fn check_output(path: &str) -> Result<(), Error> {
    let folder = names::split(&flags::go::clean(path)).0;
    if fs::metadata(&folder).is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
        return Err(Error::Usage(format!("invalid output path: directory \"{folder}\" does not exist")));
    }
    match fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Error::Usage(format!("stat {path}: {e}"))),
        Ok(meta) if meta.file_type().is_char_device() || meta.file_type().is_block_device() => {
            let message = format!("invalid output path: \"{path}\" must be a directory or a regular file");
            Err(Error::Usage(message))
        }
        Ok(_) => Ok(()),
    }
}

/// What is at the end of the links.
pub(super) fn target(path: &str) -> Result<Target, Error> {
    let mut path = path.to_owned();
    for _ in 0..=MAX_LINKS {
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_symlink() => {
                let link = fs::read_link(&path).map_err(|e| failed("readlink", &path, &e))?;
                let link = link.to_string_lossy().into_owned();
                path = match link.starts_with('/') {
                    true => link,
                    false => names::join(&names::split(&path).0, &link),
                };
            }
            Ok(meta) => return Ok(Target { path, is_directory: Some(meta.is_dir()) }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let folder = names::split(&path).0;
                return match fs::metadata(&folder) {
                    Err(e) => Err(failed("stat", &folder, &e)),
                    Ok(meta) if !meta.is_dir() => Err(Error::Usage("not a directory".into())),
                    Ok(_) => Ok(Target { path, is_directory: None }),
                };
            }
            Err(e) => return Err(failed("lstat", &path, &e)),
        }
    }
    Err(Error::Usage(format!("too many symlinks in {path}")))
}

/// What is to be copied, where it really is.
pub(super) fn source(path: &str, follow: bool) -> Result<Source, Error> {
    let (path, rebased) = match follow {
        true => names::rebased(path, &resolved(path)?),
        false => {
            let at = path.rfind('/').map_or(0, |slash| slash + 1);
            let whole = format!("{}/{}", resolved(&path[..at])?.trim_end_matches('/'), &path[at..]);
            let other = path.ends_with('/') && names::base(path) != names::base(&whole);
            (whole, other.then(|| names::base(path).to_owned()))
        }
    };
    let meta: Metadata = fs::symlink_metadata(&path).map_err(|e| failed("lstat", &path, &e))?;
    Ok(Source { is_directory: meta.is_dir(), path, rebased })
}

/// Go's `EvalSymlinks`, whose error names what is missing.
fn resolved(path: &str) -> Result<String, Error> {
    if path.ends_with('/') && fs::metadata(path.trim_end_matches('/')).is_ok_and(|meta| !meta.is_dir()) {
        return Err(Error::Usage("not a directory".into()));
    }
    let found = fs::canonicalize(path);
    found.map(|path| path.to_string_lossy().into_owned()).map_err(|e| {
        let missing = fs::read_link(path).map(|link| names::split(path).0 + "/" + &link.to_string_lossy());
        failed("lstat", &missing.unwrap_or_else(|_| path.to_owned()), &e)
    })
}

/// Extracts what comes from a container. It becomes the caller's.
pub(super) fn extract(tar: impl Read, plan: &Plan) -> Result<(), Error> {
    let opened = File::open(plan.folder()).map_err(|e| failed("open", &plan.folder, &e))?;
    let how = Extract {
        owner: Owner::Caller,
        overwrite: Overwrite::SameKind,
        rename: plan.rename.clone(),
        shown: plan.folder.clone(),
    };
    layers::extract(tar, opened.as_fd(), &how, &Limits::default())
        .map_err(|error| Error::Usage(diag::chain(&error)))
}

/// A tar of what is here, written while it is read.
pub(super) fn pack(source: &Source, plan: &Plan) -> Result<Written, Error> {
    let own = source.rebased.clone().unwrap_or_else(|| names::split(&source.path).1);
    let name = plan.rename.as_ref().map_or(own, |(_, name)| name.clone());
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let path = match source.is_directory {
        true => PathBuf::from(format!("{}/.", source.path)),
        false => Path::new(&source.path).to_owned(),
    };
    let opened = rustix::fs::openat(CWD, path, flags, Mode::empty())
        .map_err(|e| failed("open", &source.path, &e.into()))?;
    let is_directory = source.is_directory;
    Written::by(move |out| write(opened, is_directory, name.as_bytes(), out))
        .map_err(|e| Error::Io("make a pipe", e))
}

fn write(
    opened: OwnedFd,
    is_directory: bool,
    name: &[u8],
    out: &mut dyn io::Write,
) -> Result<(), layers::Error> {
    match is_directory {
        true => layers::pack_tree(opened.as_fd(), name, out, &Limits::default()),
        false => layers::pack_file(opened, name, out),
    }
}
