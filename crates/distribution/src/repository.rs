//! One repository of one registry, spoken to in the distribution protocol.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use hyper::body::Incoming;
use oci::image::Descriptor;
use oci::{Digest, Reference};
use serde::Deserialize;

use crate::auth::Auth;
use crate::endpoint::Endpoint;
use crate::manifest::{self, ACCEPT, Document, MAX_MANIFEST, Parsed, Resolved, Single};
use crate::mirror;
use crate::redirect::{self, Answer};
use crate::retry::{Attempts, retrying};
use crate::transport::Transport;
use crate::url::Url;
use crate::{Credentials, Error, Wanted, Work};

/// No error text that is shown is longer.
const ERROR_LIMIT: usize = 64 << 10;

/// What is to be done with a repository; a token is asked for no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Pull,
    Push,
}

/// A repository that answers.
pub struct Repository {
    pub(crate) transport: Arc<Transport>,
    pub(crate) endpoint: Endpoint,
    pub(crate) auth: Auth,
    pub(crate) reference: Reference,
    access: Access,
}

impl Repository {
    /// Asks the endpoint whether it is a registry, and what it wants to know of us.
    pub(crate) fn open(
        transport: Arc<Transport>,
        endpoint: Endpoint,
        reference: &Reference,
        access: Access,
        credentials: Option<Credentials>,
    ) -> Work<'_, Self> {
        Box::pin(async move {
            let credentials = match endpoint.mirror {
                true => mirror::login(&transport.config.certificates, &endpoint.origin)?,
                false => credentials,
            };
            let reference = match endpoint.project.as_str() {
                "" => reference.clone(),
                project => reference
                    .below(project)
                    .map_err(|_| Error::Address { what: "a mirror's path", value: project.to_owned() })?,
            };
            let auth = Auth::new(endpoint.origin.clone(), credentials, scope(&reference, access));
            let repository = Self { transport, endpoint, auth, reference, access };
            repository.ping().await?;
            Ok(repository)
        })
    }

    pub(crate) fn scope(&self, access: Access) -> String {
        scope(&self.reference, access)
    }

    /// The registry's name in messages.
    pub fn host(&self) -> String {
        self.endpoint.origin.authority()
    }

    /// What the reference leads to, for this platform.
    pub async fn resolve(&self, wanted: &Wanted) -> Result<Resolved, Error> {
        let named = self.manifest(&self.reference).await?;
        let (digest, kind, size) = (named.digest.clone(), named.media_type.clone(), named.bytes.len() as u64);
        let (platforms, single) = match named.parsed {
            Parsed::Manifest(manifest) => {
                let Document { digest, media_type, bytes, .. } = named;
                (Vec::new(), Single { digest, media_type, bytes, manifest })
            }
            Parsed::Index(index) => {
                let platforms = index.manifests.iter().filter_map(|entry| entry.platform.clone()).collect();
                (platforms, self.single(wanted.choose(&index.manifests)?).await?)
            }
        };
        Ok(Resolved { named: digest, named_type: kind, named_size: size, platforms, single })
    }

    /// The tags of the repository, all pages of them.
    pub async fn tags(&self) -> Result<Vec<String>, Error> {
        const LIMIT: usize = 4 << 20;
        const PAGES: usize = 1000;
        #[derive(Deserialize)]
        struct Page {
            #[serde(default)]
            tags: Option<Vec<String>>,
        }
        let mut url = self.url("tags/list");
        let mut tags = Vec::new();
        for _ in 0..PAGES {
            let answer = self.get(&url, &HeaderMap::new()).await?;
            let next = answer.response.headers().get(header::LINK).and_then(|value| value.to_str().ok());
            let next = next.and_then(next_page).map(|target| url.join(target)).transpose()?;
            let body = answer.response.into_body();
            let bytes = self.transport.collect(&self.host(), "the list of tags", body, LIMIT).await?;
            let page: Page =
                serde_json::from_slice(&bytes).map_err(|e| self.malformed("the list of tags", &e))?;
            tags.extend(page.tags.unwrap_or_default());
            match next {
                // Another origin's page would be asked without our credentials' origin being meant.
                Some(next) if next.origin == url.origin => url = next,
                _ => break,
            }
        }
        Ok(tags)
    }

    async fn single(&self, entry: &Descriptor) -> Result<Single, Error> {
        let document = self.manifest(&self.reference.with_digest(entry.digest.clone())).await?;
        match document.parsed {
            Parsed::Manifest(manifest) => {
                let Document { digest, media_type, bytes, .. } = document;
                Ok(Single { digest, media_type, bytes, manifest })
            }
            Parsed::Index(_) => Err(Error::Unsupported {
                what: entry.digest.to_string(),
                kind: "an index inside an index".into(),
            }),
        }
    }

    /// What a tag means now, without fetching it; none if the registry doesn't say.
    pub async fn current(&self, reference: &Reference) -> Result<Option<Digest>, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(ACCEPT));
        let url = self.url(&format!("manifests/{}", reference.tag().unwrap_or("latest")));
        let answer = self.ask(&Method::HEAD, &url, &headers).await;
        let answer = answer.map_err(|error| self.missing(error, reference))?;
        let said = answer.response.headers().get("docker-content-digest");
        Ok(said.and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok()))
    }

    /// The size of a blob, if the registry has it.
    pub async fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        match self.ask(&Method::HEAD, &self.url(&format!("blobs/{digest}")), &HeaderMap::new()).await {
            Ok(answer) => {
                let said = answer.response.headers().get(header::CONTENT_LENGTH);
                Ok(said.and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok()))
            }
            Err(Error::Status { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The document that a reference names.
    pub fn manifest<'a>(&'a self, reference: &'a Reference) -> Work<'a, Document> {
        Box::pin(async move { retrying(self.attempts(), || self.manifest_once(reference)).await })
    }

    async fn manifest_once(&self, reference: &Reference) -> Result<Document, Error> {
        let name = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => digest.as_str(),
            (None, tag) => tag.unwrap_or("latest"),
        };
        let what = format!("manifest {}", reference.familiar());
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(ACCEPT));
        let answer = self.get(&self.url(&format!("manifests/{name}")), &headers).await;
        let answer = answer.map_err(|error| self.missing(error, reference))?;
        let host = answer.url.origin.authority();
        let said = |name: &str| answer.response.headers().get(name).and_then(|value| value.to_str().ok());
        let kind = said("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_owned();
        // A registry's own word on a tag's digest is checked too: what is recorded is what it meant.
        let promised: Option<Digest> = said("docker-content-digest").and_then(|text| text.parse().ok());
        let body = answer.response.into_body();
        let bytes = self.transport.collect(&host, &what, body, MAX_MANIFEST).await?;
        manifest::read(&host, &what, bytes, &kind, reference.digest().or(promised.as_ref()))
    }

    /// dockerd's sentences for what isn't there or isn't ours to see.
    fn missing(&self, error: Error, reference: &Reference) -> Error {
        match error {
            Error::Status { status: 404, message, .. } if message.starts_with("name unknown") => {
                Error::Denied { repository: reference.familiar_name(), message: detail(&message) }
            }
            Error::Status { status: 404, .. } => Error::NoManifest(reference.familiar()),
            error => error,
        }
    }

    async fn ping(&self) -> Result<(), Error> {
        let url = Url::new(self.endpoint.origin.clone(), format!("{}/v2/", self.endpoint.prefix));
        let header = self.auth.header(&self.transport).await?;
        let answer = retrying(self.attempts_of_ping(), || {
            redirect::follow(&self.transport, &Method::GET, &url, &EMPTY, header.as_ref())
        });
        let Answer { url: answered, response } = answer.await?;
        match response.status().as_u16() {
            200..=299 => Ok(()),
            401 if answered.origin == url.origin => {
                self.auth.challenged(response.headers(), header.as_ref()).await.map(drop)
            }
            _ => Err(failure(&self.transport, &answered.origin.authority(), response).await),
        }
    }

    /// A registry that isn't there is soon known; another endpoint may stand in for it.
    fn attempts_of_ping(&self) -> Attempts {
        Attempts::new(if self.endpoint.mirror { 1 } else { self.transport.config.attempts.min(3) })
    }

    pub(crate) fn attempts(&self) -> Attempts {
        Attempts::new(self.transport.config.attempts)
    }

    pub(crate) fn url(&self, rest: &str) -> Url {
        let target = format!("{}/v2/{}/{rest}", self.endpoint.prefix, self.reference.path());
        Url::new(self.endpoint.origin.clone(), target)
    }

    /// Asks with our credentials; any other answer than a success is an error.
    pub(crate) async fn get(&self, url: &Url, headers: &HeaderMap) -> Result<Answer, Error> {
        self.ask(&Method::GET, url, headers).await
    }

    pub(crate) fn ask<'a>(
        &'a self,
        method: &'a Method,
        url: &'a Url,
        headers: &'a HeaderMap,
    ) -> Work<'a, Answer> {
        Box::pin(async move {
            // Where a registry sends an upload may be anywhere; its credentials are for itself.
            let ours = url.origin == self.endpoint.origin;
            let header = match ours {
                true => self.auth.header(&self.transport).await?,
                false => None,
            };
            let mut answer = redirect::follow(&self.transport, method, url, headers, header.as_ref()).await?;
            if ours
                && answer.url.origin == self.endpoint.origin
                && answer.response.status() == StatusCode::UNAUTHORIZED
                && self.auth.challenged(answer.response.headers(), header.as_ref()).await?
            {
                let header = self.auth.header(&self.transport).await?;
                answer = redirect::follow(&self.transport, method, url, headers, header.as_ref()).await?;
            }
            match answer.response.status().is_success() {
                true => Ok(answer),
                false => Err(self.refused(answer).await),
            }
        })
    }

    /// Why a request failed, with who was denied what.
    pub(crate) async fn refused(&self, answer: Answer) -> Error {
        let ours = answer.url.origin == self.endpoint.origin;
        let error = failure(&self.transport, &answer.url.origin.authority(), answer.response).await;
        match error {
            Error::Status { status: 401, .. }
                if ours && self.access == Access::Push && self.auth.lacks_password().await =>
            {
                Error::NoPassword
            }
            Error::Status { status: status @ (401 | 403), message, .. } if ours => match self.access {
                Access::Pull => {
                    let (repository, message) = (self.reference.familiar_name(), detail(&message));
                    Error::Denied { repository, message }
                }
                // The answer to HEAD has no words of its own.
                Access::Push if message.is_empty() && status == 401 => {
                    Error::PushDenied("unauthorized: authentication required".to_owned())
                }
                Access::Push if message.is_empty() => {
                    Error::PushDenied("denied: requested access to the resource is denied".to_owned())
                }
                Access::Push => Error::PushDenied(message),
            },
            error => error,
        }
    }

    pub(crate) fn malformed(&self, what: &str, why: &dyn std::fmt::Display) -> Error {
        Error::Malformed { host: self.host(), what: what.to_owned(), why: why.to_string() }
    }
}

