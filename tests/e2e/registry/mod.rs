//! The private registry, spoken to as a stranger would: `ketch registry serve` on a port of its own.

mod access;
mod clients;
mod hostile;
mod mounts_and_lists;
mod pull;
mod push;
pub(crate) mod secure;
pub(crate) mod server;
mod settings;
mod upkeep;

use server::{Blob, Private, Store};

const STORE: Store = Store::Disk;
/// `sha256:…` of nothing.
const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
