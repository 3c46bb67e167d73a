//! `ketch system doctor`: what the engine needs of its machine, whether it is there, and what helps where it isn't.

mod kernel;
mod machine;
mod network;

use std::fs;
use std::path::{Path, PathBuf};

use super::Cgroups;
use crate::Engine;

/// How it stands with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    Fine,
    /// Containers run, with less than there could be.
    Warning,
    /// Something that people ask for can't work.
    Failed,
}

/// What was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub subject: &'static str,
    pub health: Health,
    pub said: String,
    /// What helps; empty where nothing has to.
    pub remedy: String,
}

impl Finding {
    fn fine(subject: &'static str, said: impl Into<String>) -> Self {
        Self { subject, health: Health::Fine, said: said.into(), remedy: String::new() }
    }

    fn warning(subject: &'static str, said: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { subject, health: Health::Warning, said: said.into(), remedy: remedy.into() }
    }

    fn failed(subject: &'static str, said: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { subject, health: Health::Failed, said: said.into(), remedy: remedy.into() }
    }
}

/// The kernel's own files, which a test may have elsewhere.
#[derive(Debug)]
struct Files {
    root: PathBuf,
}

impl Files {
    /// Without the last line's end; nothing where there is no such file.
    fn text(&self, path: &str) -> Option<String> {
        Some(fs::read_to_string(self.root.join(path)).ok()?.trim_end().to_owned())
    }

    fn number(&self, path: &str) -> Option<u64> {
        self.text(path)?.parse().ok()
    }
}

/// Looks at all of it. Blocking.
pub fn examine(engine: &Engine) -> Vec<Finding> {
    let files = Files { root: Path::new("/").to_owned() };
    let mut findings = kernel::examine(&files, &engine.host.kernel_version, &Cgroups::detect());
    findings.extend(machine::examine(&files, &engine.settings.data_root));
    findings.extend(network::examine(&files, &engine.networks));
    findings
}
