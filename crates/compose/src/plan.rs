//! What is wanted against what is there: the smallest set of changes, each with its reason.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::live::{self, Live};
use crate::project::Project;

/// A container of the project that is there.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub id: String,
    pub name: String,
    pub service: String,
    pub number: u32,
    /// The hash of the service that it was made from.
    pub hash: String,
    /// The id of its image.
    pub image: String,
    /// The hash of its configurations and secrets; empty where another client made it.
    pub contents: String,
    /// The hashes of its keys; empty where another client made it.
    pub fields: String,
    /// What `inspect` says of it, where its hash is another one.
    pub actual: Option<Value>,
    /// `running`, `exited`, `created` …
    pub state: String,
    /// The networks that it is in.
    pub networks: Vec<String>,
}

/// When containers are made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recreate {
    /// Where something changed.
    #[default]
    Changed,
    /// Always.
    Force,
    /// Where there is none.
    Never,
}

/// What is wanted of a service now.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// The id of its image, if it is there.
    pub image: String,
    /// The hash of its configurations and secrets.
    pub contents: String,
    /// How many containers.
    pub count: u32,
    /// When they are made anew.
    pub recreate: Recreate,
}

/// What is done with one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It is as it should be.
    Keep { name: String },
    /// It is as it should be, and is restarted with a service that it depends on.
    Restart { name: String, with: String },
    /// It is as it should be and doesn't run.
    Start { id: String, name: String },
    /// There is none.
    Create { number: u32, name: String },
    /// It gets what is new while it lives, and is started if it doesn't run.
    Update { id: String, name: String, running: bool, live: Live },
    /// It isn't as it should be.
    Recreate { id: String, number: u32, name: String, running: bool, reasons: Vec<String> },
    /// There are more than are wanted.
    Remove { id: String, name: String, running: bool },
}

/// What is done with a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePlan {
    pub service: String,
    pub steps: Vec<Step>,
}

impl ServicePlan {
    /// Whether nothing has to be done.
    pub fn is_settled(&self) -> bool {
        self.steps.iter().all(|step| matches!(step, Step::Keep { .. }))
    }
}

/// What is to be done with these services, dependencies first.
pub fn plan(project: &Project, targets: &BTreeMap<String, Target>, seen: &[Seen]) -> Vec<ServicePlan> {
    let (mut renewed, mut restarted) = (Vec::new(), Vec::new());
    let names = project.in_order().into_iter().filter(|name| targets.contains_key(*name));
    let mut plans = Vec::new();
    for name in names {
        let now = Now { project, seen, renewed: &renewed, restarted: &restarted };
        let plan = service(&now, name, &targets[name]);
        if plan.steps.iter().any(|step| matches!(step, Step::Recreate { .. } | Step::Restart { .. })) {
            restarted.push(name.to_owned());
        }
        if plan.steps.iter().any(|step| matches!(step, Step::Recreate { .. } | Step::Create { .. })) {
            renewed.push(name.to_owned());
        }
        plans.push(plan);
    }
    plans
}

/// What is wanted, what is there, which services are made anew, and with which ones their dependents restart.
struct Now<'a> {
    project: &'a Project,
    seen: &'a [Seen],
    renewed: &'a [String],
    restarted: &'a [String],
}

/// The container of each service that others share with: the first.
fn there(seen: &[Seen]) -> BTreeMap<String, String> {
    let mut first: BTreeMap<String, &Seen> = BTreeMap::new();
    for one in seen {
        let known = first.entry(one.service.clone()).or_insert(one);
        if one.number < known.number {
            *known = one;
        }
    }
    first.into_iter().map(|(service, one)| (service, one.id.clone())).collect()
}

