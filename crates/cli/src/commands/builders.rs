//! `buildx create`, `use`, `rm` and `stop`. A builder is an engine, whichever driver was asked for: scripts that make one of
//! BuildKit's containers first have what it is for, several platforms and all exporters, from the engine itself.

use client::Engine;

use super::builder;
use crate::call::{self, Call};
use crate::error::{Error, Outcome};
use crate::ui;

fn wrong(why: impl std::fmt::Display) -> Error {
    Error::Usage(format!("ERROR: {why}"))
}

/// `buildx create`.
pub(crate) fn create(call: &Call) -> Outcome {
    let flags = call.flags();
    let (own, builders) = (call.own_endpoint()?, call.builders());
    let driver = match flags.text("driver") {
        "" | "docker-container" => "docker-container",
        "docker" => "docker",
        other => return Err(wrong(format!("the driver {other:?} is not supported: a builder is an engine"))),
    };
    let unused = unused(&flags.list("driver-opt"), flags.text("buildkitd-flags"))?;
    let name = match flags.text("name") {
        "" => fresh()?,
        name => name.to_ascii_lowercase(),
    };
    if name == client::context::DEFAULT || call.contexts().find(&name)?.is_some() {
        return Err(wrong(format!("instance name {name:?} already exists as context builder")));
    }
    if builders.names().contains(&name) {
        let hint = "no append mode, specify the node name to make changes for existing instances";
        return Err(wrong(format!("existing instance for {name:?} but {hint}")));
    }
    let endpoint = call.args().first().cloned().unwrap_or_else(|| own.key().to_owned());
    let reached = call.endpoint_at(&endpoint)?;
    builders.create(&name, driver, &endpoint)?;
    if flags.bool("use") {
        builders.choose(own.key(), &name, false)?;
    }
    if driver != "docker" {
        let more = if unused.is_empty() {
            String::new()
        } else {
            format!("; it has no use for {}", unused.join(", "))
        };
        ui::err(&format!(
            "Note: builder {name} is the engine itself, which builds without a container of BuildKit's{more}"
        ));
    }
    if flags.bool("bootstrap") {
        call::block_on(async {
            builder::in_time(call, builder::worker(&Engine::new(reached))).await.map(drop)
        })?;
    }
    ui::out(&format!("{name}\n"))?;
    Ok(0)
}

/// A name for a builder that was given none.
fn fresh() -> Result<String, Error> {
    let id = buildkit::identity().map_err(|status| wrong(status.message))?;
    Ok(format!("builder_{}", &id[..8]))
}

/// What was said of a daemon that there is none of. Whatever would change what is built is refused.
fn unused(options: &[String], flags: &str) -> Result<Vec<String>, Error> {
    let mut unused = Vec::new();
    for option in options.iter().flat_map(|list| list.split(',')).filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("image", _)) | Some(("network", "host")) | Some(("default-load", "true")) => {
                unused.push(option.to_owned());
            }
            _ => {
                return Err(wrong(format!(
                    "the driver's option {option:?} is not supported: it is the engine's own setting"
                )));
            }
        }
    }
    let mut words = flags.split_whitespace();
    while let Some(word) = words.next() {
        let value = word.strip_prefix("--allow-insecure-entitlement");
        let name = value.and_then(|value| value.strip_prefix('=').or_else(|| words.next()));
        match name {
            // Asked for again by each build, and allowed or not by the engine's settings.
            Some(name) => unused.push(format!(
                "--allow-insecure-entitlement {name} (the engine's builder.entitlements decide)"
            )),
            None => {
                return Err(wrong(format!(
                    "the daemon's flag {word:?} is not supported: it is the engine's own setting"
                )));
            }
        }
    }
    Ok(unused)
}

/// `buildx use`.
pub(crate) fn choose(call: &Call) -> Outcome {
    let flags = call.flags();
    let (own, builders) = (call.own_endpoint()?, call.builders());
    let asked =
        call.args().first().map(String::as_str).or_else(|| call.innermost("builder")).unwrap_or_default();
    let always = flags.bool("global");
    if builders.find(asked)?.is_some() {
        builders.choose(own.key(), &asked.to_ascii_lowercase(), always)?;
    } else if asked == own.context || asked.is_empty() {
        builders.choose(own.key(), "", false)?;
    } else if asked == client::context::DEFAULT || call.contexts().find(asked)?.is_some() {
        return Err(wrong(format!(
            "run `{} context use {asked}` to switch to context {asked:?}",
            call.program
        )));
    } else {
        return Err(builder::unknown(asked));
    }
    Ok(0)
}

/// `buildx rm`.
pub(crate) fn remove(call: &Call) -> Outcome {
    let flags = call.flags();
    // An engine and its cache are not the builder's to remove, and nobody is asked before a name is forgotten.
    let _ = ["keep-daemon", "keep-state", "force"].map(|flag| flags.bool(flag));
    let (own, builders) = (call.own_endpoint()?, call.builders());
    let current = builders.current(own.key())?;
    let mut asked = call.args().to_vec();
    if flags.bool("all-inactive") {
        if !asked.is_empty() {
            return Err(wrong("cannot specify builder name when --all-inactive is set"));
        }
        for name in builders.names() {
            let reached = match builders.find(&name) {
                Ok(Some(found)) => call.endpoint_at(&found.endpoint).is_ok_and(|endpoint| {
                    call::block_on(async {
                        builder::in_time(call, builder::worker(&Engine::new(endpoint))).await
                    })
                    .is_ok()
                }),
                _ => false,
            };
            if !reached {
                asked.push(name);
            }
        }
    } else if asked.is_empty() {
        let meant = call.innermost("builder").map(str::to_owned).or(current.clone());
        asked.extend(Some(meant.ok_or_else(|| {
            wrong("context builder cannot be removed, run `context rm` to remove this context")
        })?));
    }
    for name in asked.iter().map(|name| name.to_ascii_lowercase()) {
        if !builders.names().contains(&name) {
            return Err(builder::unknown(&name));
        }
        builders.remove(&name)?;
        if current.as_ref() == Some(&name) {
            builders.choose(own.key(), "", false)?;
        }
        ui::out(&format!("{name} removed\n"))?;
    }
    Ok(0)
}

/// `buildx stop`: an engine goes on, as docker's own driver has it.
pub(crate) fn stop(call: &Call) -> Outcome {
    let asked = call.args().first().map(String::as_str).or_else(|| call.innermost("builder"));
    match asked {
        Some(name) if name != call.own_endpoint()?.context && call.builders().find(name)?.is_none() => {
            Err(builder::unknown(name))
        }
        _ => Ok(0),
    }
}
