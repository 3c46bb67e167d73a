//! `build` and `push`: each service's image by the command of that name.

mod bakefile;

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use compose::{Project, labels};
use serde_json::Value;

use super::report::Report;
use super::{order, project};
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::ui;

/// When a service's image is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Always,
    /// Where there is none, or the file says so.
    Missing,
    Never,
}

/// What the command line adds to every build.
#[derive(Debug, Clone, Default)]
pub(super) struct Flags {
    pub(super) words: Vec<String>,
}

impl Flags {
    pub(super) fn quiet(quiet: bool) -> Self {
        Self { words: if quiet { vec!["--quiet".to_owned()] } else { Vec::new() } }
    }
}

/// Whether a service's image has to be built now.
pub(super) fn is_due(project: &Project, service: &str, when: When, here: bool) -> bool {
    let Some(spec) = project.service(service).filter(|spec| !spec["build"].is_null()) else { return false };
    match when {
        When::Always => true,
        When::Never => false,
        When::Missing => !here || spec["pull_policy"] == "build",
    }
}

/// `compose build`.
pub(crate) fn build(call: &Call) -> Outcome {
    let flags = call.flags();
    let project = project::load(call, call.args())?;
    let services: Vec<String> = match (flags.bool("with-dependencies"), call.args().is_empty()) {
        (true, _) | (_, true) => project.with_dependencies(call.args())?.into_iter().collect(),
        _ => project.known(call.args())?,
    };
    let mut words = Vec::new();
    words.extend(
        ["check", "no-cache", "pull"]
            .into_iter()
            .filter(|name| flags.bool(name))
            .map(|name| format!("--{name}")),
    );
    words.extend(flags.list("build-arg").into_iter().map(|arg| format!("--build-arg={arg}")));
    words.extend(flags.list("ssh").into_iter().map(|ssh| format!("--ssh={ssh}")));
    let said = |name: &str| flags.find(name).map(|value| format!("--{name}={value}"));
    words.extend(["builder", "provenance", "sbom"].into_iter().filter_map(said));
    words.extend(flags.bool("quiet").then(|| "--quiet".to_owned()));
    let built: Vec<_> =
        services.into_iter().filter(|name| is_due(&project, name, When::Always, true)).collect();
    let built: Vec<_> = project.in_build_order(&built).into_iter().map(str::to_owned).collect();
    if flags.bool("print") {
        return print(call, &project, &built);
    }
    self::services(call, &project, &built, &Flags { words })?;
    if flags.bool("push") {
        push_services(call, &project, &built, false)?;
    }
    Ok(0)
}

/// Where nothing is built, nothing is printed, as with docker compose.
fn print(call: &Call, project: &Project, built: &[String]) -> Outcome {
    let flags = call.flags();
    let said = bakefile::Said {
        arguments: flags.list("build-arg"),
        ssh: flags.list("ssh"),
        pull: flags.bool("pull"),
        no_cache: flags.bool("no-cache"),
        check: flags.bool("check"),
        push: flags.bool("push"),
    };
    if !built.is_empty() {
        let file = bakefile::bake_file(project, built, &said)?;
        ui::out(&format!("{file:#}\n"))?;
    }
    Ok(0)
}

/// Builds these services' images and those whose images their builds read: what is built on others after them, all else at once.
pub(super) fn services(
    call: &Call,
    project: &Project,
    services: &[String],
    flags: &Flags,
) -> Result<(), Error> {
    let groups = project.in_build_groups(services);
    let is_alone = groups.iter().map(Vec::len).sum::<usize>() == 1;
    // What a check finds is an answer of its own.
    let at_once = if flags.words.iter().any(|word| word == "--check") { 1 } else { order::most() };
    for group in groups.iter().flat_map(|group| group.chunks(at_once)) {
        if call.is_dry() {
            let report = Report::new(call, false)?;
            group.iter().for_each(|service| report.done("Image", &project.image(service), "Built"));
            continue;
        }
        let planned: Result<Vec<Planned>, Error> =
            group.iter().map(|service| Planned::of(call, project, service, flags)).collect();
        let planned = planned?;
        let lines: Vec<_> = planned.iter().map(|one| (one.service.to_owned(), one.line.clone())).collect();
        let code = match &lines[..] {
            [(service, line)] => {
                let name = if is_alone { String::new() } else { service.clone() };
                call.again_by(line, move |call| crate::commands::build::part(call, &name))?
            }
            [(_, first), ..] => call.again_by(&first.clone(), move |call| together(call, &lines))?,
            [] => 0,
        };
        if code != 0 {
            return Err(failed(project, group, flags, code));
        }
    }
    Ok(())
}

