//! BuildKit's documents: `application/vnd.buildkit.cacheconfig.v0`, and its short form within an image's config.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use build::Error;
use oci::Digest;
use oci::image::Descriptor;
use serde::{Deserialize, Serialize};

use super::Part;
use crate::builds::error::work;
use crate::builds::tree::Layer;

pub(super) const CONFIG: &str = "application/vnd.buildkit.cacheconfig.v0";
/// No result has more layers, no cache more results.
const MAX_CHAIN: usize = 1000;
const MAX_RECORDS: usize = 100_000;

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Config {
    #[serde(default)]
    pub(super) layers: Vec<OneLayer>,
    #[serde(default)]
    pub(super) records: Vec<Record>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct OneLayer {
    pub(super) blob: Digest,
    /// The one below, or -1; 0 if nothing is said.
    #[serde(default)]
    pub(super) parent: i64,
    pub(super) annotations: About,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct About {
    pub(super) media_type: String,
    #[serde(rename = "diffID")]
    pub(super) diff_id: Digest,
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) created_at: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    /// The results: layers' numbers.
    #[serde(default, rename = "layers")]
    pub(super) results: Vec<Ends>,
    pub(super) digest: Digest,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Ends {
    pub(super) layer: usize,
}

/// For each key the layers, lowest first.
pub(super) fn chains(config: &Config) -> Result<HashMap<String, Vec<Part>>, Error> {
    let wrong = |why: &str| Error::Invalid(format!("the cache's config is wrong: {why}"));
    if config.records.len() > MAX_RECORDS || config.layers.len() > MAX_RECORDS {
        return Err(wrong("it has too many entries"));
    }
    let mut chains = HashMap::new();
    for record in &config.records {
        let [end] = &record.results[..] else { continue };
        let (mut chain, mut at) = (Vec::new(), i64::try_from(end.layer).unwrap_or(-1));
        while at >= 0 {
            let layer = usize::try_from(at).ok().and_then(|at| config.layers.get(at));
            let layer = layer.ok_or_else(|| wrong("a result names a layer that isn't there"))?;
            if chain.len() == MAX_CHAIN {
                return Err(wrong("layers on one another without end"));
            }
            let About { media_type, diff_id, size, created_at } = layer.annotations.clone();
            let blob = Descriptor {
                media_type,
                digest: layer.blob.clone(),
                size,
                platform: None,
                annotations: Default::default(),
            };
            chain.push(Part { blob, diff_id, made: created_at.as_deref().and_then(super::made) });
            at = layer.parent;
        }
        chain.reverse();
        chains.insert(record.digest.to_string(), chain);
    }
    Ok(chains)
}

/// The list for an image's own layers, in base64.
pub(super) fn inline(results: &[(Digest, Vec<Layer>)]) -> Result<String, Error> {
    let record = |(key, layers): &(Digest, Vec<Layer>)| Record {
        results: vec![Ends { layer: layers.len() - 1 }],
        digest: key.clone(),
    };
    let records: Vec<Record> = results.iter().map(record).collect();
    let bytes = serde_json::to_vec(&records).map_err(|e| work("write the cache into the image", e))?;
    Ok(STANDARD.encode(bytes))
}

/// The same, read: `parts` are the image's layers.
pub(super) fn read_inline(text: &str, parts: &[Part]) -> Result<HashMap<String, Vec<Part>>, Error> {
    let wrong = |why: String| Error::Invalid(format!("the image's cache can't be read: {why}"));
    let bytes = STANDARD.decode(text).map_err(|e| wrong(e.to_string()))?;
    let records: Vec<Record> = serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))?;
    if records.len() > MAX_RECORDS {
        return Err(wrong("it has too many entries".into()));
    }
    let mut chains = HashMap::new();
    for record in &records {
        if let [end] = &record.results[..]
            && let Some(chain) = parts.get(..=end.layer)
        {
            chains.insert(record.digest.to_string(), chain.to_vec());
        }
    }
    Ok(chains)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::sha256(text.as_bytes())
    }

    fn layer(name: &str, parent: i64) -> OneLayer {
        let annotations = About { media_type: "x".into(), diff_id: digest(name), size: 1, created_at: None };
        OneLayer { blob: digest(name), parent, annotations }
    }

    fn config(parents: &[i64]) -> Config {
        let layers = parents.iter().enumerate().map(|(at, parent)| layer(&at.to_string(), *parent)).collect();
        let end = |layer| Record { results: vec![Ends { layer }], digest: digest(&format!("k{layer}")) };
        Config { layers, records: (0..parents.len()).map(end).collect() }
    }

    #[test]
    fn a_result_is_its_layer_with_all_below() {
        let found = chains(&config(&[-1, 0, 1, 0])).unwrap();
        let ids = |key: &str| -> Vec<Digest> {
            found[digest(key).as_str()].iter().map(|part| part.diff_id.clone()).collect()
        };
        assert_eq!(ids("k2"), [digest("0"), digest("1"), digest("2")]);
        assert_eq!(ids("k3"), [digest("0"), digest("3")]);
    }

    #[test]
    fn a_stranger_s_config_is_refused_and_never_walked_without_end() {
        assert!(chains(&config(&[1, 0])).is_err());
        assert!(chains(&config(&[0])).is_err());
        assert!(chains(&config(&[7])).is_err());
        assert!(read_inline("no base64!", &[]).is_err());
        assert!(read_inline("e30=", &[]).is_err());
    }

    #[test]
    fn what_an_image_carries_is_about_its_own_layers() {
        let layers = |names: &[&str]| -> Vec<Layer> {
            names
                .iter()
                .map(|name| Layer { diff_id: digest(name), size: 1, made: None, by: String::new() })
                .collect()
        };
        let text =
            inline(&[(digest("a"), layers(&["1", "2"])), (digest("b"), layers(&["1", "2", "3"]))]).unwrap();
        let part = |name: &str| {
            let OneLayer { blob, annotations, .. } = layer(name, -1);
            let blob = Descriptor {
                media_type: annotations.media_type,
                digest: blob,
                size: 1,
                platform: None,
                annotations: Default::default(),
            };
            Part { blob, diff_id: annotations.diff_id, made: None }
        };
        let found = read_inline(&text, &["1", "2"].map(part)).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[digest("a").as_str()].len(), 2);
    }
}
