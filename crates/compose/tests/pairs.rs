//! What is done when a project changes: pairs of projects, and what the plan says of going from the first to the second.
//!
//! An engine's part is played here: what there is are the requests that the first project leads to. Some of the pairs are tried
//! with an engine by `tests/e2e/compose/pairs.rs`.

#[path = "pairs/read.rs"]
mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use compose::container::{Facts, container};
use compose::plan::{self, Kind, Recreate, Seen, Target};
use compose::{Environment, Options, Project, Switches, labels};
use read::{Pair, Side, words};
use serde_json::{Value, json};

/// What the words of a command line say.
#[derive(Default)]
struct Wish {
    project: Option<Project>,
    scale: BTreeMap<String, u32>,
    recreate: Recreate,
    removes_orphans: bool,
}

fn wish(side: &Side, folder: &Path) -> Result<Wish, String> {
    let variables = words(side, "$").into_iter().map(|pair| pair.split_once('=').expect("NAME=value"));
    let mut options = Options {
        files: Vec::new(),
        directory: None,
        name: Some("pair".to_owned()),
        env_files: Vec::new(),
        environment: Environment::process(variables.map(|(name, value)| (name.to_owned(), value.to_owned()))),
        current: folder.to_owned(),
        switches: Switches::default(),
        remote: None,
    };
    let (mut wish, mut profiles) = (Wish::default(), Vec::new());
    let mut rest = words(side, "!").into_iter();
    while let Some(word) = rest.next() {
        let mut value = || rest.next().expect("a value").to_owned();
        match word {
            "--file" => options.files.push(value().into()),
            "--env-file" => options.env_files.push(value().into()),
            "--profile" => profiles.push(value()),
            "--force-recreate" => wish.recreate = Recreate::Force,
            "--no-recreate" => wish.recreate = Recreate::Never,
            "--remove-orphans" => wish.removes_orphans = true,
            "--scale" => {
                let value = value();
                let (name, count) = value.split_once('=').expect("SERVICE=NUM");
                wish.scale.insert(name.to_owned(), count.parse().expect("a number"));
            }
            other => return Err(format!("no such word: {other}")),
        }
    }
    wish.project = Some(Project::load(&options, &profiles).map_err(|error| error.to_string())?);
    Ok(wish)
}

impl Wish {
    fn project(&self) -> &Project {
        self.project.as_ref().expect("a project")
    }

    fn targets(&self, images: &BTreeMap<&str, &str>) -> BTreeMap<String, Target> {
        let project = self.project();
        let target = |name: &str| Target {
            image: image_of(project, name, images),
            contents: project.contents(name).expect("its contents"),
            count: self.scale.get(name).copied().unwrap_or_else(|| project.scale(name)),
            recreate: self.recreate,
        };
        project.names("services").into_iter().map(|name| (name.to_owned(), target(name))).collect()
    }
}

/// The id of a service's image: one that nobody gave an id has its name for it.
fn image_of(project: &Project, service: &str, images: &BTreeMap<&str, &str>) -> String {
    let name = project.image(service);
    images.get(name.as_str()).map_or_else(|| format!("sha256:{name}"), |id| (*id).to_owned())
}

fn images(side: &Side) -> BTreeMap<&str, &str> {
    words(side, "images").into_iter().map(|pair| pair.split_once('=').expect("NAME=ID")).collect()
}

/// What an engine has.
#[derive(Default)]
struct Engine {
    containers: Vec<(Seen, Value)>,
    resources: BTreeMap<String, Value>,
}

impl Engine {
    /// As `up` leaves it.
    fn after_up(wish: &Wish, images: &BTreeMap<&str, &str>) -> Self {
        let project = wish.project();
        let mut engine = Self::default();
        for (kind, key) in resources_of(project) {
            let body = match kind {
                Kind::Network => project.network(key),
                Kind::Volume => project.volume(key),
            };
            engine.resources.insert(project.resource_name(kind.top(), key), body);
        }
        for (service, target) in wish.targets(images) {
            for number in 1..=target.count {
                engine.create(project, &service, number, &target);
            }
        }
        engine
    }

    fn create(&mut self, project: &Project, service: &str, number: u32, target: &Target) {
        let shared = project.shares_with(service).into_iter();
        let facts = Facts {
            image_id: target.image.clone(),
            containers: shared.map(|other| (other.clone(), id(&other, 1))).collect(),
            contents: target.contents.clone(),
            ..Facts::default()
        };
        let made = container(project, service, number, &facts).expect("a container");
        let label = |key: &str| made.body["Labels"][key].as_str().unwrap_or_default().to_owned();
        let networks =
            made.body["NetworkingConfig"]["EndpointsConfig"].as_object().cloned().unwrap_or_default();
        let seen = Seen {
            id: id(service, number),
            name: made.name.clone(),
            service: service.to_owned(),
            number,
            hash: label(labels::HASH),
            image: label(labels::IMAGE),
            contents: label(labels::CONTENTS),
            fields: label(labels::FIELDS),
            actual: None,
            state: "running".to_owned(),
            networks: networks.keys().cloned().collect(),
        };
        self.containers.push((seen, inspected(&made.body)));
    }

