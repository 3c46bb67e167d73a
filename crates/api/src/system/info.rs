//! `GET /info`.

use std::collections::BTreeMap;
use std::time::SystemTime;

use about::{AS_DOCKER, COMMIT};
use engine::Engine;
use engine::settings::{BUILT_IN_RUNTIME, Live};
use engine::system::{self, Cgroups};
use serde::Serialize;
use serde_json::{Value, json};

use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};
use crate::time;

/// Every key that dockerd sends. Where a version lacks one or has it in another way, [`shape`] says so.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Info<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    containers: usize,
    containers_running: usize,
    containers_paused: usize,
    containers_stopped: usize,
    images: usize,
    driver: &'static str,
    driver_status: Vec<[String; 2]>,
    plugins: Plugins,
    memory_limit: bool,
    swap_limit: bool,
    cpu_cfs_period: bool,
    cpu_cfs_quota: bool,
    #[serde(rename = "CPUShares")]
    cpu_shares: bool,
    #[serde(rename = "CPUSet")]
    cpu_set: bool,
    pids_limit: bool,
    #[serde(rename = "IPv4Forwarding")]
    ipv4_forwarding: bool,
    debug: bool,
    n_fd: i64,
    oom_kill_disable: bool,
    n_goroutines: usize,
    system_time: String,
    logging_driver: &'a str,
    cgroup_driver: &'static str,
    cgroup_version: String,
    n_events_listener: usize,
    kernel_version: &'a str,
    operating_system: &'a str,
    #[serde(rename = "OSVersion")]
    os_version: &'a str,
    #[serde(rename = "OSType")]
    os_type: &'static str,
    architecture: &'a str,
    index_server_address: &'static str,
    registry_config: Value,
    #[serde(rename = "NCPU")]
    n_cpu: i64,
    mem_total: i64,
    generic_resources: Option<()>,
    docker_root_dir: String,
    http_proxy: String,
    https_proxy: String,
    no_proxy: &'a str,
    name: &'a str,
    labels: &'a [String],
    experimental_build: bool,
    server_version: &'static str,
    runtimes: BTreeMap<String, Value>,
    default_runtime: &'a str,
    swarm: Value,
    live_restore_enabled: bool,
    isolation: &'static str,
    init_binary: &'static str,
    containerd_commit: Value,
    runc_commit: Value,
    init_commit: Value,
    security_options: Vec<String>,
    #[serde(rename = "CDISpecDirs")]
    cdi_spec_dirs: Vec<String>,
    warnings: Option<Vec<String>>,
    /// Where networks that say nothing get their addresses from; nothing if that is what is built in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    default_address_pools: Vec<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Plugins {
    volume: Vec<&'static str>,
    network: Vec<&'static str>,
    authorization: Option<()>,
    log: Vec<&'static str>,
}

pub(crate) async fn get(call: Call) -> Result<Reply, Error> {
    let live = call.engine.live.load();
    let info = describe(&call.engine, &live);
    let Ok(Value::Object(mut fields)) = serde_json::to_value(info) else {
        return Err(Error::new(http::StatusCode::INTERNAL_SERVER_ERROR, "cannot describe the engine"));
    };
    shape(&mut fields, &call);
    Ok(reply::json(&fields))
}

/// What each version calls for.
fn shape(fields: &mut serde_json::Map<String, Value>, call: &Call) {
    if call.before(42) {
        fields.insert("KernelMemory".into(), json!(false));
    }
    if call.before(52) && call.engine.cgroups.version == 1 {
        fields.insert("KernelMemoryTCP".into(), json!(call.engine.cgroups.has("memory")));
    }
    if call.before(49) {
        let mut into = |key: &str, name: &str, value: Value| {
            if let Some(inner) = fields.get_mut(key).and_then(Value::as_object_mut) {
                inner.insert(name.into(), value);
            }
        };
        into("RuncCommit", "Expected", json!(COMMIT));
        // The changelog says until 1.48; dockerd 28 stops one version earlier.
        if call.before(47) {
            into("RegistryConfig", "AllowNondistributableArtifactsCIDRs", Value::Null);
            into("RegistryConfig", "AllowNondistributableArtifactsHostnames", Value::Null);
        }
    }
    if call.since(49) {
        fields.insert(
            "FirewallBackend".into(),
            json!({ "Driver": "nftables", "Info": [["Table", call.engine.networks.table()]] }),
        );
    }
    let devices = engine::containers::cdi::discovered(&call.engine.settings.cdi_folders);
    if call.since(50) && !devices.is_empty() {
        let devices: Vec<_> = devices.iter().map(|id| json!({ "Source": "cdi", "ID": id })).collect();
        fields.insert("DiscoveredDevices".into(), devices.into());
    }
    if call.before(50) {
        fields.insert("BridgeNfIptables".into(), json!(false));
        fields.insert("BridgeNfIp6tables".into(), json!(false));
    }
}

