//! `--security-opt`: what a container asks of its confinement.

use crate::Error;

/// The list of options, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecurityOptions {
    /// Nothing where the engine's setting holds.
    pub(crate) no_new_privileges: Option<bool>,
    pub(crate) seccomp: Seccomp,
}

/// Which profile.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Seccomp {
    /// The engine's own choice.
    Default,
    Builtin,
    Unconfined,
    /// In Docker's format.
    Profile(String),
}

impl Seccomp {
    /// As in the option and in the engine's setting.
    pub fn of(text: &str) -> Self {
        match text {
            "" => Self::Default,
            "builtin" => Self::Builtin,
            "unconfined" => Self::Unconfined,
            profile => Self::Profile(profile.to_owned()),
        }
    }
}

impl SecurityOptions {
    /// The refusals are dockerd's sentences; what isn't built is refused by name unless it is the case anyway.
    pub(crate) fn parse(options: Option<&Vec<String>>) -> Result<Self, Error> {
        let mut parsed = Self { no_new_privileges: None, seccomp: Seccomp::Default };
        for option in options.into_iter().flatten() {
            parsed.take(option)?;
        }
        Ok(parsed)
    }

    fn take(&mut self, option: &str) -> Result<(), Error> {
        match option {
            "no-new-privileges" => {
                self.no_new_privileges = Some(true);
                return Ok(());
            }
            // An old way to say `label=disable`, and no label is what there is.
            "disable" => return Ok(()),
            _ => {}
        }
        let invalid = |what: u8| Error::Invalid(format!("invalid --security-opt {what}: {option:?}"));
        let separator = if option.contains('=') { '=' } else { ':' };
        let (name, value) = option.split_once(separator).ok_or_else(|| invalid(1))?;
        let flag = || parse_bool(value).ok_or_else(|| invalid(2));
        match (name, value) {
            ("seccomp", profile) => self.seccomp = Seccomp::of(profile),
            ("no-new-privileges", _) => self.no_new_privileges = Some(flag()?),
            ("apparmor", "" | "unconfined") | ("label", "disable") => {}
            ("writable-cgroups", _) if !flag()? => {}
            ("apparmor" | "label" | "writable-cgroups", _) => {
                let feature = format!("--security-opt {option}");
                return Err(Error::Unsupported { feature, instead: None });
            }
            _ => return Err(invalid(2)),
        }
        Ok(())
    }
}

/// Go's `strconv.ParseBool`.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[&str]) -> Result<SecurityOptions, String> {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        SecurityOptions::parse(Some(&options)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_last_of_each_kind_counts() {
        let options = parse(&["no-new-privileges", "seccomp=unconfined", "no-new-privileges:false"]).unwrap();
        let expected = SecurityOptions { no_new_privileges: Some(false), seccomp: Seccomp::Unconfined };
        assert_eq!(options, expected);
        assert_eq!(parse(&["seccomp={\"a\":1}"]).unwrap().seccomp, Seccomp::Profile("{\"a\":1}".into()));
    }

    #[test]
    fn what_is_the_case_may_be_asked_for() {
        for option in
            ["apparmor=unconfined", "label=disable", "label:disable", "disable", "writable-cgroups=0"]
        {
            parse(&[option]).unwrap();
        }
        for option in ["apparmor=docker-default", "label=level:s0", "writable-cgroups=true"] {
            assert_eq!(parse(&[option]).unwrap_err(), format!("--security-opt {option} is not supported"));
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_docker_s_words() {
        assert_eq!(parse(&["foo"]).unwrap_err(), r#"invalid --security-opt 1: "foo""#);
        assert_eq!(parse(&["foo=bar"]).unwrap_err(), r#"invalid --security-opt 2: "foo=bar""#);
        assert_eq!(
            parse(&["no-new-privileges=maybe"]).unwrap_err(),
            r#"invalid --security-opt 2: "no-new-privileges=maybe""#
        );
    }
}
