//! Mirrors: addresses that stand in for a registry when something is fetched, as the administrator wrote them.
//!
//! ```text
//! https://mirror.example/hub                for Docker Hub: /hub/v2/library/busybox/…
//! quay.io=https://mirror.example/quay       for quay.io:    /v2/quay/team/app/…
//! quay.io=https://mirror.example/a/v2/quay  likewise:       /a/v2/quay/team/app/…
//! ```
//!
//! Nobody's credentials are for a mirror but its own, `<certificates>/<host>/login.json`.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use dial::{Origin, Secret};
use serde::Deserialize;

use crate::endpoint::HUB;
use crate::url::Url;
use crate::{Credentials, Error};

const LOGIN: &str = "login.json";
const LIMIT: u64 = 64 << 10;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mirror {
    /// Whom it stands in for.
    pub(crate) registry: String,
    pub(crate) origin: Origin,
    /// What it has before `/v2/`.
    pub(crate) prefix: String,
    /// What it has before every repository's name.
    pub(crate) project: String,
}

impl Mirror {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let named = text.split_once('=').filter(|(registry, _)| !registry.contains('/'));
        let Url { origin, target } = Url::parse(named.map_or(text, |(_, url)| url))?;
        let path = target.trim_end_matches('/').to_owned();
        Ok(match named {
            None => Self { registry: HUB.to_owned(), origin, prefix: path, project: String::new() },
            Some((registry, _)) => {
                let whole = format!("{path}/");
                let (prefix, project) = whole.split_once("/v2/").unwrap_or(("", &whole));
                let project = project.trim_matches('/').to_owned();
                Self { registry: registry.to_owned(), origin, prefix: prefix.to_owned(), project }
            }
        })
    }
}

/// What the administrator wrote down for this host; nothing if there is nothing.
pub(crate) fn login(certificates: &Path, origin: &Origin) -> Result<Option<Credentials>, Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Login {
        username: String,
        password: String,
    }
    let path = certificates.join(origin.authority()).join(LOGIN);
    let unusable = |why: String| Error::Certificate { path: path.clone(), why };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(error.to_string())),
    };
    let mode = file.metadata().map_err(|error| unusable(error.to_string()))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(unusable("others can read the password in it: chmod 600".to_owned()));
    }
    let mut bytes = Vec::new();
    file.take(LIMIT).read_to_end(&mut bytes).map_err(|error| unusable(error.to_string()))?;
    // serde's own sentence could quote the password.
    let login: Login = serde_json::from_slice(&bytes)
        .map_err(|_| unusable(r#"it is not {"username": …, "password": …}"#.to_owned()))?;
    Ok(Some(Credentials::Password { name: login.username, password: Secret::new(login.password) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_is_for_docker_hub_unless_it_says_for_whom() {
        for (text, registry, prefix, project) in [
            ("https://m.example/", "docker.io", "", ""),
            ("https://m.example/hub/", "docker.io", "/hub", ""),
            ("quay.io=https://m.example", "quay.io", "", ""),
            ("quay.io=https://m.example/quay/", "quay.io", "", "quay"),
            ("lab:5000=https://m.example/a/v2/b/c", "lab:5000", "/a", "b/c"),
            ("quay.io=https://m.example/v2/", "quay.io", "", ""),
        ] {
            let mirror = Mirror::parse(text).unwrap();
            let found = (mirror.registry.as_str(), mirror.prefix.as_str(), mirror.project.as_str());
            assert_eq!(found, (registry, prefix, project), "{text}");
        }
        assert!(Mirror::parse("quay.io=m.example").is_err());
    }

    #[test]
    fn a_login_is_its_own_hosts_and_nobody_elses_to_read() {
        let folder = tempfile::tempdir().unwrap();
        let origin = crate::url::origin("m.example:5000", true).unwrap();
        assert_eq!(login(folder.path(), &origin).unwrap(), None);
        let path = folder.path().join("m.example:5000");
        std::fs::create_dir(&path).unwrap();
        let path = path.join(LOGIN);
        let write = |text: &str, mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        write(r#"{"username":"me","password":"hunter2"}"#, 0o600);
        assert!(login(folder.path(), &origin).unwrap().is_some());
        for (text, mode) in [(r#"{"username":"me","password":"hunter2"}"#, 0o644), (r#"["hunter2"]"#, 0o600)]
        {
            write(text, mode);
            assert!(!diag::chain(&login(folder.path(), &origin).unwrap_err()).contains("hunter2"));
        }
    }
}
