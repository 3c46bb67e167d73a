//! `view`: what the engine has on one screen, as it changes. The screen itself is `live`'s.

mod look;

use std::io::{self, BufWriter, Stdout};
use std::sync::Arc;
use std::time::Duration;

use client::{Engine, encode};
use http::Method;
use live::{Ask, Deed, Room, Screen, Terminal, View};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use self::look::Looker;
use super::exec;
use super::units;
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::session::{Demux, input, terminal};
use crate::ui;

const INTERVAL: Duration = Duration::from_secs(1);
/// How much of a log is shown at first.
const TAIL: u32 = 500;
/// Whichever of them the image has.
const SHELL: &str = "if command -v bash >/dev/null; then exec bash; else exec sh; fi";

/// What comes from the engine while somebody looks.
pub(super) enum News {
    Things(Room, Vec<live::Thing>),
    Sample(String, live::Sample),
    /// Of which container, and more of its log.
    Log(String, String),
    Failed(String),
}

pub(crate) fn view(call: &Call) -> Outcome {
    if !ui::in_is_terminal() || !ui::out_is_terminal() {
        return Err(Error::Usage(
            "a view needs a terminal; `ketch ps`, `ketch stats --no-stream` and `--format json` are for scripts".into(),
        ));
    }
    call.with_engine(|engine| async move {
        // An engine that isn't there is told on the usual screen.
        engine.ping().await?;
        let raw = terminal::Raw::enter()?;
        let ended = Looking::new(engine)?.run().await;
        drop(raw);
        ended
    })
}

fn size() -> (u16, u16) {
    let [rows, columns] = terminal::size().unwrap_or([24, 80]);
    (columns, rows)
}

fn screen() -> Result<Terminal<BufWriter<Stdout>>, Error> {
    let screen = Screen::enter(BufWriter::new(io::stdout()), size).map_err(undrawn)?;
    Terminal::new(screen).map_err(undrawn)
}

fn undrawn(error: io::Error) -> Error {
    Error::Io("draw the view", error)
}

/// One look at one engine, until it ends.
struct Looking {
    engine: Arc<Engine>,
    view: View,
    /// The room that is looked at; a change makes the engine be asked at once.
    room: watch::Sender<Room>,
    sender: mpsc::Sender<News>,
    news: mpsc::Receiver<News>,
    log: Option<JoinHandle<()>>,
}

impl Looking {
    fn new(engine: Engine) -> Result<Self, Error> {
        let (sender, news) = mpsc::channel(64);
        let (room, watched) = watch::channel(Room::Containers);
        let engine = Arc::new(engine);
        let coloured = ui::Sink::Output.is_coloured();
        tasks::spawn(Looker::new(engine.clone(), sender.clone()).run(watched));
        let view = View::new(|bytes| units::size(bytes, 3), coloured);
        Ok(Self { engine, view, room, sender, news, log: None })
    }

    async fn run(mut self) -> Outcome {
        let caught = |kind| signal(kind).map_err(|e| Error::Io("catch signals", e));
        let mut resized = caught(SignalKind::window_change())?;
        let mut ends = [caught(SignalKind::terminate())?, caught(SignalKind::hangup())?];
        let mut screen = screen()?;
        loop {
            screen.draw(|frame| self.view.draw(frame)).map_err(undrawn)?;
            let keys = tokio::select! {
                bytes = input::next() => match bytes {
                    Some(bytes) => live::keys(&bytes),
                    None => return Ok(0),
                },
                Some(news) = self.news.recv() => {
                    self.take(news);
                    continue;
                }
                _ = resized.recv() => continue,
                () = any(&mut ends) => return Ok(0),
            };
            for key in keys {
                match self.view.press(key) {
                    Some(Ask::Leave) => return Ok(0),
                    Some(Ask::Shell(container)) => {
                        drop(screen);
                        self.shell(&container).await;
                        screen = self::screen()?;
                    }
                    Some(ask) => self.act(ask),
                    None => {}
                }
            }
            self.room.send_if_modified(|room| std::mem::replace(room, self.view.room()) != self.view.room());
        }
    }

