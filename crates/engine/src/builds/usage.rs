//! What builds keep on the disk, how it is removed, and how it stays within a limit.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use oci::Digest;

use super::Parts;
use super::cache::Cached;
use crate::Error;
use crate::filters::Filters;

/// What `POST /build/prune` filters by.
///
/// `system prune` sends its labels here too. What builds keep has none: each has every label not.
pub const PRUNE_KEYS: &[&str] = &[
    "until",
    "unused-for",
    "id",
    "type",
    "inuse",
    "shared",
    "private",
    "parent",
    "description",
    "label",
    "label!",
];

/// What something is; docker's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What a step made.
    Regular,
    /// A client's directory.
    Local,
    /// A cache mount.
    CacheMount,
}

impl Kind {
    /// As the API writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Regular => "regular",
            Self::Local => "source.local",
            Self::CacheMount => "exec.cachemount",
        }
    }
}

/// One thing that is kept.
#[derive(Debug, Clone)]
pub struct Entry {
    pub id: String,
    pub kind: Kind,
    pub description: String,
    /// Bytes that nothing else has.
    pub size: u64,
    /// Whether an image or another entry has its layers, too.
    pub shared: bool,
    pub in_use: bool,
    pub made: SystemTime,
    pub used: SystemTime,
    pub uses: u64,
}

/// What is to be removed.
#[derive(Debug, Clone, Default)]
pub struct What {
    /// Also what images share.
    pub all: bool,
    /// So many bytes stay, whatever else is said.
    pub keep: u64,
    /// No more than so many may stay; 0: any number.
    pub max_used: u64,
    /// So much of the disk has to be free, as far as removing helps.
    pub min_free: u64,
    pub filters: Option<Filters>,
}

impl What {
    /// For how long what is removed was not used.
    pub fn unused_for(&self) -> Duration {
        let texts = self
            .filters
            .iter()
            .flat_map(|filters| filters.values("unused-for").chain(filters.values("until")));
        texts.filter_map(crate::images::duration).max().unwrap_or_default()
    }

    /// How many of so many bytes may stay; nothing means that nothing has to.
    fn may_keep(&self, total: u64, free: u64) -> u64 {
        let mut keep = (self.max_used > 0).then_some(self.max_used);
        let lacking = self.min_free.saturating_sub(free);
        if lacking > 0 {
            let rest = total.saturating_sub(lacking);
            keep = Some(keep.map_or(rest, |keep| keep.min(rest)));
        }
        let asked = self.min_free > 0 && keep.is_none();
        match asked {
            // Enough is free, and nobody asked for more.
            true => total.max(1),
            false => keep.unwrap_or(0).max(self.keep),
        }
    }
}

/// What was removed.
#[derive(Debug, Default)]
pub struct Pruned {
    pub ids: Vec<String>,
    pub bytes: u64,
}

/// Everything that is kept, used last first.
pub(super) fn list(parts: &Parts) -> Result<Vec<Entry>, Error> {
    let records = parts.cache.list()?;
    let own = parts.cache.own_layers(&records);
    let mut entries: Vec<Entry> = records.iter().map(|record| of_record(record, &own)).collect();
    let failed = |error: build::Error| Error::Build(Box::new(error));
    for (id, size, used) in parts.contexts.list().map_err(failed)? {
        let in_use = parts.contexts.is_used(&id);
        let description = "local source for context".to_owned();
        entries.push(Entry {
            id,
            kind: Kind::Local,
            description,
            size,
            shared: false,
            in_use,
            made: used,
            used,
            uses: 1,
        });
    }
    for (id, shown, size, used) in parts.caches.list().map_err(failed)? {
        let in_use = parts.caches.is_used(&id);
        let description = format!("cached mount {shown} from exec");
        entries.push(Entry {
            id,
            kind: Kind::CacheMount,
            description,
            size,
            shared: false,
            in_use,
            made: used,
            used,
            uses: 1,
        });
    }
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.used));
    Ok(entries)
}

fn of_record(record: &Cached, own: &BTreeMap<Digest, (u64, usize)>) -> Entry {
    // A layer is counted where it is on top: there it was made.
    let tops = record.outputs.iter().filter_map(|layers| layers.last());
    let real = tops.filter(|layer| !layer.is_empty());
    let (mut size, mut shared) = (0, false);
    for layer in real {
        match own.get(&layer.diff_id) {
            Some((bytes, _)) => size += bytes,
            None => shared = true,
        }
    }
    Entry {
        id: record.key.trim_start_matches("sha256:").chars().take(25).collect(),
        kind: Kind::Regular,
        description: record.name.clone(),
        size,
        shared,
        in_use: false,
        made: record.made,
        used: record.used,
        uses: record.uses,
    }
}

