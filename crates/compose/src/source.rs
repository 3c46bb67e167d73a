//! The files that were read: their names and texts, so that a mistake can be shown where it stands.

use std::fmt;
use std::path::{Path, PathBuf};

use yaml::{At, FileId};

/// No project file is longer.
pub(crate) const LONGEST: u64 = 32 << 20;
/// Files of one project, with all that they include.
const MOST_FILES: usize = 10_000;
/// A line that is shown is cut after so many letters.
const WIDEST: usize = 160;

/// The files of a project, in the order in which they were read.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: Vec<File>,
}

#[derive(Debug, Clone)]
struct File {
    path: PathBuf,
    text: String,
}

impl Sources {
    /// Remembers a file; none if there are too many.
    pub(crate) fn add(&mut self, path: PathBuf, text: String) -> Option<FileId> {
        let id = FileId(u32::try_from(self.files.len()).ok().filter(|id| (*id as usize) < MOST_FILES)?);
        self.files.push(File { path, text });
        Some(id)
    }

    /// The text of a file that was read.
    pub(crate) fn text(&self, id: FileId) -> &str {
        self.files.get(id.0 as usize).map_or("", |file| &file.text)
    }

    /// The path of a file that was read.
    pub fn path(&self, id: FileId) -> &Path {
        self.files.get(id.0 as usize).map_or(Path::new("-"), |file| &file.path)
    }

    /// A place with its line, for a person; none for what nobody wrote.
    pub fn place(&self, at: At) -> Option<Place> {
        let file = self.files.get(at.file.0 as usize)?;
        let index = (at.line as usize).checked_sub(1)?;
        let text = file.text.lines().nth(index).unwrap_or_default().chars().take(WIDEST).collect();
        Some(Place { path: file.path.clone(), line: at.line, column: at.column, text })
    }
}

/// A place in a file as a person finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// From one.
    pub line: u32,
    /// From one.
    pub column: u32,
    /// What the line says.
    pub text: String,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:{}", self.path.display(), self.line, self.column)
    }
}

impl Place {
    /// The line with a mark below the column.
    pub fn shown(&self) -> String {
        let number = self.line.to_string();
        let gap = " ".repeat(number.len());
        // A tab before the mark stays one, so that the two stand below each other.
        let before = self.text.chars().take(self.column.saturating_sub(1) as usize);
        let before: String = before.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        format!("{number} | {}\n{gap} | {before}^", self.text)
    }
}
