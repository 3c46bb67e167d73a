//! Scopes: `repository:NAME:pull,push`, `registry:catalog:*`.

use serde::{Deserialize, Serialize};

use super::Action;
use crate::route::Name;

/// One grant, as tokens hold it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grant {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) actions: Vec<String>,
}

impl Grant {
    /// Whether it allows this.
    pub(crate) fn allows(&self, name: &Name, action: Action) -> bool {
        self.kind == "repository"
            && self.name == name.as_str()
            // Who may push may also create.
            && self.actions.iter().any(|word| {
                word == "*" || word == action.word() || word == "push" && action == Action::Create
            })
    }

    pub(crate) fn allows_catalog(&self) -> bool {
        self.kind == "registry" && self.name == "catalog" && self.actions.iter().any(|word| word == "*")
    }
}

/// Reads one scope. A name may hold colons (a port); the kind may have a class in brackets.
pub(crate) fn parse(text: &str) -> Option<Grant> {
    let (kind, rest) = text.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    let kind = kind.split_once('(').map_or(kind, |(kind, _)| kind);
    let actions: Vec<String> =
        actions.split(',').filter(|action| !action.is_empty()).map(str::to_owned).collect();
    let word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (word(kind) && !name.is_empty() && actions.len() <= 16).then(|| Grant {
        kind: kind.to_owned(),
        name: name.to_owned(),
        actions,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scopes_are_read() {
        let grant = parse("repository(plugin):a/b:pull,push").unwrap();
        assert_eq!((grant.kind.as_str(), grant.name.as_str(), grant.actions.len()), ("repository", "a/b", 2));
        assert!(parse("registry:catalog:*").unwrap().allows_catalog());
        assert_eq!(parse("repository:host:5000/a:pull").unwrap().name, "host:5000/a");
        for wrong in ["", "repository", "repository:a", ":a:pull", "repository::pull"] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z():,/*]{0,40}") {
            let _ = parse(&text);
        }
    }
}
