//! `start`.

use client::{Engine, encode};
use detach::Keys;
use http::Method;

use super::attach::{self, Carried};
use super::each::unless_fatal;
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::session::{End, signals, terminal};
use crate::shape::Attached;
use crate::ui;

/// Starts containers, or starts one and attaches to it.
pub(crate) fn start(call: &Call) -> Outcome {
    let flags = call.flags();
    let interactive = flags.bool("interactive");
    if !flags.bool("attach") && !interactive {
        return start_all(call);
    }
    if call.args().len() > 1 {
        return Err(Error::Usage("you cannot start and attach multiple containers at once".into()));
    }
    let name = call.args().first().map_or("", String::as_str);
    let keys = attach::detach_keys(call)?;
    call.with_engine(|engine| async move { start_attached(call, &engine, name, keys, interactive).await })
}

fn start_all(call: &Call) -> Outcome {
    call.with_engine(|engine| async move {
        let mut failed = Vec::new();
        for name in call.args() {
            match engine.call(Method::POST, &start_path(name), None).await {
                Ok(_) => ui::out(&format!("{name}\n"))?,
                Err(error) => {
                    ui::err(&diag::printable(&unless_fatal(error)?));
                    failed.push(name.as_str());
                }
            }
        }
        if failed.is_empty() {
            return Ok(0);
        }
        Err(Error::Several(format!("Error: failed to start containers: {}", failed.join(", "))))
    })
}

fn start_path(name: &str) -> String {
    format!("/containers/{}/start", encode(name))
}

async fn start_attached(call: &Call, engine: &Engine, name: &str, keys: Keys, interactive: bool) -> Outcome {
    let flags = call.flags();
    let container = engine.get(&format!("/containers/{}/json", encode(name))).await?;
    let id = container["Id"].as_str().unwrap_or(name);
    let config = &container["Config"];
    let tty = config["Tty"] == true;
    let attached = Attached { stdin: interactive && config["OpenStdin"] == true, stdout: true, stderr: true };
    let caught = (!tty).then(signals::catch).transpose()?;
    let connection = attach::connect(engine, id, attached, flags.find("detach-keys")).await?;
    let condition = if container["HostConfig"]["AutoRemove"] == true { "removed" } else { "next-exit" };
    let path = format!("/containers/{}/wait?condition={condition}", encode(id));
    let ended = engine.stream(Method::POST, &path, None).await?;
    let raw = if tty && attached.stdin { terminal::Raw::enter()? } else { None };
    engine.call(Method::POST, &start_path(id), None).await?;
    let end =
        attach::carry(engine, &attach::path_of(id), connection, Carried { attached, tty, keys, caught })
            .await;
    drop(raw);
    if end? == End::Detached {
        return Ok(0);
    }
    attach::exit_code_from(ended).await
}
