//! cobra's walk down the tree: which command is meant, its flags at each level, how many arguments it may have.

use std::ffi::OsString;

use crate::error::{Error, Usage};
use crate::matches::Matches;
use crate::nearest::nearest;
use crate::parse::parse_level;
use crate::table::{Args, Command};

/// A command line that can be acted on.
#[derive(Debug)]
pub enum Outcome<A: 'static> {
    /// Run the command.
    Run(Invocation<A>),
    /// Show its help: asked for, or a group called without subcommand.
    Help(Invocation<A>),
}

/// A command with its flags.
#[derive(Debug, Clone)]
pub struct Invocation<A: 'static> {
    /// The full name: `docker container ls`.
    pub path: String,
    /// The command.
    pub command: &'static Command<A>,
    /// The flags of the groups above it, the root first.
    pub outer: Vec<Matches>,
    /// Its own flags and arguments.
    pub matches: Matches,
    /// What to say about deprecated flags, on the error stream, before running.
    pub warnings: Vec<String>,
    /// `--help` was given.
    pub help_asked: bool,
}

impl<A> Command<A> {
    /// The line after `Usage:`, for the command at `path`.
    pub(crate) fn use_line(&self, path: &str) -> String {
        let line = format!("{path} {}", self.usage);
        line.trim_end().to_owned()
    }
}

/// Reads the words after the program's name.
///
/// A group's word that calls none of its subcommands is an [`Error::UnknownCommand`] that the caller may still
/// resolve, as the client does with plugins.
pub fn parse<A>(program: &str, root: &'static Command<A>, words: &[OsString]) -> Result<Outcome<A>, Error> {
    let mut path = program.to_owned();
    let mut command = root;
    let mut outer = Vec::new();
    let mut warnings = Vec::new();
    let mut words = as_text(words, &usage_of(root, program))?;
    loop {
        let usage = usage_of(command, &path);
        let mut group = !command.subcommands.is_empty();
        let stop = group || command.stop_at_positional;
        let mut level = parse_level(command.flags, stop, &usage, &words)?;
        let called = level.matches.args.first().and_then(|word| command.find(word));
        if group && command.runs() && called.is_none() {
            group = false;
            level = parse_level(command.flags, command.stop_at_positional, &usage, &words)?;
        }
        warnings.append(&mut level.warnings);
        let next = if group { level.matches.args.first().cloned() } else { None };
        let Some(word) = next else {
            let invocation =
                Invocation { path, command, outer, matches: level.matches, warnings, help_asked: level.help };
            if level.help || group {
                return Ok(Outcome::Help(invocation));
            }
            check_args(command.args, invocation.matches.args.len(), usage)?;
            return Ok(Outcome::Run(invocation));
        };
        let Some(found) = command.find(&word) else {
            let names = command.subcommands.iter().filter(|c| !c.hidden).map(|c| c.name);
            return Err(Error::UnknownCommand { nearest: nearest(&word, names), word, usage });
        };
        if level.help {
            let matches = Matches::new(found.flags);
            let path = format!("{path} {}", found.name);
            return Ok(Outcome::Help(Invocation {
                path,
                command: found,
                outer,
                matches,
                warnings,
                help_asked: true,
            }));
        }
        words = level.matches.args.split_off(1);
        path = format!("{path} {}", found.name);
        command = found;
        outer.push(level.matches);
    }
}

fn usage_of<A>(command: &Command<A>, path: &str) -> Usage {
    Usage { path: path.to_owned(), line: command.use_line(path) }
}

fn as_text(words: &[OsString], usage: &Usage) -> Result<Vec<String>, Error> {
    let text = |word: &OsString| {
        word.to_str().map(str::to_owned).ok_or_else(|| Error::NotText {
            argument: word.to_string_lossy().into_owned(),
            usage: usage.clone(),
        })
    };
    words.iter().map(text).collect()
}

fn check_args(rule: Args, count: usize, usage: Usage) -> Result<(), Error> {
    let noun = |n: usize| if n == 1 { "argument" } else { "arguments" };
    let complaint = match rule {
        Args::None if count > 0 => ("accepts no arguments".to_owned(), "Run"),
        Args::Exact(n) if count != n => (format!("requires {n} {}", noun(n)), "Run"),
        Args::AtLeast(n) if count < n => (format!("requires at least {n} {}", noun(n)), "See"),
        Args::AtMost(n) if count > n => (format!("requires at most {n} {}", noun(n)), "Run"),
        Args::Range(min, max) if count < min || count > max => {
            (format!("requires at least {min} and at most {max} {}", noun(max)), "Run")
        }
        _ => return Ok(()),
    };
    Err(Error::Args { complaint: complaint.0, advice: complaint.1, usage })
}
