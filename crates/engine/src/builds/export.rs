//! What becomes of a result: an image here or in a registry, an archive, files.

mod annotations;
mod archive;
mod config;
pub(super) mod form;
mod reshape;
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
use build::solver::Solver;
use oci::Reference;
use oci::image::Descriptor;
use serde_json::json;

use super::Parts;
use super::attest;
use super::error::{blocking, engine};
use super::gateway::{begun, ended};
use super::remote::Remote;
use super::tree::Tree;
use super::worker::Works;
use crate::images::{IndexForm, Kept, Words, Written, WrittenImage};
use annotations::Annotations;

type Response = BTreeMap<String, String>;

/// What an image's exporter is told, besides its form. Whatever is kept is unpacked.
const IMAGE: &[&str] =
    &["name", "push", "push-by-digest", "name-canonical", "unpack", "store", "registry.insecure"];

/// What an archive's is told.
const ARCHIVE: &[&str] = &["name", "tar", "dest"];

/// What those of files are told.
const FILES: &[&str] = &["platform-split", "attestation-prefix", "dest"];

/// Refuses what can't be exported before anything is built.
pub(super) fn check(request: &Request) -> Result<(), Error> {
    super::remote::check(&request.cache)?;
    request.exports.iter().try_for_each(check_export)
}

fn check_export(export: &Export) -> Result<(), Error> {
    let known = match export.kind {
        ExportKind::Image => IMAGE,
        ExportKind::Oci | ExportKind::Docker => ARCHIVE,
        ExportKind::Local | ExportKind::Tar => FILES,
    };
    let images = !matches!(export.kind, ExportKind::Local | ExportKind::Tar);
    if images {
        Annotations::read(export)?;
        form::read(export)?;
    }
    reshape::check(export)?;
    for (key, value) in &export.attributes {
        let fits = match (key.as_str(), value.as_str()) {
            ("tar", "true") => true,
            // docker compose says so of its own builds; what is kept is loaded.
            ("load", "true") => images,
            // bollard says of the engine's own exporter what its images are.
            ("type", "docker") => export.kind == ExportKind::Image,
            ("tar", _) | ("store", "false") => false,
            _ => {
                images && (Annotations::has(key) || form::has(key))
                    || reshape::has(export, key)
                    || known.contains(&key.as_str())
            }
        };
        if !fits {
            return Err(Error::Unsupported { what: format!("the exporter's attribute {key}={value}") });
        }
    }
    let names = references(export)?;
    if is_set(export, "push-by-digest")
        && let Some(tagged) = names.iter().zip(given(export)).find(|(name, typed)| !is_bare(name, typed))
    {
        return Err(Error::Invalid(format!("can't push tagged ref {} by digest", tagged.0)));
    }
    if is_set(export, "name-canonical") && !pushes(export) {
        return Err(Error::Unsupported { what: "name-canonical=true of an image that isn't pushed".into() });
    }
    if pushes(export) && names.is_empty() {
        return Err(Error::Invalid("tag is needed when pushing to registry".into()));
    }
    super::remote::check_insecure(&export.attributes, &names)
}

fn is_set(export: &Export, name: &str) -> bool {
    export.attributes.get(name).is_some_and(|value| value == "true")
}

fn pushes(export: &Export) -> bool {
    is_set(export, "push")
}

/// Whether a name was given without a tag.
fn is_bare(name: &Reference, typed: &str) -> bool {
    let tag = name.tag().map(|tag| format!(":{tag}")).unwrap_or_default();
    tag.is_empty() || !typed.ends_with(&tag)
}

/// The familiar names, with their tags.
fn names(export: &Export) -> Result<Vec<String>, Error> {
    Ok(references(export)?.iter().map(Reference::familiar).collect())
}

fn references(export: &Export) -> Result<Vec<Reference>, Error> {
    let parse = |name: &str| {
        let parsed = Reference::parse(name);
        let invalid = |e| Error::Invalid(format!("failed to parse {name:?}: {e}"));
        parsed.map(Reference::or_latest).map_err(invalid)
    };
    given(export).map(parse).collect()
}

