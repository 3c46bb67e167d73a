//! The simple verbs: the same request for each container of the services that are meant.

use client::{Engine, encode};
use compose::{Project, labels};
use futures_util::future::try_join_all;
use http::Method;
use serde_json::Value;

use super::create::Wish;
use super::down::is_orphan;
use super::observe::{self, OneOff};
use super::provider::{self, Verb as Wanted};
use super::report::{Report, removes_orphans};
use super::roll::Turns;
use super::{build, order, project, pull, up};
use crate::call::Call;
use crate::commands::filters;
use crate::error::{Error, Outcome};
use crate::{prompt, ui};

/// What is asked of each container, and how it is told.
struct Verb {
    path: String,
    /// What takes no time begins without a word.
    begins: &'static str,
    done: &'static str,
    /// Only containers in these states; none is all.
    states: &'static [&'static str],
}

const ALIVE: &[&str] = &["running", "paused", "restarting"];

fn timeout(call: &Call) -> String {
    let seconds = call.flags().changed("timeout").then(|| format!("t={}", call.flags().int("timeout")));
    filters::with_query("", &[seconds])
}

/// `compose stop`.
pub(crate) fn stop(call: &Call) -> Outcome {
    let path = format!("stop{}", timeout(call));
    backwards(call, Verb { path, begins: "Stopping", done: "Stopped", states: ALIVE })
}

/// `compose kill`.
pub(crate) fn kill(call: &Call) -> Outcome {
    let path = format!("kill?signal={}", encode(call.flags().text("signal")));
    backwards(call, Verb { path, begins: "Killing", done: "Killed", states: ALIVE })
}

/// `compose pause`.
pub(crate) fn pause(call: &Call) -> Outcome {
    backwards(call, Verb { path: "pause".into(), begins: "", done: "Paused", states: ALIVE })
}

/// `compose unpause`.
pub(crate) fn unpause(call: &Call) -> Outcome {
    backwards(call, Verb { path: "unpause".into(), begins: "", done: "Unpaused", states: ALIVE })
}

/// `compose restart`. What restarts with a service is restarted too.
pub(crate) fn restart(call: &Call) -> Outcome {
    let path = format!("restart{}", timeout(call));
    let mut services = call.args().to_vec();
    if !services.is_empty() && !call.flags().bool("no-deps") {
        let project = project::load(call, call.args())?;
        services = project.with_restarted(&project.known(call.args())?);
    }
    to_each(call, &services, Verb { path, ..RESTART })
}

const RESTART: Verb = Verb { path: String::new(), begins: "Restarting", done: "Started", states: &[] };

/// Restarts these services, and those that restart with them.
pub(super) async fn restart_services(
    engine: &Engine,
    project: &Project,
    services: &[String],
    report: Report,
) -> Result<(), Error> {
    let there = observe::containers(engine, &project.name, OneOff::Without).await?;
    let own = observe::of_services(there, &project.with_restarted(services));
    in_order(engine, project, &own, &Verb { path: "restart".into(), ..RESTART }, report).await
}

/// Stops these containers, each before what it depends on.
pub(super) async fn stop_containers(
    engine: &Engine,
    project: &Project,
    own: &[Value],
    timeout: Option<i64>,
    report: Report,
) -> Result<(), Error> {
    let seconds = timeout.map(|seconds| format!("?t={seconds}")).unwrap_or_default();
    let verb = Verb { path: format!("stop{seconds}"), begins: "Stopping", done: "Stopped", states: ALIVE };
    in_order(engine, project, own, &verb, report).await
}

fn backwards(call: &Call, verb: Verb) -> Outcome {
    to_each(call, call.args(), verb)
}

fn to_each(call: &Call, services: &[String], verb: Verb) -> Outcome {
    // Who kills says whether what the file no longer has is meant too; the others take all that is there.
    let spares_orphans = call.flags().has("remove-orphans") && !removes_orphans(call)?;
    let (name, project) = project::name(call)?;
    if let Some(project) = &project {
        project.known(services)?;
    }
    call.with_engine(|engine| async move {
        let there = observe::containers(&engine, &name, OneOff::Without).await?;
        let mut own = observe::of_services(there, services);
        if let Some(project) = project.as_ref().filter(|_| spares_orphans) {
            own.retain(|one| !is_orphan(project, one));
        }
        if own.is_empty() && verb.begins == "Killing" {
            return Err(Error::Usage("no container to kill".into()));
        }
        let report = Report::new(call, false)?;
        match &project {
            None => try_join_all(own.iter().map(|one| ask(&engine, one, &verb, report))).await.map(drop)?,
            Some(project) => {
                in_order(&engine, project, &own, &verb, report).await?;
                if verb.begins == "Stopping" {
                    let provided = provider::among(project, services);
                    order::backwards(project, &provided, |name| async move {
                        provider::end(call, project, &name, Wanted::Stop, report).await
                    })
                    .await?;
                }
            }
        }
        Ok(0)
    })
}

