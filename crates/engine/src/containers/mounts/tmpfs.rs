//! Memory as a file system: `--tmpfs` and `--mount type=tmpfs`.

use super::request::TmpfsOptions;
use super::{Kind, Making, Point, clean};
use crate::Error;

/// What the file system itself takes, with a value.
const VALUES: &[&str] = &["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"];
/// What any mount takes.
const FLAGS: &[&str] = &[
    "ro",
    "rw",
    "nosuid",
    "suid",
    "nodev",
    "dev",
    "noexec",
    "exec",
    "sync",
    "async",
    "dirsync",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "norelatime",
    "strictatime",
];

/// `/run:size=64m,exec`.
pub(super) fn point(destination: &str, options: &str) -> Result<Point, Error> {
    if !destination.starts_with('/') {
        return Err(Error::Invalid(format!(
            "invalid mount path: '{destination}' mount path must be absolute"
        )));
    }
    let words: Vec<String> = options.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    Ok(Point {
        kind: Kind::Tmpfs,
        name: String::new(),
        source: String::new(),
        destination: clean(destination),
        mode: String::new(),
        writable: true,
        propagation: String::new(),
        recursive: false,
        shallow: false,
        id_map: false,
        ensure_source: false,
        copy_up: false,
        listed: false,
        options: words,
        subpath: String::new(),
        make: Making::default(),
        layers: Vec::new(),
    })
}

/// Refused when it is to be mounted, as dockerd does.
pub(super) fn check(word: &str) -> Result<(), Error> {
    let known = match word.split_once('=') {
        Some((key, value)) => VALUES.contains(&key) && !value.is_empty(),
        None => FLAGS.contains(&word),
    };
    let name = word.split('=').next().unwrap_or_default();
    if known { Ok(()) } else { Err(Error::Invalid(format!("invalid tmpfs option {name:?}"))) }
}

/// The options of one of `HostConfig.Mounts`.
pub(super) fn requested(options: Option<&TmpfsOptions>) -> Result<Vec<String>, Error> {
    let Some(options) = options else { return Ok(Vec::new()) };
    let invalid = |why: &str| Error::Invalid(format!("invalid mount config for type \"tmpfs\": {why}"));
    let mut words = Vec::new();
    if options.size_bytes < 0 {
        return Err(invalid("invalid tmpfs size"));
    }
    if options.size_bytes > 0 {
        words.push(format!("size={}", options.size_bytes));
    }
    if options.mode != 0 {
        words.push(format!("mode={:o}", options.mode));
    }
    for option in &options.options {
        let word = option.join("=");
        if option.is_empty() || option.len() > 2 {
            return Err(invalid(&format!("invalid option array length: {}", option.len())));
        }
        words.push(word);
    }
    Ok(words)
}
