//! `deploy.update_config.order: start-first`: a new container is started behind the old one, and takes over its ports and names
//! when it is well. Then the old one's connections end, and it goes. One that doesn't get well goes itself, and the old one
//! never stopped.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use client::{Engine, encode};
use compose::Project;
use futures_util::future::join_all;
use http::Method;
use serde_json::Value;

use super::act::Act;
use super::changes::Changes;
use crate::error::Error;
use crate::ui;

/// How long the old one's connections may last where nothing says how long it has to stop.
const PATIENCE: i64 = 10;
/// For how long one without a health check has to run to be well, where `monitor` doesn't say: as in a swarm.
const MONITOR: Duration = Duration::from_secs(5);

/// A container that was made to take another one's place.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    /// The new one.
    new: String,
    /// The old one.
    old: String,
    /// What the old one was called, and the new one is.
    pub(super) name: String,
}

impl Turn {
    pub(super) fn new(new: &str, old: &str, name: &str) -> Self {
        Self { new: new.to_owned(), old: old.to_owned(), name: name.to_owned() }
    }
}

/// The turns of each service that are to be done.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<BTreeMap<String, Vec<Turn>>>);

impl Turns {
    pub(super) fn add(&self, service: &str, turn: Turn) {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.entry(service.to_owned()).or_default().push(turn);
    }

    pub(super) fn take(&self, service: &str) -> Vec<Turn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(service).unwrap_or_default()
    }
}

/// Whether a service's file wants its new containers started first.
pub(super) fn is_wanted(project: &Project, service: &str) -> bool {
    project.service(service).is_some_and(|spec| spec["deploy"]["update_config"]["order"] == "start-first")
}

/// Why new containers of a service can't be started before the old ones stop.
pub(super) async fn hindrance(engine: &Engine, project: &Project, service: &str) -> Option<&'static str> {
    let spec = project.service(service).unwrap_or(&Value::Null);
    let networks = spec["networks"].as_object();
    let mut endpoints = networks.into_iter().flatten().map(|(_, endpoint)| endpoint);
    let fixed = ["ipv4_address", "ipv6_address", "mac_address"];
    let is_fixed = endpoints.any(|endpoint| fixed.iter().any(|key| !endpoint[key].is_null()))
        || !spec["mac_address"].is_null();
    let shared = || {
        let mut names = project.names("services").into_iter();
        names.any(|other| project.shares_with(other).iter().any(|name| name == service))
    };
    if !spec["network_mode"].is_null() {
        return Some("it has no network of its own");
    }
    if is_fixed {
        return Some("its address is one that only one container can have");
    }
    if shared() {
        return Some("other services share its namespaces or volumes");
    }
    let version = engine.get("/version").await.ok()?;
    let is_ours = version["Platform"]["Name"].as_str().is_some_and(|name| name.starts_with("Ketch"));
    (!is_ours).then_some("this engine can't move a port from one container to another: Ketch can")
}

/// What `update_config` says.
struct Manner {
    together: usize,
    delay: Duration,
    monitor: Duration,
    tolerated: f64,
    goes_on: bool,
    rolls_back: bool,
}

impl Manner {
    fn of(project: &Project, service: &str, count: usize) -> Self {
        let config = project.service(service).map(|spec| &spec["deploy"]["update_config"]);
        let config = config.unwrap_or(&Value::Null);
        let span = |key: &str| {
            let nanoseconds = config[key].as_str().and_then(|text| compose::duration(text).ok());
            nanoseconds.and_then(|span| u64::try_from(span).ok()).map(Duration::from_nanos)
        };
        let together = config["parallelism"].as_u64().and_then(|number| usize::try_from(number).ok());
        Self {
            together: together.map_or(1, |number| if number == 0 { count } else { number }).max(1),
            delay: span("delay").unwrap_or_default(),
            monitor: span("monitor").unwrap_or(MONITOR),
            tolerated: config["max_failure_ratio"].as_f64().unwrap_or(0.0),
            goes_on: config["failure_action"] == "continue",
            rolls_back: config["failure_action"] == "rollback",
        }
    }
}

