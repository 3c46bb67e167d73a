//! `build`, under all its names: the command line becomes a request of BuildKit's, the engine builds, and asks back on a
//! session for what it needs.

mod answer;
mod context;
mod csv;
mod excerpt;
mod folders;
mod keys;
mod metadata;
mod outputs;
mod policy;
mod progress;
mod request;
mod run;
mod secrets;

pub(crate) use context::is_remote;
pub(super) use progress::{Display, Mode};

use crate::call::Call;
use crate::error::{Error, Outcome};

/// `build`, `image build`, `builder build`, `buildx build`.
pub(crate) fn build(call: &Call) -> Outcome {
    run::run(call, "").map_err(named)
}

/// The same as one of several builds, shown under a name.
pub(super) fn part(call: &Call, name: &str) -> Outcome {
    run::run(call, name).map_err(named)
}

/// What several lines of `build` say, at once; each has a name.
pub(super) fn together(call: &Call, all: &[(String, Call)]) -> Outcome {
    run::together(call, all).map_err(named)
}

/// buildx ends with this word before whatever went wrong.
fn named(error: Error) -> Error {
    match error {
        Error::Usage(text) if !text.starts_with("ERROR: ") => Error::Usage(format!("ERROR: {text}")),
        other => other,
    }
}
