//! pflag's grammar: one command's flags and positional arguments.

use crate::error::{Error, Usage};
use crate::matches::{Matches, check};
use crate::nearest::nearest;
use crate::table::{Flag, FlagSets, Support};

/// What one level of the command line came to.
pub(crate) struct Level {
    pub(crate) matches: Matches,
    /// `--help` was given.
    pub(crate) help: bool,
    /// Deprecated flags that were used.
    pub(crate) warnings: Vec<String>,
}

/// Reads one command's flags.
///
/// Where `stop_at_positional`, everything from the first positional argument on is left as it is.
pub(crate) fn parse_level(
    sets: FlagSets,
    stop_at_positional: bool,
    usage: &Usage,
    words: &[String],
) -> Result<Level, Error> {
    let level = Level { matches: Matches::new(sets), help: false, warnings: Vec::new() };
    let mut parser = Parser { sets, usage, level };
    let mut rest = words;
    while let Some((word, tail)) = rest.split_first() {
        rest = tail;
        if word == "--" {
            parser.level.matches.dash_at = Some(parser.level.matches.args.len());
            parser.level.matches.args.extend_from_slice(rest);
            break;
        }
        if let Some(name) = word.strip_prefix("--") {
            rest = parser.long(name, rest)?;
        } else if word.len() > 1 && word.starts_with('-') {
            rest = parser.bundle(&word[1..], rest)?;
        } else {
            parser.level.matches.args.push(word.clone());
            if stop_at_positional {
                parser.level.matches.args.extend_from_slice(rest);
                break;
            }
        }
    }
    Ok(parser.level)
}

struct Parser<'a> {
    sets: FlagSets,
    usage: &'a Usage,
    level: Level,
}

impl<'a> Parser<'a> {
    fn flags(&self) -> impl Iterator<Item = &'static Flag> + use<> {
        self.sets.iter().flat_map(|set| set.iter())
    }

    fn long(&mut self, text: &str, rest: &'a [String]) -> Result<&'a [String], Error> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        if name.is_empty() || name.starts_with('-') {
            return Err(self.error(format!("bad flag syntax: --{text}")));
        }
        let Some(flag) = self.flags().find(|flag| flag.long == name) else {
            if name == "help" {
                self.help(value)?;
                return Ok(rest);
            }
            let names = self.flags().filter(|flag| !flag.hidden).map(|flag| flag.long);
            let nearest = nearest(name, names);
            let message = format!("unknown flag: --{name}");
            return Err(Error::Flag { message, nearest, usage: self.usage.clone() });
        };
        match (value, flag.bare, rest.split_first()) {
            (Some(value), _, _) => self.set(flag, value)?,
            (None, Some(bare), _) => self.set(flag, bare)?,
            (None, None, Some((value, tail))) => {
                self.set(flag, value)?;
                return Ok(tail);
            }
            (None, None, None) => return Err(self.error(format!("flag needs an argument: --{name}"))),
        }
        Ok(rest)
    }

    /// `-itd`, `-p80:80`, `-p=80:80`, `-p 80:80`, and their mixtures.
    fn bundle(&mut self, letters: &str, rest: &'a [String]) -> Result<&'a [String], Error> {
        let mut tail = letters;
        while let Some(letter) = tail.chars().next() {
            let after = &tail[letter.len_utf8()..];
            let Some(flag) = self.flags().find(|flag| flag.short == Some(letter)) else {
                if letter == 'h' {
                    self.level.warnings.push("Flag shorthand -h has been deprecated, use --help".into());
                    self.level.help = true;
                    tail = after;
                    continue;
                }
                return Err(self.error(format!("unknown shorthand flag: '{letter}' in -{tail}")));
            };
            if let Some(value) = after.strip_prefix('=').filter(|_| !after.is_empty()) {
                self.set(flag, value)?;
                return Ok(rest);
            }
            if let Some(bare) = flag.bare {
                self.set(flag, bare)?;
                tail = after;
                continue;
            }
            if !after.is_empty() {
                self.set(flag, after)?;
                return Ok(rest);
            }
            let Some((value, rest)) = rest.split_first() else {
                return Err(self.error(format!("flag needs an argument: '{letter}' in -{tail}")));
            };
            self.set(flag, value)?;
            return Ok(rest);
        }
        Ok(rest)
    }

    fn help(&mut self, value: Option<&str>) -> Result<(), Error> {
        self.level.help = match value {
            None => true,
            Some(value) => crate::go::parse_bool(value).map_err(|why| {
                let value = crate::go::quote(value);
                self.error(format!("invalid argument {value} for \"--help\" flag: {why}"))
            })?,
        };
        Ok(())
    }

    fn set(&mut self, flag: &'static Flag, value: &str) -> Result<(), Error> {
        if let Err(why) = check(flag.kind, value) {
            let value = crate::go::quote(value);
            return Err(
                self.error(format!("invalid argument {value} for \"{}\" flag: {why}", flag.spelling()))
            );
        }
        let reason = match flag.support {
            Support::Done => None,
            Support::Refused(reason) => Some(reason),
            Support::Missing => Some("this cannot be done yet"),
        };
        if let Some(reason) = reason {
            let (flag, usage) = (format!("--{}", flag.long), self.usage.clone());
            return Err(Error::Unsupported { flag, reason: reason.into(), usage });
        }
        if !flag.deprecated.is_empty() && !self.level.matches.changed(flag.long) {
            let warning = format!("Flag --{} has been deprecated, {}", flag.long, flag.deprecated);
            self.level.warnings.push(warning);
        }
        self.level.help |= flag.long == "help";
        self.level.matches.push(flag, value.to_owned());
        Ok(())
    }

    fn error(&self, message: String) -> Error {
        Error::Flag { message, nearest: None, usage: self.usage.clone() }
    }
}
