//! Collection: what no manifest needs any more goes, while the registry serves.
//!
//! Repository by repository, each held still for itself: its untagged manifests (where that is wished), then its names of
//! blobs that no manifest of it needs, then the repository if nothing is left; at last the bytes that no repository has.
//! What is younger than the grace stays: a push names its blobs before its manifest.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use oci::Digest;

use crate::config::Retention;
use crate::error::{Error, Problem};
use crate::manifest::Manifest;
use crate::repository::Repositories;
use crate::route::{Name, Tag, Target};
use crate::storage::{Freed, Held, Hold, Key};

/// What a collection is to do.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub grace: Duration,
    pub untagged: bool,
    /// Nothing is removed, only counted.
    pub dry_run: bool,
}

/// What a collection did, or would do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    pub manifests: usize,
    pub links: usize,
    pub repositories: usize,
    pub blobs: usize,
    pub bytes: u64,
}

fn age(time: SystemTime) -> Duration {
    SystemTime::now().duration_since(time).unwrap_or_default()
}

/// What a repository's manifests need.
struct Needed {
    blobs: HashSet<Digest>,
    manifests: HashSet<Digest>,
}

impl Repositories {
    /// Collects once.
    pub(crate) fn collect(&self, plan: Plan) -> Result<Collected, Error> {
        let mut collected = Collected::default();
        for name in self.storage.names()? {
            let alone = self.storage.hold(Hold::Alone(&name))?;
            self.collect_repository(&name, &alone, plan, &mut collected)?;
        }
        let Freed { blobs, bytes } = self.storage.collect(plan.grace, !plan.dry_run)?;
        (collected.blobs, collected.bytes) = (blobs, bytes);
        Ok(collected)
    }

    fn collect_repository(
        &self,
        name: &Name,
        alone: &Held,
        plan: Plan,
        collected: &mut Collected,
    ) -> Result<(), Error> {
        let mut gone = HashSet::new();
        if plan.untagged {
            for digest in self.untagged(name, plan.grace)? {
                if !alone.lasts() {
                    return Ok(());
                }
                collected.manifests += 1;
                if !plan.dry_run {
                    self.delete_manifest(name, &digest)?;
                }
                gone.insert(digest);
            }
        }
        let needed = self.needed(name, &gone)?;
        for (digest, _, used) in self.storage.blobs(name)? {
            if !needed.blobs.contains(&digest) && age(used) >= plan.grace && alone.lasts() {
                collected.links += 1;
                if !plan.dry_run {
                    self.storage.unlink(name, &digest)?;
                }
            }
        }
        if !plan.dry_run && self.storage.prune(name)? {
            collected.repositories += 1;
        }
        Ok(())
    }

    /// What all manifests but those that are gone need. A manifest that can't be read is an error: what it needs must
    /// not be guessed.
    fn needed(&self, name: &Name, gone: &HashSet<Digest>) -> Result<Needed, Error> {
        let mut needed = Needed { blobs: HashSet::new(), manifests: HashSet::new() };
        for (digest, _) in self.manifests(name)? {
            if gone.contains(&digest) {
                continue;
            }
            let Some(manifest) = self.parsed(name, &digest)? else { continue };
            needed.blobs.extend(manifest.blobs);
            needed.manifests.extend(manifest.manifests);
        }
        Ok(needed)
    }

    pub(crate) fn parsed(&self, name: &Name, digest: &Digest) -> Result<Option<Manifest>, Error> {
        let Some(stored) = self.manifest(name, digest)? else { return Ok(None) };
        let damaged = |problem: Problem| Error::Damaged {
            path: format!("{name}@{digest}").into(),
            why: problem.detail["reason"].to_string(),
        };
        Manifest::read(&stored.bytes, &stored.media_type).map(Some).map_err(damaged)
    }

