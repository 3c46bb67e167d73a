//! From a Dockerfile to the graph: what BuildKit's `dockerfile2llb` does.
//!
//! [`lower`] is a function of a Dockerfile, options and what is [`Known`] of the world; it reads nothing itself. Where
//! it lacks an image's configuration or a context's ignore file it answers with what it [`Needs`](Step::Needs), and is
//! called again when that is known: a base image's triggers may need images that nobody could have listed before. That
//! is simpler than asking in the middle, everything can be asked at once, and tests need no engine.
//! [`Dockerfile`] is the frontend that does the asking.
//!
//! Each call goes over the stages twice: the first finds which paths of the client's directories are used, the second
//! makes the graph, in which a directory is sent with only these.

mod arguments;
#[cfg(test)]
mod asking;
mod attributes;
mod begin;
mod checks;
mod context;
mod copy;
mod environment;
mod frontend;
mod git;
mod image;
mod instructions;
mod mounts;
mod names;
mod options;
mod outline;
mod platform;
mod ports;
mod problem;
mod requests;
mod run;
mod signals;
mod stage;
mod stages;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dockerfile::check::{Finding, Findings};
use oci::image::{ImageConfig, Platform};

use crate::frontend::ResolvedImage;
use crate::graph::{Graph, Output};

pub use context::{Context, Main};
pub use frontend::Dockerfile;
pub use options::{NoCache, Options};
pub use outline::{Outline, targets};
pub use problem::Problem;

/// What is known of the world so far.
#[derive(Debug, Clone, Default)]
pub struct Known {
    images: BTreeMap<(String, String), ResolvedImage>,
    /// Patterns of named contexts' ignore files.
    ignores: BTreeMap<String, Vec<String>>,
}

/// Something that has to be known first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// An image's configuration.
    Image {
        /// `docker.io/library/busybox:latest`.
        reference: String,
        /// As the person wrote it.
        typed: String,
        platform: String,
        /// What progress shows.
        name: String,
        lines: (usize, usize),
    },
    /// The ignore file of a named context that is a directory of the client's.
    Ignore {
        /// The context's key.
        key: String,
        /// The name by which the session knows the directory.
        local: String,
    },
}

impl Known {
    pub fn add_image(&mut self, reference: &str, platform: &str, image: ResolvedImage) {
        self.images.insert((reference.to_owned(), platform.to_owned()), image);
    }

    pub fn add_ignore(&mut self, key: &str, patterns: Vec<String>) {
        self.ignores.insert(key.to_owned(), patterns);
    }

    fn image(&self, reference: &str, platform: &Platform) -> Option<&ResolvedImage> {
        self.images.get(&(reference.to_owned(), platform::format(platform)))
    }
}

/// How far a call came.
#[derive(Debug)]
pub enum Step {
    Needs(BTreeSet<Need>),
    Done(Box<Lowered>),
}

/// A Dockerfile's result.
#[derive(Debug)]
pub struct Lowered {
    pub graph: Arc<Graph>,
    /// Nothing where nothing was done to nothing.
    pub output: Option<Output>,
    pub config: ImageConfig,
    /// The base image's own configuration, where there is one.
    pub base: Option<Vec<u8>>,
    pub findings: Vec<Finding>,
    pub outline: Outline,
}

/// Which paths of which of the client's directories are used: `/` is all of it.
type Paths = BTreeMap<String, BTreeSet<String>>;

/// Lowers what `options` ask for. `findings` come from reading the text; those of the meaning are added, and come out in
/// the result, or in `findings` if there is none.
pub fn lower(
    dockerfile: &dockerfile::Dockerfile,
    options: &Options,
    known: &Known,
    findings: &mut Findings,
) -> Result<Step, Problem> {
    let mut scratch = findings.clone();
    let paths = match stages::pass(dockerfile, options, known, None, &mut scratch) {
        Ok(stages::Pass::Needs(needs)) => return Ok(Step::Needs(needs)),
        Ok(stages::Pass::Done { paths, .. }) => paths,
        Err(problem) => {
            *findings = scratch;
            return Err(problem);
        }
    };
    match stages::pass(dockerfile, options, known, Some(&paths), findings)? {
        stages::Pass::Needs(needs) => Ok(Step::Needs(needs)),
        stages::Pass::Done { lowered, .. } => Ok(Step::Done(lowered)),
    }
}
