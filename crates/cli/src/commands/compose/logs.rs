//! `logs`, and the output of `up`: what several containers write, line by line, each with its name before it.

use std::collections::BTreeSet;

use client::{Engine, encode};
use compose::{Project, labels};
use futures_util::future::{join_all, select_all};
use http::Method;
use serde_json::Value;

use super::create::Wish;
use super::observe::{self, OneOff};
use super::report::is_plain;
use super::{one, project, up, wait};
use crate::call::Call;
use crate::commands::{filters, logs};
use crate::error::{Error, Outcome};
use crate::session::{Demux, Stream};
use crate::ui::{self, Sink};

/// The colours of names, in turn.
const COLOURS: [&str; 10] = ["36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1", "34;1"];
/// A line that has no end is cut after so many bytes.
const LONGEST: usize = 1 << 20;

/// `compose logs`.
pub(crate) fn logs(call: &Call) -> Outcome {
    let flags = call.flags();
    let (name, project) = project::name(call)?;
    if let Some(project) = &project {
        project.known(call.args())?;
    }
    let time = |flag: &str| flags.find(flag).map(|text| format!("{flag}={}", encode(&logs::timestamp(text))));
    let query = [
        Some("stdout=1&stderr=1".to_owned()),
        flags.bool("follow").then(|| "follow=1".to_owned()),
        flags.bool("timestamps").then(|| "timestamps=1".to_owned()),
        time("since"),
        time("until"),
        Some(format!("tail={}", encode(flags.text("tail")))),
    ];
    let index = flags.int("index");
    call.with_engine(|engine| async move {
        let mut own =
            observe::of_services(observe::containers(&engine, &name, OneOff::Without).await?, call.args());
        own.retain(|one| index == 0 || i64::from(observe::number(one)) == index);
        let look = Look {
            prefix: !flags.bool("no-log-prefix"),
            colour: !flags.bool("no-color") && !is_plain(call)?,
        };
        let printers = printers(&own, look);
        let path = |id: &str| filters::with_query(&format!("/containers/{}/logs", encode(id)), &query);
        let (engine, path) = (&engine, &path);
        let all = own.iter().zip(printers).map(|(one, printer)| async move {
            let id = observe::id(one);
            copy(engine, id, &path(id), printer).await
        });
        // Each ends by itself; what fails first is told when all are through.
        join_all(all).await.into_iter().collect::<Result<(), Error>>()?;
        Ok(0)
    })
}

#[derive(Clone, Copy)]
struct Look {
    prefix: bool,
    colour: bool,
}

fn printers(containers: &[Value], look: Look) -> Vec<Printer> {
    let names: Vec<_> = containers.iter().map(one::short_name).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let coloured = look.colour && Sink::Output.is_coloured();
    let printer = |(place, name): (usize, &String)| {
        let prefix = match (look.prefix, coloured) {
            (false, _) => String::new(),
            (true, false) => format!("{name:<width$}  | "),
            (true, true) => format!("\u{1b}[{}m{name:<width$}  | \u{1b}[0m", COLOURS[place % COLOURS.len()]),
        };
        Printer { prefix, open: [Vec::new(), Vec::new()] }
    };
    names.iter().enumerate().map(printer).collect()
}

/// Puts a container's name before each of its lines.
struct Printer {
    prefix: String,
    /// What hasn't come to the end of its line, of either stream.
    open: [Vec<u8>; 2],
}

