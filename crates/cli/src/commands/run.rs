//! `create` and `run`: create → attach → wait → start → carry → exit code, in the order that loses nothing.

use std::io::Write as _;
use std::time::Duration;

use client::{Engine, encode};
use detach::Keys;
use http::Method;
use oci::Reference;
use serde_json::Value;

use super::attach::{self, Carried};
use super::{api_socket, each, filters, pull};
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::session::{End, signals, terminal};
use crate::shape::{self, Attached};
use crate::ui;

/// How long a container that failed to start may take to be removed again.
const REMOVAL: Duration = Duration::from_secs(10);

/// `create`.
pub(crate) fn create(call: &Call) -> Outcome {
    let flags = call.flags();
    let body =
        in_words_of_run(call, shape::attached(flags, false).and_then(|a| shape::container(flags, a, false)))?;
    call.with_engine(|engine| async move {
        let id = match create_container(call, &engine, body).await {
            // What the engine says stands by itself here; only mistakes of the call are worded as `run` does.
            Err(error @ Error::Flags { .. }) => in_words_of_run(call, Err(error)),
            Err(error @ Error::Engine(client::Error::Response { .. })) => {
                Err(match shape::of_wrong_mount(flags) {
                    Some(place) => Error::Usage(error.to_string() + &place),
                    None => error,
                })
            }
            other => other,
        }?;
        ui::out(&format!("{id}\n"))?;
        Ok(0)
    })
}

/// `run`.
pub(crate) fn run(call: &Call) -> Outcome {
    let flags = call.flags();
    let detach = flags.bool("detach");
    let attached = shape::attached(flags, detach)?;
    let body = in_words_of_run(call, shape::container(flags, attached, detach))?;
    if flags.bool("tty") && attached.stdin && !ui::in_is_terminal() {
        return Err(Error::Usage("the input device is not a TTY".into()));
    }
    let keys = attach::detach_keys(call)?;
    call.with_engine(|engine| async move {
        let id = in_words_of_run(call, create_container(call, &engine, body).await)?;
        if detach {
            in_words_of_run(call, start(&engine, &id).await)?;
            ui::out(&format!("{id}\n"))?;
            return Ok(0);
        }
        run_attached(call, &engine, &id, attached, keys).await
    })
}

async fn run_attached(call: &Call, engine: &Engine, id: &str, attached: Attached, keys: Keys) -> Outcome {
    let flags = call.flags();
    let tty = flags.bool("tty");
    // Caught before the container starts: from then on an early Ctrl-C is the container's, not the client's.
    let caught = (flags.bool("sig-proxy") && !tty).then(signals::catch).transpose()?;
    let connection = attach::connect(engine, id, attached, flags.find("detach-keys")).await;
    let connection = in_words_of_run(call, connection)?;
    let condition = if flags.bool("rm") { "removed" } else { "next-exit" };
    let path = format!("/containers/{}/wait?condition={condition}", encode(id));
    // The head of the answer comes at once and means that the engine listens for this exit.
    let ended = in_words_of_run(call, engine.stream(Method::POST, &path, None).await.map_err(Error::from))?;
    let raw = if tty && attached.stdin { terminal::Raw::enter()? } else { None };
    if let Err(error) = start(engine, id).await {
        drop(raw);
        drop(connection);
        if flags.bool("rm") {
            // The engine removes what failed to start; the name is free when this answers.
            let _ = tokio::time::timeout(REMOVAL, attach::exit_code_from(ended)).await;
        }
        return Err(as_run_error(call, error));
    }
    let carried =
        attach::carry(engine, &attach::path_of(id), connection, Carried { attached, tty, keys, caught })
            .await;
    drop(raw);
    if carried? == End::Detached {
        return Ok(0);
    }
    attach::exit_code_from(ended).await
}

async fn start(engine: &Engine, id: &str) -> Result<(), Error> {
    engine.call(Method::POST, &format!("/containers/{}/start", encode(id)), None).await?;
    Ok(())
}

/// docker's exit codes for a container that could not be run: 127 not found, 126 not executable, 125 the rest.
fn as_run_error(call: &Call, error: Error) -> Error {
    let hint = diag::Explain::hint(&error);
    let message = match &error {
        Error::Run { .. } | Error::Io(..) => return error,
        Error::Engine(client::Error::Response { .. }) => {
            error.to_string() + &shape::of_wrong_mount(call.flags()).unwrap_or_default()
        }
        Error::Flags { .. } => error.to_string(),
        other => ui::sentence(other),
    };
    let has = |part: &str| message.contains(part);
    let missing =
        ["executable file not found", "no such file or directory", "system cannot find the file specified"];
    let code = if missing.iter().any(|part| has(part)) {
        127
    } else if has("permission denied") || has("is a directory") {
        126
    } else {
        125
    };
    Error::Run { message, hint, code, path: format!("{} {}", call.program, last_word(call.path())) }
}

