//! What people do with a registry's content where it is stored; a registry may serve it meanwhile.

use std::time::SystemTime;

use oci::Digest;
use tokio::runtime::{Builder, Runtime};

use crate::config::{Config, Retention};
use crate::error::{Error, Problem};
use crate::gc::{Collected, Plan};
use crate::repository::Repositories;
use crate::route::{Name, Tag, Target};
use crate::storage::{self, Hold};

/// A registry's content.
pub struct Admin {
    pub(crate) repositories: Repositories,
    retention: Vec<Retention>,
    plan: Plan,
    /// Where the storage waits for a network.
    _runtime: Runtime,
}

/// A repository in a list.
#[derive(Debug)]
pub struct Row {
    pub name: String,
    pub tags: usize,
    pub manifests: usize,
    /// The bytes of its blobs, those that other repositories have as well included.
    pub bytes: u64,
}

/// A tag in a list.
#[derive(Debug)]
pub struct TagRow {
    pub tag: String,
    pub digest: Digest,
    pub media_type: String,
    /// What a pull of it transfers; of an index, of its manifests together.
    pub bytes: u64,
    pub pushed: SystemTime,
}

impl Admin {
    /// Opens what a configuration means. It has to be there.
    pub fn open(config: &Config) -> Result<Self, Error> {
        let root = config.root();
        if config.bucket.is_none() && !root.join("repositories").is_dir() {
            return Err(Error::NoRegistry(root.to_owned()));
        }
        Self::create(config)
    }

    /// The same, made where it is missing.
    pub fn create(config: &Config) -> Result<Self, Error> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|source| Error::System { doing: "start the runtime", source })?;
        let repositories = Repositories::new(storage::open(config, runtime.handle().clone())?);
        let plan = Plan { grace: config.gc.grace, untagged: config.gc.untagged, dry_run: false };
        Ok(Self { repositories, retention: config.retention.clone(), plan, _runtime: runtime })
    }

    /// What a collection does, as configured.
    pub fn plan(&self) -> Plan {
        self.plan
    }

    /// Every repository, by name.
    pub fn list(&self) -> Result<Vec<Row>, Error> {
        let row = |name: Name| {
            Ok(Row {
                tags: self.repositories.tags(&name)?.len(),
                manifests: self.repositories.manifests(&name)?.len(),
                bytes: self.repositories.storage.blobs(&name)?.iter().map(|(_, size, _)| size).sum(),
                name: name.to_string(),
            })
        };
        self.repositories.storage.repositories()?.into_iter().map(row).collect()
    }

    /// The tags of a repository, by name.
    pub fn tags(&self, name: &str) -> Result<Vec<TagRow>, Error> {
        let name = self.known(name)?;
        let mut rows = Vec::new();
        for (tag, entry) in self.repositories.tag_entries(&name)? {
            let Some(digest) = self.repositories.tagged(&name, &tag)? else { continue };
            let Some(manifest) = self.repositories.parsed(&name, &digest)? else { continue };
            let mut bytes = manifest.size;
            for child in &manifest.manifests {
                bytes += self.repositories.parsed(&name, child)?.map_or(0, |manifest| manifest.size);
            }
            let (tag, media_type, pushed) = (tag.to_string(), manifest.media_type, entry.modified);
            rows.push(TagRow { tag, digest, media_type, bytes, pushed });
        }
        Ok(rows)
    }

    /// Removes `name:tag`, `name@digest`, or all of `name`. What went, a line for each.
    pub fn remove(&self, reference: &str) -> Result<Vec<String>, Error> {
        let (name, target) = split(reference)?;
        let name = self.known(name.as_str())?;
        let Some(target) = target else { return self.remove_all(&name) };
        let removed = self.repositories.delete(&name, &target);
        let removed = removed.map_err(|problem| refused(reference, &problem))?;
        let digests = removed.digest.iter().map(|digest| format!("{name}@{digest}"));
        Ok(removed.tags.iter().map(|tag| format!("{name}:{tag}")).chain(digests).collect())
    }

    fn remove_all(&self, name: &Name) -> Result<Vec<String>, Error> {
        let _hold = self.repositories.storage.hold(Hold::Alone(name))?;
        let mut lines = Vec::new();
        for (digest, _) in self.repositories.manifests(name)? {
            if self.repositories.delete_manifest(name, &digest)?.is_some() {
                lines.push(format!("{name}@{digest}"));
            }
        }
        for (digest, _, _) in self.repositories.storage.blobs(name)? {
            self.repositories.storage.unlink(name, &digest)?;
        }
        self.repositories.storage.prune(name)?;
        Ok(lines)
    }

    /// Applies the retention rules, then collects. The tags that went, and what was freed.
    pub fn collect(&self, plan: Plan) -> Result<(Vec<String>, Collected), Error> {
        let tags = self.repositories.retain(&self.retention, plan.dry_run)?;
        let tags = tags.into_iter().map(|(name, tag)| format!("{name}:{tag}")).collect();
        let plan = Plan { untagged: plan.untagged || !self.retention.is_empty(), ..plan };
        Ok((tags, self.repositories.collect(plan)?))
    }

    /// The bytes that are stored, each blob once.
    pub fn used(&self) -> Result<u64, Error> {
        self.repositories.storage.used()
    }

    pub(crate) fn known(&self, name: &str) -> Result<Name, Error> {
        let parsed = Name::parse(name).map_err(|problem| refused(name, &problem))?;
        match self.repositories.exists(&parsed)? {
            true => Ok(parsed),
            false => Err(Error::Unknown(name.to_owned())),
        }
    }
}

/// `name`, `name:tag`, `name@digest`.
pub(crate) fn split(reference: &str) -> Result<(Name, Option<Target>), Error> {
    let parse = || {
        if let Some((name, digest)) = reference.split_once('@') {
            return Ok((Name::parse(name)?, Some(Target::Digest(crate::route::digest(digest)?))));
        }
        if let Some((name, tag)) = reference.split_once(':') {
            return Ok((Name::parse(name)?, Some(Target::Tag(Tag::parse(tag)?))));
        }
        Ok((Name::parse(reference)?, None))
    };
    parse().map_err(|problem: Problem| refused(reference, &problem))
}

pub(crate) fn refused(what: &str, problem: &Problem) -> Error {
    let why = problem.detail["reason"].as_str().unwrap_or(&problem.message).to_owned();
    Error::Refused { what: what.to_owned(), why }
}
