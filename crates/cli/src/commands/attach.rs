//! `attach`, and what `run` and `start -a` share with it.

use client::{Body, Engine, Hijacked, encode};
use detach::Keys;
use serde_json::Value;

use super::each;
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::session::{self, End, Plan, signals, terminal};
use crate::shape::Attached;
use crate::ui;

/// How a session is to be carried.
pub(crate) struct Carried {
    pub(crate) attached: Attached,
    pub(crate) tty: bool,
    pub(crate) keys: Keys,
    pub(crate) caught: Option<signals::Caught>,
}

/// The keys of the flag, the configuration, or docker's own.
pub(crate) fn detach_keys(call: &Call) -> Result<Keys, Error> {
    let configured = call.config().text("detachKeys").unwrap_or(detach::DEFAULT);
    let text = call.flags().find("detach-keys").unwrap_or(configured);
    Keys::parse(text).ok_or_else(|| Error::Usage(format!("invalid detach keys ({text}) provided")))
}

/// Opens the raw connection.
pub(crate) async fn connect(
    engine: &Engine,
    id: &str,
    attached: Attached,
    keys: Option<&str>,
) -> Result<Hijacked, Error> {
    let mut query = vec!["stream=1".to_owned()];
    for (name, wanted) in
        [("stdin", attached.stdin), ("stdout", attached.stdout), ("stderr", attached.stderr)]
    {
        if wanted {
            query.push(format!("{name}=1"));
        }
    }
    query.extend(keys.map(|keys| format!("detachKeys={}", encode(keys))));
    let path = format!("/containers/{}/attach?{}", encode(id), query.join("&"));
    Ok(engine.upgrade(&path, "tcp", None).await?)
}

/// Carries the session to its end, with signals and the terminal's size beside it.
/// `what` is the path of the container or exec.
pub(crate) async fn carry(
    engine: &Engine,
    what: &str,
    connection: Hijacked,
    how: Carried,
) -> Result<End, Error> {
    let Carried { attached, tty, keys, caught } = how;
    let plan = Plan { stdin: attached.stdin, tty, detach_keys: keys };
    let proxied = async {
        match caught {
            Some(caught) => signals::pass(caught, engine, what).await,
            None => std::future::pending().await,
        }
    };
    let sized = async {
        if tty && ui::out_is_terminal() {
            // Without the terminal's size the session is less pretty, not over.
            let _ = terminal::follow_size(engine, what).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        end = session::carry(connection, plan) => end,
        () = proxied => Ok(End::Output),
        () = sized => Ok(End::Output),
    }
}

/// Says so, as docker does of `attach` and `exec`, which end with 1 then, but not of `run` and `start`.
pub(crate) fn was_detached(end: End) -> bool {
    if end == End::Detached {
        ui::err("read escape sequence");
    }
    end == End::Detached
}

/// The exit code from a wait whose answer is under way.
pub(crate) async fn exit_code_from(mut answer: Body) -> Outcome {
    const LIMIT: usize = 1 << 20;
    let mut bytes = Vec::new();
    while let Some(piece) = answer.next().await? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > LIMIT {
            return Err(client::Error::TooLarge { path: "wait".into(), limit: LIMIT }.into());
        }
    }
    let value: Value = serde_json::from_slice(&bytes)
        .map_err(|source| client::Error::Json { path: "wait".into(), source })?;
    each::exit_code_of(&value)
}

/// A container's path in the API.
pub(crate) fn path_of(container: &str) -> String {
    format!("/containers/{}", encode(container))
}

/// `attach`.
pub(crate) fn attach(call: &Call) -> Outcome {
    let flags = call.flags();
    let name = call.args().first().map_or("", String::as_str);
    let keys = detach_keys(call)?;
    call.with_engine(|engine| async move {
        let container = engine.get(&format!("/containers/{}/json", encode(name))).await?;
        let (state, config) = (&container["State"], &container["Config"]);
        if state["Paused"] == true {
            return Err(Error::Usage("You cannot attach to a paused container, unpause it first".into()));
        }
        if state["Restarting"] == true {
            return Err(Error::Usage(
                "You cannot attach to a restarting container, wait until it is running".into(),
            ));
        }
        if state["Running"] != true {
            return Err(Error::Usage("You cannot attach to a stopped container, start it first".into()));
        }
        let tty = config["Tty"] == true;
        let stdin = !flags.bool("no-stdin") && config["OpenStdin"] == true;
        if tty && stdin && !ui::in_is_terminal() {
            return Err(Error::Usage("the input device is not a TTY".into()));
        }
        let attached = Attached { stdin, stdout: true, stderr: true };
        let caught = (flags.bool("sig-proxy") && !tty).then(signals::catch).transpose()?;
        let connection = connect(&engine, name, attached, flags.find("detach-keys")).await?;
        let raw = if tty && stdin { terminal::Raw::enter()? } else { None };
        let end = carry(&engine, &path_of(name), connection, Carried { attached, tty, keys, caught }).await;
        drop(raw);
        if was_detached(end?) {
            return Ok(1);
        }
        super::run::last_exit_code(&engine, name).await
    })
}
