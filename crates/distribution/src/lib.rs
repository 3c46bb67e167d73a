//! Registries: whom to ask for an image, with whose credentials, and what of the answer is believed.
//!
//! From the bottom: `transport` sends one request to one origin (TLS, proxies, kept connections), `redirect` follows
//! where an answer points, `auth` turns a challenge into an `Authorization` header, [`Repository`] speaks the
//! distribution protocol, and [`Client`] decides which endpoints stand for a name (mirrors, insecure registries).
//!
//! Invariants: credentials go to the origin that they were given for and to the token service that it names, never
//! along a redirect and never to a mirror; manifests and configs are parsed only after they hashed to the digest that was
//! asked for, and who reads a layer while it comes hears of its end only then; every answer has a limit on its size and on
//! how long it may stay silent.

mod auth;
mod blob;
mod bucket;
mod client;
mod config;
mod credentials;
mod describe;
mod download;
mod endpoint;
mod error;
mod manifest;
mod mirror;
mod part;
mod platform;
mod redirect;
mod repository;
mod retry;
mod search;
pub mod sign;
mod stream;
mod tls;
mod token;
mod transport;
mod upload;
mod url;

pub use bucket::Bucket;
pub use client::{Client, Login};
pub use config::Config;
pub use credentials::{Answer, Credentials, Keeper, Kept};
pub use describe::Description;
pub use dial::{Proxies, Secret};
pub use download::Download;
pub use error::Error;
pub use manifest::fuzz as fuzz_manifest;
pub use manifest::{Document, MAX_MANIFEST, Parsed, Resolved, Single};
pub use part::Part;
pub use platform::Wanted;
pub use repository::{Access, Repository};
pub use retry::Attempts;
pub use search::Found;
pub use stream::Make;
pub use token::{Token, Wanted as WantedToken};
pub use transport::RequestBody;

/// Work under way. Boxed where many roads meet: the body of an `async fn` is compiled anew in every crate that awaits
/// it, with all that it awaits, and what every request goes through would be in the binary four times.
pub(crate) type Work<'a, T> = std::pin::Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;
