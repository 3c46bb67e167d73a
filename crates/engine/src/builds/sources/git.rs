//! `git` sources, by the `git` program of this host.
//!
//! The program gets an environment of its own, no configuration but ours, and only network protocols; what follows an
//! option's end is never taken for one. Over ssh it is the client's agent that answers for the client, and no key of this
//! host's. A checkout is at most as large as a layer may be, and a remote that says nothing is given up.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use ::git::Bounds;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use build::Error;
use build::frontend::Known;
use build::graph::{Action, Change, Copy, File, Git, Input, Place, Remove, Vertex};
use build::session::Secret;
use build::solver::Looked;
use diag::Explain as _;
use oci::Digest;

use super::Sources;
use crate::builds::Scratch;
use crate::builds::error::{blocking, engine, work};
use crate::builds::exec::AgentSocket;
use crate::builds::files::{Last, Look, Planned, Root, perform_on, resolve};
use crate::builds::tree::Tree;
use crate::builds::worker::Works;

impl Sources {
    /// Asks the remote which commit is meant.
    pub(super) async fn look_git(
        &self,
        _: &Works,
        git: &Git,
        vertex: &Vertex,
    ) -> Result<Looked<Tree>, Error> {
        check(git)?;
        let access = self.access(git).await?;
        let what = git.clone();
        let commit = match is_commit(&git.reference) {
            true => git.reference.clone(),
            false => while_wanted(move |runs| remote_commit(&what, &access, runs), self.bounds()).await?,
        };
        if let Some(expected) =
            git.checksum.as_ref().filter(|expected| !commit.starts_with(expected.as_str()))
        {
            return Err(Error::Invalid(format!("expected checksum to match {expected}, got {commit}")));
        }
        let key = format!(
            "git 1\0{}\0{commit}\0{}\0{}\0{}",
            git.remote, git.subdir, git.keep_git_dir, git.skip_submodules
        );
        let key = Digest::sha256(key.as_bytes());
        self.commits.lock().unwrap_or_else(PoisonError::into_inner).insert(format!("{git:?}"), commit);
        if !vertex.shown.ignore_cache
            && let Some(found) =
                self.parts.cache.find(&key).map_err(|e| engine("look into the build cache", e))?
        {
            return Ok(Looked::Hit(found));
        }
        Ok(Looked::Miss(key))
    }

    /// What its reference means now.
    pub(super) async fn known_git(&self, git: &Git) -> Result<Known, Error> {
        check(git)?;
        if is_commit(&git.reference) {
            let commit = git.reference.clone();
            return Ok(Known::Git { name: commit.clone(), object: commit, commit: None });
        }
        let (access, git) = (self.access(git).await?, git.clone());
        let bounds = self.bounds();
        let look = move |runs: &Runs| {
            let found = remote_references(&git, &access, runs)?;
            let (commit, name) = found.first().ok_or_else(|| no_reference(&git))?;
            let bare = name.trim_end_matches("^{}");
            // A tag that is an object of its own has another one's name.
            let object = found.iter().find(|(_, other)| other == bare).map_or(commit, |(object, _)| object);
            let peeled = (object != commit).then(|| commit.clone());
            Ok(Known::Git { name: bare.to_owned(), object: object.clone(), commit: peeled })
        };
        while_wanted(look, bounds).await
    }

    pub(super) async fn run_git(
        &self,
        works: &Works,
        git: &Git,
        name: &str,
        remember: impl FnOnce(&[Tree]) -> Result<(), Error> + Send + 'static,
    ) -> Result<Vec<Tree>, Error> {
        let access = self.access(git).await?;
        let (parts, works, git, name) = (self.parts.clone(), works.clone(), git.clone(), name.to_owned());
        let known = |git: &Git| {
            let commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
            commits.get(&format!("{git:?}")).cloned()
        };
        let commit = known(&git);
        let unknown = || Error::Invalid("a repository was fetched that nobody looked for".into());
        let commit = commit.ok_or_else(unknown)?;
        let fetch = move |runs: &Runs| {
            let folder = parts.scratch()?;
            check_out(&git, &commit, &access, folder.path(), runs)?;
            let time = committed(&commit, &access, folder.path(), runs)?;
            let root = Arc::new(Root::scratch(folder)?);
            let planned = plan(&git, time, &root)?;
            let made = vec![works.write(planned, &name)?];
            remember(&made)?;
            Ok(made)
        };
        while_wanted(fetch, self.bounds()).await
    }

