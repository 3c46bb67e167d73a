//! `create` and `scale`, and what `up` and `run` share with them: from what is there to what is wanted, nothing started.

use std::collections::{BTreeMap, BTreeSet};

use client::{Engine, encode};
use compose::Project;
use compose::plan::{self, Recreate, ServicePlan, Step, Target, plan, renewed};
use serde_json::Value;

use super::act::Act;
use super::down::is_orphan;
use super::observe::{self, OneOff};
use super::report::{Report, removes_orphans, tell_orphans};
use super::roll::{self, Turns};
use super::{build, order, project, provider, pull, resources};
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::ui;

/// How far the project is to be brought to what is wanted.
pub(super) struct Wish {
    /// The services that are meant.
    pub(super) services: BTreeSet<String>,
    /// Those that were named, or all: dependencies aren't made anew because of a flag.
    pub(super) named: BTreeSet<String>,
    pub(super) recreate: Recreate,
    pub(super) recreate_dependencies: Recreate,
    pub(super) scale: BTreeMap<String, u32>,
    pub(super) pull: pull::Policy,
    pub(super) quiet_pull: bool,
    pub(super) build: build::When,
    pub(super) quiet_build: bool,
    pub(super) renew_volumes: bool,
    pub(super) remove_orphans: bool,
    pub(super) timeout: Option<i64>,
    pub(super) report: Report,
    /// Whether what is made is started at once.
    pub(super) starts: bool,
    /// Containers that take others' places when they are started.
    pub(super) turns: Turns,
}

impl Wish {
    /// What the flags that `create`, `up` and `scale` have in common say.
    pub(super) fn read(call: &Call, project: &Project) -> Result<Self, Error> {
        let flags = call.flags();
        let given = |name: &str| flags.has(name) && flags.bool(name);
        if given("force-recreate") && given("no-recreate") {
            return Err(Error::Usage("--force-recreate and --no-recreate are incompatible".into()));
        }
        if given("build") && given("no-build") {
            return Err(Error::Usage("--build and --no-build are incompatible".into()));
        }
        let named: BTreeSet<_> = match call.args() {
            [] => project.names("services").into_iter().map(str::to_owned).collect(),
            names => project.known(names)?.into_iter().collect(),
        };
        let services = match given("no-deps") {
            true => named.clone(),
            false => project.with_dependencies(call.args())?,
        };
        let recreate = match (given("force-recreate"), given("no-recreate")) {
            (true, _) => Recreate::Force,
            (_, true) => Recreate::Never,
            _ => Recreate::Changed,
        };
        let recreate_dependencies = match (given("always-recreate-deps"), recreate) {
            (true, _) => Recreate::Force,
            (false, Recreate::Never) => Recreate::Never,
            (false, _) => Recreate::Changed,
        };
        Ok(Self {
            services,
            named,
            recreate,
            recreate_dependencies,
            scale: scales(&if flags.has("scale") { flags.list("scale") } else { Vec::new() }, project)?,
            pull: pull::Policy::read(if flags.has("pull") { flags.text("pull") } else { "policy" })?,
            quiet_pull: given("quiet-pull"),
            build: match (given("build"), given("no-build")) {
                (true, _) => build::When::Always,
                (_, true) => build::When::Never,
                _ => build::When::Missing,
            },
            quiet_build: given("quiet-build"),
            renew_volumes: given("renew-anon-volumes"),
            remove_orphans: removes_orphans(call)?,
            timeout: (flags.has("timeout") && flags.changed("timeout")).then(|| flags.int("timeout")),
            report: Report::new(call, false)?,
            starts: false,
            turns: Turns::default(),
        })
    }
}

fn scales(given: &[String], project: &Project) -> Result<BTreeMap<String, u32>, Error> {
    let mut scales = BTreeMap::new();
    for pair in given {
        let count = pair.split_once('=').and_then(|(name, count)| Some((name, count.parse().ok()?)));
        let (name, count) = count
            .ok_or_else(|| Error::Usage(format!("invalid --scale option {pair:?}. Should be SERVICE=NUM")))?;
        project.known(&[name.to_owned()])?;
        scales.insert(name.to_owned(), count);
    }
    Ok(scales)
}

/// `compose create`.
pub(crate) fn create(call: &Call) -> Outcome {
    let project = project::load(call, call.args())?;
    let wish = Wish::read(call, &project)?;
    call.with_engine(|engine| async move {
        if engine.is_dry() {
            return super::up::dry_run(&engine, &project, &wish).await;
        }
        converge(call, &engine, &project, &wish).await?;
        Ok(0)
    })
}

