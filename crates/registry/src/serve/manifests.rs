//! Manifests: served as they were pushed, and accepted when everything they need is there.

use http::{Method, Response, StatusCode};

use super::blobs::not_modified;
use super::{Call, Reply, blocking, empty, put};
use crate::auth::Action;
use crate::body;
use crate::cache::Stored;
use crate::config::EventAction;
use crate::error::Problem;
use crate::notify::Subject;
use crate::repository::Overwrite;
use crate::route::{Name, Tag, Target};

/// No push by digest has more tags.
const MAX_TAGS: usize = 100;

impl Call {
    pub(crate) async fn manifest(self, name: Name, target: &str) -> Result<Reply, Problem> {
        self.only(&[Method::GET, Method::HEAD, Method::PUT, Method::DELETE])?;
        match self.method {
            Method::PUT => self.put_manifest(name, Target::parse(target)?).await,
            Method::DELETE => self.delete_manifest(name, Target::parse(target)?).await,
            _ => {
                self.permit(&name, Action::Pull)?;
                // A name that can't be is one that isn't there.
                let parsed = Target::parse(target).map_err(|problem| match problem.code {
                    "TAG_INVALID" => Problem::manifest_unknown(target),
                    _ => problem,
                })?;
                self.get_manifest(name, parsed).await
            }
        }
    }

    async fn get_manifest(self, name: Name, target: Target) -> Result<Reply, Problem> {
        let (stored, stale) = match self.registry.upstreams.find(&name) {
            Some(kept) => match self.registry.upstreams.manifest(&kept, &target).await? {
                Some(found) => (Some(found.stored), found.stale),
                None => (None, false),
            },
            None => (self.stored(&name, &target).await?, false),
        };
        let Some(stored) = stored else {
            return Err(Problem::manifest_unknown(&target.to_string()));
        };
        if !accepts(&self.headers, &stored.media_type) {
            // Docker's registry answers the same to a client that wants something else.
            return Err(Problem::manifest_unknown(&format!(
                "{target} as anything but {}",
                stored.media_type
            )));
        }
        if self.unchanged(&stored.digest) {
            return Ok(not_modified(&stored.digest));
        }
        let length = stored.bytes.len();
        if self.method == Method::GET {
            let subject = Subject {
                media_type: &stored.media_type,
                tag: if let Target::Tag(tag) = &target { Some(tag.as_str()) } else { None },
                ..Subject::blob(&name, &stored.digest, length as u64)
            };
            self.registry.tell(EventAction::Pull, &subject, &self.origin);
        }
        let bytes = if self.method == Method::HEAD { bytes::Bytes::new() } else { stored.bytes };
        let mut reply = Response::new(body::full(bytes));
        put(&mut reply, "content-type", &stored.media_type);
        put(&mut reply, "content-length", &length.to_string());
        put(&mut reply, "docker-content-digest", stored.digest.as_str());
        put(&mut reply, "etag", &format!("\"{}\"", stored.digest));
        if stale {
            put(
                &mut reply,
                "warning",
                "299 - \"the registry behind this cache does not answer; this may be old\"",
            );
        }
        Ok(reply)
    }

    /// From memory if the repository still has it. On a local disk that costs two small reads, which wait for nothing.
    async fn stored(&self, name: &Name, target: &Target) -> Result<Option<Stored>, Problem> {
        let repositories = self.registry.repositories.clone();
        if repositories.storage.is_local()
            && let Some(digest) = repositories.digest(name, target)?
            && let Some(stored) = self.registry.cache.get(name, &digest)
        {
            return Ok(repositories.has(name, &digest)?.then_some(stored));
        }
        let (name, target, registry) = (name.clone(), target.clone(), self.registry.clone());
        blocking(move || {
            let Some(digest) = repositories.digest(&name, &target)? else { return Ok(None) };
            if let Some(stored) = registry.cache.get(&name, &digest) {
                return Ok(repositories.has(&name, &digest)?.then_some(stored));
            }
            let stored = repositories.manifest(&name, &digest)?;
            if let Some(stored) = &stored {
                registry.cache.put(&name, stored);
            }
            Ok(stored)
        })
        .await
    }

