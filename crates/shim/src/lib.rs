//! The per-container process and its protocol.

pub mod protocol;
