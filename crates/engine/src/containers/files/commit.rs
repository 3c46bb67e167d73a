//! `commit`: a container's changes on top of its image become an image.

use std::os::fd::AsFd;

use oci::image::ContainerConfig;
use oci::{Digest, Reference};

use super::OWN;
use super::freeze::Frozen;
use crate::Error;
use crate::containers::config::Config;
use crate::containers::{Containers, Handle};
use crate::images::{NewImage, changes};
use crate::networks::runs;

/// What a commit is to become.
#[derive(Debug, Default)]
pub struct Commit {
    pub name: Option<Reference>,
    pub author: String,
    pub comment: String,
    /// Dockerfile instructions.
    pub changes: Vec<String>,
    /// What replaces the container's own configuration, where it says something.
    pub config: Option<Config>,
    /// Whether nothing moves in the container meanwhile.
    pub pause: bool,
}

impl Containers {
    /// Makes the image. Blocking.
    pub fn commit(&self, handle: &Handle, commit: Commit) -> Result<Digest, Error> {
        let container = &handle.view().container;
        let own = settings(&container.config);
        let mut config = commit.config.as_ref().map_or_else(|| own.clone(), settings);
        changes::apply(&mut config, &commit.changes)?;
        fill(&mut config, own);
        let live = container.state.live().filter(|_| commit.pause);
        let frozen = live.map(|live| Frozen::enter(live.pid, &container.id)).transpose()?.flatten();
        if frozen.is_some() {
            self.shared.emit(container, "pause", &[]);
        }
        let new = NewImage {
            base: container.image.clone(),
            name: commit.name.clone(),
            author: commit.author,
            comment: commit.comment.clone(),
            created_by: container.config.cmd.clone().unwrap_or_default().join(" "),
            config,
        };
        let (upper, lower) = self.shared.halves(container)?;
        let limits = self.shared.layers.limits().clone();
        let made = self.images.commit(new, move |out| {
            layers::pack_changes((upper.as_fd(), layers::Source::Live), lower.as_fd(), OWN, out, &limits)
        });
        let id = made.inspect(|id| {
            let named = commit.name.map(|name| name.or_latest().familiar()).unwrap_or_default();
            let more = [("comment", commit.comment), ("imageID", id.to_string()), ("imageRef", named)];
            self.shared.emit(container, "commit", &more);
        });
        if frozen.is_some() {
            drop(frozen);
            self.shared.emit(container, "unpause", &[]);
        }
        id
    }
}

/// What an image keeps of a container's configuration.
fn settings(config: &Config) -> ContainerConfig {
    let set = |set: &Option<std::collections::BTreeMap<String, crate::containers::config::Empty>>| {
        set.iter().flatten().map(|(key, _)| (key.clone(), oci::image::Empty {})).collect()
    };
    ContainerConfig {
        user: config.user.clone(),
        exposed_ports: (config.exposed_ports.iter().flat_map(runs::keys))
            .map(|port| (port, oci::image::Empty {}))
            .collect(),
        env: config.env.clone().unwrap_or_default(),
        entrypoint: config.entrypoint.clone(),
        cmd: config.cmd.clone(),
        volumes: set(&config.volumes),
        working_dir: config.working_dir.clone(),
        labels: config.labels.clone().unwrap_or_default(),
        stop_signal: config.stop_signal.clone(),
        healthcheck: config.healthcheck.clone(),
        shell: config.shell.clone(),
        on_build: config.on_build.clone(),
        args_escaped: config.args_escaped,
    }
}

/// What the new configuration leaves open, the container's says.
fn fill(config: &mut ContainerConfig, own: ContainerConfig) {
    let text = |field: &mut String, value: String| {
        if field.is_empty() {
            *field = value;
        }
    };
    text(&mut config.user, own.user);
    text(&mut config.working_dir, own.working_dir);
    text(&mut config.stop_signal, own.stop_signal);
    let name = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
    for entry in own.env {
        if !config.env.iter().any(|given| name(given) == name(&entry)) {
            config.env.push(entry);
        }
    }
    for (label, value) in own.labels {
        config.labels.entry(label).or_insert(value);
    }
    config.exposed_ports.extend(own.exposed_ports);
    config.volumes.extend(own.volumes);
    // An entry point of its own makes the container's command meaningless.
    if config.entrypoint.as_ref().is_none_or(Vec::is_empty) {
        if config.cmd.as_ref().is_none_or(Vec::is_empty) {
            config.cmd = own.cmd;
        }
        config.entrypoint = config.entrypoint.take().or(own.entrypoint);
    }
    config.healthcheck = config.healthcheck.take().or(own.healthcheck);
    config.shell = config.shell.take().or(own.shell);
}
