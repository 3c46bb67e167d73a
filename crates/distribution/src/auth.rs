//! From a challenge (`WWW-Authenticate`) to an `Authorization` header: basic, or a short-lived token of the service
//! that the registry names.

use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Method, Request, header};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::redirect;
use crate::transport::{Transport, full};
use crate::url::{Url, encode};
use crate::{Credentials, Error, repository};
use dial::{Origin, Secret};

/// No token service's answer is longer.
const LIMIT: usize = 1 << 20;
/// What a token lives whose answer doesn't say, by the specification.
const LIFE: Duration = Duration::from_secs(60);
/// A token is no longer used when it has less left than this.
const MARGIN: Duration = Duration::from_secs(10);
const CLIENT_ID: &str = "ketch";

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    Bearer { realm: String, service: String, scope: String },
}

#[derive(Debug)]
struct Token {
    authorization: Secret,
    until: Instant,
}

/// Who we are to one repository of one registry. Credentials are sent to `origin` and to its token service.
#[derive(Debug)]
pub(crate) struct Auth {
    origin: Origin,
    credentials: Option<Credentials>,
    scope: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    challenge: Option<Challenge>,
    token: Option<Token>,
    /// What the token service gave for a password, which `login` stores.
    identity: Option<Secret>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    refresh_token: Option<String>,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl Auth {
    pub(crate) fn new(origin: Origin, credentials: Option<Credentials>, scope: String) -> Self {
        Self { origin, credentials, scope, state: Mutex::default() }
    }

    /// The same person with the right to other things.
    pub(crate) async fn for_scope(&self, scope: String) -> Self {
        let challenge = self.state.lock().await.challenge.clone();
        let state = Mutex::new(State { challenge, ..State::default() });
        Self { origin: self.origin.clone(), credentials: self.credentials.clone(), scope, state }
    }

    /// Whether the registry wants a name and a password that nobody gave.
    pub(crate) async fn lacks_password(&self) -> bool {
        self.credentials.is_none() && self.state.lock().await.challenge == Some(Challenge::Basic)
    }

    /// The header for the next request; none where nothing was asked for yet.
    pub(crate) async fn header(&self, transport: &Transport) -> Result<Option<Secret>, Error> {
        if let Some(Credentials::Bearer(token)) = &self.credentials {
            return Ok(Some(Secret::new(format!("Bearer {}", token.reveal()))));
        }
        // Held while a token is fetched: parallel layers need one, not one each.
        let mut state = self.state.lock().await;
        match state.challenge.clone() {
            None => Ok(None),
            Some(Challenge::Basic) => Ok(self.credentials.as_ref().and_then(Credentials::basic)),
            Some(Challenge::Bearer { realm, service, scope }) => {
                let valid = state.token.as_ref().filter(|token| token.until > Instant::now() + MARGIN);
                if let Some(token) = valid {
                    return Ok(Some(token.authorization.clone()));
                }
                let (token, identity) = self.fetch(transport, &realm, &service, &scope).await?;
                let authorization = token.authorization.clone();
                state.token = Some(token);
                state.identity = identity;
                Ok(Some(authorization))
            }
        }
    }

    /// Takes in why a request was refused that carried `sent`. Whether it is worth trying again.
    pub(crate) async fn challenged(&self, headers: &HeaderMap, sent: Option<&Secret>) -> Result<bool, Error> {
        let mut state = self.state.lock().await;
        let challenge = choose(&challenges(headers), &self.origin)?;
        let again = match &challenge {
            Challenge::Basic => sent.is_none() && self.credentials.is_some(),
            // Another task may have fetched a new token meanwhile.
            Challenge::Bearer { .. } => {
                state.challenge.as_ref() != Some(&challenge)
                    || state.token.as_ref().is_none_or(|token| Some(&token.authorization) != sent)
                    || state.token.as_ref().is_some_and(|token| token.until <= Instant::now() + MARGIN)
            }
        };
        if !again || state.challenge.as_ref() != Some(&challenge) {
            state.token = None;
        }
        state.challenge = Some(challenge);
        Ok(again)
    }

    /// The long-lived token that came with the last short one.
    pub(crate) async fn identity(&self) -> Option<Secret> {
        self.state.lock().await.identity.clone()
    }

    async fn fetch(
        &self,
        transport: &Transport,
        realm: &str,
        service: &str,
        scope: &str,
    ) -> Result<(Token, Option<Secret>), Error> {
        let realm = Url::parse(realm)?;
        if self.origin.tls && !realm.origin.tls {
            let host = self.origin.authority();
            return Err(Error::Redirect { host, why: "for a token from HTTPS to plain HTTP" });
        }
        // What we need counts; the registry may name less for the request at hand.
        let scope = if self.scope.is_empty() { scope } else { &self.scope };
        let (url, response) = match &self.credentials {
            Some(Credentials::Identity(token)) => {
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
                (realm.clone(), transport.send(&realm, request).await?)
            }
            credentials => {
                let mut url = realm.clone();
                // Several scopes are several parameters, as docker sends them.
                let scopes = scope.split(' ').map(|scope| ("scope", scope));
                for (key, value) in std::iter::once(("service", service)).chain(scopes) {
                    if !value.is_empty() {
                        url = url.with_query(key, value);
                    }
                }
                let basic = credentials.as_ref().and_then(Credentials::basic);
                if let Some(Credentials::Password { name, .. }) = credentials {
                    url = url.with_query("account", name);
                }
                let answer =
                    redirect::follow(transport, &Method::GET, &url, &HeaderMap::new(), basic.as_ref())
                        .await?;
                (answer.url, answer.response)
            }
        };
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
        let answer: TokenAnswer = serde_json::from_slice(&bytes)
            .map_err(|e| malformed(format!("no JSON at column {}", e.column())))?;
        let text = answer.token.or(answer.access_token).filter(|token| !token.is_empty());
        let text = text.ok_or_else(|| malformed("it has no token".into()))?;
        let life = answer.expires_in.map_or(LIFE, Duration::from_secs).clamp(LIFE, 24 * 60 * LIFE);
        let token =
            Token { authorization: Secret::new(format!("Bearer {text}")), until: Instant::now() + life };
        Ok((token, answer.refresh_token.filter(|token| !token.is_empty()).map(Secret::new)))
    }
}

/// The best of what is offered: a token rather than the password with every request.
fn choose(offered: &[(String, Vec<(String, String)>)], origin: &Origin) -> Result<Challenge, Error> {
    let named = |wanted: &str| offered.iter().find(|(scheme, _)| scheme.eq_ignore_ascii_case(wanted));
    if let Some((_, parameters)) = named("bearer") {
        let get = |key: &str| {
            let found = parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        return Ok(Challenge::Bearer { realm: get("realm"), service: get("service"), scope: get("scope") });
    }
    if named("basic").is_some() {
        return Ok(Challenge::Basic);
    }
    let scheme = offered.first().map_or("nothing", |(scheme, _)| scheme.as_str()).to_owned();
    Err(Error::Challenge { host: origin.authority(), scheme })
}

/// `WWW-Authenticate` headers as schemes with their parameters (RFC 9110).
fn challenges(headers: &HeaderMap) -> Vec<(String, Vec<(String, String)>)> {
    let values = headers.get_all(header::WWW_AUTHENTICATE).iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(parse).collect()
}

fn parse(text: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = text.trim_start_matches([' ', ',', '\t']);
    while !rest.is_empty() {
        let end = rest.find([' ', '=', ',']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = match after.strip_prefix('=') {
            Some(value) => {
                let (value, after) = parameter(value);
                if let Some((_, parameters)) = found.last_mut() {
                    parameters.push((word.to_owned(), value));
                }
                after
            }
            None => {
                found.push((word.to_owned(), Vec::new()));
                after
            }
        };
        let trimmed = rest.trim_start_matches([' ', ',', '\t']);
        // A character that belongs nowhere must not keep us here.
        rest = if trimmed.len() == text.len() { "" } else { trimmed };
    }
    found
}

/// A token or a quoted text, and what follows it.
fn parameter(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_with_their_commas_and_quotes() {
        let text = r#"Bearer realm="https://a.example/token",service="r.example",scope="repository:a/b:pull,push", Basic realm="x \" y""#;
        let found = parse(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].1[2], ("scope".to_owned(), "repository:a/b:pull,push".to_owned()));
        assert_eq!(found[1], ("Basic".to_owned(), vec![("realm".to_owned(), "x \" y".to_owned())]));
    }

    #[test]
    fn nonsense_ends() {
        for text in
            ["", ",", "=", "==", "a=\"", "a=\"\\", "Bearer", "Bearer realm", " , =x, y=\"z\"\"", "\u{7f}"]
        {
            let _ = parse(text);
        }
        let origin = Origin::parse("r.example", true).unwrap();
        assert!(choose(&parse("Negotiate"), &origin).is_err());
    }
}
