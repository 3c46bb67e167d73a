//! Where a mount's text is wrong: the engine says what, in Docker's words, and this says where.

use std::ops::Range;

use flags::Matches;

const MODES: &[&str] = &[
    "rw",
    "ro",
    "z",
    "Z",
    "consistent",
    "cached",
    "delegated",
    "idmap",
    "nocopy",
    "private",
    "rprivate",
    "slave",
    "rslave",
    "shared",
    "rshared",
];
/// Words of `--tmpfs`; those with an equals sign have a value.
const MEMORY: &[&str] = &[
    "size=",
    "mode=",
    "uid=",
    "gid=",
    "nr_inodes=",
    "nr_blocks=",
    "mpol=",
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

/// The text once more, with a mark under a part of it; under what is missing at its end, one mark.
pub(super) fn mark(text: &str, at: Range<usize>) -> String {
    let columns = |part: Option<&str>| part.map_or(0, |part| diag::printable(part).chars().count());
    let (before, under) = (columns(text.get(..at.start)), columns(text.get(at)).max(1));
    format!("\n  {}\n  {}{}", diag::printable(text), " ".repeat(before), "^".repeat(under))
}

/// The first `-v` or `--tmpfs` that no engine takes, marked; nothing if the engine was at odds with something else.
pub(crate) fn of_wrong_mount(flags: &Matches) -> Option<String> {
    let volumes = flags.list("volume").into_iter().map(|text| (wrong_volume(&text), text));
    let memory = flags.list("tmpfs").into_iter().map(|text| (wrong_memory(&text), text));
    let mut all = volumes.chain(memory);
    all.find_map(|(at, text)| Some(mark(&text, at?)))
}

/// The parts between separators and where they stand.
fn parts(text: &str, from: usize, separator: char) -> impl Iterator<Item = (&str, Range<usize>)> {
    let mut start = from;
    text.get(from..).unwrap_or_default().split(separator).map(move |part| {
        let at = start..start + part.len();
        start = at.end + separator.len_utf8();
        (part, at)
    })
}

/// `/on/the/host:/in/the/container:ro`.
fn wrong_volume(text: &str) -> Option<Range<usize>> {
    let parts: Vec<(&str, Range<usize>)> = parts(text, 0, ':').collect();
    if let Some((_, at)) = parts.get(3) {
        return Some(at.start..text.len());
    }
    if let Some((_, at)) = parts.iter().find(|(part, _)| part.is_empty()) {
        return Some(at.clone());
    }
    let (source, target, modes) = match &parts[..] {
        [target] => (None, target, None),
        [source, target] => (Some(source), target, None),
        [source, target, modes, ..] => (Some(source), target, Some(modes)),
        [] => return None,
    };
    let is_path = |source: &str| source.starts_with(['/', '.']);
    let named = source.filter(|(source, _)| !is_path(source) && !is_name(source));
    if let Some((_, at)) = named {
        return Some(at.clone());
    }
    if !target.0.starts_with('/') || target.0.trim_matches('/').is_empty() {
        return Some(target.1.clone());
    }
    let (_, at) = modes?;
    let on_host = source.is_some_and(|(source, _)| is_path(source));
    wrong_mode(text.get(..at.end)?, at.start, on_host)
}

fn is_name(source: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    source.len() > 1 && source.as_bytes()[0].is_ascii_alphanumeric() && source.bytes().all(allowed)
}

fn wrong_mode(text: &str, from: usize, on_host: bool) -> Option<Range<usize>> {
    let mut propagation = false;
    for (word, at) in parts(text, from, ',') {
        let is_propagation = ["private", "slave", "shared"].contains(&word.trim_start_matches('r'));
        let fits = match word {
            "nocopy" => !on_host,
            _ if is_propagation => on_host && !std::mem::replace(&mut propagation, true),
            _ => true,
        };
        if !MODES.contains(&word) || !fits {
            return Some(at);
        }
    }
    None
}

/// `/run:size=64m,exec`.
fn wrong_memory(text: &str) -> Option<Range<usize>> {
    let target = text.split(':').next().unwrap_or_default();
    if !target.starts_with('/') || target.trim_matches('/').is_empty() {
        return Some(0..target.len());
    }
    let known = |word: &str| match word.split_once('=') {
        Some((key, value)) => MEMORY.contains(&&*format!("{key}=")) && !value.is_empty(),
        None => MEMORY.contains(&word),
    };
    parts(text, (target.len() + 1).min(text.len()), ',')
        .find(|(word, _)| !word.is_empty() && !known(word))
        .map(|(_, at)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_engine_takes_is_found() {
        let volume = |text: &str| wrong_volume(text).map(|at| text[at].to_owned());
        for (text, part) in [
            ("/a:/b:zz", "zz"),
            ("/a:/b:ro,zz", "zz"),
            ("/tmp:x", "x"),
            ("/tmp:/", "/"),
            ("a b:/x", "a b"),
            ("data:/x:rslave", "rslave"),
            ("/a:/x:nocopy", "nocopy"),
            ("/a:/x:shared,slave", "slave"),
            ("aa:/b:ro:d", "d"),
            ("/a:", ""),
        ] {
            assert_eq!(volume(text).as_deref(), Some(part), "{text}");
        }
        for text in ["/a:/b", "/a:/b:ro,rslave", "data:/x:nocopy,z", "./x:/y", "/anonymous"] {
            assert_eq!(volume(text), None, "{text}");
        }
        let memory = |text: &str| wrong_memory(text).map(|at| text[at].to_owned());
        assert_eq!(memory("/run:size=64m,foo").as_deref(), Some("foo"));
        assert_eq!(memory("run").as_deref(), Some("run"));
        assert_eq!(memory("/run:size=").as_deref(), Some("size="));
        assert_eq!(memory("/run:size=1m,exec"), None);
        assert_eq!(memory("/run"), None);
    }

    #[test]
    fn the_mark_is_under_it() {
        assert_eq!(mark("/a:/b:zz", 6..8), "\n  /a:/b:zz\n        ^^");
        assert_eq!(mark("ab", 2..2), "\n  ab\n    ^");
    }
}
