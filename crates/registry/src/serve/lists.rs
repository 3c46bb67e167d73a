//! Lists, page by page: repositories, tags, referrers.

use http::{Method, StatusCode};
use oci::Digest;
use oci::image::media_type;
use serde_json::json;

use super::{Call, Reply, blocking, json_reply, put};
use crate::auth::Action;
use crate::error::Problem;
use crate::outgoing::encode;
use crate::route::Name;

/// Referrers on a page: far below the 4 MiB that clients take, with the annotations that are usual.
const REFERRERS: usize = 500;
/// The bytes of a page of referrers.
const REFERRERS_SIZE: usize = 3 << 20;

/// One page of a sorted list.
struct Page<T> {
    items: Vec<T>,
    /// Where the next page goes on; none if this is the last.
    last: Option<String>,
}

/// Takes what comes after `last`, at most `count`.
fn page<T: ToString>(all: Vec<T>, last: &str, count: usize) -> Page<T> {
    let mut rest = all.into_iter().filter(|item| item.to_string().as_str() > last);
    let items: Vec<T> = rest.by_ref().take(count).collect();
    let more = count > 0 && rest.next().is_some();
    let last = items.last().filter(|_| more).map(ToString::to_string);
    Page { items, last }
}

impl Call {
    /// How many were asked for, and never more than `most`.
    fn count(&self, most: usize) -> Result<usize, Problem> {
        match self.query.get("n") {
            "" => Ok(most),
            text => {
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                match digits {
                    true => Ok(text.parse().unwrap_or(usize::MAX).min(most)),
                    false => Err(Problem::pagination()),
                }
            }
        }
    }

    pub(crate) async fn catalog(self) -> Result<Reply, Problem> {
        self.only(&[Method::GET])?;
        self.registry.auth.permit_catalog(&self.caller)?;
        let count = self.count(self.registry.settings.catalog_max)?;
        let storage = self.registry.repositories.storage.clone();
        let mut names = blocking(move || Ok(storage.repositories()?)).await?;
        names.retain(|name| self.registry.auth.shows(&self.caller, name));
        let page = page(names, self.query.get("last"), count);
        let names: Vec<&str> = page.items.iter().map(Name::as_str).collect();
        let mut reply = json_reply(StatusCode::OK, &json!({ "repositories": names }));
        if let Some(last) = page.last {
            self.link(&mut reply, "/v2/_catalog", &format!("last={}&n={count}", encode(&last)));
        }
        Ok(reply)
    }

    pub(crate) async fn tags(self, name: Name) -> Result<Reply, Problem> {
        self.only(&[Method::GET])?;
        self.permit(&name, Action::Pull)?;
        let count = self.count(self.registry.settings.tags_max)?;
        let theirs = match self.registry.upstreams.find(&name) {
            Some(kept) => self.registry.upstreams.tags(&kept).await,
            None => None,
        };
        let (repositories, asked) = (self.registry.repositories.clone(), name.clone());
        let tags = blocking(move || match repositories.exists(&asked)? {
            true => Ok(Some(repositories.tags(&asked)?)),
            false => Ok(None),
        });
        let tags = match theirs {
            Some(theirs) => theirs,
            None => tags.await?.ok_or_else(|| Problem::name_unknown(name.as_str()))?,
        };
        let page = page(tags, self.query.get("last"), count);
        let tags: Vec<String> = page.items.iter().map(ToString::to_string).collect();
        let mut reply = json_reply(StatusCode::OK, &json!({ "name": name.as_str(), "tags": tags }));
        if let Some(last) = page.last {
            self.link(&mut reply, &format!("/v2/{name}/tags/list"), &format!("last={last}&n={count}"));
        }
        Ok(reply)
    }

    pub(crate) async fn referrers(self, name: Name, subject: Digest) -> Result<Reply, Problem> {
        self.only(&[Method::GET, Method::HEAD])?;
        self.permit(&name, Action::Pull)?;
        let count = self.count(REFERRERS)?.max(1);
        let (repositories, owner, asked) =
            (self.registry.repositories.clone(), name.clone(), subject.clone());
        let mut found = blocking(move || Ok(repositories.referrers(&owner, &asked)?)).await?;
        let kinds: Vec<&str> = self.query.all("artifactType").filter(|kind| !kind.is_empty()).collect();
        if !kinds.is_empty() {
            found.retain(|(_, descriptor)| kinds.iter().any(|kind| descriptor["artifactType"] == **kind));
        }
        let last = self.query.get("last");
        let mut rest = found.into_iter().filter(|(digest, _)| digest.as_str() > last).peekable();
        let (mut manifests, mut size, mut next) = (Vec::new(), 0, None);
        while let Some((digest, descriptor)) = rest.next() {
            size += descriptor.to_string().len();
            manifests.push(descriptor);
            if (manifests.len() >= count || size >= REFERRERS_SIZE) && rest.peek().is_some() {
                next = Some(digest);
                break;
            }
        }
        let index = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests });
        let mut reply = json_reply(StatusCode::OK, &index);
        put(&mut reply, "content-type", media_type::OCI_INDEX);
        if !kinds.is_empty() {
            put(&mut reply, "oci-filters-applied", "artifactType");
        }
        if let Some(last) = next {
            let filter: String = kinds.iter().map(|kind| format!("artifactType={}&", encode(kind))).collect();
            let query = format!("{filter}last={last}&n={count}");
            self.link(&mut reply, &format!("/v2/{name}/referrers/{subject}"), &query);
        }
        Ok(reply)
    }

    fn link(&self, reply: &mut Reply, path: &str, query: &str) {
        put(reply, "link", &format!("<{}?{query}>; rel=\"next\"", self.location(path)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pages_together_are_the_list(mut names in proptest::collection::btree_set("[a-z]{1,3}", 0..30), count in 1usize..7) {
            let all: Vec<String> = std::mem::take(&mut names).into_iter().collect();
            let (mut got, mut last) = (Vec::new(), String::new());
            loop {
                let page = page(all.clone(), &last, count);
                prop_assert!(page.items.len() <= count);
                got.extend(page.items);
                match page.last {
                    Some(next) => last = next,
                    None => break,
                }
            }
            prop_assert_eq!(got, all);
        }
    }

    #[test]
    fn nothing_asked_for_is_nothing_and_no_link() {
        let page = page(vec!["a", "b"], "", 0);
        assert!(page.items.is_empty() && page.last.is_none());
    }
}
