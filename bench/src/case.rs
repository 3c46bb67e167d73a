//! What a case is.

use crate::stage::{Bench, SLEEPER, TAG};

/// Who does the same work.
pub(crate) enum Against {
    Docker,
    /// If this machine has it.
    Program(&'static str),
}

/// What a figure has to keep to; the page says where it doesn't.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Owed {
    /// So many times less than the peer's, in the same run.
    Part(f64),
    /// Less than this, in the case's unit.
    Below(f64),
    /// At most so many times another case's.
    Times(f64, &'static str),
}

type Sample = fn(&Bench) -> anyhow::Result<f64>;

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) rounds: usize,
    pub(crate) owed: &'static [Owed],
    pub(crate) against: Against,
    pub(crate) ours: Sample,
    pub(crate) theirs: Option<Sample>,
}

/// Cases that share a table, and an engine of their own.
pub(crate) struct Section {
    pub(crate) title: &'static str,
    /// Who is in the table's third column.
    pub(crate) peer: &'static str,
    pub(crate) cases: &'static [Case],
    /// How it was measured, and why something falls short: in a person's words.
    pub(crate) notes: &'static str,
}

pub(crate) const EXEC: &[&str] = &["exec", SLEEPER, "true"];
pub(crate) const RUN: &[&str] = &["run", "--rm", "--network", "none", TAG, "true"];
