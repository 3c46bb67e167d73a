//! A stage while it is lowered.

use std::collections::{BTreeMap, BTreeSet};

use dockerfile::{Instruction, Lines};
use oci::image::{ImageConfig, Platform};

use super::environment::Environment;
use super::outline::{Arguments, Wanted};
use crate::graph::Output;

/// An instruction and the stages that its `--from`s name, one for each that can have one.
#[derive(Debug, Clone)]
pub(super) struct Command {
    pub(super) instruction: Instruction,
    pub(super) sources: Vec<Option<usize>>,
    /// It came with the base image.
    pub(super) trigger: bool,
}

/// FROM and all that follows, and what has come of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Stage {
    /// In small letters, as other stages know it; empty without `AS`.
    pub(super) alias: String,
    /// As steps show it.
    pub(super) name: String,
    /// What FROM names, expanded.
    pub(super) reference: String,
    pub(super) description: String,
    pub(super) code: String,
    pub(super) lines: Lines,
    /// There is no FROM: a `--from` names an image or a context.
    pub(super) implicit: bool,
    /// The stage that this one goes on from.
    pub(super) base: Option<usize>,
    /// A named context that takes the stage's place.
    pub(super) replaced_by: Option<String>,
    pub(super) commands: Vec<Command>,
    /// Other stages that are needed, and where.
    pub(super) needs: Vec<(usize, Lines)>,
    pub(super) platform: Option<Platform>,

    pub(super) progress: Progress,
    pub(super) triggers_known: bool,
    /// What has been done so far; nothing if nothing has.
    pub(super) root: Option<Output>,
    pub(super) environment: Environment,
    pub(super) directory: String,
    pub(super) user: String,
    pub(super) image: ImageConfig,
    pub(super) base_config: Option<Vec<u8>>,
    /// ARGs with their values, in order.
    pub(super) arguments: Vec<(String, Option<String>)>,
    /// The context whose directory this is, and of it the paths that are used.
    pub(super) context: Option<String>,

    pub(super) no_cache: bool,
    pub(super) total: usize,
    pub(super) index: usize,
    pub(super) in_trigger: bool,
    pub(super) workdir_set: bool,
    pub(super) cmd: Option<Lines>,
    pub(super) entrypoint: Option<Lines>,
    pub(super) healthcheck: Option<Lines>,

    pub(super) known_arguments: Arguments,
    pub(super) used_arguments: BTreeSet<String>,
    pub(super) secrets: BTreeMap<String, Wanted>,
    pub(super) agents: BTreeMap<String, Wanted>,
}

/// How far a stage is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Progress {
    #[default]
    Listed,
    /// What it begins with is known.
    Resolved,
    /// Its instructions are lowered.
    Done,
}

impl Stage {
    /// A stage for a `--from` that names none.
    pub(super) fn implicit(from: &str, lines: Lines) -> Self {
        Self { reference: from.to_owned(), implicit: true, lines, ..Self::default() }
    }

    /// Begins where another has ended.
    pub(super) fn begin_from(&mut self, base: &Self) {
        self.root = base.root;
        self.environment = base.environment.clone();
        self.directory.clone_from(&base.directory);
        self.user.clone_from(&base.user);
        self.image = base.image.clone();
        // Triggers were for this stage and are used up.
        self.image.config.on_build = None;
        self.base_config.clone_from(&base.base_config);
        self.platform.clone_from(&base.platform);
        self.arguments.clone_from(&base.arguments);
        self.context.clone_from(&base.context);
        self.workdir_set = base.workdir_set;
    }
}
