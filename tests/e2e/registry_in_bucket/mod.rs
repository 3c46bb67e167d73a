//! The same suite with the content in an S3-compatible store, and what only such a store has.

#[path = "../registry/access.rs"]
mod access;
#[path = "../registry/clients.rs"]
mod clients;
#[path = "../registry/hostile.rs"]
mod hostile;
#[path = "../registry/mounts_and_lists.rs"]
mod mounts_and_lists;
#[path = "../registry/pull.rs"]
mod pull;
#[path = "../registry/push.rs"]
mod push;
#[path = "../registry/server.rs"]
mod server;
#[path = "../registry/settings.rs"]
mod settings;
#[path = "../registry/upkeep.rs"]
mod upkeep;

mod several;

#[path = "../registry/secure.rs"]
mod secure;

use server::{Blob, Private, Store};

const STORE: Store = Store::Bucket;
/// `sha256:…` of nothing.
const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