/// Names as they were given.
fn given(export: &Export) -> impl Iterator<Item = &str> {
    let given = export.attributes.get("name").map(String::as_str).unwrap_or_default();
    given.split(',').map(str::trim).filter(|name| !name.is_empty())
}

/// What exporting needs.
pub(super) struct Exporting<'a> {
    pub(super) parts: &'a Arc<Parts>,
    pub(super) works: &'a Works,
    pub(super) solver: &'a Arc<Solver<Works>>,
    pub(super) session: &'a Arc<dyn Session>,
    pub(super) progress: &'a Progress,
    pub(super) attest: &'a attest::Wanted,
    pub(super) about: &'a attest::About,
    /// What goes into images' configs, if the cache does.
    pub(super) inline: Option<&'a Remote>,
}

/// Images that were written down, and what holds them.
struct Drawn {
    images: Vec<WrittenImage>,
    written: Option<Written>,
    kept: Option<Kept>,
    /// Until they are recorded or sent, nobody removes what they are made of.
    trees: Vec<Tree>,
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
                ExportKind::Local | ExportKind::Tar => self.files(number, export, built, trees).await?,
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
        let by_digest = is_set(export, "push-by-digest");
        let named = names(export)?;
        // What goes by its digest there goes by it here.
        let names = if by_digest { Vec::new() } else { named.clone() };
        let step = Named { progress: self.progress, shown };
        // What is only kept here says nothing about itself unless somebody asked for it.
        let said = self.attest.for_image(pushes(export));
        let drawn = self.draw(export, built, trees, &said, &step).await?;
        let store = self.parts.shared.images.clone();
        let (all, images) = (names.clone(), drawn.images);
        let written = drawn.written;
        let recorded = blocking(move || {
            store.record_built(&images, &all, written.as_ref()).map_err(|e| engine("record the image", e))?;
            Ok((images, written))
        });
        let (images, written) = recorded.await?;
        drop((drawn.trees, drawn.kept));
        let Some(first) = images.first() else { return Ok(()) };
        step.begin(&format!("writing image {}", first.image.id))();
        for name in &names {
            let full = Reference::parse(name).map(|name| full(&name)).unwrap_or_else(|_| name.clone());
            step.begin(&format!("naming to {full}"))();
        }
        describe(first, written.as_ref(), &names, response);
        if pushes(export) {
            let ids: Vec<oci::Digest> = images.iter().map(|image| image.image.id.clone()).collect();
            let built = by_digest.then_some((&ids[..], written.as_ref()));
            let pushed = self.push(&named, built, &step).await?;
            response.extend(pushed.map(|digest| ("containerimage.digest".to_owned(), digest.to_string())));
        }
        Ok(())
    }

    /// Writes down images, and what names all of them where that is needed.
    async fn draw(
        &self,
        export: &Export,
        built: &Built,
        trees: &[(String, Tree)],
        said: &attest::Wanted,
        step: &Named<'_>,
    ) -> Result<Drawn, Error> {
        let done = step.begin("exporting layers");
        let annotations = Annotations::read(export)?;
        let form = form::choose(export, said.is_asked() || !annotations.is_empty())?;
        let reshape = reshape::read(export, built)?;
        let (mut images, mut held) = (Vec::new(), Vec::new());
        for (key, tree) in trees {
            let tree = self.works.layered(tree).await?;
            let (tree, config) = self.reshaped(reshape, built, key, tree).await?;
            let carried = self.inline.map(|remote| remote.inline(&tree)).transpose()?.flatten();
            let mut image = config::image(config.as_deref(), key, &tree, carried)?;
            held.push(tree);
            image.annotations = annotations.of_manifest(key);
            let store = self.parts.shared.images.clone();
            let write = move || store.write_built(&image, form).map_err(|e| engine("write the image", e));
            images.push(blocking(write).await?);
        }
        done();
        let several = images.len() > 1 || built.metadata.contains_key("refs.platforms");
        let whole = said.is_asked() || form.is_some() && several;
        if !whole {
            annotations.refuse_index()?;
            return Ok(Drawn { images, written: None, kept: None, trees: held });
        }
        let mut statements = Vec::new();
        for ((key, tree), image) in trees.iter().zip(&images) {
            let subject = attest::Subject::image(key, &names(export)?, image);
            statements.push(self.statements(said, built, tree, &subject).await?);
        }
        let index = IndexForm {
            words: form.map_or(Words::Oci, |form| form.words),
            annotations: annotations.index.clone(),
            of_manifests: trees.iter().map(|(key, _)| annotations.of_descriptor(key)).collect(),
            of_itself: annotations.of_index.clone(),
            statements,
        };
        let store = self.parts.shared.images.clone();
        let written = blocking(move || {
            let written = store.write_index(&images, &index).map_err(|e| engine("write the index", e))?;
            Ok((images, written))
        });
        let (images, (written, kept)) = written.await?;
        Ok(Drawn { images, written: Some(written), kept: Some(kept), trees: held })
    }

    /// A result in the layers that are asked for, and its config.
    async fn reshaped(
        &self,
        asked: reshape::Asked,
        built: &Built,
        key: &str,
        tree: Tree,
    ) -> Result<(Tree, Option<Vec<u8>>), Error> {
        let owned = |bytes: &[u8]| bytes.to_vec();
        let (config, base) = (built.config(key).map(owned), built.base_config(key).map(owned));
        let parts = self.parts.clone();
        blocking(move || asked.apply(&parts, tree, config.as_deref(), base.as_deref())).await
    }

    /// What the last one is called in its registry. What was built is for who pushes without a tag.
    async fn push(
        &self,
        names: &[String],
        built: Option<(&[oci::Digest], Option<&Written>)>,
        step: &Named<'_>,
    ) -> Result<Option<oci::Digest>, Error> {
        let mut last = None;
        for name in names {
            let reference = Reference::parse(name)
                .map_err(|e| Error::Invalid(format!("failed to parse {name:?}: {e}")))?;
            let done = step.begin(&format!("pushing {}", full(&reference)));
            let credentials = Some(self.works.sources().credentials_for(&reference));
            let push = crate::images::Push {
                client: self.parts.registries(),
                reference,
                wanted: None,
                credentials,
                uploads: self.parts.shared.live.load().max_concurrent_uploads,
            };
            let (telling, mut updates) = crate::images::progress::Progress::channel();
            // Its bars are not ours; nobody may have to wait for them to be read.
            let drained = tasks::spawn(async move { while updates.recv().await.is_some() {} });
            let images = &self.parts.shared.images;
            let pushed = match built {
                Some((ids, written)) => {
                    images.push_by_digest(&push, ids, written.cloned(), &telling).await.map(Some)
                }
                None => images.push(&push, &telling).await,
            };
            drop(telling);
            let _ = drained.await;
            last = pushed.map_err(|e| engine(format!("push {name}"), e))?.or(last);
            done();
        }
        Ok(last)
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

/// BuildKit's answer. Here an image's digest is its config's, as in dockerd's own store: by it, it is found.
fn describe(first: &WrittenImage, written: Option<&Written>, names: &[String], response: &mut Response) {
    let id = &first.image.id;
    response.insert("containerimage.config.digest".into(), id.to_string());
    response.insert("containerimage.digest".into(), id.to_string());
    let descriptor = written.map(|written| written.index.clone()).or_else(|| first.descriptor());
    if let Some(top) = descriptor {
        response.insert("containerimage.descriptor".into(), described(&top));
    }
    if !names.is_empty() {
        response.insert("image.name".into(), full_names(names));
    }
}

fn described(top: &Descriptor) -> String {
    let mut said = json!({ "mediaType": top.media_type, "digest": top.digest, "size": top.size });
    if !top.annotations.is_empty() {
        said["annotations"] = json!(top.annotations);
    }
    STANDARD.encode(said.to_string())
}

fn full_names(names: &[String]) -> String {
    let full = |name: &String| Reference::parse(name).map_or_else(|_| name.clone(), |name| full(&name));
    names.iter().map(full).collect::<Vec<_>>().join(",")
}
