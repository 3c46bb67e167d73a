//! Who somebody is to a registry. Nothing here can be printed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dial::Secret;

/// What a person gave to identify themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A name and a password.
    Password { name: String, password: Secret },
    /// A long-lived token that is exchanged for short ones.
    Identity(Secret),
    /// A token that is sent as it is.
    Bearer(Secret),
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
