//! `GET /containers/{id}/logs`.

use std::io;

use bytes::Bytes;
use engine::containers::logs::{self, Growth, Kept, Line, Position, Stream, Wanted};
use engine::containers::{Handle, Streams, View};
use engine::events::parse_time;
use http::StatusCode;
use tokio::sync::{mpsc, watch};

use crate::body;
use crate::call::Call;
use crate::error::Error;
use crate::hijack;
use crate::reply::{self, Reply};

/// So much is sent at once, where there is so much.
const BATCH: usize = 32 << 10;

/// How a line is sent.
#[derive(Clone, Copy)]
struct Shape {
    terminal: bool,
    timestamps: bool,
    details: bool,
}

pub(crate) async fn get(call: Call) -> Result<Reply, Error> {
    let (stdout, stderr) = (call.query.flag("stdout"), call.query.flag("stderr"));
    if !stdout && !stderr {
        return Err(Error::invalid("Bad parameters: you must choose at least one stream"));
    }
    let handle = call.engine.containers.get(call.name())?;
    let view = handle.view();
    let kept = kept(&call, &view)?;
    let time = |key| parse_time(call.query.get(key)).map_err(|e| Error::invalid(e.to_string()));
    // Clients that always name both times say zero where there is no end.
    let until = if call.query.get("until") == "0" { None } else { time("until")? };
    let wanted = Wanted { stdout, stderr, since: time("since")?, until, tail: tail(&call) };
    let shape = Shape {
        terminal: view.container.config.tty,
        timestamps: call.query.flag("timestamps"),
        details: call.query.flag("details"),
    };
    let content_type = if shape.terminal || call.before(42) { hijack::RAW } else { hijack::MULTIPLEXED };
    let (sender, body) = body::streamed();
    let follow = call.query.flag("follow").then_some(handle);
    tasks::spawn(send(kept, wanted, shape, follow, sender, call.closing));
    Ok(reply::with_type(StatusCode::OK, content_type, body))
}

/// What the log has until now, for a client that attaches: from a terminal as it is, otherwise framed.
pub(super) fn until_now(
    call: &Call,
    view: &View,
    streams: Streams,
    terminal: bool,
) -> Result<mpsc::Receiver<Bytes>, Error> {
    let kept = kept(call, view)?;
    let wanted = Wanted { stdout: streams.stdout, stderr: streams.stderr, ..Wanted::default() };
    let shape = Shape { terminal, timestamps: false, details: false };
    let (sender, lines) = mpsc::channel(16);
    tasks::blocking(move || {
        let mut out = Out::new(sender, shape);
        // A client that leaves ends it.
        let read = logs::read(&kept, &wanted, |line| out.push(&line));
        let _ = out.flush();
        if let Err(error) = read {
            tracing::debug!(error = diag::chain(&error), "a log was not read to its end");
        }
    });
    Ok(lines)
}

/// What is kept of the container's log.
fn kept(call: &Call, view: &View) -> Result<Kept, Error> {
    let places = call.engine.containers.places(&view.container.id);
    let kept = logs::kept(&view.container.host.log_config, &places);
    kept.ok_or_else(|| Error::invalid("configured logging driver does not support reading"))
}

/// A number; anything else (`all`, nothing, a negative one) means everything.
fn tail(call: &Call) -> Option<usize> {
    call.query.get("tail").parse().ok()
}

async fn send(
    kept: Kept,
    wanted: Wanted,
    shape: Shape,
    follow: Option<Handle>,
    sender: mpsc::Sender<Bytes>,
    mut closing: watch::Receiver<bool>,
) {
    // Watched before the first reading, so that nothing falls between the two.
    let growth = follow.as_ref().map(|_| Growth::watch(&kept.path));
    let first = {
        let (wanted, mut out) = (wanted.clone(), Out::new(sender.clone(), shape));
        tasks::blocking(move || {
            let position = logs::read(&kept, &wanted, |line| out.push(&line));
            let _ = out.flush();
            position
        })
    };
    let (Ok(Ok(position)), Some(handle), Some(Ok(growth))) = (first.await, follow, growth) else { return };
    tokio::select! {
        () = go_on(position, wanted, shape, &handle, growth, &sender) => {}
        () = sender.closed() => {}
        _ = closing.wait_for(|closing| *closing) => {}
    }
}

