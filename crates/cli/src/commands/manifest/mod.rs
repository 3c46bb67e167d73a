//! `manifest …`: lists of images for several platforms, put together here and pushed to a registry without an engine.
//!
//! `store` keeps the lists that are not pushed yet, in docker's files; `remote` speaks to registries.

mod entry;
mod remote;
mod store;

use serde_json::{Value, json};

use oci::Reference;
use oci::image::media_type;

use super::pull;
use crate::call::{Call, block_on};
use crate::error::{Error, Outcome};
use crate::ui;
use entry::Entry;
use remote::Remote;
pub(super) use remote::{credentials, registries, registry};
use store::Store;

/// What Go can be built for, and therefore what docker lets an image say.
const PLATFORMS: &[(&str, &[&str])] = &[
    ("darwin", &["386", "amd64", "arm", "arm64"]),
    ("dragonfly", &["amd64"]),
    ("freebsd", &["386", "amd64", "arm"]),
    ("linux", &["386", "amd64", "arm", "arm64", "mips64", "mips64le", "ppc64le", "riscv64", "s390x"]),
    ("netbsd", &["386", "amd64", "arm"]),
    ("openbsd", &["386", "amd64", "arm"]),
    ("plan9", &["386", "amd64"]),
    ("solaris", &["amd64"]),
    ("windows", &["386", "amd64"]),
];

fn parse(typed: &str) -> Result<Reference, Error> {
    Ok(pull::parse(typed)?.or_latest())
}

/// The same, with what it was wanted for in the error.
fn parse_for(typed: &str, what: &str) -> Result<Reference, Error> {
    parse(typed).map_err(|error| Error::Usage(format!("{what} {typed}: {error}")))
}

fn store(call: &Call) -> Store {
    Store::new(&call.config_dir())
}

/// `manifest create`.
pub(crate) fn create(call: &Call) -> Outcome {
    let Some((list, images)) = call.args().split_first() else { return Ok(1) };
    let list = parse_for(list, "error parsing name for manifest list")?;
    let store = store(call);
    if store.list(&list)?.is_some() && !call.flags().bool("amend") {
        let message = "refusing to amend an existing manifest list with no --amend flag";
        return Err(Error::Usage(message.into()));
    }
    block_on(async {
        for image in images {
            let image = parse(image)?;
            let known = store.get(&list, &image)?;
            let entry = match known {
                Some(entry) => entry,
                None => Remote::new(call, &image).image(&image).await?,
            };
            store.save(&list, &image, &entry)?;
        }
        Ok(())
    })?;
    ui::out(&format!("Created manifest list {list}\n"))?;
    Ok(0)
}

/// `manifest annotate`.
pub(crate) fn annotate(call: &Call) -> Outcome {
    let [list_typed, image_typed] = call.args() else { return Ok(1) };
    let list = parse_for(list_typed, "annotate: error parsing name for manifest list")?;
    let image = parse_for(image_typed, "annotate: error parsing name for manifest")?;
    let store = store(call);
    let Some(mut entry) = store.get(&list, &image)? else {
        return Err(Error::Usage(format!("manifest for image {image_typed} does not exist in {list_typed}")));
    };
    let flags = call.flags();
    for (flag, key) in
        [("os", "os"), ("arch", "architecture"), ("variant", "variant"), ("os-version", "os.version")]
    {
        if !flags.text(flag).is_empty() {
            entry.platform[key] = flags.text(flag).into();
        }
    }
    let mut features = entry.platform["os.features"].as_array().cloned().unwrap_or_default();
    for feature in flags.list("os-features") {
        let feature = Value::from(feature);
        if !features.contains(&feature) {
            features.push(feature);
        }
    }
    if !features.is_empty() {
        entry.platform["os.features"] = features.into();
    }
    let said = |key: &str| entry.platform[key].as_str().unwrap_or_default();
    let (os, architecture) = (said("os"), said("architecture"));
    if !PLATFORMS.iter().any(|(known, list)| *known == os && list.contains(&architecture)) {
        let (os, architecture) = (flags.text("os"), flags.text("arch"));
        return Err(Error::Usage(format!(
            "manifest entry for image has unsupported os/arch combination: {os}/{architecture}"
        )));
    }
    store.save(&list, &image, &entry)?;
    Ok(0)
}

