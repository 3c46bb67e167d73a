//! What one side of a call says: messages, and in the end, from the side that answers, how it went.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame};
use prost::Message;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::frame;
use crate::status::{Code, Status};

/// Messages that wait for room on the wire; whoever sends more waits.
const QUEUE: usize = 8;

pub(crate) enum Piece {
    Message(Bytes),
    Trailers(HeaderMap),
}

/// Sends messages. Dropping it says that there are no more.
#[derive(Debug, Clone)]
pub struct Sender(mpsc::Sender<Piece>);

impl Sender {
    /// Sends one, when there is room.
    pub async fn send(&self, message: &impl Message) -> Result<(), Status> {
        self.piece(Piece::Message(frame::encode(message)?)).await
    }

    /// The same from a thread that may block.
    pub fn blocking_send(&self, message: &impl Message) -> Result<(), Status> {
        let piece = Piece::Message(frame::encode(message)?);
        self.0.blocking_send(piece).map_err(|_| gone())
    }

    /// Sends several in one piece, from a thread that may block: small ones cost less so.
    pub fn blocking_send_all<M: Message>(&self, messages: &[M]) -> Result<(), Status> {
        if messages.is_empty() {
            return Ok(());
        }
        let piece = Piece::Message(frame::encode_all(messages)?);
        self.0.blocking_send(piece).map_err(|_| gone())
    }

    pub(crate) async fn end(self, status: Option<&Status>) {
        // A client that left doesn't care how it went.
        let _ = self.piece(Piece::Trailers(Status::trailers(status))).await;
    }

    async fn piece(&self, piece: Piece) -> Result<(), Status> {
        self.0.send(piece).await.map_err(|_| gone())
    }

    /// Returns when nobody listens any more.
    pub async fn closed(&self) {
        self.0.closed().await;
    }
}

fn gone() -> Status {
    Status::new(Code::Cancelled, "context canceled")
}

/// The body of a request or an answer.
pub struct Outgoing {
    pieces: mpsc::Receiver<Piece>,
    /// Whoever produces the pieces: it ends when nobody reads them any more.
    producer: Option<JoinHandle<()>>,
}

impl Outgoing {
    pub(crate) fn new() -> (Sender, Self) {
        let (sender, pieces) = mpsc::channel(QUEUE);
        (Sender(sender), Self { pieces, producer: None })
    }

    /// A body that is one message.
    pub(crate) fn one(message: &impl Message) -> Result<Self, Status> {
        let (sender, body) = Self::new();
        // There is room: nothing was sent yet.
        let _ = sender.0.try_send(Piece::Message(frame::encode(message)?));
        Ok(body)
    }

    pub(crate) fn of(mut self, producer: JoinHandle<()>) -> Self {
        self.producer = Some(producer);
        self
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Some(producer) = &self.producer {
            producer.abort();
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.pieces.poll_recv(cx).map(|piece| {
            Some(Ok(match piece? {
                Piece::Message(bytes) => Frame::data(bytes),
                Piece::Trailers(map) => Frame::trailers(map),
            }))
        })
    }
}