/// `compose scale`.
pub(crate) fn scale(call: &Call) -> Outcome {
    let project = project::load(call, &[])?;
    let scale = scales(call.args(), &project)?;
    if scale.is_empty() {
        return Err(Error::Usage("requires at least 1 argument: SERVICE=REPLICAS".into()));
    }
    let named: BTreeSet<_> = scale.keys().cloned().collect();
    let names: Vec<_> = named.iter().cloned().collect();
    let services = match call.flags().bool("no-deps") {
        true => named.clone(),
        false => project.with_dependencies(&names)?,
    };
    let mut wish = Wish::read(&call.without_args(), &project)?;
    (wish.services, wish.named, wish.scale, wish.starts) = (services, named, scale, true);
    call.with_engine(|engine| async move {
        if engine.is_dry() {
            return super::up::dry_run(&engine, &project, &wish).await;
        }
        converge(call, &engine, &project, &wish).await?;
        super::up::start_all(&engine, &project, &wish, None).await?;
        Ok(0)
    })
}

/// Makes everything as it is wanted; nothing is started. The project with what providers gave, if there are any.
pub(super) async fn converge(
    call: &Call,
    engine: &Engine,
    project: &Project,
    wish: &Wish,
) -> Result<Option<Project>, Error> {
    project.check_ports()?;
    wish.services.iter().try_for_each(|service| refuse(project, service))?;
    warn(project, &wish.services);
    let report = wish.report;
    let mut there = observe::containers(engine, &project.name, OneOff::Without).await?;
    orphans(engine, project, &there, wish, report).await?;
    there.retain(|one| !(wish.remove_orphans && is_orphan(project, one)));
    let images = images(call, engine, project, wish).await?;
    let resources = resources::look(engine, project).await?;
    let renewing = containers(project, wish).filter(|_| wish.recreate != Recreate::Never);
    let meant = renewing.cloned().collect();
    let act = &Act { meant, ..Act::new(engine, project, report, wish.timeout) };
    resources::make(act, &resources, &there).await?;
    let renewed = renewed(&resources);
    let there = match renewed.is_empty() {
        true => there,
        false => observe::containers(engine, &project.name, OneOff::Without).await?,
    };
    let services: Vec<String> = wish.services.iter().cloned().collect();
    let provided = provider::up(call, project, &services, report).await?;
    let project = provided.as_ref().unwrap_or(project);
    let targets = targets(project, wish, &images)?;
    let seen = observe::seen_by(engine, project, &there).await?;
    let plans = plan(project, &targets, &seen, &renewed);
    let rolling = if wish.starts { rolling(engine, project, &plans).await } else { BTreeSet::new() };
    let act = Act {
        call: Some(call),
        images,
        renew_volumes: wish.renew_volumes,
        meant: wish.services.clone(),
        ..Act::new(engine, project, report, wish.timeout)
    };
    let names: Vec<_> = plans.iter().map(|plan| plan.service.clone()).collect();
    let by_name: BTreeMap<_, _> = plans.iter().map(|plan| (plan.service.as_str(), plan)).collect();
    let (act, by_name, rolling) = (&act, &by_name, &rolling);
    order::forwards(
        project,
        &names,
        |_, _| async { Ok(()) },
        |name| async move {
            match by_name.get(name.as_str()) {
                Some(plan) => act.make(plan, rolling.contains(&name).then_some(&wish.turns)).await,
                None => Ok(()),
            }
        },
    )
    .await?;
    Ok(provided)
}

/// The services that are meant and that are containers.
fn containers<'w>(project: &'w Project, wish: &'w Wish) -> impl Iterator<Item = &'w String> {
    wish.services.iter().filter(|name| project.provider(name).is_none())
}

