//! In which form images leave: how their layers are packed, in whose words they are described.

use build::Error;
use build::request::{Export, ExportKind};
use layers::{Compression, Packing};

use crate::images::{Form, Words};

const KEYS: [&str; 4] = ["compression", "compression-level", "force-compression", "oci-mediatypes"];

/// Whether this is one of the attributes that are read here.
pub(super) fn has(key: &str) -> bool {
    KEYS.contains(&key)
}

/// What is asked for.
pub(super) struct Asked {
    packing: Option<Packing>,
    force: bool,
    words: Option<Words>,
}

/// Reads the attributes; refuses what there isn't.
pub(super) fn read(export: &Export) -> Result<Asked, Error> {
    let get = |key: &str| export.attributes.get(key).map(String::as_str).filter(|value| !value.is_empty());
    let flag = |key: &str| match get(key) {
        None => Ok(None),
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(Some(true)),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(Some(false)),
        Some(other) => Err(Error::Invalid(format!("non-bool value {other:?} specified for {key}"))),
    };
    let with = match get("compression") {
        None => None,
        Some("uncompressed") => Some(Compression::None),
        Some("gzip") => Some(Compression::Gzip),
        Some("zstd") => Some(Compression::Zstd),
        Some(other) => {
            return Err(Error::Unsupported { what: format!("the exporter's attribute compression={other}") });
        }
    };
    let level = match get("compression-level") {
        None => None,
        Some(text) => Some(text.parse::<u32>().map_err(|_| {
            Error::Invalid(format!("non-integer value {text:?} specified for compression-level"))
        })?),
    };
    let packing = match (with, level) {
        (None, None) => None,
        (with, level) => {
            let with = with.unwrap_or(Compression::Gzip);
            let packing = Packing::new(with, level).ok_or_else(|| {
                Error::Invalid(format!("compression-level={} is none that {with:?} has", level.unwrap_or(0)))
            })?;
            Some(packing)
        }
    };
    let words = flag("oci-mediatypes")?.map(|oci| if oci { Words::Oci } else { Words::Docker });
    Ok(Asked { packing, force: flag("force-compression")?.unwrap_or(false), words })
}

/// The form, where images aren't left as they are kept. `whole` says that what goes with them needs one.
pub(in crate::builds) fn choose(export: &Export, whole: bool) -> Result<Option<Form>, Error> {
    let Asked { packing, force, words } = read(export)?;
    // An archive for other tools is packed as BuildKit packs it; docker's own is loaded fastest as it is.
    let archive = export.kind == ExportKind::Oci;
    if packing.is_none() && !force && words.is_none() && !whole && !archive {
        return Ok(None);
    }
    let gzip = || Packing::new(Compression::Gzip, None);
    let packing = packing.or_else(gzip).ok_or_else(|| Error::Invalid("no such compression".into()))?;
    Ok(Some(Form { packing, force, words: words.unwrap_or(Words::Oci) }))
}
