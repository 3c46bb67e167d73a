//! Who somebody is, and what they may.
//!
//! Three ways: nobody is told apart; a name and a password with each request; a bearer token, from a service elsewhere or
//! from ours (`token`). Rules say what a user may; a token says it itself. Without rules, users may everything.

mod htpasswd;
mod jwt;
mod scope;
mod token;

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode, header};
use serving::Peer;

use crate::config::{Config, Permission, Rule};
use crate::error::{Error, Problem};
use crate::route::Name;
use htpasswd::Users;
use jwt::{Claims, Expected, Key, Signer};
use scope::Grant;

/// What is to be done with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Pull,
    Push,
    /// To push what is new, and move no tag.
    Create,
    Delete,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Create => "create",
            Self::Delete => "delete",
        }
    }

    fn permission(self) -> Permission {
        match self {
            Self::Pull => Permission::Pull,
            Self::Push => Permission::Push,
            Self::Create => Permission::Create,
            Self::Delete => Permission::Delete,
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller {
    pub(crate) user: Option<String>,
    /// What a token grants; none where there was no token.
    grants: Option<Vec<Grant>>,
    /// Where tokens are to be had, as this client reaches it.
    realm: String,
}

/// How callers are told apart.
pub(crate) struct Auth {
    kind: Kind,
    rules: Vec<Rule>,
    users: Option<Users>,
}

enum Kind {
    Nobody,
    Basic { realm: String },
    Bearer(Box<Bearer>),
}

/// A service whose tokens are believed.
struct Bearer {
    /// None is ours, beside the registry.
    realm: Option<String>,
    service: String,
    issuer: String,
    algorithms: Vec<String>,
    keys: Vec<Key>,
    own: Option<Own>,
    host: Option<String>,
}

/// Our own token service.
pub(crate) struct Own {
    name: String,
    issuer: String,
    signer: Signer,
    lifetime: i64,
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn damaged(path: &Path) -> impl FnOnce(String) -> Error + '_ {
    move |why| Error::Damaged { path: path.to_owned(), why }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::Store { doing: "read", path: path.to_owned(), source })
}

impl Auth {
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        let htpasswd = config.auth.htpasswd.as_ref();
        let users = htpasswd.map(|htpasswd| Users::load(&htpasswd.path)).transpose()?;
        let kind = match (&config.auth.token, htpasswd) {
            (Some(_), _) => Kind::Bearer(Box::new(Bearer::new(config)?)),
            (None, Some(htpasswd)) => {
                Kind::Basic { realm: htpasswd.realm.clone().unwrap_or_else(|| "ketch registry".into()) }
            }
            (None, None) => Kind::Nobody,
        };
        Ok(Self { kind, rules: config.rules.clone(), users })
    }

    /// Who sends these headers. Credentials that are wrong are refused, also where none are needed.
    pub(crate) async fn caller(&self, headers: &HeaderMap, peer: &Peer) -> Result<Caller, Problem> {
        let mut caller = Caller { realm: self.realm(headers, peer), ..Caller::default() };
        let sent =
            headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if sent.is_empty() {
            return Ok(caller);
        }
        match &self.kind {
            Kind::Nobody => {}
            Kind::Basic { .. } => match basic(headers) {
                Some((name, password)) if self.check_password(&name, &password).await => {
                    caller.user = Some(name);
                }
                _ => return Err(self.challenge(&caller, "", "")),
            },
            Kind::Bearer(bearer) => {
                let token = sent.split_once(' ').filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
                let believed = match token {
                    Some((_, token)) => bearer.believe(token.trim()),
                    None => Err(jwt::Disbelieved("not a bearer token")),
                };
                match believed {
                    Ok(claims) => {
                        caller.user = Some(claims.sub).filter(|user| !user.is_empty());
                        caller.grants = Some(claims.access);
                    }
                    Err(jwt::Disbelieved(why)) => {
                        tracing::info!(why, "a token is not believed");
                        return Err(self.challenge(&caller, "", "invalid_token"));
                    }
                }
            }
        }
        Ok(caller)
    }

    async fn check_password(&self, name: &str, password: &str) -> bool {
        match &self.users {
            Some(users) => users.check(name, password).await,
            None => false,
        }
    }

    fn knows(&self, name: &str) -> bool {
        self.users.as_ref().is_some_and(|users| users.knows(name))
    }

    pub(crate) fn permit(&self, caller: &Caller, name: &Name, action: Action) -> Result<(), Problem> {
        let allowed = match (&self.kind, &caller.grants) {
            (Kind::Bearer(_), Some(grants)) => grants.iter().any(|grant| grant.allows(name, action)),
            // Tokens alone say what is allowed, but nobody needs one for what is everybody's.
            (Kind::Bearer(bearer), None) => {
                bearer.own.is_some() && self.ruled(&Caller::default(), name, action)
            }
            _ => self.ruled(caller, name, action),
        };
        if allowed {
            return Ok(());
        }
        let known = caller.user.is_some() || caller.grants.is_some();
        match &self.kind {
            Kind::Nobody => Err(Problem::denied("the rules of this registry don't allow it")),
            Kind::Basic { .. } if known => {
                Err(Problem::denied("the rules of this registry don't allow it to this user"))
            }
            Kind::Basic { .. } => Err(self.challenge(caller, "", "")),
            // With a token that says less, a client asks for one that says more.
            Kind::Bearer(_) => {
                let actions = match action {
                    Action::Pull => "pull",
                    Action::Delete => "delete",
                    Action::Push | Action::Create => "pull,push",
                };
                let error = if known { "insufficient_scope" } else { "" };
                Err(self.challenge(caller, &format!("repository:{name}:{actions}"), error))
            }
        }
    }

    /// Whether the rules allow it; without rules, users may everything.
    fn ruled(&self, caller: &Caller, name: &Name, action: Action) -> bool {
        if self.rules.is_empty() {
            return matches!(self.kind, Kind::Nobody) || caller.user.is_some();
        }
        self.rules.iter().any(|rule| {
            let who = rule.users.iter().any(|user| match user.as_str() {
                "anonymous" => true,
                "*" => caller.user.is_some() || matches!(self.kind, Kind::Nobody),
                user => caller.user.as_deref() == Some(user),
            });
            // Who may push may also create.
            let what = rule.actions.iter().any(|permission| {
                *permission == action.permission()
                    || *permission == Permission::Push && action == Action::Create
            });
            who && what && rule.repositories.iter().any(|pattern| pattern.matches(name.as_str()))
        })
    }

    /// `GET /v2/` asks whether credentials are right, and which kind: a client that has none is told, even where it could
    /// do something without, or it would never send any.
    pub(crate) fn permit_base(&self, caller: &Caller) -> Result<(), Problem> {
        match &self.kind {
            Kind::Nobody => Ok(()),
            Kind::Basic { .. } if caller.user.is_some() => Ok(()),
            Kind::Bearer(_) if caller.grants.is_some() => Ok(()),
            _ => Err(self.challenge(caller, "", "")),
        }
    }

    /// The catalog itself; what it lists is what the caller may pull.
    pub(crate) fn permit_catalog(&self, caller: &Caller) -> Result<(), Problem> {
        let granted = |grants: &Vec<Grant>| grants.iter().any(Grant::allows_catalog);
        match &self.kind {
            Kind::Nobody => Ok(()),
            Kind::Basic { .. } if caller.user.is_some() => Ok(()),
            Kind::Bearer(_) if caller.grants.as_ref().is_some_and(granted) => Ok(()),
            _ => Err(self.challenge(caller, "registry:catalog:*", "")),
        }
    }

    /// Whether a name in the catalog may be shown to who may see the catalog.
    pub(crate) fn shows(&self, caller: &Caller, name: &Name) -> bool {
        match &self.kind {
            // A token for the catalog has no grants for its repositories; an outside service has decided about it.
            Kind::Bearer(bearer) => bearer.own.is_none() || self.ruled(caller, name, Action::Pull),
            _ => self.ruled(caller, name, Action::Pull),
        }
    }

    /// Whether everything is everybody's.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.kind, Kind::Nobody) && self.rules.is_empty()
    }

    fn challenge(&self, caller: &Caller, scope: &str, error: &str) -> Problem {
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required");
        match &self.kind {
            Kind::Nobody => problem,
            Kind::Basic { realm } => problem.header("www-authenticate", format!("Basic realm=\"{realm}\"")),
            Kind::Bearer(bearer) => {
                let mut text = format!("Bearer realm=\"{}\",service=\"{}\"", caller.realm, bearer.service);
                for (name, value) in [("scope", scope), ("error", error)] {
                    if !value.is_empty() {
                        text += &format!(",{name}=\"{value}\"");
                    }
                }
                problem.header("www-authenticate", text)
            }
        }
    }

    /// The token service's address. Ours is where the client found the registry; its `Host` is told to nobody else.
    fn realm(&self, headers: &HeaderMap, peer: &Peer) -> String {
        let Kind::Bearer(bearer) = &self.kind else { return String::new() };
        if let Some(realm) = &bearer.realm {
            return realm.clone();
        }
        if let Some(host) = &bearer.host {
            return format!("{host}/token");
        }
        let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let sound = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
        let scheme = if peer.encrypted { "https" } else { "http" };
        format!("{scheme}://{}/token", if sound { host } else { "" })
    }

    fn own_service(&self) -> Option<&Own> {
        match &self.kind {
            Kind::Bearer(bearer) => bearer.own.as_ref(),
            _ => None,
        }
    }

    /// A token that we signed for this purpose.
    fn own_token(&self, token: &str, issuer: &str) -> Option<Claims> {
        let Kind::Bearer(bearer) = &self.kind else { return None };
        bearer.own.as_ref()?;
        let expected = Expected { issuer, service: &bearer.service, now: now(), algorithms: &[] };
        jwt::verify(token, &bearer.keys, &expected).ok()
    }
}

