//! From a reference to a repository that answers: endpoints in turn, mirrors before the registry itself.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use hyper::body::Incoming;
use oci::Reference;

use crate::endpoint::{self, Endpoint};
use crate::repository::Repository;
use crate::token::{self, Token};
use crate::transport::{RequestBody, Transport};
use crate::{Access, Config, Credentials, Error, Resolved, Secret, Wanted, Work};

/// What reaches registries. Cheap to make; its connections end with it.
pub struct Client {
    pub(crate) transport: Arc<Transport>,
}

/// What a successful login leaves behind.
#[derive(Debug)]
pub struct Login {
    /// To be kept instead of the password, where the registry gave one.
    pub identity: Option<Secret>,
}

impl Client {
    /// With what the administrator decided.
    pub fn new(config: Config) -> Self {
        Self { transport: Arc::new(Transport::new(config)) }
    }

    /// The image that a reference means, and the repository that said so.
    pub async fn resolve(
        &self,
        reference: &Reference,
        wanted: &Wanted,
        credentials: Option<&Credentials>,
    ) -> Result<(Repository, Resolved), Error> {
        self.first(reference, Access::Pull, credentials, |repository| {
            Box::pin(async move {
                let resolved = repository.resolve(wanted).await?;
                Ok((repository, resolved))
            })
        })
        .await
    }

    /// The repository of a reference.
    pub async fn repository(
        &self,
        reference: &Reference,
        access: Access,
        credentials: Option<&Credentials>,
    ) -> Result<Repository, Error> {
        self.first(reference, access, credentials, |repository| Box::pin(async move { Ok(repository) })).await
    }

    /// Sends JSON to an address that the administrator wrote; the status of the answer.
    pub async fn post(&self, url: &str, headers: http::HeaderMap, body: bytes::Bytes) -> Result<u16, Error> {
        let url = crate::url::Url::parse(url)?;
        let mut request = http::Request::new(crate::transport::full(body));
        *request.method_mut() = http::Method::POST;
        *request.headers_mut() = headers;
        let response = self.transport.send(&url, request).await?;
        let status = response.status().as_u16();
        // Read to its end, the connection serves the next one.
        let _ = self
            .transport
            .collect(&url.origin.authority(), "the answer", response.into_body(), 64 << 10)
            .await;
        Ok(status)
    }

    /// Sends one request to an address that the administrator wrote, whoever serves it: no redirect is followed, no
    /// login is tried. `progress` counts the bytes of a large body: while it grows, there is patience.
    pub async fn send(
        &self,
        url: &str,
        request: http::Request<RequestBody>,
        progress: &AtomicU64,
    ) -> Result<http::Response<Incoming>, Error> {
        self.transport.send_body(&crate::url::Url::parse(url)?, request, progress).await
    }

    /// How long a host may be silent.
    pub(crate) fn patience(&self) -> std::time::Duration {
        self.transport.config.patience
    }

    /// A small answer's body.
    pub async fn collect(&self, host: &str, body: Incoming, limit: usize) -> Result<bytes::Bytes, Error> {
        self.transport.collect(host, "the answer", body, limit).await
    }

    /// The tags of the reference's repository.
    pub async fn tags(
        &self,
        reference: &Reference,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<String>, Error> {
        self.first(reference, Access::Pull, credentials, |repository| {
            Box::pin(async move { repository.tags().await })
        })
        .await
    }

    /// Whether these credentials are right for a registry: the credentials alone are asked about, no repository.
    pub async fn login(&self, domain: &str, credentials: &Credentials) -> Result<Login, Error> {
        let endpoints = endpoint::endpoints(&self.transport.config, domain, true).await?;
        let mut last = None;
        for endpoint in endpoints {
            match self.login_at(endpoint, credentials).await {
                Ok(login) => return Ok(login),
                Err(error) if error.is_wrong_scheme() => {
                    last.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::Address { what: "a registry's name", value: domain.to_owned() }))
    }

    async fn login_at(&self, endpoint: Endpoint, credentials: &Credentials) -> Result<Login, Error> {
        use http::{HeaderMap, Method};

        use crate::auth::Auth;
        use crate::redirect;
        use crate::url::Url;

        let auth = Auth::new(endpoint.origin.clone(), Some(credentials.clone()), String::new());
        let url = Url::new(endpoint.origin.clone(), format!("{}/v2/", endpoint.prefix));
        let mut header = auth.header(&self.transport).await?;
        for _ in 0..2 {
            let headers = HeaderMap::new();
            let answer =
                redirect::follow(&self.transport, &Method::GET, &url, &headers, header.as_ref()).await?;
            let status = answer.response.status();
            if status.is_success() {
                return Ok(Login { identity: auth.identity().await });
            }
            let again = status == http::StatusCode::UNAUTHORIZED
                && answer.url.origin == url.origin
                && auth.challenged(answer.response.headers(), header.as_ref()).await?;
            if !again {
                let host = answer.url.origin.authority();
                let error = crate::repository::failure(&self.transport, &host, answer.response).await;
                return Err(match error {
                    Error::Status { status: 401 | 403, message, .. } => Error::wrong_login(&message),
                    error => error,
                });
            }
            header = auth.header(&self.transport).await?;
        }
        Err(Error::wrong_login(""))
    }

    /// A token of the service that a registry named, for these credentials or for nobody.
    pub async fn token(
        &self,
        wanted: &token::Wanted,
        credentials: Option<&Credentials>,
    ) -> Result<Token, Error> {
        token::fetch(&self.transport, wanted, credentials).await
    }

    /// Tries endpoints until one does what is wanted. A mirror's failure, whatever it is, only means the next one; of a
    /// registry's own addresses the first that speaks decides.
    pub(crate) async fn first<'a, T>(
        &self,
        reference: &Reference,
        access: Access,
        credentials: Option<&Credentials>,
        work: impl Fn(Repository) -> Work<'a, T>,
    ) -> Result<T, Error> {
        let writing = access == Access::Push;
        let mut first = None;
        for endpoint in endpoint::endpoints(&self.transport.config, reference.domain(), writing).await? {
            let mirror = endpoint.mirror;
            let opened =
                Repository::open(self.transport.clone(), endpoint, reference, access, credentials.cloned())
                    .await;
            let spoke = opened.is_ok();
            let result = match opened {
                Ok(repository) => work(repository).await,
                Err(error) => Err(error),
            };
            match result {
                Ok(value) => return Ok(value),
                Err(error) if mirror => {
                    tracing::warn!(error = diag::chain(&error), "a mirror did not help");
                }
                Err(error) if spoke || !error.is_wrong_scheme() => return Err(error),
                Err(error) => {
                    first.get_or_insert(error);
                }
            }
        }
        Err(first.unwrap_or_else(|| Error::Address {
            what: "a registry's name",
            value: reference.domain().to_owned(),
        }))
    }
}
