//! What is wrong with the meaning of a Dockerfile, and where.

use diag::Class;
use dockerfile::Lines;

/// A sentence in BuildKit's words, and its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    pub message: String,
    pub lines: Lines,
    pub class: Class,
    pub hint: Option<String>,
}

impl Problem {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), lines: Lines::default(), class: Class::Invalid, hint: None }
    }

    /// The place, if it has none yet.
    pub(super) fn at(self, lines: Lines) -> Self {
        if self.lines == Lines::default() { Self { lines, ..self } } else { self }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl From<dockerfile::Problem> for Problem {
    fn from(problem: dockerfile::Problem) -> Self {
        Self::new(problem.to_string())
    }
}

impl From<dockerfile::Error> for Problem {
    fn from(error: dockerfile::Error) -> Self {
        let hint = diag::Explain::hint(&error);
        Self { hint, ..Self::new(error.to_string()) }.at(error.lines)
    }
}

/// What the graph refuses.
impl From<crate::Error> for Problem {
    fn from(error: crate::Error) -> Self {
        let class = diag::Explain::class(&error);
        Self { class, ..Self::new(diag::chain(&error)) }
    }
}
