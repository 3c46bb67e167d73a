//! `config`: the project as it is understood.

use std::collections::BTreeMap;
use std::fs;

use compose::{Project, Switches};

use super::project::{self, options};
use crate::call::Call;
use crate::commands::pull as single;
use crate::error::{Error, Outcome};
use crate::listing::align_with;
use crate::ui;

/// `compose config`.
pub(crate) fn config(call: &Call) -> Outcome {
    let flags = call.flags();
    let said = |name: &str| flags.bool(name);
    if said("variables") {
        return variables(call);
    }
    let switches = Switches {
        interpolate: !said("no-interpolate"),
        normalize: !said("no-normalize"),
        resolve_paths: !said("no-path-resolution"),
        // docker hashes a service before its files of variables are read.
        resolve_environment: !said("no-env-resolution") && !flags.changed("hash"),
        consistency: !said("no-consistency"),
        ..project::switches(call)
    };
    let project = project::load_with(call, call.args(), switches)?;
    let project = match call.args() {
        // Without variables filled in, docker's client shows all of it.
        names if !names.is_empty() && !said("no-interpolate") => project.only(names)?,
        _ => project,
    };
    if said("environment") {
        let lines: Vec<_> =
            project.environment.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        ui::out(&lines.concat())?;
        return Ok(0);
    }
    if let Some(key) = flags.find("explain") {
        return explain(&project, key);
    }
    if said("quiet") {
        return Ok(0);
    }
    let project = match said("lock-image-digests") || said("resolve-image-digests") {
        true => pinned(call, project)?,
        false => project,
    };
    let text = match said("lock-image-digests") {
        true => project.images_alone(),
        false => text(call, &project)?,
    };
    match flags.find("output") {
        Some(path) => fs::write(path, text).map_err(|e| Error::Usage(format!("cannot write {path}: {e}")))?,
        None => ui::out(&text)?,
    }
    Ok(0)
}

/// Each image as its registry has it now.
pub(super) fn pinned(call: &Call, project: Project) -> Result<Project, Error> {
    let images = call.with_engine(|engine| async move {
        let mut images = BTreeMap::new();
        for name in project.names("services") {
            let spec = project.service(name);
            let Some(image) = spec.and_then(|spec| spec["image"].as_str()) else { continue };
            let reference = single::parse(image)?.or_latest();
            if reference.digest().is_some() {
                images.insert(name.to_owned(), reference.to_string());
                continue;
            }
            let engine = call.known_to(&engine, reference.domain());
            let found = engine.get(&format!("/distribution/{reference}/json")).await.map_err(|error| {
                Error::Usage(format!("failed to resolve digest for {reference}: {}", diag::chain(&error)))
            })?;
            let digest = found["Descriptor"]["digest"].as_str().unwrap_or_default();
            images.insert(name.to_owned(), format!("{reference}@{digest}"));
        }
        Ok((images, project))
    });
    let (images, project) = images?;
    Ok(project.with_images(&images))
}

/// `--explain`: which line each value came from, and what its variables are worth.
fn explain(project: &Project, key: &str) -> Outcome {
    let found = project.explain(key);
    if found.is_empty() {
        return Err(Error::Usage(format!("the project has no {key}")));
    }
    for one in found {
        let place = one.place.as_ref();
        let from = place.map_or_else(|| "a default: nobody wrote it".to_owned(), |place| place.to_string());
        let mut text = format!("{} = {}\n  from {from}\n", one.key, one.value);
        if let Some(place) = place {
            text.push_str(&format!("       {}\n", place.text.trim()));
        }
        for (name, value, who) in &one.variables {
            text.push_str(&format!("       {name} is {value:?}: {who}\n"));
        }
        ui::out(&diag::printable(&text))?;
    }
    Ok(0)
}

fn text(call: &Call, project: &Project) -> Result<String, Error> {
    let flags = call.flags();
    let lines = |names: Vec<String>| names.into_iter().map(|name| format!("{name}\n")).collect::<String>();
    let names = |top: &str| project.names(top).into_iter().map(str::to_owned).collect::<Vec<_>>();
    for top in ["services", "volumes", "networks", "models"] {
        if flags.bool(top) {
            return Ok(lines(names(top)));
        }
    }
    if flags.bool("profiles") {
        return Ok(lines(project.profiles()));
    }
    if flags.bool("images") {
        return Ok(lines(names("services").iter().map(|name| project.image(name)).collect()));
    }
    if flags.changed("hash") {
        let wanted = flags.text("hash");
        let chosen: Vec<String> = match wanted {
            "*" => names("services"),
            listed => project.known(&listed.split(',').map(str::to_owned).collect::<Vec<_>>())?,
        };
        return Ok(lines(chosen.iter().map(|name| format!("{name} {}", project.hash(name))).collect()));
    }
    match flags.text("format") {
        "" | "yaml" => Ok(project.yaml()),
        "json" => Ok(project.json()),
        other => Err(Error::Usage(format!("unsupported format {other:?}: there are yaml and json"))),
    }
}

/// The variables that the files mention, in a table as docker's.
fn variables(call: &Call) -> Outcome {
    let variables = Project::variables(&options(call, Switches::default())?)?;
    let mut text = "NAME\tREQUIRED\tDEFAULT VALUE\tALTERNATE VALUE\n".to_owned();
    for variable in variables {
        text.push_str(&format!(
            "{}\t{}\t{}\t{}\n",
            variable.name,
            variable.required,
            variable.default.unwrap_or_default(),
            variable.alternate.unwrap_or_default()
        ));
    }
    ui::out(&align_with(&diag::printable(&text), 20, 3))?;
    Ok(0)
}
