//! A project's files as they are published: byte for byte, but for the names of files that they need, which say nothing of
//! this machine any more. Names and rules are docker compose's, so that either tool reads what the other one published.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use yaml::{At, Node};

use crate::env::expand;
use crate::error::Mistake;
use crate::load::{absolute, read};
use crate::source::Sources;
use crate::{Error, Project};

/// All files of a project as they are published.
#[derive(Debug, Default)]
pub struct Publication {
    /// The project's own files, and behind them those that services extend.
    pub files: Vec<Published>,
    /// The files of variables by the names that they have there.
    pub env_files: BTreeMap<String, PathBuf>,
}

/// One file.
#[derive(Debug)]
pub struct Published {
    /// Its name there.
    pub name: String,
    /// What it says there.
    pub text: String,
    /// Whether it is only extended.
    pub extended: bool,
}

impl Project {
    /// The project's files as they are published. What lies elsewhere already stays there.
    pub fn publication(&self, is_elsewhere: &dyn Fn(&str) -> bool) -> Result<Publication, Error> {
        let mut publication = Publication::default();
        let mut pending: VecDeque<(PathBuf, Option<String>)> =
            self.files.iter().map(|path| (path.clone(), None)).collect();
        let mut known: Vec<PathBuf> = Vec::new();
        while let Some((path, hashed)) = pending.pop_front() {
            if path == Path::new("-") {
                return Err(Error::Project("a project from standard input has no file to publish".into()));
            }
            // The project's own files begin in its folder, others in theirs.
            let folder = if hashed.is_none() { &self.directory } else { path.parent().unwrap_or(&path) };
            let mut file = Reader { project: self, folder, is_elsewhere, changes: Vec::new() };
            let (text, extends) = file.publish(&path, &mut publication.env_files)?;
            let base = || path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let extended = hashed.is_some();
            publication.files.push(Published { name: hashed.unwrap_or_else(base), text, extended });
            for (path, name) in extends {
                if !known.contains(&path) {
                    known.push(path.clone());
                    pending.push_back((path, Some(name)));
                }
            }
        }
        Ok(publication)
    }
}

/// One file on its way.
struct Reader<'a> {
    project: &'a Project,
    folder: &'a Path,
    is_elsewhere: &'a dyn Fn(&str) -> bool,
    /// Where which name gives way to which.
    changes: Vec<(At, String, String)>,
}

impl Reader<'_> {
    /// The file's text, and the files that it extends.
    fn publish(
        &mut self,
        path: &Path,
        env_files: &mut BTreeMap<String, PathBuf>,
    ) -> Result<(String, Vec<(PathBuf, String)>), Error> {
        let text = read(path)?;
        let mut sources = Sources::default();
        let Some(id) = sources.add(path.to_owned(), text.clone()) else { return Ok((text, Vec::new())) };
        let wrong = |mistake: Mistake| mistake.in_files(&sources);
        let documents = yaml::parse(&text, id)
            .map_err(|trouble| wrong(Mistake::new(trouble.at, format!("yaml: {}", trouble.what))))?;
        let mut extends = Vec::new();
        for document in &documents {
            self.check_includes(document)?;
            let services = document.get("services").and_then(Node::as_map).into_iter().flatten();
            for (_, service) in services {
                for node in service.get("env_file").into_iter().flat_map(paths) {
                    let (path, name) = self.renamed(node, "env");
                    env_files.insert(name, path);
                }
                let file = service.get("extends").and_then(|extends| extends.get("file"));
                // What isn't here, though the project was read, lies elsewhere.
                let is_here = |node: &&Node| self.absolute(node).is_file();
                if let Some(node) = file.filter(is_here) {
                    extends.push(self.renamed(node, "yaml"));
                }
            }
        }
        let text = changed(text, std::mem::take(&mut self.changes)).map_err(wrong)?;
        Ok((text, extends))
    }

    fn check_includes(&self, document: &Node) -> Result<(), Error> {
        let entries = document.get("include").and_then(Node::as_list).into_iter().flatten();
        let names = entries.flat_map(|entry| entry.get("path").map_or_else(|| paths(entry), paths));
        match names.filter_map(Node::scalar).all(|name| (self.is_elsewhere)(&name)) {
            true => Ok(()),
            false => Err(Error::Project("cannot publish compose file with local includes".into())),
        }
    }

    fn absolute(&self, node: &Node) -> PathBuf {
        let written = node.scalar().unwrap_or_default();
        let mut lookup = |name: &str| self.project.environment.get(name).map(str::to_owned);
        // It was read, so it can be filled in.
        let name = expand(&written, &mut lookup, &mut |_| {}).unwrap_or(written);
        absolute(Path::new(&name), self.folder)
    }

    /// The path of a file and the name that it gets.
    fn renamed(&mut self, node: &Node, ending: &str) -> (PathBuf, String) {
        let path = self.absolute(node);
        let hash = hex::encode(Sha256::digest(path.to_string_lossy().as_bytes()));
        let name = format!("{hash}.{ending}");
        // By an anchor one place can be met more than once.
        if self.changes.iter().all(|(at, ..)| *at != node.at) {
            self.changes.push((node.at, node.scalar().unwrap_or_default(), name.clone()));
        }
        (path, name)
    }
}