    async fn put_manifest(self, name: Name, target: Target) -> Result<Reply, Problem> {
        let overwrite = match self.permit(&name, Action::Push) {
            Ok(()) => Overwrite::Yes,
            Err(problem) => {
                self.permit(&name, Action::Create).map(|()| Overwrite::No).map_err(|_| problem)?
            }
        };
        let tags: Vec<Tag> = self.query.all("tag").map(Tag::parse).collect::<Result<_, _>>()?;
        if tags.len() > MAX_TAGS || !tags.is_empty() && matches!(target, Target::Tag(_)) {
            return Err(Problem::tag_invalid("tags go with a push by digest, and there may be 100 of them"));
        }
        let content_type = self.header("content-type").to_owned();
        let (registry, host) = (self.registry.clone(), self.location(""));
        let bytes = body::manifest(self.body).await?;
        let (owner, kept, meant) = (name.clone(), tags.clone(), target.clone());
        let (size, repositories) = (bytes.len() as u64, registry.repositories.clone());
        let pushed =
            blocking(move || repositories.push(&owner, &meant, &kept, &content_type, &bytes, overwrite))
                .await?;
        let subject = Subject {
            media_type: &pushed.media_type,
            tag: if let Target::Tag(tag) = &target {
                Some(tag.as_str())
            } else {
                tags.first().map(Tag::as_str)
            },
            references: pushed
                .references
                .iter()
                .map(|digest| serde_json::json!({ "digest": digest }))
                .collect(),
            ..Subject::blob(&name, &pushed.digest, size)
        };
        registry.tell(EventAction::Push, &subject, &self.origin);
        let mut reply = empty(StatusCode::CREATED);
        put(&mut reply, "location", &format!("{host}/v2/{name}/manifests/{}", pushed.digest));
        put(&mut reply, "docker-content-digest", pushed.digest.as_str());
        if let Some(subject) = &pushed.subject {
            put(&mut reply, "oci-subject", subject.as_str());
        }
        for tag in &tags {
            if let Ok(value) = http::HeaderValue::from_str(tag.as_str()) {
                reply.headers_mut().append("oci-tag", value);
            }
        }
        Ok(reply)
    }

    async fn delete_manifest(self, name: Name, target: Target) -> Result<Reply, Problem> {
        self.permit(&name, Action::Delete)?;
        let (repositories, owner) = (self.registry.repositories.clone(), name.clone());
        let removed = blocking(move || repositories.delete(&owner, &target)).await?;
        for tag in &removed.tags {
            self.registry.tell(EventAction::Delete, &Subject::gone(&name, None, Some(tag)), &self.origin);
        }
        if let Some(digest) = &removed.digest {
            self.registry.tell(EventAction::Delete, &Subject::gone(&name, Some(digest), None), &self.origin);
        }
        Ok(empty(StatusCode::ACCEPTED))
    }
}

/// Whether an `Accept` allows a kind. Who says nothing of manifests takes what there is, as docker's registry has it.
fn accepts(headers: &http::HeaderMap, media_type: &str) -> bool {
    let sent = headers.get_all(http::header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let kinds: Vec<&str> = sent
        .flat_map(|value| value.split(','))
        .map(|kind| kind.split(';').next().unwrap_or_default().trim())
        .filter(|kind| !kind.is_empty())
        .collect();
    let all = |kind: &&str| matches!(*kind, "*/*" | "application/*") || **kind == *media_type;
    let of_manifests = |kind: &&str| kind.contains("manifest") || kind.contains("image.index");
    kinds.iter().any(all) || !kinds.iter().any(of_manifests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_what_it_accepts() {
        let accept = |values: &[&'static str]| {
            let mut headers = http::HeaderMap::new();
            for value in values {
                headers.append("accept", http::HeaderValue::from_static(value));
            }
            accepts(&headers, "application/vnd.oci.image.index.v1+json")
        };
        assert!(accept(&[]) && accept(&["*/*"]) && accept(&["application/json"]));
        assert!(accept(&[
            "application/vnd.oci.image.manifest.v1+json",
            "application/vnd.oci.image.index.v1+json;q=0.5"
        ]));
        assert!(!accept(&["application/vnd.oci.image.manifest.v1+json"]));
    }
}
