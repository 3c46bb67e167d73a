//! `exec`: ask for the process, start it, carry its streams, end with its exit code.

use client::{Engine, encode};
use detach::Keys;
use http::Method;
use serde_json::{Value, json};

use super::attach::{self, Carried};
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::session::terminal;
use crate::shape::{self, Attached};
use crate::ui;

pub(crate) fn exec(call: &Call) -> Outcome {
    let flags = call.flags();
    let (tty, detach) = (flags.bool("tty"), flags.bool("detach"));
    let attached = Attached { stdin: flags.bool("interactive") && !detach, stdout: !detach, stderr: !detach };
    if tty && attached.stdin && !ui::in_is_terminal() {
        return Err(Error::Usage("the input device is not a TTY".into()));
    }
    let keys = attach::detach_keys(call)?;
    let (name, command) =
        call.args().split_first().map_or(("", &[][..]), |(name, rest)| (name.as_str(), rest));
    let mut config = json!({
        "Cmd": command,
        "Tty": tty,
        "AttachStdin": attached.stdin,
        "AttachStdout": attached.stdout,
        "AttachStderr": attached.stderr,
        "Privileged": flags.bool("privileged"),
        "User": flags.text("user"),
        "WorkingDir": flags.text("workdir"),
        "DetachKeys": flags.find("detach-keys").or(call.config().text("detachKeys")).unwrap_or_default(),
        "Env": shape::environment(flags)?,
    });
    let size = (tty && !detach).then(terminal::size).flatten();
    if let Some(size) = size {
        config["ConsoleSize"] = json!(size);
    }
    call.with_engine(|engine| async move {
        let path = format!("/containers/{}/exec", encode(name));
        let created = engine.call(Method::POST, &path, Some(&config)).await?.json()?;
        let id = created["Id"].as_str().unwrap_or_default();
        let mut start = json!({ "Detach": detach, "Tty": tty });
        if let Some(size) = size {
            start["ConsoleSize"] = json!(size);
        }
        if detach {
            engine.call(Method::POST, &format!("/exec/{id}/start"), Some(&start)).await?;
            return Ok(0);
        }
        carry(&engine, id, &start, Carried { attached, tty, keys, caught: None }).await
    })
}

/// A process with the client's terminal until it ends.
pub(crate) async fn talk(engine: &Engine, name: &str, config: &Value) -> Outcome {
    let path = format!("/containers/{}/exec", encode(name));
    let created = engine.call(Method::POST, &path, Some(config)).await?.json()?;
    let start = json!({ "Detach": false, "Tty": true, "ConsoleSize": config["ConsoleSize"] });
    let attached = Attached { stdin: true, stdout: true, stderr: true };
    let keys = Keys::parse(detach::DEFAULT).unwrap_or_else(Keys::none);
    let id = created["Id"].as_str().unwrap_or_default();
    carry(engine, id, &start, Carried { attached, tty: true, keys, caught: None }).await
}

async fn carry(engine: &Engine, id: &str, start: &Value, how: Carried) -> Outcome {
    let raw = if how.tty && how.attached.stdin { terminal::Raw::enter()? } else { None };
    let connection = engine.upgrade(&format!("/exec/{id}/start"), "tcp", Some(start)).await?;
    let end = attach::carry(engine, &format!("/exec/{id}"), connection, how).await;
    drop(raw);
    if attach::was_detached(end?) {
        return Ok(1);
    }
    let ended = engine.get(&format!("/exec/{id}/json")).await?;
    Ok(ended["ExitCode"].as_i64().and_then(|code| i32::try_from(code).ok()).unwrap_or(1))
}
