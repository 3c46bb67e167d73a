//! From a step's mounts to what its container finds.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use build::Error;
use build::graph::{Bind, Exec, Mount, MountKind};
use rustix::fs::{Mode, OFlags};

use super::secrets::SecretFiles;
use super::{Kept, Running, stubs};
use crate::builds::cachemounts::Taken;
use crate::builds::error::{blocking, engine, work};
use crate::builds::remote::TOP;
use crate::builds::tree::Tree;
use crate::containers::Once;
use crate::containers::config::{Config, HostConfig};
use crate::containers::mounts::{Kind, Making, Point};

/// A step that is ready to run.
pub(super) struct Prepared {
    pub(super) once: Arc<Once>,
    pub(super) root: OwnedFd,
    pub(super) sources: Vec<(String, OwnedFd)>,
    pub(super) kept: Vec<Kept>,
    pub(super) caches: Vec<Taken>,
}

impl Running {
    /// Mounts what the step works on. Blocking.
    pub(super) fn prepare(
        &self,
        exec: &Exec,
        inputs: &[Tree],
        config: Config,
        mut host: HostConfig,
        caches: &[(String, Taken)],
        secrets: SecretFiles,
    ) -> Result<Prepared, Error> {
        let place = |mount: &Mount| absolute(&exec.cwd, &mount.target);
        let mut points = Vec::new();
        for mount in exec.mounts.iter().filter(|mount| mount.target != "/") {
            let target = place(mount);
            let known = secrets.sources.iter().any(|(known, _)| *known == target);
            if known || !matches!(mount.kind, MountKind::Secret(_) | MountKind::Ssh(_)) {
                points.push(point(mount, target));
            }
        }
        points.sort_by_key(|point| point.destination.matches('/').count());
        let own: Vec<String> =
            points.iter().flat_map(|point| stubs(&point.destination, exec.remove_mount_stubs)).collect();
        let root = exec.mounts.iter().find(|mount| mount.target == "/");
        let root = root.ok_or_else(|| Error::Invalid("a step has no root".into()))?;
        host.readonly_rootfs = root.read_only;
        let once = Once::new(&self.shared, config, host, points).map_err(|e| engine("prepare a step", e))?;
        let mut sources = Vec::new();
        for (target, file) in secrets.sources {
            sources.push((target, file.mount(&once.work())?));
        }
        let (mut kept, mut root_fd) = (Vec::new(), None);
        for (at, mount) in exec.mounts.iter().enumerate() {
            let MountKind::Bind(bind) = &mount.kind else { continue };
            let base = input(bind, inputs)?;
            let is_root = mount.target == "/";
            let places = match is_root {
                true => (once.upper(), once.work()),
                false => {
                    let folder = |name: &str| {
                        once.folder(&format!("{name}-{at}")).map_err(|e| engine("prepare a mount", e))
                    };
                    (folder("upper")?, folder("work")?)
                }
            };
            let writable = !mount.read_only || is_root;
            let tree = self.mount(&base, writable.then_some((&places.0, &places.1)))?;
            if let Some(output) = mount.output {
                let own = if is_root { own.clone() } else { Vec::new() };
                kept.push(Kept { output, base, upper: places.0, own });
            }
            match is_root {
                true => root_fd = Some(below(tree, &bind.selector, &once.work())?),
                false => sources.push((place(mount), below(tree, &bind.selector, &once.work())?)),
            }
        }
        for mount in &exec.mounts {
            let MountKind::Cache(cache) = &mount.kind else { continue };
            let taken = caches.iter().find(|(target, _)| *target == mount.target);
            let Some((_, taken)) = taken else { continue };
            if let Some(from) = cache.from
                && taken.is_new()
            {
                let bind = Bind { from: Some(from), selector: cache.selector.clone() };
                let tree = self.mount(&input(&bind, inputs)?, None)?;
                taken
                    .fill(below(tree, &bind.selector, &once.work())?.as_fd(), self.shared.layers.limits())?;
            }
            // Of what it begins with, the part is taken when it is filled; what steps have made, a step may have a part of.
            let part = if cache.from.is_some() { "" } else { &cache.selector };
            sources.push((place(mount), taken.open_part(part)?));
        }
        let root = root_fd.ok_or_else(|| Error::Invalid("a step's root is no tree".into()))?;
        let caches = caches.iter().map(|(_, taken)| taken.clone()).collect();
        Ok(Prepared { once, root, sources, kept, caches })
    }

