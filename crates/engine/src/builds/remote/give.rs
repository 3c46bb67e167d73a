//! Giving to others.

use std::collections::{BTreeMap, HashMap};

use build::Error;
use build::request::{CacheEntry, Export, ExportKind};
use bytes::Bytes;
use distribution::Access;
use oci::Digest;
use oci::image::{Descriptor, Index, Manifest, media_type};

use super::document::{About, CONFIG, Config, Ends, OneLayer, Record};
use super::stores::{self, Store};
use super::{Remote, buckets, reference};
use crate::builds::error::{blocking, engine, work};
use crate::builds::export::{Exporting, form};
use crate::builds::gateway::{begun, ended};
use crate::builds::tree::{Layer, Tree};
use crate::images::{Form, Lending, Words};

pub(super) const KEYS: &[&str] = &[
    "ref",
    "mode",
    "compression",
    "compression-level",
    "force-compression",
    "oci-mediatypes",
    "image-manifest",
    "ignore-error",
    "registry.insecure",
    "cache-mounts",
];

pub(super) const LOCAL_KEYS: &[&str] = &[
    "dest",
    // The client writes its index itself.
    "tag",
    "mode",
    "compression",
    "compression-level",
    "force-compression",
    "oci-mediatypes",
    "image-manifest",
    "ignore-error",
    "cache-mounts",
];

/// How a cache is given.
pub(super) struct Settings {
    /// Also what no result needs.
    all: bool,
    form: Form,
    /// As an image's manifest, or as an index of layers.
    manifest: bool,
    forgiving: bool,
    /// With what is in its steps' cache mounts.
    mounts: bool,
}

impl Settings {
    pub(super) fn read(entry: &CacheEntry) -> Result<Self, Error> {
        let get = |key: &str| entry.attributes.get(key).map(String::as_str);
        let all = match get("mode") {
            None | Some("" | "min") => false,
            Some("max") => true,
            Some(other) => return Err(Error::Invalid(format!("unknown cache mode {other:?}"))),
        };
        let flag = |key: &str, usual: bool| match get(key) {
            None | Some("") => Ok(usual),
            Some("1" | "true") => Ok(true),
            Some("0" | "false") => Ok(false),
            Some(other) => Err(Error::Invalid(format!("failed to parse {key}: {other:?}"))),
        };
        let packing = Export { kind: ExportKind::Oci, attributes: entry.attributes.clone() };
        let form = form::choose(&packing, true)?.ok_or_else(|| work("give a cache", "it has no form"))?;
        if form.words == Words::Docker && flag("image-manifest", true)? {
            return Err(Error::Invalid("a cache as an image's manifest needs oci-mediatypes=true".into()));
        }
        Ok(Self {
            all,
            form,
            manifest: flag("image-manifest", true)?,
            forgiving: flag("ignore-error", false)?,
            mounts: flag("cache-mounts", false)?,
        })
    }
}

