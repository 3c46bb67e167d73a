//! What is wanted against what is there: the smallest set of changes, each with its reason.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::labels;
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
    /// There are more than are wanted, or none is.
    Remove { id: String, name: String, running: bool, why: String },
}

/// What containers share by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It holds nothing: it can be made anew.
    Network,
    /// It holds data.
    Volume,
}

impl Kind {
    /// Where the file has them.
    pub fn top(self) -> &'static str {
        match self {
            Self::Network => "networks",
            Self::Volume => "volumes",
        }
    }

    /// The label by which one is known.
    pub fn label(self) -> &'static str {
        match self {
            Self::Network => labels::NETWORK,
            Self::Volume => labels::VOLUME,
        }
    }
}

/// What is done with a network or volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is as it should be, or isn't the project's.
    Keep,
    /// There is none.
    Create,
    /// It was made from something else.
    Renew,
    /// It was made from something else, and stays for what is in it.
    Differs,
}

/// A network or volume of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    pub kind: Kind,
    pub key: String,
    pub name: String,
    pub fate: Fate,
}

/// What is to be done with a network or volume, given what the engine knows of it.
pub fn resource(project: &Project, kind: Kind, key: &str, found: Option<&Value>) -> Resource {
    let external = project.resource(kind.top(), key).is_some_and(|one| one["external"] == true);
    let wanted = || match kind {
        Kind::Network => project.network(key),
        Kind::Volume => project.volume(key),
    };
    let label = |of: &Value, name: &str| of["Labels"][name].as_str().unwrap_or_default().to_owned();
    let fate = match found {
        None => Fate::Create,
        Some(_) if external => Fate::Keep,
        Some(found) => {
            let hash = label(found, labels::HASH);
            let is_ours = label(found, labels::PROJECT) == project.name && label(found, kind.label()) == key;
            match kind {
                _ if !is_ours || hash.is_empty() || hash == label(&wanted(), labels::HASH) => Fate::Keep,
                Kind::Network => Fate::Renew,
                Kind::Volume => Fate::Differs,
            }
        }
    };
    Resource { kind, key: key.to_owned(), name: project.resource_name(kind.top(), key), fate }
}

/// The names of networks that are made anew.
pub fn renewed(resources: &[Resource]) -> BTreeSet<String> {
    let renewed = resources.iter().filter(|one| one.fate == Fate::Renew);
    renewed.map(|one| one.name.clone()).collect()
}

/// The containers of services that the file no longer has.
pub fn orphans<'s>(project: &Project, seen: &'s [Seen]) -> Vec<&'s Seen> {
    seen.iter().filter(|one| project.is_orphan(&one.service)).collect()
}

/// The same as steps, for when they are to go.
pub fn without_orphans(project: &Project, seen: &[Seen]) -> Vec<ServicePlan> {
    let gone = |one: &Seen| ServicePlan {
        service: one.service.clone(),
        steps: vec![removed(one, "the file has no such service".to_owned())],
    };
    orphans(project, seen).into_iter().map(gone).collect()
}

