//! What is said about an image that leaves the engine: how it came to be (SLSA's provenance) and what is in it (an SBOM), as
//! in-toto's statements beside the image, where BuildKit puts them and in its words.

mod materials;
mod provenance;
mod sbom;

use std::collections::BTreeMap;
use std::time::SystemTime;

use build::Error;
use build::request::{Request, What};
use serde_json::{Value, json};

use super::error::work;
use crate::images::{Statement, WrittenImage};

/// What a client wants said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    provenance: Option<Provenance>,
    sbom: Option<Sbom>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Min,
    Max,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Provenance {
    mode: Mode,
    /// Only where it goes with an image: nobody asked for it, the client adds it to everything.
    inline_only: bool,
    builder: String,
    reproducible: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Sbom {
    /// The image whose program looks through another one.
    generator: String,
    /// What it is told besides.
    settings: BTreeMap<String, String>,
}

const GENERATOR: &str = "docker/buildkit-syft-scanner:stable-1";

impl Wanted {
    /// Reads `attest:KIND=key=value,…`; refuses what isn't known by name.
    pub(super) fn read(asked: &BTreeMap<String, String>) -> Result<Self, Error> {
        let mut wanted = Self::default();
        for (kind, text) in asked.iter().filter_map(|(key, text)| Some((key.strip_prefix("attest:")?, text)))
        {
            let mut fields = BTreeMap::new();
            for field in text.split(',').filter(|field| !field.is_empty()) {
                let (key, value) = field.split_once('=').unwrap_or((field, ""));
                fields.insert(key.to_owned(), value.to_owned());
            }
            // buildx says once more which it is.
            if let Some(other) = fields.remove("type").filter(|said| said != kind) {
                return Err(Error::Invalid(format!("an attestation {kind:?} of type {other:?}")));
            }
            if flag(&mut fields, "disabled")? {
                continue;
            }
            match kind {
                "provenance" => wanted.provenance = Some(Provenance::read(fields)?),
                "sbom" => {
                    let generator = fields.remove("generator").filter(|name| !name.is_empty());
                    let generator = generator.unwrap_or_else(|| GENERATOR.to_owned());
                    wanted.sbom = Some(Sbom { generator, settings: fields });
                }
                other => {
                    return Err(Error::Unsupported { what: format!("the attestation {other:?}") });
                }
            }
        }
        Ok(wanted)
    }

    /// What is said of an image that stays here, or of one that leaves.
    pub(super) fn for_image(&self, leaves: bool) -> Self {
        let provenance = self.provenance.clone().filter(|provenance| leaves || !provenance.inline_only);
        Self { provenance, sbom: self.sbom.clone() }
    }

    pub(super) fn is_asked(&self) -> bool {
        self.provenance.is_some() || self.sbom.is_some()
    }
}

impl Provenance {
    /// All that is known.
    fn full() -> Self {
        Self { mode: Mode::Max, inline_only: false, builder: String::new(), reproducible: false }
    }

    fn read(mut fields: BTreeMap<String, String>) -> Result<Self, Error> {
        let mode = match fields.remove("mode").as_deref() {
            None | Some("" | "min") => Mode::Min,
            Some("max") => Mode::Max,
            Some(other) => return Err(Error::Invalid(format!("invalid provenance mode {other:?}"))),
        };
        match fields.remove("version").as_deref() {
            None | Some("" | "v0.2") => {}
            Some(other) => return Err(Error::Unsupported { what: format!("provenance of version {other}") }),
        }
        let inline_only = flag(&mut fields, "inline-only")?;
        let reproducible = flag(&mut fields, "reproducible")?;
        let builder = fields.remove("builder-id").unwrap_or_default();
        match fields.keys().next() {
            Some(odd) => Err(Error::Unsupported { what: format!("the provenance's setting {odd:?}") }),
            None => Ok(Self { mode, inline_only, builder, reproducible }),
        }
    }
}

fn flag(fields: &mut BTreeMap<String, String>, name: &str) -> Result<bool, Error> {
    match fields.remove(name).as_deref() {
        None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
        Some("" | "1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
        Some(other) => Err(Error::Invalid(format!("invalid boolean {other:?} of {name}"))),
    }
}

/// One build, as its provenance tells of it.
#[derive(Debug)]
pub(super) struct About {
    id: String,
    asked: BTreeMap<String, String>,
    frontend: &'static str,
    started: SystemTime,
}

impl About {
    pub(super) fn new(request: &Request) -> Self {
        let frontend = match request.what {
            What::Graph(_) => "",
            // A client that drives its build itself has the Dockerfile's frontend do it.
            What::Frontend { .. } | What::Outside(_) => "dockerfile.v0",
        };
        Self { id: request.id.clone(), asked: request.asked.clone(), frontend, started: SystemTime::now() }
    }
}

/// What is spoken of.
pub(super) struct Subject<'a> {
    /// The platform's key.
    pub(super) key: &'a str,
    list: Vec<Value>,
}

fn subject(name: &str, digest: Option<&oci::Digest>) -> Value {
    let digest = digest.map(|digest| json!({ digest.algorithm().name(): digest.hex() }));
    json!({ "name": name, "digest": digest })
}

impl<'a> Subject<'a> {
    /// An image by each of its names; without any it is the manifest alone.
    pub(super) fn image(key: &'a str, names: &[String], image: &WrittenImage) -> Self {
        let digest = image.image.manifest.as_ref().map(|manifest| &manifest.digest);
        let platform = image.image.platform();
        let purl = |name: &String| match oci::Reference::parse(name) {
            Ok(name) => materials::purl(&name, &platform),
            Err(_) => name.clone(),
        };
        let named: Vec<Value> = names.iter().map(|name| subject(&purl(name), digest)).collect();
        Self { key, list: if named.is_empty() { vec![subject("_", digest)] } else { named } }
    }

    /// Files by their paths.
    pub(super) fn files(key: &'a str, files: &[(String, oci::Digest)]) -> Self {
        Self { key, list: files.iter().map(|(path, digest)| subject(path, Some(digest))).collect() }
    }

    fn state(&self, predicate_type: &str, predicate: &Value) -> Result<Statement, Error> {
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v0.1",
            "predicateType": predicate_type,
            "subject": self.list,
            "predicate": predicate,
        });
        let bytes = serde_json::to_vec(&statement).map_err(|e| work("write an attestation", e))?;
        Ok(Statement { predicate: predicate_type.to_owned(), bytes })
    }
}

/// The file that a statement is, beside files that it speaks of.
pub(super) fn file_name(statement: &Statement) -> &'static str {
    match statement.predicate.as_str() {
        provenance::TYPE => "provenance.json",
        "https://spdx.dev/Document" => "sbom.spdx.json",
        _ => "attestation.json",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Wanted, Error> {
        Wanted::read(&pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn what_a_client_adds_to_everything_stays_out_of_what_stays_here() {
        let usual = read(&[("attest:provenance", "mode=min,inline-only=true")]).unwrap();
        assert!(!usual.for_image(false).is_asked() && usual.for_image(true).is_asked());
        let asked = read(&[("attest:provenance", "mode=max")]).unwrap();
        assert!(asked.for_image(false).is_asked());
        assert!(!read(&[("attest:provenance", "disabled=true"), ("target", "a")]).unwrap().is_asked());
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        for (key, value) in [
            ("attest:other", ""),
            ("attest:provenance", "mode=most"),
            ("attest:provenance", "version=v1"),
            ("attest:provenance", "odd=1"),
            ("attest:sbom", "disabled=perhaps"),
        ] {
            assert!(read(&[(key, value)]).is_err(), "{key}={value}");
        }
    }
}
