//! `logs`, and the output of `up`: what several containers write, line by line, each with its name before it.

use client::{Engine, Hijacked, encode};
use futures_util::future::join_all;
use http::Method;
use jiff::Timestamp;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;

use super::follow::follow_logs;
use super::observe::{self, OneOff};
use super::report::is_plain;
use super::{one, project};
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
    let time = |flag: &str| logs::parameter(flag, flags.find(flag)).map_err(Error::Usage);
    let query = [
        Some("stdout=1&stderr=1".to_owned()),
        flags.bool("follow").then(|| "follow=1".to_owned()),
        flags.bool("timestamps").then(|| "timestamps=1".to_owned()),
        time("since")?,
        time("until")?,
        Some(format!("tail={}", encode(flags.text("tail")))),
    ];
    let index = flags.int("index");
    // Until some time there is nothing to wait for.
    let follows = flags.bool("follow") && !flags.changed("until");
    call.with_engine(|engine| async move {
        if follows {
            let [.., since, _, tail] = &query;
            let words: Vec<&str> = [since, tail].into_iter().flatten().map(String::as_str).collect();
            return follow_logs(call, &engine, &name, &words.join("&")).await;
        }
        let mut own =
            observe::of_services(observe::containers(&engine, &name, OneOff::Without).await?, call.args());
        own.retain(|one| index == 0 || i64::from(observe::number(one)) == index);
        let mut look = Look::new(call, &own)?;
        let printers: Vec<_> = own.iter().map(|one| look.printer(&one::short_name(one))).collect();
        let path = |id: &str| filters::with_query(&format!("/containers/{}/logs", encode(id)), &query);
        let (engine, path) = (&engine, &path);
        let all = own.iter().zip(printers).map(|(one, mut printer)| async move {
            let id = observe::id(one);
            let container = engine.get(&format!("/containers/{}/json", encode(id))).await?;
            if container["HostConfig"]["LogConfig"]["Type"] == UNLOGGED {
                let name = diag::printable(&observe::name(one));
                ui::err(&format!("WARN[0000] {name} keeps no log: its logging driver is {UNLOGGED}"));
                return Ok(());
            }
            copy(engine, &container, &path(id), &mut printer).await
        });
        // Each ends by itself; what fails first is told when all are through.
        join_all(all).await.into_iter().collect::<Result<(), Error>>()?;
        Ok(0)
    })
}

/// How lines are shown: whose they are, each container in its colour.
pub(super) struct Look {
    prefix: bool,
    timed: bool,
    coloured: bool,
    names: Vec<String>,
    width: usize,
}

impl Look {
    /// As `--no-log-prefix`, `--no-color` and `--ansi` say, for these containers.
    pub(super) fn new(call: &Call, containers: &[Value]) -> Result<Self, Error> {
        let flags = call.flags();
        let names: Vec<_> = containers.iter().map(one::short_name).collect();
        Ok(Self {
            prefix: !flags.bool("no-log-prefix"),
            timed: flags.bool("timestamps"),
            coloured: !flags.bool("no-color") && !is_plain(call)? && Sink::Output.is_coloured(),
            width: names.iter().map(|name| name.chars().count()).max().unwrap_or(0),
            names,
        })
    }

    /// For one of them, or for one that came later.
    pub(super) fn printer(&mut self, name: &str) -> Printer {
        let known = self.names.iter().position(|known| known == name);
        let place = known.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        let width = self.width;
        let prefix = match (self.prefix, self.coloured) {
            (false, _) => String::new(),
            (true, false) => format!("{name:<width$}  | "),
            (true, true) => format!("\u{1b}[{}m{name:<width$}  | \u{1b}[0m", COLOURS[place % COLOURS.len()]),
        };
        Printer { prefix, times: Times::AsGiven, last: None, open: [Vec::new(), Vec::new()] }
    }

