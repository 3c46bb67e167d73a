//! `buildx history export`: records with all that they name as one archive, as buildx writes it.
//!
//! ```text
//! gzip of tar:  blobs/sha256/…   what the records name, each record as JSON, a manifest of each, an index of several
//!               index.json       names the manifest, or the index
//!               oci-layout
//! ```

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::path::Path;

use buildkit::client::Builder;
use buildkit::proto::Timestamp;
use buildkit::proto::control::{BuildHistoryRecord, BuildResultInfo, Descriptor, UpdateBuildHistoryRequest};
use client::files::{go_escape, indented};
use flate2::write::GzEncoder;
use oci::Digest;
use serde_json::{Map, Value, json};

use super::{completed, failed, trace, usage};
use crate::call::Call;
use crate::commands::builder;
use crate::commands::save::Unfinished;
use crate::error::{Error, Outcome};
use crate::ui;

const RECORD: &str = "application/vnd.buildkit.historyrecord.v0";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Which record a manifest is of, where there are several.
const REFERENCE: &str = "vnd.buildkit.history.reference";
/// What a result was said to be: readers of archives would look for what a manifest names, which isn't here.
const WAS: &str = "vnd.export-build.descriptor.mediatype";

/// `buildx history export`.
pub(crate) fn export(call: &Call) -> Outcome {
    let flags = call.flags();
    let refs = builder::refs(call)?;
    let all = flags.bool("all");
    if all && !call.args().is_empty() {
        return Err(usage("cannot specify refs when using --all"));
    }
    let file = flags.text("output");
    if matches!(file, "" | "-") && ui::out_is_terminal() {
        return Err(usage("refusing to write to console, use --output to specify a file"));
    }
    call.with_engine(|engine| async move {
        let builder = builder::reach(&engine).await?;
        let mut wanted = completed(&builder, call.args(), all).await?;
        if flags.bool("finalize") {
            for record in &wanted {
                finalize(&builder, &record.r#ref).await?;
            }
            let ids: Vec<String> = wanted.iter().map(|record| record.r#ref.clone()).collect();
            wanted = completed(&builder, &ids, false).await?;
        }
        let platforms = builder::platforms(&builder::worker(&engine).await?);
        let platform = platforms.first().map(String::as_str).unwrap_or_default();
        let mut bundle = Bundle::default();
        for record in wanted {
            let local = refs.for_bundle(&record.r#ref);
            bundle.add(&builder, record, platform, local).await?;
        }
        match file {
            "" | "-" => {
                bundle.write(&builder, Output).await?;
            }
            path => {
                let file = Unfinished::create(Path::new(path), "failed to create output file")?;
                bundle.write(&builder, file).await?.keep()?;
            }
        }
        Ok(0)
    })
}

/// Has the engine make what a record still lacks: its trace.
pub(super) async fn finalize(builder: &Builder, id: &str) -> Result<(), Error> {
    let question = UpdateBuildHistoryRequest { r#ref: id.to_owned(), finalize: true, ..Default::default() };
    builder.update_history(&question).await.map_err(|status| failed(&status))
}

/// Standard output.
struct Output;

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        ui::out_bytes(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where a blob's bytes are.
enum Blob {
    Here(Vec<u8>),
    /// In the engine's history.
    There,
}

/// An archive that is gathered.
#[derive(Default)]
struct Bundle {
    blobs: BTreeMap<String, Blob>,
    manifests: Vec<(String, Value)>,
}

impl Bundle {
    /// A record, and all that it names.
    async fn add(
        &mut self,
        builder: &Builder,
        mut record: BuildHistoryRecord,
        platform: &str,
        local: Map<String, Value>,
    ) -> Result<(), Error> {
        hide(&mut record.frontend_attrs);
        let mut layers = Vec::new();
        if let Some(blob) = &mut record.trace {
            let bytes = builder.content(&blob.digest).await.map_err(|status| failed(&status))?;
            let shown = self.here(&blob.media_type, trace::without_secrets(&bytes)?);
            blob.digest = shown["digest"].as_str().unwrap_or_default().to_owned();
            blob.size = shown["size"].as_i64().unwrap_or_default();
            layers.push(shown);
        }
        let mut said = document(&record);
        said.insert("DefaultPlatform".into(), platform.into());
        said.extend(local);
        let config = self.json(RECORD, &said.into());
        let results: BTreeMap<_, _> = record.results.iter().collect();
        layers.extend(record.logs.iter().filter_map(|blob| self.there(blob)));
        layers.extend(record.result.iter().flat_map(|result| self.result(result)));
        layers.extend(record.external_error.iter().filter_map(|blob| self.there(blob)));
        layers.extend(results.values().flat_map(|result| self.result(result)));
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
        let manifest = self.json(MANIFEST, &manifest);
        self.manifests.push((record.r#ref, manifest));
        Ok(())
    }

    fn result(&mut self, result: &BuildResultInfo) -> Vec<Value> {
        let mut named: Vec<Value> = result.attestations.iter().filter_map(|blob| self.there(blob)).collect();
        let results: BTreeMap<_, _> = result.results.iter().collect();
        for blob in results.into_values() {
            let mut shown = blob.clone();
            shown.annotations.insert(WAS.to_owned(), std::mem::take(&mut shown.media_type));
            shown.media_type = "application/json".to_owned();
            named.extend(self.there(&shown));
        }
        named
    }

    /// A blob of the engine's; nothing for one that is named already.
    fn there(&mut self, blob: &Descriptor) -> Option<Value> {
        let before = self.blobs.insert(blob.digest.clone(), Blob::There);
        before.is_none().then(|| oci_descriptor(blob))
    }

    fn json(&mut self, media_type: &str, document: &Value) -> Value {
        self.here(media_type, go_escape(&indented(document, "  ")).into_bytes())
    }

    fn here(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let (digest, size) = (Digest::sha256(&bytes).to_string(), bytes.len());
        self.blobs.insert(digest.clone(), Blob::Here(bytes));
        json!({ "mediaType": media_type, "digest": digest, "size": size })
    }

    /// Writes everything, by name.
    async fn write<W: Write>(mut self, builder: &Builder, to: W) -> Result<W, Error> {
        let failed_to_write = |e: io::Error| Error::Io("write the bundle", e);
        let root = self.root();
        let packed = GzEncoder::new(to, flate2::Compression::default());
        let mut archive = tar::Builder::new(packed);
        for folder in ["blobs/", "blobs/sha256/"] {
            let mut header = header(0, 0o755);
            header.set_entry_type(tar::EntryType::Directory);
            archive.append_data(&mut header, folder, io::empty()).map_err(failed_to_write)?;
        }
        for (digest, blob) in std::mem::take(&mut self.blobs) {
            // What an engine says becomes a file's name.
            let digest: Digest = digest.parse().map_err(|e| usage(format!("{digest:?}: {e}")))?;
            let bytes = match blob {
                Blob::Here(bytes) => bytes,
                Blob::There => {
                    builder.content(&digest.to_string()).await.map_err(|status| failed(&status))?
                }
            };
            let name = format!("blobs/sha256/{}", digest.hex());
            let mut header = header(bytes.len(), 0o444);
            archive.append_data(&mut header, name, bytes.as_slice()).map_err(failed_to_write)?;
        }
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [root] }).to_string();
        let layout = json!({ "imageLayoutVersion": "1.0.0" }).to_string();
        for (name, text, mode) in [("index.json", index, 0o644), ("oci-layout", layout, 0o444)] {
            let mut header = header(text.len(), mode);
            archive.append_data(&mut header, name, text.as_bytes()).map_err(failed_to_write)?;
        }
        archive.into_inner().and_then(GzEncoder::finish).map_err(failed_to_write)
    }

    /// The only manifest, or an index of all.
    fn root(&mut self) -> Value {
        if let [(_, only)] = self.manifests.as_slice() {
            return only.clone();
        }
        let of = |(id, mut manifest): (String, Value)| {
            manifest["annotations"] = json!({ REFERENCE: id });
            manifest
        };
        let all: Vec<Value> = std::mem::take(&mut self.manifests).into_iter().map(of).collect();
        self.json(INDEX, &json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": all }))
    }
}

fn header(size: usize, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size as u64);
    header.set_mode(mode);
    header.set_mtime(0);
    header
}

/// Of where a cache came from only its name goes along: the rest may be keys.
fn hide(asked: &mut HashMap<String, String>) {
    let Some(imports) = asked.get_mut("cache-imports") else { return };
    let Ok(Value::Array(all)) = serde_json::from_str(imports) else { return imports.clear() };
    let named = all.into_iter().map(|one| {
        let attributes = one["Attrs"].as_object().into_iter().flatten();
        let shown: BTreeMap<_, _> =
            attributes.filter(|(key, _)| matches!(key.as_str(), "scope" | "ref")).collect();
        json!({ "Type": one["Type"], "Attrs": shown })
    });
    *imports = go_escape(&Value::Array(named.collect()).to_string());
}

/// A record as Go writes it: fields in their order, without those that are empty.
fn document(record: &BuildHistoryRecord) -> Map<String, Value> {
    let exporter = |exporter: &buildkit::proto::control::Exporter| {
        Value::Object(filled([
            ("Type", exporter.r#type.clone().into()),
            ("Attrs", json!(sorted(&exporter.attrs))),
        ]))
    };
    let error = record.error.as_ref().map(|error| {
        Value::Object(filled([("code", error.code.into()), ("message", error.message.clone().into())]))
    });
    let results: BTreeMap<_, _> =
        record.results.iter().map(|(platform, found)| (platform, result(found))).collect();
    filled([
        ("Ref", record.r#ref.clone().into()),
        ("Frontend", record.frontend.clone().into()),
        ("FrontendAttrs", json!(sorted(&record.frontend_attrs))),
        ("Exporters", record.exporters.iter().map(exporter).collect()),
        ("error", error.unwrap_or_default()),
        ("CreatedAt", time(record.created_at.as_ref())),
        ("CompletedAt", time(record.completed_at.as_ref())),
        ("logs", record.logs.as_ref().map(descriptor).unwrap_or_default()),
        ("ExporterResponse", json!(sorted(&record.exporter_response))),
        ("Result", record.result.as_ref().map(result).unwrap_or_default()),
        ("Results", json!(results)),
        ("Generation", record.generation.into()),
        ("trace", record.trace.as_ref().map(descriptor).unwrap_or_default()),
        ("pinned", record.pinned.into()),
        ("numCachedSteps", record.num_cached_steps.into()),
        ("numTotalSteps", record.num_total_steps.into()),
        ("numCompletedSteps", record.num_completed_steps.into()),
        ("externalError", record.external_error.as_ref().map(descriptor).unwrap_or_default()),
        ("numWarnings", record.num_warnings.into()),
    ])
}

fn filled<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    let empty = |value: &Value| {
        [json!(null), json!(""), json!(0), json!(false), json!([]), json!({})].contains(value)
    };
    let full = fields.into_iter().filter(|(_, value)| !empty(value));
    full.map(|(name, value)| (name.to_owned(), value)).collect()
}

fn sorted(pairs: &HashMap<String, String>) -> BTreeMap<&String, &String> {
    pairs.iter().collect()
}

fn time(at: Option<&Timestamp>) -> Value {
    at.map(|at| filled([("seconds", at.seconds.into()), ("nanos", at.nanos.into())]).into())
        .unwrap_or_default()
}

fn descriptor(blob: &Descriptor) -> Value {
    filled([
        ("media_type", blob.media_type.clone().into()),
        ("digest", blob.digest.clone().into()),
        ("size", blob.size.into()),
        ("annotations", json!(sorted(&blob.annotations))),
    ])
    .into()
}

/// The same in the words of manifests.
fn oci_descriptor(blob: &Descriptor) -> Value {
    let mut shown = json!({ "mediaType": blob.media_type, "digest": blob.digest, "size": blob.size });
    if !blob.annotations.is_empty() {
        shown["annotations"] = json!(sorted(&blob.annotations));
    }
    shown
}

fn result(found: &BuildResultInfo) -> Value {
    let results: BTreeMap<_, _> =
        found.results.iter().map(|(number, blob)| (number.to_string(), descriptor(blob))).collect();
    filled([
        ("ResultDeprecated", found.result_deprecated.as_ref().map(descriptor).unwrap_or_default()),
        ("Attestations", found.attestations.iter().map(descriptor).collect()),
        ("Results", json!(results)),
    ])
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_caches_stay_here() {
        let given = r#"[{"Type":"s3","Attrs":{"bucket":"b","secret_access_key":"hidden","scope":"main"}}]"#;
        let mut asked = HashMap::from([("cache-imports".to_owned(), given.to_owned())]);
        hide(&mut asked);
        assert_eq!(asked["cache-imports"], r#"[{"Type":"s3","Attrs":{"scope":"main"}}]"#);
        asked.insert("cache-imports".into(), "no JSON: hidden".into());
        hide(&mut asked);
        assert_eq!(asked["cache-imports"], "");
    }
}