/// Sends what is added until the container has ended and everything is sent.
async fn go_on(
    mut position: Position,
    mut wanted: Wanted,
    shape: Shape,
    handle: &Handle,
    mut growth: Growth,
    sender: &mpsc::Sender<Bytes>,
) {
    wanted.tail = None;
    loop {
        let ended = has_ended(&handle.view());
        let (asked, mut out) = (wanted.clone(), Out::new(sender.clone(), shape));
        let read = tasks::blocking(move || {
            position.advance(&asked, &mut |line| out.push(&line))?;
            out.flush().map(|()| position)
        });
        match read.await {
            Ok(Ok(moved)) => position = moved,
            _ => return,
        }
        // It had ended before the last reading began: nothing can come after.
        if ended {
            return;
        }
        tokio::select! {
            changed = growth.changed() => if changed.is_err() { return },
            _ = handle.waiter(engine::containers::WaitFor::NotRunning).done(), if !ended => {}
        }
    }
}

fn has_ended(view: &View) -> bool {
    !view.container.state.is_active()
}

/// Lines on their way to a client: many of them are sent together, and none waits for one that isn't there yet.
struct Out {
    sender: mpsc::Sender<Bytes>,
    shape: Shape,
    batch: Vec<u8>,
}

impl Out {
    fn new(sender: mpsc::Sender<Bytes>, shape: Shape) -> Self {
        Self { sender, shape, batch: Vec::new() }
    }

    fn push(&mut self, line: &Line) -> io::Result<()> {
        frame(line, self.shape, &mut self.batch);
        if self.batch.len() < BATCH { Ok(()) } else { self.flush() }
    }

    /// To be called when nothing more is there for now.
    fn flush(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH + BATCH / 4));
        self.sender.blocking_send(batch.into()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

fn frame(line: &Line, shape: Shape, out: &mut Vec<u8>) {
    let mut before = String::new();
    if shape.timestamps {
        before = line.time.fixed();
        before.push(' ');
    }
    if shape.details {
        before.push_str(&details(line));
        before.push(' ');
    }
    if !shape.terminal {
        let number = match line.stream {
            Stream::Stdout => 1,
            Stream::Stderr => 2,
        };
        let length = before.len() + line.log.len();
        out.extend_from_slice(&[number, 0, 0, 0]);
        out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    }
    out.extend_from_slice(before.as_bytes());
    out.extend_from_slice(&line.log);
}

/// What the driver's options tell with each line: `name=value,…`, escaped as in a query.
fn details(line: &Line) -> String {
    let pairs = line.attributes.iter().flatten();
    let pairs = pairs.map(|(name, value)| format!("{}={}", escaped(name), escaped(value)));
    pairs.collect::<Vec<_>>().join(",")
}

/// Go's `url.QueryEscape`.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte as char),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use engine::containers::logs::Stamp;

    use super::*;

    #[test]
    fn a_line_comes_with_what_was_asked_for() {
        let attributes = [("a b".to_owned(), "c,d=é".to_owned()), ("tag".into(), "t".into())];
        let line = Line {
            log: b"x\n".to_vec(),
            stream: Stream::Stderr,
            time: Stamp::Text("2026-01-01T00:00:00.5Z".into()),
            attributes: Some(attributes.into()),
        };
        let framed = |timestamps, details| {
            let shape = Shape { terminal: true, timestamps, details };
            let mut out = Vec::new();
            frame(&line, shape, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(framed(false, false), "x\n");
        assert_eq!(framed(true, true), "2026-01-01T00:00:00.500000000Z a+b=c%2Cd%3D%C3%A9,tag=t x\n");
        let mut mixed = Vec::new();
        frame(&line, Shape { terminal: false, timestamps: false, details: false }, &mut mixed);
        assert_eq!(&mixed[..], b"\x02\0\0\0\0\0\0\x02x\n");
    }
}
