//! Which files of a directory a build wants: include and exclude patterns as `.dockerignore` has them, and paths that
//! are followed through symbolic links.

use std::collections::{BTreeSet, HashSet};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use build::Error;
use dockerfile::ignore::{Matcher, Parent, Problem};

/// Links that lead to links: more of them is a circle.
const MAX_LINKS: usize = 255;

/// What a filter says of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fits {
    Yes,
    /// Not itself; what is below it may.
    PerhapsBelow,
    NorBelow,
}

/// What a build wants.
#[derive(Debug, Default)]
pub(super) struct Filter {
    include: Option<Matcher>,
    exclude: Option<Matcher>,
}

/// What the patterns made of a directory, for what is in it. The default is the top's.
#[derive(Debug, Clone, Default)]
pub(super) struct Above {
    include: Parent,
    exclude: Parent,
}

impl Filter {
    /// The patterns as they came; `follow` is resolved in `top`.
    pub(super) fn new(
        top: &Path,
        mut include: Vec<String>,
        exclude: &[String],
        follow: &[String],
    ) -> Result<Self, Error> {
        // What is followed adds to what is included; the top itself includes everything.
        match followed(top, follow)? {
            Some(paths) => include.extend(paths),
            None if !follow.is_empty() => include.clear(),
            None => {}
        }
        Ok(Self { include: matcher("include", &include)?, exclude: matcher("exclude", exclude)? })
    }

    pub(super) fn fits(&self, path: &[u8], above: &Above) -> (Fits, Above) {
        let path = String::from_utf8_lossy(path);
        let mut own = Above::default();
        let mut fits = Fits::Yes;
        if let Some(patterns) = &self.include {
            let (taken, parent) = patterns.matches_in(&path, &above.include);
            own.include = parent;
            if !taken {
                fits = if patterns.may_match_below(&path) { Fits::PerhapsBelow } else { Fits::NorBelow };
            }
        }
        if let Some(patterns) = &self.exclude {
            let (taken, parent) = patterns.matches_in(&path, &above.exclude);
            own.exclude = parent;
            if taken && fits != Fits::NorBelow {
                fits = if patterns.may_except_below(&path) { Fits::PerhapsBelow } else { Fits::NorBelow };
            }
        }
        (fits, own)
    }
}

fn matcher(what: &str, patterns: &[String]) -> Result<Option<Matcher>, Error> {
    let wrong = |problem: Problem| Error::Invalid(format!("invalid {what}patterns: {problem}"));
    let matcher = Matcher::new(patterns).map_err(wrong)?;
    Ok((!matcher.is_empty()).then_some(matcher))
}

/// The paths that these lead to, with the links on the way; `None` where one is the top.
fn followed(top: &Path, follow: &[String]) -> Result<Option<BTreeSet<String>>, Error> {
    let mut resolver = Resolver { top, resolved: BTreeSet::new(), seen: HashSet::new() };
    for path in follow {
        resolver.add(path, MAX_LINKS)?;
    }
    Ok((!resolver.resolved.contains("")).then_some(resolver.resolved))
}

struct Resolver<'a> {
    top: &'a Path,
    resolved: BTreeSet<String>,
    seen: HashSet<String>,
}

impl Resolver<'_> {
    fn add(&mut self, path: &str, left: usize) -> Result<(), Error> {
        let Some(left) = left.checked_sub(1) else {
            return Err(Error::Invalid(format!("too many links in path: {path}")));
        };
        let path = cleaned(path);
        if !self.seen.insert(path.clone()) {
            return Ok(());
        }
        let parts: Vec<&str> = path.split('/').collect();
        let mut current = String::new();
        for (at, part) in parts.iter().enumerate() {
            current = if current.is_empty() { (*part).to_owned() } else { format!("{current}/{part}") };
            let targets = self.targets(&current)?;
            if !targets.is_empty() {
                self.resolved.insert(current);
                let rest = parts[at + 1..].join("/");
                for target in targets {
                    self.add(&format!("{target}/{rest}"), left)?;
                }
                return Ok(());
            }
        }
        self.resolved.insert(current);
        Ok(())
    }

    /// Where a link leads, as a path in the top; of a pattern, where each link that it names does.
    fn targets(&self, path: &str) -> Result<Vec<String>, Error> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        if !has_wildcard(name) {
            return Ok(self.target(Path::new(path)).into_iter().collect());
        }
        let Some(pattern) = matcher("follow", &[name.to_owned()])? else { return Ok(Vec::new()) };
        let Ok(entries) = std::fs::read_dir(self.top.join(parent)) else { return Ok(Vec::new()) };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let matching = names.filter(|name| pattern.matches(name));
        Ok(matching.filter_map(|name| self.target(&Path::new(parent).join(name))).collect())
    }

    fn target(&self, path: &Path) -> Option<String> {
        let to = std::fs::read_link(self.top.join(path)).ok()?;
        let from: PathBuf = if to.is_absolute() { to } else { path.parent()?.join(to) };
        Some(String::from_utf8_lossy(from.into_os_string().into_vec().as_slice()).into_owned())
    }
}

/// Without `.`, `..` and empty parts; nothing leads above the top.
fn cleaned(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn has_wildcard(name: &str) -> bool {
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn links_are_followed_and_never_out() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path();
        std::fs::create_dir(top.join("d")).unwrap();
        std::fs::write(top.join("d/f"), "").unwrap();
        symlink("d", top.join("l")).unwrap();
        symlink("/../../etc/passwd", top.join("out")).unwrap();
        symlink("loop", top.join("loop")).unwrap();
        let followed =
            |paths: &[&str]| followed(top, &words(paths)).unwrap().map(|set| set.into_iter().collect());
        assert_eq!(followed(&["l/f"]), Some(words(&["d/f", "l"])));
        assert_eq!(followed(&["out"]), Some(words(&["etc/passwd", "out"])));
        assert_eq!(followed(&["l*"]), Some(words(&["d", "l*", "loop"])));
        assert_eq!(followed(&["loop"]), Some(words(&["loop"])));
        assert_eq!(followed(&["absent/x"]), Some(words(&["absent/x"])));
        assert_eq!(followed(&["d", "."]), None);
    }

    #[test]
    fn exclusion_has_the_last_word_and_directories_stay_open_for_exceptions() {
        let filter = |include: &[&str], exclude: &[&str]| {
            Filter::new(Path::new("/nonexistent"), words(include), &words(exclude), &[]).unwrap()
        };
        let fits = |filter: &Filter, path: &str| {
            let mut above = Above::default();
            for (at, _) in path.match_indices('/') {
                above = filter.fits(&path.as_bytes()[..at], &above).1;
            }
            filter.fits(path.as_bytes(), &above).0
        };
        assert_eq!(fits(&filter(&[], &["node_modules"]), "node_modules"), Fits::NorBelow);
        assert_eq!(fits(&filter(&[], &["node_modules"]), "node_modules/x"), Fits::NorBelow);
        assert_eq!(fits(&filter(&[], &["d", "!d/keep"]), "d"), Fits::PerhapsBelow);
        assert_eq!(fits(&filter(&[], &["d", "!d/keep"]), "d/keep"), Fits::Yes);
        assert_eq!(fits(&filter(&["a/b"], &[]), "a"), Fits::PerhapsBelow);
        assert_eq!(fits(&filter(&["a/b"], &[]), "a/b/c"), Fits::Yes);
        assert_eq!(fits(&filter(&["a/b"], &[]), "c"), Fits::NorBelow);
        assert_eq!(fits(&filter(&["**/x"], &[]), "c"), Fits::PerhapsBelow);
    }
}