fn describe<'a>(engine: &'a Engine, live: &'a Live) -> Info<'a> {
    let (host, settings, cgroups) = (&engine.host, &engine.settings, &engine.cgroups);
    let containers = engine.containers.list();
    let count = |word| containers.iter().filter(|view| view.container.state.word() == word).count();
    let (running, paused) = (count("running"), count("paused"));
    Info {
        id: &engine.id,
        containers: containers.len(),
        containers_running: running,
        containers_paused: paused,
        containers_stopped: containers.len() - running - paused,
        images: engine.images.catalogue().images.len(),
        driver: engine.storage_driver,
        driver_status: vec![["Layers".into(), layers(engine.storage_driver).into()]],
        plugins: Plugins {
            volume: vec!["local"],
            network: vec!["bridge", "host", "ipvlan", "macvlan", "null"],
            authorization: None,
            log: vec!["json-file", "none"],
        },
        memory_limit: cgroups.has("memory"),
        swap_limit: swap_limit(cgroups),
        cpu_cfs_period: cgroups.has_file("cpu", "cpu.cfs_period_us"),
        cpu_cfs_quota: cgroups.has_file("cpu", "cpu.cfs_quota_us"),
        cpu_shares: cgroups.has("cpu"),
        cpu_set: cgroups.has("cpuset"),
        pids_limit: cgroups.has("pids"),
        ipv4_forwarding: system::forwards_ipv4(),
        debug: live.debug,
        n_fd: system::open_descriptors(),
        oom_kill_disable: cgroups.version == 1 && cgroups.has_file("memory", "memory.oom_control"),
        // What corresponds to a goroutine here is a task of the runtime.
        n_goroutines: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
        system_time: time::rfc3339(SystemTime::now()),
        logging_driver: &settings.log_driver,
        cgroup_driver: settings.cgroup_driver.name(),
        cgroup_version: cgroups.version.to_string(),
        n_events_listener: engine.events.watchers(),
        kernel_version: &host.kernel_version,
        operating_system: &host.operating_system,
        os_version: &host.os_version,
        os_type: "linux",
        architecture: &host.machine,
        index_server_address: "https://index.docker.io/v1/",
        registry_config: registries(live),
        n_cpu: host.processors,
        mem_total: host.memory,
        generic_resources: None,
        docker_root_dir: settings.data_root.display().to_string(),
        http_proxy: without_credentials(&settings.http_proxy),
        https_proxy: without_credentials(&settings.https_proxy),
        no_proxy: &settings.no_proxy,
        name: &host.name,
        labels: &live.labels,
        experimental_build: settings.experimental,
        server_version: AS_DOCKER,
        runtimes: runtimes(live),
        default_runtime: &live.default_runtime,
        swarm: json!({
            "NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": false, "Error": "",
            "RemoteManagers": null,
        }),
        live_restore_enabled: live.live_restore,
        isolation: "",
        init_binary: "",
        containerd_commit: json!({ "ID": "" }),
        runc_commit: json!({ "ID": COMMIT }),
        init_commit: json!({ "ID": "" }),
        security_options: security(engine),
        cdi_spec_dirs: settings.cdi_folders.iter().map(|folder| folder.display().to_string()).collect(),
        warnings: warnings(engine),
        default_address_pools: settings.bridge.pools.iter().map(pool).collect(),
    }
}

fn pool(pool: &engine::networks::Pool) -> Value {
    json!({ "Base": pool.base, "Size": pool.size })
}

fn layers(driver: &str) -> &'static str {
    match driver {
        "erofs" => "indexed tars",
        _ => "directories",
    }
}

fn swap_limit(cgroups: &Cgroups) -> bool {
    match cgroups.version {
        2 => cgroups.has("memory"),
        _ => cgroups.has_file("memory", "memory.memsw.limit_in_bytes"),
    }
}

