//! Services that a program provides: `provider: {type: …, options: …}`.
//!
//! The program is a plugin of docker's or one in the `PATH`. It is called `<program> compose --project-name=P up --option=value
//! SERVICE`, and says in documents of JSON on its output how it goes and which variables the services are given that depend
//! on it. Only it knows them, so it is asked each time containers may be made; asking twice changes nothing by its contract.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};

use client::{Engine, encode};
use compose::Project;
use serde_json::Value;

use super::observe;
use super::order;
use super::report::Report;
use crate::call::Call;
use crate::error::Error;
use crate::{plugins, ui};

/// No program says more than this.
const MOST: u64 = 16 << 20;
/// As much of its errors as is shown when it fails.
const LAST: usize = 4 << 10;

/// What a provider is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Up,
    Stop,
    Down,
}

impl Verb {
    /// The word that it is asked by, and how it is told before and after.
    fn words(self) -> [&'static str; 3] {
        match self {
            Self::Up => ["up", "Creating", "Created"],
            Self::Stop => ["stop", "Stopping", "Stopped"],
            Self::Down => ["down", "Removing", "Removed"],
        }
    }
}

/// Variables by service.
type Variables = BTreeMap<String, BTreeMap<String, String>>;

/// The providers that these services are or depend on.
fn wanted<'p>(project: &'p Project, services: &[String]) -> Vec<&'p str> {
    let needed = |name: &str| {
        let mut dependents = services.iter().flat_map(|service| project.dependencies(service));
        services.iter().any(|service| service == name) || dependents.any(|one| one.service == name)
    };
    let providers = project.in_order().into_iter().filter(|name| project.provider(name).is_some());
    providers.filter(|name| needed(name)).collect()
}

/// Those of these services that programs provide; of all if none is named.
pub(super) fn among(project: &Project, services: &[String]) -> Vec<String> {
    let named = |name: &&str| services.is_empty() || services.iter().any(|service| service == name);
    let names = project.names("services").into_iter().filter(named);
    names.filter(|name| project.provider(name).is_some()).map(str::to_owned).collect()
}

/// Lets providers provide. The project with what their dependents are given; none where there is no provider.
pub(super) async fn up(
    call: &Call,
    project: &Project,
    services: &[String],
    report: Report,
) -> Result<Option<Project>, Error> {
    let names: Vec<String> = wanted(project, services).into_iter().map(str::to_owned).collect();
    if names.is_empty() {
        return Ok(None);
    }
    let given: Mutex<Variables> = Mutex::default();
    let all = &given;
    order::forwards(
        project,
        &names,
        |_, _| async { Ok(()) },
        |name| async move {
            let said = ask(call, project, &name, Verb::Up, report).await?;
            give(project, &name, said, &mut all.lock().unwrap_or_else(PoisonError::into_inner));
            Ok(())
        },
    )
    .await?;
    let given = given.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Some(project.with_variables(&given)?))
}

/// Gives a provider's variables to the services that depend on it.
fn give(project: &Project, provider: &str, said: Said, all: &mut Variables) {
    let prefix = provider.to_uppercase();
    let own = said.prefixed.into_iter().map(|(name, value)| (format!("{prefix}_{name}"), value));
    let own: Vec<_> = own.collect();
    for service in dependents(project, provider) {
        let known = all.entry(service.to_owned()).or_default();
        known.extend(own.iter().cloned());
        for (name, value) in &said.raw {
            let before = &project.service(service).unwrap_or(&Value::Null)["environment"][name];
            let before = known.get(name).map(String::as_str).or(before.as_str());
            if before.is_some_and(|before| before != value) {
                ui::err(&diag::printable(&format!(
                    "WARN[0000] provider {provider:?} overrides environment variable {name:?} in service {service:?}"
                )));
            }
            known.insert(name.clone(), value.clone());
        }
    }
}

fn dependents<'p>(project: &'p Project, provider: &str) -> Vec<&'p str> {
    let depends = |name: &&str| project.dependencies(name).iter().any(|one| one.service == provider);
    project.names("services").into_iter().filter(depends).collect()
}

