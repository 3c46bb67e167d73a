//! What is in volumes: `volume export`, `import`, `cp`, `clone`, `snapshot` and `rename`, which docker doesn't have.

use std::io::Read;

use client::encode;
use http::Method;
use serde_json::{Value, json};

use super::load::{opened, streamed};
use super::save::{self, Unfinished};
use super::volume::pairs;
use super::{cp, filters};
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::interrupt;
use crate::messages::{Display, Messages};
use crate::ui::{self, Sink};

/// `volume export`.
pub(crate) fn export(call: &Call) -> Outcome {
    let [name] = call.args() else { return Ok(1) };
    let path = format!("/volumes/{}/export", encode(name));
    match call.flags().find("output").filter(|path| !path.is_empty()) {
        Some(file) => {
            let file = Unfinished::create(file.as_ref(), "failed to export volume")?;
            save::fetch_shown(call, path, file, Bar::new(name, "Exporting", 0))
        }
        None if ui::out_is_terminal() => {
            let message = "cowardly refusing to save to a terminal. Use the -o flag or redirect";
            Err(Error::Usage(message.into()))
        }
        None => save::fetch(call, path, None),
    }
}

/// `volume import`.
pub(crate) fn import(call: &Call) -> Outcome {
    let (name, file) = match call.args() {
        [name] => (name.as_str(), "-"),
        [name, file, ..] => (name.as_str(), file.as_str()),
        [] => return Ok(1),
    };
    let (input, total): (Box<dyn Read + Send>, u64) = match file {
        "-" if ui::in_is_terminal() => {
            return Err(Error::Usage("requested import from stdin, but stdin is empty".into()));
        }
        "-" => (Box::new(std::io::stdin()), 0),
        path => {
            let file = opened(path)?;
            let total = file.metadata().map_or(0, |meta| meta.len());
            (Box::new(file), total)
        }
    };
    let labels = Value::Object(pairs(&call.flags().list("label"))).to_string();
    let query = [Some(format!("name={}", encode(name))), Some(format!("labels={}", encode(&labels)))];
    let path = filters::with_query("/volumes/import", &query);
    let input = Shown { input, bar: Bar::new(name, "Importing", total), read: 0 };
    call.with_engine(|engine| async move {
        let mut answer = engine.stream_from(Method::POST, &path, streamed(Box::new(input))).await?;
        while answer.next().await?.is_some() {}
        ui::out(&format!("{name}\n"))?;
        Ok(0)
    })
}

/// `volume cp`.
pub(crate) fn copy(call: &Call) -> Outcome {
    cp::of_volumes(call)
}

/// `volume clone`.
pub(crate) fn clone(call: &Call) -> Outcome {
    let [source, name] = call.args() else { return Ok(1) };
    twin(call, source, json!({ "Name": name }))
}

/// `volume snapshot`.
pub(crate) fn snapshot(call: &Call) -> Outcome {
    let Some(source) = call.args().first() else { return Ok(1) };
    let name = call.args().get(1).map_or("", String::as_str);
    twin(call, source, json!({ "Name": name, "Snapshot": true }))
}

fn twin(call: &Call, source: &str, mut body: Value) -> Outcome {
    body["Labels"] = Value::Object(pairs(&call.flags().list("label")));
    body["Pause"] = call.flags().bool("pause").into();
    let path = format!("/volumes/{}/clone", encode(source));
    call.with_engine(|engine| async move {
        let answer = engine.stream(Method::POST, &path, Some(&body)).await?;
        let made = follow(answer).await?;
        ui::out(&format!("{made}\n"))?;
        Ok(0)
    })
}

/// Shows the bars of a stream where errors are shown; its last sentence is the result.
pub(super) async fn follow(answer: client::Body) -> Result<String, Error> {
    let mut display = Display::new(Sink::Errors.is_terminal(), Sink::Errors.columns());
    let mut messages = Messages::new(answer);
    let mut last = String::new();
    let read = async {
        while let Some(message) = messages.next().await? {
            match message.get("progressDetail") {
                Some(_) => Sink::Errors.write(&display.next(&message))?,
                None => message["status"].as_str().unwrap_or_default().clone_into(&mut last),
            }
        }
        Ok::<_, Error>(())
    };
    interrupt::unless(read).await?;
    Ok(last)
}

/// `volume rename`.
pub(crate) fn rename(call: &Call) -> Outcome {
    let [old, new] = call.args() else { return Ok(1) };
    let path = format!("/volumes/{}/rename?name={}", encode(old), encode(new));
    call.with_engine(|engine| async move {
        engine.call(Method::POST, &path, None).await?;
        Ok(0)
    })
}

/// A bar that this client draws itself, for bytes that go through it.
pub(super) struct Bar {
    display: Display,
    message: Value,
    shown: Option<std::time::Instant>,
}

impl Bar {
    pub(super) fn new(id: &str, status: &str, total: u64) -> Self {
        Self {
            display: Display::new(Sink::Errors.is_terminal(), Sink::Errors.columns()),
            message: json!({ "id": id, "status": status, "progressDetail": { "total": total } }),
            shown: None,
        }
    }

    /// So many bytes now. A terminal that can't be written to is nobody's error here.
    pub(super) fn at(&mut self, bytes: u64) {
        const OFTEN: std::time::Duration = std::time::Duration::from_millis(100);
        if self.shown.is_some_and(|shown| shown.elapsed() < OFTEN) {
            return;
        }
        self.shown = Some(std::time::Instant::now());
        self.message["progressDetail"]["current"] = bytes.into();
        let _ = Sink::Errors.write(&self.display.next(&self.message));
    }
}

struct Shown {
    input: Box<dyn Read + Send>,
    bar: Bar,
    read: u64,
}

impl Read for Shown {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.read += count as u64;
        self.bar.at(self.read);
        Ok(count)
    }
}