/// `a`, `[a, {path: b}]`: the texts in it that are paths.
fn paths(node: &Node) -> Vec<&Node> {
    match node.as_list() {
        Some(list) => list.iter().map(|item| item.get("path").unwrap_or(item)).collect(),
        None => vec![node],
    }
}

/// The text with other names in their places, and everything else as it was.
fn changed(mut text: String, mut changes: Vec<(At, String, String)>) -> Result<String, Mistake> {
    changes.sort_unstable_by_key(|(at, ..)| std::cmp::Reverse((at.line, at.column)));
    for (at, old, new) in changes {
        let unclear = || {
            Mistake::new(at, "this file can't be given another name here")
                .hint("write its name in one line, plain or in quotes")
        };
        let begin = offset(&text, at).ok_or_else(unclear)?;
        let rest = &text[begin..];
        let length = match rest.chars().next() {
            Some(quote @ ('"' | '\'')) if !old.contains(['"', '\'', '\\', '\n']) => {
                rest[1..].find(quote).filter(|length| rest[1..=*length] == old).map(|length| length + 2)
            }
            _ => (rest.starts_with(&old) && !old.contains('\n')).then_some(old.len()),
        };
        let length = length.ok_or_else(unclear)?;
        text.replace_range(begin..begin + length, &new);
    }
    Ok(text)
}

fn offset(text: &str, at: At) -> Option<usize> {
    let line =
        text.split_inclusive('\n').take((at.line as usize).checked_sub(1)?).map(str::len).sum::<usize>();
    let column = text.get(line..)?.char_indices().nth((at.column as usize).checked_sub(1)?)?;
    Some(line + column.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_names_change() {
        let text = "# é\na:\n  - 'x.env'  # kept\n  - {path: \"é y.env\", required: false}\n  - z.env\n";
        let node = yaml::parse(text, yaml::FileId(0)).unwrap().remove(0);
        let changes = paths(node.get("a").unwrap()).into_iter().map(|node| {
            let old = node.scalar().unwrap();
            (node.at, old.clone(), format!("{}.new", old.len()))
        });
        let after = changed(text.to_owned(), changes.collect()).unwrap();
        assert_eq!(after, "# é\na:\n  - 5.new  # kept\n  - {path: 8.new, required: false}\n  - 5.new\n");
        let folded = "a: >\n  x\n";
        let node = yaml::parse(folded, yaml::FileId(0)).unwrap().remove(0);
        let at = node.get("a").unwrap().at;
        assert!(changed(folded.to_owned(), vec![(at, "x\n".into(), "y".into())]).is_err());
    }
}
