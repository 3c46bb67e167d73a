//! The same files in other layers: all that a build made as one (`squash`), or with times that aren't later than
//! `SOURCE_DATE_EPOCH` (`rewrite-timestamp`). What its base image has stays as it is.

use std::fs;
use std::os::fd::AsFd;

use build::Error;
use build::frontend::Built;
use build::request::{Export, ExportKind};
use oci::Digest;
use rustix::fs::{Mode, OFlags};
use serde_json::{Value, json};

use super::is_set;
use crate::builds::Parts;
use crate::builds::error::{engine, work};
use crate::builds::exec::on_top;
use crate::builds::tree::{Layer, Tree};

const KEYS: [&str; 3] = ["squash", "rewrite-timestamp", "source-date-epoch"];
/// What a frontend calls `SOURCE_DATE_EPOCH` in its result.
const EPOCH: &str = "source.date.epoch";

/// Whether this is one of the attributes that are read here.
pub(super) fn has(export: &Export, key: &str) -> bool {
    let images = !matches!(export.kind, ExportKind::Local | ExportKind::Tar);
    KEYS.contains(&key) && (images || key == "source-date-epoch")
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    squash: bool,
    rewrite: bool,
    pub(super) epoch: Option<i64>,
}

/// Reads the attributes; refuses what they can't be.
pub(super) fn read(export: &Export, built: &Built) -> Result<Asked, Error> {
    for key in &KEYS[..2] {
        if let Some(value) =
            export.attributes.get(*key).filter(|value| !matches!(value.as_str(), "true" | "false"))
        {
            return Err(Error::Invalid(format!("non-bool value {value:?} specified for {key}")));
        }
    }
    let said = built.metadata.get(EPOCH).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let text = export.attributes.get("source-date-epoch").cloned().or(said).filter(|text| !text.is_empty());
    let wrong = |text: &str| Error::Invalid(format!("invalid SOURCE_DATE_EPOCH: {text:?}"));
    let epoch = text.map(|text| text.parse().map_err(|_| wrong(&text))).transpose()?;
    Ok(Asked { squash: is_set(export, "squash"), rewrite: is_set(export, "rewrite-timestamp"), epoch })
}

/// What doesn't need a result is checked before there is one.
pub(super) fn check(export: &Export) -> Result<(), Error> {
    read(export, &Built::default()).map(drop)
}

impl Asked {
    /// The tree in the layers that are asked for, and the image's config that fits them. Blocking.
    pub(super) fn apply(
        self,
        parts: &Parts,
        tree: Tree,
        config: Option<&[u8]>,
        base: Option<&[u8]>,
    ) -> Result<(Tree, Option<Vec<u8>>), Error> {
        let mut config = config.map(read_config).transpose()?;
        let below = match (self.squash || self.rewrite, base) {
            (true, Some(base)) => layers_of(&read_config(base)?, &tree),
            _ => 0,
        };
        let mut tree = tree;
        if self.squash && tree.list().len() > below + 1 {
            tree = self.kept(parts, &tree, below, "squash 1", squashed)?;
            if let Some(config) = &mut config {
                merge_history(config, below);
            }
        }
        if let (true, Some(epoch)) = (self.rewrite, self.epoch) {
            tree = self.kept(parts, &tree, below, &format!("rewrite 1\0{epoch}"), |parts, tree, below| {
                rewritten(parts, tree, below, epoch)
            })?;
        }
        if let (Some(epoch), Some(config)) = (self.epoch, &mut config) {
            clamp_config(config, epoch);
        }
        let config = config.map(|config| serde_json::to_vec(&config)).transpose();
        Ok((tree, config.map_err(|e| work("write the image's config", e))?))
    }

    /// What was made before of the same layers.
    fn kept(
        self,
        parts: &Parts,
        tree: &Tree,
        below: usize,
        how: &str,
        make: impl FnOnce(&Parts, &Tree, usize) -> Result<Tree, Error>,
    ) -> Result<Tree, Error> {
        let ids: Vec<&str> = tree.list().iter().map(|layer| layer.diff_id.as_str()).collect();
        let key = Digest::sha256(format!("{how}\0{below}\0{}", ids.join("\0")).as_bytes());
        let found = parts.cache.find(&key).map_err(|e| engine("look into the build cache", e))?;
        if let Some(known) = found.and_then(|mut trees| trees.pop()) {
            return Ok(known);
        }
        let made = make(parts, tree, below)?;
        let remembered = parts.cache.put(&key, "exporting layers", std::slice::from_ref(&made));
        remembered.map_err(|e| engine("remember an image's layers", e))?;
        Ok(made)
    }
}

