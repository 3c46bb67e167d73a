//! `up` in the foreground: everything is started, and what it writes is shown until it ends or a person ends it.
//!
//! What happens is told by the engine's events, so that a container that is restarted, or made anew by somebody else, is
//! followed again.

use std::collections::{BTreeMap, BTreeSet};

use client::{Engine, encode};
use compose::{Project, labels};
use futures_util::StreamExt as _;
use futures_util::future::{LocalBoxFuture, join_all};
use futures_util::stream::FuturesUnordered;
use http::Method;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::create::Wish;
use super::logs::{self, Look};
use super::menu::{self, Key, Menu};
use super::observe::{self, OneOff};
use super::watch::Watch;
use super::{each, one, up};
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::messages::Messages;
use crate::ui;

/// What ends an `up` that is followed.
pub(super) struct End<'a> {
    pub(super) abort_on_exit: bool,
    pub(super) failures_only: bool,
    pub(super) code_from: Option<&'a str>,
}

/// Starts everything and shows what it writes, until it ends or a person ends it: once to stop, twice to kill. A watch
/// begins when everything is started, and goes on when everything has ended: it may start it again.
pub(super) async fn follow_up(
    call: &Call,
    engine: &Engine,
    project: &Project,
    wish: &Wish,
    end: End<'_>,
    watch: Option<Watch<'_>>,
) -> Outcome {
    let mut follow = Follow::new(call, engine, project, wish, end).await?;
    let mut events = Messages::new(follow.events().await?);
    let mut copies = FuturesUnordered::new();
    for one in std::mem::take(&mut follow.running) {
        copies.push(follow.copy(&one));
    }
    let starting = up::start_all(engine, project, wish, None);
    tokio::pin!(starting);
    let mut watches = watch.is_some();
    let mut watching = run(watch);
    let mut menu = Menu::enter(call);
    let mut is_left = false;
    let mut is_started = false;
    let mut is_aborted = false;
    let code = loop {
        tokio::select! {
            result = &mut starting, if !is_started => {
                result?;
                is_started = true;
                if is_left {
                    return Ok(0);
                }
                if !watches && follow.is_over().await? && follow.has_heard_all().await? {
                    break follow.code;
                }
            }
            event = events.next() => {
                let Some(event) = event? else {
                    return Err(Error::Usage("the engine ended; the containers run on without it".into()));
                };
                match follow.happened(&event).await? {
                    Happened::Nothing => {}
                    Happened::Started(one) => {
                        if !follow.copying.contains(observe::id(&one)) {
                            copies.push(follow.copy(&one));
                        }
                    }
                    Happened::Aborted(code) => {
                        is_aborted = true;
                        break code;
                    }
                    Happened::Ended => {
                        if is_started && !watches && follow.is_over().await? {
                            break follow.code;
                        }
                    }
                }
            }
            ended = &mut watching, if is_started => ended?,
            key = menu::pressed(&mut menu) => match key {
                // What isn't started yet nobody else would start.
                Key::Detach if is_started => return Ok(0),
                Key::Detach => is_left = true,
                Key::Watch if watches => {
                    (watches, watching) = (false, run(None));
                    ui::out("Watch disabled\n")?;
                }
                Key::Watch => {
                    let services: Vec<_> = wish.services.iter().cloned().collect();
                    match Watch::new(call, engine, project, &services, true, wish.quiet_build) {
                        Ok(watch) => (watches, watching) = (true, run(Some(watch))),
                        Err(error) => ui::err(&ui::sentence(&error)),
                    }
                }
            },
            Some(copied) = copies.next() => {
                if let Some(one) = follow.copied(copied?).await? {
                    copies.push(follow.copy(&one));
                }
            }
            _ = tokio::signal::ctrl_c() => return interrupted(engine, project, wish).await,
        }
    };
    if is_aborted {
        ui::err("Aborting on container exit...");
        let there = meant(engine, project, wish).await?;
        each::stop_containers(engine, project, &there, wish.timeout, wish.report).await?;
    }
    // What was written last is still on its way; the output ends with its containers. What runs on is shown no longer.
    let alive = follow.alive().await?;
    while follow.copying.iter().any(|id| !alive.contains(id)) {
        let Some(copied) = copies.next().await else { break };
        follow.copying.remove(&copied?);
    }
    Ok(code)
}