    /// The same for a log that comes with times, whoever wants to see them.
    pub(super) fn noting_printer(&mut self, name: &str) -> Printer {
        Printer { times: Times::Noted { shown: self.timed }, ..self.printer(name) }
    }
}

/// What becomes of the times that the engine puts before what it has logged.
#[derive(Debug, Clone, Copy)]
enum Times {
    /// They weren't asked for, or are a part of the line.
    AsGiven,
    /// They are there to be noted, and shown if somebody wants to see them.
    Noted { shown: bool },
}

/// Puts a container's name before each of its lines.
pub(super) struct Printer {
    prefix: String,
    times: Times,
    /// When what was noted last was written.
    last: Option<Timestamp>,
    /// What hasn't come to the end of its line, of either stream.
    open: [Vec<u8>; 2],
}

impl Printer {
    fn feed(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), Error> {
        let place = usize::from(stream == Stream::Err);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.open[place].extend_from_slice(piece);
            let length = self.open[place].len();
            if piece.ends_with(b"\n") {
                self.print(stream, length)?;
            } else if length > LONGEST {
                // What follows begins with a time, too.
                self.print(stream, length / (TIME + RECORD) * (TIME + RECORD))?;
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Error> {
        for (stream, place) in [(Stream::Out, 0), (Stream::Err, 1)] {
            let length = self.open[place].len();
            if length > 0 {
                self.print(stream, length)?;
            }
        }
        Ok(())
    }

    /// Prints so many bytes of what is held of a stream as a line.
    fn print(&mut self, stream: Stream, length: usize) -> Result<(), Error> {
        let held: Vec<u8> = self.open[usize::from(stream == Stream::Err)].drain(..length).collect();
        let line = held.strip_suffix(b"\n").unwrap_or(&held);
        let mut text = self.prefix.clone().into_bytes();
        match self.times {
            Times::AsGiven => text.extend_from_slice(line),
            Times::Noted { shown } => {
                let (time, line) = without_time(line);
                self.last = time.and_then(at).or(self.last);
                text.extend_from_slice(time.filter(|_| shown).unwrap_or_default());
                text.extend_from_slice(&line);
            }
        }
        text.push(b'\n');
        match stream {
            Stream::Out => ui::out_bytes(&text),
            Stream::Err => ui::err_bytes(&text),
        }
    }
}

/// So many bytes are a time and the space behind it.
const TIME: usize = "2006-01-02T15:04:05.000000000Z ".len();
/// An engine logs a longer line in records of so many bytes, and puts the time of the first before each.
const RECORD: usize = 16 * 1024;

/// A line's time, and the line without it.
fn without_time(line: &[u8]) -> (Option<&[u8]>, Vec<u8>) {
    let (mut time, mut text, mut rest) = (None, Vec::with_capacity(line.len()), line);
    while let Some((head, record)) = rest.split_at_checked(TIME) {
        if at(head).is_none() || time.is_some_and(|first| first != head) {
            break;
        }
        time = Some(head);
        let (record, next) = record.split_at(record.len().min(RECORD));
        text.extend_from_slice(record);
        rest = next;
    }
    text.extend_from_slice(rest);
    (time, text)
}

fn at(time: &[u8]) -> Option<Timestamp> {
    std::str::from_utf8(time).ok()?.strip_suffix(' ')?.parse().ok()
}

/// The driver that keeps nothing: what it is given can only be heard while it is written.
pub(super) const UNLOGGED: &str = "none";

/// How far a container's output was shown.
pub(super) struct Shown {
    /// When the container had been started that was listened to.
    started: Value,
    /// Whether it was heard as it came, as no log was kept.
    is_unlogged: bool,
    /// When what was shown last was written.
    pub(super) last: Option<Timestamp>,
}

impl Shown {
    /// Whether the container, as it is found now, has more to show or is about to.
    pub(super) fn goes_on(&self, found: &Value) -> bool {
        let state = &found["State"];
        // What an earlier run of one without a log has written nobody can hear any more.
        match self.is_unlogged {
            true => state["Running"] == true && state["Restarting"] != true,
            false => state["StartedAt"] != self.started,
        }
    }
}

/// Prints what a container wrote, as the query says, and writes from then on, until its log ends, with a printer that notes
/// times.
pub(super) async fn copy_on(
    engine: &Engine,
    id: &str,
    query: &str,
    mut printer: Printer,
) -> Result<Shown, Error> {
    let container = engine.get(&format!("/containers/{}/json", encode(id))).await?;
    let is_unlogged = container["HostConfig"]["LogConfig"]["Type"] == UNLOGGED;
    if is_unlogged {
        let heard = listen(engine, id).await?;
        // One that ended meanwhile would be listened to until its next start, which is told.
        let found = engine.get(&format!("/containers/{}/json", encode(id))).await?;
        if let Some(heard) = heard.filter(|_| found["State"]["Running"] == true) {
            return heard.print(printer).await;
        }
    } else {
        let path = format!("/containers/{}/logs?stdout=1&stderr=1&follow=1&timestamps=1&{query}", encode(id));
        copy(engine, &container, &path, &mut printer).await?;
    }
    Ok(Shown { started: container["State"]["StartedAt"].clone(), is_unlogged, last: printer.last })
}

/// Prints a container's log.
async fn copy(engine: &Engine, container: &Value, path: &str, printer: &mut Printer) -> Result<(), Error> {
    let mut demux = Demux::new(container["Config"]["Tty"] != true);
    let mut body = engine.stream(Method::GET, path, None).await?;
    while let Some(bytes) = body.next().await? {
        demux.feed(&bytes, &mut |stream, payload| printer.feed(stream, payload))?;
    }
    printer.end()
}

/// A container that is listened to.
pub(super) struct Heard {
    container: Value,
    connection: Hijacked,
}

/// Listens to a container from now on; to one that doesn't run, from its start on. None while it is between two runs.
pub(super) async fn listen(engine: &Engine, id: &str) -> Result<Option<Heard>, Error> {
    let container = engine.get(&format!("/containers/{}/json", encode(id))).await?;
    let path = format!("/containers/{}/attach?stream=1&stdout=1&stderr=1", encode(id));
    match engine.upgrade(&path, "tcp", None).await {
        Err(error) if error.is_status(409) => Ok(None),
        connection => Ok(Some(Heard { container, connection: connection? })),
    }
}

impl Heard {
    /// Prints what it writes, until it ends.
    pub(super) async fn print(mut self, mut printer: Printer) -> Result<Shown, Error> {
        printer.times = Times::AsGiven;
        let mut demux = Demux::new(self.container["Config"]["Tty"] != true);
        let mut bytes = vec![0; 16 * 1024];
        loop {
            let read = self.connection.io.read(&mut bytes).await;
            let length = read.map_err(|e| Error::Io("read a container's output", e))?;
            if length == 0 {
                break;
            }
            demux.feed(&bytes[..length], &mut |stream, payload| printer.feed(stream, payload))?;
        }
        printer.end()?;
        let started = self.container["State"]["StartedAt"].clone();
        Ok(Shown { started, is_unlogged: true, last: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_taken_off_lines_and_records() {
        let time = b"2026-11-30T15:44:42.123456789Z ";
        let line = [time, b"2026-11-30T15:44:42.123456789Z its own".as_slice()].concat();
        assert_eq!(
            without_time(&line),
            (Some(&time[..]), b"2026-11-30T15:44:42.123456789Z its own".to_vec())
        );
        let (long, rest) = (vec![b'x'; RECORD], b"rest");
        let line = [time, &long[..], time, rest].concat();
        assert_eq!(without_time(&line), (Some(&time[..]), [&long[..], rest].concat()));
        assert_eq!(without_time(time), (Some(&time[..]), Vec::new()));
        assert_eq!(without_time(b"no time"), (None, b"no time".to_vec()));
    }
}