/// In the call of the first of them, which knows how they are shown.
fn together(first: &Call, lines: &[(String, Vec<String>)]) -> Outcome {
    let parsed = lines.iter().map(|(name, line)| Ok((name.clone(), first.parsed(line)?)));
    crate::commands::build::together(first, &parsed.collect::<Result<Vec<_>, Error>>()?)
}

fn failed(project: &Project, group: &[&str], flags: &Flags, code: i32) -> Error {
    let (images, names) = match group {
        [one] => ("image of service", format!("{one:?}")),
        _ => ("images of services", format!("{group:?}")),
    };
    let bases: Vec<&str> = group.iter().flat_map(|service| project.builds_on(service)).collect();
    let why = match flags.words.iter().any(|word| word == "--check") && !bases.is_empty() {
        true => format!("; a check reads the images of {}: build them first", bases.join(", ")),
        false => String::new(),
    };
    Error::Usage(format!("failed to build the {images} {names}: exit code {code}{why}"))
}

/// A service's build as a line of `build`.
struct Planned<'a> {
    service: &'a str,
    line: Vec<String>,
    /// What the line names, for as long as it is built.
    _inline: Option<Inline>,
}

impl<'a> Planned<'a> {
    fn of(call: &Call, project: &Project, service: &'a str, flags: &Flags) -> Result<Self, Error> {
        let spec = project.service(service).unwrap_or(&Value::Null);
        let inline = spec["build"]["dockerfile_inline"].as_str().map(Inline::write).transpose()?;
        let mut line = line(project, service, spec, flags)?;
        let bases = project.builds_on(service).join(", ");
        let words = line.len();
        line.retain(|word| bases.is_empty() || word != "--pull");
        if line.len() < words {
            // The engine would look for what was just built in a registry, where it isn't.
            ui::err(&format!(
                "WARN[0000] service {service:?} is built on the images of other services ({bases}): what else it is built on isn't pulled"
            ));
        }
        line.splice(1..1, progress(call));
        line.splice(1..1, inline.iter().map(|inline| format!("--file={}", inline.0.display())));
        Ok(Self { service, line, _inline: inline })
    }
}

/// How builds are shown, where `--progress` says so, in the words of a build.
fn progress(call: &Call) -> Option<String> {
    let own = call.flags();
    let said = if own.has("progress") { own.find("progress") } else { None };
    let word = match said.or_else(|| call.group().find("progress"))? {
        "json" => "rawjson",
        word => word,
    };
    Some(format!("--progress={word}"))
}

/// A Dockerfile that stands in the project's file, as a file of its own for as long as it is built.
struct Inline(PathBuf);

impl Inline {
    fn write(text: &str) -> Result<Self, Error> {
        let failed = |e: std::io::Error| Error::Io("write an inline Dockerfile", e);
        let name = buildkit::identity().map_err(|e| Error::Usage(e.to_string()))?;
        let path = std::env::temp_dir().join(format!("ketch-dockerfile-{name}"));
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
        let inline = Self(path);
        file.write_all(text.as_bytes()).map_err(failed)?;
        Ok(inline)
    }
}

