//! Instructions: what each kind takes, and which of its words are expanded.

mod flags;
mod health;
mod mount;
mod parse;
mod run;
mod transfer;

pub use health::Health;
pub use mount::{Mount, MountType, Sharing};
pub(crate) use parse::{description, from_flags, instruction};
pub use run::{CommandLine, Device, InlineFile, Network, Run, Security};
pub use transfer::{Copy, SourceFile, Transfer};

use crate::error::{Lines, Problem};

/// A name and a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub name: String,
    pub value: String,
    /// Written without `=`.
    pub legacy: bool,
}

/// An argument of the build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    pub name: String,
    pub default: Option<String>,
    /// What the comment above says of it.
    pub description: String,
}

/// One instruction with its place.
#[derive(Debug, Clone)]
pub struct Instruction {
    pub kind: Kind,
    /// The keyword as it was typed.
    pub name: String,
    /// The instruction in one line, without here-documents.
    pub code: String,
    pub lines: Lines,
}

/// What there is to do.
#[derive(Debug, Clone)]
pub enum Kind {
    Add(Transfer),
    Arg(Vec<Argument>),
    Cmd(CommandLine),
    Copy(Copy),
    Entrypoint(CommandLine),
    Env(Vec<Pair>),
    Expose(Vec<String>),
    Healthcheck(Health),
    Label(Vec<Pair>),
    Maintainer(String),
    /// The trigger as text, for the image's configuration.
    OnBuild(String),
    Run(Run),
    Shell(Vec<String>),
    StopSignal(String),
    User(String),
    Volume(Vec<String>),
    Workdir(String),
}

/// How one word is expanded.
pub type Expander<'a> = &'a mut dyn FnMut(&str) -> Result<String, Problem>;

impl Instruction {
    /// Expands the words that the builder expands: not `ARG`'s values, which may not be needed, nor `EXPOSE`'s, which
    /// become several, nor anything that a shell reads. `content` is for here-documents, where quotes mean nothing.
    pub fn expand(&mut self, word: Expander<'_>, content: Expander<'_>) -> Result<(), Problem> {
        match &mut self.kind {
            Kind::Env(pairs) | Kind::Label(pairs) => {
                for pair in pairs {
                    pair.name = word(&pair.name)?;
                    pair.value = word(&pair.value)?;
                }
            }
            Kind::Add(transfer) => transfer.expand(word, content)?,
            Kind::Copy(copy) => copy.transfer.expand(word, content)?,
            Kind::Run(run) => run.expand(word)?,
            Kind::User(text) | Kind::Workdir(text) | Kind::StopSignal(text) => *text = word(text)?,
            Kind::Volume(words) => expand_all(words, word)?,
            Kind::Arg(_)
            | Kind::Cmd(_)
            | Kind::Entrypoint(_)
            | Kind::Expose(_)
            | Kind::Healthcheck(_)
            | Kind::Maintainer(_)
            | Kind::OnBuild(_)
            | Kind::Shell(_) => {}
        }
        Ok(())
    }
}

fn expand_all(words: &mut [String], expand: Expander<'_>) -> Result<(), Problem> {
    for word in words {
        *word = expand(word)?;
    }
    Ok(())
}