impl Printer {
    fn feed(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), Error> {
        let open = &mut self.open[usize::from(stream == Stream::Err)];
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            open.extend_from_slice(piece);
            if piece.ends_with(b"\n") || open.len() > LONGEST {
                print(&self.prefix, stream, open)?;
                open.clear();
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Error> {
        for (stream, place) in [(Stream::Out, 0), (Stream::Err, 1)] {
            if !self.open[place].is_empty() {
                print(&self.prefix, stream, &self.open[place])?;
            }
        }
        Ok(())
    }
}

fn print(prefix: &str, stream: Stream, line: &[u8]) -> Result<(), Error> {
    let mut text = Vec::with_capacity(prefix.len() + line.len() + 1);
    text.extend_from_slice(prefix.as_bytes());
    text.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
    text.push(b'\n');
    match stream {
        Stream::Out => ui::out_bytes(&text),
        Stream::Err => ui::err_bytes(&text),
    }
}

async fn copy(engine: &Engine, id: &str, path: &str, mut printer: Printer) -> Result<(), Error> {
    let container = engine.get(&format!("/containers/{}/json", encode(id))).await?;
    let mut demux = Demux::new(container["Config"]["Tty"] != true);
    let mut body = engine.stream(Method::GET, path, None).await?;
    while let Some(bytes) = body.next().await? {
        demux.feed(&bytes, &mut |stream, payload| printer.feed(stream, payload))?;
    }
    printer.end()
}

/// What ends an `up` that is followed.
pub(super) struct End<'a> {
    pub(super) abort_on_exit: bool,
    pub(super) failures_only: bool,
    pub(super) code_from: Option<&'a str>,
}

/// Starts everything and shows what it writes, until it ends or a person ends it: once to stop, twice to kill.
pub(super) async fn follow_up(
    call: &Call,
    engine: &Engine,
    project: &Project,
    wish: &Wish,
    end: End<'_>,
) -> Outcome {
    let flags = call.flags();
    let (shown, silent) = (flags.list("attach"), flags.list("no-attach"));
    let services: Vec<_> = wish.services.iter().cloned().collect();
    let mut own =
        observe::of_services(observe::containers(engine, &project.name, OneOff::Without).await?, &services);
    own.retain(|one| {
        let service = observe::label(one, labels::SERVICE);
        let attach = project.service(service).is_none_or(|spec| spec["attach"] != false);
        let wanted = flags.bool("attach-dependencies") || wish.named.contains(service);
        let chosen =
            if shown.is_empty() { attach && wanted } else { shown.iter().any(|name| name == service) };
        chosen && !silent.iter().any(|name| name == service)
    });
    let names: Vec<_> = own.iter().map(observe::name).collect();
    ui::out(&format!("Attaching to {}\n", own.iter().map(one::short_name).collect::<Vec<_>>().join(", ")))?;
    let begun = now();
    start_or_stop(engine, project, wish).await?;
    let look =
        Look { prefix: !flags.bool("no-log-prefix"), colour: !flags.bool("no-color") && !is_plain(call)? };
    let times = if flags.bool("timestamps") { "&timestamps=1" } else { "" };
    let path =
        |id: &str| format!("/containers/{}/logs?stdout=1&stderr=1&follow=1&since={begun}{times}", encode(id));
    let path = &path;
    let copies = own.iter().zip(printers(&own, look)).map(|(one, printer)| async move {
        let id = observe::id(one);
        copy(engine, id, &path(id), printer).await
    });
    let copies = async { join_all(copies).await.into_iter().collect::<Result<(), Error>>() };
    let all: BTreeSet<String> = names.into_iter().collect();
    let mut copied = false;
    tokio::pin!(copies);
    let ended = watch(engine, &own, &end);
    tokio::pin!(ended);
    loop {
        tokio::select! {
            code = &mut ended => {
                let code = code?;
                stop(engine, &all, "stop").await;
                // What was written last is still on its way; the output ends with its containers.
                if !copied {
                    copies.await?;
                }
                return Ok(code);
            }
            result = &mut copies, if !copied => {
                result?;
                copied = true;
            }
            _ = tokio::signal::ctrl_c() => return interrupted(engine, project).await,
        }
    }
}

fn now() -> String {
    let now = jiff::Timestamp::now();
    format!("{}.{:09}", now.as_second(), now.subsec_nanosecond())
}

async fn start_or_stop(engine: &Engine, project: &Project, wish: &Wish) -> Result<(), Error> {
    tokio::select! {
        started = up::start_all(engine, project, wish, None) => started,
        _ = tokio::signal::ctrl_c() => {
            interrupted(engine, project).await?;
            Err(Error::Interrupted)
        }
    }
}

/// Waits until all have ended, or the first one where that ends the rest.
async fn watch(engine: &Engine, own: &[Value], end: &End<'_>) -> Outcome {
    let mut waiting: Vec<_> = own
        .iter()
        .map(|one| {
            let (id, service) =
                (observe::id(one).to_owned(), observe::label(one, labels::SERVICE).to_owned());
            let name = one::short_name(one);
            Box::pin(async move { (wait::code(engine, &id).await, name, service) })
        })
        .collect();
    let mut code = 0;
    while !waiting.is_empty() {
        let ((ended, name, service), _, rest) = select_all(waiting).await;
        waiting = rest;
        let ended = ended?;
        ui::out(&format!("{name} exited with code {ended}\n"))?;
        let counts = end.code_from.is_none_or(|wanted| wanted == service);
        if counts && ended != 0 {
            code = ended;
        }
        let ends =
            end.abort_on_exit && (!end.failures_only || ended != 0) && (end.code_from.is_none() || counts);
        if ends {
            return Ok(ended);
        }
    }
    Ok(if end.abort_on_exit { code } else { 0 })
}

/// The first Ctrl-C stops, the second one kills.
async fn interrupted(engine: &Engine, project: &Project) -> Outcome {
    ui::err("Gracefully Stopping... press Ctrl+C again to force");
    let there = observe::containers(engine, &project.name, OneOff::Without).await?;
    let names: BTreeSet<String> = there.iter().map(observe::name).collect();
    tokio::select! {
        () = stop(engine, &names, "stop") => {}
        _ = tokio::signal::ctrl_c() => stop(engine, &names, "kill").await,
    }
    Ok(130)
}

async fn stop(engine: &Engine, names: &BTreeSet<String>, verb: &str) {
    // What has ended already is as it should be.
    let stops = names.iter().map(|name| async move {
        let path = format!("/containers/{}/{verb}", encode(name));
        drop(engine.call(Method::POST, &path, None).await);
    });
    join_all(stops).await;
}