fn last_word(path: &str) -> &str {
    path.rsplit(' ').next().unwrap_or(path)
}

fn in_words_of_run<T>(call: &Call, result: Result<T, Error>) -> Result<T, Error> {
    result.map_err(|error| match as_run_error(call, error) {
        Error::Run { message, hint, path, .. } => Error::Run { message, hint, code: 125, path },
        other => other,
    })
}

/// Creates the container, getting its image first where it isn't there.
async fn create_container(call: &Call, engine: &Engine, mut body: Value) -> Result<String, Error> {
    let flags = call.flags();
    let secrets = api_socket::add(call, &mut body)?;
    // A variable that is named without a value is to be what the client has, which may be nothing.
    let named = flags.list("env");
    let proxies = call.proxies()?.into_iter().filter(|(name, _)| !named.contains(name));
    shape::add_variables(&mut body, &proxies.collect::<Vec<_>>());
    let policy = flags.text("pull");
    if !matches!(policy, "always" | "missing" | "never") {
        let message =
            format!("invalid pull option: '{policy}': must be one of \"always\", \"missing\" or \"never\"");
        return Err(Error::Flags { message });
    }
    let cid = flags.find("cidfile").map(CidFile::create).transpose()?;
    // An id is no reference, and is never fetched.
    let image = Reference::parse(flags.args.first().map_or("", String::as_str)).ok();
    if let Some(image) = image.as_ref().filter(|_| policy == "always") {
        pull(call, engine, image).await?;
    }
    let name = flags.find("name").map(|name| format!("name={}", encode(name)));
    let platform = call.platform().map(|platform| format!("platform={}", encode(&platform)));
    let path = filters::with_query("/containers/create", &[name, platform]);
    if shape::has_port_run(&body) && !engine.takes_port_runs().await? {
        shape::name_each_port(flags, &mut body)?;
    }
    let mut created = engine.call(Method::POST, &path, Some(&body)).await;
    if let Err(error) = &created
        && error.is_status(404)
        && lacks_image(&error.to_string())
        && policy == "missing"
        && let Some(image) = &image
    {
        if !flags.bool("quiet") {
            ui::err(&format!("Unable to find image '{}' locally", image.familiar()));
        }
        pull(call, engine, image).await?;
        created = engine.call(Method::POST, &path, Some(&body)).await;
    }
    let answer = created?.json()?;
    for warning in answer["Warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        ui::err(&diag::printable(&format!("WARNING: {warning}")));
    }
    let id = answer["Id"].as_str().unwrap_or_default().to_owned();
    secrets.inject(engine, &id).await?;
    if let Some(cid) = cid {
        cid.write(&id)?;
    }
    Ok(id)
}

/// Whether what wasn't found is the image, or the image for the platform that was asked for.
fn lacks_image(message: &str) -> bool {
    message.contains("No such image") || message.contains("does not match the specified platform")
}

/// Asks the engine to fetch the image; its progress goes to the error stream.
async fn pull(call: &Call, engine: &Engine, image: &Reference) -> Result<(), Error> {
    let sink = (!call.flags().bool("quiet")).then_some(ui::Sink::Errors);
    pull::fetch(call, engine, image, sink).await
}

/// `--cidfile`: made before the container, so that two runs can't share one, and removed where none came to be.
struct CidFile {
    path: String,
    file: std::fs::File,
    written: bool,
}

impl CidFile {
    fn create(path: &str) -> Result<Self, Error> {
        let opened = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
        let file = opened.map_err(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => Error::Flags {
                message: format!(
                    "container ID file found, make sure the other container isn't running or delete {path}"
                ),
            },
            _ => Error::Flags { message: format!("failed to create the container ID file: {path}: {e}") },
        })?;
        Ok(Self { path: path.to_owned(), file, written: false })
    }

    fn write(mut self, id: &str) -> Result<(), Error> {
        self.file.write_all(id.as_bytes()).map_err(|e| Error::Io("write the container ID file", e))?;
        self.written = true;
        Ok(())
    }
}

impl Drop for CidFile {
    fn drop(&mut self) {
        if !self.written {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The exit code of a container that has none yet is waited for elsewhere; this is for those that ended before.
pub(crate) async fn last_exit_code(engine: &Engine, id: &str) -> Outcome {
    each::exit_code(engine, id, "").await
}
