//! `imagetools inspect`.

use distribution::{Document, Repository};
use oci::Reference;
use oci::image::Descriptor;
use serde_json::{Map, Value, json};

use super::attested::{self, Said};
use super::{
    ABOUT, Registry, all_written, config, descriptor, index, parse, platform, pretty, usage, written,
};
use crate::call::{Call, block_on};
use crate::commands::builder;
use crate::error::{Error, Outcome};
use crate::listing::align_with;
use crate::template::{INSPECT, Template};
use crate::ui;

/// What a template can see.
const FIELDS: [&str; 5] = ["Name", "Manifest", "Image", "Provenance", "SBOM"];

/// `imagetools inspect`.
pub(crate) fn inspect(call: &Call) -> Outcome {
    builder::name(call, &call.endpoint()?.context)?;
    let reference = parse(call.args().first().map_or("", String::as_str))?;
    let (raw, format) = (call.flags().bool("raw"), call.flags().text("format"));
    if raw && !format.is_empty() {
        return Err(usage("format and raw cannot be used together"));
    }
    let text = block_on(async {
        let (repository, document) = Registry::of(call, &reference).find(&reference).await?;
        let found = Found { reference: &reference, repository, document };
        match (raw, format) {
            (true, _) => Ok(String::from_utf8_lossy(&found.document.bytes).into_owned()),
            (false, "") => Ok(found.page()),
            (false, format) => found.format(format).await,
        }
    })?;
    ui::out(&text)?;
    Ok(0)
}

/// An image, or several under one name.
struct Found<'a> {
    reference: &'a Reference,
    repository: Repository,
    document: Document,
}

impl Found<'_> {
    fn page(&self) -> String {
        let facts = [
            format!("Name:\t{}\n", self.reference),
            format!("MediaType:\t{}\n", self.document.media_type),
            format!("Digest:\t{}\n", self.document.digest),
        ];
        let mut text = align_with(&facts.concat(), 0, 1);
        if let Some(index) = index(&self.document) {
            text.push_str(&align_with("\t\nManifests:\t\n", 0, 1));
            let mut block = String::new();
            for (at, entry) in index.manifests.iter().enumerate() {
                if at > 0 {
                    block.push_str("\t\n");
                }
                let name = self.named(entry);
                block.push_str(&format!("  Name:\t{name}\n  MediaType:\t{}\n", entry.media_type));
                if let Some(known) = &entry.platform {
                    block.push_str(&format!("  Platform:\t{}\n", platform(known)));
                }
                if !entry.annotations.is_empty() {
                    block.push_str("  Annotations:\t\n");
                    text.push_str(&align_with(&std::mem::take(&mut block), 0, 1));
                    let notes = entry.annotations.iter().map(|(key, value)| format!("    {key}:\t{value}\n"));
                    text.push_str(&align_with(&notes.collect::<String>(), 0, 1));
                }
            }
            text.push_str(&align_with(&block, 0, 1));
        }
        diag::printable(&text)
    }

    /// An entry's name: with its digest behind the tag that leads to it.
    fn named(&self, entry: &Descriptor) -> String {
        let tag = self.reference.tag().map(|tag| format!(":{tag}")).unwrap_or_default();
        format!("{}{tag}@{}", self.reference.repository(), entry.digest)
    }

    async fn format(&self, format: &str) -> Result<String, Error> {
        if let Some(path) = whole_json(format) {
            let whole = self.whole(path.is_empty() || !path.starts_with("Manifest")).await?;
            let piece = match path {
                "" => Some(&whole),
                path => whole.get(path.to_lowercase()),
            };
            let piece = piece.unwrap_or(&Value::Null);
            return Ok(format!("{}\n", pretty(piece)?));
        }
        if format.contains("json ") {
            return Err(usage("--format: json has to be all that there is: {{json .Manifest}}"));
        }
        if let Some(field) =
            ["Image", "Provenance", "SBOM"].iter().find(|name| format.contains(&format!(".{name}")))
        {
            return Err(usage(format!(
                "--format: .{field} is only to be had as JSON: {{{{json .{field}}}}}"
            )));
        }
        let shown = json!({ "Name": self.reference.to_string(), "Manifest": exported(&self.manifest()) });
        let text = Template::parse(format, INSPECT)?.render(shown.clone(), shown)?;
        Ok(format!("{text}\n"))
    }

    /// The index with what it is itself, or the image's descriptor.
    fn manifest(&self) -> Value {
        let own = written(&descriptor(&self.document));
        let Some(index) = index(&self.document) else { return own };
        let mut all = Map::new();
        all.insert("schemaVersion".into(), index.schema_version.into());
        all.extend(own.as_object().cloned().unwrap_or_default());
        all.insert("manifests".into(), all_written(index).into());
        if !index.annotations.is_empty() {
            all.insert("annotations".into(), json!(index.annotations));
        }
        Value::Object(all)
    }

    /// Everything; configs and what is attested only where it is wanted.
    async fn whole(&self, deep: bool) -> Result<Value, Error> {
        let mut whole = Map::new();
        whole.insert("name".into(), self.reference.to_string().into());
        whole.insert("manifest".into(), self.manifest());
        if deep {
            let images = self.images().await?;
            whole.insert("image".into(), alone_or_all(images));
            for (key, said) in [("provenance", Said::Provenance), ("sbom", Said::Sbom)] {
                let found = attested::all(self.reference, &self.repository, &self.document, said).await?;
                if !found.is_empty() {
                    let several = index(&self.document).map_or(1, images_of) > 1;
                    whole
                        .insert(key.into(), if several { Value::Object(found) } else { alone_or_all(found) });
                }
            }
        }
        Ok(Value::Object(whole))
    }

    async fn images(&self) -> Result<Map<String, Value>, Error> {
        let mut images = Map::new();
        let Some(index) = index(&self.document) else {
            images.insert(String::new(), config(&self.repository, &self.document).await?);
            return Ok(images);
        };
        for entry in index.manifests.iter().filter(|entry| !entry.annotations.contains_key(ABOUT)) {
            let one = self.reference.with_digest(entry.digest.clone());
            let image = self.repository.document(&one).await.map_err(super::failed)?;
            let key = entry.platform.as_ref().map(platform).unwrap_or_default();
            images.insert(key, config(&self.repository, &image).await?);
        }
        Ok(images)
    }
}