/// Removes what was used longest ago first.
pub(super) fn prune(parts: &Parts, what: &What) -> Result<Pruned, Error> {
    let entries = list(parts)?;
    let mut left: u64 = entries.iter().map(|entry| entry.size).sum();
    let keep = what.may_keep(left, free(parts));
    let mut pruned = Pruned::default();
    let now = SystemTime::now();
    for entry in entries.iter().rev() {
        let wanted = match &what.filters {
            Some(filters) => matches(entry, filters, now)?,
            None => true,
        };
        if entry.in_use || !wanted || (entry.shared && !what.all) || (keep > 0 && left <= keep) {
            continue;
        }
        if remove(parts, entry)? {
            pruned.ids.push(entry.id.clone());
            pruned.bytes += entry.size;
            left -= entry.size.min(left);
        }
    }
    Ok(pruned)
}

fn remove(parts: &Parts, entry: &Entry) -> Result<bool, Error> {
    let failed = |error: build::Error| Error::Build(Box::new(error));
    match entry.kind {
        Kind::Local => parts.contexts.remove(&entry.id).map_err(failed),
        Kind::CacheMount => parts.caches.remove(&entry.id).map_err(failed),
        Kind::Regular => {
            let records = parts.cache.list()?;
            let found = records.iter().find(|record| record.key.starts_with(&format!("sha256:{}", entry.id)));
            match found {
                Some(record) => parts.cache.remove(record).map(|()| true),
                None => Ok(false),
            }
        }
    }
}

fn matches(entry: &Entry, filters: &Filters, now: SystemTime) -> Result<bool, Error> {
    let flag = |value: bool| if value { "true" } else { "false" };
    let any = |key: &str, is: &dyn Fn(&str) -> bool| filters.admits_by(key, is);
    if filters.values("label").next().is_some() {
        return Ok(false);
    }
    for key in ["until", "unused-for"] {
        for text in filters.values(key) {
            let age = crate::images::duration(text)
                .ok_or_else(|| Error::Invalid(format!("{key} filter is no duration: {text:?}")))?;
            if now.duration_since(entry.used).unwrap_or(Duration::ZERO) < age {
                return Ok(false);
            }
        }
    }
    Ok(any("id", &|id| entry.id.starts_with(id))
        && any("type", &|kind| kind == entry.kind.word())
        && any("inuse", &|value| value.is_empty() || value == flag(entry.in_use))
        && any("shared", &|value| value.is_empty() || value == flag(entry.shared))
        && any("private", &|value| value.is_empty() || value == flag(!entry.shared))
        && any("description", &|text| entry.description.contains(text))
        && any("parent", &|_| false))
}

/// Keeps what builds take below the limit.
pub(super) fn make_room(parts: &Parts) -> Result<(), Error> {
    if let Some(rules) = &parts.shared.settings.builder.rules {
        return rules.iter().try_for_each(|rule| prune(parts, rule).map(drop));
    }
    let limit = limit(parts);
    let entries = list(parts)?;
    let total: u64 = entries.iter().map(|entry| entry.size).sum();
    if total <= limit {
        return Ok(());
    }
    // Some more than has to be, or the next build would have to do it again.
    let what = What { max_used: limit / 10 * 9, ..What::default() };
    let pruned = prune(parts, &what)?;
    tracing::info!(bytes = pruned.bytes, entries = pruned.ids.len(), "made room in the build cache");
    Ok(())
}

/// What the disk has for everybody.
fn free(parts: &Parts) -> u64 {
    rustix::fs::statvfs(&parts.temporary).map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// A tenth of the disk, and two gigabytes at least: what BuildKit begins with. With rules, what one of them lets stay.
pub(super) fn limit(parts: &Parts) -> u64 {
    const LEAST: u64 = 2 << 30;
    let rules = parts.shared.settings.builder.rules.iter().flatten();
    if let Some(most) = rules.map(|rule| rule.keep.max(rule.max_used)).filter(|most| *most > 0).min() {
        return most;
    }
    let disk =
        rustix::fs::statvfs(&parts.temporary).map_or(0, |disk| disk.f_blocks.saturating_mul(disk.f_frsize));
    (disk / 10).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_go_together_as_buildkit_has_it() {
        let keep = |keep, max_used, min_free, free| {
            What { keep, max_used, min_free, ..What::default() }.may_keep(100, free)
        };
        assert_eq!(keep(0, 0, 0, 5), 0);
        assert_eq!(keep(40, 0, 0, 5), 40);
        assert_eq!(keep(0, 60, 0, 5), 60);
        assert_eq!(keep(80, 60, 0, 5), 80);
        assert_eq!(keep(0, 0, 25, 5), 80);
        assert_eq!(keep(0, 60, 25, 5), 60);
        assert_eq!(keep(90, 0, 25, 5), 90);
        // There is enough.
        assert_eq!(keep(0, 0, 25, 30), 100);
    }
}
