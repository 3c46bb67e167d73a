//! docker's CLI plugins: programs named `docker-<command>` that describe themselves and get the whole command line.

use std::ffi::OsString;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use client::config::Config;
use client::resolve::{self, process_env};
use serde_json::Value;

use crate::error::{Error, Outcome};

/// Where distributions put them, in docker's order.
const SYSTEM_DIRS: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];

/// A plugin that answered for itself.
pub(crate) struct Plugin {
    /// The command that it adds.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What it says of itself.
    pub(crate) metadata: Value,
}

impl Plugin {
    /// A text of its metadata.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.metadata[key].as_str().unwrap_or_default()
    }
}

/// All plugins that are not commands of our own, by name.
pub(crate) fn list(config_dir: &Path) -> Vec<Plugin> {
    let mut found: Vec<Plugin> = Vec::new();
    for path in dirs(config_dir).iter().flat_map(|dir| candidates(dir)) {
        let Some(name) = name_of(&path) else { continue };
        if found.iter().any(|plugin| plugin.name == name) || crate::tree::ROOT.find(&name).is_some() {
            continue;
        }
        if let Some(metadata) = metadata(&path) {
            found.push(Plugin { name, path, metadata });
        }
    }
    found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    found
}

/// The plugins' lines for the list of commands.
pub(crate) fn summaries(config_dir: &Path) -> Vec<(String, String)> {
    let line = |plugin: Plugin| (plugin.name.clone(), diag::printable(plugin.text("ShortDescription")));
    list(config_dir).into_iter().map(line).collect()
}

/// Runs the plugin for a word that calls none of our commands; `None` where there is none.
pub(crate) fn try_run(program: &str, error: &flags::Error, args: &[OsString]) -> Option<Outcome> {
    let flags::Error::UnknownCommand { word, usage, .. } = error else { return None };
    if usage.path != program || !is_name(word) {
        return None;
    }
    let at = args.iter().position(|arg| arg == "--config");
    let flag = at.and_then(|at| args.get(at + 1)).and_then(|dir| dir.to_str());
    let dir = resolve::config_dir(flag, &process_env);
    let path = find(&dir, word)?;
    let myself = std::env::current_exe().unwrap_or_else(|_| program.into());
    let failed = Command::new(&path).args(args).env("DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND", myself).exec();
    Some(Err(Error::Io("start the plugin", failed)))
}

/// Where the plugin of a name is.
pub(crate) fn find(config_dir: &Path, name: &str) -> Option<PathBuf> {
    let file = format!("docker-{name}");
    let path = dirs(config_dir).into_iter().map(|dir| dir.join(&file)).find(|path| is_trusted(path));
    path.filter(|path| is_name(name) && metadata(path).is_some())
}

fn dirs(config_dir: &Path) -> Vec<PathBuf> {
    let config = Config::load(config_dir).unwrap_or_else(|_| Config::empty(config_dir));
    let extra = config.get("cliPluginsExtraDirs").and_then(Value::as_array).cloned().unwrap_or_default();
    let extra = extra.iter().filter_map(Value::as_str).map(PathBuf::from);
    extra.chain([config_dir.join("cli-plugins")]).chain(SYSTEM_DIRS.iter().map(PathBuf::from)).collect()
}

fn candidates(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| is_trusted(path)).collect();
    paths.sort_unstable();
    paths
}

fn name_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.strip_prefix("docker-")?;
    is_name(name).then(|| name.to_owned())
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

/// A program that somebody else could have put there, or could change, is not run: it would run as this user.
fn is_trusted(path: &Path) -> bool {
    let me = rustix::process::geteuid().as_raw();
    let owned = |path: &Path| {
        let meta = std::fs::metadata(path).ok()?;
        let safe = (meta.uid() == 0 || meta.uid() == me) && meta.mode() & 0o002 == 0;
        Some((safe, meta))
    };
    let dir = path.parent().and_then(owned).is_some_and(|(safe, _)| safe);
    dir && owned(path)
        .is_some_and(|(safe, meta)| safe && meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn metadata(path: &Path) -> Option<Value> {
    let mut command = Command::new(path);
    command.arg("docker-cli-plugin-metadata").stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().ok()?;
    let metadata: Value = serde_json::from_slice(&output.stdout).ok()?;
    let complete =
        metadata["SchemaVersion"] == "0.1.0" && metadata["Vendor"].as_str().is_some_and(|v| !v.is_empty());
    complete.then_some(metadata)
}