/// Where nothing is to be done, nobody is asked: what containers were given by providers, they would be given again.
pub(super) async fn as_before(
    engine: &Engine,
    project: &Project,
    services: &[String],
    there: &[Value],
) -> Result<Option<Project>, Error> {
    let names = wanted(project, services);
    let mut given = Variables::new();
    for name in &names {
        let prefix = format!("{}_", name.to_uppercase());
        for service in dependents(project, name) {
            let is_its = |one: &&Value| observe::label(one, compose::labels::SERVICE) == service;
            let Some(container) = there.iter().find(is_its) else { continue };
            let path = format!("/containers/{}/json", encode(observe::id(container)));
            let found = engine.get(&path).await?;
            let variables = found["Config"]["Env"].as_array().into_iter().flatten();
            let variables = variables.filter_map(|pair| pair.as_str()?.split_once('='));
            let own = variables.filter(|(variable, _)| variable.starts_with(&prefix));
            let own = own.map(|(variable, value)| (variable.to_owned(), value.to_owned()));
            given.entry(service.to_owned()).or_default().extend(own);
        }
    }
    Ok(if names.is_empty() { None } else { Some(project.with_variables(&given)?) })
}

/// What a provider said.
#[derive(Debug, Default)]
struct Said {
    /// Variables that get the service's name before their own.
    prefixed: BTreeMap<String, String>,
    raw: BTreeMap<String, String>,
}

/// Lets the provider of a service stop it or take it back. One that doesn't say that it can be stopped isn't asked to.
pub(super) async fn end(
    call: &Call,
    project: &Project,
    service: &str,
    verb: Verb,
    report: Report,
) -> Result<(), Error> {
    ask(call, project, service, verb, report).await.map(drop)
}

async fn ask(
    call: &Call,
    project: &Project,
    service: &str,
    verb: Verb,
    report: Report,
) -> Result<Said, Error> {
    let asked = Asked::of(call, project, service)?;
    let [_, begins, done] = verb.words();
    if call.is_dry() {
        report.done("Provider", service, done);
        return Ok(Said::default());
    }
    // It takes as long as it takes, and others go on meanwhile.
    let work = move || -> Result<Option<Said>, Error> {
        let Some(mut command) = asked.command(verb)? else { return Ok(None) };
        report.begins("Provider", &asked.service, begins);
        let said = asked.converse(&mut command, verb, report)?;
        report.done("Provider", &asked.service, done);
        Ok(Some(said))
    };
    let ended = tokio::task::spawn_blocking(work).await;
    let said =
        ended.map_err(|_| Error::Usage(format!("service {service:?}: its provider was given up")))??;
    Ok(said.unwrap_or_default())
}

/// A program, and what it is told.
struct Asked {
    service: String,
    kind: String,
    program: PathBuf,
    project: String,
    options: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    /// Whether what it says for those who look for a mistake is shown.
    verbose: bool,
}

impl Asked {
    fn of(call: &Call, project: &Project, service: &str) -> Result<Self, Error> {
        let provider = project.provider(service).unwrap_or(&Value::Null);
        let kind = provider["type"].as_str().unwrap_or_default();
        if matches!(kind, "" | "compose") {
            return Err(Error::Usage(format!("service {service:?}: {kind:?} is not a valid provider type")));
        }
        let texts = |value: &Value| match value {
            Value::Array(list) => list.iter().map(plain).collect(),
            single => vec![plain(single)],
        };
        let options = provider["options"].as_object().into_iter().flatten();
        let options =
            options.flat_map(|(name, value)| texts(value).into_iter().map(move |text| (name.clone(), text)));
        let environment = project.environment.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(Self {
            service: service.to_owned(),
            kind: kind.to_owned(),
            program: plugins::find(&call.config_dir(), kind).unwrap_or_else(|| kind.into()),
            project: project.name.clone(),
            options: options.collect(),
            environment: environment.chain(call.engine_variables()).collect(),
            verbose: call.debug() || call.group().bool("verbose"),
        })
    }

    fn wrong(&self, what: impl std::fmt::Display) -> Error {
        Error::Usage(format!("service {:?}: provider {}: {what}", self.service, self.kind))
    }