impl Bearer {
    fn new(config: &Config) -> Result<Self, Error> {
        let token = config.auth.token.clone().unwrap_or_default();
        let setting = |key: &str, why: &str| Error::Setting { key: key.to_owned(), why: why.to_owned() };
        let service = token.service.clone().unwrap_or_else(|| "ketch-registry".into());
        let issuer = token.issuer.clone().unwrap_or_else(|| "ketch-registry".into());
        let plain =
            |text: &str| text.chars().all(|c| c.is_ascii_graphic() && c != '"' && c != '\\' || c == ' ');
        if !plain(&service) || !plain(token.realm.as_deref().unwrap_or_default()) {
            return Err(setting("auth.token", "realm and service can't be sent"));
        }
        let mut keys = Vec::new();
        if let Some(path) = &token.jwks {
            keys.extend(jwt::jwks(&read(path)?).map_err(damaged(path))?);
        }
        if let Some(path) = &token.rootcertbundle {
            keys.extend(jwt::certificates(&read(path)?).map_err(damaged(path))?);
        }
        let own = match &token.realm {
            Some(_) if keys.is_empty() => {
                return Err(setting(
                    "auth.token",
                    "tokens of an outside service need rootcertbundle or jwks",
                ));
            }
            Some(_) => None,
            None if config.auth.htpasswd.is_none() => {
                return Err(setting(
                    "auth.token",
                    "without realm it is the registry's own service, which needs auth.htpasswd",
                ));
            }
            None => {
                let signer = own_key(config.root())?;
                keys = vec![signer.public()];
                let lifetime = token.expiration.map_or(300, |span| span.0.as_secs().max(60));
                let lifetime = i64::try_from(lifetime).unwrap_or(300);
                Some(Own { name: service.clone(), issuer: issuer.clone(), signer, lifetime })
            }
        };
        let host = config.settings.host.clone();
        Ok(Self { realm: token.realm, service, issuer, algorithms: token.signingalgorithms, keys, own, host })
    }

