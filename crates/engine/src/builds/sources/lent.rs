//! A client's credentials for a registry, which stay with it as far as it can do without giving them away.

use std::sync::Arc;

use build::session::{Session, TokenRequest};
use distribution::{Answer, Credentials, Keeper, Secret, Token, WantedToken};

/// What one client has for one registry.
pub(super) struct Lent {
    pub(super) session: Arc<dyn Session>,
    pub(super) host: String,
}

impl Keeper for Lent {
    fn token<'a>(&'a self, wanted: &'a WantedToken) -> Answer<'a, Option<Token>> {
        Box::pin(async move {
            let scopes = wanted.scope.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned);
            let request = TokenRequest {
                host: self.host.clone(),
                realm: wanted.realm.clone(),
                service: wanted.service.clone(),
                scopes: scopes.collect(),
            };
            let token = self.session.token(&request).await?;
            Ok(token.map(|token| Token::living(token.text, token.seconds)))
        })
    }

    fn reveal(&self) -> Answer<'_, Option<Credentials>> {
        Box::pin(async move {
            let given = self.session.credentials(&self.host).await?;
            Ok(given.map(|given| match given.username.is_empty() {
                true => Credentials::Identity(Secret::new(given.secret)),
                false => Credentials::Password { name: given.username, password: Secret::new(given.secret) },
            }))
        })
    }
}
