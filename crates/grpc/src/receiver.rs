//! What the other side of a call says, message by message.

use std::future::Future;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use prost::Message;

use crate::MAX_MESSAGE;
use crate::frame;
use crate::status::{Code, Status};

type Answering = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send + Sync>>;

/// Receives messages.
pub struct Receiver {
    state: State,
    buffer: BytesMut,
    limit: usize,
}

enum State {
    /// The head of the answer hasn't come. Go's servers send it with their first message.
    Answering(Answering),
    /// An answer's body, whose trailers tell how it went.
    Answer(Incoming),
    /// A request's body, whose end is its end.
    Request(Incoming),
    Ended(Result<(), Status>),
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Receiver").field("buffered", &self.buffer.len()).finish_non_exhaustive()
    }
}

impl Receiver {
    pub(crate) fn of_request(body: Incoming) -> Self {
        Self::new(State::Request(body))
    }

    pub(crate) fn of_answer(answer: Answering) -> Self {
        Self::new(State::Answering(answer))
    }

    fn new(state: State) -> Self {
        Self { state, buffer: BytesMut::new(), limit: MAX_MESSAGE }
    }

    /// The same, for messages that are known to be small.
    #[must_use]
    pub fn limited(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// The next message; `None` when the call ended well.
    pub async fn next<M: Message + Default>(&mut self) -> Result<Option<M>, Status> {
        let Some(bytes) = self.next_bytes().await? else { return Ok(None) };
        M::decode(bytes).map(Some).map_err(Status::garbled)
    }

    /// The only message of a call that has one.
    pub async fn only<M: Message + Default>(mut self) -> Result<M, Status> {
        let Some(message) = self.next().await? else {
            return Err(Status::new(Code::Internal, "the call ended without a message"));
        };
        match self.state {
            // A client's half may stay open.
            State::Request(_) => Ok(message),
            _ => match self.next_bytes().await? {
                None => Ok(message),
                Some(_) => Err(Status::new(Code::Internal, "the call has more than one message")),
            },
        }
    }

    async fn next_bytes(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            if let Some(message) = frame::take(&mut self.buffer, self.limit)? {
                return Ok(Some(message));
            }
            match &mut self.state {
                State::Ended(result) => {
                    let result = result.clone();
                    return if self.buffer.is_empty() { result.map(|()| None) } else { Err(cut_off()) };
                }
                State::Answering(answer) => {
                    let answer =
                        answer.as_mut().await.map_err(|e| Status::broken("the connection broke", e))?;
                    self.state = answered(answer);
                }
                State::Answer(body) | State::Request(body) => {
                    let frame = match body.frame().await {
                        None => None,
                        Some(Ok(frame)) => Some(frame),
                        Some(Err(e)) => return Err(broken(&e)),
                    };
                    match frame.map(hyper::body::Frame::into_data) {
                        Some(Ok(data)) => self.buffer.extend_from_slice(&data),
                        Some(Err(other)) => self.end(other.into_trailers().ok().as_ref()),
                        None => self.end(None),
                    }
                }
            }
        }
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) {
        let said = trailers.and_then(Status::of_trailers);
        self.state = State::Ended(match (&self.state, said) {
            (_, Some(said)) => said,
            (State::Request(_), None) => Ok(()),
            _ => Err(cut_off()),
        });
    }
}

fn answered(answer: Response<Incoming>) -> State {
    let (head, body) = answer.into_parts();
    match Status::of_trailers(&head.headers) {
        Some(said) => State::Ended(said),
        None if head.status == StatusCode::OK => State::Answer(body),
        None => State::Ended(Err(Status::new(
            Code::Unavailable,
            format!("unexpected HTTP status code received from server: {}", head.status),
        ))),
    }
}

fn broken(error: &hyper::Error) -> Status {
    if error.is_canceled() || error.is_closed() {
        return Status::new(Code::Cancelled, "context canceled");
    }
    Status::broken("the connection broke", error)
}

fn cut_off() -> Status {
    Status::new(Code::Unavailable, "the connection ended in the middle of a call")
}
