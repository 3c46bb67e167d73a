//! Repositories, by the user's own `git`: their keys and proxies open them. What a repository says itself starts nothing:
//! no hooks, no transport but those over the network, and no path that leads out of it. What is fetched is bounded.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ::git::{Bounds, Error as Ended};
use client::resolve::process_env;
use diag::Explain as _;

use super::{cache, filled};

/// The files that make a folder a project, in the order in which they're looked for.
const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

/// The variable that says how large a repository may be, and what holds without it.
const SIZE: &str = "KETCH_GIT_SIZE";
const DEFAULT_SIZE: u64 = 4 << 30;

/// What an address says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    remote: String,
    reference: String,
    subdir: String,
}

/// `https://….git#ref:dir`, `ssh://…`, `git://…`, `user@host:path`, `github.com/…`; none for what is no repository.
pub(super) fn parse(text: &str) -> Option<Result<Address, String>> {
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (remote, query) = rest.split_once('?').unwrap_or((rest, ""));
    let remote = match remote.split_once("://") {
        Some(("git" | "ssh", rest)) if !rest.is_empty() => remote.to_owned(),
        Some(("http" | "https", rest)) if rest.ends_with(".git") => remote.to_owned(),
        Some(_) => return None,
        None if remote.starts_with("github.com/") => format!("https://{remote}"),
        None if is_scp(remote) => remote.to_owned(),
        None => return None,
    };
    let (reference, subdir) = fragment.split_once(':').unwrap_or((fragment, ""));
    let odd = |letter: char| letter.is_control() || " ~^:?*[\\".contains(letter);
    Some(if !query.is_empty() {
        Err(format!("{text}: ?{query} is not understood here: write #ref:dir"))
    } else if reference.starts_with('-') || reference.contains(odd) || remote.contains(char::is_control) {
        Err(format!("{reference:?} is no reference of a git repository"))
    } else {
        let subdir = subdir.trim_matches('/').to_owned();
        Ok(Address { remote, reference: reference.to_owned(), subdir })
    })
}

