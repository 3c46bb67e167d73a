//! What the engine knows of itself and its machine, for `version`, `info` and `system df`.

mod cgroups;
pub mod doctor;
mod host;
mod identity;

pub use cgroups::Cgroups;
pub use host::{Host, forwards_ipv4, open_descriptors};
pub use identity::engine_id;
