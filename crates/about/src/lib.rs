//! Which Ketch this is. A crate of its own, so that a commit rebuilds only those who say it.

/// Ketch's own version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The Docker release whose behaviour this is, with our own version behind it: tools compare this with the releases they
/// know, and `0.1.0` would be "too old" to all of them.
pub const AS_DOCKER: &str = concat!("28.5.2+ketch.", env!("CARGO_PKG_VERSION"));

/// The commit this binary was built from, or `unknown` outside a checkout.
pub const COMMIT: &str = env!("KETCH_COMMIT");

/// When that commit was made, as RFC 3339; the build itself leaves no trace, so that it can be reproduced.
pub const COMMIT_TIME: &str = env!("KETCH_COMMIT_TIME");