fn registries(live: &Live) -> Value {
    // Hosts of the loopback network are always allowed to speak plain HTTP; the others the administrator named.
    let is_network = |name: &&String| name.contains('/');
    let mut networks = vec!["::1/128".to_owned(), "127.0.0.0/8".to_owned()];
    networks.extend(live.insecure_registries.iter().filter(is_network).cloned());
    // `<registry>=<url>` is for that registry, a mere URL for Docker Hub.
    let of = |name: &str| -> Vec<&str> {
        let mirrors = live.registry_mirrors.iter().map(|mirror| match mirror.split_once('=') {
            Some((registry, url)) if !registry.contains('/') => (registry, url),
            _ => ("docker.io", mirror.as_str()),
        });
        mirrors.filter(|(registry, _)| *registry == name).map(|(_, url)| url).collect()
    };
    let index = |name: &str, official: bool, secure: bool| {
        let mirrors = of(name);
        json!({ "Name": name, "Mirrors": mirrors, "Secure": secure, "Official": official })
    };
    let mut indexes = BTreeMap::from([("docker.io".to_owned(), index("docker.io", true, true))]);
    for host in live.insecure_registries.iter().filter(|name| !is_network(name)) {
        indexes.insert(host.clone(), index(host, false, false));
    }
    for (registry, _) in live.registry_mirrors.iter().filter_map(|mirror| mirror.split_once('=')) {
        if !registry.contains('/') && !indexes.contains_key(registry) {
            indexes.insert(registry.to_owned(), index(registry, registry == "docker.io", true));
        }
    }
    let mirrors = Some(of("docker.io")).filter(|mirrors| !mirrors.is_empty());
    json!({ "InsecureRegistryCIDRs": networks, "IndexConfigs": indexes, "Mirrors": mirrors })
}

fn runtimes(live: &Live) -> BTreeMap<String, Value> {
    let built_in = (BUILT_IN_RUNTIME.to_owned(), json!({ "path": BUILT_IN_RUNTIME }));
    let registered = live.runtimes.iter().map(|(name, runtime)| {
        let description = match runtime.arguments.is_empty() {
            true => json!({ "path": runtime.path }),
            false => json!({ "path": runtime.path, "runtimeArgs": runtime.arguments }),
        };
        (name.clone(), description)
    });
    std::iter::once(built_in).chain(registered).collect()
}

fn security(engine: &Engine) -> Vec<String> {
    let mut options = vec![format!("name=seccomp,profile={}", engine.settings.seccomp_name)];
    if engine.cgroups.version == 2 {
        options.push("name=cgroupns".to_owned());
    }
    if engine.settings.no_new_privileges {
        options.push("name=no-new-privileges".to_owned());
    }
    if engine.settings.private_users {
        options.push("name=userns".to_owned());
    }
    options
}

fn warnings(engine: &Engine) -> Option<Vec<String>> {
    let mut warnings: Vec<String> = engine
        .settings
        .open_hosts
        .iter()
        .map(|host| {
            format!("WARNING: API is accessible on {host} without client certificates: whoever reaches it is root on this machine")
        })
        .collect();
    if engine.settings.seccomp_name != "builtin" {
        warnings.push("WARNING: daemon is not using the default seccomp profile".to_owned());
    }
    for (controller, what) in
        [("memory", "memory limit"), ("cpu", "cpu shares"), ("cpuset", "cpuset"), ("pids", "pids limit")]
    {
        if !engine.cgroups.has(controller) {
            warnings.push(format!("WARNING: No {what} support"));
        }
    }
    Some(warnings).filter(|warnings| !warnings.is_empty())
}

/// `http://user:secret@proxy` as dockerd shows it.
fn without_credentials(url: &str) -> String {
    match diag::let_in(url) {
        Some((scheme, _, rest)) => format!("{scheme}://xxxxx:xxxxx@{rest}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxy_credentials_are_not_shown() {
        assert_eq!(without_credentials("http://u:p@proxy:3128/x"), "http://xxxxx:xxxxx@proxy:3128/x");
        assert_eq!(without_credentials("http://proxy:3128"), "http://proxy:3128");
        assert_eq!(without_credentials("http://u:p@@proxy"), "http://xxxxx:xxxxx@proxy");
    }
}
