//! One request to one origin: connections, TLS, proxies. Redirects and credentials are decided above.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use dial::{Origin, Proxy, Refused};
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use crate::tls::{self, Trust};
use crate::url::Url;
use crate::{Config, Error, Work, endpoint};

/// What a request sends.
pub type RequestBody = BoxBody<Bytes, io::Error>;

/// Kept connections to one origin: a pull's parallel layers need a few, a registry's object store some more.
const KEPT: usize = 32;
/// The most that an answer's head may take.
const HEAD_LIMIT: usize = 128 << 10;

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}
type Io = Box<dyn Duplex>;

/// What sends requests.
pub(crate) struct Transport {
    pub(crate) config: Config,
    tls: Mutex<HashMap<(String, Trust), Arc<ClientConfig>>>,
    kept: Mutex<HashMap<Origin, Vec<SendRequest<RequestBody>>>>,
}

/// A body of bytes at hand.
pub(crate) fn full(bytes: impl Into<Bytes>) -> RequestBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

pub(crate) fn empty() -> RequestBody {
    Empty::new().map_err(|never| match never {}).boxed()
}

impl Transport {
    pub(crate) fn new(config: Config) -> Self {
        Self { config, tls: Mutex::default(), kept: Mutex::default() }
    }

    /// Sends a request whose headers are complete but for `Host` and `User-Agent`, and returns the answer's head.
    pub(crate) fn send<'a>(
        &'a self,
        url: &'a Url,
        request: Request<RequestBody>,
    ) -> Work<'a, Response<Incoming>> {
        Box::pin(async move {
            let patience = self.config.patience;
            let silent = || Error::Silent { host: url.origin.authority(), after: patience };
            let sent = tokio::time::timeout(patience, self.send_slowly(url, request));
            sent.await.map_err(|_| silent())?
        })
    }

    /// The same for a large body: patience ends when neither a byte of it goes out nor an answer comes in.
    pub(crate) fn send_body<'a>(
        &'a self,
        url: &'a Url,
        request: Request<RequestBody>,
        sent: &'a AtomicU64,
    ) -> Work<'a, Response<Incoming>> {
        Box::pin(async move {
            let patience = self.config.patience;
            let mut exchange = std::pin::pin!(self.send_slowly(url, request));
            let mut before = sent.load(Ordering::Relaxed);
            loop {
                if let Ok(response) = tokio::time::timeout(patience, &mut exchange).await {
                    return response;
                }
                let now = sent.load(Ordering::Relaxed);
                if now == before {
                    return Err(Error::Silent { host: url.origin.authority(), after: patience });
                }
                before = now;
            }
        })
    }

    async fn send_slowly(
        &self,
        url: &Url,
        mut request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Error> {
        let proxy = self.config.proxies.find(&url.origin).map_err(|_| unreadable_proxy())?;
        let headers = request.headers_mut();
        let text = |value: &str| {
            HeaderValue::from_str(value)
                .map_err(|_| Error::Address { what: "an address", value: value.to_owned() })
        };
        headers.insert(header::HOST, text(&url.origin.authority())?);
        headers.insert(header::USER_AGENT, text(&self.config.user_agent)?);
        let plain_proxy = proxy.as_ref().filter(|_| !url.origin.tls);
        if let Some(authorization) = plain_proxy.and_then(|proxy| proxy.authorization.as_ref()) {
            headers.insert(header::PROXY_AUTHORIZATION, text(authorization.reveal())?);
        }
        let target = if plain_proxy.is_some() { url.to_string() } else { url.target.clone() };
        *request.uri_mut() = target
            .parse::<Uri>()
            .map_err(|_| Error::Address { what: "an address", value: url.to_string() })?;
        self.exchange(&url.origin, proxy.as_ref(), request).await
    }

    async fn exchange(
        &self,
        origin: &Origin,
        proxy: Option<&Proxy>,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Error> {
        let mut sender = match self.take(origin) {
            Some(sender) => sender,
            None => self.open(origin, proxy).await?,
        };
        let response = sender.send_request(request).await;
        let response = response.map_err(|source| Error::Http { host: origin.authority(), source })?;
        self.keep(origin, sender);
        Ok(response)
    }

    /// A kept connection whose last answer was read to its end.
    fn take(&self, origin: &Origin) -> Option<SendRequest<RequestBody>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let list = kept.get_mut(origin)?;
        list.retain(|sender| !sender.is_closed());
        let ready = list.iter().position(SendRequest::is_ready)?;
        Some(list.swap_remove(ready))
    }

    fn keep(&self, origin: &Origin, sender: SendRequest<RequestBody>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let list = kept.entry(origin.clone()).or_default();
        if list.len() < KEPT {
            list.push(sender);
        }
    }

    async fn open(&self, origin: &Origin, proxy: Option<&Proxy>) -> Result<SendRequest<RequestBody>, Error> {
        let io = self.connect(origin, proxy).await?;
        let opened = http1::Builder::new().max_buf_size(HEAD_LIMIT).handshake(TokioIo::new(io)).await;
        let (sender, connection) =
            opened.map_err(|source| Error::Http { host: origin.authority(), source })?;
        // Its failure is also the failure of the request that is under way, and is reported there.
        tasks::spawn(connection);
        Ok(sender)
    }

    async fn connect(&self, origin: &Origin, proxy: Option<&Proxy>) -> Result<Io, Error> {
        let trust = endpoint::trust(&self.config, origin).await;
        if !origin.tls && trust == Trust::Verified && !self.config.plain_http {
            return Err(Error::Redirect { host: origin.authority(), why: "to plain HTTP, which it may not" });
        }
        let next = proxy.map_or(origin, |proxy| &proxy.origin);
        let stream = dial::connect(next.bare_host(), next.port).await;
        let stream = stream.map_err(|source| Error::Unreachable { host: next.authority(), source })?;
        let io: Io = match proxy {
            Some(proxy) if proxy.origin.tls => {
                self.encrypt(&proxy.origin, Trust::Verified, Box::new(stream)).await?
            }
            _ => Box::new(stream),
        };
        match (origin.tls, proxy) {
            (false, _) => Ok(io),
            (true, None) => self.encrypt(origin, trust, io).await,
            (true, Some(proxy)) => self.encrypt(origin, trust, tunnel(origin, proxy, io).await?).await,
        }
    }

    async fn encrypt(&self, origin: &Origin, trust: Trust, io: Io) -> Result<Io, Error> {
        let config = self.tls_config(origin, trust)?;
        let wrong = |_| Error::Address { what: "a registry's name", value: origin.authority() };
        let name = ServerName::try_from(origin.bare_host().to_owned()).map_err(wrong)?;
        let stream = TlsConnector::from(config).connect(name, io).await;
        Ok(Box::new(stream.map_err(|source| Error::Tls { host: origin.authority(), source })?))
    }

    fn tls_config(&self, origin: &Origin, trust: Trust) -> Result<Arc<ClientConfig>, Error> {
        let key = (origin.authority(), trust);
        let mut known = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = known.get(&key) {
            return Ok(config.clone());
        }
        let config = Arc::new(tls::config(&self.config.certificates, &key.0, trust)?);
        known.insert(key, config.clone());
        Ok(config)
    }

    /// A small answer's body.
    pub(crate) async fn collect(
        &self,
        host: &str,
        what: &str,
        body: Incoming,
        limit: usize,
    ) -> Result<Bytes, Error> {
        let too_large =
            || Error::TooLarge { host: host.to_owned(), what: what.to_owned(), limit: limit as u64 };
        if hyper::body::Body::size_hint(&body).lower() > limit as u64 {
            return Err(too_large());
        }
        let patience = self.config.patience;
        let collected = tokio::time::timeout(patience, Limited::new(body, limit).collect()).await;
        let collected = collected.map_err(|_| Error::Silent { host: host.to_owned(), after: patience })?;
        collected.map(http_body_util::Collected::to_bytes).map_err(|e| match e.downcast::<hyper::Error>() {
            Ok(source) => Error::Http { host: host.to_owned(), source: *source },
            Err(_) => too_large(),
        })
    }
}

/// Asks a proxy for a connection to the origin.
async fn tunnel(origin: &Origin, proxy: &Proxy, io: Io) -> Result<Io, Error> {
    let proxy_host = proxy.origin.authority();
    dial::tunnel(origin, proxy, io).await.map_err(|refused| match refused {
        Refused::Io(source) => Error::Unreachable { host: proxy_host, source },
        Refused::Said(said) => Error::Proxy { host: origin.authority(), proxy: proxy_host, said },
    })
}

fn unreadable_proxy() -> Error {
    Error::Address { what: "the proxy's address", value: "[redacted]".into() }
}