    /// The containers as a client sees them: all that is known of those whose hash is another one.
    fn seen(&self, project: &Project, pair: &Pair) -> Vec<Seen> {
        let states: BTreeMap<_, _> = words(&pair.after, "states")
            .into_iter()
            .map(|one| one.split_once('=').expect("NAME=STATE"))
            .collect();
        let mut all = Vec::new();
        for (seen, inspected) in &self.containers {
            let mut seen = seen.clone();
            if let Some(state) = states.get(&format!("{}-{}", seen.service, seen.number)[..]) {
                seen.state = (*state).to_owned();
            }
            if pair.is_marked("docker") {
                (seen.fields, seen.contents) = (String::new(), String::new());
            }
            if !seen.fields.is_empty() && seen.hash != project.hash(&seen.service) {
                seen.actual = Some(inspected.clone());
            }
            all.push(seen);
        }
        all
    }
}

fn id(service: &str, number: u32) -> String {
    format!("id-of-{service}-{number}")
}

fn resources_of(project: &Project) -> Vec<(Kind, &str)> {
    let of = |kind: Kind| project.names(kind.top()).into_iter().map(move |key| (kind, key));
    of(Kind::Network).chain(of(Kind::Volume)).collect()
}

/// What `inspect` says of a container that was asked for so: with what engines add.
fn inspected(body: &Value) -> Value {
    let mut host = body["HostConfig"].clone();
    if let (Some(memory), true) = (host["Memory"].as_i64(), host["MemorySwap"].as_i64().unwrap_or(0) == 0) {
        host["MemorySwap"] = (memory * 2).into();
    }
    if host["RestartPolicy"]["Name"].is_null() {
        host["RestartPolicy"] = json!({ "Name": "no", "MaximumRetryCount": 0 });
    }
    let endpoints = body["NetworkingConfig"]["EndpointsConfig"].as_object().cloned().unwrap_or_default();
    let endpoints = endpoints.into_iter().map(|(name, mut endpoint)| {
        for (key, nothing) in
            [("IPAMConfig", Value::Null), ("GwPriority", json!(0)), ("DriverOpts", Value::Null)]
        {
            if endpoint[key].is_null() {
                endpoint[key] = nothing;
            }
        }
        (name, endpoint)
    });
    let endpoints: serde_json::Map<_, _> = endpoints.collect();
    json!({ "HostConfig": host, "NetworkSettings": { "Networks": endpoints } })
}

/// What the plan says, without the project's name.
fn planned(wish: &Wish, engine: &Engine, images: &BTreeMap<&str, &str>, pair: &Pair) -> Vec<String> {
    let project = wish.project();
    let found = |kind: Kind, key: &str| engine.resources.get(&project.resource_name(kind.top(), key));
    let resources: Vec<_> = resources_of(project)
        .into_iter()
        .map(|(kind, key)| plan::resource(project, kind, key, found(kind, key)))
        .collect();
    let seen = engine.seen(project, pair);
    let mut plans = if wish.removes_orphans { plan::without_orphans(project, &seen) } else { Vec::new() };
    plans.extend(plan::plan(project, &wish.targets(images), &seen, &plan::renewed(&resources)));
    let text = plan::describe(&resources, &plans, &BTreeSet::new());
    text.lines().map(|line| line.replace("pair-", "").replace("pair_", "")).collect()
}

fn differs(pair: &Pair) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let load = |side: &Side| {
        pair.write(side, folder.path(), "busybox");
        wish(side, folder.path())
    };
    let before = Engine::after_up(&load(&pair.before)?, &images(&pair.before));
    let wish = load(&pair.after)?;
    let plan = planned(&wish, &before, &images(&pair.after), pair);
    if plan != pair.plan {
        return Err(format!("> {}", plan.join("\n> ")));
    }
    let settled = Pair { title: pair.title.clone(), ..Pair::default() };
    let wish = Wish { recreate: Recreate::Changed, ..wish };
    let again =
        planned(&wish, &Engine::after_up(&wish, &images(&pair.after)), &images(&pair.after), &settled);
    match again.iter().find(|line| !line.ends_with(": nothing to do")) {
        Some(line) => Err(format!("and the next time {line}")),
        None => Ok(()),
    }
}

#[test]
fn what_changes_leads_to_the_least_that_has_to_be_done() {
    let pairs = read::pairs();
    let wrong: Vec<_> = pairs
        .iter()
        .filter_map(|pair| differs(pair).err().map(|what| format!("== {}\n{what}", pair.title)))
        .collect();
    let titles: BTreeSet<_> = pairs.iter().map(|pair| &pair.title).collect();
    assert_eq!(titles.len(), pairs.len(), "each has a title of its own");
    assert!(pairs.len() >= 200, "{} pairs", pairs.len());
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), pairs.len(), wrong.join("\n\n"));
}
