//! Rows `field <schema> <path>` of answers that are recorded from dockerd: the end-to-end tests compare every such answer
//! with its recording, key by key and version by version, so what a recording holds is proven by them.

use std::collections::BTreeMap;

use testkit::recording::{Recordings, collect, is_at_or_below, versions};

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
    ("OCIDescriptor", "GET /images/{name}/json", ".Descriptor"),
    ("ImageManifestSummary", "GET /images/{name}/json", ".Manifests[]"),
    ("CreateImageInfo", "POST /images/create", ""),
    ("ProgressDetail", "POST /images/create", ".progressDetail"),
    ("ErrorDetail", "POST /images/create", ".errorDetail"),
    ("PushImageInfo", "POST /images/{name}/push", ""),
    ("DistributionInspect", "GET /distribution/{name}/json", ""),
    ("OCIDescriptor", "GET /distribution/{name}/json", ".Descriptor"),
    ("OCIPlatform", "GET /distribution/{name}/json", ".Platforms[]"),
    ("OCIDescriptor", "GET /images/{name}/json", ".Manifests[].Descriptor"),
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
    ("NetworkSettings", "GET /containers/{id}/json", ".NetworkSettings"),
    ("EndpointSettings", "GET /containers/{id}/json", ".NetworkSettings.Networks.*"),
    ("EndpointIPAMConfig", "GET /containers/{id}/json", ".NetworkSettings.Networks.*.IPAMConfig"),
    ("Network", "GET /networks/{id}", ""),
    ("NetworkInspect", "GET /networks/{id}", ""),
    ("IPAM", "GET /networks/{id}", ".IPAM"),
    ("IPAMConfig", "GET /networks/{id}", ".IPAM.Config[]"),
    ("EndpointResource", "GET /networks/{id}", ".Containers.*"),
    ("NetworkCreateResponse", "POST /networks/create", ""),
    ("Volume", "GET /volumes/{name}", ""),
    ("Volume", "GET /system/df", ".Volumes[]"),
    ("VolumeListResponse", "GET /volumes", ""),
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
    routes.sort_unstable();
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
