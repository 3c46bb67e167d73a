//! `GET /containers/{id}/logs`.

use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use engine::containers::logs::{self, Growth, Line, Position, Stream, Wanted};
use engine::containers::{Handle, View};
use engine::events::parse_time;
use http::StatusCode;
use tokio::sync::{mpsc, watch};

use crate::body;
use crate::call::Call;
use crate::error::Error;
use crate::hijack;
use crate::reply::{self, Reply};

/// How a line is sent.
#[derive(Clone, Copy)]
struct Shape {
    terminal: bool,
    timestamps: bool,
}

pub(crate) async fn get(call: Call) -> Result<Reply, Error> {
    let (stdout, stderr) = (call.query.flag("stdout"), call.query.flag("stderr"));
    if !stdout && !stderr {
        return Err(Error::invalid("Bad parameters: you must choose at least one stream"));
    }
    let handle = call.engine.containers.get(call.name())?;
    let view = handle.view();
    if call.query.flag("details") {
        return Err(Error::refused("details", "this version of Ketch has no log options that add details"));
    }
    if view.container.host.log_config.r#type == "none" {
        return Err(Error::invalid("configured logging driver does not support reading"));
    }
    let time = |key| parse_time(call.query.get(key)).map_err(|e| Error::invalid(e.to_string()));
    let wanted = Wanted { stdout, stderr, since: time("since")?, until: time("until")?, tail: tail(&call) };
    let shape = Shape { terminal: view.container.config.tty, timestamps: call.query.flag("timestamps") };
    let path = call.engine.containers.places(&view.container.id).log();
    let content_type = if shape.terminal || call.before(42) { hijack::RAW } else { hijack::MULTIPLEXED };
    let (sender, body) = body::streamed();
    let follow = call.query.flag("follow").then_some(handle);
    tokio::spawn(send(path, wanted, shape, follow, sender, call.closing));
    Ok(reply::with_type(StatusCode::OK, content_type, body))
}

/// A number; anything else (`all`, nothing, a negative one) means everything.
fn tail(call: &Call) -> Option<usize> {
    call.query.get("tail").parse().ok()
}

async fn send(
    path: PathBuf,
    wanted: Wanted,
    shape: Shape,
    follow: Option<Handle>,
    sender: mpsc::Sender<Bytes>,
    mut closing: watch::Receiver<bool>,
) {
    // Watched before the first reading, so that nothing falls between the two.
    let growth = follow.as_ref().map(|_| Growth::watch(&path));
    let first = {
        let (wanted, sender) = (wanted.clone(), sender.clone());
        tokio::task::spawn_blocking(move || logs::read(&path, &wanted, |line| push(&sender, &line, shape)))
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
        let (asked, to) = (wanted.clone(), sender.clone());
        let read = tokio::task::spawn_blocking(move || {
            position.advance(&asked, &mut |line| push(&to, &line, shape)).map(|()| position)
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

fn push(sender: &mpsc::Sender<Bytes>, line: &Line, shape: Shape) -> io::Result<()> {
    sender.blocking_send(frame(line, shape)).map_err(|_| io::ErrorKind::BrokenPipe.into())
}

fn frame(line: &Line, shape: Shape) -> Bytes {
    let stamp = if shape.timestamps { format!("{} ", line.time) } else { String::new() };
    let length = stamp.len() + line.log.len();
    let mut bytes = Vec::with_capacity(length + 8);
    if !shape.terminal {
        let number = match line.stream {
            Stream::Stdout => 1,
            Stream::Stderr => 2,
        };
        bytes.extend_from_slice(&[number, 0, 0, 0]);
        bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    }
    bytes.extend_from_slice(stamp.as_bytes());
    bytes.extend_from_slice(line.log.as_bytes());
    bytes.into()
}
