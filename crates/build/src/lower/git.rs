//! Addresses of repositories, as ADD and contexts take them.

use super::problem::Problem;
use crate::graph::Git;

/// A repository that an address names, and what it says besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) source: Git,
    /// `?keep-git-dir=`.
    pub(super) keep_git_dir: Option<bool>,
}

/// What `text` names, if that is a repository: an address with a scheme and, where HTTP can be anything, a path that
/// ends in `.git`; or `user@host:path`. `github.com/…` is one for contexts alone: a file may be called so.
pub(super) fn parse(text: &str, bare_github: bool) -> Result<Option<Address>, Problem> {
    if text.starts_with("./") || text.starts_with("../") {
        return Ok(None);
    }
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (remote, query) = rest.split_once('?').unwrap_or((rest, ""));
    let github = bare_github && remote.starts_with("github.com/");
    if !github && !is_repository(remote) {
        return Ok(None);
    }
    let (reference, subdir) = fragment.split_once(':').unwrap_or((fragment, ""));
    let remote = if github { format!("https://{remote}") } else { remote.to_owned() };
    let source = Git {
        remote,
        reference: reference.to_owned(),
        subdir: subdir.trim_matches('/').to_owned(),
        auth_token_secret: "GIT_AUTH_TOKEN".to_owned(),
        auth_header_secret: "GIT_AUTH_HEADER".to_owned(),
        ..Git::default()
    };
    let ssh = source.remote.starts_with("ssh://") || !source.remote.contains("://");
    let mount_ssh = if ssh { "default".to_owned() } else { String::new() };
    let mut address = Address { source: Git { mount_ssh, ..source }, keep_git_dir: None };
    let mut by_commit = false;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        match key {
            "fetch-by-commit" => by_commit = boolean(key, value)?,
            _ => address.set(key, value)?,
        }
    }
    if by_commit {
        let commit = address.source.checksum.clone().filter(|commit| commit.len() == 40);
        let missing = || Problem::new("fetch-by-commit requires a full commit checksum");
        address.source.reference = commit.ok_or_else(missing)?;
    }
    if let Some(checksum) = &address.source.checksum
        && address.source.reference.is_empty()
    {
        address.source.reference = checksum.clone();
    }
    Ok(Some(address))
}

fn is_repository(remote: &str) -> bool {
    match remote.split_once("://") {
        Some(("git" | "ssh", rest)) => !rest.is_empty(),
        Some(("http" | "https", rest)) => rest.ends_with(".git"),
        Some(_) => false,
        None => is_scp(remote),
    }
}

/// `git@host:path`.
fn is_scp(remote: &str) -> bool {
    let Some((user, rest)) = remote.split_once('@') else { return false };
    let Some((host, _)) = rest.split_once(':') else { return false };
    let word = |text: &str, more: &[u8]| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || more.contains(&b))
    };
    word(user, b"_") && word(host, b".")
}

impl Address {
    fn set(&mut self, key: &str, value: &str) -> Result<(), Problem> {
        let quoted = dockerfile::quote;
        let boolean = || boolean(key, value);
        if value.is_empty() && !matches!(key, "submodules" | "keep-git-dir") {
            return Err(Problem::new(format!("query {} has no value", quoted(key))));
        }
        match key {
            "ref" => self.reference(value.to_owned())?,
            "tag" => self.reference(full(value, "refs/tags/"))?,
            "branch" => self.reference(full(value, "refs/heads/"))?,
            "subdir" if self.source.subdir.is_empty() || self.source.subdir == value => {
                value.trim_matches('/').clone_into(&mut self.source.subdir);
            }
            "subdir" => {
                let conflict =
                    format!("subdir conflicts: {} vs {}", quoted(&self.source.subdir), quoted(value));
                return Err(Problem::new(conflict));
            }
            "checksum" | "commit" => self.source.checksum = Some(value.to_owned()),
            "keep-git-dir" => self.keep_git_dir = Some(boolean()?),
            "submodules" => self.source.skip_submodules = !boolean()?,
            _ => return Err(Problem::new(format!("unexpected query {}", quoted(key)))),
        }
        Ok(())
    }

    fn reference(&mut self, value: String) -> Result<(), Problem> {
        let known = &self.source.reference;
        if !known.is_empty() && *known != value {
            let quoted = dockerfile::quote;
            return Err(Problem::new(format!("ref conflicts: {} vs {}", quoted(known), quoted(&value))));
        }
        self.source.reference = value;
        Ok(())
    }
}

fn boolean(key: &str, value: &str) -> Result<bool, Problem> {
    match value {
        "" | "1" | "t" | "true" => Ok(true),
        "0" | "f" | "false" => Ok(false),
        _ => Err(Problem::new(format!("invalid {key} value: {}", dockerfile::quote(value)))),
    }
}

fn full(value: &str, prefix: &str) -> String {
    if value.starts_with(prefix) { value.to_owned() } else { format!("{prefix}{value}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: dockerfile source ADD Git https/ssh/git URL with .git, #ref[:subdir], or query keys
    // covers: dockerfile git-url-key ADD tag
    // covers: dockerfile git-url-key ADD branch
    // covers: dockerfile git-url-key ADD subdir
    // covers: dockerfile git-url-key ADD commit
    // covers: dockerfile git-url-key ADD fetch-by-commit
    // refuses: dockerfile git-url-key ADD mtime because a checkout's files are as old as their commit, or SOURCE_DATE_EPOCH's
    #[test]
    fn addresses_of_repositories() {
        for (text, remote, reference, subdir) in [
            ("https://github.com/a/b.git#c:d/e", "https://github.com/a/b.git", "c", "d/e"),
            ("git@github.com:a/b.git", "git@github.com:a/b.git", "", ""),
            ("ssh://x/y?tag=v1&subdir=z", "ssh://x/y", "refs/tags/v1", "z"),
            ("git://x/y?branch=b", "git://x/y", "refs/heads/b", ""),
            ("https://x/y.git?commit=abc", "https://x/y.git", "abc", ""),
            (
                "https://x/y.git?branch=b&fetch-by-commit=1&commit=0123456789012345678901234567890123456789",
                "https://x/y.git",
                "0123456789012345678901234567890123456789",
                "",
            ),
        ] {
            let address = parse(text, false).ok().flatten().expect(text);
            let got = (&*address.source.remote, &*address.source.reference, &*address.source.subdir);
            assert_eq!(got, (remote, reference, subdir), "{text}");
        }
        for text in ["https://x/y", "a/b.git", "./git@x:y", "github.com/a/b", "ftp://x/y.git", "a:b"] {
            assert_eq!(parse(text, false), Ok(None), "{text}");
        }
        assert!(parse("github.com/a/b", true).is_ok_and(|found| found.is_some()));
        for text in [
            "https://x/y.git?foo=1",
            "https://x/y.git?ref=",
            "https://x/y.git?ref=a#b",
            "https://x/y.git?mtime=commit",
            "https://x/y.git?fetch-by-commit=1&commit=abc",
            "https://x/y.git?fetch-by-commit=1&ref=main",
        ] {
            assert!(parse(text, false).is_err(), "{text}");
        }
    }
}