fn images_of(index: &oci::image::Index) -> usize {
    index.manifests.iter().filter(|entry| !entry.annotations.contains_key(ABOUT)).count()
}

fn alone_or_all(all: Map<String, Value>) -> Value {
    match all.len() {
        1 => all.into_iter().next().map(|(_, one)| one).unwrap_or_default(),
        _ => Value::Object(all),
    }
}

/// The field of `{{json .Field}}`; empty for `{{json .}}`.
fn whole_json(format: &str) -> Option<&str> {
    let inside = format.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim();
    let field = inside.strip_prefix("json")?.trim().strip_prefix('.')?;
    (field.is_empty() || FIELDS.contains(&field)).then_some(field)
}

/// JSON's names as Go's fields have them: `mediaType` is `MediaType`.
fn exported(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| {
                // What people wrote into annotations stays as it is.
                let value = if name == "annotations" { value.clone() } else { exported(value) };
                let mut letters = name.chars();
                let first = letters.next().map(|first| first.to_ascii_uppercase());
                let name =
                    if name == "os" { "OS".to_owned() } else { first.into_iter().chain(letters).collect() };
                (name, value)
            };
            Value::Object(fields.iter().map(field).collect())
        }
        Value::Array(all) => all.iter().map(exported).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_of_json_alone_is_known() {
        assert_eq!(whole_json("{{json .Manifest}}"), Some("Manifest"));
        assert_eq!(whole_json(" {{ json . }} "), Some(""));
        assert_eq!(whole_json("{{json .Other}}"), None);
        assert_eq!(whole_json("{{.Name}}"), None);
    }

    #[test]
    fn fields_have_go_s_names() {
        let value = json!({ "mediaType": "m", "manifests": [{ "platform": { "os": "linux" } }], "annotations": { "a.b": "c" } });
        let expected = json!({ "MediaType": "m", "Manifests": [{ "Platform": { "OS": "linux" } }], "Annotations": { "a.b": "c" } });
        assert_eq!(exported(&value), expected);
    }
}
