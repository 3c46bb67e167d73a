//! From bytes to nodes: directives, comments, lines that go on, here-documents, and each instruction's words as its kind
//! divides them.

mod directive;
mod heredoc;
mod lines;
mod words;

pub(crate) use directive::{Directive, Directives};
pub use heredoc::{Heredoc, chomp, parse as heredoc};
pub(crate) use words::Arguments;

use crate::error::{Error, Lines, Problem};
use crate::limits;
use lines::Reader;

/// What the text is made of, before it's known whether the instructions make sense.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) nodes: Vec<Node>,
    pub(crate) directives: Vec<Directive>,
    pub(crate) escape: char,
    /// Where an instruction goes on after an empty line.
    pub(crate) empty_continuations: Vec<usize>,
}

/// One instruction.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// The first word, as it was typed.
    pub(crate) keyword: String,
    pub(crate) flags: Vec<String>,
    pub(crate) arguments: Arguments,
    pub(crate) heredocs: Vec<Heredoc>,
    /// The whole instruction in one line, without here-documents.
    pub(crate) original: String,
    pub(crate) lines: Lines,
    /// The comments right above, without `#`.
    pub(crate) comments: Vec<String>,
}

/// Divides the text. `escape` starts as the backslash; a directive may change it.
pub(crate) fn read(text: &[u8]) -> Result<Source, Error> {
    if text.is_empty() {
        return Err(Error::text(Problem::Empty, Lines::default()));
    }
    if text.len() > limits::FILE {
        return Err(Error::text(Problem::FileTooLong, Lines::default()));
    }
    let mut reading = Reading {
        reader: Reader::new(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)),
        directives: Directives::new("#"),
        comments: Vec::new(),
        source: Source {
            nodes: Vec::new(),
            directives: Vec::new(),
            escape: '\\',
            empty_continuations: Vec::new(),
        },
    };
    while let Some(line) = reading.reader.next()? {
        reading.line(line)?;
    }
    if reading.source.nodes.is_empty() {
        return Err(Error::text(Problem::NoInstructions, Lines::new(reading.reader.line(), 0)));
    }
    Ok(reading.source)
}

struct Reading<'a> {
    reader: Reader<'a>,
    directives: Directives,
    comments: Vec<String>,
    source: Source,
}

impl<'a> Reading<'a> {
    /// A line at which nothing has begun yet.
    fn line(&mut self, line: &'a [u8]) -> Result<(), Error> {
        let first = self.reader.line();
        let line = line.trim_ascii_end_newline().trim_start_blanks();
        let directive = self.directives.line(line, first).map_err(|problem| self.at(problem, first))?;
        if let Some(directive) = directive {
            if directive.name == "escape" {
                self.source.escape = escape(&directive.value).map_err(|problem| self.at(problem, first))?;
            }
            self.source.directives.push(directive);
            return Ok(());
        }
        if let Some(comment) = line.strip_prefix(b"#") {
            let comment = String::from_utf8_lossy(comment).trim().to_owned();
            if comment.is_empty() {
                self.comments.clear();
            } else {
                self.comments.push(comment);
            }
            return Ok(());
        }
        if line.is_empty() {
            return Ok(());
        }
        let whole = self.continued(line)?;
        self.instruction(&whole, first)
    }

    /// The line and those that continue it, without their ends and without comments between them.
    fn continued(&mut self, line: &'a [u8]) -> Result<Vec<u8>, Error> {
        let escape = self.source.escape;
        let (line, mut goes_on) = lines::continuation(line, escape);
        let mut whole = line.to_vec();
        let mut empty = false;
        while goes_on {
            let Some(line) = self.reader.next()? else { break };
            let line = line.trim_ascii_end_newline();
            let bare = line.trim_start_blanks();
            if bare.is_empty() {
                empty = true;
            } else if bare[0] != b'#' {
                let (line, more) = lines::continuation(line, escape);
                whole.extend_from_slice(line);
                goes_on = more;
            }
        }
        if empty {
            self.source.empty_continuations.push(self.reader.line());
        }
        Ok(whole)
    }

