//! All cases, by the sections of the page.

use crate::case::{Case, Section};
use crate::{builds, compose, containers, images, networks, podman, registry, runtime, start, volumes};

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
