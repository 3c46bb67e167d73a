//! `--output`, `--load`, `--push`: what becomes of the result.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use buildkit::attach::{Offer, Place};
use buildkit::proto::control::Exporter;
use client::resolve::process_env;

use super::csv;
use crate::call::Call;
use crate::error::Error;
use crate::ui;

/// The exporters, and what is done with their results here.
#[derive(Default)]
pub(super) struct Outputs {
    pub(super) exporters: Vec<Exporter>,
}

/// One `--output`.
struct Output {
    kind: String,
    attributes: BTreeMap<String, String>,
}

impl Output {
    fn new(kind: &str) -> Self {
        Self { kind: kind.to_owned(), attributes: BTreeMap::new() }
    }

    fn parse(text: &str) -> Result<Self, Error> {
        let bare = !text.contains(['=', ',']);
        if bare || text == "-" {
            let mut output = Self::new(if text == "-" { "tar" } else { "local" });
            output.attributes.insert("dest".into(), text.to_owned());
            return Ok(output);
        }
        let mut attributes: BTreeMap<String, String> = csv::fields("output", text)?.into_iter().collect();
        let kind = attributes.remove("type").filter(|kind| !kind.is_empty());
        let kind = kind.ok_or_else(|| usage("type is required for output"))?;
        Ok(Self { kind, attributes })
    }
}

/// Reads the flags. Where results come back, the offer has a place for them.
pub(super) fn read(call: &Call, tags: &[String], offer: &mut Offer) -> Result<Outputs, Error> {
    let mut outputs = Outputs::default();
    for (number, output) in wanted(call)?.into_iter().enumerate() {
        if output.kind != "cacheonly" {
            outputs.add(number, output, tags, offer)?;
        }
    }
    if call.flags().bool("squash") {
        for exporter in &mut outputs.exporters {
            if matches!(exporter.r#type.as_str(), "local" | "tar") {
                return Err(usage("--squash is about an image's layers, and files have none"));
            }
            exporter.attrs.insert("squash".into(), "true".into());
        }
    }
    let annotations = annotations(&call.flags().list("annotation"))?;
    for exporter in &mut outputs.exporters {
        exporter.attrs.extend(annotations.clone());
    }
    Ok(outputs)
}

fn wanted(call: &Call) -> Result<Vec<Output>, Error> {
    let flags = call.flags();
    let given = flags.list("output");
    let given = given.iter().filter(|text| !text.is_empty()).map(|text| Output::parse(text));
    let mut outputs = given.collect::<Result<Vec<_>, _>>()?;
    if flags.bool("push") {
        if flags.bool("load") {
            return Err(usage("push and load may not be set together at the moment"));
        }
        if outputs.is_empty() {
            outputs.push(Output::new("registry"));
        }
        for output in &mut outputs {
            match output.kind.as_str() {
                "image" | "registry" => drop(output.attributes.insert("push".into(), "true".into())),
                kind => return Err(usage(&format!("push and {kind:?} output can't be used together"))),
            }
        }
    }
    if flags.bool("load") {
        if outputs.is_empty() {
            outputs.push(Output::new("docker"));
        }
        if let Some(other) = outputs.iter().find(|output| output.kind != "docker") {
            return Err(usage(&format!("load and {:?} output can't be used together", other.kind)));
        }
    }
    let stays = process_env("BUILDX_NO_DEFAULT_LOAD")
        .is_some_and(|value| ::flags::go::parse_bool(&value) == Ok(true));
    if outputs.is_empty() && !stays {
        outputs.push(Output::new("image"));
    }
    Ok(outputs)
}

impl Outputs {
    fn add(
        &mut self,
        number: usize,
        mut output: Output,
        tags: &[String],
        offer: &mut Offer,
    ) -> Result<(), Error> {
        if output.kind == "registry" {
            output.kind = "image".into();
            output.attributes.entry("push".into()).or_insert_with(|| "true".into());
        }
        let dest = output.attributes.remove("dest");
        let kind = match (output.kind.as_str(), dest) {
            // The engine's own images are where a build's result goes anyway.
            ("docker" | "image" | "moby", None) => "moby",
            ("image" | "moby", Some(_)) => return Err(usage("dest is not supported for image output")),
            ("local", None) => return Err(usage("dest is required for local exporter")),
            ("local", Some(dest)) if dest == "-" => {
                return Err(usage("dest cannot be stdout for local exporter"));
            }
            ("local", Some(dest)) => {
                offer.places.insert(number, Place::Directory(dest.into()));
                "local"
            }
            (kind @ ("tar" | "oci" | "docker"), dest) => {
                let dest = dest.filter(|dest| dest != "-");
                offer.places.insert(number, place(kind, dest)?);
                kind_of(kind)
            }
            (kind, _) => return Err(usage(&format!("exporter {kind:?} could not be found"))),
        };
        if !tags.is_empty() && matches!(kind, "moby" | "oci" | "docker") {
            output.attributes.insert("name".into(), tags.join(","));
        }
        let attrs: HashMap<String, String> = output.attributes.into_iter().collect();
        self.exporters.push(Exporter { r#type: kind.to_owned(), attrs });
        Ok(())
    }
}

fn kind_of(kind: &str) -> &'static str {
    match kind {
        "oci" => "oci",
        "docker" => "docker",
        _ => "tar",
    }
}

fn place(kind: &str, dest: Option<String>) -> Result<Place, Error> {
    let Some(dest) = dest else {
        if ui::out_is_terminal() {
            let why = format!("dest file is required for {kind} exporter. refusing to write to console");
            return Err(usage(&why));
        }
        return Ok(Place::Output);
    };
    let path = PathBuf::from(&dest);
    if path.is_dir() {
        let why = format!("destination directory {dest} can't be used for {kind} exporter: it takes a file");
        return Err(usage(&why));
    }
    Ok(Place::File(path))
}

/// `--annotation [types:]key=value`, as exporters take them.
fn annotations(given: &[String]) -> Result<HashMap<String, String>, Error> {
    let mut attributes = HashMap::new();
    for text in given.iter().filter(|text| !text.is_empty()) {
        let Some((name, value)) = text.split_once('=') else {
            return Err(usage(&format!("invalid annotation {text:?}, expected key=value")));
        };
        let Some((types, key)) = name.split_once(':') else {
            attributes.insert(format!("annotation.{name}"), value.to_owned());
            continue;
        };
        for kind in types.split(',') {
            let bare = kind.split_once('[').map_or(kind, |(bare, _)| bare);
            if !matches!(bare, "manifest" | "manifest-descriptor" | "index" | "index-descriptor") {
                return Err(usage(&format!("unknown annotation type {bare:?}")));
            }
            let kind = if bare == "manifest" { kind.replacen("manifest", "", 1) } else { format!("-{kind}") };
            attributes.insert(format!("annotation{kind}.{key}"), value.to_owned());
        }
    }
    Ok(attributes)
}

fn usage(text: &str) -> Error {
    Error::Usage(text.to_owned())
}
