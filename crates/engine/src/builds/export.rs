//! What becomes of a result: an image here or in a registry, an archive, files.

mod archive;
mod config;
mod tree;

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use build::Error;
use build::frontend::Built;
use build::progress::{Event, Progress, Status, VertexState};
use build::request::{Export, ExportKind, Request};
use build::session::Session;
use oci::Reference;
use serde_json::json;

use super::Parts;
use super::error::{blocking, engine};
use super::gateway::{begun, ended};
use super::tree::Tree;
use super::worker::Works;
use crate::images::Recorded;

type Response = BTreeMap<String, String>;

/// What an image's exporter is told.
const IMAGE: &[&str] = &[
    "name",
    "push",
    "unpack",
    "store",
    "oci-mediatypes",
    "compression",
    "force-compression",
    "registry.insecure",
    "dangling-name-prefix",
    "buildinfo",
    "attestation-inline",
    "source-date-epoch",
    "rewrite-timestamp",
];

/// What an archive's is told.
const ARCHIVE: &[&str] =
    &["name", "tar", "oci-mediatypes", "compression", "force-compression", "buildinfo", "dest"];

/// What those of files are told.
const FILES: &[&str] = &["platform-split", "dest"];

/// Refuses what can't be exported before anything is built.
pub(super) fn check(request: &Request) -> Result<(), Error> {
    for entry in request.cache.from.iter().chain(&request.cache.to) {
        if entry.kind != "inline" || request.cache.from.contains(entry) {
            return Err(Error::Unsupported { what: format!("the cache {:?}", entry.kind) });
        }
    }
    if let Some(entry) = request.cache.to.first() {
        return Err(Error::Unsupported { what: format!("the cache {:?}", entry.kind) });
    }
    request.exports.iter().try_for_each(check_export)
}

fn check_export(export: &Export) -> Result<(), Error> {
    let known = match export.kind {
        ExportKind::Image => IMAGE,
        ExportKind::Oci | ExportKind::Docker => ARCHIVE,
        ExportKind::Local | ExportKind::Tar => FILES,
    };
    for (key, value) in &export.attributes {
        let annotation = key.starts_with("annotation.") || key.starts_with("annotation-manifest.");
        let fits = match (key.as_str(), value.as_str()) {
            ("compression", "gzip" | "uncompressed" | "") if export.kind == ExportKind::Image => true,
            ("compression", "uncompressed" | "") | ("tar", "true") => true,
            ("tar", _) => false,
            ("compression", _) => false,
            ("force-compression" | "rewrite-timestamp" | "push", "true") if key != "push" => false,
            ("store" | "unpack", "false") if key == "store" => false,
            _ => annotation || known.contains(&key.as_str()),
        };
        if !fits {
            return Err(Error::Unsupported { what: format!("the exporter's attribute {key}={value}") });
        }
    }
    names(export).map(drop)
}

/// The familiar names, with their tags.
fn names(export: &Export) -> Result<Vec<String>, Error> {
    let given = export.attributes.get("name").map(String::as_str).unwrap_or_default();
    let parse = |name: &str| {
        let parsed = Reference::parse(name.trim());
        let invalid = |e| Error::Invalid(format!("failed to parse {name:?}: {e}"));
        parsed.map(|name| name.or_latest().familiar()).map_err(invalid)
    };
    given.split(',').filter(|name| !name.trim().is_empty()).map(parse).collect()
}

/// What exporting needs.
pub(super) struct Exporting<'a> {
    pub(super) parts: &'a Arc<Parts>,
    pub(super) works: &'a Works,
    pub(super) session: &'a Arc<dyn Session>,
    pub(super) progress: &'a Progress,
}

