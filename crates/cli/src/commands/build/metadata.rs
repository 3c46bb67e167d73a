//! What is known of a result: `--iidfile`, `--metadata-file`, and the id that `--quiet` prints.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use buildkit::client::Builder;
use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::commands::records;
use crate::error::Error;

/// The id of the image: its config's digest where the engine has such ids.
pub(super) fn image_id(response: &HashMap<String, String>) -> &str {
    let keys = ["containerimage.config.digest", "containerimage.digest"];
    keys.iter().find_map(|key| response.get(*key)).map_or("", String::as_str)
}

/// Writes the files that were asked for.
pub(super) async fn write(
    call: &Call,
    builder: &Builder,
    name: &str,
    response: &HashMap<String, String>,
) -> Result<(), Error> {
    if let Some(path) = call.flags().find("iidfile") {
        put(path, image_id(response).as_bytes())?;
    }
    if let Some(path) = call.flags().find("metadata-file") {
        let said = provenance(builder, name).await?;
        let text = serde_json::to_string_pretty(&document(name, response, said));
        let text = text.map_err(|e| Error::Usage(format!("cannot write {path}: {e}")))?;
        put(path, text.as_bytes())?;
    }
    Ok(())
}

/// In place of a file at once: whoever waits for it sees all of it. What is there and no file (`/dev/null`) is written to, and
/// stays what it is.
fn put(path: &str, text: &[u8]) -> Result<(), Error> {
    let beside = format!("{path}.{}", std::process::id());
    let written = match std::fs::metadata(path) {
        Ok(there) if !there.is_file() => std::fs::write(path, text),
        _ => std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, path)),
    };
    written.map_err(|e| {
        let _ = std::fs::remove_file(&beside);
        Error::Usage(format!("cannot write {path}: {e}"))
    })
}

/// As buildx writes it: in alphabetical order, JSON where the engine sent JSON in base64.
fn document(name: &str, response: &HashMap<String, String>, said: Vec<(String, Value)>) -> Value {
    let mut fields: Vec<(String, Value)> =
        response.iter().map(|(key, value)| (key.clone(), decoded(value))).collect();
    fields.push(("buildx.build.ref".into(), json!(name)));
    fields.extend(said);
    fields.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
    Value::Object(fields.into_iter().collect::<Map<_, _>>())
}

/// How it was made, by what the engine remembers: in short, unless a variable asks for all of it or for nothing.
async fn provenance(builder: &Builder, name: &str) -> Result<Vec<(String, Value)>, Error> {
    let asked = client::resolve::process_env("BUILDX_METADATA_PROVENANCE").unwrap_or_default();
    if matches!(&*asked, "disabled" | "0" | "f" | "F" | "false" | "False" | "FALSE") {
        return Ok(Vec::new());
    }
    let id = name.rsplit('/').next().unwrap_or(name);
    let mut found = Vec::new();
    for (platform, mut said) in records::provenances(builder, id).await? {
        if let Some(said) = said.as_object_mut().filter(|_| asked != "max") {
            said.retain(|key, _| !matches!(key.as_str(), "buildConfig" | "metadata"));
        }
        let place = if platform.is_empty() { platform } else { format!("/{platform}") };
        found.push((format!("buildx.build.provenance{place}"), said));
    }
    Ok(found)
}

fn decoded(value: &str) -> Value {
    let bytes = STANDARD.decode(value).ok();
    let parsed = bytes.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    // A number or a text in base64 is a coincidence.
    parsed.filter(|parsed| parsed.is_object() || parsed.is_array()).unwrap_or_else(|| json!(value))
}
