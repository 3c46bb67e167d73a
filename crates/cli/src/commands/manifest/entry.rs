//! One image of a list: its manifest as its registry has it, and what the list says about it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci::image::media_type;
use oci::{Digest, Hasher, Reference};
use serde_json::{Map, Value, json};

use crate::error::Error;

/// An image's manifest and platform.
pub(super) struct Entry {
    pub(super) reference: Reference,
    pub(super) media_type: String,
    pub(super) digest: Digest,
    /// The keys of an OCI platform.
    pub(super) platform: Value,
    pub(super) raw: Vec<u8>,
}

/// A platform's keys in the order in which docker writes them.
const KEYS: [&str; 5] = ["architecture", "os", "os.version", "os.features", "variant"];

impl Entry {
    /// The platform in docker's order, without what isn't said.
    pub(super) fn platform_in_order(&self) -> Value {
        ordered(&self.platform)
    }

    /// The manifest itself.
    pub(super) fn manifest(&self) -> Result<Value, Error> {
        serde_json::from_slice(&self.raw)
            .map_err(|e| Error::Usage(format!("the manifest of {} is not valid JSON: {e}", self.reference)))
    }

    /// As docker keeps and shows it.
    pub(super) fn json(&self) -> Value {
        let key =
            if self.media_type == media_type::OCI_MANIFEST { "OCIManifest" } else { "SchemaV2Manifest" };
        json!({
            "Ref": self.reference.to_string(),
            "Descriptor": {
                "mediaType": self.media_type,
                "digest": self.digest.as_str(),
                "size": self.raw.len(),
                "platform": self.platform_in_order(),
            },
            "Raw": STANDARD.encode(&self.raw),
            key: serde_json::from_slice(&self.raw).unwrap_or(Value::Null),
        })
    }

    /// Reads what was kept; `None` where it is not whole, as files of clients before docker 20 aren't.
    pub(super) fn read(value: &Value) -> Option<Self> {
        let descriptor = &value["Descriptor"];
        let raw = STANDARD.decode(value["Raw"].as_str()?).ok()?;
        let digest: Digest = descriptor["digest"].as_str()?.parse().ok()?;
        let mut hasher = Hasher::new(digest.algorithm());
        hasher.update(&raw);
        (hasher.finish() == digest).then_some(())?;
        Some(Self {
            reference: Reference::parse(value["Ref"].as_str()?).ok()?,
            media_type: descriptor["mediaType"].as_str()?.to_owned(),
            digest,
            platform: ordered(&descriptor["platform"]),
            raw,
        })
    }
}

/// A platform of an image's config or of a list: only what belongs to one, in docker's order.
pub(super) fn ordered(platform: &Value) -> Value {
    let said = |value: &&Value| match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    };
    let mut keys: Map<String, Value> = KEYS
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), platform.get(*key).filter(said)?.clone())))
        .collect();
    // These two are never left out.
    for key in ["os", "architecture"] {
        if !keys.contains_key(key) {
            keys.shift_insert(0, key.to_owned(), "".into());
        }
    }
    Value::Object(keys)
}
