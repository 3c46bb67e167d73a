//! ADD and COPY.

use std::collections::HashMap;

use super::flags::{Flags, Takes};
use super::{Expander, expand_all};
use crate::error::Problem;
use crate::source::{self, Arguments, Heredoc};

/// What ADD and COPY have in common, and what only ADD has.
#[derive(Debug, Clone, Default)]
pub struct Transfer {
    pub sources: Vec<String>,
    /// Here-documents among the sources, which become files.
    pub files: Vec<SourceFile>,
    pub destination: String,
    pub chown: String,
    pub chmod: String,
    pub link: bool,
    pub exclude: Vec<String>,
    /// ADD: the digest that a download must have.
    pub checksum: String,
    /// ADD: keep `.git` of a repository.
    pub keep_git_dir: Option<bool>,
    /// ADD: whether archives are unpacked; if nothing is said, local ones are.
    pub unpack: Option<bool>,
}

/// COPY.
#[derive(Debug, Clone, Default)]
pub struct Copy {
    pub transfer: Transfer,
    /// A stage, a context or an image; empty for the build's own context.
    pub from: String,
    pub parents: bool,
}

/// A file whose content stands in the Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    pub name: String,
    pub content: String,
    pub expand: bool,
}

const ADD: [(&str, Takes); 7] = [
    ("chown", Takes::Text),
    ("chmod", Takes::Text),
    ("link", Takes::Boolean),
    ("exclude", Takes::Texts),
    ("keep-git-dir", Takes::Boolean),
    ("checksum", Takes::Text),
    ("unpack", Takes::Boolean),
];
const COPY: [(&str, Takes); 6] = [
    ("chown", Takes::Text),
    ("from", Takes::Text),
    ("chmod", Takes::Text),
    ("link", Takes::Boolean),
    ("exclude", Takes::Texts),
    ("parents", Takes::Boolean),
];

pub(super) fn add(
    given: &[String],
    arguments: Arguments,
    heredocs: Vec<Heredoc>,
) -> Result<Transfer, Problem> {
    let words = words(arguments, "ADD")?;
    let flags = Flags::read(given, &ADD)?;
    Ok(Transfer {
        checksum: flags.text("checksum"),
        keep_git_dir: flags.boolean("keep-git-dir"),
        unpack: flags.boolean("unpack"),
        ..transfer(words, heredocs, &flags, "ADD")?
    })
}

pub(super) fn copy(given: &[String], arguments: Arguments, heredocs: Vec<Heredoc>) -> Result<Copy, Problem> {
    let words = words(arguments, "COPY")?;
    let flags = Flags::read(given, &COPY)?;
    Ok(Copy {
        from: flags.text("from"),
        parents: flags.boolean("parents") == Some(true),
        transfer: transfer(words, heredocs, &flags, "COPY")?,
    })
}

fn words(arguments: Arguments, keyword: &'static str) -> Result<Vec<String>, Problem> {
    match arguments {
        Arguments::Words(words) | Arguments::Json(words) if words.len() > 1 => Ok(words),
        _ => Err(Problem::NoDestination(keyword)),
    }
}

fn transfer(
    mut words: Vec<String>,
    heredocs: Vec<Heredoc>,
    flags: &Flags,
    keyword: &'static str,
) -> Result<Transfer, Problem> {
    let destination = words.pop().unwrap_or_default();
    if source::heredoc(&destination).is_some() {
        return Err(Problem::HeredocDestination(keyword));
    }
    let contents: HashMap<String, String> =
        heredocs.into_iter().map(|document| (document.name, document.content)).collect();
    let (mut sources, mut files) = (Vec::new(), Vec::new());
    for word in words {
        match source::heredoc(&word) {
            Some(begin) => files.push(file(begin, &contents)),
            None => sources.push(word),
        }
    }
    Ok(Transfer {
        sources,
        files,
        destination,
        chown: flags.text("chown"),
        chmod: flags.text("chmod"),
        link: flags.boolean("link") == Some(true),
        exclude: flags.texts("exclude").collect(),
        ..Transfer::default()
    })
}

fn file(begin: Heredoc, contents: &HashMap<String, String>) -> SourceFile {
    let content = contents.get(&begin.name).cloned().unwrap_or_default();
    let content = if begin.chomp { source::chomp(&content) } else { content };
    SourceFile { name: begin.name, content, expand: begin.expand }
}

impl Transfer {
    pub(super) fn expand(&mut self, word: Expander<'_>, content: Expander<'_>) -> Result<(), Problem> {
        self.chown = word(&self.chown)?;
        self.chmod = word(&self.chmod)?;
        self.checksum = word(&self.checksum)?;
        expand_all(&mut self.exclude, word)?;
        expand_all(&mut self.sources, word)?;
        self.destination = word(&self.destination)?;
        for file in self.files.iter_mut().filter(|file| file.expand) {
            file.content = content(&file.content)?;
        }
        Ok(())
    }
}
