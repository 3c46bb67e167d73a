//! A short-lived token, from the service that a registry names.

use std::time::Duration;

use dial::Secret;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use hyper::body::Incoming;
use serde::Deserialize;

use crate::transport::{Transport, full};
use crate::url::{Url, encode};
use crate::{Credentials, Error, redirect, repository};

/// No token service's answer is longer.
const LIMIT: usize = 1 << 20;
/// What a token lives whose answer doesn't say, by the specification.
const LIFE: Duration = Duration::from_secs(60);
const CLIENT_ID: &str = "ketch";

/// What a token is for, as a registry's challenge says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The service's address.
    pub realm: String,
    /// What the registry is to the service.
    pub service: String,
    /// Several have spaces between them.
    pub scope: String,
}

/// A token.
#[derive(Debug, Clone)]
pub struct Token {
    pub text: Secret,
    pub life: Duration,
    /// The long-lived token that came with it.
    pub identity: Option<Secret>,
}

impl Token {
    /// One that lives so many seconds by what its giver says.
    pub fn living(text: String, seconds: Option<u64>) -> Self {
        let life = seconds.map_or(LIFE, Duration::from_secs).clamp(LIFE, 24 * 60 * LIFE);
        Self { text: Secret::new(text), life, identity: None }
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    refresh_token: Option<String>,
    #[serde(default)]
    expires_in: Option<u64>,
}

/// Fetches a token with these credentials, or anonymously.
pub(crate) async fn fetch(
    transport: &Transport,
    wanted: &Wanted,
    credentials: Option<&Credentials>,
) -> Result<Token, Error> {
    let (url, response) = ask(transport, wanted, credentials).await?;
    let host = url.origin.authority();
    let status = response.status();
    if !status.is_success() {
        let error = repository::failure(transport, &host, response).await;
        return Err(match (status.as_u16(), error) {
            (401 | 403, Error::Status { message, .. }) => Error::wrong_login(&message),
            (_, error) => error,
        });
    }
    let bytes = transport.collect(&host, "the token", response.into_body(), LIMIT).await?;
    let malformed = |why: String| Error::Malformed { host: host.clone(), what: "the token".into(), why };
    // serde's own sentence may quote what it read.
    let answer: Answer =
        serde_json::from_slice(&bytes).map_err(|e| malformed(format!("no JSON at column {}", e.column())))?;
    let text = answer.token.or(answer.access_token).filter(|token| !token.is_empty());
    let text = text.ok_or_else(|| malformed("it has no token".into()))?;
    let identity = answer.refresh_token.filter(|token| !token.is_empty()).map(Secret::new);
    Ok(Token { identity, ..Token::living(text, answer.expires_in) })
}

async fn ask(
    transport: &Transport,
    wanted: &Wanted,
    credentials: Option<&Credentials>,
) -> Result<(Url, Response<Incoming>), Error> {
    let Wanted { realm, service, scope } = wanted;
    let realm = Url::parse(realm)?;
    if let Some(Credentials::Identity(token)) = credentials {
        let form = format!(
            "grant_type=refresh_token&service={}&client_id={CLIENT_ID}&scope={}&refresh_token={}",
            encode(service),
            encode(scope),
            encode(token.reveal())
        );
        let mut request = Request::new(full(form));
        *request.method_mut() = Method::POST;
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(header::CONTENT_TYPE, kind);
        let response = transport.send(&realm, request).await?;
        return Ok((realm, response));
    }
    let mut url = realm;
    // Several scopes are several parameters, as docker sends them.
    let scopes = scope.split(' ').map(|scope| ("scope", scope));
    for (key, value) in std::iter::once(("service", service.as_str())).chain(scopes) {
        if !value.is_empty() {
            url = url.with_query(key, value);
        }
    }
    let basic = credentials.and_then(Credentials::basic);
    if let Some(Credentials::Password { name, .. }) = credentials {
        url = url.with_query("account", name);
    }
    let answer = redirect::follow(transport, &Method::GET, &url, &HeaderMap::new(), basic.as_ref()).await?;
    Ok((answer.url, answer.response))
}
