//! `imagetools create`: one name for images that are in a registry.

use std::collections::BTreeMap;
use std::path::PathBuf;

use distribution::{Access, Document, Parsed, Repository};
use oci::image::{Descriptor, Index, Platform, media_type};
use oci::{Digest, Reference};
use serde_json::json;

use super::{
    ABOUT, Registry, all_written, config, descriptor, failed, index, parse, platform, pretty, usage, written,
};
use crate::call::{Call, block_on};
use crate::commands::build::Mode;
use crate::commands::builder;
use crate::error::{Error, Outcome};
use crate::ui;

/// No file that names a source is longer.
const MAX_FILE: u64 = 1 << 20;

/// Something that becomes part of the new image, and where it is.
struct Source {
    reference: Reference,
    repository: Repository,
    document: Document,
    /// What a file said of it beyond its digest.
    said: Option<Descriptor>,
}

/// `imagetools create`.
pub(crate) fn create(call: &Call) -> Outcome {
    builder::name(call, &call.endpoint()?.context)?;
    let flags = call.flags();
    let plain = Mode::parse(flags.text("progress"))? == Mode::Plain;
    let tags: Vec<Reference> = flags.list("tag").iter().map(|tag| parse(tag)).collect::<Result<_, _>>()?;
    // Files before names, as buildx has them.
    let mut given: Vec<String> =
        flags.list("file").iter().map(|file| read(file)).collect::<Result<_, _>>()?;
    given.extend_from_slice(call.args());
    if flags.bool("append") {
        let first = tags.first().ok_or_else(|| usage("can't append with no references specified"))?;
        given.insert(0, first.to_string());
    }
    if given.is_empty() {
        return Err(usage("no sources specified"));
    }
    if tags.is_empty() && !flags.bool("dry-run") {
        return Err(usage("can't push with no tags specified, please set --tag or --dry-run"));
    }
    block_on(async {
        let mut sources = Vec::new();
        for text in &given {
            sources.push(source(call, text, &tags).await?);
        }
        let made = combine(call, &sources).await?;
        if flags.bool("dry-run") {
            ui::out(&format!("{}\n", String::from_utf8_lossy(&made.bytes)))?;
            return Ok(());
        }
        for (number, tag) in tags.iter().enumerate() {
            push(call, tag, &sources, &made).await?;
            if plain {
                ui::err(&format!("#{0} [internal] pushing {tag}\n#{0} DONE", number + 1));
            }
        }
        match flags.find("metadata-file") {
            Some(path) => note(path, &tags, &made),
            None => Ok(()),
        }
    })?;
    Ok(0)
}

fn read(path: &str) -> Result<String, Error> {
    let wrong = |why: String| usage(format!("cannot read {path}: {why}"));
    match std::fs::metadata(path) {
        Ok(meta) if meta.len() > MAX_FILE => {
            return Err(wrong(format!("it is longer than {MAX_FILE} bytes")));
        }
        _ => {}
    }
    Ok(std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?.trim().to_owned())
}

fn note(path: &str, tags: &[Reference], made: &Made) -> Result<(), Error> {
    let names: Vec<String> = tags.iter().map(ToString::to_string).collect();
    let text = pretty(
        &json!({ "containerimage.descriptor": written(&made.descriptor), "image.name": names.join(",") }),
    )?;
    std::fs::write(PathBuf::from(path), text).map_err(|e| usage(format!("cannot write {path}: {e}")))
}

/// A name, a digest in the repository of the first tag, or a descriptor as JSON.
async fn source(call: &Call, text: &str, tags: &[Reference]) -> Result<Source, Error> {
    let said: Option<Descriptor> = match text.starts_with('{') {
        true => {
            Some(serde_json::from_str(text).map_err(|e| usage(format!("invalid descriptor {text}: {e}")))?)
        }
        false => None,
    };
    let digest = match &said {
        Some(said) => Some(said.digest.clone()),
        None => text.parse::<Digest>().ok(),
    };
    let reference = match digest {
        Some(digest) => {
            let first = tags
                .first()
                .ok_or_else(|| usage(format!("no repository is known for {digest}: give a --tag")))?;
            first.with_digest(digest)
        }
        None => parse(text)?,
    };
    let (repository, document) = Registry::of(call, &reference).find(&reference).await?;
    Ok(Source { reference, repository, document, said })
}

/// The new document.
struct Made {
    bytes: Vec<u8>,
    descriptor: Descriptor,
}

impl Made {
    fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        let (digest, size) = (Digest::sha256(&bytes), bytes.len() as u64);
        let annotations = BTreeMap::new();
        Self {
            bytes,
            descriptor: Descriptor {
                media_type: media_type.to_owned(),
                digest,
                size,
                platform: None,
                annotations,
            },
        }
    }
}