impl Exporting<'_> {
    /// Gives everybody what they are to get; the manifest of the last one, which clients want to know of.
    pub(in crate::builds) async fn give_caches(
        &self,
        remote: &Remote,
        to: &[CacheEntry],
        trees: &[(String, Tree)],
    ) -> Result<Option<Descriptor>, Error> {
        let mut last = None;
        for entry in to.iter().filter(|entry| matches!(entry.kind.as_str(), "registry" | "local" | "s3")) {
            let settings = Settings::read(entry)?;
            let what = match entry.kind.as_str() {
                "local" => "client directory",
                "s3" => "Amazon S3",
                _ => "registry",
            };
            let mut shown = begun(self.progress, &format!("exporting cache to {what}"));
            let given = self.give(remote, entry, &settings, trees).await;
            ended(self.progress, &mut shown, given.as_ref().err());
            match given {
                Err(error) if settings.forgiving => {
                    tracing::warn!(error = diag::chain(&error), "a cache isn't given, which is forgiven");
                }
                given => last = given?.or(last),
            }
        }
        Ok(last)
    }

    async fn give(
        &self,
        remote: &Remote,
        entry: &CacheEntry,
        settings: &Settings,
        trees: &[(String, Tree)],
    ) -> Result<Option<Descriptor>, Error> {
        let ends: Vec<&Tree> = trees.iter().map(|(_, tree)| tree).collect();
        let mut results = remote.results((!settings.all).then_some(&ends[..]));
        let mounts = match settings.mounts {
            true => remote.packed_mounts(self.parts).await?,
            false => Vec::new(),
        };
        results.extend(mounts.iter().map(|(key, files)| (key.clone(), files.tree().list().to_vec())));
        let (images, form) = (self.parts.shared.images.clone(), settings.form);
        let packing = blocking(move || {
            let mut lending = images.lending();
            let config = gather(&results, |layer| {
                lending.layer(&layer.diff_id, layer.size, form).map_err(|e| engine("pack a layer", e))
            })?;
            Ok((config, lending))
        });
        let (config, mut lending) = packing.await?;
        let bytes = serde_json::to_vec(&config).map_err(|e| work("write the cache's config", e))?;
        if entry.kind == "s3" {
            let bucket = buckets::Settings::read(entry)?.open(self.parts);
            let blobs: Vec<Descriptor> = lending.blobs().cloned().collect();
            bucket.give(lending.content(), &blobs, Bytes::from(bytes)).await?;
            return Ok(None);
        }
        let config = lending.document(CONFIG, &bytes).map_err(|e| engine("write the cache's config", e))?;
        if entry.kind == "local" {
            let (kind, bytes) = manifest(settings, config, &lending)?;
            let failed = |e| engine("write the cache's manifest", e);
            let manifest = lending.document(kind, &bytes).map_err(failed)?;
            let store = Store::new(self.session.clone(), stores::name(entry, "dest")?);
            for blob in lending.blobs() {
                store.give(lending.content(), blob).await?;
            }
            return Ok(Some(manifest));
        }
        let name = reference(entry)?;
        let failed =
            |e: distribution::Error| engine(format!("give the cache to {}", name.familiar()), e.into());
        let credentials = self.works.sources().credentials_for(&name);
        let client = self.parts.registries();
        let opened = client.repository(&name, Access::Push, Some(&credentials)).await.map_err(failed)?;
        for blob in lending.blobs() {
            if !opened.has_blob(&blob.digest).await.map_err(failed)? {
                opened.send_blob(lending.content(), &blob.digest, &|_| {}).await.map_err(failed)?;
            }
        }
        let (kind, bytes) = manifest(settings, config, &lending)?;
        let tag = name.tag().unwrap_or("latest");
        let given = Descriptor {
            media_type: kind.to_owned(),
            digest: Digest::sha256(&bytes),
            size: bytes.len() as u64,
            platform: None,
            annotations: BTreeMap::new(),
        };
        opened.put_manifest(tag, kind, &Bytes::from(bytes)).await.map_err(failed)?;
        Ok(Some(given))
    }
}

/// A layer's time as BuildKit writes it down.
fn created_at(made: u64) -> Option<String> {
    let made = jiff::Timestamp::from_second(i64::try_from(made).ok()?).ok()?;
    Some(made.to_string())
}

/// The config, each layer once on each other that it is on.
fn gather(
    results: &[(Digest, Vec<Layer>)],
    mut pack: impl FnMut(&Layer) -> Result<Descriptor, Error>,
) -> Result<Config, Error> {
    let mut config = Config::default();
    let mut known: HashMap<(i64, &Digest), usize> = HashMap::new();
    for (key, layers) in results {
        let mut parent = -1;
        for layer in layers {
            let at = match known.get(&(parent, &layer.diff_id)) {
                Some(at) => *at,
                None => {
                    let blob = pack(layer)?;
                    let about = About {
                        media_type: blob.media_type,
                        diff_id: layer.diff_id.clone(),
                        size: blob.size,
                        created_at: layer.made.and_then(created_at),
                    };
                    config.layers.push(OneLayer { blob: blob.digest, parent, annotations: about });
                    known.insert((parent, &layer.diff_id), config.layers.len() - 1);
                    config.layers.len() - 1
                }
            };
            parent = i64::try_from(at).unwrap_or(-1);
        }
        let end = Ends { layer: usize::try_from(parent).unwrap_or_default() };
        config.records.push(Record { results: vec![end], digest: key.clone() });
    }
    Ok(config)
}

fn manifest(
    settings: &Settings,
    config: Descriptor,
    lending: &Lending,
) -> Result<(&'static str, Vec<u8>), Error> {
    let mut layers: Vec<Descriptor> = Vec::new();
    for blob in lending.blobs().filter(|blob| blob.digest != config.digest) {
        if !layers.iter().any(|known| known.digest == blob.digest) {
            layers.push(blob.clone());
        }
    }
    let failed = |e: serde_json::Error| work("write the cache's manifest", e);
    if settings.manifest {
        let document = Manifest {
            schema_version: 2,
            media_type: Some(media_type::OCI_MANIFEST.to_owned()),
            config,
            layers,
            annotations: BTreeMap::new(),
        };
        return Ok((media_type::OCI_MANIFEST, serde_json::to_vec(&document).map_err(failed)?));
    }
    layers.push(config);
    let kind = settings.form.words.index();
    let document = Index {
        schema_version: 2,
        media_type: Some(kind.to_owned()),
        manifests: layers,
        annotations: BTreeMap::new(),
    };
    Ok((kind, serde_json::to_vec(&document).map_err(failed)?))
}
