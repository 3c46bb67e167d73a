//! The project that a call means.

use std::path::PathBuf;
use std::rc::Rc;

use client::resolve::process_env;
use compose::{Environment, Options, Project, Switches};

use crate::call::Call;
use crate::error::Error;
use crate::ui;

/// What the flags of `compose` itself say.
pub(super) fn options(call: &Call, switches: Switches) -> Result<Options, Error> {
    let group = call.group();
    let paths = |name: &str| group.list(name).into_iter().map(PathBuf::from).collect();
    let directory = ["project-directory", "workdir"].into_iter().find(|name| group.changed(name));
    let current = std::env::current_dir().map_err(|e| Error::Io("find the current folder", e))?;
    let process = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    // Files name it, and a service manager or a program that calls this one needn't have it.
    let here = match process_env("PWD") {
        Some(shell) if std::fs::canonicalize(&shell).ok().as_ref() == Some(&current) => shell,
        _ => current.to_string_lossy().into_owned(),
    };
    Ok(Options {
        files: paths("file"),
        directory: directory.map(|name| group.text(name).into()),
        name: group.changed("project-name").then(|| group.text("project-name").to_owned()),
        env_files: paths("env-file"),
        environment: Environment::process(process.chain([("PWD".to_owned(), here)])),
        current,
        switches,
        remote: Some(Rc::new(super::remote::Elsewhere::new(call))),
    })
}

/// The profiles that are active.
pub(super) fn profiles(call: &Call) -> Vec<String> {
    let given = call.group().list("profile");
    if !given.is_empty() {
        return given;
    }
    let listed = process_env("COMPOSE_PROFILES").unwrap_or_default();
    listed.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The project, its warnings told. Services that are named need no profile.
pub(crate) fn load(call: &Call, services: &[String]) -> Result<Project, Error> {
    load_with(call, services, switches(call))
}

/// The switches as flags and variables say.
pub(super) fn switches(call: &Call) -> Switches {
    let group = call.group();
    let underscores = match group.changed("compatibility") {
        true => group.bool("compatibility"),
        false => process_env("COMPOSE_COMPATIBILITY")
            .is_some_and(|text| matches!(text.as_str(), "1" | "true" | "yes" | "on" | "y")),
    };
    Switches { only_used: !group.bool("all-resources"), underscores, ..Switches::default() }
}

/// The same with other switches.
pub(super) fn load_with(call: &Call, services: &[String], switches: Switches) -> Result<Project, Error> {
    super::order::limit(call)?;
    let options = options(call, switches)?;
    let mut profiles = profiles(call);
    let mut project = Project::load(&options, &profiles)?;
    let wanted: Vec<_> =
        project.disabled().filter(|(name, _)| services.iter().any(|one| one == name)).collect();
    if !wanted.is_empty() {
        profiles.extend(wanted.into_iter().flat_map(|(_, profiles)| profiles));
        project = Project::load(&options, &profiles)?;
    }
    warn(&project);
    Ok(project)
}

/// The project with all services, whatever profile wants them.
pub(super) fn load_all(call: &Call) -> Result<Project, Error> {
    let project = Project::load(&options(call, switches(call))?, &["*".to_owned()])?;
    warn(&project);
    Ok(project)
}

fn warn(project: &Project) {
    for warning in project.warnings.iter() {
        ui::err(&diag::printable(&format!("WARN[0000] {warning}")));
    }
}

/// The project's name alone: where the file can't be found, the name that was given is enough.
pub(super) fn name(call: &Call) -> Result<(String, Option<Project>), Error> {
    match load(call, &[]) {
        Ok(project) => Ok((project.name.clone(), Some(project))),
        Err(Error::Compose(compose::Error::NoFile { .. })) if call.group().changed("project-name") => {
            Ok((call.group().text("project-name").to_owned(), None))
        }
        Err(error) => Err(error),
    }
}
