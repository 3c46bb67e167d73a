//! Finding, starting and reaching an engine over the Docker Engine API.
//!
//! What is here, in the order in which a call goes through it: [`config`] and [`context`] read docker's files,
//! [`credentials`] knows who the user is to registries,
//! [`resolve`] decides from flags, environment and files which [`Endpoint`] is meant, `connect` opens a byte stream
//! to it (unix, tcp, tls, ssh), starting the local engine where that is the default and nothing listens, and
//! [`Engine`] speaks HTTP/1.1 over it: requests, streams, upgrades, the negotiated API version.
//!
//! Everything an engine sends is bounded: headers, JSON bodies, error texts. Nothing here knows a command line.

mod autostart;
pub mod config;
mod connect;
pub mod context;
pub mod credentials;
mod engine;
mod error;
pub mod files;
mod host;
pub mod resolve;
mod ssh;
mod tls;

pub use autostart::{default_socket, pid_file, run_dir};
pub use connect::Io;
pub use engine::{Body, Engine, Hijacked, Ping, Reply, encode};
pub use error::Error;
pub use host::Host;
pub use resolve::{Endpoint, TlsFiles};
/// The newest API version that this client speaks.
pub const API_VERSION: &str = "1.51";
