//! Our own token service: whoever has a user's password gets a token for what the rules allow that user.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use serde_json::json;
use serving::query::Query;

use super::jwt::{Audience, Claims};
use super::scope::{self, Grant};
use super::{Action, Auth, Caller, basic};
use crate::body;
use crate::error::Problem;
use crate::route::Name;
use crate::serve::{Reply, json_reply};

/// An identity token lives for so long unless its user is removed.
const REFRESH: i64 = 90 * 24 * 3600;
/// What marks one: it is no token for anything else.
const REFRESH_ISSUER: &str = "ketch-registry identity token";
const MAX_FORM: usize = 64 << 10;
/// No request names more repositories.
const MAX_SCOPES: usize = 64;

impl Auth {
    /// `GET /token` and OAuth2's `POST /token`.
    pub(crate) async fn token(
        &self,
        method: &Method,
        query: Query,
        headers: &http::HeaderMap,
        body: hyper::body::Incoming,
    ) -> Result<Reply, Problem> {
        let Some(service) = self.own_service() else { return Err(Problem::not_found()) };
        let (form, user) = self.asked(method, query, headers, body).await?;
        let asked = form.get("service");
        if !asked.is_empty() && asked != service.name {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "UNSUPPORTED",
                "there is another service here",
            ));
        }
        let now = super::now();
        let jti =
            crate::random::<16>().map(hex::encode).map_err(|error| Problem::internal(&error.to_string()))?;
        let claims = Claims {
            iss: service.issuer.clone(),
            sub: user.clone().unwrap_or_default(),
            aud: Audience::One(service.name.clone()),
            exp: now + service.lifetime,
            nbf: now,
            iat: now,
            jti,
            access: self.access(&form, user.clone()),
        };
        let sign = |claims: &Claims| service.signer.sign(claims).map_err(|error| Problem::internal(&error));
        let token = sign(&claims)?;
        let mut answer = json!({
            "token": token,
            "access_token": token,
            "expires_in": service.lifetime,
            "issued_at": jiff::Timestamp::now().to_string(),
        });
        let lasting = form.flag("offline_token") || form.get("access_type") == "offline";
        if lasting && user.is_some() {
            let refresh = Claims {
                iss: REFRESH_ISSUER.into(),
                exp: now + REFRESH,
                access: Vec::new(),
                ..claims.clone()
            };
            answer["refresh_token"] = sign(&refresh)?.into();
        }
        if *method == Method::POST {
            let words = claims.access.iter();
            let words =
                words.map(|grant| format!("{}:{}:{}", grant.kind, grant.name, grant.actions.join(",")));
            answer["scope"] = words.collect::<Vec<_>>().join(" ").into();
        }
        Ok(json_reply(StatusCode::OK, &answer))
    }

    /// What is asked, and by whom.
    async fn asked(
        &self,
        method: &Method,
        query: Query,
        headers: &http::HeaderMap,
        body: hyper::body::Incoming,
    ) -> Result<(Query, Option<String>), Problem> {
        match *method {
            Method::GET => {
                let user = match basic(headers) {
                    Some((name, password)) => Some(self.password(&name, &password).await?),
                    None => None,
                };
                Ok((query, user))
            }
            Method::POST => {
                let bytes = body::collect(body, MAX_FORM, "UNSUPPORTED").await?;
                let form = Query::parse(&String::from_utf8_lossy(&bytes))?;
                let user = self.grant(&form).await?;
                Ok((form, Some(user)))
            }
            _ => Err(Problem::unsupported("ask with GET or POST").header("allow", "GET, POST")),
        }
    }

    /// What of that which is asked for the rules allow.
    fn access(&self, form: &Query, user: Option<String>) -> Vec<Grant> {
        let words = form.all("scope").flat_map(str::split_whitespace);
        let scopes: Vec<Grant> = words.take(MAX_SCOPES).filter_map(scope::parse).collect();
        self.allowed(&Caller { user, ..Caller::default() }, &scopes)
    }

    /// Who a form of OAuth2 is from.
    async fn grant(&self, form: &Query) -> Result<String, Problem> {
        match form.get("grant_type") {
            "password" => self.password(form.get("username"), form.get("password")).await,
            "refresh_token" => {
                let claims = self.own_token(form.get("refresh_token"), REFRESH_ISSUER);
                match claims.map(|claims| claims.sub).filter(|user| self.knows(user)) {
                    Some(user) => Ok(user),
                    None => Err(wrong()),
                }
            }
            _ => Err(Problem::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", "unsupported_grant_type")),
        }
    }

    async fn password(&self, name: &str, password: &str) -> Result<String, Problem> {
        match self.check_password(name, password).await {
            true => Ok(name.to_owned()),
            false => Err(wrong()),
        }
    }

    /// What of the scopes the rules allow. Each repository is once in the token.
    fn allowed(&self, caller: &Caller, scopes: &[Grant]) -> Vec<Grant> {
        let mut allowed: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for scope in scopes {
            let words: Vec<String> = match scope.kind.as_str() {
                "repository" => {
                    let Ok(name) = Name::parse(&scope.name) else { continue };
                    let actions = [Action::Pull, Action::Push, Action::Create, Action::Delete];
                    let asked = |action: &Action| {
                        // Who asks to push gets what there is of it.
                        let word = if *action == Action::Create { "push" } else { action.word() };
                        scope.actions.iter().any(|asked| asked == "*" || asked == word)
                    };
                    let may = |action: &Action| self.ruled(caller, &name, *action);
                    actions
                        .iter()
                        .filter(|action| asked(action) && may(action))
                        .map(|a| a.word().to_owned())
                        .collect()
                }
                "registry" if scope.name == "catalog" && caller.user.is_some() => vec!["*".into()],
                _ => continue,
            };
            let list = allowed.entry((scope.kind.clone(), scope.name.clone())).or_default();
            list.extend(words);
            list.sort_unstable();
            list.dedup();
        }
        let grant = |((kind, name), actions)| Grant { kind, name, actions };
        allowed.into_iter().map(grant).filter(|grant| !grant.actions.is_empty()).collect()
    }
}

fn wrong() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "incorrect username or password")
}
