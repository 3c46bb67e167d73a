//! docker's rules for paths: what a slash or a dot at the end means, and what a copy is called.

use flags::go::clean;

use super::Plan;
use crate::error::Error;

/// What is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) path: String,
    pub(super) is_directory: bool,
    /// What it is to be called instead, because it was named by a link.
    pub(super) rebased: Option<String>,
}

/// Where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) path: String,
    /// Nothing if there is nothing.
    pub(super) is_directory: Option<bool>,
}

pub(super) fn join(folder: &str, path: &str) -> String {
    clean(&format!("{folder}/{path}"))
}

/// Go's `filepath.Base`.
pub(super) fn base(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" if path.is_empty() => ".",
        "" => "/",
        path => path.rsplit('/').next().unwrap_or(path),
    }
}

fn means_here(path: &str) -> bool {
    base(path) == "."
}

fn is_asserted(path: &str) -> bool {
    path.ends_with('/') || means_here(path)
}

/// The folder and the name in it; `a/.` is `.` in `a`.
pub(super) fn split(path: &str) -> (String, String) {
    let mut whole = clean(path);
    if means_here(path) {
        whole.push_str("/.");
    }
    let folder = match whole.rfind('/') {
        Some(at) => clean(&whole[..=at]),
        None => ".".to_owned(),
    };
    (folder, base(&whole).to_owned())
}

/// A clean path with the end that it had.
fn with_end(clean: String, given: &str) -> String {
    let here = means_here(given) && !means_here(&clean);
    match () {
        () if here && clean.ends_with('/') => clean + ".",
        () if here => clean + "/.",
        () if given.ends_with('/') && !clean.ends_with('/') => clean + "/",
        () => clean,
    }
}

/// A path here, from the root.
pub(super) fn from_here(path: &str) -> Result<String, Error> {
    let whole = match path.starts_with('/') {
        true => path.to_owned(),
        false => {
            let here = std::env::current_dir().map_err(|e| Error::Io("find the working directory", e))?;
            format!("{}/{path}", here.to_string_lossy())
        }
    };
    Ok(with_end(clean(&whole), path))
}

/// Where a link leads, with the end that the link had, and what the copy is called if that isn't its name.
pub(super) fn rebased(path: &str, resolved: &str) -> (String, Option<String>) {
    let resolved = with_end(resolved.to_owned(), path);
    let other = base(path) != base(&resolved);
    (resolved, other.then(|| base(path).to_owned()))
}

/// docker's `PrepareArchiveCopy`.
pub(super) fn place(source: &Source, target: &Target) -> Result<Plan, Error> {
    let (folder, name) = split(&target.path);
    let called = source.rebased.clone().unwrap_or_else(|| split(&source.path).1);
    let refused = |text: &str| Err(Error::Usage(text.into()));
    match target.is_directory {
        Some(true) => {
            // The archive says what the engine calls it; a link's own name is wanted.
            let rename = source.rebased.clone().map(|own| (split(&source.path).1, own));
            Ok(Plan { folder: target.path.clone(), rename })
        }
        Some(false) if source.is_directory => refused("cannot copy directory"),
        None if !source.is_directory && is_asserted(&target.path) => refused("no such directory"),
        _ => {
            let now = if source.rebased.is_some() { split(&source.path).1 } else { called };
            Ok(Plan { folder, rename: Some((now, name)) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart_as_go_does() {
        for (path, folder, name) in [
            ("/a/b", "/a", "b"),
            ("/a/b/", "/a", "b"),
            ("/a/b/.", "/a/b", "."),
            ("/", "/", "/"),
            ("a", ".", "a"),
            ("", ".", "."),
            ("/a", "/", "a"),
        ] {
            assert_eq!(split(path), (folder.to_owned(), name.to_owned()), "{path}");
        }
        assert_eq!(rebased("/l/", "/d"), ("/d/".into(), Some("l".into())));
        assert_eq!(rebased("/l/.", "/d"), ("/d/.".into(), None));
        assert_eq!(clean("a/../.."), "..");
    }

    #[test]
    fn a_copy_is_placed_as_docker_places_it() {
        let plan = |path: &str, directory: bool, target: &str, is_directory: Option<bool>| {
            let source = Source { path: path.into(), is_directory: directory, rebased: None };
            let plan = place(&source, &Target { path: target.into(), is_directory });
            plan.map(|plan| (plan.folder, plan.rename)).map_err(|error| error.to_string())
        };
        let named = |folder: &str, from: &str, to: &str| {
            Ok((folder.to_owned(), Some((from.to_owned(), to.to_owned()))))
        };
        assert_eq!(plan("/f", false, "/d", Some(true)), Ok(("/d".into(), None)));
        assert_eq!(plan("/f", false, "/d/g", Some(false)), named("/d", "f", "g"));
        assert_eq!(plan("/f", false, "/d/g", None), named("/d", "f", "g"));
        assert_eq!(plan("/f", false, "/d/g/", None), Err("no such directory".into()));
        assert_eq!(plan("/s", true, "/d/g/", None), named("/d", "s", "g"));
        assert_eq!(plan("/s/.", true, "/d/g", None), named("/d", ".", "g"));
        assert_eq!(plan("/s", true, "/d/g", Some(false)), Err("cannot copy directory".into()));
        assert_eq!(plan("/f", false, "", None), Err("no such directory".into()));
    }
}