impl Drop for Inline {
    fn drop(&mut self) {
        // Nobody is left to be told, and the temporary folder is swept anyway.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn line(project: &Project, service: &str, spec: &Value, flags: &Flags) -> Result<Vec<String>, Error> {
    let build = &spec["build"];
    let texts = |key: &str| -> Vec<String> {
        build[key].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let pairs = |key: &str| -> Vec<String> {
        let pairs = build[key].as_object().into_iter().flatten();
        pairs.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect()
    };
    if let Some(isolation) = build["isolation"].as_str().filter(|isolation| *isolation != "default") {
        return Err(Error::Usage(format!(
            "service {service:?}: build.isolation {isolation} is for Windows containers; there is default"
        )));
    }
    let mut line = vec!["build".to_owned(), format!("--tag={}", project.image(service))];
    for (label, value) in [
        (labels::PROJECT, project.name.as_str()),
        (labels::SERVICE, service),
        (labels::VERSION, labels::VERSION_VALUE),
    ] {
        line.push(format!("--label={label}={value}"));
    }
    line.extend(texts("tags").into_iter().map(|tag| format!("--tag={tag}")));
    for (key, flag) in [("dockerfile", "file"), ("target", "target"), ("network", "network")] {
        if let Some(text) = build[key].as_str() {
            let text = match key {
                // A Dockerfile is looked for in the context.
                "dockerfile" => in_context(build["context"].as_str().unwrap_or_default(), text),
                _ => text.to_owned(),
            };
            line.push(format!("--{flag}={text}"));
        }
    }
    for (key, flag) in [("args", "build-arg"), ("labels", "label")] {
        line.extend(pairs(key).into_iter().map(|pair| format!("--{flag}={pair}")));
    }
    for (name, place) in build["additional_contexts"].as_object().into_iter().flatten() {
        let place = place.as_str().unwrap_or_default();
        let place = match place.strip_prefix("service:") {
            Some(base) => format!("docker-image://{}", project.image(base)),
            None => place.to_owned(),
        };
        line.push(format!("--build-context={name}={place}"));
    }
    for (key, flag) in [
        ("cache_from", "cache-from"),
        ("cache_to", "cache-to"),
        ("extra_hosts", "add-host"),
        ("no_cache_filter", "no-cache-filter"),
        ("entitlements", "allow"),
    ] {
        line.extend(texts(key).into_iter().map(|text| format!("--{flag}={text}")));
    }
    line.extend(texts("ssh").into_iter().map(|text| format!("--ssh={}", text.replacen(": ", "=", 1))));
    let platforms = texts("platforms");
    if !platforms.is_empty() {
        line.push(format!("--platform={}", platforms.join(",")));
    } else if let Some(platform) = spec["platform"].as_str() {
        line.push(format!("--platform={platform}"));
    }
    for (key, flag) in [("no_cache", "no-cache"), ("pull", "pull")] {
        line.extend((build[key] == true).then(|| format!("--{flag}")));
    }
    line.extend((build["privileged"] == true).then(|| "--allow=security.insecure".to_owned()));
    for key in ["provenance", "sbom"] {
        line.extend(build[key].as_str().map(|wanted| format!("--{key}={wanted}")));
    }
    line.extend(build["shm_size"].as_str().map(|size| format!("--shm-size={size}")));
    for (name, limit) in build["ulimits"].as_object().into_iter().flatten() {
        line.push(match limit.as_i64() {
            Some(both) => format!("--ulimit={name}={both}"),
            None => format!("--ulimit={name}={}:{}", limit["soft"], limit["hard"]),
        });
    }
    line.extend(secrets(project, service, build)?);
    line.extend(flags.words.iter().cloned());
    line.push(build["context"].as_str().unwrap_or(".").to_owned());
    Ok(line)
}

fn in_context(context: &str, dockerfile: &str) -> String {
    let remote = context.contains("://") || context.starts_with("git@");
    match remote || dockerfile.starts_with('/') {
        true => dockerfile.to_owned(),
        false => format!("{}/{dockerfile}", context.trim_end_matches('/')),
    }
}

fn secrets(project: &Project, service: &str, build: &Value) -> Result<Vec<String>, Error> {
    let mut words = Vec::new();
    for used in build["secrets"].as_array().into_iter().flatten() {
        if ["uid", "gid", "mode"].iter().any(|key| !used[*key].is_null()) {
            ui::err(
                "WARN[0000] secrets `uid`, `gid` and `mode` are not supported by BuildKit, they will be ignored",
            );
        }
        let source = used["source"].as_str().unwrap_or_default();
        let id = used["target"].as_str().unwrap_or(source);
        let secret = project.resource("secrets", source).unwrap_or(&Value::Null);
        let from = match (secret["file"].as_str(), secret["environment"].as_str()) {
            (Some(path), _) => format!("src={path}"),
            (None, Some(name)) => format!("env={name}"),
            _ => {
                return Err(Error::Usage(format!(
                    "service {service:?}: build secret {source} needs a file or a variable"
                )));
            }
        };
        words.push(format!("--secret=id={id},{from}"));
    }
    Ok(words)
}

/// `compose push`.
pub(crate) fn push(call: &Call) -> Outcome {
    let flags = call.flags();
    let project = project::load(call, call.args())?;
    let services: Vec<String> = match flags.bool("include-deps") || call.args().is_empty() {
        true => project.with_dependencies(call.args())?.into_iter().collect(),
        false => project.known(call.args())?,
    };
    push_services(call, &project, &services, flags.bool("ignore-push-failures"))?;
    Ok(0)
}

pub(super) fn push_services(
    call: &Call,
    project: &Project,
    services: &[String],
    ignore: bool,
) -> Result<(), Error> {
    let built = |name: &&String| {
        project.service(name).is_some_and(|spec| !spec["build"].is_null() && spec["image"].is_string())
    };
    for service in services.iter().filter(built) {
        let mut line = vec!["push".to_owned()];
        line.extend((call.flags().has("quiet") && call.flags().bool("quiet")).then(|| "--quiet".to_owned()));
        line.push(project.image(service));
        if call.is_dry() {
            Report::new(call, false)?.done("Image", &project.image(service), "Pushed");
            continue;
        }
        match call.again(&line) {
            Ok(0) => {}
            _ if ignore => {}
            Ok(code) => {
                return Err(Error::Usage(format!(
                    "failed to push the image of service {service:?}: exit code {code}"
                )));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
