//! The side that answers.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::io::{AnyIo, any};
use crate::outgoing::{Outgoing, Sender};
use crate::receiver::Receiver;
use crate::status::{Code, Status};
use crate::{CONNECTION_WINDOW, MAX_HEADERS, STREAM_WINDOW};

/// Calls of one connection under way at once: a build with a hundred local sources is far away.
const CALLS: u32 = 256;

/// A call that wants an answer.
#[derive(Debug)]
pub struct Call {
    /// `/package.Service/Method`.
    pub path: String,
    /// What came beside the messages.
    pub metadata: HeaderMap,
    /// Their messages.
    pub receiver: Receiver,
    /// Ours.
    pub sender: Sender,
}

impl Call {
    /// Answers the one message of a call with one.
    pub async fn answer<Q, A, F>(self, work: impl FnOnce(Q) -> F) -> Result<(), Status>
    where
        Q: Message + Default,
        A: Message,
        F: Future<Output = Result<A, Status>>,
    {
        let answer = work(self.receiver.only().await?).await?;
        self.sender.send(&answer).await
    }

    /// The first value of this key.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).and_then(|value| value.to_str().ok())
    }
}

/// What answers calls. A call whose client leaves is dropped where it is.
pub trait Service: Send + Sync + 'static {
    /// Answers one.
    fn call(&self, call: Call) -> impl Future<Output = Result<(), Status>> + Send;
}

/// What answers calls, whatever its type.
trait Answering: Send + Sync {
    fn call(&self, call: Call) -> Answered<'_>;
}

type Answered<'a> = Pin<Box<dyn Future<Output = Result<(), Status>> + Send + 'a>>;

impl<S: Service> Answering for S {
    fn call(&self, call: Call) -> Answered<'_> {
        Box::pin(Service::call(self, call))
    }
}

/// Answers the calls of one connection until it ends.
pub fn serve(
    io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    service: Arc<impl Service>,
) -> impl Future<Output = Result<(), Status>> + Send + 'static {
    serve_any(any(io), service)
}

fn serve_any(io: AnyIo, service: Arc<dyn Answering>) -> Answered<'static> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(CALLS)
        .max_header_list_size(MAX_HEADERS);
    let answering = service_fn(move |request| {
        let service = service.clone();
        async move { Ok::<_, Infallible>(answer_any(request, service)) }
    });
    let serving = builder.serve_connection(io, answering);
    Box::pin(async move { serving.await.map_err(|e| Status::broken("the connection broke", e)) })
}

/// Answers one call that came in another way: over a connection that isn't ours alone.
pub fn answer(request: Request<Incoming>, service: Arc<impl Service>) -> Response<Outgoing> {
    answer_any(request, service)
}

fn answer_any(request: Request<Incoming>, service: Arc<dyn Answering>) -> Response<Outgoing> {
    let (head, body) = request.into_parts();
    let (sender, outgoing) = Outgoing::new();
    let path = head.uri.path().to_owned();
    let receiver = Receiver::of_request(body);
    let call = Call { path, metadata: head.headers, receiver, sender: sender.clone() };
    let is_grpc = head.method == Method::POST;
    let task = tasks::spawn(async move {
        let result = match is_grpc {
            true => service.call(call).await,
            false => Err(Status::new(Code::Unimplemented, format!("{} is not gRPC", head.method))),
        };
        sender.end(result.err().as_ref()).await;
    });
    let mut response = Response::new(outgoing.of(task));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}