/// The watch at work; without one, nothing ever happens.
fn run<'a>(watch: Option<Watch<'a>>) -> LocalBoxFuture<'a, Result<(), Error>> {
    Box::pin(async move {
        match watch {
            Some(watch) => watch.run().await,
            None => std::future::pending().await,
        }
    })
}

/// What an event means here.
enum Happened {
    Nothing,
    /// This container runs now.
    Started(Value),
    /// One has ended.
    Ended,
    /// One has ended, and with it everything.
    Aborted(i32),
}

struct Follow<'a> {
    engine: &'a Engine,
    project: &'a Project,
    end: End<'a>,
    /// The services whose output is shown.
    services: BTreeSet<String>,
    look: Look,
    times: &'static str,
    begun: String,
    /// Whose logs are being read: an engine may go on with a log when its container is restarted, or end it.
    copying: BTreeSet<String>,
    /// When a container ended last: what it writes from then on hasn't been shown.
    ended: BTreeMap<String, String>,
    /// What ran before anything was started.
    running: Vec<Value>,
    code: i32,
}

impl<'a> Follow<'a> {
    async fn new(
        call: &Call,
        engine: &'a Engine,
        project: &'a Project,
        wish: &Wish,
        end: End<'a>,
    ) -> Result<Self, Error> {
        let flags = call.flags();
        let mut follow = Self {
            engine,
            project,
            end,
            services: attached(call, project, wish),
            look: Look::new(call, &[])?,
            times: if flags.bool("timestamps") { "&timestamps=1" } else { "" },
            begun: seconds(jiff::Timestamp::now()),
            copying: BTreeSet::new(),
            ended: BTreeMap::new(),
            running: Vec::new(),
            code: 0,
        };
        let own = follow.own().await?;
        let names: Vec<_> = own.iter().map(one::short_name).collect();
        ui::out(&format!("Attaching to {}\n", names.join(", ")))?;
        follow.look = Look::new(call, &own)?;
        follow.running = own.into_iter().filter(|one| one["State"] == "running").collect();
        Ok(follow)
    }

    /// The containers whose output is shown.
    async fn own(&self) -> Result<Vec<Value>, Error> {
        let mut own = observe::containers(self.engine, &self.project.name, OneOff::Without).await?;
        own.retain(|one| self.services.contains(observe::label(one, labels::SERVICE)));
        Ok(own)
    }

    async fn events(&self) -> Result<client::Body, Error> {
        let label =
            [format!("{}={}", labels::PROJECT, self.project.name), format!("{}=False", labels::ONE_OFF)];
        let filters = json!({ "type": ["container"], "event": ["start", "die"], "label": label }).to_string();
        let path = format!("/events?since={}&filters={}", self.begun, encode(&filters));
        Ok(self.engine.stream(Method::GET, &path, None).await?)
    }

