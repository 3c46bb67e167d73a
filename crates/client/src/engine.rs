//! HTTP/1.1 with an engine: requests, streamed answers, upgrades, and the version that both sides speak.

use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;

use crate::connect::{Io, connect};
use crate::resolve::Endpoint;
use crate::{API_VERSION, Error, Host, autostart};

/// The largest JSON answer that is read: a listing of a very large engine, and nothing endless.
const JSON_LIMIT: usize = 256 << 20;
/// The largest error text that is read.
const ERROR_LIMIT: usize = 1 << 20;
/// The most that an answer's head may take.
const HEAD_LIMIT: usize = 256 << 10;
/// What an engine speaks that doesn't say.
const OLDEST: &str = "1.24";

type Sent = BoxBody<Bytes, io::Error>;

/// A connection to one engine. Requests that follow each other share one stream.
pub struct Engine {
    endpoint: Endpoint,
    idle: Mutex<Option<SendRequest<Sent>>>,
    version: OnceLock<String>,
    takes_port_runs: OnceLock<bool>,
    /// Nothing is changed: what would change something is taken for done.
    dry: bool,
}

/// What `/_ping` tells.
#[derive(Debug, Clone, Default)]
pub struct Ping {
    /// The newest API version of the engine.
    pub api_version: String,
    /// `linux`, mostly.
    pub os_type: String,
    /// The builder that clients should use by default.
    pub builder_version: String,
    /// Whether experimental routes are there.
    pub experimental: bool,
    /// Whether a container's ports may come as runs: `20000..29999/tcp`.
    pub takes_port_runs: bool,
}

/// A whole answer.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: StatusCode,
    /// The body.
    pub bytes: Bytes,
    path: String,
}

impl Reply {
    /// The body as JSON, key order kept.
    pub fn json(&self) -> Result<Value, Error> {
        self.parse()
    }

    /// The body as what is wanted of it.
    pub fn parse<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, Error> {
        let parsed = serde_json::from_slice(&self.bytes);
        parsed.map_err(|source| Error::Json { path: self.path.clone(), source })
    }
}

/// An answer that arrives in pieces.
pub struct Body {
    incoming: Incoming,
    host: String,
    /// The head of the answer.
    pub headers: HeaderMap,
}

impl Body {
    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(frame) = self.incoming.frame().await {
            let frame = frame.map_err(|source| Error::Http { host: self.host.clone(), source })?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// Whether the pieces carry stdout and stderr in frames.
    pub fn is_multiplexed(&self) -> bool {
        is_multiplexed(&self.headers)
    }
}

/// A connection that was taken over: raw bytes in both directions.
pub struct Hijacked {
    /// The bytes.
    pub io: TokioIo<hyper::upgrade::Upgraded>,
    /// Whether stdout and stderr come in frames, where the engine says.
    pub multiplexed: bool,
}

fn is_multiplexed(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind == Some("application/vnd.docker.multiplexed-stream")
}

impl Engine {
    /// An engine that is asked at its first request.
    pub fn new(endpoint: Endpoint) -> Self {
        let version = OnceLock::new();
        if let Some(fixed) = &endpoint.api_version {
            let _ = version.set(fixed.clone());
        }
        Self { endpoint, idle: Mutex::new(None), version, takes_port_runs: OnceLock::new(), dry: false }
    }

    /// The same engine with a header on every request.
    pub fn with_header(&self, name: &str, value: String) -> Self {
        self.with_headers([(name, value)])
    }

    /// The same with several; one name may come more than once.
    pub fn with_headers<'a>(&self, headers: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        let mut endpoint = self.endpoint.clone();
        endpoint.headers.extend(headers.into_iter().map(|(name, value)| (name.to_owned(), value)));
        let (version, takes_port_runs) = (self.version.clone(), self.takes_port_runs.clone());
        Self { endpoint, idle: Mutex::new(None), version, takes_port_runs, dry: self.dry }
    }

    /// The same engine, of which questions are asked and nothing else: [`Engine::call`] answers with an empty document, and
    /// what would stream is an error.
    pub fn dry(mut self) -> Self {
        self.dry = true;
        self
    }

    /// Whether nothing is changed.
    pub fn is_dry(&self) -> bool {
        self.dry
    }

    fn would_change(&self, method: &Method) -> bool {
        self.dry && !matches!(*method, Method::GET | Method::HEAD)
    }

