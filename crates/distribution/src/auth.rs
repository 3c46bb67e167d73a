//! From a challenge (`WWW-Authenticate`) to an `Authorization` header: basic, or a short-lived token of the service
//! that the registry names.

use std::time::{Duration, Instant};

use http::{HeaderMap, header};
use tokio::sync::Mutex;

use crate::tls::Trust;
use crate::token::{self, Token, Wanted};
use crate::transport::Transport;
use crate::url::Url;
use crate::{Answer, Credentials, Error, Work, endpoint};
use dial::{Origin, Secret};

/// A token is no longer used when it has less left than this.
const MARGIN: Duration = Duration::from_secs(10);

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    Bearer { realm: String, service: String, scope: String },
}

#[derive(Debug)]
struct Valid {
    authorization: Secret,
    until: Instant,
}

impl Valid {
    fn new(token: &Token) -> Self {
        let authorization = Secret::new(format!("Bearer {}", token.text.reveal()));
        Self { authorization, until: Instant::now() + token.life }
    }
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
    token: Option<Valid>,
    /// What the token service gave for a password, which `login` stores.
    identity: Option<Secret>,
    /// What the keeper of the credentials has revealed, once it was asked.
    revealed: Option<Option<Credentials>>,
}

impl Auth {
    pub(crate) fn new(origin: Origin, credentials: Option<Credentials>, scope: String) -> Self {
        Self { origin, credentials, scope, state: Mutex::default() }
    }

    /// The same person with the right to other things.
    pub(crate) async fn for_scope(&self, scope: String) -> Self {
        let known = self.state.lock().await;
        let (challenge, revealed) = (known.challenge.clone(), known.revealed.clone());
        let state = Mutex::new(State { challenge, revealed, ..State::default() });
        Self { origin: self.origin.clone(), credentials: self.credentials.clone(), scope, state }
    }

    /// Whether the registry wants a name and a password that nobody gave.
    pub(crate) async fn lacks_password(&self) -> bool {
        let state = self.state.lock().await;
        self.own(&state).is_none() && state.challenge == Some(Challenge::Basic)
    }

    /// The credentials, as far as we have them.
    fn own<'a>(&'a self, state: &'a State) -> Option<&'a Credentials> {
        match &self.credentials {
            Some(Credentials::Kept(_)) => state.revealed.as_ref().and_then(Option::as_ref),
            own => own.as_ref(),
        }
    }

    /// Asks who keeps the credentials for them.
    async fn reveal(&self, state: &mut State) -> Result<(), Error> {
        if let (Some(Credentials::Kept(kept)), None) = (&self.credentials, &state.revealed) {
            state.revealed = Some(self.asked(kept.0.reveal()).await?);
        }
        Ok(())
    }

    async fn asked<T>(&self, answer: Answer<'_, T>) -> Result<T, Error> {
        answer.await.map_err(|source| Error::Keeper { host: self.origin.authority(), source })
    }

    /// The header for the next request; none where nothing was asked for yet.
    pub(crate) fn header<'a>(&'a self, transport: &'a Transport) -> Work<'a, Option<Secret>> {
        Box::pin(async move {
            if let Some(Credentials::Bearer(token)) = &self.credentials {
                return Ok(Some(Secret::new(format!("Bearer {}", token.reveal()))));
            }
            // Held while a token is fetched: parallel layers need one, not one each.
            let mut state = self.state.lock().await;
            match state.challenge.clone() {
                None => Ok(None),
                Some(Challenge::Basic) => Ok(self.own(&state).and_then(Credentials::basic)),
                Some(Challenge::Bearer { realm, service, scope }) => {
                    let valid = state.token.as_ref().filter(|token| token.until > Instant::now() + MARGIN);
                    if let Some(token) = valid {
                        return Ok(Some(token.authorization.clone()));
                    }
                    // What we need counts; the registry may name less for the request at hand.
                    let scope = if self.scope.is_empty() { scope } else { self.scope.clone() };
                    let token = self.fetch(transport, &mut state, &Wanted { realm, service, scope }).await?;
                    let valid = Valid::new(&token);
                    let authorization = valid.authorization.clone();
                    state.token = Some(valid);
                    state.identity = token.identity;
                    Ok(Some(authorization))
                }
            }
        })
    }

    /// Takes in why a request was refused that carried `sent`. Whether it is worth trying again.
    pub(crate) async fn challenged(&self, headers: &HeaderMap, sent: Option<&Secret>) -> Result<bool, Error> {
        let mut state = self.state.lock().await;
        let challenge = choose(&challenges(headers), &self.origin)?;
        if challenge == Challenge::Basic {
            self.reveal(&mut state).await?;
        }
        let again = match &challenge {
            Challenge::Basic => sent.is_none() && self.own(&state).is_some(),
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

    async fn fetch(&self, transport: &Transport, state: &mut State, wanted: &Wanted) -> Result<Token, Error> {
        let realm = Url::parse(&wanted.realm)?;
        if self.origin.tls && !realm.origin.tls {
            let host = self.origin.authority();
            return Err(Error::Redirect { host, why: "for a token from HTTPS to plain HTTP" });
        }
        if let Some(Credentials::Kept(kept)) = &self.credentials
            && let Some(token) = self.keepers(transport, &realm, kept.0.token(wanted)).await?
        {
            return Ok(token);
        }
        self.reveal(state).await?;
        token::fetch(transport, wanted, self.own(state)).await
    }

    /// The token of who keeps the credentials. Where the administrator has told this host alone how to trust the service,
    /// a keeper elsewhere may well fail to reach it; then it is for us.
    async fn keepers(
        &self,
        transport: &Transport,
        realm: &Url,
        token: Answer<'_, Option<Token>>,
    ) -> Result<Option<Token>, Error> {
        let asked = self.asked(token).await;
        let config = &transport.config;
        let is_known_here = match &asked {
            Ok(_) => false,
            Err(_) if config.certificates.join(realm.origin.authority()).is_dir() => true,
            Err(_) => endpoint::trust(config, &realm.origin).await == Trust::Unverified,
        };
        match asked {
            Err(error) if is_known_here => {
                tracing::warn!(
                    error = diag::chain(&error),
                    "a client's token for its registry is fetched here"
                );
                Ok(None)
            }
            asked => asked,
        }
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
