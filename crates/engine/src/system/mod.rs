//! What the engine knows of itself and its machine, for `version`, `info` and `system df`.

mod cgroups;
mod host;
mod identity;

pub use cgroups::Cgroups;
pub use host::{Host, forwards_ipv4, open_descriptors};
pub use identity::engine_id;

/// Ketch's own version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit this binary was built from, or `unknown` outside a checkout.
pub const COMMIT: &str = env!("KETCH_COMMIT");

/// When that commit was made, as RFC 3339; the build itself leaves no trace, so that it can be reproduced.
pub const COMMIT_TIME: &str = env!("KETCH_COMMIT_TIME");
