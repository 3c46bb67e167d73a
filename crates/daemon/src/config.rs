//! From flags and `daemon.json` to one configuration. A setting given in both places is an error that names both.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::ApiVersion;
use engine::settings::{BUILT_IN_RUNTIME, LayerLimits, Live, Settings};
use flags::Matches;
use serde_json::{Map, Value};

mod builder;
mod containers;
mod given;
mod networks;

use crate::error::Error;
use crate::file;
use crate::settings::{FEATURES, Support};
use given::{Given, Reader};

/// Everything that decides how an engine runs.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) hosts: Vec<String>,
    pub(crate) tls: Tls,
    pub(crate) group: Option<String>,
    pub(crate) pidfile: PathBuf,
    pub(crate) log: LogConfig,
    pub(crate) oldest_api: ApiVersion,
    pub(crate) idle_timeout: Option<Duration>,
    /// The private registry that is served as well.
    pub(crate) registry: Option<registry::Options>,
    pub(crate) settings: Settings,
    pub(crate) live: Live,
    /// What was given, for telling after a reload what would need a restart.
    pub(crate) given: BTreeMap<&'static str, Value>,
}

/// How TCP is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tls {
    pub(crate) mode: TlsMode,
    pub(crate) ca: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsMode {
    /// Nothing was said: TCP is refused.
    Unsaid,
    /// `--tls=false`, said on purpose.
    Off,
    /// Encrypted; clients are not asked who they are.
    Encrypted,
    /// Clients need a certificate of the CA.
    Verified,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogConfig {
    pub(crate) level: String,
    pub(crate) json: bool,
}

impl Config {
    /// Reads the file that the flags name and merges both.
    pub(crate) fn load(matches: &Matches) -> Result<Self, Error> {
        let path = Path::new(matches.text("config-file"));
        let file = file::read(path, matches.changed("config-file"))?;
        let given = given::merge(given::from_flags(matches), given::from_file(file)?)?;
        given::refuse_unsupported(&given)?;
        build(given)
    }
}

/// All checks of a file, without acting on it.
pub(crate) fn check_file(file: Map<String, Value>) -> Result<(), Error> {
    let given = given::from_file(file)?;
    given::refuse_unsupported(&given)?;
    build(given).map(drop)
}

fn build(given: Given) -> Result<Config, Error> {
    let read = Reader(&given);
    let run_dir = absolute(&read.path("exec-root", &default_run_dir()))?;
    let data_root = absolute(&read.path("data-root", &default_data_root()))?;
    let live = live(&read)?;
    let mut settings = settings(&read, data_root, run_dir.clone())?;
    let mut hosts = read.list("hosts");
    if hosts.is_empty() {
        hosts.push(format!("unix://{}", run_dir.join("ketch.sock").display()));
    }
    let tls = tls(&read);
    if tls.mode != TlsMode::Verified {
        settings.open_hosts = hosts.iter().filter(|host| host.starts_with("tcp://")).cloned().collect();
    }
    Ok(Config {
        hosts,
        tls,
        group: read.find("group").and_then(Value::as_str).map(str::to_owned),
        pidfile: read.path("pidfile", &run_dir.join("ketch.pid")),
        log: log(&read, live.debug)?,
        oldest_api: oldest_api(&read)?,
        idle_timeout: idle_timeout(&read)?,
        registry: registry(&read, &settings.data_root)?,
        settings,
        live,
        given,
    })
}

/// The private registry in this engine: at an address, or as a file says.
fn registry(read: &Reader<'_>, data_root: &Path) -> Result<Option<registry::Options>, Error> {
    let text = read.find("registry").and_then(Value::as_str).filter(|text| !text.is_empty());
    let Some(text) = text else { return Ok(None) };
    let (config, address) = match text.starts_with('/') {
        true => (Some(text.into()), None),
        false => (None, Some(text.to_owned())),
    };
    let engine = Some(data_root.to_owned());
    let options = registry::Options { config, address, engine, ..Default::default() };
    // What is wrong is told before anything is opened; it is read once more when it starts.
    registry::validate(&registry::Config::load(&options)?)?;
    Ok(Some(options))
}

fn settings(read: &Reader<'_>, data_root: PathBuf, run_dir: PathBuf) -> Result<Settings, Error> {
    let storage = match read.text("storage-driver", "").as_str() {
        "" => engine::settings::Storage::Automatic,
        "erofs" => engine::settings::Storage::Erofs,
        "overlay" | "overlay2" => engine::settings::Storage::Overlay,
        other => {
            let why = format!("{other}: there are erofs and overlay");
            return Err(Error::Value { key: "storage-driver".into(), why });
        }
    };
    let Stores { image_limit, root_size, layer_limits } = storage_options(&read.list("storage-opts"))?;
    let log = engine::containers::config::LogConfig {
        r#type: read.text("log-driver", "json-file"),
        config: read.map("log-opts"),
    };
    engine::containers::logs::check(&log)?;
    let executable = std::env::current_exe()
        .map_err(|source| Error::System { doing: "find my own executable", source })?;
    let proxy = |key: &str, variable: &str| {
        let from_environment = || std::env::var(variable).or_else(|_| std::env::var(variable.to_lowercase()));
        read.find(key)
            .and_then(Value::as_str)
            .map_or_else(|| from_environment().unwrap_or_default(), str::to_owned)
    };
    let seccomp_name = read.text("seccomp-profile", "builtin");
    let cgroup_driver = containers::cgroup_driver(&read.list("exec-opts"))?;
    Ok(Settings {
        data_root,
        run_dir,
        executable,
        cgroup_driver,
        cgroup_parent: containers::cgroup_parent(
            cgroup_driver,
            read.find("cgroup-parent").and_then(Value::as_str),
        )?,
        storage,
        image_limit,
        root_size,
        layer_limits,
        log_driver: log.r#type,
        log_options: log.config,
        log_budget: containers::log_budget(read)?,
        cdi_folders: containers::cdi_folders(read),
        no_new_privileges: read.flag("no-new-privileges", false),
        init: read.flag("init", false),
        private_users: containers::private_users(&read.text("userns-remap", ""))?,
        seccomp: containers::seccomp_profile(&seccomp_name)?,
        seccomp_name,
        resolv_conf: read.text("resolv-conf", "/etc/resolv.conf").into(),
        default_shm_size: read.bytes("default-shm-size")?,
        default_stop_timeout: read.number("default-stop-timeout", 10)?,
        http_proxy: proxy("proxies.http-proxy", "HTTP_PROXY"),
        https_proxy: proxy("proxies.https-proxy", "HTTPS_PROXY"),
        no_proxy: proxy("proxies.no-proxy", "NO_PROXY"),
        experimental: read.flag("experimental", false),
        open_hosts: Vec::new(),
        bridge: networks::bridge(read)?,
        plugin_patience: plugin_patience(read)?,
        builder: builder::builder(read.find("builder"))?,
    })
}

fn live(read: &Reader<'_>) -> Result<Live, Error> {
    let runtimes = containers::runtimes(read.find("runtimes"))?;
    let default_runtime = read.text("default-runtime", BUILT_IN_RUNTIME);
    if default_runtime != BUILT_IN_RUNTIME && !runtimes.contains_key(&default_runtime) {
        let why = format!("specified default runtime '{default_runtime}' does not exist");
        return Err(Error::Value { key: "default-runtime".into(), why });
    }
    let labels = read.list("labels");
    check_labels(&labels)?;
    let features = features(read)?;
    let positive = |key: &str, default: u32| match read.number(key, default)? {
        0 => Err(Error::Value { key: key.into(), why: "must be at least 1".into() }),
        number => Ok(number),
    };
    let defaults = Live::default();
    Ok(Live {
        debug: read.flag("debug", false),
        labels,
        default_runtime,
        runtimes,
        registry_mirrors: read
            .list("registry-mirrors")
            .iter()
            .map(|url| mirror(url))
            .collect::<Result<_, _>>()?,
        insecure_registries: read.list("insecure-registries"),
        live_restore: read.flag("live-restore", true),
        max_concurrent_downloads: positive("max-concurrent-downloads", defaults.max_concurrent_downloads)?,
        max_concurrent_uploads: positive("max-concurrent-uploads", defaults.max_concurrent_uploads)?,
        max_download_attempts: positive("max-download-attempts", defaults.max_download_attempts)?,
        shutdown_timeout: read.number("shutdown-timeout", defaults.shutdown_timeout)?,
        features,
    })
}

#[derive(Default)]
struct Stores {
    image_limit: Option<u64>,
    root_size: Option<u64>,
    layer_limits: LayerLimits,
}

/// `key=value`: the limits of the image store, of what a container may write, and of what a layer may unpack to.
fn storage_options(options: &[String]) -> Result<Stores, Error> {
    let wrong = |why: String| Error::Value { key: "storage-opts".into(), why };
    let mut stores = Stores::default();
    for option in options {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        let bytes = || {
            let parsed = flags::go::parse_bytes(value).map_err(|why| wrong(format!("{key}: {why}")))?;
            u64::try_from(parsed).map_err(|_| wrong(format!("{key}: {value} is negative")))
        };
        match key {
            "image-limit" => stores.image_limit = Some(bytes()?),
            "overlay2.size" => stores.root_size = Some(bytes()?).filter(|size| *size > 0),
            "layer-size" => stores.layer_limits.bytes = bytes()?,
            "layer-entries" => {
                let not = |_| wrong(format!("{key}: {value:?} is not a number"));
                stores.layer_limits.entries = value.parse().map_err(not)?;
            }
            _ => {
                let why = "there are image-limit, layer-size, layer-entries and overlay2.size";
                return Err(wrong(format!("{key}: {why}")));
            }
        }
    }
    Ok(stores)
}

/// A switch that is on must be one that works.
fn features(read: &Reader<'_>) -> Result<BTreeMap<String, bool>, Error> {
    let given = read.find("features").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut features = BTreeMap::new();
    for (name, value) in given {
        let Some(on) = value.as_bool() else {
            return Err(Error::WrongType { key: format!("features.{name}"), expected: "true or false" });
        };
        let known = FEATURES.iter().find(|(known, _)| *known == name).map(|(_, support)| *support);
        let reason = match known {
            Some(Support::Done) => None,
            Some(Support::NotYet(reason) | Support::Refused(reason)) => Some(reason),
            None => Some("no such feature"),
        };
        if let Some(reason) = reason.filter(|_| on) {
            return Err(Error::Unsupported { name: format!("features.{name}"), reason });
        }
        features.insert(name, on);
    }
    Ok(features)
}

fn check_labels(labels: &[String]) -> Result<(), Error> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for label in labels {
        let Some((key, value)) = label.split_once('=') else {
            return Err(Error::Value { key: "labels".into(), why: format!("bad attribute format: {label}") });
        };
        if let Some(other) = seen.insert(key, value).filter(|other| *other != value) {
            let why = format!("conflict labels for {key}={value} and {key}={other}");
            return Err(Error::Value { key: "labels".into(), why });
        }
    }
    Ok(())
}

