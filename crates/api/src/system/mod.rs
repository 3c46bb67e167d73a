//! What the engine says of itself.

pub(crate) mod auth;
pub(crate) mod df;
pub(crate) mod events;
pub(crate) mod info;
pub(crate) mod ping;
pub(crate) mod version;

/// The Docker release whose behaviour this engine has, with our own version behind it: tools compare this with the
/// releases they know, and `0.1.0` would be "too old" to all of them.
pub(crate) const SERVER_VERSION: &str = concat!("28.5.2+ketch.", env!("CARGO_PKG_VERSION"));
