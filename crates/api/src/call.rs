//! One request on its way to its handler.

use std::sync::Arc;

use engine::Engine;
use http::{HeaderMap, Request, header};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::body::{self, Refused};
use crate::error::Error;
use crate::version::ApiVersion;
use serving::query::Query;

/// Everything a handler may look at.
pub(crate) struct Call {
    pub(crate) engine: Arc<Engine>,
    /// Builds, by BuildKit's protocol.
    pub(crate) builder: buildkit::serve::Builder,
    /// The version asked for, or the newest.
    pub(crate) version: ApiVersion,
    /// The oldest version that this engine serves.
    pub(crate) oldest: ApiVersion,
    /// What stood for the `{…}` of the route, decoded.
    pub(crate) params: Vec<String>,
    pub(crate) query: Query,
    pub(crate) request: Request<Incoming>,
    /// Says when the engine wants streams to end.
    pub(crate) closing: tokio::sync::watch::Receiver<bool>,
}

impl Call {
    pub(crate) fn since(&self, minor: u16) -> bool {
        self.version >= ApiVersion::minor(minor)
    }

    pub(crate) fn before(&self, minor: u16) -> bool {
        !self.since(minor)
    }

    /// The route's first `{…}`.
    pub(crate) fn name(&self) -> &str {
        self.params.first().map_or("", String::as_str)
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    /// Reads a body that says nothing. An answer before its end would close the connection under a client that still
    /// writes: docker's sends `{}` with every push, and reported a broken pipe now and then.
    pub(crate) async fn ignore_body(&mut self) -> Result<(), Error> {
        let body = http_body_util::Limited::new(self.request.body_mut(), body::MAX_JSON);
        let read = http_body_util::BodyExt::collect(body).await;
        read.map(drop).map_err(|error| Error::invalid(format!("cannot read the request's body: {error}")))
    }

    /// The body as JSON, with nothing in it that says nothing. An empty one is `null`; another content type than JSON is
    /// refused as dockerd does.
    pub(crate) async fn json(request: Request<Incoming>) -> Result<Value, Error> {
        Self::read(request).await.map(|body| engine::nulls::without(body.unwrap_or_default()))
    }

    /// The same as something else than just any JSON.
    pub(crate) async fn read<T: DeserializeOwned>(request: Request<Incoming>) -> Result<Option<T>, Error> {
        let content_type = request.headers().get(header::CONTENT_TYPE).cloned();
        let bytes = body::read_small(request.into_body()).await.map_err(|refused| match refused {
            Refused::TooLarge => Error::too_large(),
            Refused::Broken(why) => Error::invalid(format!("cannot read the request's body: {why}")),
        })?;
        if bytes.is_empty() {
            return Ok(None);
        }
        check_content_type(content_type.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default())?;
        parse_one(&bytes)
    }
}

fn check_content_type(text: &str) -> Result<(), Error> {
    match text.split(';').next().map(str::trim) {
        Some("application/json") => Ok(()),
        Some("") | None => {
            Err(Error::invalid(format!("malformed Content-Type header ({text}): mime: no media type")))
        }
        Some(_) => Err(Error::invalid(format!(
            "unsupported Content-Type header ({text}): must be 'application/json'"
        ))),
    }
}

/// What a body says, once it is known to be JSON.
pub(crate) fn understood<T: DeserializeOwned>(body: &Value) -> Result<T, Error> {
    T::deserialize(body).map_err(|error| Error::invalid(format!("invalid JSON: {error}")))
}

fn parse_one<T: DeserializeOwned>(bytes: &[u8]) -> Result<Option<T>, Error> {
    let mut documents = serde_json::Deserializer::from_slice(bytes).into_iter();
    let first = documents.next().transpose();
    let value = first.map_err(|error| Error::invalid(format!("invalid JSON: {error}")))?;
    match documents.next() {
        None => Ok(value),
        Some(_) => Err(Error::invalid("unexpected content after JSON")),
    }
}
