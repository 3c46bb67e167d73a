//! Which thing of the registry an address means.
//!
//! A path is decoded once and then has to be in the grammar: names, tags and digests that pass are safe as names of
//! files, and nothing else gets further than here.

use std::fmt;

use content::Session;
use oci::Digest;

use crate::error::Problem;

/// A repository's name, in the grammar: its parts are safe names of folders, and none begins with `_`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name(String);

impl Name {
    /// Checks a text.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        match oci::is_repository(text) {
            true => Ok(Self(text.to_owned())),
            false => Err(Problem::name_invalid(text)),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// A tag, in the grammar: a safe name of a file, though it may begin with `_`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Tag(String);

impl Tag {
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        match oci::is_tag(text) {
            true => Ok(Self(text.to_owned())),
            false => Err(Problem::tag_invalid(text)),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// What names a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Tag(Tag),
    Digest(Digest),
}

impl Target {
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        match text.contains(':') {
            true => digest(text).map(Self::Digest),
            false => Tag::parse(text).map(Self::Tag),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(out),
            Self::Digest(digest) => digest.fmt(out),
        }
    }
}

/// Checks a digest's text.
pub(crate) fn digest(text: &str) -> Result<Digest, Problem> {
    text.parse().map_err(|error| Problem::digest_invalid(&format!("{error}: {}", shorten(text))))
}

/// Part of what a stranger sent, for a message.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 100;
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// What an address means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    Base,
    Catalog,
    /// The extensions of the whole registry, or of a repository.
    Extensions(Option<Name>),
    Tags(Name),
    /// The target is checked by the handler: a name that can't be is not found when it is read.
    Manifest(Name, String),
    Blob(Name, Digest),
    Uploads(Name),
    Upload(Name, Session),
    Referrers(Name, Digest),
    Health,
    Token,
}

impl Route {
    /// Reads a decoded path. None is for a path that no registry has.
    pub(crate) fn find(path: &str) -> Result<Option<Self>, Problem> {
        match path {
            "/v2" | "/v2/" => return Ok(Some(Self::Base)),
            "/v2/_catalog" => return Ok(Some(Self::Catalog)),
            "/v2/_oci/ext/discover" => return Ok(Some(Self::Extensions(None))),
            "/" | "/healthz" | "/debug/health" => return Ok(Some(Self::Health)),
            "/token" => return Ok(Some(Self::Token)),
            _ => {}
        }
        let Some(rest) = path.strip_prefix("/v2/") else { return Ok(None) };
        // From the end: a repository's own name may hold any of these words.
        if let Some(name) =
            rest.strip_suffix("/blobs/uploads/").or_else(|| rest.strip_suffix("/blobs/uploads"))
        {
            return Ok(Some(Self::Uploads(Name::parse(name)?)));
        }
        if let Some(name) = rest.strip_suffix("/tags/list") {
            return Ok(Some(Self::Tags(Name::parse(name)?)));
        }
        if let Some(name) = rest.strip_suffix("/_oci/ext/discover") {
            return Ok(Some(Self::Extensions(Some(Name::parse(name)?))));
        }
        let Some((before, last)) = rest.rsplit_once('/') else { return Ok(None) };
        if let Some(name) = before.strip_suffix("/blobs/uploads") {
            let session = Session::parse(last).ok_or_else(|| Problem::upload_unknown(last))?;
            return Ok(Some(Self::Upload(Name::parse(name)?, session)));
        }
        if let Some(name) = before.strip_suffix("/manifests") {
            return Ok(Some(Self::Manifest(Name::parse(name)?, last.to_owned())));
        }
        if let Some(name) = before.strip_suffix("/blobs") {
            return Ok(Some(Self::Blob(Name::parse(name)?, digest(last)?)));
        }
        if let Some(name) = before.strip_suffix("/referrers") {
            return Ok(Some(Self::Referrers(Name::parse(name)?, digest(last)?)));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn names_may_hold_the_words_of_the_protocol() {
        let find = |path: &str| Route::find(path).unwrap().unwrap();
        assert_eq!(find("/v2/a/manifests/manifests/x"), Route::Manifest(name("a/manifests"), "x".into()));
        assert_eq!(find("/v2/blobs/uploads/tags/list"), Route::Tags(name("blobs/uploads")));
        assert_eq!(find("/v2/a/blobs/uploads/"), Route::Uploads(name("a")));
        assert_eq!(
            find(&format!("/v2/a/b/blobs/{DIGEST}")),
            Route::Blob(name("a/b"), DIGEST.parse().unwrap())
        );
        assert_eq!(Route::find("/v3/").unwrap(), None);
        assert_eq!(Route::find("/v2/a").unwrap(), None);
    }

    // covers: registry grammar api name
    // covers: registry grammar api tag
    #[test]
    fn names_and_tags_are_in_the_grammar() {
        for right in ["a", "a/b", "a-b", "a__b", "a---b", "a.b/c_d", "0"] {
            assert!(Name::parse(right).is_ok(), "{right}");
        }
        for wrong in
            ["", "A", "a/", "/a", "a//b", "..", "a/../b", "_a", "a_", "a___b", "a..b", "a b", "ä", "a\0"]
        {
            assert!(Name::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Name::parse(&"a".repeat(255)).is_ok() && Name::parse(&"a".repeat(256)).is_err());
        for right in ["latest", "_x", "1.0-A", &"x".repeat(128)] {
            assert!(Tag::parse(right).is_ok(), "{right}");
        }
        for wrong in ["", ".", "..", "-x", "a/b", "a:b", "a\n", &"x".repeat(129)] {
            assert!(Tag::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_found_has_safe_names(path in "/v2/[a-zA-Z0-9_./:%\\-]{0,60}(/(blobs|manifests|tags|referrers|uploads|list))?(/[a-z0-9.:_%]{0,20})?") {
            if let Ok(Some(Route::Tags(name) | Route::Uploads(name) | Route::Manifest(name, _) | Route::Blob(name, _))) = Route::find(&path) {
                for part in name.as_str().split('/') {
                    prop_assert!(!part.is_empty() && !part.starts_with(['.', '_']) && !part.contains('\0'));
                }
            }
        }
    }
}
