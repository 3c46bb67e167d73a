//! Registries, reached as the administrator decided at this moment.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use distribution::{Client, Config, Proxies};
pub use distribution::{Credentials, Secret};

use crate::Error;
use crate::settings::{Live, Settings};

/// Where dockerd looks for a registry's certificates.
const CERTIFICATES: &str = "/etc/docker/certs.d";
/// A registry that says nothing for so long is not there.
const PATIENCE: Duration = Duration::from_secs(30);
/// What clients call Docker Hub when they log in.
const HUB: [&str; 3] = ["", "index.docker.io", "registry-1.docker.io"];

/// The way to registries.
#[derive(Debug)]
pub struct Registries {
    pub(crate) settings: Arc<Settings>,
    pub(crate) live: Arc<ArcSwap<Live>>,
}

impl Registries {
    /// A client with the decisions in force.
    fn client(&self) -> Client {
        let live = self.live.load();
        Client::new(Config {
            mirrors: live.registry_mirrors.clone(),
            insecure: live.insecure_registries.clone(),
            proxies: Proxies {
                http: self.settings.http_proxy.clone(),
                https: self.settings.https_proxy.clone(),
                none: self.settings.no_proxy.clone(),
            },
            certificates: PathBuf::from(CERTIFICATES),
            attempts: live.max_download_attempts,
            patience: PATIENCE,
            user_agent: concat!("Ketch/", env!("CARGO_PKG_VERSION")).to_owned(),
        })
    }

    /// Asks a registry whether it knows these credentials. Returns the token to keep instead of the password, if it
    /// gave one.
    pub async fn login(&self, server: &str, credentials: &Credentials) -> Result<Option<String>, Error> {
        let login = self.client().login(domain(server), credentials).await?;
        Ok(login.identity.map(|identity| identity.reveal().to_owned()))
    }
}

/// `https://index.docker.io/v1/` is Docker Hub; of other addresses the host and port count.
fn domain(server: &str) -> &str {
    let rest = server.split_once("://").map_or(server, |(_, rest)| rest);
    match rest.split('/').next().unwrap_or_default() {
        host if HUB.contains(&host) => "docker.io",
        host => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_known_by_their_host() {
        for hub in ["", "https://index.docker.io/v1/", "index.docker.io"] {
            assert_eq!(domain(hub), "docker.io", "{hub}");
        }
        assert_eq!(domain("https://registry:5000/v2/"), "registry:5000");
        assert_eq!(domain("localhost:5000"), "localhost:5000");
    }
}
