//! What can be wrong with a Dockerfile, and where.

use diag::{Class, Explain};

/// Lines of the Dockerfile, counted from 1, both ends included. `0..=0` is nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lines {
    pub first: usize,
    pub last: usize,
}

impl Lines {
    pub(crate) fn new(first: usize, last: usize) -> Self {
        Self { first, last: last.max(first) }
    }
}

/// A problem and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub problem: Problem,
    pub lines: Lines,
    /// Whether the instruction was understood as such: then BuildKit says the line in the message.
    pub(crate) in_instruction: bool,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.in_instruction {
            write!(f, "dockerfile parse error on line {}: ", self.lines.first)?;
        }
        self.problem.fmt(f)
    }
}

impl std::error::Error for Error {}

impl Error {
    /// A problem of the text itself.
    pub(crate) fn text(problem: Problem, lines: Lines) -> Self {
        Self { problem, lines, in_instruction: false }
    }

    /// A problem of an instruction.
    pub(crate) fn instruction(problem: Problem, lines: Lines) -> Self {
        Self { problem, lines, in_instruction: true }
    }
}

impl Explain for Error {
    fn class(&self) -> Class {
        Class::Invalid
    }

    fn hint(&self) -> Option<String> {
        self.problem.hint()
    }
}

/// What is wrong. The texts are BuildKit's, letter for letter, where it has one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    // the text
    #[error("the Dockerfile cannot be empty")]
    Empty,
    #[error("file with no instructions")]
    NoInstructions,
    #[error("dockerfile is larger than {} bytes", crate::limits::FILE)]
    FileTooLong,
    #[error("dockerfile line greater than max allowed size of {}", crate::limits::LINE)]
    LineTooLong,
    #[error("dockerfile has more than {} instructions", crate::limits::INSTRUCTIONS)]
    TooManyInstructions,
    #[error("instruction is not valid UTF-8")]
    NotUtf8,
    #[error("only one {0} parser directive can be used")]
    RepeatedDirective(String),
    #[error("invalid escape token '{0}' does not match ` or \\")]
    EscapeToken(String),
    #[error("unterminated heredoc")]
    UnterminatedHeredoc,
    #[error("when using JSON array syntax, arrays must be comprised of strings only")]
    JsonNotStrings,
    #[error("{0} must have two arguments")]
    TwoArguments(&'static str),
    #[error("Syntax error - can't find = in {}. Must be of the form: name=value", crate::go::quote(.0))]
    NoEquals(String),
    // instructions
    #[error("unknown instruction: {name}{suggestion}")]
    UnknownInstruction { name: String, suggestion: String },
    #[error("no build stage in current context")]
    NoStage,
    #[error("dockerfile contains no stages to build")]
    NoStages,
    #[error("{0} requires at least one argument")]
    AtLeastOne(&'static str),
    #[error("{0} requires exactly one argument")]
    ExactlyOne(&'static str),
    #[error(
        "{0} requires at least two arguments, but only one was provided. Destination could not be determined"
    )]
    NoDestination(&'static str),
    #[error("{0} cannot accept a heredoc as a destination")]
    HeredocDestination(&'static str),
    #[error("{0} names can not be blank")]
    BlankName(&'static str),
    #[error("{0} requires the arguments to be in JSON form")]
    NotJson(&'static str),
    #[error("FROM requires either one or three arguments")]
    From,
    #[error(
        "invalid name for build stage: {}, name can't start with a number or contain symbols",
        crate::go::quote(.0)
    )]
    StageName(String),
    #[error("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")]
    OnBuildChain,
    #[error("{0} isn't allowed as an ONBUILD trigger")]
    OnBuildTrigger(String),
    #[error("onbuild trigger should be a single expression")]
    NotOneTrigger,
    #[error("VOLUME specified can not be an empty string")]
    EmptyVolume,
    #[error("HEALTHCHECK NONE takes no arguments")]
    HealthNone,
    #[error("Missing command after HEALTHCHECK CMD")]
    HealthCommand,
    #[error("Unknown type {} in HEALTHCHECK (try CMD)", crate::go::quote(.0))]
    HealthType(String),
    #[error("Interval {} cannot be less than 1ms", crate::go::quote(.0))]
    HealthInterval(&'static str),
    #[error("time: {0}")]
    Duration(String),
    #[error("--retries cannot be negative ({0})")]
    NegativeRetries(i64),
    #[error("strconv.ParseInt: parsing {}: {why}", crate::go::quote(value))]
    Integer { value: String, why: &'static str },
    // flags
    #[error("unknown flag: --{name}{suggestion}")]
    UnknownFlag { name: String, suggestion: String },
    #[error("duplicate flag specified: --{0}")]
    DuplicateFlag(String),
    #[error("missing a value on flag: --{0}")]
    FlagValue(String),
    #[error("expecting boolean value for flag --{name}, not: {value}")]
    FlagBoolean { name: String, value: String },
    // RUN
    #[error("failed to parse csv mounts: {0}")]
    MountCsv(&'static str),
    #[error("failed to parse csv devices: {0}")]
    DeviceCsv(&'static str),
    #[error("invalid field '{0}' must be a key=value pair")]
    Field(String),
    #[error("unexpected key '{key}' in '{field}'{suggestion}")]
    FieldKey { key: String, field: String, suggestion: String },
    #[error("unexpected key '{key}' for mount type '{kind}'")]
    MountKey { key: String, kind: &'static str },
    #[error("invalid value for {key}: {value}")]
    FieldValue { key: String, value: String },
    #[error("invalid value {value} for {key}")]
    MountNumber { key: &'static str, value: String },
    #[error("unsupported mount type {}{suggestion}", crate::go::quote(value))]
    MountType { value: String, suggestion: String },
    #[error("unsupported sharing value {}{suggestion}", crate::go::quote(value))]
    Sharing { value: String, suggestion: String },
    #[error("'from' doesn't support variable expansion, define alias stage instead")]
    MountFromVariable,
    #[error("{key} not allowed for {} type mounts", crate::go::quote(kind))]
    MountOwner { key: &'static str, kind: &'static str },
    #[error("secret mount should not have a from")]
    SecretFrom,
    #[error("secret mount should not define sharing")]
    SecretSharing,
    #[error("invalid secret mount. one of source, target required")]
    SecretWhich,
    #[error("both source and id can't be set")]
    SecretBoth,
    #[error("invalid cache sharing set for {0} mount")]
    SharingWithoutCache(&'static str),
    #[error("invalid network mode {}", crate::go::quote(.0))]
    Network(String),
    #[error("security {} is not valid", crate::go::quote(.0))]
    Security(String),
    #[error("device name already set to {0}")]
    DeviceName(String),
    // words
    #[error("failed to process {}: {why}", crate::go::quote(word))]
    Word { word: String, why: crate::word::Problem },
}

impl Problem {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnterminatedHeredoc => {
                "end it with a line that has only its name, or quote the `<<` if it's a shell's".to_owned()
            }
            Self::NoStage => "begin with FROM; only ARG may stand before it".to_owned(),
            Self::NotJson(name) => format!("write {name} [\"executable\", \"argument\"] with double quotes"),
            Self::OnBuildChain | Self::OnBuildTrigger(_) => {
                "a trigger may be any instruction but ONBUILD, FROM and MAINTAINER".to_owned()
            }
            Self::StageName(name) => {
                format!("rename stage {name}: letters, digits, `-`, `_`, `.`; a letter first")
            }
            Self::NoDestination(name) => format!("write {name} SOURCE... DESTINATION"),
            _ => return None,
        })
    }
}
