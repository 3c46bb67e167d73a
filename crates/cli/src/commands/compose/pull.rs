//! `pull`, and the pulls of `up`, `create` and `run`.

use std::collections::BTreeMap;

use client::Engine;
use compose::Project;
use futures_util::future::join_all;

use super::create::image_id;
use super::project;
use super::report::Report;
use crate::call::Call;
use crate::commands::pull as single;
use crate::error::{Error, Outcome};
use crate::ui;

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    /// As the file says.
    File,
    Always,
    Missing,
    Never,
    /// Built instead, where that can be.
    Build,
}

impl Policy {
    pub(super) fn read(text: &str) -> Result<Self, Error> {
        Ok(match text {
            "" | "policy" => Self::File,
            "always" => Self::Always,
            "missing" => Self::Missing,
            "never" => Self::Never,
            "build" => Self::Build,
            other => return Err(Error::Usage(format!("invalid --pull option {other:?}"))),
        })
    }

    fn of(self, project: &Project, service: &str) -> Result<Self, Error> {
        if self != Self::File {
            return Ok(self);
        }
        let said = project.service(service).and_then(|spec| spec["pull_policy"].as_str()).unwrap_or_default();
        match said {
            "" | "missing" | "build" => Ok(Self::Missing),
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            other => Err(Error::Usage(format!(
                "service {service:?}: pull_policy {other} is not built yet; use always or missing"
            ))),
        }
    }
}

/// `compose pull`.
pub(crate) fn pull(call: &Call) -> Outcome {
    let flags = call.flags();
    let project = project::load(call, call.args())?;
    let services: Vec<String> = match flags.bool("include-deps") || call.args().is_empty() {
        true => project.with_dependencies(call.args())?.into_iter().collect(),
        false => project.known(call.args())?,
    };
    let policy = match flags.text("policy") {
        "" | "always" => Policy::Always,
        "missing" => Policy::Missing,
        other => {
            return Err(Error::Usage(format!("invalid --policy {other:?}: there are missing and always")));
        }
    };
    let built = |name: &&String| project.service(name).is_some_and(|spec| !spec["build"].is_null());
    let named = |name: &&String| project.service(name).is_some_and(|spec| spec["image"].is_string());
    let buildable = flags.bool("ignore-buildable");
    let services: Vec<_> =
        services.iter().filter(|name| named(name) && !(buildable && built(name))).cloned().collect();
    let ignore = flags.bool("ignore-pull-failures");
    let report = Report::new(call, flags.bool("quiet"))?;
    call.with_engine(|engine| async move {
        match fetch(call, &engine, &project, &services, policy, report).await {
            Err(error) if ignore => ui::err(&format!("WARN[0000] {}", diag::printable(&diag::chain(&error)))),
            other => other?,
        }
        Ok(0)
    })
}

/// Makes sure that the images of these services are here, as their policies say.
pub(super) async fn ensure(
    call: &Call,
    engine: &Engine,
    project: &Project,
    services: &[String],
    policy: Policy,
    report: Report,
) -> Result<(), Error> {
    let mut wanted = Vec::new();
    for name in services {
        let here = image_id(engine, &project.image(name)).await?.is_some();
        match policy.of(project, name)? {
            Policy::Always => wanted.push(name.clone()),
            Policy::Never if !here => {
                return Err(Error::Usage(format!(
                    "service {name:?}: image {} is not here, and pull_policy never forbids to fetch it",
                    project.image(name)
                )));
            }
            Policy::Missing | Policy::File | Policy::Build if !here => wanted.push(name.clone()),
            _ => {}
        }
    }
    fetch(call, engine, project, &wanted, Policy::Always, report).await
}

async fn fetch(
    call: &Call,
    engine: &Engine,
    project: &Project,
    services: &[String],
    policy: Policy,
    report: Report,
) -> Result<(), Error> {
    // An image that several services share comes once.
    let mut by_image: BTreeMap<String, &String> = BTreeMap::new();
    for name in services {
        let image = project.image(name);
        if policy == Policy::Always || image_id(engine, &image).await?.is_none() {
            by_image.entry(image).or_insert(name);
        }
    }
    let pulls = by_image.iter().map(|(image, service)| async move {
        let reference = single::parse(image)?.or_latest();
        report.begins("Image", image, "Pulling");
        single::fetch(call, engine, &reference, None).await.map_err(|error| {
            Error::Usage(format!("service {service:?}: cannot pull {image}: {}", diag::chain(&error)))
        })?;
        report.done("Image", image, "Pulled");
        Ok::<_, Error>(())
    });
    let failures: Vec<String> =
        join_all(pulls).await.into_iter().filter_map(Result::err).map(|error| diag::chain(&error)).collect();
    match failures.is_empty() {
        true => Ok(()),
        false => Err(Error::Several(failures.join("\n"))),
    }
}
