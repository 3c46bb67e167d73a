//! Which files a project consists of, and what the caller said of it.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::Error;
use crate::env::{Environment, Warnings};
use crate::schema;

const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// Entries of a folder that are looked through for a file that could be meant, and how many are told.
const MOST_BESIDE: usize = 10_000;
const SHOWN: usize = 5;

/// Who fetches files that lie elsewhere.
pub trait Remote {
    /// The local copy of what an address names; none if the text is a path.
    fn fetch(&self, address: &str) -> Option<Result<PathBuf, String>>;
}

/// What the caller says of a project.
#[derive(Clone)]
pub struct Options {
    /// `--file`; none is what is found.
    pub files: Vec<PathBuf>,
    /// `--project-directory`.
    pub directory: Option<PathBuf>,
    /// `--project-name`.
    pub name: Option<String>,
    /// `--env-file`.
    pub env_files: Vec<PathBuf>,
    /// The process' environment.
    pub environment: Environment,
    /// Where the process stands.
    pub current: PathBuf,
    /// What is done with the files.
    pub switches: Switches,
    /// Who fetches what lies elsewhere; without, all are paths.
    pub remote: Option<Rc<dyn Remote>>,
}

/// What is done with the files.
#[derive(Debug, Clone, Copy)]
pub struct Switches {
    /// Variables are filled in.
    pub interpolate: bool,
    /// Defaults are filled in.
    pub normalize: bool,
    /// Paths are made absolute.
    pub resolve_paths: bool,
    /// `env_file` and variables without a value are looked up.
    pub resolve_environment: bool,
    /// What refers to something is checked.
    pub consistency: bool,
    /// What no service uses is left out.
    pub only_used: bool,
    /// Containers have names with underscores, as those of docker-compose 1.
    pub underscores: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            interpolate: true,
            normalize: true,
            resolve_paths: true,
            resolve_environment: true,
            consistency: true,
            only_used: true,
            underscores: false,
        }
    }
}

/// What was found.
pub(super) struct Found {
    pub(super) files: Vec<PathBuf>,
    pub(super) directory: PathBuf,
    /// The folder that the project is named after, unless it has a name.
    pub(super) namesake: PathBuf,
    pub(super) name: Option<String>,
    pub(super) environment: Environment,
}

pub(super) fn find(options: &Options, warnings: &mut Warnings) -> Result<Found, Error> {
    let mut environment = options.environment.clone();
    let given_directory = options.directory.as_ref().map(|path| absolute(path, &options.current));
    // A file of variables may say which files the project consists of.
    let early = given_directory.clone().unwrap_or_else(|| options.current.clone());
    add_env_files(options, &early, &mut environment, warnings)?;
    let mut files: Vec<_> = options.files.clone();
    if files.is_empty() {
        let separator =
            environment.get("COMPOSE_PATH_SEPARATOR").filter(|text| !text.is_empty()).unwrap_or(":");
        let listed = environment.get("COMPOSE_FILE").unwrap_or_default();
        files = listed.split(separator).filter(|path| !path.is_empty()).map(PathBuf::from).collect();
    }
    let (files, elsewhere) = match files.is_empty() {
        true => (discover(given_directory.as_deref().unwrap_or(&options.current))?, None),
        false => located(&files, options)?,
    };
    let first = files.iter().find(|path| *path != Path::new("-"));
    let beside = first.filter(|path| elsewhere.as_ref() != Some(path)).and_then(|path| path.parent());
    let namesake = given_directory.unwrap_or_else(|| beside.unwrap_or(&options.current).to_owned());
    if namesake != early {
        environment = options.environment.clone();
        add_env_files(options, &namesake, &mut environment, warnings)?;
    }
    // What lies elsewhere begins there, whatever the caller's own folder.
    let directory = elsewhere.as_deref().and_then(Path::parent).unwrap_or(&namesake).to_owned();
    let variable =
        || environment.get("COMPOSE_PROJECT_NAME").filter(|name| !name.is_empty()).map(str::to_owned);
    let name = options.name.clone().or_else(variable);
    Ok(Found { files, directory, namesake, name, environment })
}

/// Where the files that were named are, and the first of those that were fetched.
fn located(names: &[PathBuf], options: &Options) -> Result<(Vec<PathBuf>, Option<PathBuf>), Error> {
    let (mut files, mut elsewhere) = (Vec::new(), None);
    for name in names {
        match fetched(options.remote.as_deref(), &name.to_string_lossy()) {
            Some(local) => {
                let local = local.map_err(Error::Project)?;
                elsewhere.get_or_insert_with(|| local.clone());
                files.push(local);
            }
            None => files.push(there(absolute(name, &options.current), options)?),
        }
    }
    Ok((files, elsewhere))
}

/// A file that was named, if it is there.
fn there(path: PathBuf, options: &Options) -> Result<PathBuf, Error> {
    if path == Path::new("-") || path.symlink_metadata().is_ok() {
        return Ok(path);
    }
    let by = if options.files.is_empty() { "COMPOSE_FILE" } else { "--file" };
    let entries = path.parent().and_then(|folder| folder.read_dir().ok()).into_iter().flatten().flatten();
    let names = entries.take(MOST_BESIDE).filter_map(|entry| entry.file_name().into_string().ok());
    let mut near: Vec<_> = names.filter(|name| name.ends_with(".yaml") || name.ends_with(".yml")).collect();
    let typed = path.file_name().unwrap_or_default().to_string_lossy();
    near.sort_by_cached_key(|name| (schema::distance(&typed, name), name.clone()));
    near.truncate(SHOWN);
    Err(Error::NoSuchFile { path, by, near })
}

/// The local copy of what lies elsewhere.
pub(super) fn fetched(remote: Option<&dyn Remote>, address: &str) -> Option<Result<PathBuf, String>> {
    remote?.fetch(address)
}

/// `--env-file`, or `COMPOSE_ENV_FILES`, or the `.env` beside the project.
fn add_env_files(
    options: &Options,
    directory: &Path,
    environment: &mut Environment,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    if environment.get("COMPOSE_DISABLE_ENV_FILE").is_some_and(|text| matches!(text, "1" | "true")) {
        return Ok(());
    }
    let mut files: Vec<_> = options.env_files.iter().map(|path| absolute(path, &options.current)).collect();
    if files.is_empty() {
        let listed = environment.get("COMPOSE_ENV_FILES").unwrap_or_default();
        let listed = listed.split(',').map(str::trim).filter(|path| !path.is_empty());
        files = listed.map(|path| absolute(Path::new(path), &options.current)).collect();
    }
    if files.is_empty() {
        files.extend(Some(directory.join(".env")).filter(|path| path.is_file()));
    }
    environment.add_files(&files, warnings)
}

/// The files of the nearest folder, upwards, that has some.
fn discover(from: &Path) -> Result<Vec<PathBuf>, Error> {
    for folder in from.ancestors() {
        let first = |names: &[&str]| names.iter().map(|name| folder.join(name)).find(|path| path.is_file());
        if let Some(file) = first(&NAMES) {
            return Ok([Some(file), first(&OVERRIDES)].into_iter().flatten().collect());
        }
    }
    Err(Error::NoFile { below: from.to_owned() })
}

/// An absolute path without `.` and `..`, as text goes: links aren't followed.
pub(crate) fn absolute(path: &Path, from: &Path) -> PathBuf {
    use std::path::Component;
    if path == Path::new("-") {
        return path.to_owned();
    }
    let mut clean = PathBuf::new();
    for part in from.join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    clean
}
