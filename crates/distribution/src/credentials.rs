//! Who somebody is to a registry. Nothing here can be printed.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dial::Secret;

use crate::token::{Token, Wanted};

/// What a keeper answers, or why it can't.
pub type Answer<'a, T> =
    Pin<Box<dyn Future<Output = Result<T, Box<dyn std::error::Error + Send + Sync>>> + Send + 'a>>;

/// Somebody who is asked only when a registry has said what it wants to know.
pub trait Keeper: Send + Sync {
    /// A token of the registry's service; none where the keeper leaves it to us to fetch one.
    fn token<'a>(&'a self, wanted: &'a Wanted) -> Answer<'a, Option<Token>>;

    /// The credentials themselves, if there are any: for a registry that wants a password, or for fetching a token.
    fn reveal(&self) -> Answer<'_, Option<Credentials>>;
}

/// A keeper as credentials have it.
#[derive(Clone)]
pub struct Kept(pub Arc<dyn Keeper>);

impl fmt::Debug for Kept {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[kept]")
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Kept {}

/// What a person gave to identify themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A name and a password.
    Password { name: String, password: Secret },
    /// A long-lived token that is exchanged for short ones.
    Identity(Secret),
    /// A token that is sent as it is.
    Bearer(Secret),
    /// What somebody else keeps.
    Kept(Kept),
}

impl Credentials {
    /// The `Authorization` header of a name and a password.
    pub(crate) fn basic(&self) -> Option<Secret> {
        match self {
            Self::Password { name, password } => Some(basic(name, password.reveal())),
            _ => None,
        }
    }
}

/// The header of a name and a password.
pub(crate) fn basic(name: &str, password: &str) -> Secret {
    Secret::new(format!("Basic {}", STANDARD.encode(format!("{name}:{password}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_printed() {
        let given = Credentials::Password { name: "me".into(), password: Secret::new("hunter2") };
        let shown =
            format!("{given:?} {:?} {:?}", given.basic(), Credentials::Identity(Secret::new("hunter2")));
        assert!(!shown.contains("hunter2") && shown.contains("[redacted]"), "{shown}");
    }
}