    /// What a layer may hold.
    fn bounds(&self) -> Bounds {
        let limits = &self.parts.shared.settings.layer_limits;
        Bounds::new(limits.bytes, limits.entries)
    }

    /// What opens the repository to the client.
    async fn access(&self, git: &Git) -> Result<Access, Error> {
        let ssh = if is_ssh(&git.remote) { Some(self.ssh(git).await?) } else { None };
        Ok(Access { header: self.git_header(git).await?, ssh })
    }

    async fn ssh(&self, git: &Git) -> Result<Ssh, Error> {
        let id = if git.mount_ssh.is_empty() { "default" } else { &git.mount_ssh };
        if !self.session.has_ssh(id).await? {
            return Err(Error::NotFound(format!("no SSH key {id:?} forwarded from the client")));
        }
        let hosts = match git.known_hosts.is_empty() {
            true => None,
            false => {
                let folder = self.parts.scratch()?;
                let written = std::fs::write(folder.path().join("hosts"), &git.known_hosts);
                written.map_err(|e| work("write down who is known to ssh", e))?;
                Some(folder)
            }
        };
        Ok(Ssh { agent: AgentSocket::new(id, self.session.clone())?, hosts })
    }

    async fn git_header(&self, git: &Git) -> Result<Option<Secret>, Error> {
        // Without one, the repository may be open to everybody.
        for id in [&git.auth_header_secret, &git.auth_token_secret].into_iter().filter(|id| !id.is_empty()) {
            if let Some(secret) = self.session.secret(id).await? {
                return Ok(Some(if id == &git.auth_header_secret { secret } else { of_token(&secret) }));
            }
        }
        Ok(None)
    }
}

/// How the program is run: within which bounds, and whether anybody still waits for it.
struct Runs {
    bounds: Bounds,
    given_up: Arc<AtomicBool>,
}

/// Says that nobody waits any more when it goes.
struct Wanted(Arc<AtomicBool>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Work that waits for the program, which ends with the build that it is for.
async fn while_wanted<T: Send + 'static>(
    work: impl FnOnce(&Runs) -> Result<T, Error> + Send + 'static,
    bounds: Bounds,
) -> Result<T, Error> {
    let wanted = Wanted(Arc::default());
    let runs = Runs { bounds, given_up: wanted.0.clone() };
    blocking(move || work(&runs)).await
}

/// What is shown to a remote.
struct Access {
    header: Option<Secret>,
    ssh: Option<Ssh>,
}

/// The client's agent, and whom it takes for whom.
struct Ssh {
    agent: AgentSocket,
    hosts: Option<Scratch>,
}

impl Ssh {
    /// Where nobody says who the host is, the first who answers is believed, as BuildKit has it.
    fn command(&self) -> String {
        let hosts = self.hosts.as_ref().map(|folder| folder.path().join("hosts").display().to_string());
        let (strict, hosts) = match &hosts {
            Some(hosts) => ("yes", hosts.as_str()),
            None => ("no", "/dev/null"),
        };
        // git gives this to a shell.
        let hosts = hosts.replace('\'', "'\\''");
        format!(
            "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking={strict} -o 'UserKnownHostsFile=\"{hosts}\"'"
        )
    }
}

/// A token as every forge takes it, for a user whose name says nothing.
fn of_token(token: &Secret) -> Secret {
    let pair = [b"x-access-token:", token.0.as_slice()].concat();
    Secret(format!("basic {}", STANDARD.encode(pair)).into_bytes())
}

fn check(git: &Git) -> Result<(), Error> {
    let schemes = ["https://", "http://", "git://"];
    if !is_ssh(&git.remote) && !schemes.iter().any(|scheme| git.remote.starts_with(scheme)) {
        return Err(Error::Invalid(format!("{:?} is no address of a git repository", git.remote)));
    }
    let bad = |text: &str| {
        text.starts_with('-') || text.contains(['\0', '\n', ' ', '~', '^', ':', '?', '*', '[', '\\'])
    };
    match bad(&git.reference) || git.remote.contains(['\0', '\n']) {
        true => Err(Error::Invalid(format!("{:?} is no reference of a git repository", git.reference))),
        false => Ok(()),
    }
}

