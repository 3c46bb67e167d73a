//! A private registry: the OCI distribution protocol, served from a storage of its own.
//!
//! From the bottom: `storage` keeps documents and blobs, `repository` does what is all or nothing, `serve` speaks the
//! protocol, `auth` decides who may. `route` is the only door: what passes it has names that are safe as files' names.
//!
//! Invariants: nothing is visible that isn't whole and hashed to its digest; what was answered with success is on the
//! disk; a repository's content is read through the repository's own name for it, never by digest alone.

mod admin;
mod auth;
mod body;
mod cache;
mod config;
mod error;
pub mod fuzzing;
mod gc;
mod layout;
mod log;
mod manifest;
mod metrics;
mod notify;
mod outgoing;
mod pattern;
mod range;
mod repository;
mod route;
mod run;
mod serve;
mod storage;
mod upkeep;
mod upstream;

pub use admin::{Admin, Row, TagRow};
pub use config::{Config, DEFAULT_ROOT, Options};
pub use error::Error;
pub use gc::{Collected, Plan};
pub use layout::Moved;
pub use run::{Running, serve, validate};

/// Bytes that nobody can guess.
fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes)
}