    /// Where it is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// A raw connection, without HTTP.
    pub async fn dial(&self) -> Result<Io, Error> {
        match (connect(&self.endpoint).await, &self.endpoint.host) {
            (Err(e), Host::Unix(socket)) if self.endpoint.builtin && autostart::is_absent(&e) => {
                autostart::start(&self.endpoint, socket).await
            }
            (other, _) => other,
        }
    }

    /// Asks whether it is there and what it speaks.
    pub async fn ping(&self) -> Result<Ping, Error> {
        let request = self.request(Method::HEAD, "/_ping", full(None))?;
        let (response, sender) = self.send(request).await?;
        let text = |name: &str| {
            let value = response.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let ping = Ping {
            api_version: text("api-version"),
            os_type: text("ostype"),
            builder_version: text("builder-version"),
            experimental: text("docker-experimental") == "true",
            takes_port_runs: text("ketch-port-runs") == "1",
        };
        let _ = self.takes_port_runs.set(ping.takes_port_runs);
        let status = response.status();
        let _ = self.collect("/_ping", response, ERROR_LIMIT).await?;
        self.keep(sender);
        if status.is_server_error() {
            let message = format!("the engine answered _ping with {status}");
            return Err(Error::Response { status: status.as_u16(), message });
        }
        Ok(ping)
    }

    /// The API version that both sides speak, asked for once.
    pub async fn version(&self) -> Result<&str, Error> {
        if self.version.get().is_none() {
            let theirs = self.ping().await?.api_version;
            let theirs = if theirs.is_empty() { OLDEST.to_owned() } else { theirs };
            let agreed = if number(&theirs) < number(API_VERSION) { theirs } else { API_VERSION.to_owned() };
            let _ = self.version.set(agreed);
        }
        Ok(self.version.get().map_or(OLDEST, String::as_str))
    }

    /// Whether a container's ports may come as runs.
    pub async fn takes_port_runs(&self) -> Result<bool, Error> {
        match self.takes_port_runs.get() {
            Some(known) => Ok(*known),
            None => Ok(self.ping().await?.takes_port_runs),
        }
    }

    /// Asks and reads the whole answer; an error status is an [`Error::Response`].
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Reply, Error> {
        let path = self.versioned(path).await?;
        if self.would_change(&method) {
            return Ok(Reply { status: StatusCode::OK, bytes: Bytes::from_static(b"{}"), path });
        }
        let request = self.request(method, &path, full(body))?;
        let (response, sender) = self.send(request).await?;
        let response = self.succeeded(&path, response).await?;
        let status = response.status();
        let bytes = self.collect(&path, response, JSON_LIMIT).await?;
        self.keep(sender);
        Ok(Reply { status, bytes, path })
    }

    /// `GET` for JSON.
    pub async fn get(&self, path: &str) -> Result<Value, Error> {
        self.call(Method::GET, path, None).await?.json()
    }

    /// Asks and hands over the answer as it arrives.
    pub async fn stream(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Body, Error> {
        self.stream_from(method, path, full(body)).await
    }

    /// The same for a request whose own body is read from somewhere.
    pub async fn stream_from(&self, method: Method, path: &str, body: Sent) -> Result<Body, Error> {
        let path = self.versioned(path).await?;
        if self.would_change(&method) {
            return Err(Error::Dry { path });
        }
        let request = self.request(method, &path, body)?;
        let (response, _) = self.send(request).await?;
        let (head, incoming) = self.succeeded(&path, response).await?.into_parts();
        Ok(Body { incoming, host: self.endpoint.address.clone(), headers: head.headers })
    }

    /// Takes the connection over for a protocol of its own.
    pub async fn upgrade(
        &self,
        path: &str,
        protocol: &'static str,
        body: Option<&Value>,
    ) -> Result<Hijacked, Error> {
        let path = self.versioned(path).await?;
        if self.dry {
            return Err(Error::Dry { path });
        }
        let mut request = self.request(Method::POST, &path, full(body))?;
        request.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("Upgrade"));
        request.headers_mut().insert(header::UPGRADE, header::HeaderValue::from_static(protocol));
        let (response, _) = self.send(request).await?;
        let response = self.succeeded(&path, response).await?;
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::NotUpgraded { protocol, status: status.as_u16() });
        }
        let multiplexed = is_multiplexed(response.headers());
        let upgraded = hyper::upgrade::on(response).await;
        let upgraded = upgraded.map_err(|source| self.http_error(source))?;
        Ok(Hijacked { io: TokioIo::new(upgraded), multiplexed })
    }

    async fn versioned(&self, path: &str) -> Result<String, Error> {
        Ok(format!("/v{}{path}", self.version().await?))
    }

    fn request(&self, method: Method, path: &str, body: Sent) -> Result<Request<Sent>, Error> {
        let (prefix, host) = match &self.endpoint.host {
            Host::Tcp { name, port, path } if name.contains(':') => {
                (path.as_str(), format!("[{name}]:{port}"))
            }
            Host::Tcp { name, port, path } => (path.as_str(), format!("{name}:{port}")),
            _ => ("", "api.moby.localhost".to_owned()),
        };
        let agent = concat!("Ketch-Client/", env!("CARGO_PKG_VERSION"), " (linux)");
        let mut builder = Request::builder().method(method).uri(format!("{prefix}{path}"));
        for (name, value) in &self.endpoint.headers {
            builder = builder.header(name, value);
        }
        builder = builder.header(header::HOST, host).header(header::USER_AGENT, agent);
        if !hyper::body::Body::is_end_stream(&body) {
            let json = hyper::body::Body::size_hint(&body).exact().is_some();
            let kind = if json { "application/json" } else { "application/x-tar" };
            builder = builder.header(header::CONTENT_TYPE, kind);
        }
        builder.body(body).map_err(|e| Error::Request(format!("{path}: {e}")))
    }

    async fn send(&self, request: Request<Sent>) -> Result<(Response<Incoming>, SendRequest<Sent>), Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        let reusable = match idle {
            Some(mut sender) => sender.ready().await.is_ok().then_some(sender),
            None => None,
        };
        let mut sender = match reusable {
            Some(sender) => sender,
            None => self.open().await?,
        };
        let response = sender.send_request(request).await.map_err(|source| self.http_error(source))?;
        Ok((response, sender))
    }

    async fn open(&self) -> Result<SendRequest<Sent>, Error> {
        let io = TokioIo::new(self.dial().await?);
        let opened = http1::Builder::new().max_buf_size(HEAD_LIMIT).handshake(io).await;
        let (sender, connection) = opened.map_err(|source| self.http_error(source))?;
        // Its failure is also the failure of the request that is under way, and is reported there.
        tasks::spawn(connection.with_upgrades());
        Ok(sender)
    }

    fn keep(&self, sender: SendRequest<Sent>) {
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
    }

    async fn collect(&self, path: &str, response: Response<Incoming>, limit: usize) -> Result<Bytes, Error> {
        let too_large = || Error::TooLarge { path: path.to_owned(), limit };
        if hyper::body::Body::size_hint(response.body()).lower() > limit as u64 {
            return Err(too_large());
        }
        let body = http_body_util::Limited::new(response.into_body(), limit).collect().await;
        body.map(http_body_util::Collected::to_bytes).map_err(|e| match e.downcast::<hyper::Error>() {
            Ok(source) => self.http_error(*source),
            Err(_) => too_large(),
        })
    }

    async fn succeeded(&self, path: &str, response: Response<Incoming>) -> Result<Response<Incoming>, Error> {
        let status = response.status();
        if !status.is_client_error() && !status.is_server_error() {
            return Ok(response);
        }
        let bytes = self.collect(path, response, ERROR_LIMIT).await?;
        let parsed: Option<Value> = serde_json::from_slice(&bytes).ok();
        let message = parsed.as_ref().and_then(|value| value["message"].as_str());
        let message = match message {
            Some(message) => message.trim().to_owned(),
            None if bytes.is_empty() => format!(
                "request returned {status} for API route and version {path}, \
                 check if the server supports the requested API version"
            ),
            None => String::from_utf8_lossy(&bytes).trim().to_owned(),
        };
        Err(Error::Response { status: status.as_u16(), message })
    }

    fn http_error(&self, source: hyper::Error) -> Error {
        Error::Http { host: self.endpoint.address.clone(), source }
    }
}

/// A JSON body, or none.
fn full(body: Option<&Value>) -> Sent {
    match body {
        Some(value) => Full::new(Bytes::from(value.to_string())).map_err(|never| match never {}).boxed(),
        None => Empty::new().map_err(|never| match never {}).boxed(),
    }
}

fn number(version: &str) -> (u16, u16) {
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    (major.parse().unwrap_or(0), minor.parse().unwrap_or(0))
}

/// A text as one part of a path or query.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(byte.into()),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
