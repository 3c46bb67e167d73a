//! `build --print`: what would be built, as the bake file that docker compose prints.

use std::collections::BTreeMap;

use compose::{Project, labels};
use serde_json::{Map, Value, json};

use super::{in_context, secrets};
use crate::error::Error;

/// What the command line says for all of them.
pub(super) struct Said {
    pub(super) arguments: Vec<String>,
    pub(super) ssh: Vec<String>,
    pub(super) pull: bool,
    pub(super) no_cache: bool,
    pub(super) check: bool,
    pub(super) push: bool,
}

/// These services are meant; those that they need are targets, too.
pub(super) fn bake_file(project: &Project, meant: &[String], said: &Said) -> Result<Value, Error> {
    let needed = project.with_dependencies(meant)?;
    let is_built = |name: &str| project.service(name).is_some_and(|spec| !spec["build"].is_null());
    let mut targets = BTreeMap::new();
    for name in needed.iter().filter(|name| is_built(name)) {
        targets.insert(name, target(project, name, said)?);
    }
    Ok(json!({ "group": { "default": { "targets": meant } }, "target": targets }))
}

fn target(project: &Project, service: &str, said: &Said) -> Result<Value, Error> {
    let spec = project.service(service).unwrap_or(&Value::Null);
    let build = &spec["build"];
    let context = build["context"].as_str().unwrap_or(".");
    let flag = |key: &str, said: bool| said || build[key] == true;
    let mut target = Map::new();
    let mut put = |key: &str, value: Value| {
        let is_empty = match &value {
            Value::Null | Value::Bool(false) => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        };
        if !is_empty {
            target.insert(key.to_owned(), value);
        }
    };
    put("context", context.into());
    put("contexts", contexts(build));
    match build["dockerfile_inline"].as_str() {
        Some(text) => put("dockerfile-inline", text.into()),
        None => put(
            "dockerfile",
            in_context(context, build["dockerfile"].as_str().unwrap_or("Dockerfile")).into(),
        ),
    }
    put("args", arguments(build, said));
    put("labels", marks(project, service, build));
    let image = project.image(service);
    put("tags", list(build, "tags").into_iter().chain([image]).collect());
    put("cache-from", list(build, "cache_from").into());
    put("cache-to", list(build, "cache_to").into());
    put("target", build["target"].clone());
    put("secret", secrets(project, service, build)?.iter().map(|word| secret(word)).collect());
    let ssh = list(build, "ssh").into_iter().map(|ssh| ssh.replacen(": ", "=", 1));
    let ssh = ssh.chain(said.ssh.iter().cloned());
    put("ssh", ssh.map(|ssh| if ssh.contains('=') { ssh } else { format!("{ssh}=") }).collect());
    let platforms = list(build, "platforms");
    let own = spec["platform"].as_str().filter(|_| platforms.is_empty()).map(str::to_owned);
    // Several platforms' images are no image that an engine could be given at once.
    let apart = platforms.len() > 1;
    put("platforms", platforms.into_iter().chain(own).collect());
    put("pull", flag("pull", said.pull).into());
    put("no-cache", flag("no_cache", said.no_cache).into());
    put("network", build["network"].clone());
    put("no-cache-filter", list(build, "no_cache_filter").into());
    put("shm-size", build["shm_size"].clone());
    put("ulimits", limits(build));
    put("call", if said.check { "lint".into() } else { Value::Null });
    let privileged = (build["privileged"] == true).then(|| "security.insecure".to_owned());
    put("entitlements", list(build, "entitlements").into_iter().chain(privileged).collect());
    put("extra-hosts", hosts(build));
    if !said.check {
        let output = match said.push && spec["image"].is_string() {
            true => "type=registry",
            false if apart => "type=image,push=false",
            false => "type=docker",
        };
        put("output", json!([output]));
    }
    let attested = ["provenance", "sbom"].into_iter().filter_map(|kind| match build[kind].as_str()? {
        "" | "false" => None,
        "true" => Some(format!("type={kind}")),
        how => Some(format!("type={kind},{how}")),
    });
    put("attest", attested.collect());
    Ok(target.into())
}

fn list(build: &Value, key: &str) -> Vec<String> {
    build[key].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A map by name, without what has no value.
fn texts(build: &Value, key: &str) -> BTreeMap<String, String> {
    let pairs = build[key].as_object().into_iter().flatten();
    pairs.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

fn contexts(build: &Value) -> Value {
    let named = texts(build, "additional_contexts").into_iter();
    let named = named.map(|(name, place)| match place.strip_prefix("service:") {
        Some(service) => (name, format!("target:{service}")),
        None => (name, place),
    });
    json!(named.collect::<BTreeMap<_, _>>())
}

fn arguments(build: &Value, said: &Said) -> Value {
    let mut arguments = texts(build, "args");
    for word in &said.arguments {
        let value = match word.split_once('=') {
            Some((name, value)) => Some((name, value.to_owned())),
            None => std::env::var(word).ok().map(|value| (word.as_str(), value)),
        };
        arguments.extend(value.map(|(name, value)| (name.to_owned(), value)));
    }
    json!(arguments)
}

fn marks(project: &Project, service: &str, build: &Value) -> Value {
    let mut marks = texts(build, "labels");
    for (label, value) in [
        (labels::PROJECT, project.name.as_str()),
        (labels::SERVICE, service),
        (labels::VERSION, labels::VERSION_VALUE),
    ] {
        marks.insert(label.to_owned(), value.to_owned());
    }
    json!(marks)
}

/// `--secret=id=x,src=y` in bake's words.
fn secret(word: &str) -> String {
    let word = word.trim_start_matches("--secret=");
    word.replacen(",src=", ",type=file,src=", 1).replacen(",env=", ",type=env,env=", 1)
}

fn limits(build: &Value) -> Value {
    let limits = build["ulimits"].as_object().into_iter().flatten();
    let limits = limits.map(|(name, limit)| match limit.as_i64() {
        Some(both) => format!("{name}={both}"),
        None => format!("{name}={}:{}", limit["soft"], limit["hard"]),
    });
    let mut limits: Vec<_> = limits.collect();
    limits.sort_unstable();
    json!(limits)
}

/// All addresses of a host stand behind its name.
fn hosts(build: &Value) -> Value {
    let mut hosts = BTreeMap::<String, String>::new();
    for host in list(build, "extra_hosts") {
        let Some((name, address)) = host.split_once('=') else { continue };
        let known = hosts.entry(name.to_owned()).or_default();
        if !known.is_empty() {
            known.push(',');
        }
        known.push_str(address);
    }
    json!(hosts)
}
