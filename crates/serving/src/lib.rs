//! Serving HTTP to strangers: connections bounded in headers, in idle time, in patience and in number.
//!
//! HTTP/1.1 with upgrades, and HTTP/2 by ALPN or with prior knowledge. What is answered is an [`Answer`]'s; the engine's
//! API and the registry are two of them. [`Drain`] ends a [`Server`] so that nothing under way is cut off.

mod accept;
mod connections;
mod patient;
pub mod query;
mod taken;
mod tls;
mod wire;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

pub use accept::{accept_tcp, accept_unix};
use connections::{Busy, Connections, Member};
use patient::Patient;
pub use taken::{HangUp, take};
pub use tls::{Tls, TlsError, TlsFiles, Verify};
use wire::Wire;

/// Anything that bytes come and go through.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for T {}

/// What is answered.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What answers requests.
pub trait Answer: Send + Sync + 'static {
    /// Answers one request; it may read the body while it does.
    fn answer(&self, request: Request<Incoming>, peer: &Peer) -> impl Future<Output = Response<Body>> + Send;
}

/// An [`Answer`] behind a pointer: the server's code, which is large, exists once for all of them.
trait Answering: Send + Sync {
    fn answering<'a>(
        &'a self,
        request: Request<Incoming>,
        peer: &'a Peer,
    ) -> Pin<Box<dyn Future<Output = Response<Body>> + Send + 'a>>;
}

impl<A: Answer> Answering for A {
    fn answering<'a>(
        &'a self,
        request: Request<Incoming>,
        peer: &'a Peer,
    ) -> Pin<Box<dyn Future<Output = Response<Body>> + Send + 'a>> {
        Box::pin(self.answer(request, peer))
    }
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy, Default)]
pub struct Peer {
    /// None on a unix socket.
    pub address: Option<SocketAddr>,
    pub encrypted: bool,
}

/// When a request is over: its connection may then make room for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// With its answer's head; the body may stream for ever.
    Answered,
    /// With the last byte of its answer.
    Sent,
}

/// What strangers may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A head must arrive within this.
    pub head_time: Duration,
    /// All headers of a request together.
    pub head: usize,
    pub headers: usize,
    /// How many connections there may be at once. The longest idle one makes room for a new one.
    pub connections: usize,
    /// How long a client may take none of what is sent to it; none is for ever.
    pub write_patience: Option<Duration>,
    pub busy: Until,
}

impl Limits {
    /// Those that fit a server whose clients may stay connected for days.
    pub const USUAL: Self = Self {
        head_time: Duration::from_secs(30),
        head: 128 * 1024,
        headers: 256,
        connections: 2048,
        write_patience: None,
        busy: Until::Answered,
    };
}

/// The switch that ends a [`Server`].
#[derive(Debug)]
pub struct Drain {
    /// Ends streams.
    closing: watch::Sender<bool>,
    /// Ends connections, each after what it is sending.
    finishing: watch::Sender<bool>,
    connections: Arc<Connections>,
    limits: Limits,
}

impl Drain {
    /// For one server with these limits.
    pub fn new(limits: Limits) -> Self {
        Self {
            closing: watch::Sender::new(false),
            finishing: watch::Sender::new(false),
            connections: Arc::new(Connections::new(limits.connections)),
            limits,
        }
    }

    /// Turns true when streams that would go on for ever have to end.
    pub fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    /// The server that this switch ends.
    pub fn server(&self, answer: impl Answer) -> Server {
        let (connections, finishing) = (self.connections.clone(), self.finishing.subscribe());
        Server { answer: Arc::new(answer), connections, finishing, limits: self.limits }
    }

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

/// One service for any number of listeners.
#[derive(Clone)]
pub struct Server {
    answer: Arc<dyn Answering>,
    connections: Arc<Connections>,
    finishing: watch::Receiver<bool>,
    limits: Limits,
}

impl Server {
    /// Serves one connection until it ends, is evicted, or the server drains. It counts from this call on, before the
    /// future is first polled, so that no drain overlooks it.
    fn connection(&self, stream: Wire, peer: Peer) -> impl Future<Output = ()> + Send + use<> {
        let member = self.connections.join();
        let server = self.clone();
        async move {
            let limit = server.limits.connections;
            match member {
                Some(member) => server.converse(stream, peer, member).await,
                None => tracing::warn!("every one of {limit} connections is busy; one more is refused"),
            }
        }
    }

    async fn converse(mut self, stream: Wire, peer: Peer, member: Member) {
        let service = service_fn({
            let (answer, member, until) = (self.answer.clone(), member.clone(), self.limits.busy);
            move |request| {
                let (answer, member) = (answer.clone(), member.clone());
                async move {
                    let busy = member.busy();
                    let reply = answer.answering(request, &peer).await;
                    let busy = (until == Until::Sent).then_some(busy);
                    Ok::<_, Infallible>(reply.map(|body| Held { body, _busy: busy }))
                }
            }
        });
        let stream = TokioIo::new(Patient::new(stream, self.limits.write_patience));
        let builder = self.builder();
        let mut serving = std::pin::pin!(builder.serve_connection_with_upgrades(stream, service));
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

    fn builder(&self) -> auto::Builder<TokioExecutor> {
        let limits = self.limits;
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_time)
            .max_buf_size(limits.head)
            .max_headers(limits.headers);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(256)
            .max_header_list_size(u32::try_from(limits.head).unwrap_or(u32::MAX))
            .keep_alive_interval(Some(Duration::from_secs(60)));
        builder
    }
}

/// Waits until a switch is on.
async fn said(switch: &mut watch::Receiver<bool>) {
    let _ = switch.wait_for(|on| *on).await;
}

/// A body that keeps its connection busy until it is sent.
struct Held {
    body: Body,
    _busy: Option<Busy>,
}

impl hyper::body::Body for Held {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