    /// Those of a step's cache mounts in which there is nothing yet get what others have for them. A cache is no more than
    /// that: what can't be had is made again.
    pub(super) async fn fill_caches(&self, caches: Vec<(String, Taken)>) -> Vec<(String, Taken)> {
        let mut filled = Vec::new();
        for (target, taken) in caches {
            let found = match taken.is_new() {
                true => self.others.mount(taken.id()).await,
                false => None,
            };
            let Some(found) = found else {
                filled.push((target, taken));
                continue;
            };
            let (running, into) = (self.clone(), taken.clone());
            let filling = blocking(move || {
                let layer = running.mount(found.tree(), None)?;
                let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let files = rustix::fs::openat(&layer, TOP, flags, Mode::empty());
                let files = files.map_err(|e| work("look into a cache mount's layer", e))?;
                into.fill(files.as_fd(), running.shared.layers.limits())
            });
            if let Err(error) = filling.await {
                tracing::warn!(error = diag::chain(&error), id = taken.id(), "a cache mount isn't filled");
            }
            filled.push((target, taken.filled()));
        }
        filled
    }

    fn mount(
        &self,
        tree: &Tree,
        writable: Option<(&std::path::PathBuf, &std::path::PathBuf)>,
    ) -> Result<OwnedFd, Error> {
        let folder = match tree {
            Tree::Folder(folder) => {
                Some(folder.files().try_clone_to_owned().map_err(|e| work("open a build's directory", e))?)
            }
            Tree::Layers(_) => None,
        };
        let writable = writable.map(|(upper, work)| (upper.as_path(), work.as_path()));
        self.shared
            .layers
            .mount_over(&tree.diff_ids(), folder, writable)
            .map_err(|e| work("mount a step's files", e))
    }
}

fn input(bind: &Bind, inputs: &[Tree]) -> Result<Tree, Error> {
    match bind.from {
        None => Ok(Tree::scratch()),
        Some(input) => {
            let tree = inputs.get(input.0 as usize);
            tree.cloned().ok_or_else(|| Error::Invalid("a mount names an input that isn't there".into()))
        }
    }
}

/// A part of a tree, which may not lead out of it. All of it is the tree itself. `at` is a directory that nobody uses.
fn below(tree: OwnedFd, selector: &str, at: &std::path::Path) -> Result<OwnedFd, Error> {
    let selector = selector.trim_matches('/');
    if selector.is_empty() || selector == "." {
        return Ok(tree);
    }
    let part = sys::part_of_mount(tree.as_fd(), at, OsStr::from_bytes(selector.as_bytes()));
    part.map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::NotFound(format!("\"/{selector}\": not found")),
        _ => work(format!("open /{selector} for a mount"), e),
    })
}

/// What is mounted, in a container's words. Where it comes from is known by its target.
fn point(mount: &Mount, destination: String) -> Point {
    let (kind, options) = match &mount.kind {
        MountKind::Tmpfs { size } => {
            let size = (*size > 0).then(|| format!("size={size}"));
            (Kind::Tmpfs, ["exec".to_owned(), "mode=1777".to_owned()].into_iter().chain(size).collect())
        }
        _ => (Kind::Bind, Vec::new()),
    };
    Point {
        kind,
        name: String::new(),
        source: String::new(),
        destination,
        mode: String::new(),
        writable: !mount.read_only,
        propagation: "rprivate".into(),
        recursive: false,
        shallow: false,
        id_map: false,
        ensure_source: false,
        copy_up: false,
        listed: false,
        options,
        subpath: String::new(),
        make: Making::default(),
        layers: Vec::new(),
    }
}

/// A path in the container without `.`, `..` and doubled slashes.
pub(super) fn absolute(cwd: &str, target: &str) -> String {
    let whole = if target.starts_with('/') { target.to_owned() } else { format!("{cwd}/{target}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