    fn believe(&self, token: &str) -> Result<Claims, jwt::Disbelieved> {
        let (issuer, service) = (self.issuer.as_str(), self.service.as_str());
        let expected = Expected { issuer, service, now: now(), algorithms: &self.algorithms };
        jwt::verify(token, &self.keys, &expected)
    }
}

/// The key that tokens of this registry are signed with: made once, so that logins outlast the process.
fn own_key(root: &Path) -> Result<Signer, Error> {
    let path = root.join("token-key");
    let failed = |source| Error::Store { doing: "write", path: path.clone(), source };
    if !path.exists() {
        use std::io::Write as _;
        let key = Signer::generate().map_err(damaged(&path))?;
        fs::create_dir_all(root).map_err(failed)?;
        let temporary = root.join(format!("token-key.{}", std::process::id()));
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary);
        let written = file.and_then(|mut file| {
            file.write_all(&key)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)
        });
        written.map_err(failed)?;
    }
    Signer::load(&read(&path)?).map_err(damaged(&path))
}

/// For `crate::fuzzing`.
pub(crate) mod fuzz {
    use super::{Expected, htpasswd, jwt};

    pub(crate) fn scope(text: &str) {
        let _ = super::scope::parse(text);
    }

    /// Nobody's bytes are a token that a key of ours signed.
    pub(crate) fn credentials(bytes: &[u8]) {
        let keys = jwt::jwks(bytes).unwrap_or_default();
        let _ = jwt::certificates(bytes);
        htpasswd::fuzz(bytes);
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let expected = Expected { issuer: "i", service: "s", now: 0, algorithms: &[] };
        let first = text.lines().next().unwrap_or_default();
        if keys.is_empty() {
            assert!(jwt::verify(first, &keys, &expected).is_err());
        }
    }
}

/// A name and a password from `Authorization: Basic …`.
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let sent = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (kind, encoded) = sent.split_once(' ')?;
    if !kind.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}
