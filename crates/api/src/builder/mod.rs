//! Builds: BuildKit's protocol on connections that are taken over from HTTP.

pub(crate) mod connections;
mod engine;

pub(crate) use engine::Adapter;
