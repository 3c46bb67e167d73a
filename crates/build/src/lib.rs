//! Building: from a graph of operations to snapshots, and what everybody who takes part says to the others.
//!
//! ```text
//!  Dockerfile ──lower──►  Graph  ──solver──►  Worker (the engine's): sources, containers, files, layers
//!  BuildKit's LLB ────►     │                   ▲
//!                       progress              Session: the client's files, secrets, credentials
//! ```
//!
//! | module | says |
//! |---|---|
//! | [`graph`] | what is to be done: operations and which needs what |
//! | [`request`] | what a client wants built and what becomes of it |
//! | [`session`] | what a build asks of its client meanwhile |
//! | [`progress`] | what a build tells while it goes on |
//! | [`frontend`] | how a language becomes a graph, and what it may ask the engine |
//! | [`container`] | where a frontend runs programs itself |
//! | [`patterns`] | which paths are meant
//! | [`solver`] | which step is done when, and by whom |
//!
//! This crate knows nothing of containers, layers or wire formats.

pub mod container;
mod error;
pub mod frontend;
pub mod graph;
pub mod lower;
pub mod patterns;
pub mod progress;
pub mod request;
pub mod session;
pub mod solver;

use std::pin::Pin;

pub use error::{Error, Failed};

/// What a trait's asynchronous method returns, so that the trait can be a `dyn`.
pub type Job<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;