fn service(now: &Now<'_>, name: &str, target: &Target) -> ServicePlan {
    let mut present: Vec<&Seen> = now.seen.iter().filter(|one| one.service == name).collect();
    // What is to go are those with the highest numbers, and before them those that are out of date.
    present.sort_by_key(|one| (reasons(now, name, target, one).len(), one.number));
    let excess = present.split_off(present.len().min(target.count as usize));
    present.sort_by_key(|one| one.number);
    let mut steps: Vec<Step> = Vec::new();
    for one in &present {
        steps.push(kept(now, name, target, one));
    }
    let taken = |number: u32| present.iter().any(|one| one.number == number);
    let mut number = 0;
    while steps.len() < target.count as usize {
        number += 1;
        if !taken(number) {
            steps.push(Step::Create { number, name: now.project.container_name(name, number) });
        }
    }
    steps.extend(excess.into_iter().map(|one| Step::Remove {
        id: one.id.clone(),
        name: one.name.clone(),
        running: is_alive(&one.state),
    }));
    ServicePlan { service: name.to_owned(), steps }
}

fn is_alive(state: &str) -> bool {
    matches!(state, "running" | "restarting" | "paused")
}

fn kept(now: &Now<'_>, name: &str, target: &Target, one: &Seen) -> Step {
    let reasons = reasons(now, name, target, one);
    let live = live_changes(now, name, one);
    let (id, name, running) = (one.id.clone(), one.name.clone(), is_alive(&one.state));
    if reasons.is_empty()
        && target.recreate != Recreate::Never
        && let Some(live) = live
    {
        return Step::Update { id, name, running, live };
    }
    if !reasons.is_empty() {
        return Step::Recreate { id, number: one.number, name, running, reasons };
    }
    let dependencies = now.project.dependencies(&one.service).into_iter();
    let with = dependencies.filter(|other| other.restart).map(|other| other.service);
    match (running, with.into_iter().find(|other| now.restarted.contains(other))) {
        (true, Some(with)) => Step::Restart { name, with },
        (true, None) => Step::Keep { name },
        (false, _) => Step::Start { id, name },
    }
}

/// Why a container can't stay as it is.
fn reasons(now: &Now<'_>, name: &str, target: &Target, one: &Seen) -> Vec<String> {
    let Now { project, seen, renewed, .. } = now;
    match target.recreate {
        Recreate::Never => return Vec::new(),
        Recreate::Force => return vec!["--force-recreate".to_owned()],
        Recreate::Changed => {}
    }
    let mut reasons = Vec::new();
    if !target.image.is_empty() && !one.image.is_empty() && one.image != target.image {
        reasons.push(format!("image {} → {}", short(&one.image), short(&target.image)));
    }
    let hash = project.hash_with(name, &there(seen));
    if one.hash != hash {
        reasons.extend(weighty(now, name, one));
    }
    if !one.contents.is_empty() && one.contents != target.contents {
        reasons.push("the contents of a config or secret changed".to_owned());
    }
    let missing = project.networks_of(name).into_iter().find(|network| !one.networks.contains(network));
    if let Some(network) = missing.filter(|_| one.hash == hash) {
        reasons.push(format!("it is not in the network {network}"));
    }
    if let Some(other) = project.shares_with(name).into_iter().find(|other| renewed.contains(other)) {
        reasons.push(format!("it shares a namespace or volumes with {other}, which is made anew"));
    }
    reasons
}

/// Why a container of another hash has to be made anew; nothing if it needn't.
fn weighty(now: &Now<'_>, name: &str, one: &Seen) -> Option<String> {
    let unknown = || Some("its configuration changed".to_owned());
    let wanted = live::fields(now.project.service(name).unwrap_or(&Value::Null));
    if one.fields.is_empty() {
        return unknown();
    }
    let Some(keys) = live::changed(&one.fields, &wanted) else { return unknown() };
    let keys = live::weighty(&keys);
    if !keys.is_empty() {
        return Some(format!("{} changed", keys.join(", ")));
    }
    match &one.actual {
        Some(actual) => live::live(now.project, name, one.number, actual).err(),
        None => unknown(),
    }
}

/// What is new of what a container can be given.
fn live_changes(now: &Now<'_>, name: &str, one: &Seen) -> Option<Live> {
    let actual = one.actual.as_ref()?;
    live::live(now.project, name, one.number, actual).ok().filter(|live| !live.told.is_empty())
}

fn short(digest: &str) -> &str {
    let end = digest.find(':').map_or(12, |at| at + 13);
    digest.get(..end).unwrap_or(digest)
}
