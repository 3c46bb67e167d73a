//! The query of `POST /build`, as a build's request.

use std::collections::BTreeMap;
use std::sync::Arc;

use build::lower::Dockerfile;
use build::request::{Allowed, Cache, CacheEntry, Export, ExportKind, Limits, Request, What};
use build::session::Credentials;
use serde_json::Value;

use crate::call::Call;
use crate::error::Error;

/// The header with credentials for registries.
const CONFIG: &str = "x-registry-config";

/// Everything that the query says.
pub(super) struct Parameters {
    pub(super) request: Request,
    pub(super) quiet: bool,
    /// The context is at this address, not in the body.
    pub(super) remote: Option<String>,
    pub(super) names: Vec<String>,
}

impl Parameters {
    pub(super) fn read(call: &Call, may_use_hosts: bool) -> Result<Self, Error> {
        let get = |name: &str| Some(call.query.get(name)).filter(|value| !value.is_empty());
        refuse(call, &["outputs", "isolation", "securityopt", "session"])?;
        let remote = get("remote").filter(|remote| *remote != "client-session").map(str::to_owned);
        let names: Vec<String> =
            call.query.all("t").filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let mut export = BTreeMap::new();
        if !names.is_empty() {
            export.insert("name".to_owned(), names.join(","));
        }
        if flag(call, "squash") {
            export.insert("squash".to_owned(), "true".to_owned());
        }
        let request = Request {
            id: id(call),
            what: What::Frontend {
                frontend: Arc::new(Dockerfile),
                attributes: attributes(call, remote.as_deref())?,
                inputs: BTreeMap::new(),
            },
            asked: BTreeMap::new(),
            exports: vec![Export { kind: ExportKind::Image, attributes: export }],
            cache: Cache { from: caches(call)?, to: Vec::new() },
            // Whoever may use the socket may run a privileged container: a network of the host's is no more.
            allowed: Allowed { network_host: may_use_hosts, ..Allowed::default() },
            limits: limits(call)?,
            explain: false,
        };
        Ok(Self { request, quiet: flag(call, "q"), remote, names })
    }
}

/// What the build is called, by its client or by us.
pub(super) fn id(call: &Call) -> String {
    match call.query.get("buildid") {
        "" => format!("classic-{}", fresh()),
        id => id.to_owned(),
    }
}

/// Refuses what isn't built here, by these names.
pub(super) fn refuse(call: &Call, names: &[&str]) -> Result<(), Error> {
    let refused = |what: String| Err(Error::refused(&what, "not supported by the classic builder's route"));
    match call.query.get("version") {
        "" | "1" | "2" => {}
        version => return refused(format!("version={version}")),
    }
    for name in names {
        let value = call.query.get(name);
        if !matches!(value, "" | "0" | "false" | "default" | "null" | "[]") {
            return refused(format!("{name}={value}"));
        }
    }
    let networks = ["", "default", "bridge", "host", "none"];
    match call.query.get("networkmode") {
        mode if networks.contains(&mode) => Ok(()),
        mode => refused(format!("networkmode={mode}")),
    }
}

/// `cachefrom`: images that may carry a cache.
pub(super) fn caches(call: &Call) -> Result<Vec<CacheEntry>, Error> {
    let names: Option<Vec<String>> = match call.query.get("cachefrom") {
        "" => None,
        text => serde_json::from_str(text)
            .map_err(|error| Error::invalid(format!("error reading cache-from: {error}")))?,
    };
    let entry = |name: String| CacheEntry {
        kind: "registry".into(),
        attributes: BTreeMap::from([("ref".to_owned(), name)]),
    };
    Ok(names.into_iter().flatten().map(entry).collect())
}