/// `ssh://…`, or `user@host:path`.
fn is_ssh(remote: &str) -> bool {
    let scp = !remote.contains("://") && remote.contains(':') && !remote.starts_with('-');
    scp || remote.starts_with("ssh://")
}

fn is_commit(reference: &str) -> bool {
    reference.len() == 40 && reference.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The program with nothing of this host's.
fn program(access: &Access) -> Command {
    let mut command = Command::new("git");
    // A group of its own, which ends as one.
    command.env_clear().process_group(0);
    let ours =
        ["PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "http_proxy", "https_proxy", "no_proxy", ::git::PATIENCE];
    for name in ours {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", "/dev/null").env(
        "GIT_ALLOW_PROTOCOL",
        if access.ssh.is_some() { "http:https:git:ssh" } else { "http:https:git" },
    );
    if let Some(ssh) = &access.ssh {
        command.env("SSH_AUTH_SOCK", ssh.agent.path()).env("GIT_SSH_COMMAND", ssh.command());
        command.env("GIT_SSH_VARIANT", "ssh");
    }
    // In the environment, where no list of processes shows it.
    let header =
        access.header.as_ref().map(|header| format!("Authorization: {}", String::from_utf8_lossy(&header.0)));
    let mut settings = vec![
        ("core.hooksPath", "/dev/null".to_owned()),
        ("core.symlinks", "true".to_owned()),
        ("protocol.file.allow", "never".to_owned()),
        ("safe.directory", "*".to_owned()),
        ("init.defaultBranch", "main".to_owned()),
    ];
    settings.extend(header.map(|header| ("http.extraHeader", header)));
    command.env("GIT_CONFIG_COUNT", settings.len().to_string());
    for (at, (key, value)) in settings.into_iter().enumerate() {
        command.env(format!("GIT_CONFIG_KEY_{at}"), key).env(format!("GIT_CONFIG_VALUE_{at}"), value);
    }
    command
}

impl Runs {
    fn run(&self, command: &mut Command, folder: Option<&Path>, doing: &str) -> Result<String, Error> {
        use ::git::Error as Ended;
        let ended = ::git::run(command, folder, &self.bounds, &|| self.given_up.load(Ordering::Relaxed));
        ended.map_err(|error| match error {
            Ended::Missing => Error::Unsupported {
                what: "a git source without the program git on the engine's host".into(),
            },
            Ended::Run(e) => work(format!("{doing} with git"), e),
            Ended::Failed { said, .. } => {
                let last: Vec<&str> = said.lines().rev().take(3).collect();
                let said = last.into_iter().rev().collect::<Vec<_>>().join("; ");
                Error::NotFound(format!("failed to {doing}: {said}"))
            }
            Ended::TooLarge { .. } => self.too_much(doing, &error, "layer-size"),
            Ended::TooMany { .. } => self.too_much(doing, &error, "layer-entries"),
            other => {
                let hint = other.hint().map(|hint| format!("; in the engine's environment, {hint}"));
                Error::Invalid(format!("failed to {doing}: {other}{}", hint.unwrap_or_default()))
            }
        })
    }

    fn too_much(&self, doing: &str, what: &::git::Error, option: &str) -> Error {
        Error::Invalid(format!(
            "failed to {doing}: {what}; --storage-opt {option}= of the engine allows more"
        ))
    }
}

fn remote_commit(git: &Git, access: &Access, runs: &Runs) -> Result<String, Error> {
    match remote_references(git, access, runs)?.into_iter().next() {
        Some((commit, _)) if is_commit(&commit) => Ok(commit),
        _ => Err(no_reference(git)),
    }
}

fn no_reference(git: &Git) -> Error {
    let reference = if git.reference.is_empty() { "HEAD" } else { &git.reference };
    Error::NotFound(format!("repository does not contain ref {reference}"))
}

/// What the remote knows by the reference, most likely first; objects and their names.
fn remote_references(git: &Git, access: &Access, runs: &Runs) -> Result<Vec<(String, String)>, Error> {
    let reference = if git.reference.is_empty() { "HEAD" } else { &git.reference };
    let mut command = program(access);
    command.args(["ls-remote", "--", &git.remote, reference, &format!("{reference}^{{}}")]);
    let listed = runs.run(&mut command, None, "read remote references")?;
    let mut found: Vec<(&str, &str)> = listed.lines().filter_map(|line| line.split_once('\t')).collect();
    // A tag's own commit before the tag, then what was said in whole, branches and tags.
    found.sort_by_key(|(_, name)| {
        let bare = name.trim_end_matches("^{}");
        let rank = ["", "refs/heads/", "refs/tags/"]
            .iter()
            .position(|prefix| format!("{prefix}{reference}") == bare);
        (rank.unwrap_or(usize::MAX), !name.ends_with("^{}"))
    });
    let owned = |(object, name): (&str, &str)| (object.to_owned(), name.to_owned());
    Ok(found.into_iter().map(owned).collect())
}

/// Checks out the commit that was found when the step was looked for, wherever its branch is by now.
fn check_out(git: &Git, commit: &str, access: &Access, folder: &Path, runs: &Runs) -> Result<(), Error> {
    let within = |args: &[&str], doing: &str| {
        let mut command = program(access);
        command.current_dir(folder).args(args);
        runs.run(&mut command, Some(folder), doing).map(drop)
    };
    within(&["init", "-q", "."], "make a repository")?;
    within(&["remote", "add", "--", "origin", &git.remote], "name the remote")?;
    let reference = if git.reference.is_empty() { "HEAD" } else { &git.reference };
    within(&["fetch", "-q", "--depth=1", "--no-tags", "origin", "--", reference], "fetch the repository")
        .or_else(|_| within(&["fetch", "-q", "--tags", "origin"], "fetch the repository"))?;
    let check_out = || within(&["checkout", "-q", "--detach", commit, "--"], "check out the commit");
    if check_out().is_err() {
        // The branch went on meanwhile.
        within(&["fetch", "-q", "--depth=1", "origin", "--", commit], "fetch the commit")
            .or_else(|_| within(&["fetch", "-q", "--unshallow", "origin"], "fetch the repository"))?;
        check_out()?;
    }
    if !git.skip_submodules && folder.join(".gitmodules").exists() {
        let args = ["submodule", "-q", "update", "--init", "--recursive", "--depth=1"];
        within(&args, "fetch submodules")?;
    }
    Ok(())
}

/// When the commit was made, in nanoseconds since 1970; who wrote it could say anything.
fn committed(commit: &str, access: &Access, folder: &Path, runs: &Runs) -> Result<i64, Error> {
    let mut command = program(access);
    command.current_dir(folder).args(["log", "-1", "--no-show-signature", "--format=%ct", commit, "--"]);
    let said = runs.run(&mut command, None, "read the commit's time")?;
    let invalid =
        || Error::Invalid(format!("the time of the commit {commit} can't be read: {:?}", said.trim()));
    let seconds: i64 = said.trim().parse().map_err(|_| invalid())?;
    Ok(seconds.max(0).saturating_mul(1_000_000_000))
}

/// What of the checkout is the source. All of it is as old as its commit: the same commit is the same layer on another day.
fn plan(git: &Git, time: i64, root: &Arc<Root>) -> Result<Planned, Error> {
    let subdir = resolve(&**root, git.subdir.as_bytes(), Last::Followed)?;
    if !root.look(&subdir)?.is_some_and(|seen| seen.is_directory()) {
        return Err(Error::NotFound(format!("subdir {:?} isn't in the repository", git.subdir)));
    }
    let text = String::from_utf8_lossy(&crate::builds::files::join(&subdir)).into_owned();
    let copy = Copy::new(Place::Input(Input(0)), format!("/{text}"), "/");
    let copy = Copy { contents_only: true, time: Some(time), ..copy };
    let mut actions =
        vec![Action { base: Place::Scratch, change: Change::Copy(Box::new(copy)), output: None }];
    let last = match git.keep_git_dir {
        true => actions.len() - 1,
        false => {
            let remove = Remove { path: "/.git".into(), allow_missing: true, wildcard: false };
            actions.push(Action { base: Place::Action(0), change: Change::Remove(remove), output: None });
            actions.len() - 1
        }
    };
    actions[last].output = Some(0);
    perform_on(&File { actions }, root)
}
