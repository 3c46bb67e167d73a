//! What the engine says of itself.

pub(crate) mod auth;
pub(crate) mod df;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod info;
pub(crate) mod ping;
pub(crate) mod version;
