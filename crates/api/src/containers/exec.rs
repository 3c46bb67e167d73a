//! `POST /containers/{id}/exec` and `/exec/{id}/*`.

use engine::containers::{Exec, ExecConfig, ExecState, Streams};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::{Call, understood};
use crate::error::Error;
use crate::hijack::{self, Source};
use crate::reply::{self, Reply};

pub(crate) async fn create(call: Call) -> Result<Reply, Error> {
    let name = call.name().to_owned();
    // An unknown container is told before an unreadable body.
    call.engine.containers.get(&name)?;
    let config: ExecConfig = body(Call::json(call.request).await?)?;
    hijack::keys(&config.detach_keys)?;
    let engine = call.engine;
    let created = tasks::blocking(move || engine.containers.exec(&name, config)).await;
    let exec = created.map_err(|error| {
        Error::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot make an exec: {error}"))
    })??;
    Ok(reply::json_with(StatusCode::CREATED, &json!({ "Id": exec.id })))
}

fn body<T: serde::de::DeserializeOwned + Default>(body: Value) -> Result<T, Error> {
    match body {
        Value::Null => Ok(T::default()),
        body => understood(&body),
    }
}

pub(crate) async fn inspect(call: Call) -> Result<Reply, Error> {
    let exec = call.engine.containers.find_exec(call.name())?;
    let config = &exec.config;
    let (running, code, pid) = match exec.state() {
        ExecState::Created | ExecState::Starting => (false, None, 0),
        ExecState::Running { pid } => (true, None, pid),
        ExecState::Ended { pid, code } => (false, Some(code), pid),
    };
    let command = config.cmd.as_deref().unwrap_or_default();
    let mut process = json!({
        "tty": config.tty,
        "entrypoint": command.first().map_or("", String::as_str),
        "arguments": command.get(1..).unwrap_or_default(),
        "privileged": config.privileged,
    });
    if !config.user.is_empty() {
        process["user"] = json!(config.user);
    }
    Ok(reply::json(&json!({
        "ID": exec.id,
        "Running": running,
        "ExitCode": code,
        "ProcessConfig": process,
        "OpenStdin": config.attach_stdin,
        "OpenStderr": config.attach_stderr,
        "OpenStdout": config.attach_stdout,
        "CanRemove": false,
        "ContainerID": exec.container,
        "DetachKeys": config.detach_keys,
        "Pid": pid,
    })))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Start {
    detach: bool,
    console_size: Option<[u32; 2]>,
}

pub(crate) async fn start(call: Call) -> Result<Reply, Error> {
    let exec = call.engine.containers.find_exec(call.name())?;
    let upgrade = hijack::wants_upgrade(&call.request);
    let terminal = exec.config.tty;
    let content_type = if terminal || call.before(42) { hijack::RAW } else { hijack::MULTIPLEXED };
    let escape = hijack::keys(&exec.config.detach_keys).ok().filter(|_| terminal && exec.config.attach_stdin);
    let Call { engine, mut request, closing, .. } = call;
    let upgrading = hyper::upgrade::on(&mut request);
    let start: Start = body(Call::json(request).await?)?;
    let claimed = engine.containers.claim_exec(&exec)?;
    if start.detach {
        claimed.launch(start.console_size, None).await?;
        return Ok(reply::empty(StatusCode::OK));
    }
    let process = exec.clone();
    let source = async move {
        match claimed.launch(start.console_size, Some(wanted(&process))).await {
            Ok(None) => Source::Said(Vec::new()),
            Ok(Some(stream)) => Source::Process(stream, process),
            // As dockerd does: its stream has begun by then, and the failure comes in it.
            Err(error) => Source::Said(failure(&error, terminal)),
        }
    };
    if !upgrade {
        return Ok(hijack::output_only(async { Some(source.await) }, hijack::RAW));
    }
    tasks::spawn(async move {
        if hijack::join(upgrading, source, escape, closing).await {
            engine.containers.detached_exec(&exec);
        }
    });
    Ok(hijack::switching(content_type))
}

fn wanted(exec: &Exec) -> Streams {
    let config = &exec.config;
    Streams { stdin: config.attach_stdin, stdout: config.attach_stdout, stderr: config.attach_stderr }
}

fn failure(error: &engine::Error, terminal: bool) -> Vec<u8> {
    let text = format!("{}\r\n", diag::chain(error));
    match terminal {
        true => text.into_bytes(),
        false => hijack::frame(1, text.as_bytes()),
    }
}

pub(crate) async fn resize(call: Call) -> Result<Reply, Error> {
    let size = |key| call.query.number::<u16>(key).map(Option::unwrap_or_default);
    let (rows, columns) = (size("h")?, size("w")?);
    let exec = call.engine.containers.find_exec(call.name())?;
    call.engine.containers.resize_exec(&exec, rows, columns).await?;
    Ok(reply::empty(StatusCode::OK))
}
