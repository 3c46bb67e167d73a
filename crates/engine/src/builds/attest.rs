//! What is said about an image that leaves the engine: how it came to be (SLSA's provenance) and what is in it (an SBOM), as
//! in-toto's statements beside the image, where BuildKit puts them and in its words.

mod materials;
mod provenance;
mod sbom;

use std::collections::BTreeMap;
use std::time::SystemTime;

use build::Error;
use build::request::{Export, ExportKind, Request, What};
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

    /// Refuses what can't be said of these results.
    pub(super) fn check(&self, exports: &[Export]) -> Result<(), Error> {
        let files = exports.iter().any(|export| matches!(export.kind, ExportKind::Local | ExportKind::Tar));
        match files && self.for_image(false).is_asked() {
            true => Err(Error::Unsupported { what: "an attestation of files that are no image".into() }),
            false => Ok(()),
        }
    }
}

impl Provenance {
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
    pub(super) names: Vec<String>,
    pub(super) image: &'a WrittenImage,
}

impl Subject<'_> {
    /// One for each name; without any it is the manifest alone.
    fn list(&self) -> Vec<Value> {
        let manifest = self.image.image.manifest.as_ref();
        let digest =
            manifest.map(|manifest| json!({ manifest.digest.algorithm().name(): manifest.digest.hex() }));
        let platform = self.image.image.platform();
        let purl = |name: &String| match oci::Reference::parse(name) {
            Ok(name) => materials::purl(&name, &platform),
            Err(_) => name.clone(),
        };
        let named: Vec<Value> =
            self.names.iter().map(|name| json!({ "name": purl(name), "digest": digest })).collect();
        match named.is_empty() {
            true => vec![json!({ "name": "_", "digest": digest })],
            false => named,
        }
    }

    fn state(&self, predicate_type: &str, predicate: &Value) -> Result<Statement, Error> {
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v0.1",
            "predicateType": predicate_type,
            "subject": self.list(),
            "predicate": predicate,
        });
        let bytes = serde_json::to_vec(&statement).map_err(|e| work("write an attestation", e))?;
        Ok(Statement { predicate: predicate_type.to_owned(), bytes })
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
