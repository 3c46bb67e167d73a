//! Which addresses stand for a registry's name, and which of them may go without verified TLS.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::mirror::Mirror;
use crate::tls::Trust;
use crate::url;
use crate::{Config, Error};
use dial::{Network, Origin};

/// What references call Docker Hub.
pub(crate) const HUB: &str = "docker.io";
/// Where it is.
const HUB_REGISTRY: &str = "registry-1.docker.io";

/// One address of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) origin: Origin,
    /// What a mirror has before `/v2/`.
    pub(crate) prefix: String,
    /// A mirror's answers are as good as the registry's, but no client's credentials are for it.
    pub(crate) mirror: bool,
    /// What a mirror has before a repository's name.
    pub(crate) project: String,
}

/// The addresses of the registry called `domain`, in the order in which they are tried. `https` comes before `http`,
/// which only an insecure registry has.
pub(crate) async fn endpoints(config: &Config, domain: &str, writing: bool) -> Result<Vec<Endpoint>, Error> {
    let mut list = Vec::new();
    if !writing {
        for mirror in &config.mirrors {
            let Mirror { registry, origin, prefix, project } = Mirror::parse(mirror)?;
            if registry == domain {
                list.push(Endpoint { origin, prefix, mirror: true, project });
            }
        }
    }
    if domain == HUB {
        list.push(itself(url::origin(HUB_REGISTRY, true)?));
        return Ok(list);
    }
    let secure = url::origin(domain, true)?;
    let trust = trust(config, &secure).await;
    list.push(itself(secure));
    if trust == Trust::Unverified {
        list.push(itself(url::origin(domain, false)?));
    }
    Ok(list)
}

fn itself(origin: Origin) -> Endpoint {
    Endpoint { origin, prefix: String::new(), mirror: false, project: String::new() }
}

/// Whether this origin was declared insecure: by name, by network, by being this host, or as a mirror's own address.
pub(crate) async fn trust(config: &Config, origin: &Origin) -> Trust {
    let host = origin.bare_host();
    let with_port = format!("{}:{}", origin.host, origin.port);
    let named = config.insecure.iter().any(|entry| {
        let entry = entry.to_ascii_lowercase();
        entry == origin.host || entry == host || entry == with_port
    });
    let mirror = || {
        let mut mirrors = config.mirrors.iter().filter_map(|mirror| Mirror::parse(mirror).ok());
        !origin.tls && mirrors.any(|mirror| mirror.origin == *origin)
    };
    if named || host == "localhost" || mirror() {
        return Trust::Unverified;
    }
    let networks: Vec<Network> = config.insecure.iter().filter_map(|entry| Network::parse(entry)).collect();
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => vec![address],
        // A name is looked up only for the sake of networks that the administrator wrote.
        Err(_) if networks.is_empty() => Vec::new(),
        Err(_) => dial::addresses(host).await.unwrap_or_default(),
    };
    let ours = |address: &IpAddr| {
        let loopback = match address.to_canonical() {
            IpAddr::V4(address) => address.is_loopback() && address != Ipv4Addr::UNSPECIFIED,
            IpAddr::V6(address) => address == Ipv6Addr::LOCALHOST,
        };
        loopback || networks.iter().any(|network| network.contains(*address))
    };
    if addresses.iter().any(ours) { Trust::Unverified } else { Trust::Verified }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::url::Url;

    fn config(mirrors: &[&str], insecure: &[&str]) -> Config {
        Config {
            mirrors: mirrors.iter().map(|text| (*text).to_owned()).collect(),
            insecure: insecure.iter().map(|text| (*text).to_owned()).collect(),
            proxies: crate::Proxies::default(),
            certificates: "/nonexistent".into(),
            attempts: 1,
            patience: Duration::from_secs(1),
            user_agent: "test".into(),
            plain_http: false,
        }
    }

    async fn tried(config: &Config, domain: &str, writing: bool) -> Vec<String> {
        let list = endpoints(config, domain, writing).await.unwrap();
        list.iter().map(|e| Url::new(e.origin.clone(), e.prefix.clone()).to_string()).collect()
    }

    #[tokio::test]
    async fn mirrors_stand_in_for_whom_they_are_and_for_reading_alone() {
        let mirrors =
            ["https://mirror.example/hub/", "http://plain.example:5000", "ghcr.io=https://m.example/g"];
        let config = config(&mirrors, &[]);
        assert_eq!(tried(&config, "ghcr.io", false).await, ["https://m.example", "https://ghcr.io"]);
        assert_eq!(tried(&config, "ghcr.io", true).await, ["https://ghcr.io"]);
        let hub = "https://registry-1.docker.io";
        assert_eq!(
            tried(&config, "docker.io", false).await,
            ["https://mirror.example/hub", "http://plain.example:5000", hub]
        );
        assert_eq!(tried(&config, "docker.io", true).await, [hub]);
        assert_eq!(tried(&config, "quay.io", false).await, ["https://quay.io"]);
    }

    #[tokio::test]
    async fn plain_http_is_for_insecure_registries_alone() {
        let config = config(&[], &["10.0.0.0/8", "lab.example:5000"]);
        for insecure in ["127.0.0.1:5000", "[::1]:5000", "localhost:5000", "10.1.2.3", "lab.example:5000"] {
            assert_eq!(tried(&config, insecure, false).await.len(), 2, "{insecure}");
        }
        for secure in ["11.0.0.1:5000", "8.8.8.8"] {
            assert_eq!(tried(&config, secure, false).await.len(), 1, "{secure}");
        }
    }
}
