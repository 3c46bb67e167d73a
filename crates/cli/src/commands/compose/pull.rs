//! `pull`, and the pulls of `up`, `create` and `run`.

use std::collections::BTreeMap;

use client::{Engine, encode};
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
    /// Where it came longer ago than so many seconds.
    Older(i64),
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
            "refresh" => {
                let after = project.extension("services", service, "pull_refresh_after").unwrap_or_default();
                let seconds = age(&format!("every_{after}"));
                seconds.map(Self::Older).ok_or_else(|| {
                    Error::Usage(format!(
                        "service {service:?}: pull_policy refresh needs pull_refresh_after, such as 12h: {after:?}"
                    ))
                })
            }
            other => age(other).map(Self::Older).ok_or_else(|| {
                Error::Usage(format!(
                    "service {service:?}: unknown pull_policy {other}: there are always, missing, never, build, refresh, daily, weekly and every_<duration>"
                ))
            }),
        }
    }
}

/// The seconds of `daily`, `weekly` and `every_1w2d3h4m5s`.
fn age(policy: &str) -> Option<i64> {
    let span = match policy {
        "daily" => "1d",
        "weekly" => "1w",
        other => other.strip_prefix("every_")?,
    };
    let mut rest = span;
    let mut seconds: i64 = 0;
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let (number, unit) = rest.split_at(end);
        let of_unit = match unit.chars().next()? {
            'w' => 7 * 86_400,
            'd' => 86_400,
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        seconds = seconds.checked_add(number.parse::<i64>().ok()?.checked_mul(of_unit)?)?;
        rest = &unit[1..];
    }
    Some(seconds).filter(|_| !span.is_empty())
}

/// Whether an image came, or was named, longer ago than so many seconds.
async fn is_older(engine: &Engine, image: &str, seconds: i64) -> Result<bool, Error> {
    let found = engine.get(&format!("/images/{}/json", encode(image))).await?;
    let tagged = found["Metadata"]["LastTagTime"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
    Ok(tagged.is_none_or(|at| jiff::Timestamp::now().as_second() - at.as_second() > seconds))
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
            Policy::Missing | Policy::File | Policy::Build | Policy::Older(_) if !here => {
                wanted.push(name.clone());
            }
            Policy::Older(seconds) if is_older(engine, &project.image(name), seconds).await? => {
                wanted.push(name.clone());
            }
            _ => {}
        }
    }
    fetch(call, engine, project, &wanted, Policy::Always, report).await
}

/// An image that no service has, if it isn't here.
pub(super) async fn missing(call: &Call, engine: &Engine, image: &str, report: Report) -> Result<(), Error> {
    if image_id(engine, image).await?.is_some() {
        return Ok(());
    }
    let reference = single::parse(image)?.or_latest();
    report.begins("Image", image, "Pulling");
    single::fetch(call, engine, &reference, None).await?;
    report.done("Image", image, "Pulled");
    Ok(())
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
        let _turn = super::order::turn().await;
        report.begins("Image", image, "Pulling");
        if engine.is_dry() {
            report.done("Image", image, "Pulled");
            return Ok(());
        }
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

#[cfg(test)]
mod tests {
    use super::age;

    #[test]
    fn ages_are_sums_of_units() {
        for (text, seconds) in [
            ("daily", Some(86_400)),
            ("weekly", Some(604_800)),
            ("every_12h", Some(43_200)),
            ("every_1w2d3h4m5s", Some(604_800 + 172_800 + 10_800 + 240 + 5)),
            ("every_", None),
            ("every_h", None),
            ("every_5", None),
            ("every_99999999999999999999s", None),
            ("hourly", None),
        ] {
            assert_eq!(age(text), seconds, "{text}");
        }
    }
}