static EMPTY: std::sync::LazyLock<HeaderMap> = std::sync::LazyLock::new(HeaderMap::new);

/// The right to do this, as token services name it.
fn scope(reference: &Reference, access: Access) -> String {
    let actions = match access {
        Access::Pull => "pull",
        Access::Push => "pull,push",
    };
    format!("repository:{}:{actions}", reference.path())
}

/// `denied: requested access …` without its first word, which dockerd's sentence has already.
fn detail(message: &str) -> String {
    match message.split_once(": ") {
        Some((_, detail)) => detail.to_owned(),
        None if message.is_empty() => "access to the resource is denied".to_owned(),
        None => message.to_owned(),
    }
}

/// `</v2/a/tags/list?last=x>; rel="next"`.
fn next_page(link: &str) -> Option<&str> {
    let (target, rest) = link.strip_prefix('<')?.split_once('>')?;
    rest.contains("next").then_some(target)
}

/// An answer that is no success, in the registry's own words where it has some.
pub(crate) async fn failure(transport: &Transport, host: &str, response: Response<Incoming>) -> Error {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<One>,
    }
    #[derive(Deserialize)]
    struct One {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let status = response.status().as_u16();
    let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let body =
        transport.collect(host, "the error", response.into_body(), ERROR_LIMIT).await.unwrap_or_default();
    let parsed: Option<Errors> = serde_json::from_slice(&body).ok();
    let message = parsed.and_then(|parsed| parsed.errors.into_iter().next()).map(|first| {
        let code = first.code.to_lowercase().replace('_', " ");
        match (code.is_empty(), first.message.is_empty()) {
            (true, _) => first.message,
            (_, true) => code,
            _ => format!("{code}: {}", first.message),
        }
    });
    let message = message.unwrap_or_default().chars().take(1000).collect();
    Error::Status { host: host.to_owned(), status, message, retry_after }
}
