//! Requests that the registry itself sends: to webhooks, to other registries.

use std::time::Duration;

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

/// A value in an address.
pub(crate) fn encode(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
