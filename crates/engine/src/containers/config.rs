//! What a client asks a container to be: the bodies of `POST /containers/create`, kept as they were asked for.
//!
//! Field order and spelling are the API's, because `inspect` gives the same structures back. `None` is the API's
//! `null`.

use std::collections::BTreeMap;

use oci::image::Healthcheck;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use super::block_io::{ThrottleDevice, WeightDevice};
pub use super::mounts::Mount;
use crate::networks::EndpointConfig;
use crate::{Error, nulls};

/// Names without a meaning of their own: labels, options.
pub type Labels = BTreeMap<String, String>;

/// What runs in the container: `Config`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Config {
    pub hostname: String,
    pub domainname: String,
    pub user: String,
    pub attach_stdin: bool,
    pub attach_stdout: bool,
    pub attach_stderr: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposed_ports: Option<BTreeMap<String, Empty>>,
    pub tty: bool,
    pub open_stdin: bool,
    pub stdin_once: bool,
    pub env: Option<Vec<String>>,
    #[serde(deserialize_with = "one_or_many")]
    pub cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub args_escaped: bool,
    pub image: String,
    pub volumes: Option<BTreeMap<String, Empty>>,
    pub working_dir: String,
    #[serde(deserialize_with = "one_or_many")]
    pub entrypoint: Option<Vec<String>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub network_disabled: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mac_address: String,
    pub on_build: Option<Vec<String>>,
    pub labels: Option<Labels>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
}

/// An object without fields, the value type of the API's sets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// How it runs on this host: `HostConfig`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostConfig {
    pub binds: Option<Vec<String>>,
    #[serde(rename = "ContainerIDFile")]
    pub container_id_file: String,
    pub log_config: LogConfig,
    pub network_mode: String,
    pub port_bindings: Option<BTreeMap<String, Value>>,
    pub restart_policy: RestartPolicy,
    pub auto_remove: bool,
    pub volume_driver: String,
    pub volumes_from: Option<Vec<String>>,
    pub console_size: [u32; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Labels>,
    pub cap_add: Option<Vec<String>>,
    pub cap_drop: Option<Vec<String>>,
    pub cgroupns_mode: String,
    pub dns: Option<Vec<String>>,
    pub dns_options: Option<Vec<String>>,
    pub dns_search: Option<Vec<String>>,
    pub extra_hosts: Option<Vec<String>>,
    pub group_add: Option<Vec<String>>,
    pub ipc_mode: String,
    pub cgroup: String,
    pub links: Option<Vec<String>>,
    pub oom_score_adj: i64,
    pub pid_mode: String,
    pub privileged: bool,
    pub publish_all_ports: bool,
    pub readonly_rootfs: bool,
    pub security_opt: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_opt: Option<Labels>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmpfs: Option<Labels>,
    #[serde(rename = "UTSMode")]
    pub uts_mode: String,
    pub userns_mode: String,
    pub shm_size: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sysctls: Option<Labels>,
    pub runtime: String,
    pub isolation: String,
    pub cpu_shares: i64,
    pub memory: i64,
    pub nano_cpus: i64,
    pub cgroup_parent: String,
    pub blkio_weight: u16,
    pub blkio_weight_device: Option<Vec<WeightDevice>>,
    pub blkio_device_read_bps: Option<Vec<ThrottleDevice>>,
    pub blkio_device_write_bps: Option<Vec<ThrottleDevice>>,
    #[serde(rename = "BlkioDeviceReadIOps")]
    pub blkio_device_read_iops: Option<Vec<ThrottleDevice>>,
    #[serde(rename = "BlkioDeviceWriteIOps")]
    pub blkio_device_write_iops: Option<Vec<ThrottleDevice>>,
    pub cpu_period: i64,
    pub cpu_quota: i64,
    pub cpu_realtime_period: i64,
    pub cpu_realtime_runtime: i64,
    pub cpuset_cpus: String,
    pub cpuset_mems: String,
    pub devices: Option<Vec<Device>>,
    pub device_cgroup_rules: Option<Vec<String>>,
    pub device_requests: Option<Vec<DeviceRequest>>,
    #[serde(skip_serializing_if = "is_zero")]
    pub kernel_memory: i64,
    #[serde(rename = "KernelMemoryTCP", skip_serializing_if = "is_zero")]
    pub kernel_memory_tcp: i64,
    pub memory_reservation: i64,
    pub memory_swap: i64,
    pub memory_swappiness: Option<i64>,
    pub oom_kill_disable: Option<bool>,
    pub pids_limit: Option<i64>,
    pub ulimits: Option<Vec<Ulimit>>,
    pub cpu_count: i64,
    pub cpu_percent: i64,
    #[serde(rename = "IOMaximumIOps")]
    pub io_maximum_iops: u64,
    #[serde(rename = "IOMaximumBandwidth")]
    pub io_maximum_bandwidth: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mounts: Option<Vec<Mount>>,
    pub masked_paths: Option<Vec<String>>,
    pub readonly_paths: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// `DeviceMapping`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Device {
    pub path_on_host: String,
    pub path_in_container: String,
    pub cgroup_permissions: String,
}