fn removed(one: &Seen, why: String) -> Step {
    Step::Remove { id: one.id.clone(), name: one.name.clone(), running: is_alive(&one.state), why }
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

/// What is done, a line for each thing: with its reason where there is one. Of networks and volumes those alone that aren't
/// left as they are; services that roll are started before their predecessors stop.
pub fn describe(resources: &[Resource], plans: &[ServicePlan], rolling: &BTreeSet<String>) -> String {
    let mut text = String::new();
    for Resource { kind, name, fate, .. } in resources {
        let kind = match kind {
            Kind::Network => "network",
            Kind::Volume => "volume",
        };
        let what = match fate {
            Fate::Keep => continue,
            Fate::Create => "create",
            Fate::Renew => "recreate: its configuration changed",
            Fate::Differs => "nothing to do: its configuration changed, but it holds data",
        };
        text.push_str(&format!("{kind} {name}: {what}\n"));
    }
    for plan in plans {
        for step in &plan.steps {
            text.push_str(&format!("{}: {}\n", plan.service, told(step, rolling.contains(&plan.service))));
        }
    }
    text
}

fn told(step: &Step, rolls: bool) -> String {
    match step {
        Step::Keep { name } => format!("{name}: nothing to do"),
        Step::Restart { name, with } => format!("{name}: restart: {with} is made anew"),
        Step::Start { name, .. } => format!("{name}: start"),
        Step::Create { name, .. } => format!("{name}: create"),
        Step::Update { name, live, .. } => format!("{name}: update: {}", live.told.join(", ")),
        Step::Recreate { name, reasons, running, .. } => {
            let how = if *running && rolls { "recreate, started first" } else { "recreate" };
            format!("{name}: {how}: {}", reasons.join(", "))
        }
        Step::Remove { name, why, .. } => format!("{name}: remove: {why}"),
    }
}

/// What is to be done with these services, dependencies first, when these networks are made anew.
pub fn plan(
    project: &Project,
    targets: &BTreeMap<String, Target>,
    seen: &[Seen],
    networks: &BTreeSet<String>,
) -> Vec<ServicePlan> {
    let (mut renewed, mut restarted) = (Vec::new(), Vec::new());
    let names = project.in_order().into_iter().filter(|name| targets.contains_key(*name));
    let mut plans = Vec::new();
    for name in names {
        let now = Now { project, seen, networks, renewed: &renewed, restarted: &restarted };
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

/// What is wanted, what is there, which networks and services are made anew, and with which ones their dependents restart.
struct Now<'a> {
    project: &'a Project,
    seen: &'a [Seen],
    networks: &'a BTreeSet<String>,
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
    steps.extend(excess.into_iter().map(|one| removed(one, format!("{} wanted", target.count))));
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
        reasons.extend(weighty(now, name, one, !reasons.is_empty()));
    }
    if !one.contents.is_empty() && one.contents != target.contents {
        reasons.push("the contents of a config or secret changed".to_owned());
    }
    let missing = project.networks_of(name).into_iter().find(|network| !one.networks.contains(network));
    if let Some(network) = missing.filter(|_| one.hash == hash) {
        reasons.push(format!("it is not in the network {network}"));
    }
    if let Some(network) = one.networks.iter().find(|network| now.networks.contains(*network)) {
        reasons.push(format!("the network {network} is made anew"));
    }
    if let Some(other) = project.shares_with(name).into_iter().find(|other| renewed.contains(other)) {
        reasons.push(format!("it shares a namespace or volumes with {other}, which is made anew"));
    }
    reasons
}

/// Why a container of another hash has to be made anew; nothing if it needn't, or if that is told already.
fn weighty(now: &Now<'_>, name: &str, one: &Seen, image_is_told: bool) -> Option<String> {
    let wanted = live::fields(now.project.service(name).unwrap_or(&Value::Null));
    let unknown = || Some("its configuration changed".to_owned());
    if one.fields.is_empty() {
        return unknown();
    }
    let keys = live::changed(&one.fields, &wanted);
    let mut keys = live::weighty(&keys);
    keys.retain(|key| !image_is_told || *key != "image");
    if !keys.is_empty() {
        return Some(format!("{} changed", keys.join(", ")));
    }
    if image_is_told {
        return None;
    }
    let Some(actual) = &one.actual else { return unknown() };
    if let Some(other) = stranger(now, name, actual) {
        return Some(format!("{other}, which it shares a namespace or volumes with, is another container"));
    }
    live::live(now.project, name, one.number, actual).err()
}

/// A service whose container isn't the one that this one shares with.
fn stranger(now: &Now<'_>, name: &str, actual: &Value) -> Option<String> {
    let there = there(now.seen);
    let shared =
        ["NetworkMode", "IpcMode", "PidMode", "VolumesFrom"].map(|key| actual["HostConfig"][key].to_string());
    let is_another = |id: &String| !shared.iter().any(|text| text.contains(id.as_str()));
    now.project.shares_with(name).into_iter().find(|other| there.get(other).is_some_and(is_another))
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
