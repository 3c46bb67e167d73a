//! The build cache that others have: brought from a registry or from an image, and given to them.
//!
//! A step's key says what it would make whatever led there, so what one engine made is found by another one. What is exchanged
//! are BuildKit's documents: a config that lists layers, each on another one, and for each key the layer that its result
//! ends with. An image may carry the list for its own layers in its config (`inline`).

mod bring;
mod buckets;
mod document;
mod give;
mod mounts;
pub(super) mod stores;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use build::Error;
use build::request::{Cache as Asked, CacheEntry};
use oci::Digest;
use oci::image::Descriptor;

use super::tree::{Layer, Tree};
pub(super) use bring::bring_from_client;
pub(super) use mounts::{Others, TOP};

/// In an image's config: the cache that goes with it.
pub(super) const INLINE: &str = "moby.buildkit.cache.v0";

/// One build's dealings with others.
#[derive(Default)]
pub(super) struct Remote {
    sources: Vec<Source>,
    /// What the steps of this build made or were found to have made.
    journal: Mutex<BTreeMap<Digest, Vec<Vec<Layer>>>>,
    /// The ids of its steps' cache mounts.
    mounts: Mutex<BTreeSet<String>>,
}

/// A cache that somebody has.
struct Source {
    /// For each key the layers, lowest first.
    chains: HashMap<String, Vec<Part>>,
    place: Place,
}

/// Where its layers are.
enum Place {
    Here,
    Registry(Box<distribution::Repository>),
    Client(stores::Store),
    Bucket(Box<buckets::Bucket>),
}

/// A layer, and as what it is to be had.
#[derive(Debug, Clone)]
struct Part {
    blob: Descriptor,
    diff_id: Digest,
    /// When it was made, in seconds since 1970: an image of it says so.
    made: Option<u64>,
}

/// The same as it is written down.
fn made(at: &str) -> Option<u64> {
    let at: jiff::Timestamp = at.parse().ok()?;
    u64::try_from(at.as_second()).ok()
}

impl Remote {
    /// Takes note of what a step made.
    pub(super) fn note(&self, key: &Digest, made: &[Tree]) {
        let outputs = made.iter().map(|tree| tree.list().to_vec()).collect();
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), outputs);
    }

    /// Steps with one result, each with its layers; only those that went into `ends`, if that is given.
    fn results(&self, ends: Option<&[&Tree]>) -> Vec<(Digest, Vec<Layer>)> {
        let journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let single = journal.iter().filter_map(|(key, outputs)| match &outputs[..] {
            [layers] if !layers.is_empty() => Some((key.clone(), layers.clone())),
            _ => None,
        });
        let begins = |whole: &[Layer], layers: &[Layer]| {
            layers.len() <= whole.len() && layers.iter().zip(whole).all(|(a, b)| a.diff_id == b.diff_id)
        };
        let wanted =
            |layers: &[Layer]| ends.is_none_or(|ends| ends.iter().any(|end| begins(end.list(), layers)));
        single.filter(|(_, layers)| wanted(layers)).collect()
    }

    /// What goes into the config of an image with this result.
    pub(super) fn inline(&self, end: &Tree) -> Result<Option<String>, Error> {
        let results = self.results(Some(&[end]));
        match results.is_empty() {
            true => Ok(None),
            false => document::inline(&results).map(Some),
        }
    }
}

/// Refuses what isn't exchanged, by name.
pub(super) fn check(asked: &Asked) -> Result<(), Error> {
    for entry in &asked.from {
        match entry.kind.as_str() {
            "registry" => known(entry, &["ref", "registry.insecure"])?,
            "local" => {
                // The client has found the digest by the tag.
                known(entry, &["src", "tag", "digest"])?;
                stores::digest(entry)?;
                continue;
            }
            "s3" => {
                known(entry, buckets::KEYS)?;
                buckets::Settings::read(entry)?;
                continue;
            }
            other => return Err(Error::Unsupported { what: format!("a cache from {other:?}") }),
        }
        check_insecure(&entry.attributes, &[reference(entry)?])?;
    }
    for entry in &asked.to {
        match entry.kind.as_str() {
            "inline" => known(entry, &[])?,
            "registry" => {
                known(entry, give::KEYS)?;
                check_insecure(&entry.attributes, &[reference(entry)?])?;
                give::Settings::read(entry)?;
            }
            "local" => {
                known(entry, give::LOCAL_KEYS)?;
                stores::name(entry, "dest")?;
                give::Settings::read(entry)?;
            }
            "s3" => {
                known(entry, &[buckets::KEYS, buckets::GIVING].concat())?;
                buckets::Settings::read(entry)?;
                give::Settings::read(entry)?;
            }
            other => return Err(Error::Unsupported { what: format!("a cache to {other:?}") }),
        }
    }
    Ok(())
}

/// A client doesn't decide for an engine who is spoken to without TLS. This host's own registries always may be.
pub(super) fn check_insecure(
    attributes: &BTreeMap<String, String>,
    names: &[oci::Reference],
) -> Result<(), Error> {
    let is_asked = attributes.get("registry.insecure").is_some_and(|value| value == "true");
    let is_local = |name: &oci::Reference| {
        let host = name.domain();
        host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]")
    };
    match is_asked && !names.iter().all(is_local) {
        true => Err(Error::Unsupported {
            what: "registry.insecure=true (the engine's insecure-registries decide that)".into(),
        }),
        false => Ok(()),
    }
}

fn known(entry: &CacheEntry, keys: &[&str]) -> Result<(), Error> {
    match entry.attributes.keys().find(|key| !keys.contains(&key.as_str())) {
        Some(odd) => {
            Err(Error::Unsupported { what: format!("the setting {odd:?} of a cache {:?}", entry.kind) })
        }
        None => Ok(()),
    }
}

fn reference(entry: &CacheEntry) -> Result<oci::Reference, Error> {
    let name = entry.attributes.get("ref").map(String::as_str).unwrap_or_default();
    let invalid = |e| Error::Invalid(format!("failed to parse the cache's ref {name:?}: {e}"));
    oci::Reference::parse(name).map(oci::Reference::or_latest).map_err(invalid)
}
