//! How an image came to be: SLSA's provenance 0.2, with what BuildKit says besides.

use std::collections::BTreeMap;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use build::frontend::Ref;
use build::graph::{Op, Position, Source, Vertex};
use serde_json::{Map, Value, json};

use super::materials::{self, Found};
use super::{About, Mode, Provenance};
use crate::builds::tree::Tree;

pub(super) const TYPE: &str = "https://slsa.dev/provenance/v0.2";
const METADATA: &str = "https://mobyproject.org/buildkit@v1#metadata";
const HERMETIC: &str = "https://mobyproject.org/buildkit@v1#hermetic";

/// What is no part of what was asked for: where the client's machine differs from others.
const HOSTS_OWN: [&str; 3] = ["cgroup-parent", "image-resolve-mode", "platform"];

/// The predicate.
pub(super) fn predicate(
    wanted: &Provenance,
    about: &About,
    built: &Ref,
    found: &Found,
    tree: &Tree,
) -> Value {
    let max = wanted.mode == Mode::Max;
    let (args, left_out) = args(&about.asked, max);
    let mut parameters = json!({ "frontend": about.frontend, "args": args });
    if !found.locals.is_empty() {
        let locals: Vec<Value> = found.locals.iter().map(|name| json!({ "name": name })).collect();
        parameters["locals"] = json!(locals);
    }
    if max {
        for (key, all) in [("secrets", &found.secrets), ("ssh", &found.agents)] {
            if !all.is_empty() {
                parameters[key] = all.iter().map(|(id, optional)| named(id, *optional)).collect();
            }
        }
    }
    let mut said = json!({
        "builder": { "id": wanted.builder },
        "buildType": "https://mobyproject.org/buildkit@v1",
        "materials": found.materials.values().collect::<Vec<_>>(),
        "invocation": {
            "configSource": config_source(&about.asked),
            "parameters": parameters,
            "environment": { "platform": platform() },
        },
        "metadata": {
            "buildInvocationID": about.id,
            "buildStartedOn": time(about.started),
            "buildFinishedOn": time(SystemTime::now()),
            "completeness": {
                "parameters": !left_out, "environment": true, "materials": !found.incomplete,
            },
            "reproducible": wanted.reproducible,
            METADATA: metadata(about, built, tree, max),
            HERMETIC: !found.network && !found.incomplete,
        },
    });
    if max {
        said["buildConfig"] = json!({ "llbDefinition": steps(built) });
    }
    said
}

fn named(id: &str, optional: bool) -> Value {
    match optional {
        true => json!({ "id": id, "optional": true }),
        false => json!({ "id": id }),
    }
}

/// What the frontend was told; build arguments and labels, which may be anything, only where all is asked for.
fn args(asked: &BTreeMap<String, String>, max: bool) -> (Map<String, Value>, bool) {
    let mut left_out = false;
    let mut args = Map::new();
    for (key, value) in asked {
        let others = ["attest:", "vcs:", "local-sessionid:"].iter().any(|prefix| key.starts_with(prefix));
        if others || HOSTS_OWN.contains(&key.as_str()) {
            continue;
        }
        if !max && (key.starts_with("build-arg:") || key.starts_with("label:")) {
            left_out = true;
            continue;
        }
        let address = key == "context" || key.starts_with("context:");
        args.insert(key.clone(), json!(if address { without_user(value) } else { value.clone() }));
    }
    (args, left_out)
}

/// As BuildKit shows an address: without its user, whatever lets that one in.
fn without_user(address: &str) -> String {
    match diag::let_in(address) {
        Some((scheme, _, rest)) => format!("{scheme}://xxxxx@{rest}"),
        None => address.to_owned(),
    }
}

fn config_source(asked: &BTreeMap<String, String>) -> Value {
    let mut source = json!({ "entryPoint": asked.get("filename").map_or("Dockerfile", String::as_str) });
    if let Some(context) = asked.get("context").filter(|context| context.contains("://")) {
        source["uri"] = json!(without_user(context));
    }
    source
}

fn platform() -> String {
    let host = crate::images::Wanted::host();
    let platform = host.platform();
    format!("{}/{}", platform.os, platform.architecture)
}

fn time(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).map(|at| at.to_string()).unwrap_or_default()
}