    fn take(&mut self, news: News) {
        match news {
            News::Things(room, things) => self.view.set(room, things),
            News::Sample(key, sample) => self.view.sample(&key, sample),
            News::Log(container, text) => self.view.log(&container, &text),
            News::Failed(why) => self.view.fail(why),
        }
    }

    fn act(&mut self, ask: Ask) {
        if let Some(log) = self.log.take() {
            log.abort();
        }
        let (engine, sender) = (self.engine.clone(), self.sender.clone());
        match ask {
            Ask::Follow(container) => self.log = Some(tasks::spawn(follow(engine, container, sender))),
            Ask::Do(deed, room, key) => {
                let room_seen = self.room.clone();
                tasks::spawn(async move {
                    if let Err(error) = carry_out(&engine, deed, room, &key).await {
                        let _ = sender.send(News::Failed(error.to_string())).await;
                    }
                    // What it changed is looked at, though the room is the same.
                    room_seen.send_modify(|_| {});
                });
            }
            Ask::Unfollow | Ask::Leave | Ask::Shell(_) => {}
        }
    }

    /// The terminal is the container's until its shell ends.
    async fn shell(&mut self, container: &str) {
        let size = terminal::size().unwrap_or([24, 80]);
        let config = json!({
            "Cmd": ["/bin/sh", "-c", SHELL],
            "Tty": true, "AttachStdin": true, "AttachStdout": true, "AttachStderr": true,
            "ConsoleSize": size,
        });
        match exec::talk(&self.engine, container, &config).await {
            Ok(126 | 127) => self.view.fail("this container has no /bin/sh".to_owned()),
            Ok(_) => {}
            Err(error) => self.view.fail(ui::sentence(&error)),
        }
    }
}

async fn any(signals: &mut [Signal; 2]) {
    let [first, second] = signals;
    tokio::select! {
        _ = first.recv() => {}
        _ = second.recv() => {}
    }
}

async fn carry_out(engine: &Engine, deed: Deed, room: Room, key: &str) -> Result<(), client::Error> {
    let key = encode(key);
    let (method, path) = match (room, deed) {
        (Room::Containers, Deed::Start) => (Method::POST, format!("/containers/{key}/start")),
        (Room::Containers, Deed::Stop) => (Method::POST, format!("/containers/{key}/stop")),
        (Room::Containers, Deed::Restart) => (Method::POST, format!("/containers/{key}/restart")),
        (Room::Containers, Deed::Pause) => (Method::POST, format!("/containers/{key}/pause")),
        (Room::Containers, Deed::Unpause) => (Method::POST, format!("/containers/{key}/unpause")),
        (Room::Containers, Deed::Remove) => (Method::DELETE, format!("/containers/{key}?force=1")),
        (Room::Images, _) => (Method::DELETE, format!("/images/{key}")),
        (Room::Networks, _) => (Method::DELETE, format!("/networks/{key}")),
        (Room::Volumes, _) => (Method::DELETE, format!("/volumes/{key}")),
    };
    engine.call(method, &path, None).await.map(|_| ())
}

async fn follow(engine: Arc<Engine>, container: String, sender: mpsc::Sender<News>) {
    let path = format!("/containers/{}/logs?stdout=1&stderr=1&follow=1&tail={TAIL}", encode(&container));
    if let Err(error) = pass_log(&engine, &path, &container, &sender).await {
        let _ = sender.send(News::Failed(ui::sentence(&error))).await;
    }
}

async fn pass_log(
    engine: &Engine,
    path: &str,
    container: &str,
    sender: &mpsc::Sender<News>,
) -> Result<(), Error> {
    let mut body = engine.stream(Method::GET, path, None).await?;
    let mut demux = Demux::new(body.is_multiplexed());
    let mut held = Vec::new();
    while let Some(bytes) = body.next().await? {
        demux.feed(&bytes, &mut |_, payload| {
            held.extend_from_slice(payload);
            Ok(())
        })?;
        // A letter of several bytes may come in two pieces; a line's end is one byte.
        let whole = held.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let text: Vec<u8> = held.drain(..if held.len() > 64 << 10 { held.len() } else { whole }).collect();
        let text = String::from_utf8_lossy(&text).into_owned();
        if !text.is_empty() && sender.send(News::Log(container.to_owned(), text)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}
