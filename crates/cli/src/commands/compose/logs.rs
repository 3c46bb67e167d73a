//! `logs`, and the output of `up`: what several containers write, line by line, each with its name before it.

use client::{Engine, encode};
use futures_util::future::join_all;
use http::Method;
use serde_json::Value;

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
    call.with_engine(|engine| async move {
        let mut own =
            observe::of_services(observe::containers(&engine, &name, OneOff::Without).await?, call.args());
        own.retain(|one| index == 0 || i64::from(observe::number(one)) == index);
        let mut look = Look::new(call, &own)?;
        let printers: Vec<_> = own.iter().map(|one| look.printer(&one::short_name(one))).collect();
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

/// How lines are shown: whose they are, each container in its colour.
pub(super) struct Look {
    prefix: bool,
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
        Printer { prefix, open: [Vec::new(), Vec::new()] }
    }
}

/// Puts a container's name before each of its lines.
pub(super) struct Printer {
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

/// Prints a container's log.
pub(super) async fn copy(engine: &Engine, id: &str, path: &str, mut printer: Printer) -> Result<(), Error> {
    let container = engine.get(&format!("/containers/{}/json", encode(id))).await?;
    let mut demux = Demux::new(container["Config"]["Tty"] != true);
    let mut body = engine.stream(Method::GET, path, None).await?;
    while let Some(bytes) = body.next().await? {
        demux.feed(&bytes, &mut |stream, payload| printer.feed(stream, payload))?;
    }
    printer.end()
}