    /// Manifests that no tag leads to: not itself, not through an index, not as what refers to something that stays.
    fn untagged(&self, name: &Name, grace: Duration) -> Result<Vec<Digest>, Error> {
        let mut kept = HashSet::new();
        let mut open: Vec<Digest> = Vec::new();
        for tag in self.tags(name)? {
            open.extend(self.tagged(name, &tag)?);
        }
        let all = self.manifests(name)?;
        open.extend(
            all.iter().filter(|(_, entry)| age(entry.modified) < grace).map(|(digest, _)| digest.clone()),
        );
        while let Some(digest) = open.pop() {
            if !kept.insert(digest.clone()) {
                continue;
            }
            if let Some(manifest) = self.parsed(name, &digest)? {
                open.extend(manifest.manifests);
            }
            open.extend(self.referrers(name, &digest)?.into_iter().map(|(digest, _)| digest));
        }
        Ok(all.into_iter().map(|(digest, _)| digest).filter(|digest| !kept.contains(digest)).collect())
    }

    /// Removes tags that a rule gives up. The tags that went.
    pub(crate) fn retain(&self, rules: &[Retention], dry_run: bool) -> Result<Vec<(Name, String)>, Error> {
        let mut removed = Vec::new();
        for name in self.storage.repositories()? {
            let Some(rule) = rules.iter().find(|rule| rule.concerns(&name)) else { continue };
            for tag in
                rule.surplus(self.tag_entries(&name)?.into_iter().map(|(tag, entry)| (tag, entry.modified)))
            {
                if !dry_run && self.delete(&name, &Target::Tag(tag.clone())).is_err() {
                    // Somebody else was faster.
                    continue;
                }
                removed.push((name.clone(), tag.to_string()));
            }
        }
        Ok(removed)
    }

    /// Ends uploads that nobody went on with for so long.
    pub(crate) fn purge(&self, longest: Duration, dry_run: bool) -> Result<usize, Error> {
        let mut purged = 0;
        for name in self.storage.names()? {
            for entry in self.storage.list(&Key::uploads(&name))?.unwrap_or_default() {
                let Some(session) = content::Session::parse(&entry.name) else { continue };
                if self.storage.idle(&name, &session)?.is_none_or(|idle| idle < longest) {
                    continue;
                }
                purged += 1;
                if dry_run {
                    continue;
                }
                // One that is being written is not idle, and is locked.
                if let Ok(upload) = self.storage.resume(&name, &session, u64::MAX)
                    && let Err(problem) = upload.abandon()
                {
                    tracing::warn!(error = problem.message, repository = %name, "an upload can't be purged");
                }
            }
        }
        Ok(purged)
    }
}

impl Retention {
    fn concerns(&self, name: &Name) -> bool {
        self.repositories.iter().any(|pattern| pattern.matches(name.as_str()))
    }

    /// Of all tags those that go: not protected, not among the last ones, and old enough where an age was said.
    fn surplus(&self, tags: impl Iterator<Item = (Tag, SystemTime)>) -> Vec<Tag> {
        let protected = |tag: &Tag| self.protect.iter().any(|pattern| pattern.matches(tag.as_str()));
        let mut open: Vec<(Tag, SystemTime)> = tags.filter(|(tag, _)| !protected(tag)).collect();
        open.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| b.0.cmp(&a.0)));
        let after_kept = open.into_iter().skip(self.keep.unwrap_or(0));
        let old = |time: SystemTime| self.older_than.is_none_or(|limit| age(time) >= limit);
        after_kept.filter(|(_, time)| old(*time)).map(|(tag, _)| tag).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Pattern;

    #[test]
    fn the_last_tags_and_protected_ones_stay() {
        let at = |hours: u64| SystemTime::now() - Duration::from_secs(hours * 3600);
        let tags = || {
            let named = |(tag, hours): (&str, u64)| (Tag::parse(tag).unwrap(), at(hours));
            [("a", 1), ("b", 2), ("c", 3), ("v1", 4), ("d", 5)].map(named).into_iter()
        };
        let rule = |keep, hours: Option<u64>| Retention {
            repositories: vec![Pattern::all()],
            keep,
            older_than: hours.map(|hours| Duration::from_secs(hours * 3600)),
            protect: vec![Pattern::parse("v*").unwrap()],
        };
        let gone = |rule: Retention| rule.surplus(tags()).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(gone(rule(Some(2), None)), ["c", "d"]);
        assert_eq!(gone(rule(None, Some(2))), ["b", "c", "d"]);
        assert_eq!(gone(rule(Some(3), Some(2))), ["d"]);
    }
}