/// Where the sources are kept, and with `max` what they were and which layers came of which step.
fn metadata(about: &About, built: &Ref, tree: &Tree, max: bool) -> Value {
    let mut said = json!({});
    let vcs = about.asked.iter().filter_map(|(key, value)| Some((key.strip_prefix("vcs:")?, value)));
    let vcs: BTreeMap<&str, String> = vcs.map(|(key, value)| (key, without_user(value))).collect();
    if !vcs.is_empty() {
        said["vcs"] = json!(vcs);
    }
    if max {
        said["source"] = sources(built);
        let layers = tree.list().iter().map(|layer| {
            json!({
                "mediaType": oci::image::media_type::OCI_LAYER, "digest": layer.diff_id, "size": layer.size,
            })
        });
        let last = materials::needed(built).len().saturating_sub(1);
        said["layers"] = json!({ format!("step{last}:0"): [layers.collect::<Vec<_>>()] });
    }
    said
}

/// The Dockerfile itself, and where in it each step stands.
fn sources(built: &Ref) -> Value {
    let mut files: Vec<&Position> = Vec::new();
    let mut locations = Map::new();
    for (number, (_, vertex)) in materials::needed(built).into_iter().enumerate() {
        let mut places = Vec::new();
        for position in &vertex.shown.positions {
            let known = files.iter().position(|known| known.file == position.file);
            let index = known.unwrap_or_else(|| {
                files.push(position);
                files.len() - 1
            });
            let line = |(line, _): (u32, u32)| json!({ "line": line });
            let ranges = position.ranges.iter();
            let ranges = ranges.map(|range| json!({ "start": line(range.start), "end": line(range.end) }));
            places.push(json!({ "sourceIndex": index, "ranges": ranges.collect::<Vec<_>>() }));
        }
        if !places.is_empty() {
            locations.insert(format!("step{number}"), json!({ "locations": places }));
        }
    }
    let infos = files.iter().map(|position| {
        json!({
            "filename": position.file.name,
            "language": position.file.language,
            "data": STANDARD.encode(&position.file.data),
        })
    });
    json!({ "locations": locations, "infos": infos.collect::<Vec<_>>() })
}

/// The graph, each step with those that it needs.
fn steps(built: &Ref) -> Vec<Value> {
    let needed = materials::needed(built);
    let number = |id| needed.iter().position(|(known, _)| *known == id).unwrap_or_default();
    let step = |(at, (_, vertex)): (usize, &(_, &Vertex))| {
        let inputs = vertex.inputs.iter();
        let inputs = inputs.map(|input| format!("step{}:{}", number(input.vertex), input.index));
        json!({
            "id": format!("step{at}"),
            "op": { "Op": operation(&vertex.op), "platform": vertex.platform },
            "inputs": inputs.collect::<Vec<_>>(),
        })
    };
    needed.iter().enumerate().map(step).collect()
}

fn operation(op: &Op) -> Value {
    match op {
        Op::Source(source) => json!({ "source": { "identifier": identifier(source) } }),
        Op::Exec(exec) => json!({ "exec": {
            "meta": { "args": exec.args, "env": exec.env, "cwd": exec.cwd, "user": exec.user },
            "mounts": exec.mounts.iter().map(|mount| json!({ "dest": mount.target })).collect::<Vec<_>>(),
        } }),
        Op::File(file) => json!({ "file": file }),
        Op::Merge(inputs) => json!({ "merge": { "inputs": inputs } }),
        Op::Diff { .. } => json!({ "diff": {} }),
    }
}

fn identifier(source: &Source) -> String {
    match source {
        Source::Image(image) => format!("docker-image://{}", image.reference),
        Source::Local(local) => format!("local://{}", local.name),
        Source::Git(git) => format!("git://{}#{}", without_user(&git.remote), git.reference),
        Source::Http(http) => without_user(&http.url),
        Source::OciLayout(layout) => format!("oci-layout://{}", layout.reference),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_an_address_is_said_to_nobody() {
        assert_eq!(without_user("https://me:secret@h/x.git"), "https://xxxxx@h/x.git");
        assert_eq!(without_user("ssh://git@h/x.git"), "ssh://xxxxx@h/x.git");
        assert_eq!(without_user("https://h/a@b"), "https://h/a@b");
        assert_eq!(without_user("."), ".");
    }

    #[test]
    fn arguments_are_told_only_where_all_is_asked_for() {
        let asked: BTreeMap<String, String> =
            [("build-arg:A", "s"), ("label:l", "v"), ("target", "t"), ("attest:sbom", ""), ("platform", "x")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into();
        let (min, left_out) = args(&asked, false);
        assert_eq!((json!(min), left_out), (json!({ "target": "t" }), true));
        let (max, left_out) = args(&asked, true);
        assert_eq!((max.len(), left_out), (3, false));
    }
}
