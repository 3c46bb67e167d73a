//! `up`: everything made as it is wanted, started in order, and followed unless it is to run by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use client::Engine;

use compose::{Dependency, Project, labels, plan};
use futures_util::future::try_join_all;

use super::act::Act;
use super::changes::Changes;
use super::create::{self, Wish, converge};
use super::follow::{End, follow_up};
use super::observe::{self, OneOff};
use super::report::{Report, tell_orphans};
use super::watch::Watch;
use super::{order, project, provider, resources, roll, wait};
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::ui;

/// `compose up`.
pub(crate) fn up(call: &Call) -> Outcome {
    let flags = call.flags();
    let ends =
        ["abort-on-container-exit", "abort-on-container-failure"].into_iter().find(|name| flags.bool(name));
    let exit_code_from = flags.find("exit-code-from").filter(|name| !name.is_empty());
    let detached = flags.bool("detach") || flags.bool("wait") || flags.bool("no-start");
    if let Some(name) = ends.or(exit_code_from.map(|_| "exit-code-from"))
        && detached
    {
        return Err(Error::Usage(format!("--detach and --{name} are incompatible")));
    }
    if flags.bool("watch") && detached {
        return Err(Error::Usage(
            "--detach and --watch are incompatible; compose watch runs by itself".into(),
        ));
    }
    if flags.bool("menu") && detached {
        return Err(Error::Usage("--detach and --menu are incompatible".into()));
    }
    let project = project::load(call, call.args())?;
    super::remote::consent(call, &project)?;
    let mut wish = Wish { starts: !flags.bool("no-start"), ..Wish::read(call, &project)? };
    call.with_engine(|engine| async move {
        if engine.is_dry() {
            return dry_run(&engine, &project, &wish).await;
        }
        converge(call, &engine, &project, &wish).await?;
        if flags.bool("no-start") {
            return Ok(0);
        }
        if detached {
            start_all(&engine, &project, &wish, None).await?;
            if flags.bool("wait") {
                let limit = flags.changed("wait-timeout").then(|| flags.int("wait-timeout"));
                wait_until_well(&engine, &project, &wish, limit).await?;
            }
            return Ok(0);
        }
        super::board::leave();
        wish.report = wish.report.shared();
        let end = End {
            abort_on_exit: ends.is_some() || exit_code_from.is_some(),
            failures_only: ends == Some("abort-on-container-failure"),
            code_from: exit_code_from,
        };
        let services: Vec<_> = wish.services.iter().cloned().collect();
        let watch = flags
            .bool("watch")
            .then(|| Watch::new(call, &engine, &project, &services, true, wish.quiet_build));
        follow_up(call, &engine, &project, &wish, end, watch.transpose()?).await
    })
}

/// `compose plan`: what `up` would do, and why.
pub(crate) fn plan(call: &Call) -> Outcome {
    let project = project::load(call, call.args())?;
    let wish = Wish { starts: true, ..Wish::read(call, &project)? };
    call.with_engine(|engine| async move { dry_run(&engine, &project, &wish).await })
}

/// What would be done.
pub(super) async fn dry_run(engine: &Engine, project: &Project, wish: &Wish) -> Outcome {
    wish.services.iter().try_for_each(|service| create::refuse(project, service))?;
    let there = observe::containers(engine, &project.name, OneOff::Without).await?;
    let services: Vec<String> = wish.services.iter().cloned().collect();
    let provided = provider::as_before(engine, project, &services, &there).await?;
    let project = provided.as_ref().unwrap_or(project);
    let mut images = BTreeMap::new();
    for name in &wish.services {
        images.extend(create::image_id(engine, &project.image(name)).await?.map(|id| (name.clone(), id)));
    }
    let seen = observe::seen_by(engine, project, &there).await?;
    let resources = resources::look(engine, project).await?;
    let targets = create::targets(project, wish, &images)?;
    let mut plans = plan::plan(project, &targets, &seen, &plan::renewed(&resources));
    let rolling = create::rolling(engine, project, &plans).await;
    if wish.remove_orphans {
        plans.splice(0..0, plan::without_orphans(project, &seen));
    } else {
        tell_orphans(
            &plan::orphans(project, &seen).into_iter().map(|one| one.name.clone()).collect::<Vec<_>>(),
        );
    }
    ui::out(&plan::describe(&resources, &plans, &rolling))?;
    Ok(0)
}

