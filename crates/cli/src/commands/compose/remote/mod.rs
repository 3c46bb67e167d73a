//! Projects and parts of them that lie elsewhere: in repositories of git and in registries.
//!
//! What was fetched is kept where docker compose keeps it, `$XDG_CACHE_HOME/docker-compose/<commit or digest>`: relative
//! paths of such a project are paths in there, and either tool has to find the other one's. A folder gets its name when
//! it is whole.

mod git;
mod oci;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io::{self, IsTerminal as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use client::resolve::process_env;
use compose::{Environment, Project, Remote, Switches};

use super::project::options;
use crate::call::{Call, block_on};
use crate::error::Error;
use crate::listing::align;
use crate::prompt::{self, Echo};
use crate::ui;

/// Fetches for one command.
pub(super) struct Elsewhere {
    call: Call,
    known: RefCell<BTreeMap<String, PathBuf>>,
}

impl Elsewhere {
    pub(super) fn new(call: &Call) -> Self {
        Self { call: call.without_args(), known: RefCell::default() }
    }

    fn find(&self, address: &str) -> Option<Result<PathBuf, String>> {
        let (variable, what) = match (oci::name(address), git::parse(address)) {
            (Some(_), _) => ("COMPOSE_EXPERIMENTAL_OCI_REMOTE", "OCI"),
            (None, Some(_)) => ("COMPOSE_EXPERIMENTAL_GIT_REMOTE", "git"),
            (None, None) => return None,
        };
        match process_env(variable).as_deref() {
            None | Some("" | "1" | "t" | "T" | "true" | "TRUE" | "True") => {}
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => {
                return Some(Err(format!("{what} remote resource is disabled by {variable:?}")));
            }
            Some(_) => return Some(Err(format!("{variable} environment variable expects boolean value"))),
        }
        Some(match oci::name(address) {
            Some(name) => oci::fetch(&self.call, name),
            None => {
                git::parse(address).map_or_else(|| Err(String::new()), |parsed| git::fetch(address, &parsed?))
            }
        })
    }
}

impl Remote for Elsewhere {
    fn fetch(&self, address: &str) -> Option<Result<PathBuf, String>> {
        if let Some(path) = self.known.borrow().get(address) {
            return Some(Ok(path.clone()));
        }
        let found = self.find(address)?;
        if let Ok(path) = &found {
            self.known.borrow_mut().insert(address.to_owned(), path.clone());
        }
        Some(found)
    }
}

/// Whether a text is an address, not a path.
pub(super) fn is_address(text: &str) -> bool {
    oci::name(text).is_some() || git::parse(text).is_some()
}

/// docker compose's folder for what was fetched.
fn cache() -> Result<PathBuf, String> {
    let given = process_env("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let folder = given.or_else(|| Some(PathBuf::from(process_env("HOME")?).join(".cache")));
    let folder = folder.ok_or("neither XDG_CACHE_HOME nor HOME says where what is fetched can be kept")?;
    let folder = folder.join("docker-compose");
    make(&folder, true)?;
    Ok(folder)
}

/// A folder for its user alone.
fn make(path: &Path, with_parents: bool) -> Result<(), String> {
    let made = DirBuilder::new().mode(0o700).recursive(with_parents).create(path);
    made.map_err(|error| format!("cannot create {}: {error}", path.display()))
}

/// Fills a folder of the cache, which gets its name when it is whole; one of that name that isn't whole goes.
fn filled(
    target: &Path,
    is_whole: impl Fn(&Path) -> bool,
    fill: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<(), String> {
    if is_whole(target) {
        return Ok(());
    }
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let scratch = target.with_file_name(format!(".{name}.{}", std::process::id()));
    let wrong = |error: io::Error| format!("cannot keep {}: {error}", target.display());
    let _ = fs::remove_dir_all(&scratch);
    make(&scratch, false)?;
    let moved = fill(&scratch).and_then(|()| {
        if !is_whole(target) && target.exists() {
            fs::remove_dir_all(target).map_err(wrong)?;
        }
        // Another command may have been faster.
        fs::rename(&scratch, target)
            .or_else(|error| if is_whole(target) { Ok(()) } else { Err(wrong(error)) })
    });
    let _ = fs::remove_dir_all(&scratch);
    moved
}

/// Before a project from elsewhere is started: where it is now, and what it makes of this machine's variables.
pub(super) fn consent(call: &Call, project: &Project) -> Result<(), Error> {
    let options = options(call, Switches::default())?;
    let first = options.files.first().map(|path| path.to_string_lossy().into_owned());
    let Some(first) = first.filter(|first| is_address(first)) else { return Ok(()) };
    ui::out(&format!(
        "Your compose stack {first:?} is stored in {:?}\n",
        project.directory.display().to_string()
    ))?;
    let variables = Project::variables(&options)?;
    if call.flags().bool("yes") || variables.is_empty() {
        return Ok(());
    }
    let mut table = "VARIABLE\tVALUE\tSOURCE\tREQUIRED\tDEFAULT\n".to_owned();
    for variable in &variables {
        let default = variable.default.as_deref().unwrap_or_default();
        let (value, source) = worth(&project.environment, &variable.name, default);
        let required = if variable.required { "yes" } else { "no" };
        table.push_str(&format!("{}\t{value}\t{source}\t{required}\t{default}\n", variable.name));
    }
    ui::out(&format!(
        "\nFound the following variables in configuration:\n{}",
        align(&diag::printable(&table))
    ))?;
    let answer = block_on(prompt::line("\nDo you want to proceed with these variables? [Y/n]: ", Echo::Yes))?;
    let agreed = match answer.to_lowercase().as_str() {
        // The end of the input is no answer.
        "" => std::io::stdin().is_terminal(),
        answer => matches!(answer, "y" | "yes"),
    };
    if agreed { Ok(()) } else { Err(Error::Usage("operation cancelled by user".into())) }
}

fn worth<'v>(environment: &'v Environment, name: &str, default: &'v str) -> (&'v str, &'static str) {
    match environment.get(name) {
        Some(value) => (value, "environment"),
        None if default.is_empty() => ("<unset>", "none"),
        None => (default, "compose file"),
    }
}