async fn in_order(
    engine: &Engine,
    project: &Project,
    own: &[Value],
    verb: &Verb,
    report: Report,
) -> Result<(), Error> {
    let mut names: Vec<String> =
        own.iter().map(|one| observe::label(one, labels::SERVICE).to_owned()).collect();
    names.sort_unstable();
    names.dedup();
    let each = |name: String| async move {
        let own = own.iter().filter(|one| observe::label(one, labels::SERVICE) == name);
        try_join_all(own.map(|one| async move {
            // Whoever is stopped may say goodbye; whoever is killed may not.
            if verb.begins == "Stopping" && one["State"] == "running" {
                super::run::pre_stop(engine, project, observe::label(one, labels::SERVICE), observe::id(one))
                    .await?;
            }
            ask(engine, one, verb, report).await
        }))
        .await
        .map(drop)
    };
    // Whoever starts again finds what it depends on; whoever ends still has it.
    match verb.begins == RESTART.begins {
        true => order::forwards(project, &names, |_, _| async { Ok(()) }, each).await,
        false => order::backwards(project, &names, each).await,
    }
}

async fn ask(engine: &Engine, one: &Value, verb: &Verb, report: Report) -> Result<(), Error> {
    let state = one["State"].as_str().unwrap_or_default();
    if !verb.states.is_empty() && !verb.states.contains(&state) {
        return Ok(());
    }
    let name = observe::name(one);
    if !verb.begins.is_empty() {
        report.begins("Container", &name, verb.begins);
    }
    let path = format!("/containers/{}/{}", encode(observe::id(one)), verb.path);
    engine.call(Method::POST, &path, None).await?;
    report.done("Container", &name, verb.done);
    Ok(())
}

/// `compose start`.
pub(crate) fn start(call: &Call) -> Outcome {
    let project = project::load(call, call.args())?;
    let services = project.with_dependencies(call.args())?;
    let wish = Wish {
        named: services.clone(),
        services,
        recreate: compose::plan::Recreate::Never,
        recreate_dependencies: compose::plan::Recreate::Never,
        scale: Default::default(),
        pull: pull::Policy::File,
        quiet_pull: false,
        build: build::When::Never,
        quiet_build: false,
        renew_volumes: false,
        remove_orphans: false,
        timeout: None,
        report: Report::new(call, false)?,
        starts: true,
        turns: Turns::default(),
    };
    call.with_engine(|engine| async move {
        let there = observe::containers(&engine, &project.name, OneOff::Without).await?;
        let names: Vec<_> = wish.services.iter().cloned().collect();
        let own = observe::of_services(there, &names);
        let missing = |name: &&String| own.iter().all(|one| observe::label(one, labels::SERVICE) != **name);
        if let Some(name) = names
            .iter()
            .find(|name| missing(name) && project.scale(name) > 0 && project.provider(name).is_none())
        {
            return Err(Error::Usage(format!("service {name:?} has no container to start")));
        }
        up::start_all(&engine, &project, &wish, None).await?;
        let flags = call.flags();
        let limit = flags.changed("wait-timeout").then(|| flags.int("wait-timeout"));
        if flags.bool("wait") || limit.is_some() {
            up::wait_until_well(&engine, &project, &wish, limit).await?;
        }
        Ok(0)
    })
}

/// `compose rm`.
pub(crate) fn rm(call: &Call) -> Outcome {
    let flags = call.flags();
    if flags.bool("stop") {
        stop(call)?;
    }
    let (name, project) = project::name(call)?;
    if let Some(project) = &project {
        project.known(call.args())?;
    }
    let volumes = flags.bool("volumes");
    call.with_engine(|engine| async move {
        let there = observe::containers(&engine, &name, OneOff::Without).await?;
        let mut own = observe::of_services(there, call.args());
        // In a dry run nothing was stopped.
        let stopped = engine.is_dry() && flags.bool("stop");
        own.retain(|one| stopped || !ALIVE.contains(&one["State"].as_str().unwrap_or_default()));
        if own.is_empty() {
            ui::err("No stopped containers");
            return Ok(0);
        }
        let names: Vec<_> = own.iter().map(observe::name).collect();
        ui::out(&format!("Going to remove {}\n", names.join(", ")))?;
        if !flags.bool("force") && !prompt::confirm("Are you sure?").await? {
            return Ok(0);
        }
        let report = Report::new(call, false)?;
        let (engine, volumes) = (&engine, if volumes { "?v=1" } else { "" });
        try_join_all(own.iter().map(|one| async move {
            let name = observe::name(one);
            report.begins("Container", &name, "Removing");
            engine.call(Method::DELETE, &format!("/containers/{}{volumes}", observe::id(one)), None).await?;
            report.done("Container", &name, "Removed");
            Ok::<_, Error>(())
        }))
        .await?;
        Ok(0)
    })
}
