//! The engine's decisions and a client's credentials, in the words of `distribution`.

use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use distribution::{Client, Config, Credentials, Found, Proxies, Secret};
use serde::Deserialize;

use crate::settings::{Live, Settings};
use crate::{Engine, Error};

/// A registry that says nothing for so long has gone.
const PATIENCE: Duration = Duration::from_secs(60);
const CERTIFICATES: &str = "/etc/docker/certs.d";

impl Engine {
    /// What reaches registries, by the present settings.
    pub fn registries(&self) -> Client {
        Client::new(self.registry_config())
    }

    /// What fetches a file for an import, from wherever it is.
    pub fn web(&self) -> Client {
        Client::new(Config { plain_http: true, ..self.registry_config() })
    }

    /// Repositories about `term`, which may begin with a registry's name.
    pub async fn search(
        &self,
        term: &str,
        limit: u32,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<Found>, Error> {
        let (domain, term) = match term.split_once('/') {
            Some((first, rest)) if first == "localhost" || first.contains(['.', ':']) => (first, rest),
            _ => ("docker.io", term),
        };
        let domain = if domain == "index.docker.io" { "docker.io" } else { domain };
        Ok(self.registries().search(domain, term, limit, credentials).await?)
    }

    fn registry_config(&self) -> Config {
        registry_config(&self.settings, &self.live.load())
    }
}

/// What the administrator decided about registries.
pub(crate) fn registry_config(settings: &Settings, live: &Live) -> Config {
    Config {
        mirrors: live.registry_mirrors.clone(),
        insecure: live.insecure_registries.clone(),
        proxies: Proxies {
            http: settings.http_proxy.clone(),
            https: settings.https_proxy.clone(),
            none: settings.no_proxy.clone(),
        },
        certificates: CERTIFICATES.into(),
        attempts: live.max_download_attempts,
        patience: PATIENCE,
        user_agent: format!("ketch/{} (linux; {})", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH),
        plain_http: false,
    }
}

/// The JSON behind `X-Registry-Auth` and of `POST /auth`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase", default)]
struct AuthConfig {
    username: String,
    password: String,
    auth: String,
    identitytoken: String,
    registrytoken: String,
}

/// Reads the `X-Registry-Auth` header: JSON in base64 with the URL alphabet. An empty one is nobody.
pub fn credentials(header: &str) -> Result<Option<Credentials>, Error> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let wrong = || Error::Credentials("the X-Registry-Auth header is not base64-encoded JSON");
    if header.is_empty() {
        return Ok(None);
    }
    let bytes = GeneralPurpose::new(&URL_SAFE, LENIENT).decode(header).map_err(|_| wrong())?;
    from_json(&bytes).map_err(|_| wrong())
}

/// Reads the same JSON as it is.
pub fn from_json(bytes: &[u8]) -> Result<Option<Credentials>, Error> {
    let wrong = || Error::Credentials("the credentials are not what docker sends");
    // serde's own sentence could quote a password.
    let mut config: AuthConfig = serde_json::from_slice(bytes).map_err(|_| wrong())?;
    if !config.auth.is_empty() && config.username.is_empty() {
        let engine = base64::engine::general_purpose::STANDARD;
        let text = engine.decode(&config.auth).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.ok_or_else(wrong)?;
        let (name, password) = text.split_once(':').ok_or_else(wrong)?;
        config.username = name.to_owned();
        config.password = password.trim_end_matches('\0').to_owned();
    }
    let AuthConfig { username: name, password, identitytoken, registrytoken, .. } = config;
    Ok(match (registrytoken.is_empty(), identitytoken.is_empty(), name.is_empty()) {
        (false, ..) => Some(Credentials::Bearer(Secret::new(registrytoken))),
        (_, false, _) => Some(Credentials::Identity(Secret::new(identitytoken))),
        (_, _, false) => Some(Credentials::Password { name, password: Secret::new(password) }),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(json: &str) -> String {
        base64::engine::general_purpose::URL_SAFE.encode(json)
    }

    #[test]
    fn the_header_says_who_somebody_is() {
        let password = |name: &str, password: &str| {
            Some(Credentials::Password { name: name.into(), password: Secret::new(password) })
        };
        for (json, expected) in [
            ("{}", None),
            (r#"{"username":"me","password":"pw","serveraddress":"x"}"#, password("me", "pw")),
            (r#"{"auth":"bWU6cDp3"}"#, password("me", "p:w")),
            (r#"{"username":"me","identitytoken":"t"}"#, Some(Credentials::Identity(Secret::new("t")))),
            (r#"{"registrytoken":"t"}"#, Some(Credentials::Bearer(Secret::new("t")))),
        ] {
            assert_eq!(credentials(&header(json)).unwrap(), expected, "{json}");
            assert_eq!(credentials(header(json).trim_end_matches('=')).unwrap(), expected, "{json}");
        }
        assert_eq!(credentials("").unwrap(), None);
    }

    #[test]
    fn a_wrong_header_is_refused_without_being_quoted() {
        for wrong in ["%%%", &header("[]x"), &header(r#"{"password":["hunter2"]}"#)] {
            assert!(!credentials(wrong).unwrap_err().to_string().contains("hunter2"));
        }
    }
}
