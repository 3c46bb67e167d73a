//! The tables in which a program describes its commands and flags.

/// One command: a leaf that runs, or a group of subcommands.
///
/// `A` is what the program does for it: the parser only carries it.
#[derive(Debug)]
pub struct Command<A: 'static> {
    /// The word that calls it.
    pub name: &'static str,
    /// Other words that call it at the same place.
    pub aliases: &'static [&'static str],
    /// What follows the command's path in `Usage:`.
    pub usage: &'static str,
    /// One line, for the list of commands.
    pub short: &'static str,
    /// The text of the help page; empty where it is `short`.
    pub long: &'static str,
    /// The full names under which the command is also known, as its help page lists them.
    pub also: &'static str,
    /// The examples of the help page: what follows the command's path, a line for each.
    pub example: &'static str,
    /// The flags, in as many shared pieces as is handy.
    pub flags: FlagSets,
    /// How many positional arguments it takes. A group that says so runs where none of its commands is called.
    pub args: Args,
    /// Flags end at the first positional argument: what follows belongs to somebody else's command line.
    pub stop_at_positional: bool,
    /// Its subcommands.
    pub subcommands: &'static [&'static Command<A>],
    /// Left out of lists of commands.
    pub hidden: bool,
    /// The place among the common commands of the root's help, from 1; 0 for all others.
    pub common: u8,
    /// What it does.
    pub action: A,
}

/// The flags of a command, in shared pieces.
pub type FlagSets = &'static [&'static [Flag]];

impl<A> Command<A> {
    /// Whether `word` calls this command.
    pub fn answers_to(&self, word: &str) -> bool {
        self.name == word || self.aliases.contains(&word)
    }

    /// Whether it runs for itself, besides holding commands.
    pub fn runs(&self) -> bool {
        self.subcommands.is_empty() || !matches!(self.args, Args::Any)
    }

    /// The subcommand that `word` calls.
    pub fn find(&self, word: &str) -> Option<&'static Command<A>> {
        self.subcommands.iter().find(|command| command.answers_to(word)).copied()
    }

    /// All flags of the command.
    pub fn all_flags(&self) -> impl Iterator<Item = &'static Flag> + use<A> {
        self.flags.iter().flat_map(|set| set.iter())
    }

    /// The same, sorted by name as help shows them.
    pub fn sorted_flags(&self) -> Vec<&'static Flag> {
        let mut all: Vec<&'static Flag> = self.all_flags().collect();
        all.sort_unstable_by_key(|flag| flag.long);
        all
    }
}

/// One flag.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// Its name after `--`.
    pub long: &'static str,
    /// Its letter after `-`.
    pub short: Option<char>,
    /// What its value may be.
    pub kind: Kind,
    /// Its value where it isn't given; in help shown unless it is the kind's zero.
    pub default: &'static str,
    /// Its line in help; a word in backquotes names the value.
    pub help: &'static str,
    /// Left out of help.
    pub hidden: bool,
    /// Warned about when used, with this advice; left out of help.
    pub deprecated: &'static str,
    /// The value that the flag has when it is given without one (pflag's `NoOptDefVal`).
    pub bare: Option<&'static str>,
    /// Whether the program acts on it.
    pub support: Support,
}

impl Flag {
    /// A flag without letter, default and peculiarities, to be refined by the methods below.
    pub const fn new(long: &'static str, kind: Kind, help: &'static str) -> Self {
        let bare = if matches!(kind, Kind::Bool) { Some("true") } else { None };
        Self {
            long,
            short: None,
            kind,
            default: "",
            help,
            hidden: false,
            deprecated: "",
            bare,
            support: Support::Done,
        }
    }

    /// With a letter.
    pub const fn short(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }

    /// With a default.
    pub const fn default(mut self, value: &'static str) -> Self {
        self.default = value;
        self
    }

    /// Left out of help.
    pub const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Warned about when used.
    pub const fn deprecated(mut self, advice: &'static str) -> Self {
        self.deprecated = advice;
        self
    }

    /// With a value for the flag given bare.
    pub const fn bare(mut self, value: &'static str) -> Self {
        self.bare = Some(value);
        self
    }

    /// Refused by name, for good.
    pub const fn refused(mut self, reason: &'static str) -> Self {
        self.support = Support::Refused(reason);
        self
    }

    /// Refused by name until it is built.
    pub const fn missing(mut self) -> Self {
        self.support = Support::Missing;
        self
    }

    /// How error texts call it: `-m, --memory`.
    pub fn spelling(&self) -> String {
        match self.short {
            Some(letter) => format!("-{letter}, --{}", self.long),
            None => format!("--{}", self.long),
        }
    }
}

/// Whether the program acts on a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// Read by the command.
    Done,
    /// Refused for good, with the reason.
    Refused(&'static str),
    /// Not built yet.
    Missing,
}

/// The type of a flag's value: the word that help shows, and what is accepted.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `true`, `false` and Go's other spellings; given bare it is true.
    Bool,
    /// Any text; the last one counts.
    String,
    /// A signed number of 64 bits.
    Int,
    /// The same under the name that pflag gives an `int64`.
    Int64,
    /// An unsigned number of so many bits, under pflag's name for it.
    Uint(u8),
    /// A 64-bit floating-point number.
    Float,
    /// Go's `1h2m3.5s`.
    Duration,
    /// A size: `64m`, `1.5GiB`.
    Bytes,
    /// Texts, one per use; help calls them `list`.
    List,
    /// Texts, one per use, commas untouched; help calls them `stringArray`.
    StringArray,
    /// Texts, several per use, in CSV; help calls them `strings`.
    Strings,
    /// An IP address.
    Ip,
    /// Checked by the program; `repeats` says whether every use counts or the last.
    Custom {
        /// The word that help shows.
        name: &'static str,
        /// Whether every use counts.
        repeats: bool,
        /// Says why a value isn't accepted.
        check: fn(&str) -> Result<(), String>,
    },
}

/// How many positional arguments a command takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Args {
    /// None at all.
    None,
    /// Exactly so many.
    Exact(usize),
    /// So many or more.
    AtLeast(usize),
    /// So many or fewer.
    AtMost(usize),
    /// Between the two.
    Range(usize, usize),
    /// The command decides by itself.
    Any,
}
