//! One connection: bounded in headers, in idle time and in number.
//!
//! HTTP/1.1 with upgrades, and HTTP/2 with prior knowledge, as dockerd's listener has it. A request that may change
//! something runs in a task of its own, so that a client that hangs up never leaves a change half done.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use engine::Engine;
use http::{HeaderValue, Method, Request, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use crate::call::Call;
use crate::connections::{Connections, Member};
use crate::error::Error;
use crate::query::{self, Plus, Query};
use crate::reply::{self, Reply};
use crate::routes::{self, Fate, Found};
use crate::version::{self, ApiVersion, MAXIMUM};

/// A head must arrive within this.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// All headers of a request together. Registry credentials are the longest that are real.
const MAX_HEAD: usize = 128 * 1024;
const MAX_HEADERS: usize = 256;
/// How many connections there may be at once. The longest idle one makes room for a new one.
const MAX_CONNECTIONS: usize = 2048;

/// Anything that bytes come and go through.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for T {}

/// The API of one engine, for any number of listeners.
#[derive(Debug, Clone)]
pub struct Api {
    engine: Arc<Engine>,
    oldest: ApiVersion,
    connections: Arc<Connections>,
    closing: watch::Receiver<bool>,
    finishing: watch::Receiver<bool>,
}

/// The switch that ends an [`Api`]'s streams.
#[derive(Debug)]
pub struct Drain {
    /// Ends streams.
    closing: watch::Sender<bool>,
    /// Ends connections, each after what it is sending.
    finishing: watch::Sender<bool>,
    connections: Arc<Connections>,
}

impl Drain {
    /// Ends streams that would go on for ever and waits, at most this long, until no request is under way.
    pub async fn drain(&self, patience: Duration) {
        self.closing.send_replace(true);
        let quiet = async {
            self.connections.quiet().await;
            // The last replies may still be in a buffer of ours.
            self.finishing.send_replace(true);
            self.connections.empty().await;
        };
        let _ = tokio::time::timeout(patience, quiet).await;
    }

    /// How many requests are under way.
    pub fn busy(&self) -> usize {
        self.connections.busy()
    }

    /// How many requests have begun so far: it changes whenever there was a client.
    pub fn served(&self) -> u64 {
        self.connections.served()
    }
}

impl Api {
    /// Serves `engine` to clients of version `oldest` and later.
    pub fn new(engine: Arc<Engine>, oldest: ApiVersion) -> (Self, Drain) {
        let connections = Arc::new(Connections::new(MAX_CONNECTIONS));
        let drain = Drain {
            closing: watch::Sender::new(false),
            finishing: watch::Sender::new(false),
            connections: connections.clone(),
        };
        let (closing, finishing) = (drain.closing.subscribe(), drain.finishing.subscribe());
        (Self { engine, oldest, connections, closing, finishing }, drain)
    }

    /// Serves one connection until it ends, is evicted, or the engine drains. It counts from this call on, before the
    /// future is first polled, so that no drain overlooks it.
    pub fn connection<S: Stream>(&self, stream: S) -> impl Future<Output = ()> + Send + use<S> {
        let member = self.connections.join();
        let api = self.clone();
        async move {
            match member {
                Some(member) => api.converse(stream, member).await,
                None => {
                    tracing::warn!("every one of {MAX_CONNECTIONS} connections is busy; one more is refused");
                }
            }
        }
    }

    async fn converse(mut self, stream: impl Stream, member: Member) {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(256)
            .max_header_list_size(MAX_HEAD as u32)
            .keep_alive_interval(Some(Duration::from_secs(60)));
        let service = service_fn({
            let (api, member) = (self.clone(), member.clone());
            move |request| {
                let (api, member) = (api.clone(), member.clone());
                async move { Ok::<_, Infallible>(api.answer(request, &member).await) }
            }
        });
        let serving = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let mut serving = std::pin::pin!(serving);
        let result = tokio::select! {
            result = serving.as_mut() => result,
            () = said(&mut self.finishing) => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
            () = member.evicted() => return,
        };
        if let Err(error) = result {
            tracing::debug!(%error, "a connection ended early");
        }
    }

    async fn answer(&self, request: Request<Incoming>, member: &Member) -> Reply {
        let _busy = member.busy();
        let path = request.uri().path().to_owned();
        let method = request.method().clone();
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
            version,
            oldest: self.oldest,
            params,
            query,
            request,
            closing: self.closing.clone(),
        };
        match route.fate {
            Fate::Done(handler) if matches!(route.method, "GET" | "HEAD") => handler(call).await,
            Fate::Done(handler) => match tokio::spawn(handler(call)).await {
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
            Fate::NoneYet(kind) => {
                let message = format!("no such {kind}: {}", call.name());
                Err(Error::new(http::StatusCode::NOT_FOUND, message))
            }
            Fate::NotYet => Err(Error::refused(route.path, "this version of Ketch does not have it yet")),
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

/// Waits until a switch is on.
async fn said(switch: &mut watch::Receiver<bool>) {
    let _ = switch.wait_for(|on| *on).await;
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
