//! The side that asks.

use std::pin::Pin;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::TokioExecutor;
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use crate::io::{AnyIo, any};
use crate::outgoing::{Outgoing, Sender};
use crate::receiver::Receiver;
use crate::status::Status;
use crate::{CONNECTION_WINDOW, MAX_HEADERS, STREAM_WINDOW};

/// What goes with a call beside its messages.
#[derive(Debug, Clone, Default)]
pub struct Metadata(HeaderMap);

impl Metadata {
    /// With one more value for this key. Keys that end in `-bin` carry any bytes, others printable ASCII.
    pub fn and(mut self, key: &str, value: &str) -> Result<Self, Status> {
        let invalid =
            |why: String| Status::new(crate::Code::InvalidArgument, format!("metadata {key}: {why}"));
        let name = HeaderName::from_bytes(key.as_bytes()).map_err(|e| invalid(e.to_string()))?;
        let text =
            if key.ends_with("-bin") { crate::status::binary(value.as_bytes()) } else { value.to_owned() };
        self.0.append(name, HeaderValue::from_str(&text).map_err(|e| invalid(e.to_string()))?);
        Ok(self)
    }
}

/// A call in both directions.
#[derive(Debug)]
pub struct Stream {
    /// Our messages. Dropping it closes our half.
    pub sender: Sender,
    /// Theirs.
    pub receiver: Receiver,
}

/// A connection on which to call. Clones share it; it ends with the last of them and the last call.
#[derive(Debug, Clone)]
pub struct Channel {
    requests: SendRequest<Outgoing>,
    ended: watch::Receiver<bool>,
}

impl Channel {
    /// Speaks HTTP/2 over an open stream.
    pub fn over(
        io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> impl Future<Output = Result<Self, Status>> + Send + 'static {
        Self::over_any(any(io))
    }

    fn over_any(io: AnyIo) -> Pin<Box<dyn Future<Output = Result<Self, Status>> + Send>> {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEADERS);
        Box::pin(async move {
            let opened = builder.handshake(io).await;
            let (requests, connection) =
                opened.map_err(|e| Status::broken("cannot open the connection", e))?;
            let (over, ended) = watch::channel(false);
            tasks::spawn(async move {
                // Its failure is the failure of the calls under way, and is reported there.
                let _ = connection.await;
                let _ = over.send(true);
            });
            Ok(Self { requests, ended })
        })
    }

    /// Returns when the connection has ended.
    pub async fn ended(&self) {
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }

    /// One question, one answer.
    pub async fn unary<A: Message + Default>(
        &self,
        path: &str,
        metadata: &Metadata,
        question: &impl Message,
    ) -> Result<A, Status> {
        self.ask(path, metadata, question)?.only().await
    }

    /// One question, any number of answers.
    pub fn ask(&self, path: &str, metadata: &Metadata, question: &impl Message) -> Result<Receiver, Status> {
        self.begin(path, metadata, Outgoing::one(question)?)
    }

    /// Messages in both directions.
    pub fn stream(&self, path: &str, metadata: &Metadata) -> Result<Stream, Status> {
        let (sender, body) = Outgoing::new();
        Ok(Stream { sender, receiver: self.begin(path, metadata, body)? })
    }

    fn begin(&self, path: &str, metadata: &Metadata, body: Outgoing) -> Result<Receiver, Status> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://localhost{path}"))
            .header(header::TE, "trailers")
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::USER_AGENT, concat!("ketch/", env!("CARGO_PKG_VERSION")))
            .body(body);
        let mut request = request.map_err(|e| Status::new(crate::Code::InvalidArgument, e.to_string()))?;
        for (name, value) in &metadata.0 {
            request.headers_mut().append(name, value.clone());
        }
        let mut requests = self.requests.clone();
        Ok(Receiver::of_answer(Box::pin(requests.send_request(request))))
    }
}