/// `manifest inspect`.
pub(crate) fn inspect(call: &Call) -> Outcome {
    let shown = match call.args() {
        [list, image] => {
            let image = parse(image)?;
            let entry = store(call).get(&parse(list)?, &image)?;
            show_one(call, &entry.ok_or_else(|| no_such(&image))?)?
        }
        [image, ..] => {
            let reference = parse(image)?;
            match store(call).list(&reference)? {
                Some(entries) => show_list(call, &reference, &entries)?,
                None => block_on(inspect_remote(call, &reference))?,
            }
        }
        [] => return Ok(1),
    };
    ui::out(&format!("{shown}\n"))?;
    Ok(0)
}

async fn inspect_remote(call: &Call, reference: &Reference) -> Result<String, Error> {
    let remote = Remote::new(call, reference);
    match remote.find(reference).await? {
        remote::Found::Image(entry) => show_one(call, &entry),
        remote::Found::List(entries) => show_list(call, reference, &entries),
    }
}

fn show_one(call: &Call, entry: &Entry) -> Result<String, Error> {
    let value = if call.flags().bool("verbose") { entry.json() } else { entry.manifest()? };
    Ok(client::files::indented(&value, "\t"))
}

fn show_list(call: &Call, reference: &Reference, entries: &[Entry]) -> Result<String, Error> {
    if call.flags().bool("verbose") {
        let whole = Value::Array(entries.iter().map(Entry::json).collect());
        return Ok(client::files::indented(&whole, "\t"));
    }
    Ok(assembled(reference, entries)?.1)
}

/// The list's media type and text, as docker writes it.
fn assembled(target: &Reference, entries: &[Entry]) -> Result<(&'static str, String), Error> {
    let foreign = entries.iter().find(|entry| entry.reference.domain() != target.domain());
    if let Some(foreign) = foreign {
        return Err(Error::Usage(format!(
            "cannot use source images from a different registry than the target image: {} != {}",
            foreign.reference.domain(),
            target.domain()
        )));
    }
    let first = entries.first().map(|entry| entry.media_type.as_str());
    let kind =
        if first == Some(media_type::OCI_MANIFEST) { media_type::OCI_INDEX } else { media_type::DOCKER_LIST };
    let manifests: Vec<Value> = entries
        .iter()
        .map(|entry| {
            json!({ "mediaType": entry.media_type, "size": entry.raw.len(), "digest": entry.digest.as_str(),
                    "platform": entry.platform_in_order() })
        })
        .collect();
    let list = json!({ "schemaVersion": 2, "mediaType": kind, "manifests": manifests });
    Ok((kind, client::files::go_escape(&client::files::indented(&list, "   "))))
}

fn no_such(reference: &Reference) -> Error {
    Error::Usage(format!("No such manifest: {reference}"))
}

/// `manifest push`.
pub(crate) fn push(call: &Call) -> Outcome {
    let target = parse(call.args().first().map_or("", String::as_str))?;
    let store = store(call);
    let entries = store.list(&target)?.ok_or_else(|| no_such(&target))?;
    let nowhere = |entry: &&Entry| {
        ["os", "architecture"].iter().any(|key| entry.platform[*key].as_str().is_none_or(str::is_empty))
    };
    if let Some(entry) = entries.iter().find(nowhere) {
        return Err(Error::Usage(format!(
            "manifest {} must have an OS and Architecture to be pushed to a registry",
            entry.reference
        )));
    }
    let (kind, text) = assembled(&target, &entries)?;
    block_on(async {
        let digest = Remote::new(call, &target).push(&target, &entries, kind, text).await?;
        ui::out(&format!("{digest}\n"))
    })?;
    if call.flags().bool("purge") {
        store.remove(&target)?;
    }
    Ok(0)
}

/// `manifest rm`.
pub(crate) fn remove(call: &Call) -> Outcome {
    let store = store(call);
    let remove = |typed: &String| {
        let list = parse(typed)?;
        store.list(&list)?.ok_or_else(|| no_such(&list))?;
        store.remove(&list)
    };
    let failures = call.args().iter().filter_map(|typed| remove(typed).err());
    let failures: Vec<String> = failures.map(|error| ui::sentence(&error)).collect();
    super::each::finish(&failures)
}
