//! gRPC over a stream that somebody else opened: messages with a length before them, in HTTP/2 with prior knowledge.
//!
//! [`Channel`] is the side that asks, [`serve`] the side that answers; which of them the process that listened is, they
//! don't care: on BuildKit's sessions it is the one that asks. A message is a prost message; a method is a path. Nothing
//! here knows what is said.
//!
//! Bounded: a message to [`MAX_MESSAGE`], the streams of a connection, their windows, and what is on its way out (a few
//! messages, after which the sender waits). Compression is refused, which is what not offering it means.

mod client;
mod frame;
mod io;
mod outgoing;
mod receiver;
mod server;
mod status;

pub use client::{Channel, Metadata, Stream};
pub use hyper::body::Incoming;
pub use outgoing::{Outgoing, Sender};
pub use receiver::Receiver;
pub use server::{Call, Service, answer, serve};
pub use status::{Code, Status};

/// The largest message that is read: what dockerd takes and sends.
pub const MAX_MESSAGE: usize = 16 << 20;
/// What one stream may have under way unread. Contexts are sent through one stream.
const STREAM_WINDOW: u32 = 512 << 10;
/// All streams of a connection. h2 counts small frames that wait to be read at 256 bytes each, and ends a connection on
/// which they come to more than half of this: a context of ten thousand files is forty thousand such frames, and a stream
/// full of the smallest (seven bytes) has to stay below it.
const CONNECTION_WINDOW: u32 = 256 * STREAM_WINDOW;
const _: () = assert!(CONNECTION_WINDOW / 2 > STREAM_WINDOW / 7 * 256);
/// Headers carry the patterns of a `.dockerignore`.
const MAX_HEADERS: u32 = 1 << 20;