/// What is wanted of each service.
pub(super) fn targets(
    project: &Project,
    wish: &Wish,
    images: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Target>, Error> {
    let mut targets = BTreeMap::new();
    for name in containers(project, wish) {
        let recreate = if wish.named.contains(name) { wish.recreate } else { wish.recreate_dependencies };
        let target = Target {
            image: images.get(name).cloned().unwrap_or_default(),
            contents: project.contents(name).map_err(Error::Usage)?,
            count: wish.scale.get(name).copied().unwrap_or_else(|| project.scale(name)),
            recreate,
        };
        targets.insert(name.clone(), target);
    }
    Ok(targets)
}

/// What a file may say and no engine of one machine with Linux has a counterpart for.
const NEVER: [(&str, &str); 4] = [
    ("models", "Docker Model Runner is no part of an engine; run the model as a service"),
    ("credential_spec", "it is for Windows containers"),
    ("cpu_count", "it is for Windows containers; use cpus"),
    ("cpu_percent", "it is for Windows containers; use cpus"),
];

/// What only a cluster reads. docker compose takes it without a word.
const SWARMS: [&str; 4] = ["endpoint_mode", "labels", "placement", "rollback_config"];

/// Tells of what has no meaning here and harms nothing.
pub(super) fn warn(project: &Project, services: &BTreeSet<String>) {
    for service in services {
        let Some(spec) = project.service(service) else { continue };
        let deploy = &spec["deploy"];
        let reserved = &deploy["resources"]["reservations"]["generic_resources"];
        // The typed form has some of them always, with nothing in them.
        let says = |value: &Value| !value.is_null() && value.as_object().is_none_or(|map| !map.is_empty());
        let found = SWARMS.into_iter().filter(|key| says(&deploy[*key]));
        // On one machine one for each machine is one.
        let global = deploy["mode"].as_str().is_some_and(|mode| mode.starts_with("global"));
        let found = global.then_some("mode").into_iter().chain(found);
        let policy = [("delay", "restart_policy.delay"), ("window", "restart_policy.window")];
        let policy = policy.into_iter().filter(|(key, _)| says(&deploy["restart_policy"][*key]));
        let found = found.chain(policy.map(|(_, name)| name));
        let found: Vec<_> = found.chain((!reserved.is_null()).then_some("generic_resources")).collect();
        if !found.is_empty() {
            ui::err(&format!(
                "WARN[0000] service {service:?}: deploy.{} is for a cluster and does nothing here",
                found.join(", deploy.")
            ));
        }
    }
}

/// Refuses what can't be.
pub(super) fn refuse(project: &Project, service: &str) -> Result<(), Error> {
    let Some(spec) = project.service(service) else { return Ok(()) };
    for (key, why) in NEVER {
        if !spec[key].is_null() {
            return Err(Error::Usage(format!("service {service:?}: {key} is refused: {why}")));
        }
    }
    Ok(())
}

/// The image of each service, pulled or built where it is missing or that is asked for.
async fn images(
    call: &Call,
    engine: &Engine,
    project: &Project,
    wish: &Wish,
) -> Result<BTreeMap<String, String>, Error> {
    let mut built = BTreeSet::new();
    for name in containers(project, wish) {
        let here = image_id(engine, &project.image(name)).await?.is_some();
        if build::is_due(project, name, wish.build, here) {
            built.insert(name.clone());
        }
    }
    let pulled: Vec<_> = containers(project, wish).filter(|name| !built.contains(*name)).cloned().collect();
    let report = if wish.quiet_pull { Report::new(call, true)? } else { wish.report };
    pull::ensure(call, engine, project, &pulled, wish.pull, report).await?;
    for name in containers(project, wish) {
        let steps = project.service(name).and_then(|spec| spec["pre_start"].as_array());
        for image in steps.into_iter().flatten().filter_map(|step| step["image"].as_str()) {
            pull::missing(call, engine, image, report).await?;
        }
    }
    build::services(
        call,
        project,
        &built.into_iter().collect::<Vec<_>>(),
        &build::Flags::quiet(wish.quiet_build),
    )?;
    let mut ids = BTreeMap::new();
    for name in containers(project, wish) {
        ids.extend(image_id(engine, &project.image(name)).await?.map(|id| (name.clone(), id)));
    }
    Ok(ids)
}

/// The id of an image that is here.
pub(super) async fn image_id(engine: &Engine, image: &str) -> Result<Option<String>, Error> {
    match engine.get(&format!("/images/{}/json", encode(image))).await {
        Ok(found) => Ok(found["Id"].as_str().map(str::to_owned)),
        Err(error) if error.is_status(404) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Containers of services that the file no longer has.
async fn orphans(
    engine: &Engine,
    project: &Project,
    there: &[Value],
    wish: &Wish,
    report: Report,
) -> Result<(), Error> {
    let seen: Vec<_> = there.iter().map(observe::seen).collect();
    let orphans = plan::orphans(project, &seen);
    if orphans.is_empty() {
        return Ok(());
    }
    if !wish.remove_orphans {
        tell_orphans(&orphans.iter().map(|one| one.name.clone()).collect::<Vec<_>>());
        return Ok(());
    }
    let act = Act::new(engine, project, report, wish.timeout);
    for one in orphans {
        act.remove(&one.id, &one.name, one.state == "running").await?;
    }
    Ok(())
}

/// The services whose new containers are started before the old ones stop. Where that is wanted and can't be, that is told.
pub(super) async fn rolling(engine: &Engine, project: &Project, plans: &[ServicePlan]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let is_running = |step: &Step| matches!(step, Step::Recreate { running: true, .. });
    for plan in plans.iter().filter(|plan| plan.steps.iter().any(is_running)) {
        if !roll::is_wanted(project, &plan.service) {
            continue;
        }
        match roll::hindrance(engine, project, &plan.service).await {
            None => drop(found.insert(plan.service.clone())),
            Some(why) => ui::err(&format!(
                "WARN[0000] service {:?}: update_config.order is stop-first here: {why}",
                plan.service
            )),
        }
    }
    found
}
