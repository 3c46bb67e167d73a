//! Build checks: what is no error and should be written otherwise. BuildKit's rules, in its words and its formats.

mod options;
mod report;
mod rule;
pub(crate) mod text;

pub use options::{Options, OptionsProblem};
pub use report::{Failure, json, location, text};
pub use rule::Rule;

use crate::error::Lines;

/// One violation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub rule: Rule,
    /// The sentence about this place.
    pub detail: String,
    pub lines: Lines,
}

/// What was found, as far as the options let it.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    options: Options,
    found: Vec<Finding>,
}

impl Findings {
    pub fn new(options: Options) -> Self {
        Self { options, found: Vec::new() }
    }

    pub fn add(&mut self, rule: Rule, lines: Lines, detail: String) {
        if self.options.allow(rule) {
            self.found.push(Finding { rule, detail, lines });
        }
    }

    /// In the order in which they were found.
    pub fn list(&self) -> &[Finding] {
        &self.found
    }

    /// The build's error, where the options make one of any finding.
    pub fn error(&self) -> Option<String> {
        if !self.options.fail || self.found.is_empty() {
            return None;
        }
        let mut rules = Vec::new();
        for finding in &self.found {
            let name = finding.rule.name();
            if !rules.contains(&name) {
                rules.push(name);
            }
        }
        Some(format!("lint violation found for rules: {}", rules.join(", ")))
    }
}
