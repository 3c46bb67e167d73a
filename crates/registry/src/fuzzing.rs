//! What reads strangers' bytes, for `fuzz/` and the replay of its corpus: none may panic or take more than its bytes are
//! worth, and what is accepted has to hold what the rest of the crate relies on.

use crate::auth::fuzz as auth;
use crate::manifest::{MAX_MANIFEST, Manifest};
use crate::range::{self, Wanted};
use crate::route::{Name, Route, Target};
use crate::storage::s3;
use crate::{config, pattern};

/// A request's address and the headers whose text is read: a line each.
pub fn request(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let mut line = || lines.next().unwrap_or_default();
    let decoded = serving::query::decode(line(), serving::query::Plus::IsPlus);
    if let Ok(path) = decoded
        && let Ok(Some(route)) = Route::find(&path)
    {
        names_are_safe(&route);
    }
    let _ = serving::query::Query::parse(line());
    if let Wanted::Part(part) = range::wanted(line(), 1000) {
        assert!(part.start < part.end && part.end <= 1000);
    }
    if let Some(range) = range::chunk(line()) {
        assert!(range.start < range.end);
    }
    auth::scope(line());
}

/// What passes the door becomes a part of a path.
fn names_are_safe(route: &Route) {
    let safe = |name: &Name| {
        let sound =
            |part: &str| !part.is_empty() && !part.starts_with(['.', '_']) && !part.contains(['\0', '\\']);
        assert!(name.as_str().len() <= 255 && name.as_str().split('/').all(sound), "{name}");
    };
    match route {
        Route::Tags(name) | Route::Uploads(name) | Route::Blob(name, _) | Route::Upload(name, _) => {
            safe(name);
        }
        Route::Referrers(name, _) | Route::Extensions(Some(name)) => safe(name),
        Route::Manifest(name, target) => {
            safe(name);
            if let Ok(Target::Tag(tag)) = Target::parse(target) {
                assert!(!tag.as_str().contains(['/', '\0']) && !tag.as_str().starts_with('.'));
            }
        }
        _ => {}
    }
}

/// A manifest that is pushed.
pub fn manifest(bytes: &[u8]) {
    for kind in ["", oci::image::media_type::OCI_MANIFEST, oci::image::media_type::OCI_INDEX] {
        if let Ok(manifest) = Manifest::read(bytes, kind) {
            assert!(bytes.len() <= MAX_MANIFEST);
            let digest = oci::Digest::sha256(bytes);
            let descriptor = manifest.descriptor(&digest, bytes.len());
            assert_eq!(descriptor["digest"], digest.as_str());
        }
    }
}

/// A configuration file, and the patterns in it.
pub fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    config::fuzz(text);
    if let Ok(pattern) = pattern::Pattern::parse(text.lines().next().unwrap_or_default()) {
        let _ = pattern.matches("a/b");
    }
}

/// A token, a set of keys, a bundle of certificates, a list of users.
pub fn credentials(bytes: &[u8]) {
    auth::credentials(bytes);
}

/// What an object store answers, and what is kept there of an upload.
pub fn store(bytes: &[u8]) {
    s3::fuzz(bytes);
}