async fn combine(call: &Call, sources: &[Source]) -> Result<Made, Error> {
    let flags = call.flags();
    let (annotations, platforms) = (flags.list("annotation"), platforms(&flags.list("platform"))?);
    if let ([one], true, true) = (sources, annotations.is_empty(), platforms.is_empty())
        && (index(&one.document).is_some() || !flags.bool("prefer-index"))
    {
        return Ok(Made::new(&one.document.media_type, one.document.bytes.to_vec()));
    }
    let mut entries: Vec<Descriptor> = Vec::new();
    for source in sources {
        match index(&source.document) {
            Some(index) => index.manifests.iter().for_each(|entry| add(&mut entries, entry)),
            None => add(&mut entries, &alone(source).await?),
        }
    }
    if !platforms.is_empty() {
        keep(&mut entries, &platforms);
        if entries.is_empty() {
            return Err(usage("no image is for any of the platforms"));
        }
    }
    let docker = entries.iter().all(|entry| entry.media_type.starts_with("application/vnd.docker."));
    let kind = if docker { media_type::DOCKER_LIST } else { media_type::OCI_INDEX };
    let mut index = Index {
        schema_version: 2,
        media_type: Some(kind.to_owned()),
        manifests: entries,
        annotations: BTreeMap::new(),
    };
    if docker && !annotations.is_empty() {
        return Err(usage("--annotation: a list of Docker's has none, only an OCI index"));
    }
    for text in &annotations {
        annotate(&mut index, text)?;
    }
    let mut document = json!({ "schemaVersion": 2, "mediaType": kind, "manifests": all_written(&index) });
    if !index.annotations.is_empty() {
        document["annotations"] = json!(index.annotations);
    }
    Ok(Made::new(kind, pretty(&document)?.into_bytes()))
}

/// An image's descriptor with the platform that its config says.
async fn alone(source: &Source) -> Result<Descriptor, Error> {
    let mut own = descriptor(&source.document);
    if let Some(said) = &source.said {
        own.annotations.clone_from(&said.annotations);
        own.platform.clone_from(&said.platform);
    }
    if own.platform.is_none() {
        let config = config(&source.repository, &source.document).await?;
        own.platform = serde_json::from_value::<Platform>(config).ok();
    }
    Ok(own)
}

/// One digest is one entry, with all that was said of it.
fn add(entries: &mut Vec<Descriptor>, entry: &Descriptor) {
    match entries.iter_mut().find(|known| known.digest == entry.digest) {
        Some(known) => {
            known.platform = entry.platform.clone().or(known.platform.take());
            known.annotations.extend(entry.annotations.clone());
        }
        None => entries.push(entry.clone()),
    }
}

fn platforms(given: &[String]) -> Result<Vec<String>, Error> {
    let all = given.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|text| !text.is_empty());
    let one = |text: &str| {
        let wanted = distribution::Wanted::parse(text)
            .map_err(|e| usage(format!("invalid platform {text:?}: {e}")))?;
        Ok(plain(wanted.platform()))
    };
    all.map(one).collect()
}

/// The same for both ways to write the only 64-bit variant of ARM.
fn plain(known: &Platform) -> String {
    let text = platform(known);
    if known.architecture == "arm64" { text.trim_end_matches("/v8").to_owned() } else { text }
}

/// Images for these platforms, and what is said about them.
fn keep(entries: &mut Vec<Descriptor>, platforms: &[String]) {
    let fits = |entry: &Descriptor| {
        !entry.annotations.contains_key(ABOUT)
            && entry.platform.as_ref().is_some_and(|known| platforms.contains(&plain(known)))
    };
    let kept: Vec<String> =
        entries.iter().filter(|entry| fits(entry)).map(|entry| entry.digest.to_string()).collect();
    entries.retain(|entry| match entry.annotations.get(ABOUT) {
        Some(about) => kept.contains(about),
        None => kept.contains(&entry.digest.to_string()),
    });
}

/// `index:key=value`, `manifest-descriptor[linux/amd64]:key=value`.
fn annotate(index: &mut Index, text: &str) -> Result<(), Error> {
    let wrong = || usage(format!("invalid annotation {text:?}, expected TYPE[PLATFORM]:KEY=VALUE"));
    let (place, value) = text.split_once('=').ok_or_else(wrong)?;
    let (kind, key) = place.split_once(':').unwrap_or(("", place));
    let (kind, wanted) = match kind.split_once('[') {
        Some((kind, rest)) => (kind, Some(rest.strip_suffix(']').ok_or_else(wrong)?)),
        None => (kind, None),
    };
    match kind {
        "index" => drop(index.annotations.insert(key.to_owned(), value.to_owned())),
        "manifest-descriptor" => {
            let fits = |entry: &&mut Descriptor| {
                wanted
                    .is_none_or(|wanted| entry.platform.as_ref().is_some_and(|known| plain(known) == wanted))
            };
            for entry in index.manifests.iter_mut().filter(fits) {
                entry.annotations.insert(key.to_owned(), value.to_owned());
            }
        }
        "" | "manifest" => return Err(usage(format!("{:?} annotations are not supported yet", "manifest"))),
        other => return Err(usage(format!("{other:?} annotations are invalid while creating an image"))),
    }
    Ok(())
}