    fn program(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("compose").stdin(Stdio::null()).stdout(Stdio::piped());
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn spawn(&self, command: &mut Command) -> Result<Child, Error> {
        command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => self.wrong(format!(
                "there is neither a plugin docker-{kind} nor a program {kind} in PATH: install it",
                kind = self.kind
            )),
            _ => self.wrong(format!("cannot be started: {error}")),
        })
    }

    /// What it says of itself: many say nothing, and are given all options.
    fn metadata(&self) -> Result<Value, Error> {
        let mut child = self.spawn(self.program().arg("metadata").stderr(Stdio::null()))?;
        let mut text = Vec::new();
        if let Some(output) = child.stdout.take() {
            let _ = output.take(MOST).read_to_end(&mut text);
        }
        let ended = child.wait().map_err(|e| Error::Io("wait for a provider", e))?;
        Ok(if ended.success() { serde_json::from_slice(&text).unwrap_or_default() } else { Value::Null })
    }

    /// The whole command line; none for a provider that can't do it.
    fn command(&self, verb: Verb) -> Result<Option<Command>, Error> {
        let metadata = self.metadata()?;
        let [word, ..] = verb.words();
        if verb == Verb::Stop && metadata["stop"].is_null() {
            return Ok(None);
        }
        let says = |key: &str| !metadata[key]["parameters"].is_null();
        let all = plain(&metadata["description"]).is_empty() && !says("up") && !says("down");
        let parameters = metadata[word]["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        let name_of = |one: &Value| plain(&one["name"]);
        let has = |name: &str| self.options.iter().any(|(option, _)| option == name);
        let missing =
            parameters.iter().filter(|one| one["required"] == true).map(name_of).find(|name| !has(name));
        if let Some(missing) = missing {
            return Err(self.wrong(format!("required parameter {missing:?} is missing from its options")));
        }
        let mut command = self.program();
        command.arg(format!("--project-name={}", self.project)).arg(word).stderr(Stdio::piped());
        let known = |name: &str| all || parameters.iter().any(|one| name_of(one) == name);
        let options = self.options.iter().filter(|(name, _)| known(name));
        command.args(options.map(|(name, value)| format!("--{name}={value}"))).arg(&self.service);
        Ok(Some(command))
    }

    /// Listens until it has ended.
    fn converse(&self, command: &mut Command, verb: Verb, report: Report) -> Result<Said, Error> {
        let mut child = self.spawn(command)?;
        let errors = child.stderr.take().map(|errors| std::thread::spawn(move || last(errors)));
        let heard =
            child.stdout.take().map_or_else(|| Ok(Said::default()), |output| self.listen(output, report));
        if heard.is_err() {
            // What it would do further is nobody's wish; one that has ended can't be killed.
            let _ = child.kill();
        }
        let ended = child.wait().map_err(|e| Error::Io("wait for a provider", e))?;
        // Programs that it left behind may hold the stream: only of one that failed it matters what it said there.
        let told = |ended: ExitStatus| {
            let text = errors.and_then(|errors| errors.join().ok()).unwrap_or_default();
            let text = diag::printable(text.trim());
            self.wrong(format!(
                "failed to {}: {ended}{}{text}",
                verb.words()[0],
                if text.is_empty() { "" } else { "\n" }
            ))
        };
        match (heard, ended.success()) {
            (Err(error), _) => Err(error),
            (Ok(_), false) => Err(told(ended)),
            (Ok(said), true) => Ok(said),
        }
    }

    fn listen(&self, output: impl Read, report: Report) -> Result<Said, Error> {
        let mut said = Said::default();
        for message in serde_json::Deserializer::from_reader(BufReader::new(output.take(MOST))).into_iter() {
            let said_here: Value =
                message.map_err(|error| self.wrong(format!("invalid response from plugin: {error}")))?;
            let (kind, message) = (plain(&said_here["type"]), plain(&said_here["message"]));
            let variables = match kind.as_str() {
                "error" => return Err(self.wrong(diag::printable(&message))),
                "info" => {
                    let first = message.lines().next().unwrap_or_default();
                    report.begins("Provider", &self.service, &diag::printable(first));
                    continue;
                }
                "debug" => {
                    if self.verbose {
                        ui::err(&diag::printable(&format!("debug: {}: {message}", self.service)));
                    }
                    continue;
                }
                "setenv" => &mut said.prefixed,
                "rawsetenv" => &mut said.raw,
                other => return Err(self.wrong(format!("invalid response from plugin: {other}"))),
            };
            let Some((name, value)) = message.split_once('=') else {
                return Err(self.wrong(format!("invalid response from plugin: {message}")));
            };
            variables.insert(name.to_owned(), value.to_owned());
        }
        Ok(said)
    }
}

/// A scalar as it stands in a file; nothing where there is none.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The end of what is read.
fn last(mut errors: impl Read) -> String {
    let mut kept = VecDeque::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = errors.read(&mut buffer) {
        kept.extend(&buffer[..count]);
        let over = kept.len().saturating_sub(LAST);
        kept.drain(..over);
    }
    String::from_utf8_lossy(kept.make_contiguous()).into_owned()
}
