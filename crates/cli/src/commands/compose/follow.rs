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
use jiff::Timestamp;
use serde_json::{Value, json};

use super::create::Wish;
use super::logs::{self, Look, Shown};
use super::menu::{self, Key, Menu};
use super::observe::{self, OneOff};
use super::watch::Watch;
use super::{each, one, up};
use crate::call::Call;
use crate::commands::logs::seconds;
use crate::error::{Error, Outcome};
use crate::interrupt;
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
    let mut interrupts = interrupt::listen()?;
    let mut follow = Follow::new(call, engine, project, wish, end).await?;
    let mut events = Messages::new(follow.events().await?);
    let mut copies = std::mem::take(&mut follow.begun_with);
    let mut starting = Box::pin(up::start_all(engine, project, wish, None));
    let mut watches = watch.is_some();
    let mut watching = run(watch);
    let mut menu = Menu::enter(call);
    let mut is_left = false;
    let mut is_started = false;
    let (end, code) = loop {
        tokio::select! {
            result = &mut starting, if !is_started => {
                result?;
                is_started = true;
                if is_left {
                    return Ok(0);
                }
                if !watches && follow.is_over().await? {
                    break (Ending::Over, follow.code);
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
                    Happened::Aborted(code) => break (Ending::Aborted, code),
                    Happened::Ended => {
                        if is_started && !watches && follow.stays_over().await? {
                            break (Ending::Over, follow.code);
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
            Some(copied) = copies.next() => follow.copied(copied?, &mut copies).await?,
            _ = interrupts.recv() => break (Ending::Interrupted, 130),
        }
    };
    // Whoever is interrupted while it starts something keeps nobody waiting for a turn.
    drop(starting);
    // What is written meanwhile is shown.
    let ending = close(engine, project, wish, end);
    tokio::pin!(ending);
    loop {
        tokio::select! {
            closed = &mut ending => break closed?,
            Some(copied) = copies.next() => follow.copied(copied?, &mut copies).await?,
        }
    }
    follow.drain(copies).await?;
    Ok(code)
}

/// `logs --follow`: what was written, as the query says, and what is written from now on, also by what is restarted, made
/// anew or comes later, until nothing runs.
pub(super) async fn follow_logs(call: &Call, engine: &Engine, project: &str, query: &str) -> Outcome {
    let end = End { abort_on_exit: false, failures_only: false, code_from: None };
    let mut follow = Follow::idle(call, engine, project, end)?;
    follow.services = (!call.args().is_empty()).then(|| call.args().iter().cloned().collect());
    follow.index = call.flags().int("index");
    let own = follow.own().await?;
    follow.look = Look::new(call, &own)?;
    let mut events = Messages::new(follow.events().await?);
    let mut copies = FuturesUnordered::new();
    for one in &own {
        follow.ran.insert(observe::id(one).to_owned());
        copies.push(follow.copy_on(one, query.to_owned()));
    }
    let mut is_over = follow.alive().await?.is_empty();
    while !is_over {
        tokio::select! {
            event = events.next() => {
                let Some(event) = event? else { break };
                match follow.happened(&event).await? {
                    Happened::Started(one) if !follow.copying.contains(observe::id(&one)) => {
                        copies.push(follow.copy(&one));
                    }
                    Happened::Ended => is_over = follow.stays_over().await?,
                    _ => {}
                }
            }
            Some(copied) = copies.next() => follow.copied(copied?, &mut copies).await?,
        }
    }
    follow.drain(copies).await?;
    Ok(0)
}

/// Why nothing is followed any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Over,
    Aborted,
    Interrupted,
}

/// What is done with what runs when nothing is followed any more.
async fn close(engine: &Engine, project: &Project, wish: &Wish, end: Ending) -> Result<(), Error> {
    match end {
        Ending::Over => Ok(()),
        Ending::Aborted => {
            ui::err("Aborting on container exit...");
            let there = meant(engine, project, wish).await?;
            each::stop_containers(engine, project, &there, wish.timeout, wish.report).await
        }
        Ending::Interrupted => interrupted(engine, project, wish).await,
    }
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

/// Output on its way; whose it was, when it has ended.
type Copy<'a> = LocalBoxFuture<'a, Result<(String, Shown), Error>>;

struct Follow<'a> {
    engine: &'a Engine,
    /// The project's name.
    project: &'a str,
    end: End<'a>,
    /// The services whose output is shown; none means all.
    services: Option<BTreeSet<String>>,
    /// Which container of each; all if it is 0.
    index: i64,
    look: Look,
    begun: Timestamp,
    /// Whose logs are being read: an engine may go on with a log when its container is restarted, or end it.
    copying: BTreeSet<String>,
    /// What was written last of what was shown of a container: where its log is read on.
    shown: BTreeMap<String, Timestamp>,
    /// Of which end of a container was told last.
    ended: BTreeMap<String, Timestamp>,
    /// What is read before anything is started: of what runs, and of what no log is kept of.
    begun_with: FuturesUnordered<Copy<'a>>,
    /// What has run while it was followed.
    ran: BTreeSet<String>,
    code: i32,
}

impl<'a> Follow<'a> {
    /// Of a project, nobody's output yet.
    fn idle(call: &Call, engine: &'a Engine, project: &'a str, end: End<'a>) -> Result<Self, Error> {
        Ok(Self {
            engine,
            project,
            end,
            services: None,
            index: 0,
            look: Look::new(call, &[])?,
            begun: Timestamp::now(),
            copying: BTreeSet::new(),
            shown: BTreeMap::new(),
            ended: BTreeMap::new(),
            begun_with: FuturesUnordered::new(),
            ran: BTreeSet::new(),
            code: 0,
        })
    }

    async fn new(
        call: &Call,
        engine: &'a Engine,
        project: &'a Project,
        wish: &Wish,
        end: End<'a>,
    ) -> Result<Self, Error> {
        let mut follow = Self::idle(call, engine, &project.name, end)?;
        follow.services = Some(attached(call, project, wish));
        let own = follow.own().await?;
        let names: Vec<_> = own.iter().map(one::short_name).collect();
        ui::out(&format!("Attaching to {}\n", names.join(", ")))?;
        follow.look = Look::new(call, &own)?;
        let is_unlogged = |one: &Value| {
            let spec = project.service(observe::label(one, labels::SERVICE));
            spec.is_some_and(|spec| spec["logging"]["driver"] == logs::UNLOGGED)
        };
        for one in own {
            let id = observe::id(&one).to_owned();
            if one["State"] == "running" {
                follow.ran.insert(id);
                let copy = follow.copy(&one);
                follow.begun_with.push(copy);
            } else if is_unlogged(&one)
                && let Some(heard) = logs::listen(engine, &id).await?
            {
                let printer = follow.look.noting_printer(&one::short_name(&one));
                follow.copying.insert(id.clone());
                follow.begun_with.push(Box::pin(async move { Ok((id, heard.print(printer).await?)) }));
            }
        }
        Ok(follow)
    }

    /// The containers whose output is shown.
    async fn own(&self) -> Result<Vec<Value>, Error> {
        let mut own = observe::containers(self.engine, self.project, OneOff::Without).await?;
        own.retain(|one| {
            let is_chosen = self.index == 0 || i64::from(observe::number(one)) == self.index;
            is_chosen && self.is_shown(observe::label(one, labels::SERVICE))
        });
        Ok(own)
    }

    fn is_shown(&self, service: &str) -> bool {
        self.services.as_ref().is_none_or(|services| services.contains(service))
    }

    async fn events(&self) -> Result<client::Body, Error> {
        let label = [format!("{}={}", labels::PROJECT, self.project), format!("{}=False", labels::ONE_OFF)];
        let filters = json!({ "type": ["container"], "event": ["start", "die"], "label": label }).to_string();
        let path = format!("/events?since={}&filters={}", seconds(self.begun), encode(&filters));
        Ok(self.engine.stream(Method::GET, &path, None).await?)
    }

    /// What a container writes from where it was shown last.
    fn copy(&mut self, container: &Value) -> Copy<'a> {
        let next = self.shown.get(observe::id(container)).and_then(|last| last.checked_add(NANOSECOND).ok());
        self.copy_on(container, format!("since={}", seconds(next.unwrap_or(self.begun))))
    }

    /// What of a container's log the query says, and what it writes.
    fn copy_on(&mut self, container: &Value, query: String) -> Copy<'a> {
        let id = observe::id(container).to_owned();
        self.copying.insert(id.clone());
        let printer = self.look.noting_printer(&one::short_name(container));
        let engine = self.engine;
        Box::pin(async move { Ok((id.clone(), logs::copy_on(engine, &id, &query, printer).await?)) })
    }

    /// Some output has come to its end. If its container was started again since it was opened, it is read on: that run
    /// may have written what wasn't in it, and may be over as well.
    async fn copied(
        &mut self,
        (id, shown): (String, Shown),
        copies: &mut FuturesUnordered<Copy<'a>>,
    ) -> Result<(), Error> {
        self.copying.remove(&id);
        if let Some(last) = shown.last {
            self.shown.insert(id.clone(), last);
        }
        let there = self.own().await?.into_iter().find(|one| observe::id(one) == id);
        if let (Some(one), Some(found)) = (there, self.inspect(&id).await)
            && shown.goes_on(&found)
        {
            copies.push(self.copy(&one));
        }
        Ok(())
    }

    /// What was written last is still on its way; the output ends with its containers. What runs on is shown no longer.
    async fn drain(&mut self, mut copies: FuturesUnordered<Copy<'a>>) -> Result<(), Error> {
        let mut interrupts = interrupt::listen()?;
        let alive = self.alive().await?;
        while self.copying.iter().any(|id| self.ran.contains(id) && !alive.contains(id)) {
            tokio::select! {
                Some(copied) = copies.next() => self.copied(copied?, &mut copies).await?,
                _ = interrupts.recv() => break,
                else => break,
            }
        }
        Ok(())
    }

    /// None if it went meanwhile.
    async fn inspect(&self, id: &str) -> Option<Value> {
        self.engine.get(&format!("/containers/{}/json", encode(id))).await.ok()
    }

    /// What runs of what is shown.
    async fn alive(&self) -> Result<BTreeSet<String>, Error> {
        Ok(self
            .own()
            .await?
            .iter()
            .filter(|one| is_alive(one))
            .map(|one| observe::id(one).to_owned())
            .collect())
    }

    /// Whether nothing runs any more, and nobody is about to start something: who makes a container anew has made its
    /// successor before it ends.
    async fn stays_over(&self) -> Result<bool, Error> {
        let begun = self.begun.as_second();
        let is_new = |one: &Value| one["State"] == "created" && one["Created"].as_i64() >= Some(begun);
        // What is made and started between two looks would be in neither.
        let own = self.own().await?;
        Ok(!own.iter().any(|one| is_alive(one) || is_new(one)) && self.has_heard_all().await?)
    }

    /// Whether nothing runs any more, and all has been heard of how it ended.
    async fn is_over(&self) -> Result<bool, Error> {
        Ok(self.alive().await?.is_empty() && self.has_heard_all().await?)
    }

    /// Whether the last end of everything that is shown was told already.
    async fn has_heard_all(&self) -> Result<bool, Error> {
        for one in self.own().await? {
            let id = observe::id(&one);
            let Some(found) = self.inspect(id).await else { continue };
            let heard = self.ended.get(id).copied().unwrap_or(self.begun);
            if time(&found, "FinishedAt").is_some_and(|finished| finished > heard) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn happened(&mut self, event: &Value) -> Result<Happened, Error> {
        let service = event["Actor"]["Attributes"][labels::SERVICE].as_str().unwrap_or_default();
        let id = event["Actor"]["ID"].as_str().unwrap_or_default();
        if !self.is_shown(service) {
            return Ok(Happened::Nothing);
        }
        let there = self.own().await?.into_iter().find(|one| observe::id(one) == id);
        match (event["Action"].as_str(), there) {
            (Some("start"), Some(one)) => {
                self.ran.insert(id.to_owned());
                Ok(Happened::Started(one))
            }
            (Some("die"), there) => self.died(event, service, there.as_ref()).await,
            _ => Ok(Happened::Nothing),
        }
    }

    async fn died(&mut self, event: &Value, service: &str, there: Option<&Value>) -> Result<Happened, Error> {
        let attributes = &event["Actor"]["Attributes"];
        let code = attributes["exitCode"].as_str().and_then(|code| code.parse().ok()).unwrap_or(0);
        let nanos = event["timeNano"].as_i64().unwrap_or_default();
        let at = Timestamp::from_nanosecond(nanos.into()).unwrap_or(self.begun);
        let id = event["Actor"]["ID"].as_str().unwrap_or_default();
        self.ended.insert(id.to_owned(), at);
        let found = if there.is_some() { self.inspect(id).await } else { None };
        let restarts = found.is_some_and(|found| goes_on(&found, at));
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

/// The smallest step of a log's time: what was written after a line.
const NANOSECOND: jiff::SignedDuration = jiff::SignedDuration::from_nanos(1);

fn time(container: &Value, what: &str) -> Option<Timestamp> {
    container["State"][what].as_str().and_then(|text| text.parse().ok())
}

fn is_alive(container: &Value) -> bool {
    matches!(container["State"].as_str(), Some("running" | "restarting" | "paused"))
}

/// Whether a container that ended then will run again, or has: what is heard may be long past.
fn goes_on(container: &Value, ended: Timestamp) -> bool {
    let is_meant_to = container["State"]["Restarting"] == true || container["State"]["Running"] == true;
    is_meant_to || time(container, "StartedAt").is_some_and(|started| started > ended)
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

/// The containers that stop with the command: of the services that were named, or of all, whatever is shown of them. What
/// they depend on may be others' as well.
async fn meant(engine: &Engine, project: &Project, wish: &Wish) -> Result<Vec<Value>, Error> {
    let mut there = observe::containers(engine, &project.name, OneOff::Without).await?;
    there.retain(|one| wish.named.contains(observe::label(one, labels::SERVICE)));
    Ok(there)
}

/// The first Ctrl-C stops, the second one kills.
async fn interrupted(engine: &Engine, project: &Project, wish: &Wish) -> Result<(), Error> {
    // Whoever reads the next line may press at once.
    let mut again = interrupt::listen()?;
    ui::err("Gracefully Stopping... press Ctrl+C again to force");
    let there = meant(engine, project, wish).await?;
    tokio::select! {
        stopped = each::stop_containers(engine, project, &there, wish.timeout, wish.report) => stopped,
        _ = again.recv() => {
            kill(engine, &there).await;
            Ok(())
        }
    }
}

async fn kill(engine: &Engine, there: &[Value]) {
    // What has ended already is as it should be.
    let kills = there.iter().map(|one| async move {
        let path = format!("/containers/{}/kill", encode(observe::id(one)));
        drop(engine.call(Method::POST, &path, None).await);
    });
    join_all(kills).await;
}