impl Exporting<'_> {
    /// Exports all; what is answered about it.
    pub(super) async fn export(
        &self,
        exports: &[Export],
        built: &Built,
        trees: &[(String, Tree)],
    ) -> Result<Response, Error> {
        let mut response = Response::new();
        for (number, export) in exports.iter().enumerate() {
            match export.kind {
                ExportKind::Image => self.image(export, built, trees, &mut response).await?,
                ExportKind::Oci | ExportKind::Docker => {
                    self.archive(number, export, built, trees, &mut response).await?;
                }
                ExportKind::Local | ExportKind::Tar => self.files(number, export, trees).await?,
            }
        }
        Ok(response)
    }

    async fn image(
        &self,
        export: &Export,
        built: &Built,
        trees: &[(String, Tree)],
        response: &mut Response,
    ) -> Result<(), Error> {
        let mut shown = begun(self.progress, "exporting to image");
        let exported = self.image_inner(export, built, trees, response, &shown).await;
        ended(self.progress, &mut shown, exported.as_ref().err());
        exported
    }

    async fn image_inner(
        &self,
        export: &Export,
        built: &Built,
        trees: &[(String, Tree)],
        response: &mut Response,
        shown: &VertexState,
    ) -> Result<(), Error> {
        let names = names(export)?;
        let step = Named { progress: self.progress, shown };
        let done = step.begin("exporting layers");
        // Until it is recorded, nobody removes what it is made of.
        let (mut images, mut held) = (Vec::new(), Vec::new());
        for (key, tree) in trees {
            let tree = self.works.layered(tree).await?;
            let mut image = config::image(built, key, &tree)?;
            held.push(tree);
            image.annotations = annotations(export);
            images.push(image);
        }
        done();
        let (store, all) = (self.parts.shared.images.clone(), names.clone());
        let recorded =
            blocking(move || store.record_built(&images, &all).map_err(|e| engine("record the image", e)));
        let recorded = recorded.await?;
        drop(held);
        let Some(first) = recorded.first() else { return Ok(()) };
        step.begin(&format!("writing image {}", first.id))();
        for name in &names {
            let full = Reference::parse(name).map(|name| full(&name)).unwrap_or_else(|_| name.clone());
            step.begin(&format!("naming to {full}"))();
        }
        describe(first, &names, response);
        if export.attributes.get("push").is_some_and(|push| push == "true") {
            self.push(&names, &step).await?;
        }
        Ok(())
    }

    async fn push(&self, names: &[String], step: &Named<'_>) -> Result<(), Error> {
        for name in names {
            let reference = Reference::parse(name)
                .map_err(|e| Error::Invalid(format!("failed to parse {name:?}: {e}")))?;
            let done = step.begin(&format!("pushing {}", full(&reference)));
            let credentials = self.works.sources().credentials_for(&reference).await?;
            let push = crate::images::Push {
                client: self.parts.registries(),
                reference,
                wanted: None,
                credentials,
                uploads: self.parts.shared.live.load().max_concurrent_uploads,
            };
            let (telling, mut updates) = crate::images::progress::Progress::channel();
            // Its bars are not ours; nobody may have to wait for them to be read.
            let drained = tokio::spawn(async move { while updates.recv().await.is_some() {} });
            let pushed = self.parts.shared.images.push(&push, &telling).await;
            drop(telling);
            let _ = drained.await;
            pushed.map_err(|e| engine(format!("push {name}"), e))?;
            done();
        }
        Ok(())
    }
}

/// The step of the export.
struct Named<'a> {
    progress: &'a Progress,
    shown: &'a VertexState,
}

impl Named<'_> {
    /// A part of it begins; what is returned ends it.
    fn begin(&self, id: &str) -> impl FnOnce() + use<> {
        let now = std::time::SystemTime::now();
        let status = Status {
            vertex: self.shown.digest.clone(),
            id: id.to_owned(),
            name: String::new(),
            current: 0,
            total: 0,
            at: now,
            started: Some(now),
            completed: None,
        };
        self.progress.tell(Event::Status(status.clone()));
        let progress = self.progress.clone();
        move || {
            let now = std::time::SystemTime::now();
            progress.tell(Event::Status(Status { at: now, completed: Some(now), ..status }));
        }
    }
}

/// `docker.io/library/busybox:latest`.
fn full(reference: &Reference) -> String {
    let tag = reference.tag().map(|tag| format!(":{tag}")).unwrap_or_default();
    format!("{}{tag}", reference.repository())
}

fn annotations(export: &Export) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (key, value) in &export.attributes {
        let name = key.strip_prefix("annotation.").or_else(|| key.strip_prefix("annotation-manifest."));
        found.extend(name.map(|name| (name.to_owned(), value.clone())));
    }
    found
}

/// BuildKit's answer. Here an image's digest is its config's, as in dockerd's own store: by it, it is found.
fn describe(recorded: &Recorded, names: &[String], response: &mut Response) {
    let manifest = &recorded.manifest;
    response.insert("containerimage.config.digest".into(), recorded.id.to_string());
    response.insert("containerimage.digest".into(), recorded.id.to_string());
    let descriptor = json!({
        "mediaType": manifest.media_type, "digest": manifest.digest, "size": manifest.size,
    });
    response.insert("containerimage.descriptor".into(), STANDARD.encode(descriptor.to_string()));
    if !names.is_empty() {
        let full: Vec<String> = names
            .iter()
            .map(|name| Reference::parse(name).map(|name| full(&name)).unwrap_or_else(|_| name.clone()))
            .collect();
        response.insert("image.name".into(), full.join(","));
    }
}