/// All turns of a service, as its `update_config` says.
pub(super) async fn service(act: &Act<'_>, service: &str, turns: &[Turn]) -> Result<(), Error> {
    let manner = Manner::of(act.project, service, turns.len());
    let (mut done, mut failures): (Vec<&Turn>, Vec<Error>) = (Vec::new(), Vec::new());
    for (number, part) in turns.chunks(manner.together).enumerate() {
        if number > 0 {
            tokio::time::sleep(manner.delay).await;
        }
        let results = join_all(part.iter().map(|turn| act.replace(service, turn, &manner))).await;
        for (turn, result) in part.iter().zip(results) {
            match result {
                Ok(()) => done.push(turn),
                Err(error) => failures.push(error),
            }
        }
        if failures.len() as f64 > manner.tolerated * turns.len() as f64 && !manner.goes_on {
            for turn in turns.iter().skip((number + 1) * manner.together) {
                act.abandon(turn).await?;
            }
            break;
        }
    }
    let too_many = failures.len() as f64 > manner.tolerated * turns.len() as f64;
    if too_many && manner.rolls_back {
        for turn in std::mem::take(&mut done).into_iter().rev() {
            act.put_back(service, turn, &manner).await?;
        }
    }
    for turn in done {
        act.delete(&turn.old).await?;
    }
    match failures.into_iter().next() {
        Some(error) if too_many => {
            Err(Error::Usage(format!("{service} was not updated: {}", diag::printable(&diag::chain(&error)))))
        }
        Some(error) => {
            let why = diag::printable(&diag::chain(&error));
            ui::err(&format!("WARN[0000] a container of {service} was not updated: {why}"));
            Ok(())
        }
        None => Ok(()),
    }
}

impl Act<'_> {
    /// The new one takes the old one's place, or goes.
    async fn replace(&self, service: &str, turn: &Turn, manner: &Manner) -> Result<(), Error> {
        let swapped = self.swap(service, &turn.new, &turn.old, &turn.name, manner).await;
        if swapped.is_err() {
            self.abandon(turn).await?;
        }
        swapped
    }

    /// The new one goes, and the old one is called what it was.
    async fn abandon(&self, turn: &Turn) -> Result<(), Error> {
        self.delete(&turn.new).await?;
        self.rename(&turn.old, &turn.name).await
    }

    /// The old one takes its place again.
    async fn put_back(&self, service: &str, turn: &Turn, manner: &Manner) -> Result<(), Error> {
        self.report.begins("Container", &turn.name, "Rolling back");
        self.swap(service, &turn.old, &turn.new, &turn.name, manner).await?;
        self.abandon(turn).await?;
        self.report.done("Container", &turn.name, "Rolled back");
        Ok(())
    }

    /// Starts one behind the other, and lets it take over when it is well.
    async fn swap(
        &self,
        service: &str,
        new: &str,
        old: &str,
        name: &str,
        manner: &Manner,
    ) -> Result<(), Error> {
        self.report.begins("Container", name, "Starting");
        let path = format!("/containers/{}/start?behind={}", encode(new), encode(old));
        self.engine.call(Method::POST, &path, None).await?;
        self.report.done("Container", name, "Started");
        super::up::hooks(self, service, new).await?;
        self.report.begins("Container", name, "Waiting");
        until_well(self.engine, new, name, manner.monitor).await?;
        let seconds = self.timeout.unwrap_or_else(|| grace(self.project, service));
        let path = format!("/containers/{}/takeover?from={}&drain={seconds}", encode(new), encode(old));
        self.engine.call(Method::POST, &path, None).await?;
        self.report.done("Container", name, "Took over");
        super::run::pre_stop(self.engine, self.project, service, old).await?;
        self.stop(old).await
    }
}

fn grace(project: &Project, service: &str) -> i64 {
    let given = project.service(service).and_then(|spec| spec["stop_grace_period"].as_str());
    let span = given.and_then(|text| compose::duration(text).ok());
    span.map_or(PATIENCE, |nanoseconds| nanoseconds / 1_000_000_000)
}

/// Healthy, or running for as long as it is watched.
async fn until_well(engine: &Engine, id: &str, name: &str, monitor: Duration) -> Result<(), Error> {
    let begun = Instant::now();
    let mut changes = Changes::of(engine, id).await?;
    loop {
        let found = engine.get(&format!("/containers/{}/json", encode(id))).await?;
        if super::up::is_healthy(&found, name)? {
            return Ok(());
        }
        let left = monitor.saturating_sub(begun.elapsed());
        let is_checked = found["State"]["Health"]["Status"].is_string();
        if found["RestartCount"].as_i64().unwrap_or(0) > 0 {
            return Err(Error::Usage(format!("container {name} ended, and was started again")));
        }
        if !is_checked && left.is_zero() {
            return Ok(());
        }
        changes.next((!is_checked).then_some(left)).await?;
    }
}