/// As BuildKit's frontend names them.
pub(super) fn attributes(call: &Call, remote: Option<&str>) -> Result<BTreeMap<String, String>, Error> {
    let mut attributes = BTreeMap::new();
    let mut set = |name: &str, value: &str| {
        if !value.is_empty() {
            attributes.insert(name.to_owned(), value.to_owned());
        }
    };
    set("filename", call.query.get("dockerfile"));
    set("target", call.query.get("target"));
    set("platform", call.query.get("platform"));
    set("shm-size", call.query.get("shmsize"));
    set("cgroup-parent", call.query.get("cgroupparent"));
    set("context", remote.unwrap_or_default());
    match call.query.get("networkmode") {
        "default" | "bridge" => {}
        mode => set("force-network-mode", mode),
    }
    if flag(call, "pull") {
        set("image-resolve-mode", "pull");
    }
    let hosts: Vec<String> = call.query.all("extrahosts").filter_map(host).collect();
    set("add-hosts", &hosts.join(","));
    set("ulimit", &ulimits(call.query.get("ulimits"))?);
    if flag(call, "nocache") {
        attributes.insert("no-cache".to_owned(), String::new());
    }
    for (name, prefix) in [("buildargs", "build-arg:"), ("labels", "label:")] {
        for (key, value) in object(call, name)? {
            // Docker takes an argument without a value from the client's environment; here there is none.
            if let Some(value) = value.as_str() {
                attributes.insert(format!("{prefix}{key}"), value.to_owned());
            }
        }
    }
    Ok(attributes)
}

/// `name:address` as `name=address`.
fn host(entry: &str) -> Option<String> {
    let (name, address) = entry.split_once([':', '='])?;
    Some(format!("{name}={address}"))
}

/// `[{"Name":"nofile","Soft":1,"Hard":2}]` as `nofile=1:2`.
fn ulimits(text: &str) -> Result<String, Error> {
    // docker's client of before 23 says null.
    if matches!(text, "" | "null") {
        return Ok(String::new());
    }
    let list: Vec<Value> = serde_json::from_str(text)
        .map_err(|error| Error::invalid(format!("error reading ulimit settings: {error}")))?;
    let limits = list.iter().map(|limit| {
        let number = |key: &str| limit[key].as_i64().unwrap_or_default();
        format!("{}={}:{}", limit["Name"].as_str().unwrap_or_default(), number("Soft"), number("Hard"))
    });
    Ok(limits.collect::<Vec<_>>().join(","))
}

fn object(call: &Call, name: &str) -> Result<serde_json::Map<String, Value>, Error> {
    match call.query.get(name) {
        "" => Ok(serde_json::Map::new()),
        text => match serde_json::from_str(text) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(Value::Null) => Ok(serde_json::Map::new()),
            Ok(_) => Err(Error::invalid(format!("error reading {name}: it is no object"))),
            Err(error) => Err(Error::invalid(format!("error reading {name}: {error}"))),
        },
    }
}

fn limits(call: &Call) -> Result<Limits, Error> {
    let number = |name: &str| match call.query.get(name) {
        "" => Ok(0),
        text => text.parse::<i64>().map_err(|_| Error::invalid(format!("{name} is no number: {text:?}"))),
    };
    Ok(Limits {
        memory: number("memory")?,
        memory_swap: number("memswap")?,
        cpu_shares: number("cpushares")?,
        cpu_period: number("cpuperiod")?,
        cpu_quota: number("cpuquota")?,
        cpuset_cpus: call.query.get("cpusetcpus").to_owned(),
        cpuset_mems: call.query.get("cpusetmems").to_owned(),
    })
}

/// As dockerd reads them: Python's clients write `False`.
pub(super) fn flag(call: &Call, name: &str) -> bool {
    !matches!(call.query.get(name).trim().to_lowercase().as_str(), "" | "0" | "false" | "no" | "none")
}

/// Something that no other build has.
fn fresh() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed).to_string()
}

/// Who the client is to registries.
pub(super) fn credentials(call: &Call) -> Result<BTreeMap<String, Credentials>, Error> {
    use base64::Engine as _;
    let wrong = || Error::invalid("the X-Registry-Config header is not base64-encoded JSON");
    let Some(header) = call.headers().get(CONFIG) else { return Ok(BTreeMap::new()) };
    let text = header.to_str().map_err(|_| wrong())?;
    let bytes = base64::engine::general_purpose::URL_SAFE.decode(text).map_err(|_| wrong())?;
    let Ok(Value::Object(all)) = serde_json::from_slice(&bytes) else { return Err(wrong()) };
    let mut found = BTreeMap::new();
    for (registry, config) in all {
        let text = |key: &str| config[key].as_str().unwrap_or_default().to_owned();
        let token = text("identitytoken");
        let (username, secret) = match token.is_empty() {
            true => (text("username"), text("password")),
            false => (String::new(), token),
        };
        if !secret.is_empty() {
            found.insert(registry, Credentials { username, secret });
        }
    }
    Ok(found)
}