/// A mirror's address; with `<registry>=` before it, it is not for Docker Hub but for that registry.
fn mirror(text: &str) -> Result<String, Error> {
    let is_host = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || ".-:[]_".contains(c))
    };
    let named = text.split_once('=').filter(|(registry, _)| is_host(registry));
    let (registry, url) = named.map_or(("", text), |(registry, url)| (&text[..=registry.len()], url));
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    match rest {
        Some(host) if !host.is_empty() && !host.contains(['@', '?', '#', ' ']) => {
            Ok(format!("{registry}{}/", url.trim_end_matches('/')))
        }
        _ => Err(Error::Value { key: "registry-mirrors".into(), why: format!("invalid mirror: {text:?}") }),
    }
}

fn tls(read: &Reader<'_>) -> Tls {
    // dockerd's default for --tlsverify is whether this variable says anything.
    let from_environment = std::env::var_os("DOCKER_TLS_VERIFY").is_some_and(|value| !value.is_empty());
    let mode = match (read.find("tlsverify"), read.find("tls")) {
        (Some(Value::Bool(true)), _) => TlsMode::Verified,
        (None, None) if from_environment => TlsMode::Verified,
        (_, Some(Value::Bool(true))) => TlsMode::Encrypted,
        (None, None) => TlsMode::Unsaid,
        _ => TlsMode::Off,
    };
    let folder =
        std::env::var_os("DOCKER_CERT_PATH").map_or_else(|| PathBuf::from("/root/.docker"), PathBuf::from);
    Tls {
        mode,
        ca: read.path("tlscacert", &folder.join("ca.pem")),
        certificate: read.path("tlscert", &folder.join("cert.pem")),
        key: read.path("tlskey", &folder.join("key.pem")),
    }
}

