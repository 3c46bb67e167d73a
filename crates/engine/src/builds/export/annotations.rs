//! `annotation.NAME=value` and its kin: what manifests, indexes and their descriptors say besides.

use std::collections::BTreeMap;

use build::Error;
use build::request::Export;

type Map = BTreeMap<String, String>;

/// Those of one export.
#[derive(Debug, Default)]
pub(super) struct Annotations {
    /// With the platform that they are for; none is all.
    manifest: Vec<(Option<String>, String, String)>,
    descriptor: Vec<(Option<String>, String, String)>,
    pub(super) index: Map,
    /// Where the index itself is named.
    pub(super) of_index: Map,
}

impl Annotations {
    /// Whether an attribute is one of these.
    pub(super) fn has(key: &str) -> bool {
        key.starts_with("annotation.") || key.starts_with("annotation-") || key.starts_with("annotation[")
    }

    /// Reads them; refuses a kind that there isn't.
    pub(super) fn read(export: &Export) -> Result<Self, Error> {
        let mut found = Self::default();
        for (key, value) in export.attributes.iter().filter(|(key, _)| Self::has(key)) {
            let unknown = || Error::Invalid(format!("unknown annotation type in {key:?}"));
            let rest = key.strip_prefix("annotation").ok_or_else(unknown)?;
            let dot = match rest.find(']') {
                Some(end) => end + 1,
                None => rest.find('.').ok_or_else(unknown)?,
            };
            let (kind, name) = rest.split_at(dot);
            let name = name.strip_prefix('.').filter(|name| !name.is_empty()).ok_or_else(unknown)?;
            let (kind, platform) = match kind.split_once('[') {
                Some((kind, platform)) => (kind, Some(platform.trim_end_matches(']').to_owned())),
                None => (kind, None),
            };
            let (name, value) = (name.to_owned(), value.clone());
            match (kind, platform) {
                ("" | "-manifest", platform) => found.manifest.push((platform, name, value)),
                ("-manifest-descriptor", platform) => found.descriptor.push((platform, name, value)),
                ("-index", None) => drop(found.index.insert(name, value)),
                ("-index-descriptor", None) => drop(found.of_index.insert(name, value)),
                _ => return Err(unknown()),
            }
        }
        Ok(found)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.manifest.is_empty()
            && self.descriptor.is_empty()
            && self.index.is_empty()
            && self.of_index.is_empty()
    }

    /// Where there is no index, nothing can be said in one.
    pub(super) fn refuse_index(&self) -> Result<(), Error> {
        let fine = self.index.is_empty() && self.of_index.is_empty() && self.descriptor.is_empty();
        match fine {
            true => Ok(()),
            false => Err(Error::Invalid("index annotations not supported for single platform export".into())),
        }
    }

    /// Those of one platform's manifest.
    pub(super) fn of_manifest(&self, platform: &str) -> Map {
        of(&self.manifest, platform)
    }

    /// Those of its descriptor in the index.
    pub(super) fn of_descriptor(&self, platform: &str) -> Map {
        of(&self.descriptor, platform)
    }
}

/// What is said for all, and after it what is said for one.
fn of(all: &[(Option<String>, String, String)], platform: &str) -> Map {
    let pick = |wanted: Option<&str>| {
        let fits = all.iter().filter(move |(of, ..)| of.as_deref() == wanted);
        fits.map(|(_, name, value)| (name.clone(), value.clone())).collect::<Vec<_>>()
    };
    let mut map: Map = pick(None).into_iter().collect();
    map.extend(pick(Some(platform)));
    map
}

#[cfg(test)]
mod tests {
    use build::request::ExportKind;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Annotations, Error> {
        let attributes = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Annotations::read(&Export { kind: ExportKind::Image, attributes })
    }

    #[test]
    fn each_kind_goes_to_its_place() {
        let read = |pairs| read(pairs).unwrap();
        let all = read(&[
            ("annotation.org.a", "1"),
            ("annotation[linux/arm64].org.a", "2"),
            ("annotation-manifest-descriptor.b.c", "3"),
            ("annotation-index.d", "4"),
            ("annotation-index-descriptor.e", "5"),
            ("name", "x"),
        ]);
        assert_eq!(all.of_manifest("linux/amd64"), [("org.a".into(), "1".into())].into());
        assert_eq!(all.of_manifest("linux/arm64"), [("org.a".into(), "2".into())].into());
        assert_eq!(all.of_descriptor("linux/arm64"), [("b.c".into(), "3".into())].into());
        assert_eq!((all.index["d"].as_str(), all.of_index["e"].as_str()), ("4", "5"));
        assert!(all.refuse_index().is_err() && read(&[("annotation.a", "1")]).refuse_index().is_ok());
    }

    #[test]
    fn a_kind_that_there_is_not_is_refused() {
        for key in ["annotation-other.a", "annotation-index[linux/amd64].a", "annotation.", "annotation-x"] {
            assert!(read(&[(key, "v")]).is_err(), "{key}");
        }
    }
}
