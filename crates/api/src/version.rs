//! API versions: which we serve, and how a path names one.

use std::fmt;
use std::str::FromStr;

/// The newest version whose changes are all here or refused by name.
pub const MAXIMUM: ApiVersion = ApiVersion(1, 56);
/// The oldest that is served, as by dockerd 28: docker-java asks for 1.32 whatever the engine has, and many a tool for 1.24.
pub const MINIMUM: ApiVersion = ApiVersion(1, 24);

/// `1.44`. Ordered by number, not by text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion(u16, u16);

impl ApiVersion {
    /// Version `1.minor`, of which there has never been another major.
    pub(crate) const fn minor(minor: u16) -> Self {
        Self(1, minor)
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.0, self.1)
    }
}

impl FromStr for ApiVersion {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let part = |digits: &str| match digits.bytes().all(|b| b.is_ascii_digit()) {
            true => digits.parse().map_err(drop),
            false => Err(()),
        };
        match text.split_once('.') {
            Some((major, minor)) => Ok(Self(part(major)?, part(minor)?)),
            // dockerd reads `/v9/` as a version too, and calls it too new.
            None => Ok(Self(part(text)?, 0)),
        }
    }
}

/// Splits `/v1.44/info` into the version, as written, and `/info`. A path without a version is whole.
pub(crate) fn split(path: &str) -> (Option<&str>, &str) {
    let versioned = path.strip_prefix("/v").and_then(|rest| {
        let end = rest.find('/').unwrap_or(rest.len());
        let (version, rest) = rest.split_at(end);
        let numeric = !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        numeric.then_some((Some(version), rest))
    });
    versioned.unwrap_or((None, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_number() {
        assert!("1.9".parse::<ApiVersion>().unwrap() < "1.10".parse().unwrap());
        assert!("9".parse::<ApiVersion>().unwrap() > MAXIMUM);
        for wrong in ["", "x", "1.", "1.x", "1.2.3", "99999999.1", "-1.2"] {
            assert!(wrong.parse::<ApiVersion>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_path_may_name_a_version() {
        assert_eq!(split("/v1.44/info"), (Some("1.44"), "/info"));
        assert_eq!(split("/info"), (None, "/info"));
        assert_eq!(split("/version"), (None, "/version"));
        assert_eq!(split("/volumes/v1"), (None, "/volumes/v1"));
        assert_eq!(split("/v1.44"), (Some("1.44"), ""));
    }
}
