//! Rows `field <schema> <path>` of answers that are recorded from dockerd: the end-to-end tests compare every such answer
//! with its recording, key by key and version by version, so what a recording holds is proven by them.

use std::collections::BTreeMap;

use serde_json::Value;
use testkit::recording::{Recordings, versions};

use crate::coverage::State;

/// A schema of the API, the route that answers with it, and where in the answer.
const SCHEMAS: &[(&str, &str, &str)] = &[
    ("SystemInfo", "GET /info", ""),
    ("PluginsInfo", "GET /info", ".Plugins"),
    ("SwarmInfo", "GET /info", ".Swarm"),
    ("Commit", "GET /info", ".RuncCommit"),
    ("Runtime", "GET /info", ".Runtimes.*"),
    ("RegistryServiceConfig", "GET /info", ".RegistryConfig"),
    ("IndexInfo", "GET /info", ".RegistryConfig.IndexConfigs.*"),
    ("FirewallInfo", "GET /info", ".FirewallBackend"),
    ("ContainerdInfo", "GET /info", ".Containerd"),
    ("SystemVersion", "GET /version", ""),
    ("EventMessage", "GET /events", ""),
    ("EventActor", "GET /events", ".Actor"),
    ("AuthResponse", "POST /auth", ""),
    ("ImageSummary", "GET /images/json", "[]"),
    ("ImageInspect", "GET /images/{name}/json", ""),
    ("ImageConfig", "GET /images/{name}/json", ".Config"),
    ("DriverData", "GET /images/{name}/json", ".GraphDriver"),
    ("ImageHistoryResponseItem", "GET /images/{name}/history", "[]"),
    ("ImageDeleteResponseItem", "DELETE /images/{name}", "[]"),
    ("ContainerCreateResponse", "POST /containers/create", ""),
    ("ContainerWaitResponse", "POST /containers/{id}/wait", ""),
    ("IDResponse", "POST /containers/{id}/exec", ""),
    ("ProcessConfig", "GET /exec/{id}/json", ".ProcessConfig"),
    ("ContainerSummary", "GET /containers/json", "[]"),
    ("ContainerInspectResponse", "GET /containers/{id}/json", ""),
    ("ContainerState", "GET /containers/{id}/json", ".State"),
    ("Health", "GET /containers/{id}/json", ".State.Health"),
    ("HealthcheckResult", "GET /containers/{id}/json", ".State.Health.Log[]"),
    ("HealthConfig", "GET /containers/{id}/json", ".Config.Healthcheck"),
    ("HostConfig", "GET /containers/{id}/json", ".HostConfig"),
    ("Resources", "GET /containers/{id}/json", ".HostConfig"),
    ("RestartPolicy", "GET /containers/{id}/json", ".HostConfig.RestartPolicy"),
    ("DeviceMapping", "GET /containers/{id}/json", ".HostConfig.Devices[]"),
    ("Mount", "GET /containers/{id}/json", ".HostConfig.Mounts[]"),
    ("MountPoint", "GET /containers/{id}/json", ".Mounts[]"),
    ("ContainerConfig", "GET /containers/{id}/json", ".Config"),
    ("FilesystemChange", "GET /containers/{id}/changes", "[]"),
    ("ContainerTopResponse", "GET /containers/{id}/top", ""),
    ("ContainerUpdateResponse", "POST /containers/{id}/update", ""),
    ("ContainerStatsResponse", "GET /containers/{id}/stats", ""),
    ("ContainerBlkioStats", "GET /containers/{id}/stats", ".blkio_stats"),
    ("ContainerCPUStats", "GET /containers/{id}/stats", ".cpu_stats"),
    ("ContainerCPUUsage", "GET /containers/{id}/stats", ".cpu_stats.cpu_usage"),
    ("ContainerPidsStats", "GET /containers/{id}/stats", ".pids_stats"),
    ("ContainerThrottlingData", "GET /containers/{id}/stats", ".cpu_stats.throttling_data"),
    ("ContainerMemoryStats", "GET /containers/{id}/stats", ".memory_stats"),
];

/// What the recordings say of field rows: proven, or left out on purpose with the reason in `allowed.tsv`.
pub(crate) fn recorded() -> anyhow::Result<BTreeMap<String, State>> {
    let recordings = Recordings::committed();
    let allowed = recordings.allowed_with_reasons()?;
    let mut states = BTreeMap::new();
    for (route, path) in paths_of_all_versions(&recordings)? {
        let excuse = allowed.iter().find(|row| row.route == route && is_at_or_below(&path, &row.path));
        let state = excuse.map_or(State::Done, |row| State::Refused(row.reason.clone()));
        for (schema, _, prefix) in SCHEMAS.iter().filter(|schema| schema.1 == route) {
            if let Some(field) = path.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.')) {
                states.insert(format!("field {schema} {field}"), state.clone());
            }
        }
    }
    Ok(states)
}

fn paths_of_all_versions(recordings: &Recordings) -> anyhow::Result<Vec<(&'static str, String)>> {
    let mut routes: Vec<&str> = SCHEMAS.iter().map(|schema| schema.1).collect();
    routes.dedup();
    let mut list = Vec::new();
    for route in routes {
        let mut paths = Vec::new();
        for version in versions() {
            for answer in recordings.shapes(&version, route)?.iter() {
                collect(answer, String::new(), &mut paths);
            }
        }
        paths.sort();
        paths.dedup();
        list.extend(paths.into_iter().map(|path| (route, path)));
    }
    Ok(list)
}

/// The paths of a written shape: `.Key`, `[]` for an array's elements, `.*` for a map's values.
fn collect(shape: &Value, path: String, paths: &mut Vec<String>) {
    match shape {
        Value::Array(elements) => {
            paths.push(path.clone());
            elements.iter().for_each(|element| collect(element, format!("{path}[]"), paths));
        }
        Value::Object(choices) if choices.contains_key("|") => {
            for choice in choices["|"].as_array().into_iter().flatten() {
                collect(choice, path.clone(), paths);
            }
        }
        Value::Object(fields) => {
            paths.push(path.clone());
            for (key, below) in fields {
                collect(below, format!("{path}.{}", key.trim_end_matches('?')), paths);
            }
        }
        _ => paths.push(path),
    }
}

fn is_at_or_below(path: &str, excused: &str) -> bool {
    path.strip_prefix(excused).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_shape_becomes_the_paths_of_its_fields() {
        let mut paths = Vec::new();
        let shape =
            json!({"A?": ["string"], "M": {"*": {"B": "bool"}}, "O": {"|": ["null", {"C": "string"}]}});
        collect(&shape, String::new(), &mut paths);
        assert_eq!(paths, ["", ".A", ".A[]", ".M", ".M.*", ".M.*.B", ".O", ".O", ".O.C"]);
    }

    #[test]
    fn what_is_excused_excuses_what_is_below_it() {
        assert!(is_at_or_below(".Containerd.Address", ".Containerd"));
        assert!(!is_at_or_below(".ContainerdCommit", ".Containerd"));
    }
}