/// Starts all containers of these services that don't run, each when what it depends on is ready.
pub(super) async fn start_all(
    engine: &Engine,
    project: &Project,
    wish: &Wish,
    started: Option<&dyn Fn(&str)>,
) -> Result<(), Error> {
    let names: Vec<String> = project
        .in_order()
        .into_iter()
        .filter(|name| wish.services.contains(*name))
        .map(str::to_owned)
        .collect();
    let report = wish.report;
    let act = &Act { meant: wish.services.clone(), ..Act::new(engine, project, report, wish.timeout) };
    let wanted: &BTreeSet<String> = &wish.services;
    order::forwards(
        project,
        &names,
        |name, dependency| async move {
            if !wanted.contains(&dependency.service) {
                return Ok(());
            }
            ready(engine, project, &name, &dependency, report).await
        },
        |name| async move { start_service(act, &name, wish, started).await },
    )
    .await
}

async fn start_service(
    act: &Act<'_>,
    service: &str,
    wish: &Wish,
    started: Option<&dyn Fn(&str)>,
) -> Result<(), Error> {
    let turns = wish.turns.take(service);
    if !turns.is_empty() {
        roll::service(act, service, &turns).await?;
        act.stop_dependents(service).await?;
    }
    let there = observe::containers(act.engine, &act.project.name, OneOff::Without).await?;
    let own = observe::of_services(there, &[service.to_owned()]);
    act.before_start(service, &own).await?;
    try_join_all(own.iter().map(|one| async move {
        let (id, name) = (observe::id(one), observe::name(one));
        if let Some(started) = started {
            started(id);
        }
        match one["State"].as_str() {
            Some("running" | "paused" | "restarting") => {
                act.report.done("Container", &name, "Running");
                Ok(())
            }
            _ => {
                act.start(id, &name).await?;
                hooks(act, service, id).await
            }
        }
    }))
    .await
    .map(drop)
}

/// `post_start`: commands in a container that has just been started.
pub(super) async fn hooks(act: &Act<'_>, service: &str, id: &str) -> Result<(), Error> {
    let hooks = act.project.service(service).map(|spec| spec["post_start"].clone()).unwrap_or_default();
    for hook in hooks.as_array().into_iter().flatten() {
        super::run::hook(act.engine, service, id, hook).await?;
    }
    Ok(())
}

/// Waits until what a service depends on is as its condition says.
async fn ready(
    engine: &Engine,
    project: &Project,
    service: &str,
    dependency: &Dependency,
    report: Report,
) -> Result<(), Error> {
    let outcome = match dependency.condition.as_str() {
        "service_healthy" => healthy(engine, project, &dependency.service, report).await,
        "service_completed_successfully" => completed(engine, project, &dependency.service, report).await,
        _ => return Ok(()),
    };
    match outcome {
        Err(Error::Usage(why)) if !dependency.required => {
            ui::err(&format!(
                "WARN[0000] optional dependency {:?} of {service:?} failed: {why}",
                dependency.service
            ));
            Ok(())
        }
        Err(Error::Usage(why)) => Err(Error::Usage(format!("dependency failed to start: {why}"))),
        other => other,
    }
}

async fn of(engine: &Engine, project: &Project, service: &str) -> Result<Vec<serde_json::Value>, Error> {
    let there = observe::containers(engine, &project.name, OneOff::Without).await?;
    Ok(observe::of_services(there, &[service.to_owned()]))
}

