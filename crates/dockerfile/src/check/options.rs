//! `# check=skip=NAME,…;error=true`, and the same as a build's argument.

use super::Rule;
use crate::go;

/// Which rules are looked at, and whether a finding fails the build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    skip: Names,
    experimental: Names,
    pub(super) fail: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Names {
    All,
    Some(Vec<String>),
}

impl Default for Names {
    fn default() -> Self {
        Self::Some(Vec::new())
    }
}

/// What is wrong with options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsProblem {
    #[error("failed to parse check options: invalid check option {}", go::quote(.0))]
    Option(String),
    #[error(
        "failed to parse check options: failed to parse check option {}: strconv.ParseBool: parsing {}: invalid syntax",
        go::quote(option),
        go::quote(value)
    )]
    Boolean { option: String, value: String },
}

impl Options {
    /// What the Dockerfile's own directive says.
    pub fn of_dockerfile(text: &[u8]) -> Result<Self, OptionsProblem> {
        crate::directive_value(text, "check").map_or_else(|| Ok(Self::default()), |value| Self::parse(&value))
    }

    pub fn parse(text: &str) -> Result<Self, OptionsProblem> {
        let mut options = Self::default();
        for part in text.trim().splitn(3, ';').filter(|_| !text.trim().is_empty()) {
            let Some((name, value)) = part.split_once('=') else {
                return Err(OptionsProblem::Option(part.to_owned()));
            };
            let value = value.trim();
            match name.trim() {
                "skip" => options.skip = Names::read(value),
                "experimental" => options.experimental = Names::read(value),
                "error" => {
                    let wrong =
                        || OptionsProblem::Boolean { option: part.to_owned(), value: value.to_owned() };
                    options.fail = go::boolean(value).ok_or_else(wrong)?;
                }
                other => return Err(OptionsProblem::Option(other.to_owned())),
            }
        }
        Ok(options)
    }

    pub(super) fn allow(&self, rule: Rule) -> bool {
        if rule.experimental() { self.experimental.have(rule) } else { !self.skip.have(rule) }
    }
}

impl Names {
    fn read(value: &str) -> Self {
        if value == "all" {
            return Self::All;
        }
        Self::Some(value.split(',').map(|name| name.trim().to_owned()).collect())
    }

    fn have(&self, rule: Rule) -> bool {
        match self {
            Self::All => true,
            Self::Some(names) => names.iter().any(|name| name == rule.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: dockerfile directive-rule check values skip=NAME,...|all ; error=true|false ; both joined with ;
    #[test]
    fn options_are_joined_with_semicolons() {
        let options = Options::parse("skip=StageNameCasing, FromAsCasing;error=true").expect("options");
        assert!(options.fail && !options.allow(Rule::FromAsCasing) && options.allow(Rule::UndefinedVar));
        assert!(!options.allow(Rule::CopyIgnoredFile));
        assert!(Options::parse("experimental=all").is_ok_and(|options| options.allow(Rule::CopyIgnoredFile)));
        assert!(Options::parse("skip=all").is_ok_and(|options| !options.allow(Rule::UndefinedVar)));
        assert_eq!(Options::parse("skip"), Err(OptionsProblem::Option("skip".to_owned())));
        assert_eq!(Options::parse("foo=bar"), Err(OptionsProblem::Option("foo".to_owned())));
        assert!(Options::parse("error=maybe").is_err());
    }
}