    fn instruction(&mut self, whole: &[u8], first: usize) -> Result<(), Error> {
        let here = Lines::new(first, self.reader.line());
        let text = std::str::from_utf8(whole).map_err(|_| Error::text(Problem::NotUtf8, here))?;
        let mut node = node(text, self.source.escape).map_err(|problem| Error::text(problem, here))?;
        if node.arguments.may_have_heredocs(&node.keyword) && text.contains("<<") {
            for mut document in heredoc::in_line(text).map_err(|problem| Error::text(problem, here))? {
                document.content = self.document(&document, first)?;
                node.heredocs.push(document);
            }
        }
        node.lines = Lines::new(first, self.reader.line());
        node.comments = std::mem::take(&mut self.comments);
        if self.source.nodes.len() == limits::INSTRUCTIONS {
            return Err(Error::text(Problem::TooManyInstructions, node.lines));
        }
        self.source.nodes.push(node);
        Ok(())
    }

    /// The lines up to the one that is the document's name.
    fn document(&mut self, document: &Heredoc, first: usize) -> Result<String, Error> {
        let mut content = Vec::new();
        while let Some(line) = self.reader.next()? {
            let bare = line.trim_ascii_end_newline();
            let bare = if document.chomp { lines::without_tabs(bare) } else { bare };
            if bare == document.name.as_bytes() {
                let here = Lines::new(first, self.reader.line());
                return String::from_utf8(content).map_err(|_| Error::text(Problem::NotUtf8, here));
            }
            content.extend_from_slice(line);
        }
        Err(self.at(Problem::UnterminatedHeredoc, first))
    }

    fn at(&self, problem: Problem, first: usize) -> Error {
        Error::text(problem, Lines::new(first, self.reader.line()))
    }
}

fn escape(value: &str) -> Result<char, Problem> {
    match value {
        "`" => Ok('`'),
        "\\" => Ok('\\'),
        other => Err(Problem::EscapeToken(other.to_owned())),
    }
}

/// An instruction's line into its parts.
pub(crate) fn node(line: &str, escape: char) -> Result<Node, Problem> {
    let (keyword, rest) = words::first(line.trim());
    let (flags, rest) = words::flags(rest, escape);
    Ok(Node {
        arguments: Arguments::read(&keyword.to_ascii_lowercase(), rest.trim(), escape)?,
        keyword: keyword.to_owned(),
        flags,
        heredocs: Vec::new(),
        original: line.to_owned(),
        lines: Lines::default(),
        comments: Vec::new(),
    })
}

/// What Go's `bytes` does to lines.
trait Bytes {
    fn trim_ascii_end_newline(&self) -> &Self;
    fn trim_start_blanks(&self) -> &Self;
}

impl Bytes for [u8] {
    fn trim_ascii_end_newline(&self) -> &Self {
        let kept = self.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
        &self[..kept]
    }

    fn trim_start_blanks(&self) -> &Self {
        // Unicode's blanks too, as far as the bytes are text.
        let text = match std::str::from_utf8(self) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&self[..error.valid_up_to()]).unwrap_or_default(),
        };
        &self[text.len() - text.trim_start().len()..]
    }
}

/// The value of one directive, whatever else is wrong with the text.
pub(crate) fn directive(text: &[u8], name: &str, comment: &'static str) -> Option<Directive> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let shebang = text.starts_with(b"#!");
    let mut directives = Directives::new(comment);
    let lines = text.split(|byte| *byte == b'\n').enumerate().skip(usize::from(shebang));
    for (at, line) in lines {
        let found = directives.line(line.trim_ascii_end_newline(), at + 1).ok()??;
        if found.name == name {
            return Some(found);
        }
    }
    None
}