async fn healthy(engine: &Engine, project: &Project, service: &str, report: Report) -> Result<(), Error> {
    for one in of(engine, project, service).await? {
        let (id, name) = (observe::id(&one).to_owned(), observe::name(&one));
        report.begins("Container", &name, "Waiting");
        let mut changes = Changes::of(engine, &id).await?;
        loop {
            let found = engine.get(&format!("/containers/{id}/json")).await?;
            if is_healthy(&found, &name)? {
                break;
            }
            if found["State"]["Running"] == true && found["State"]["Health"]["Status"].is_null() {
                return Err(Error::Usage(format!("container {name} has no healthcheck configured")));
            }
            changes.next(None).await?;
        }
        report.done("Container", &name, "Healthy");
    }
    Ok(())
}

/// Whether its check says so; an error if that can't become so any more.
pub(super) fn is_healthy(found: &serde_json::Value, name: &str) -> Result<bool, Error> {
    let state = &found["State"];
    match state["Health"]["Status"].as_str() {
        _ if state["Running"] != true && state["Status"] == "exited" => {
            Err(Error::Usage(format!("container {name} exited ({})", state["ExitCode"])))
        }
        Some("healthy") => Ok(true),
        Some("unhealthy") => {
            let last = state["Health"]["Log"].as_array().and_then(|log| log.last());
            let said = last.and_then(|last| last["Output"].as_str()).unwrap_or_default().trim();
            Err(Error::Usage(format!("container {name} is unhealthy; the last check said: {said:?}")))
        }
        _ => Ok(false),
    }
}

async fn completed(engine: &Engine, project: &Project, service: &str, report: Report) -> Result<(), Error> {
    for one in of(engine, project, service).await? {
        let name = observe::name(&one);
        report.begins("Container", &name, "Waiting");
        let code = wait::code(engine, observe::id(&one)).await?;
        report.done("Container", &name, "Exited");
        if code != 0 {
            return Err(Error::Usage(format!(
                "service {service:?} didn't complete successfully: {name} exited ({code})"
            )));
        }
    }
    Ok(())
}

/// What has no check and has run for so long is taken to run on: one that can't start has ended by then.
const SETTLED: Duration = Duration::from_millis(500);

/// `--wait`: everything runs or is healthy; a job that ended well is well.
pub(super) async fn wait_until_well(
    engine: &Engine,
    project: &Project,
    wish: &Wish,
    limit: Option<i64>,
) -> Result<(), Error> {
    let begun = Instant::now();
    let report = wish.report;
    let there = observe::containers(engine, &project.name, OneOff::Without).await?;
    let services: Vec<_> = wish.services.iter().cloned().collect();
    for one in observe::of_services(there, &services) {
        let (id, name) = (observe::id(&one).to_owned(), observe::name(&one));
        report.begins("Container", &name, "Waiting");
        let mut changes = Changes::of(engine, &id).await?;
        let became = loop {
            let state = engine.get(&format!("/containers/{id}/json")).await?["State"].take();
            let service = observe::label(&one, labels::SERVICE);
            match (state["Health"]["Status"].as_str(), state["Status"].as_str()) {
                (Some("healthy"), _) => break "Healthy",
                (None, Some("running")) if begun.elapsed() >= SETTLED => break "Healthy",
                (_, Some("exited")) if state["ExitCode"] == 0 => break "Exited",
                (Some("unhealthy"), _) => return Err(Error::Usage(format!("container {name} is unhealthy"))),
                (_, Some("exited" | "dead")) => {
                    return Err(Error::Usage(format!(
                        "container {name} of service {service:?} exited ({})",
                        state["ExitCode"]
                    )));
                }
                _ => {}
            }
            let left =
                limit.map(|limit| Duration::from_secs(limit.unsigned_abs()).saturating_sub(begun.elapsed()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(Error::Usage(format!("timeout waiting for {name}: it is {}", state["Status"])));
            }
            let settles = SETTLED.saturating_sub(begun.elapsed());
            let settles = Some(settles).filter(|left| !left.is_zero());
            changes.next(left.into_iter().chain(settles).min()).await?;
        };
        report.done("Container", &name, became);
    }
    Ok(())
}
