//! What the administrator decided about registries.

use std::path::PathBuf;
use std::time::Duration;

use dial::Proxies;

/// The decisions of one moment.
#[derive(Debug, Clone)]
pub struct Config {
    /// Addresses that stand in for Docker Hub, or with `<registry>=` before them for another registry, tried in order
    /// before it.
    pub mirrors: Vec<String>,
    /// Host names with or without port, and networks, that may be spoken to without verified TLS.
    pub insecure: Vec<String>,
    pub proxies: Proxies,
    /// `<folder>/<host>/ca.crt`, `client.cert` and `client.key`, and a mirror's `login.json`.
    pub certificates: PathBuf,
    /// How often one blob is tried without getting further.
    pub attempts: u32,
    /// How long a registry may be silent.
    pub patience: Duration,
    pub user_agent: String,
    /// Whether anybody may be spoken to without TLS: where nothing secret is sent and nothing is believed.
    pub plain_http: bool,
}
