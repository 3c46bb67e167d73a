//! Where in a command line somebody is who is still writing it, for completion: nothing is refused here, for nothing is
//! finished yet.

use crate::table::{Command, Flag};

/// What the last word of an unfinished command line is going to be.
#[derive(Debug)]
pub struct Place<A: 'static> {
    /// The commands that lead there, the root first, each with the flags that were written for it, as they were written.
    pub levels: Vec<(&'static Command<A>, Vec<String>)>,
    /// The last command's flags that were written.
    pub flags: Vec<&'static Flag>,
    /// The last command's arguments that were written.
    pub args: Vec<String>,
    pub expected: Expected,
}

/// What is expected, and what is written of it.
#[derive(Debug, Clone)]
pub enum Expected {
    /// One of the command's subcommands.
    Command { begun: String },
    /// The name of a flag, dashes and all.
    Flag { begun: String },
    /// The value of a flag; `assigned` stands before it in the same word.
    Value { flag: &'static Flag, assigned: String, begun: String },
    /// An argument, or a word of somebody else's command line.
    Argument { begun: String },
    /// A word that leads nowhere was written.
    Nothing,
}

/// Finds the place of the last of these words, which may be empty.
pub fn place<A>(root: &'static Command<A>, words: &[String]) -> Place<A> {
    let (begun, mut words) = words.split_last().map_or((String::new(), words), |(l, rest)| (l.clone(), rest));
    let (levels, expected) = (vec![(root, Vec::new())], Expected::Nothing);
    let mut place = Place { levels, flags: Vec::new(), args: Vec::new(), expected };
    let mut only_arguments = false;
    while let Some((word, rest)) = words.split_first() {
        words = rest;
        if only_arguments || word == "-" || !word.starts_with('-') {
            if !place.goes_on(word) {
                return place;
            }
            only_arguments |= place.command().stop_at_positional && !place.args.is_empty();
            continue;
        }
        place.note(word);
        if word == "--" {
            only_arguments = true;
        } else if let Some(flag) = place.takes_next(word) {
            let Some((value, rest)) = words.split_first() else {
                place.forget();
                place.expected = Expected::Value { flag, assigned: String::new(), begun };
                return place;
            };
            place.note(value);
            words = rest;
        }
    }
    place.expected = place.expects(begun, only_arguments);
    place
}

impl<A> Place<A> {
    /// The last command.
    pub fn command(&self) -> &'static Command<A> {
        self.levels[self.levels.len() - 1].0
    }

    fn note(&mut self, word: &str) {
        let last = self.levels.len() - 1;
        self.levels[last].1.push(word.to_owned());
    }

    /// The last word: what it begins isn't there yet.
    fn forget(&mut self) {
        let last = self.levels.len() - 1;
        self.levels[last].1.pop();
    }

    /// Takes an argument or the name of a command; false for a name that there is none of.
    fn goes_on(&mut self, word: &str) -> bool {
        if self.command().subcommands.is_empty() {
            self.args.push(word.to_owned());
            return true;
        }
        let Some(found) = self.command().find(word) else {
            self.args.extend(self.command().runs().then(|| word.to_owned()));
            return self.command().runs();
        };
        self.levels.push((found, Vec::new()));
        self.flags.clear();
        true
    }

    /// Notes the flags of a word; the last of them is returned if its value is the next word.
    fn takes_next(&mut self, word: &str) -> Option<&'static Flag> {
        if let Some(name) = word.strip_prefix("--") {
            let flag = self.named(name.split('=').next().unwrap_or_default())?;
            self.flags.push(flag);
            return (!name.contains('=') && flag.bare.is_none()).then_some(flag);
        }
        let mut letters = word[1..].chars();
        while let Some(letter) = letters.next() {
            let flag = self.command().all_flags().find(|flag| flag.short == Some(letter))?;
            self.flags.push(flag);
            if flag.bare.is_none() {
                return letters.as_str().is_empty().then_some(flag);
            }
        }
        None
    }

    fn named(&self, name: &str) -> Option<&'static Flag> {
        self.command().all_flags().find(|flag| flag.long == name)
    }

    fn expects(&self, begun: String, only_arguments: bool) -> Expected {
        if begun.starts_with('-') && !only_arguments {
            let Some((name, value)) = begun.split_once('=') else { return Expected::Flag { begun } };
            return match self.named(name.trim_start_matches('-')) {
                Some(flag) => Expected::Value { flag, assigned: format!("{name}="), begun: value.to_owned() },
                None => Expected::Nothing,
            };
        }
        match self.command().subcommands.is_empty() {
            true => Expected::Argument { begun },
            false => Expected::Command { begun },
        }
    }
}
