//! Requests that the registry itself sends: to webhooks, to other registries.

use std::time::Duration;

pub(crate) use distribution::sign::encode;
use distribution::{Client, Config, Proxies};

/// A client for this address. Plain HTTP is only for one that was written so.
pub(crate) fn client(url: &str, patience: Duration) -> Client {
    let plain = url.strip_prefix("http://").into_iter();
    let authority = |rest: &str| rest.split('/').next().unwrap_or_default().to_owned();
    Client::new(Config {
        mirrors: Vec::new(),
        insecure: plain.map(authority).collect(),
        proxies: Proxies::of_environment(|name| std::env::var(name).ok()),
        certificates: "/etc/docker/certs.d".into(),
        attempts: 3,
        patience,
        user_agent: format!("ketch-registry/{}", about::VERSION),
        plain_http: false,
    })
}
