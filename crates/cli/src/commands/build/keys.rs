//! Who the user is to registries, by docker's configuration; and tokens, which are fetched here so that the engine sees no password.

use buildkit::attach::{Fetching, Keyring};
use buildkit::proto::auth::{FetchTokenRequest, FetchTokenResponse};
use client::config::Config;
use client::credentials::{self, Auth};
use client::resolve::process_env;
use distribution::{Client, WantedToken};

use crate::call::Call;
use crate::commands::manifest;

/// Says, if true, that engines fetch their tokens themselves.
const NO_TOKENS: &str = "BUILDKIT_NO_CLIENT_TOKEN";

#[derive(Clone)]
pub(super) struct Keys {
    config: Config,
}

impl Keys {
    pub(super) fn new(call: &Call) -> Self {
        Self { config: call.config().clone() }
    }

    fn auth(&self, host: &str) -> Result<Auth, String> {
        let variable = process_env(credentials::AUTH_VARIABLE);
        // The registry's own host is not the name under which people log in.
        let host = if host == "registry-1.docker.io" { "docker.io" } else { host };
        let auth = self.config.auth(credentials::key_of(host), variable.as_deref());
        auth.map_err(|error| diag::chain(&error))
    }
}

impl Keyring for Keys {
    fn find(&self, host: &str) -> Result<(String, String), String> {
        let auth = self.auth(host)?;
        match auth.identity_token.is_empty() {
            true => Ok((auth.username, auth.password)),
            false => Ok((String::new(), auth.identity_token)),
        }
    }

    fn fetches_tokens(&self) -> bool {
        !process_env(NO_TOKENS).is_some_and(|value| flags::go::parse_bool(&value).unwrap_or(false))
    }

    fn token(&self, wanted: FetchTokenRequest) -> Fetching<'_> {
        Box::pin(async move {
            // A helper is a process that is waited for.
            let (keys, host) = (self.clone(), wanted.host);
            let found = tasks::blocking(move || keys.auth(&host)).await;
            let auth = found.map_err(|error| error.to_string())??;
            if !auth.registry_token.is_empty() {
                return Ok(FetchTokenResponse {
                    token: auth.registry_token,
                    ..FetchTokenResponse::default()
                });
            }
            let client = Client::new(manifest::registries(Vec::new()));
            let scope = wanted.scopes.join(" ");
            let question = WantedToken { realm: wanted.realm, service: wanted.service, scope };
            let fetched = client.token(&question, manifest::credentials(auth).as_ref()).await;
            let token =
                fetched.map_err(|error| format!("failed to fetch oauth token: {}", diag::chain(&error)))?;
            let expires_in = i64::try_from(token.life.as_secs()).unwrap_or(i64::MAX);
            Ok(FetchTokenResponse { token: token.text.reveal().to_owned(), expires_in, issued_at: 0 })
        })
    }
}