    /// What a container writes from when it was last seen.
    fn copy(&mut self, container: &Value) -> impl Future<Output = Result<String, Error>> + use<'a> {
        let id = observe::id(container).to_owned();
        self.copying.insert(id.clone());
        let since = self.ended.get(&id).unwrap_or(&self.begun);
        let times = self.times;
        let path =
            format!("/containers/{}/logs?stdout=1&stderr=1&follow=1&since={since}{times}", encode(&id));
        let printer = self.look.printer(&one::short_name(container));
        let engine = self.engine;
        async move { logs::copy(engine, &id, &path, printer).await.map(|()| id) }
    }

    /// A log has come to its end; the container, if it runs again already.
    async fn copied(&mut self, id: String) -> Result<Option<Value>, Error> {
        self.copying.remove(&id);
        let there = self.own().await?.into_iter().find(|one| observe::id(one) == id);
        Ok(there.filter(|one| one["State"] == "running" && self.ended.contains_key(&id)))
    }

    /// What runs of what is shown.
    async fn alive(&self) -> Result<BTreeSet<String>, Error> {
        let is_alive =
            |one: &&Value| matches!(one["State"].as_str(), Some("running" | "restarting" | "paused"));
        Ok(self.own().await?.iter().filter(is_alive).map(|one| observe::id(one).to_owned()).collect())
    }

    /// Whether nothing runs any more.
    async fn is_over(&self) -> Result<bool, Error> {
        Ok(self.alive().await?.is_empty())
    }

    /// Whether the end of everything that is shown was told already: how it ended is yet to be heard otherwise.
    async fn has_heard_all(&self) -> Result<bool, Error> {
        Ok(self.own().await?.iter().all(|one| self.ended.contains_key(observe::id(one))))
    }

    async fn happened(&mut self, event: &Value) -> Result<Happened, Error> {
        let service = event["Actor"]["Attributes"][labels::SERVICE].as_str().unwrap_or_default();
        let id = event["Actor"]["ID"].as_str().unwrap_or_default();
        if !self.services.contains(service) {
            return Ok(Happened::Nothing);
        }
        let there = self.own().await?.into_iter().find(|one| observe::id(one) == id);
        match (event["Action"].as_str(), there) {
            (Some("start"), Some(one)) => Ok(Happened::Started(one)),
            (Some("die"), there) => self.died(event, service, there.as_ref()),
            _ => Ok(Happened::Nothing),
        }
    }

    fn died(&mut self, event: &Value, service: &str, there: Option<&Value>) -> Result<Happened, Error> {
        let attributes = &event["Actor"]["Attributes"];
        let code = attributes["exitCode"].as_str().and_then(|code| code.parse().ok()).unwrap_or(0);
        let nanos = event["timeNano"].as_i64().unwrap_or_default();
        if let (Some(id), Ok(at)) =
            (event["Actor"]["ID"].as_str(), jiff::Timestamp::from_nanosecond(nanos.into()))
        {
            self.ended.insert(id.to_owned(), seconds(at));
        }
        let restarts = there.is_some_and(|one| one["State"] == "restarting");
        let name = there.map(one::short_name).unwrap_or_else(|| {
            let number = attributes[labels::NUMBER].as_str().unwrap_or("1");
            format!("{service}-{number}")
        });
        let note = if restarts { " (restarting)" } else { "" };
        ui::out(&format!("{name} exited with code {code}{note}\n"))?;
        let end = &self.end;
        let counts = end.code_from.is_none_or(|wanted| wanted == service);
        if end.abort_on_exit && counts && code != 0 {
            self.code = code;
        }
        let aborts = end.abort_on_exit
            && !restarts
            && (!end.failures_only || code != 0)
            && (end.code_from.is_none() || counts);
        Ok(if aborts { Happened::Aborted(code) } else { Happened::Ended })
    }
}

/// The services whose output is shown: those that were named, but for what the file or a flag says otherwise.
fn attached(call: &Call, project: &Project, wish: &Wish) -> BTreeSet<String> {
    let flags = call.flags();
    let (shown, silent) = (flags.list("attach"), flags.list("no-attach"));
    let is_shown = |service: &&String| {
        let attach = project.service(service).is_none_or(|spec| spec["attach"] != false);
        let wanted = flags.bool("attach-dependencies") || wish.named.contains(*service);
        let chosen = if shown.is_empty() { attach && wanted } else { shown.contains(service) };
        chosen && !silent.contains(service)
    };
    wish.services.iter().filter(is_shown).cloned().collect()
}

fn seconds(at: jiff::Timestamp) -> String {
    format!("{}.{:09}", at.as_second(), at.subsec_nanosecond())
}

/// The containers that stop with the command: of the services that were named, or of all, whatever is shown of them. What
/// they depend on may be others' as well.
async fn meant(engine: &Engine, project: &Project, wish: &Wish) -> Result<Vec<Value>, Error> {
    let mut there = observe::containers(engine, &project.name, OneOff::Without).await?;
    there.retain(|one| wish.named.contains(observe::label(one, labels::SERVICE)));
    Ok(there)
}

/// The first Ctrl-C stops, the second one kills.
async fn interrupted(engine: &Engine, project: &Project, wish: &Wish) -> Outcome {
    // Whoever reads the next line may press at once.
    let again = signal(SignalKind::interrupt());
    let mut again = again.map_err(|e| Error::Io("listen to Ctrl-C", e))?;
    ui::err("Gracefully Stopping... press Ctrl+C again to force");
    let there = meant(engine, project, wish).await?;
    tokio::select! {
        stopped = each::stop_containers(engine, project, &there, wish.timeout, wish.report) => stopped?,
        _ = again.recv() => kill(engine, &there).await,
    }
    Ok(130)
}

async fn kill(engine: &Engine, there: &[Value]) {
    // What has ended already is as it should be.
    let kills = there.iter().map(|one| async move {
        let path = format!("/containers/{}/kill", encode(observe::id(one)));
        drop(engine.call(Method::POST, &path, None).await);
    });
    join_all(kills).await;
}