fn read_config(bytes: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(bytes)
        .map_err(|e| Error::Invalid(format!("the image's config can't be read: {e}")))
}

/// How many of a tree's layers are the base image's.
fn layers_of(base: &Value, tree: &Tree) -> usize {
    let ids: Vec<&str> =
        base["rootfs"]["diff_ids"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let list = tree.list();
    let same =
        ids.len() <= list.len() && ids.iter().zip(list).all(|(id, layer)| *id == layer.diff_id.as_str());
    if same { ids.len() } else { 0 }
}

/// The lowest layers of a tree.
fn lowest(parts: &Parts, tree: &Tree, count: usize) -> Result<Tree, Error> {
    let held = parts.cache.hold(&[tree.list()[..count].to_vec()]);
    held.and_then(|mut trees| trees.pop()).ok_or_else(|| work("export layers", "one was removed meanwhile"))
}

/// All layers above as one: what they do to the base image, done once more on top of it.
fn squashed(parts: &Parts, tree: &Tree, below: usize) -> Result<Tree, Error> {
    let (images, limits) = (&parts.shared.images, parts.shared.layers.limits().clone());
    let base = lowest(parts, tree, below)?;
    let folder = parts.scratch()?;
    let (upper, work_folder) = (folder.path().join("upper"), folder.path().join("work"));
    for folder in [&upper, &work_folder] {
        fs::create_dir(folder).map_err(|e| work("create a folder for a layer", e))?;
    }
    let failed = |e: layers::Error| work("merge layers", e);
    let store = images.layer_store();
    let mounted = store.mount_over(&base.diff_ids(), None, Some((&upper, &work_folder))).map_err(failed)?;
    // The mount's own descriptor only says where it is.
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let mounted = rustix::fs::openat(&mounted, ".", flags, Mode::empty())
        .map_err(|e| work("open a folder for a layer", e))?;
    for layer in tree.list()[below..].iter().filter(|layer| !layer.is_empty()) {
        let open = || {
            images
                .layer_tar(&layer.diff_id, layer.size)
                .map_err(|e| layers::Error::ReadTar { source: std::io::Error::other(e) })
        };
        layers::replay(open, mounted.as_fd(), &limits).map_err(failed)?;
    }
    drop(mounted);
    let lower = store.mount_over(&base.diff_ids(), None, None).map_err(failed)?;
    let above = crate::builds::exec::open_folder(&upper)?;
    let tar = layers::Written::by(move |out| {
        let _folder = folder;
        layers::pack_changes((above.as_fd(), layers::Source::Still), lower.as_fd(), &[], out, &limits)
    });
    on_top(&parts.shared, &base, tar.map_err(|e| work("make a pipe for a layer", e))?, "squash")
}

/// Each layer above with times that aren't later.
fn rewritten(parts: &Parts, tree: &Tree, below: usize, latest: i64) -> Result<Tree, Error> {
    let mut made = lowest(parts, tree, below)?;
    for layer in &tree.list()[below..] {
        let Layer { diff_id, size, by, .. } = layer;
        let tar = parts.shared.images.layer_tar(diff_id, *size).map_err(|e| engine("read a layer", e))?;
        let limits = parts.shared.layers.limits().clone();
        let tar = layers::Written::by(move |out| layers::clamp_times(tar, latest, out, &limits));
        let tar = tar.map_err(|e| work("make a pipe for a layer", e))?;
        made = on_top(&parts.shared, &made, tar, by)?;
    }
    Ok(made)
}

/// What made the layers above made none of their own any more; one line stands for the layer that they became.
fn merge_history(config: &mut Value, below: usize) {
    let Some(entries) = config["history"].as_array_mut() else { return };
    let mut layers = 0;
    for entry in entries.iter_mut().filter(|entry| entry["empty_layer"] != json!(true)) {
        layers += 1;
        if layers > below {
            entry["empty_layer"] = json!(true);
        }
    }
}

/// Nothing was made later than it says.
fn clamp_config(config: &mut Value, epoch: i64) {
    let Ok(latest) = jiff::Timestamp::from_second(epoch) else { return };
    config["created"] = json!(latest.to_string());
    for entry in config["history"].as_array_mut().into_iter().flatten() {
        let made = entry["created"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        if made.is_none_or(|made| made > latest) {
            entry["created"] = json!(latest.to_string());
        }
    }
}