/// `user@host:path`.
fn is_scp(remote: &str) -> bool {
    let word = |text: &str| {
        !text.starts_with('-')
            && !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let parts = remote.split_once('@').and_then(|(user, rest)| Some((user, rest.split_once(':')?)));
    parts.is_some_and(|(user, (host, path))| word(user) && word(host) && !path.is_empty())
}

/// The project's file in a checkout of what is there now.
pub(super) fn fetch(shown: &str, address: &Address) -> Result<PathBuf, String> {
    let commit = match is_commit(&address.reference) {
        true => address.reference.clone(),
        false => resolve(shown, address)?,
    };
    let folder = cache()?.join(&commit);
    // Only a whole checkout of a commit has nothing but the commit there.
    let is_whole =
        |folder: &Path| fs::read_to_string(folder.join(".git/HEAD")).is_ok_and(|head| is_commit(head.trim()));
    filled(&folder, is_whole, |scratch| check_out(&address.remote, &commit, scratch))?;
    project_file(shown, &folder, &address.subdir)
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The program, which asks nobody anything and waits for no silent server.
fn program() -> Command {
    let mut command = Command::new("git");
    command.env("GIT_ALLOW_PROTOCOL", "http:https:git:ssh");
    let ours = [
        ("GIT_TERMINAL_PROMPT", "0", "GIT_TERMINAL_PROMPT"),
        ("GIT_SSH_COMMAND", "ssh -o ControlMaster=no -o BatchMode=yes", "GIT_SSH"),
    ];
    for (name, value, or) in ours {
        if std::env::var_os(name).or_else(|| std::env::var_os(or)).is_none() {
            command.env(name, value);
        }
    }
    for setting in
        ["core.hooksPath=/dev/null", "core.fsmonitor=false", "http.lowSpeedLimit=1", "http.lowSpeedTime=60"]
    {
        command.args(["-c", setting]);
    }
    command
}

/// A failure's exit code, if it is git's own, and what is said of it.
type Failure = (Option<i32>, String);

fn run(command: &mut Command, folder: Option<&Path>) -> Result<String, Failure> {
    let bytes = match process_env(SIZE).filter(|text| !text.is_empty()) {
        None => DEFAULT_SIZE,
        Some(text) => {
            let bytes = compose::bytes(&text).ok().and_then(|bytes| u64::try_from(bytes).ok());
            bytes.ok_or_else(|| (None, format!("{SIZE} must be a size such as 500m or 20g: {text:?}")))?
        }
    };
    // Who gives up ends the command, and git with it: both read the same keys.
    let ended = ::git::run(command, folder, &Bounds::new(bytes, u64::MAX), &|| false);
    ended.map_err(|error| match &error {
        Ended::Failed { code, said } => (*code, said.clone()),
        Ended::TooLarge { .. } => (None, format!("{error}: {SIZE}=20g allows more")),
        other => {
            let hint = other.hint().map(|hint| format!(": {hint}"));
            (None, format!("{}{}", diag::chain(&error), hint.unwrap_or_default()))
        }
    })
}

fn resolve(shown: &str, address: &Address) -> Result<String, String> {
    let reference = if address.reference.is_empty() { "HEAD" } else { &address.reference };
    let mut command = program();
    command.args(["ls-remote", "--exit-code", "--", &address.remote, reference]);
    let listed = run(&mut command, None).map_err(|(code, said)| match code {
        Some(2) => format!("repository does not contain ref {shown}"),
        _ => format!("failed to access repository at {}:\n{said}", address.remote),
    })?;
    // git lists whatever ends like this; what was said in whole comes first, then branches, then tags.
    let rank = |name: &str| {
        ["", "refs/heads/", "refs/tags/"]
            .iter()
            .position(|prefix| name.strip_prefix(prefix) == Some(reference))
    };
    let found = listed.lines().filter_map(|line| line.split_once('\t'));
    let best = found.min_by_key(|(_, name)| rank(name).unwrap_or(usize::MAX));
    let commit = best.map(|(commit, _)| commit.to_owned()).filter(|commit| is_commit(commit));
    commit.ok_or_else(|| format!("repository does not contain ref {shown}"))
}

fn check_out(remote: &str, commit: &str, folder: &Path) -> Result<(), String> {
    let steps: [&[&str]; 4] = [
        &["init", "--quiet", "."],
        &["remote", "add", "--", "origin", remote],
        &["fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "origin", "--", commit],
        &["checkout", "--quiet", "--detach", commit, "--"],
    ];
    for step in steps {
        let done = run(program().current_dir(folder).args(step), Some(folder));
        done.map_err(|(_, said)| format!("cannot fetch {remote} by git {}:\n{said}", step[0]))?;
    }
    Ok(())
}

/// The file that is meant, which has to be in the checkout, whatever links in it say.
fn project_file(shown: &str, folder: &Path, subdir: &str) -> Result<PathBuf, String> {
    let missing = |error: std::io::Error| format!("{shown}: {error}");
    let outside = || format!("git subdirectory path traversal detected: {subdir}");
    let folder = folder.canonicalize().map_err(missing)?;
    let wanted = folder.join(subdir);
    if !wanted.canonicalize().map_err(missing)?.starts_with(&folder) {
        return Err(outside());
    }
    let file = match wanted.is_dir() {
        false => wanted,
        true => {
            let files = NAMES.iter().map(|name| wanted.join(name)).find(|path| path.is_file());
            files.ok_or_else(|| format!("{shown}: there is no compose.yaml"))?
        }
    };
    match file.canonicalize().map_err(missing)?.starts_with(&folder)
        && !subdir.split('/').any(|part| part == "..")
    {
        true => Ok(file),
        false => Err(outside()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_paths_are_told_apart() {
        for (text, remote, reference, subdir) in [
            ("https://x.org/y.git#main:a/b", "https://x.org/y.git", "main", "a/b"),
            ("git@x.org:y/z.git#:a", "git@x.org:y/z.git", "", "a"),
            ("ssh://x/y", "ssh://x/y", "", ""),
            ("github.com/a/b#v1", "https://github.com/a/b", "v1", ""),
        ] {
            let (remote, reference, subdir) = (remote.to_owned(), reference.to_owned(), subdir.to_owned());
            assert_eq!(parse(text), Some(Ok(Address { remote, reference, subdir })), "{text}");
        }
        for text in
            ["compose.yaml", "./a.git", "https://x/y", "ext::sh -c x", "file:///x.git", "-o@x:y", "a@-o:y"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
        for text in ["https://x/y.git#--upload-pack=x", "https://x/y.git?ref=a", "https://x/y.git#a b"] {
            assert!(parse(text).unwrap().is_err(), "{text}");
        }
    }
}
