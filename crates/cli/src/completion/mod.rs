//! What may come next on a command line, told to a shell: the protocol of cobra's `__complete`, so that the scripts that
//! docker's packages install work with this program, and scripts of our own.
//!
//! Each candidate is a line, with a tab before its description; the last line says what the shell makes of them. An
//! engine is asked for names and never started for it; what can't be found out is left out.

mod names;
mod scripts;
mod values;

use client::resolve::process_env;
use flags::{Expected, Flag, Kind, Place};

use crate::error::Outcome;
use crate::tree::{Action, ROOT};
use crate::ui;

pub(crate) use scripts::{print, script};

/// Something that may be written.
struct Candidate {
    word: String,
    description: String,
}

impl Candidate {
    fn new(word: impl Into<String>, description: &str) -> Self {
        let description = description.lines().next().unwrap_or_default().replace('`', "");
        Self { word: word.into(), description }
    }

    fn bare(word: impl Into<String>) -> Self {
        Self { word: word.into(), description: String::new() }
    }
}

/// What a shell does beside offering the candidates, by cobra's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Directive {
    /// It offers files where there is no candidate.
    Files = 0,
    NoSpace = 2 | 4,
    NoFiles = 4,
    Folders = 16,
}

impl Directive {
    fn name(self) -> &'static str {
        match self {
            Self::Files => "ShellCompDirectiveDefault",
            Self::NoSpace => "ShellCompDirectiveNoSpace, ShellCompDirectiveNoFileComp",
            Self::NoFiles => "ShellCompDirectiveNoFileComp",
            Self::Folders => "ShellCompDirectiveFilterDirs",
        }
    }
}

type Answer = (Vec<Candidate>, Directive);

/// `__complete WORD…`, the last word being the unfinished one.
pub(crate) fn complete(words: &[String], with_descriptions: bool) -> Outcome {
    let place = flags::place(&ROOT, words);
    let unwanted = process_env("DOCKER_CLI_DISABLE_COMPLETION_DESCRIPTION");
    let with_descriptions =
        with_descriptions && !matches!(unwanted.as_deref(), Some("1" | "t" | "T" | "true" | "TRUE" | "True"));
    let (candidates, directive) = answer(&place);
    let mut text = String::new();
    for Candidate { word, description } in candidates {
        let word = diag::printable(&word);
        match with_descriptions && !description.is_empty() {
            true => text.push_str(&format!("{word}\t{description}\n")),
            false => text.push_str(&format!("{word}\n")),
        }
    }
    ui::out(&format!("{text}:{}\n", directive as u8))?;
    ui::err(&format!("Completion ended with directive: {}", directive.name()));
    Ok(0)
}

fn answer(place: &Place<Action>) -> Answer {
    let nothing = (Vec::new(), Directive::NoFiles);
    match &place.expected {
        Expected::Command { begun } => (commands(place, begun), Directive::NoFiles),
        Expected::Flag { begun } => (flag_names(place, begun), Directive::NoFiles),
        Expected::Value { flag, assigned, begun } => {
            let (candidates, directive) = values::of_flag(place, flag, begun);
            let candidates = beginning(candidates, begun).into_iter();
            let with = |one: Candidate| Candidate { word: format!("{assigned}{}", one.word), ..one };
            (candidates.map(with).collect(), directive)
        }
        Expected::Argument { begun } => {
            let (candidates, directive) = names::of_argument(place, begun);
            (beginning(candidates, begun), directive)
        }
        Expected::Nothing => nothing,
    }
}

fn beginning(mut candidates: Vec<Candidate>, begun: &str) -> Vec<Candidate> {
    candidates.retain(|candidate| candidate.word.starts_with(begun));
    candidates
}

fn commands(place: &Place<Action>, begun: &str) -> Vec<Candidate> {
    let can_run = |command: &&&crate::tree::Command| {
        !command.hidden && !matches!(command.action, Action::Refused(_) | Action::NotYet)
    };
    let all = place.command().subcommands.iter().filter(can_run);
    beginning(all.map(|command| Candidate::new(command.name, command.short)).collect(), begun)
}

fn flag_names(place: &Place<Action>, begun: &str) -> Vec<Candidate> {
    let written = |flag: &Flag| place.flags.iter().any(|other| other.long == flag.long);
    let mut candidates = Vec::new();
    for flag in place.command().sorted_flags() {
        let is_offered = !flag.hidden && flag.deprecated.is_empty() && flag.support == flags::Support::Done;
        if !is_offered || (written(flag) && !may_repeat(flag)) {
            continue;
        }
        candidates.push(Candidate::new(format!("--{}", flag.long), flag.help));
        candidates.extend(flag.short.map(|letter| Candidate::new(format!("-{letter}"), flag.help)));
    }
    candidates.push(Candidate::new("--help", "Print usage"));
    beginning(candidates, begun)
}

fn may_repeat(flag: &Flag) -> bool {
    matches!(flag.kind, Kind::List | Kind::StringArray | Kind::Strings | Kind::Custom { repeats: true, .. })
}