fn log(read: &Reader<'_>, debug: bool) -> Result<LogConfig, Error> {
    let level = read.text("log-level", "info");
    if !matches!(level.as_str(), "debug" | "info" | "warn" | "error" | "fatal") {
        return Err(Error::Value { key: "log-level".into(), why: format!("invalid logging level: {level}") });
    }
    let format = read.text("log-format", "text");
    if !matches!(format.as_str(), "text" | "json") {
        return Err(Error::Value { key: "log-format".into(), why: format!("invalid log format: {format}") });
    }
    let level = if debug { "debug".to_owned() } else { level };
    Ok(LogConfig { level, json: format == "json" })
}

fn oldest_api(read: &Reader<'_>) -> Result<ApiVersion, Error> {
    let from_environment = std::env::var("DOCKER_MIN_API_VERSION").unwrap_or_default();
    let text = match read.text("min-api-version", "") {
        text if text.is_empty() => from_environment,
        text => text,
    };
    if text.is_empty() {
        return Ok(api::MINIMUM);
    }
    let version = text.parse().ok().filter(|version| (api::MINIMUM..=api::MAXIMUM).contains(version));
    version.ok_or_else(|| Error::Value {
        key: "min-api-version".into(),
        why: format!("{text} is not between {} and {}", api::MINIMUM, api::MAXIMUM),
    })
}