/// `DeviceRequest`: devices by what they are, not by their paths.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeviceRequest {
    pub driver: String,
    /// How many; -1 is all.
    pub count: i64,
    #[serde(rename = "DeviceIDs")]
    pub device_ids: Option<Vec<String>>,
    pub capabilities: Option<Vec<Vec<String>>>,
    pub options: Option<Labels>,
}

impl DeviceRequest {
    /// Devices that files describe.
    pub(crate) fn by_name(names: Vec<String>) -> Self {
        Self { driver: "cdi".into(), device_ids: Some(names), ..Self::default() }
    }
}

/// One of `Resources.Ulimits`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Ulimit {
    pub name: String,
    pub hard: i64,
    pub soft: i64,
}

/// `LogConfig`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LogConfig {
    pub r#type: String,
    pub config: Labels,
}

/// `RestartPolicy`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RestartPolicy {
    pub name: String,
    pub maximum_retry_count: i64,
}

/// The whole body of `POST /containers/create`: `Config`'s fields with `HostConfig` and `NetworkingConfig` among them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Create {
    pub name: Option<String>,
    pub platform: Option<String>,
    pub config: Config,
    pub host: HostConfig,
    /// `NetworkingConfig.EndpointsConfig`.
    pub endpoints: BTreeMap<String, EndpointConfig>,
}

impl Create {
    /// Reads the body. `null` means "not said", as in Go; names that nobody knows are logged and passed over, because
    /// a newer client may send them.
    pub fn from_json(body: Value) -> Result<Self, Error> {
        let Value::Object(mut body) = nulls::without(body) else {
            return Err(Error::Invalid("invalid JSON: a container's config must be an object".into()));
        };
        let host = body.remove("HostConfig").unwrap_or_default();
        let networking = body.remove("NetworkingConfig").unwrap_or_default();
        if body.is_empty() {
            return Err(Error::EmptyConfig);
        }
        let config: Config = read(&Value::Object(body), "")?;
        let host: HostConfig =
            read(&if host.is_null() { Value::Object(Map::new()) } else { host }, "HostConfig.")?;
        refuse_unsupported(&config, CONFIG_DONE, "")?;
        refuse_unsupported(&host, HOST_DONE, "HostConfig.")?;
        let endpoints = endpoints(networking)?;
        Ok(Self { name: None, platform: None, config, host, endpoints })
    }
}

/// What of `Config` works. Everything else is refused by name unless it is left at its default.
const CONFIG_DONE: &[&str] = &[
    "Hostname",
    "Domainname",
    "User",
    "AttachStdin",
    "AttachStdout",
    "AttachStderr",
    "ExposedPorts",
    "Tty",
    "OpenStdin",
    "StdinOnce",
    "Env",
    "Cmd",
    "ArgsEscaped",
    "MacAddress",
    "Image",
    "WorkingDir",
    "Entrypoint",
    "NetworkDisabled",
    "OnBuild",
    "Labels",
    "StopSignal",
    "StopTimeout",
    "Shell",
    "Volumes",
    "Healthcheck",
];

/// What of `HostConfig` works.
const HOST_DONE: &[&str] = &[
    "ContainerIDFile",
    "LogConfig",
    "NetworkMode",
    "Init",
    "PortBindings",
    "PublishAllPorts",
    "AutoRemove",
    "ConsoleSize",
    "Annotations",
    "Privileged",
    "ReadonlyRootfs",
    "ShmSize",
    "StorageOpt",
    "Runtime",
    "MaskedPaths",
    "ReadonlyPaths",
    "RestartPolicy",
    "SecurityOpt",
    "CapAdd",
    "CapDrop",
    "MemorySwappiness",
    "OomKillDisable",
    "IpcMode",
    "Links",
    "CgroupnsMode",
    "Isolation",
    "Memory",
    "PidsLimit",
    "NanoCpus",
    "CpuShares",
    "MemoryReservation",
    "MemorySwap",
    "CpuPeriod",
    "CpuQuota",
    "CpusetCpus",
    "CpusetMems",
    "Binds",
    "Mounts",
    "Tmpfs",
    "VolumesFrom",
    "VolumeDriver",
    "PidMode",
    "UTSMode",
    "UsernsMode",
    "GroupAdd",
    "OomScoreAdj",
    "Ulimits",
    "Sysctls",
    "CgroupParent",
    "Devices",
    "DeviceCgroupRules",
    "DeviceRequests",
    "BlkioWeight",
    "BlkioWeightDevice",
    "BlkioDeviceReadBps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteIOps",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "ExtraHosts",
];

