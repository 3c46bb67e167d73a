//! Requests of the Engine API, one after the other: the version off the path, the route, the handler.
//!
//! A request that may change something runs in a task of its own, so that a client that hangs up never leaves a change
//! half done.

use std::sync::Arc;

use engine::Engine;
use http::{HeaderValue, Method, Request, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serving::{Answer, Drain, Limits, Peer, Server};
use tokio::sync::watch;

use crate::builder::Adapter;
use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};
use crate::routes::{self, Fate, Found};
use crate::version::{self, ApiVersion, MAXIMUM};
use serving::query::{self, Plus, Query};

/// The API of one engine, for any number of listeners.
#[derive(Debug, Clone)]
pub struct Api {
    engine: Arc<Engine>,
    builder: buildkit::serve::Builder,
    oldest: ApiVersion,
    closing: watch::Receiver<bool>,
}

impl Api {
    /// Serves `engine` to clients of version `oldest` and later. The headers' limit is the usual one: registry
    /// credentials are the longest that are real.
    pub fn server(engine: Arc<Engine>, oldest: ApiVersion) -> (Server, Drain) {
        let drain = Drain::new(Limits::USUAL);
        let builder = buildkit::serve::Builder::new(Arc::new(Adapter(engine.clone())));
        let api = Self { engine, builder, oldest, closing: drain.closing() };
        (drain.server(api), drain)
    }
}

impl Answer for Api {
    async fn answer(&self, request: Request<Incoming>, _: &Peer) -> Reply {
        let path = request.uri().path().to_owned();
        let method = request.method().clone();
        if is_grpc(&request) {
            return self
                .builder
                .answer(request)
                .map(|body| body.map_err(|never| match never {}).boxed_unsync());
        }
        let mut reply = match self.dispatch(request).await {
            Ok(reply) => reply,
            Err(error) => {
                if error.is_internal() {
                    tracing::error!(%method, path, error = error.message(), "request failed");
                }
                error.reply()
            }
        };
        tracing::debug!(%method, path, status = reply.status().as_u16(), "request");
        self.sign(&mut reply);
        reply
    }
}

impl Api {
    /// The headers that every reply of dockerd has.
    fn sign(&self, reply: &mut Reply) {
        let headers = reply.headers_mut();
        let mut set = |name: &'static str, text: &str| {
            if let Ok(value) = HeaderValue::from_str(text) {
                headers.insert(name, value);
            }
        };
        set("api-version", &MAXIMUM.to_string());
        set("docker-experimental", if self.engine.settings.experimental { "true" } else { "false" });
        set("ostype", "linux");
        set("server", concat!("Ketch/", env!("CARGO_PKG_VERSION"), " (linux)"));
    }

    async fn dispatch(&self, request: Request<Incoming>) -> Result<Reply, Error> {
        if request.method() == Method::OPTIONS {
            return Ok(reply::empty(http::StatusCode::OK));
        }
        let decoded = query::decode(request.uri().path(), Plus::IsPlus)?;
        if let Some(clean) = unclean(&decoded) {
            return Ok(moved(&clean));
        }
        let (asked, path) = version::split(&decoded);
        let version = self.check_version(asked)?;
        let Some(Found { route, params }) = routes::find(request.method().as_str(), path) else {
            return Err(Error::not_found());
        };
        let query = Query::parse(request.uri().query().unwrap_or_default())?;
        for name in query.unknown(route.query) {
            tracing::debug!(path, name, "a query parameter that this engine doesn't know");
        }
        let call = Call {
            engine: self.engine.clone(),
            builder: self.builder.clone(),
            version,
            oldest: self.oldest,
            params,
            query,
            request,
            closing: self.closing.clone(),
        };
        match route.fate {
            Fate::Done(handler) if matches!(route.method, "GET" | "HEAD") => handler(call).await,
            Fate::Done(handler) => match tasks::spawn(handler(call)).await {
                Ok(result) => result,
                Err(error) => {
                    tracing::error!(%error, path, "a handler panicked");
                    Err(Error::new(
                        http::StatusCode::INTERNAL_SERVER_ERROR,
                        "the engine has a bug here; see its log",
                    ))
                }
            },
            Fate::Refused(reason) => Err(Error::refused(route.path, reason)),
        }
    }

    fn check_version(&self, asked: Option<&str>) -> Result<ApiVersion, Error> {
        let Some(text) = asked else { return Ok(MAXIMUM) };
        let version: ApiVersion =
            text.parse().map_err(|()| Error::invalid(format!("invalid API version {text}")))?;
        if version > MAXIMUM {
            return Err(Error::invalid(format!(
                "client version {text} is too new. Maximum supported API version is {MAXIMUM}"
            )));
        }
        if version < self.oldest {
            return Err(Error::invalid(format!(
                "client version {text} is too old. Minimum supported API version is {}, please upgrade your client \
                 to a newer version",
                self.oldest
            )));
        }
        Ok(version)
    }
}

/// A call of BuildKit's protocol from a client that needs no upgrade for it.
fn is_grpc(request: &Request<Incoming>) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    request.version() == http::Version::HTTP_2
        && kind.is_some_and(|kind| kind.starts_with("application/grpc"))
}

/// The path without empty, `.` and `..` components, if it has any.
fn unclean(path: &str) -> Option<String> {
    if path == "/" {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    let mut dirty = false;
    for part in path.split('/').skip(1) {
        match part {
            "" | "." => dirty = true,
            ".." => {
                dirty = true;
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    dirty.then(|| format!("/{}", parts.join("/")))
}

fn moved(to: &str) -> Reply {
    let mut reply = reply::empty(http::StatusCode::MOVED_PERMANENTLY);
    let encoded: String = to.bytes().flat_map(encode).map(char::from).collect();
    if let Ok(value) = HeaderValue::from_str(&encoded) {
        reply.headers_mut().insert(header::LOCATION, value);
    }
    reply
}

fn encode(byte: u8) -> Vec<u8> {
    match byte {
        b'/' | b'-' | b'.' | b'_' | b'~' | b':' | b'@' => vec![byte],
        byte if byte.is_ascii_alphanumeric() => vec![byte],
        byte => format!("%{byte:02X}").into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_gos_router_does() {
        assert_eq!(unclean("/v1.51/../info"), Some("/info".into()));
        assert_eq!(unclean("//info"), Some("/info".into()));
        assert_eq!(unclean("/../../etc"), Some("/etc".into()));
        assert_eq!(unclean("/v1.51/info"), None);
        assert_eq!(unclean("/"), None);
    }
}