/// Everything has to be in the repository before what names it.
async fn push(call: &Call, tag: &Reference, sources: &[Source], made: &Made) -> Result<(), Error> {
    let registry = Registry::of(call, tag);
    let target =
        registry.client.repository(tag, Access::Push, registry.credentials.as_ref()).await.map_err(failed)?;
    for source in sources
        .iter()
        .filter(|source| (source.reference.domain(), source.reference.path()) != (tag.domain(), tag.path()))
    {
        if source.reference.domain() != tag.domain() {
            let (from, to) = (&source.reference, tag.domain());
            return Err(usage(format!(
                "{from} is in another registry than {to}: pull it and push it there first"
            )));
        }
        carry(source, &target).await?;
    }
    let name = tag.tag().unwrap_or("latest");
    let bytes = made.bytes.clone().into();
    target.put_manifest(name, &made.descriptor.media_type, &bytes).await.map_err(failed)
}

/// A source's images, from one repository of a registry to another.
async fn carry(source: &Source, target: &Repository) -> Result<(), Error> {
    let mut documents = Vec::new();
    match index(&source.document) {
        None => documents.push(source.document.clone()),
        Some(index) => {
            for entry in &index.manifests {
                let one = source.reference.with_digest(entry.digest.clone());
                documents.push(source.repository.document(&one).await.map_err(failed)?);
            }
        }
    }
    for document in documents {
        if let Parsed::Manifest(manifest) = &document.parsed {
            for blob in std::iter::once(&manifest.config).chain(&manifest.layers) {
                if !target.mount_blob(&blob.digest, source.reference.path()).await.map_err(failed)? {
                    let from = source.reference.with_digest(blob.digest.clone());
                    return Err(usage(format!(
                        "the registry doesn't lend {from} to another of its repositories"
                    )));
                }
            }
        }
        target
            .put_manifest(document.digest.as_str(), &document.media_type, &document.bytes)
            .await
            .map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, architecture: &str, about: Option<&Descriptor>) -> Descriptor {
        let platform =
            Platform { os: "linux".into(), architecture: architecture.into(), ..Platform::default() };
        let annotations =
            about.map(|about| (ABOUT.to_owned(), about.digest.to_string())).into_iter().collect();
        let digest = Digest::sha256(name.as_bytes());
        Descriptor {
            media_type: media_type::OCI_MANIFEST.into(),
            digest,
            size: 1,
            platform: Some(platform),
            annotations,
        }
    }

    #[test]
    fn what_is_said_of_an_image_stays_and_goes_with_it() {
        let (a, b) = (entry("a", "amd64", None), entry("b", "arm64", None));
        let (about_a, about_b) = (entry("sa", "unknown", Some(&a)), entry("sb", "unknown", Some(&b)));
        let mut entries = vec![a.clone(), b, about_a.clone(), about_b];
        keep(&mut entries, &["linux/amd64".to_owned()]);
        assert_eq!(entries, [a, about_a]);
    }

    #[test]
    fn one_digest_is_one_entry() {
        let mut first = entry("a", "amd64", None);
        first.platform = None;
        let mut entries = vec![first];
        let mut again = entry("a", "amd64", None);
        again.annotations.insert("k".into(), "v".into());
        add(&mut entries, &again);
        assert_eq!(entries, [again]);
    }

    #[test]
    fn annotations_go_where_they_belong() {
        let mut index = Index {
            schema_version: 2,
            media_type: None,
            manifests: vec![entry("a", "amd64", None), entry("b", "arm64", None)],
            annotations: BTreeMap::new(),
        };
        annotate(&mut index, "index:a=b=c").unwrap();
        annotate(&mut index, "manifest-descriptor[linux/arm64]:k=v").unwrap();
        assert_eq!(index.annotations["a"], "b=c");
        assert_eq!((index.manifests[0].annotations.len(), index.manifests[1].annotations.len()), (0, 1));
        for wrong in ["a", "manifest:a=b", "a=b", "index-descriptor:a=b", "index[x:a=b"] {
            assert!(annotate(&mut index, wrong).is_err(), "{wrong}");
        }
    }
}