fn idle_timeout(read: &Reader<'_>) -> Result<Option<Duration>, Error> {
    let text = read.text("idle-timeout", "");
    if text.is_empty() {
        return Ok(None);
    }
    let duration = flags::go::parse_duration(&text);
    let duration = duration.map_err(|why| Error::Value { key: "idle-timeout".into(), why })?;
    Ok(Some(duration).filter(|duration| !duration.is_zero()))
}

fn plugin_patience(read: &Reader<'_>) -> Result<Duration, Error> {
    let wrong = |why| Error::Value { key: "volume-plugin-timeout".into(), why };
    let patience = flags::go::parse_duration(&read.text("volume-plugin-timeout", "2m")).map_err(wrong)?;
    if patience.is_zero() {
        Err(wrong("without any time there is no answer".to_owned()))
    } else {
        Ok(patience)
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|source| Error::File {
        doing: "resolve",
        path: path.to_owned(),
        source,
    })
}

fn from_environment(variable: &str, default: &str) -> PathBuf {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map_or_else(|| default.into(), PathBuf::from)
}

fn default_run_dir() -> PathBuf {
    from_environment("KETCH_RUN_DIR", "/run/ketch")
}

fn default_data_root() -> PathBuf {
    from_environment("KETCH_DATA_ROOT", "/var/lib/ketch")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn file(value: Value) -> Result<Given, Error> {
        match value {
            Value::Object(map) => given::from_file(map),
            _ => panic!("not an object"),
        }
    }

    fn message<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn a_flag_and_a_key_that_contradict_each_other_are_both_named() {
        let flags = Given::from([("labels", json!(["a=1"]))]);
        let text = message(given::merge(flags, file(json!({"labels": ["a=2"]})).unwrap()));
        assert!(text.ends_with("labels: (from flag: [a=1], from file: [a=2])"), "{text}");
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest() {
        let error = file(json!({"log-levle": "debug"})).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the following directives don't match any configuration option: log-levle"
        );
        assert!(matches!(error, Error::UnknownKeys { nearest: Some("log-level"), .. }));
    }

    #[test]
    fn wrong_types_name_the_key() {
        assert_eq!(message(file(json!({"debug": "yes"}))), "cannot unmarshal debug: expected true or false");
        assert_eq!(
            message(file(json!({"labels": [1]}))),
            "cannot unmarshal labels: expected a list of texts"
        );
    }

    #[test]
    fn what_does_not_work_is_refused_unless_it_asks_for_what_is() {
        let given = |value| file(value).and_then(|given| given::refuse_unsupported(&given));
        assert!(
            message(given(json!({"metrics-addr": "x"})))
                .starts_with("metrics-addr (--metrics-addr) is not supported: ")
        );
        given(json!({"rootless": false, "iptables": true, "dns": []})).unwrap();
    }

    #[test]
    fn labels_may_not_contradict_themselves() {
        let read = |labels: Value| build(file(json!({ "labels": labels })).unwrap());
        assert!(message(read(json!(["a=1", "a=2"]))).contains("conflict labels for a=2 and a=1"));
        assert!(message(read(json!(["a"]))).contains("bad attribute format: a"));
        read(json!(["a=1", "a=1"])).unwrap();
    }

    #[test]
    fn a_default_runtime_must_exist() {
        let read = |value| build(file(value).unwrap());
        assert!(message(read(json!({"default-runtime": "x"}))).contains("does not exist"));
        read(json!({"default-runtime": "x", "runtimes": {"x": {"path": "/usr/bin/x"}}})).unwrap();
    }
}
