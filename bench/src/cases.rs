//! What a case is, and all that there are, by the sections of the page.

use crate::stage::{Bench, SLEEPER, TAG};
use crate::{builds, compose, containers, images, networks, podman, registry, runtime, start, volumes};

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

pub(crate) const SECTIONS: &[Section] = &[
    Section {
        title: "The first commands",
        peer: "docker",
        cases: start::CASES,
        notes: include_str!("../notes/start.md"),
    },
    Section {
        title: "Containers",
        peer: "docker",
        cases: containers::CASES,
        notes: include_str!("../notes/containers.md"),
    },
    Section {
        title: "Podman",
        peer: "podman",
        cases: podman::CASES,
        notes: include_str!("../notes/podman.md"),
    },
    Section {
        title: "Networks",
        peer: "docker",
        cases: networks::CASES,
        notes: include_str!("../notes/networks.md"),
    },
    Section {
        title: "Volumes",
        peer: "docker",
        cases: volumes::CASES,
        notes: include_str!("../notes/volumes.md"),
    },
    Section {
        title: "Compose",
        peer: "docker compose",
        cases: compose::CASES,
        notes: include_str!("../notes/compose.md"),
    },
    Section {
        title: "Builds",
        peer: "docker",
        cases: builds::CASES,
        notes: include_str!("../notes/builds.md"),
    },
    Section {
        title: "Images",
        peer: "docker",
        cases: images::CASES,
        notes: include_str!("../notes/images.md"),
    },
    Section {
        title: "The private registry",
        peer: "docker-registry",
        cases: registry::CASES,
        notes: include_str!("../notes/registry.md"),
    },
    Section {
        title: "The runtime",
        peer: "crun, runc",
        cases: runtime::CASES,
        notes: include_str!("../notes/runtime.md"),
    },
];

/// All that there are.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    SECTIONS.iter().flat_map(|section| section.cases)
}

pub(crate) const EXEC: &[&str] = &["exec", SLEEPER, "true"];
pub(crate) const RUN: &[&str] = &["run", "--rm", "--network", "none", TAG, "true"];
