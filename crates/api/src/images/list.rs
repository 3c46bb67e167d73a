//! `GET /images/json`.

use std::collections::BTreeMap;
use std::time::SystemTime;

use engine::filters::Filters;
use engine::images::{Catalogue, Image};
use serde::Serialize;
use serde_json::Value;

use super::manifests;
use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};
use crate::time;

const FILTER_KEYS: &[&str] = &["before", "dangling", "label", "label!", "reference", "since", "until"];

pub(crate) async fn get(call: Call) -> Result<Reply, Error> {
    let mut filters = Filters::parse(call.query.get("filters"), FILTER_KEYS).map_err(engine::Error::from)?;
    let name = call.query.get("filter");
    if call.before(41) && !name.is_empty() {
        filters.add("reference", name);
    }
    if call.query.flag("identity") {
        return Err(Error::refused("identity", "images of this version of Ketch are not signed"));
    }
    let (all, with_manifests) = (call.query.flag("all"), call.query.flag("manifests") && call.since(47));
    let catalogue = call.engine.images.catalogue();
    let chosen = Chosen::new(&catalogue, &filters)?;
    let usage = call.query.flag("shared-size").then(|| engine::disk::measure_images(&call.engine));
    let mut list = Vec::new();
    for image in catalogue.images.values() {
        let mut names = catalogue.names_of(&image.id);
        names.extend(catalogue.digests_of(&image.id));
        // A name is listed once, whatever number of platforms it has.
        if !chosen.admits(image, &names) || (!all && catalogue.is_sibling(&image.id)) {
            continue;
        }
        let mut entry = Summary::of(&call, &catalogue, image);
        entry.repo_tags.retain(|name| chosen.means(name));
        entry.repo_digests.iter_mut().for_each(|digests| digests.retain(|name| chosen.means(name)));
        entry.descriptor = manifests::descriptor(image).filter(|_| call.since(48));
        if let Some(usage) = &usage {
            entry.shared_size = i64::try_from(usage.shared_size(image)).unwrap_or(i64::MAX);
        }
        entry.manifests = with_manifests.then(|| manifests::of(&call, &catalogue, image));
        list.push(entry);
    }
    list.sort_by_key(|entry| std::cmp::Reverse(entry.created));
    Ok(reply::json(&list))
}

/// One image's entry, as in the listing and in `system df`. A shape of its own, since there may be thousands.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Summary<'a> {
    pub(crate) containers: i64,
    created: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    descriptor: Option<Value>,
    id: &'a str,
    labels: Option<&'a BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifests: Option<Value>,
    parent_id: &'static str,
    pub(crate) repo_digests: Option<Vec<String>>,
    repo_tags: Vec<String>,
    pub(crate) shared_size: i64,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    virtual_size: Option<u64>,
}

impl<'a> Summary<'a> {
    pub(crate) fn of(call: &Call, catalogue: &Catalogue, image: &'a Image) -> Self {
        let labels = &image.config.config.labels;
        let digests = catalogue.digests_of(&image.id);
        Self {
            containers: -1,
            created: image.created(),
            descriptor: None,
            id: image.id.as_str(),
            labels: (!labels.is_empty()).then_some(labels),
            manifests: None,
            parent_id: "",
            // Before 1.43 Go's nil slice was sent as it is.
            repo_digests: if digests.is_empty() && call.before(43) { None } else { Some(digests) },
            repo_tags: catalogue.names_of(&image.id),
            shared_size: -1,
            size: image.size(),
            virtual_size: call.before(44).then(|| image.size()),
        }
    }
}

struct Chosen<'a> {
    filters: &'a Filters,
    dangling: Option<bool>,
    before: Option<i64>,
    since: Option<i64>,
    until: Option<i64>,
}

impl<'a> Chosen<'a> {
    fn new(catalogue: &Catalogue, filters: &'a Filters) -> Result<Self, Error> {
        let age_of = |key| -> Result<Option<i64>, Error> {
            let Some(name) = filters.values(key).next() else { return Ok(None) };
            let found = catalogue.find(name)?;
            let missing = || engine::Error::NoSuchImage(name.to_owned());
            Ok(Some(found.ok_or_else(missing)?.created()))
        };
        let until = filters.values("until").next().map(|text| {
            engine::events::parse_time(text).map_err(engine::Error::from).map(|at| at.map(time::seconds))
        });
        Ok(Self {
            filters,
            dangling: filters.flag("dangling").map_err(engine::Error::from)?,
            before: age_of("before")?,
            since: age_of("since")?,
            until: until.transpose()?.flatten(),
        })
    }

    /// Whether this name of an image was asked for: its others aren't shown, as dockerd does it.
    fn means(&self, name: &str) -> bool {
        self.filters.admits_by("reference", |pattern| refers(name, pattern))
    }

    fn admits(&self, image: &Image, names: &[String]) -> bool {
        let created = image.created();
        let label = |name: &str| image.config.config.labels.get(name).map(String::as_str);
        self.dangling.is_none_or(|dangling| dangling == names.is_empty())
            && self.before.is_none_or(|before| created < before)
            && self.since.is_none_or(|since| created > since)
            && self.until.is_none_or(|until| created < until)
            && (names.is_empty() && !self.filters.has("reference")
                || names.iter().any(|name| self.means(name)))
            && self.filters.admits_labels("label", label)
            && (!self.filters.has("label!") || !self.filters.admits_labels("label!", label))
    }
}

/// `busybox`, `busybox:*`, `*/app`: a shell pattern over the name with or without its tag.
fn refers(name: &str, pattern: &str) -> bool {
    let name = name.split('@').next().unwrap_or_default();
    let untagged = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(name, |(name, _)| name);
    glob(pattern, name) || glob(pattern, untagged)
}

/// `*` is any text without a slash, `?` one character of it.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p, t));
                p += 1;
            }
            Some('?') if text[t] != '/' => (p, t) = (p + 1, t + 1),
            Some(c) if *c == text[t] => (p, t) = (p + 1, t + 1),
            // Let the last star take one character more.
            _ => match retry {
                Some((star, from)) if text[from] != '/' => {
                    retry = Some((star, from + 1));
                    (p, t) = (star + 1, from + 1);
                }
                _ => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// When the image was last given a name.
pub(crate) fn last_tagged(catalogue: &Catalogue, image: &Image) -> Option<SystemTime> {
    catalogue.tags.values().filter(|tag| tag.image == image.id && !tag.is_digest()).map(|tag| tag.at).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_match_as_shell_patterns() {
        for (pattern, name) in [
            ("busybox", "busybox:latest"),
            ("busy*", "busybox:1"),
            ("*/app:*", "team/app:2"),
            ("*:la?est", "a:latest"),
        ] {
            assert!(refers(name, pattern), "{pattern} {name}");
        }
        for (pattern, name) in [("app", "team/app:2"), ("*", "team/app:2"), ("busy", "busybox:1")] {
            assert!(!refers(name, pattern), "{pattern} {name}");
        }
    }
}
