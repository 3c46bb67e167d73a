//! `--use-api-socket`: the engine's socket in the container, and what the user shows to registries.
//!
//! As docker's client does it, except that the socket is that of the engine which is asked, where this is known: docker's
//! takes one path for granted.

use client::{Engine, Host};
use compose::container::Injected;
use serde_json::{Map, Value, json};

use super::compose::inject;
use crate::call::Call;
use crate::error::Error;

/// Where programs look for a socket unless they are told.
const SOCKET: &str = "/var/run/docker.sock";
const FOLDER: &str = "/run/secrets/docker";

/// What goes into the container before it starts, if anything does.
pub(super) struct Secrets(Option<Vec<u8>>);

/// Adds to the body of a create what the flag means.
pub(super) fn add(call: &Call, body: &mut Value) -> Result<Secrets, Error> {
    match call.flags().bool("use-api-socket") {
        true => give(call, body),
        false => Ok(Secrets(None)),
    }
}

/// Whether a project's service is to have it.
pub(super) fn is_wanted(project: &compose::Project, service: &str) -> bool {
    project.service(service).is_some_and(|spec| spec["use_api_socket"] == true)
}

/// Adds to the body of a create what lets a container talk to its engine.
pub(super) fn give(call: &Call, body: &mut Value) -> Result<Secrets, Error> {
    let source = match call.endpoint()?.host {
        Host::Unix(path) => path.display().to_string(),
        Host::Tcp { .. } | Host::Ssh { .. } => SOCKET.to_owned(),
    };
    let mount = json!({ "Type": "bind", "Source": source, "Target": SOCKET, "BindOptions": {} });
    push(&mut body["HostConfig"]["Mounts"], mount);
    let variable = |entry: &Value| entry.as_str().is_some_and(|entry| entry.starts_with("DOCKER_CONFIG="));
    let set = body["Env"].as_array().is_some_and(|entries| entries.iter().any(variable));
    // Whoever says where the configuration is brings one along.
    if set {
        return Ok(Secrets(None));
    }
    let auths: Map<String, Value> =
        call.auths()?.iter().map(|auth| (auth.server.clone(), auth.entry())).collect();
    if auths.is_empty() {
        return Ok(Secrets(None));
    }
    push(&mut body["Env"], format!("DOCKER_CONFIG={FOLDER}").into());
    let config = serde_json::to_vec_pretty(&json!({ "auths": auths })).unwrap_or_default();
    Ok(Secrets(Some(config)))
}

fn push(list: &mut Value, item: Value) {
    match list {
        Value::Array(items) => items.push(item),
        other => *other = json!([item]),
    }
}

impl Secrets {
    /// Before the container starts.
    pub(super) async fn inject(self, engine: &Engine, id: &str) -> Result<(), Error> {
        let Some(content) = self.0 else { return Ok(()) };
        let target = format!("{FOLDER}/config.json");
        let file = Injected { target, content, uid: 0, gid: 0, mode: 0o600 };
        inject::inject(engine, id, &[file]).await
    }
}