/// A `HostConfig` by itself, or the fields of one.
pub(super) fn host_config(body: Value) -> Result<HostConfig, Error> {
    match nulls::without(body) {
        Value::Null => Ok(HostConfig::default()),
        body @ Value::Object(_) => read(&body, ""),
        _ => Err(Error::Invalid("invalid JSON: an update must be an object".into())),
    }
}

fn read<T: serde::de::DeserializeOwned + Serialize>(body: &Value, place: &str) -> Result<T, Error> {
    let given: Vec<String> = body.as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default();
    let parsed = T::deserialize(body).map_err(|error| {
        let field = culprit::<T>(body).map(|field| format!("{place}{field}: ")).unwrap_or_default();
        Error::Invalid(format!("invalid JSON: {field}{error}"))
    })?;
    let known = serde_json::to_value(&parsed).unwrap_or_default();
    for key in given.iter().filter(|key| known.get(key.as_str()).is_none()) {
        tracing::debug!("a client sent {place}{key}, which this engine doesn't know");
    }
    Ok(parsed)
}

/// The field that can't be read, found by reading each alone: every field has a default.
fn culprit<T: serde::de::DeserializeOwned>(body: &Value) -> Option<&str> {
    let alone = |key: &str, value: &Value| serde_json::json!({ key: value });
    let mut fields = body.as_object()?.iter();
    fields.find(|(key, value)| T::deserialize(&alone(key, value)).is_err()).map(|(key, _)| key.as_str())
}

/// An option is done or refused by name, never accepted and ignored.
pub(super) fn refuse_unsupported<T: Serialize + Default>(
    given: &T,
    done: &[&str],
    place: &str,
) -> Result<(), Error> {
    let fields = |of: &T| match serde_json::to_value(of) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let defaults = fields(&T::default());
    let refused = fields(given).into_iter().find(|(key, value)| {
        !done.contains(&key.as_str()) && defaults.get(key) != Some(value) && !is_empty(value)
    });
    match refused {
        None => Ok(()),
        Some((key, _)) => Err(Error::Unsupported { feature: format!("{place}{key}"), instead: None }),
    }
}

fn endpoints(networking: Value) -> Result<BTreeMap<String, EndpointConfig>, Error> {
    let Value::Object(mut networking) = networking else { return Ok(BTreeMap::new()) };
    let Some(Value::Object(endpoints)) = networking.remove("EndpointsConfig") else {
        return Ok(BTreeMap::new());
    };
    let read = |(name, config): (String, Value)| {
        let place = format!("NetworkingConfig.EndpointsConfig.{name}.");
        Ok((name, read(&if config.is_null() { Value::Object(Map::new()) } else { config }, &place)?))
    };
    endpoints.into_iter().map(read).collect()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.iter().all(is_empty),
        Value::Object(map) => map.is_empty(),
    }
}

/// `Cmd` and `Entrypoint` may be one string instead of a list.
fn one_or_many<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        One(String),
        Many(Vec<String>),
    }
    Ok(Option::<Either>::deserialize(input)?.map(|either| match either {
        Either::One(word) => vec![word],
        Either::Many(words) => words,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn null_means_not_said() {
        let create =
            Create::from_json(json!({"Image": "a", "Cmd": null, "HostConfig": {"Memory": null}})).unwrap();
        assert_eq!(create.config, Config { image: "a".into(), ..Config::default() });
        assert_eq!(create.host, HostConfig::default());
    }

    #[test]
    fn what_is_not_built_is_refused_by_name() {
        let error = Create::from_json(json!({"Image": "a", "HostConfig": {"CpuCount": 1}}));
        assert_eq!(error.unwrap_err().to_string(), "HostConfig.CpuCount is not supported");
    }

    #[test]
    fn a_wrong_type_says_where() {
        let error = Create::from_json(json!({"Image": 1})).unwrap_err().to_string();
        assert_eq!(error, "invalid JSON: Image: invalid type: integer `1`, expected a string");
        let error = Create::from_json(json!({"Image": "a", "HostConfig": {"CpuShares": 1, "Memory": "1g"}}));
        let wanted = "invalid JSON: HostConfig.Memory: invalid type: string \"1g\", expected i64";
        assert_eq!(error.unwrap_err().to_string(), wanted);
    }

    #[test]
    fn an_unknown_field_is_passed_over() {
        Create::from_json(json!({"Image": "a", "FromTheFuture": 1})).unwrap();
    }
}
