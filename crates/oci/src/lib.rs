//! The Open Container formats as values: digests, image references, manifests and image configurations.
//!
//! This crate knows no files and no network. Everything here is parsed from bytes that strangers wrote, so every parser
//! is strict and bounded: what it accepts is well-formed, and its length is limited.

mod digest;
pub mod image;
mod reference;

pub use digest::{Algorithm, Digest, DigestError, Hasher, MAX_DIGEST};
pub use reference::{Reference, ReferenceError, is_repository, is_tag};
