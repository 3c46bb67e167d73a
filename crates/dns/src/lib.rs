//! Answers for containers that ask for names: the DNS wire format, and a server that knows some names itself and has the
//! host's resolvers asked for all others.
//!
//! ```text
//! container ── query ──► Server ── a name of its networks? ──► answered here, never forwarded
//!                          └───── any other ────────────────► Forwarder ──► resolvers, in order, until one answers
//! ```
//!
//! Of what is forwarded only the id changes: EDNS, answers and errors pass as they are. Everything is bounded: queries
//! under way, connections, lengths, times. What a container sends can at worst fill its own share.

mod forward;
mod message;
mod server;

pub use forward::{Forwarder, Transport};
pub use message::{Code, Data, Question, Received, read};
pub use server::{Leave, Names, Server};
