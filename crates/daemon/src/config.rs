//! From flags and `daemon.json` to one configuration. A setting given in both places is an error that names both.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::ApiVersion;
use engine::networks::{BridgeSettings, Chosen, Device};
use engine::security::Seccomp;
use engine::settings::{BUILT_IN_RUNTIME, CgroupDriver, LayerLimits, Live, Runtime, Settings};
use flags::Matches;
use serde_json::{Map, Value};

use crate::error::Error;
use crate::file;
use crate::settings::{FEATURES, Setting, Shape, Support};

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
        let given = merge(from_flags(matches), from_file(file)?)?;
        refuse_unsupported(&given)?;
        build(given)
    }
}

/// All checks of a file, without acting on it.
pub(crate) fn check_file(file: Map<String, Value>) -> Result<(), Error> {
    let given = from_file(file)?;
    refuse_unsupported(&given)?;
    build(given).map(drop)
}

type Given = BTreeMap<&'static str, Value>;

fn from_flags(matches: &Matches) -> Given {
    let mut given = Given::new();
    for (flag, text) in matches.given() {
        let Some(setting) = Setting::of_flag(flag.long) else { continue };
        add(&mut given, setting, text);
    }
    given
}

fn add(given: &mut Given, setting: &'static Setting, text: &str) {
    let entry = given.entry(setting.key);
    match setting.shape {
        Shape::List => {
            if let Value::Array(list) = entry.or_insert_with(|| Value::Array(Vec::new())) {
                list.push(text.into());
            }
        }
        Shape::Pools => {
            let mut pool = Map::new();
            for (name, value) in text.split(',').map(|field| field.split_once('=').unwrap_or((field, ""))) {
                let number = value.parse().map(|number: u64| Value::from(number));
                pool.insert(name.to_owned(), number.unwrap_or_else(|_| value.into()));
            }
            if let Value::Array(list) = entry.or_insert_with(|| Value::Array(Vec::new())) {
                list.push(Value::Object(pool));
            }
        }
        Shape::NetworkOptions => {
            let (driver, option) = text.split_once('=').unwrap_or((text, ""));
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            if let Value::Object(map) = entry.or_insert_with(|| Value::Object(Map::new()))
                && let Value::Object(options) = map.entry(driver).or_insert_with(|| Value::Object(Map::new()))
            {
                options.insert(name.to_owned(), value.into());
            }
        }
        Shape::Map | Shape::Runtimes => {
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            let value = match setting.shape {
                Shape::Runtimes => serde_json::json!({ "path": value }),
                _ if setting.key == "features" => Value::Bool(!matches!(value, "false" | "0")),
                _ => value.into(),
            };
            if let Value::Object(map) = entry.or_insert_with(|| Value::Object(Map::new())) {
                map.insert(name.to_owned(), value);
            }
        }
        Shape::Flag => drop(entry.insert_entry(flags::go::parse_bool(text).unwrap_or_default().into())),
        Shape::Number => drop(entry.insert_entry(flags::go::parse_int(text).unwrap_or_default().into())),
        Shape::Text | Shape::Size | Shape::Other => drop(entry.insert_entry(text.into())),
    }
}

fn from_file(file: Map<String, Value>) -> Result<Given, Error> {
    let mut given = Given::new();
    let mut unknown = Vec::new();
    for (key, value) in flatten(file) {
        // dockerd takes its own keys whatever their case; so do the files that people have.
        match Setting::of_key(&key).or_else(|| Setting::of_key(&key.to_ascii_lowercase())) {
            Some(setting) => {
                check_shape(setting, &value)?;
                given.insert(setting.key, value);
            }
            None => unknown.push(key),
        }
    }
    if unknown.is_empty() {
        return Ok(given);
    }
    let keys = crate::settings::SETTINGS.iter().map(|setting| setting.key);
    let nearest = flags::nearest(&unknown[0], keys);
    Err(Error::UnknownKeys { names: unknown.join(", "), nearest })
}

/// `{"proxies": {"http-proxy": …}}` is `proxies.http-proxy`.
fn flatten(file: Map<String, Value>) -> impl Iterator<Item = (String, Value)> {
    file.into_iter().flat_map(|(key, value)| match (key.as_str(), value) {
        ("proxies", Value::Object(inner)) => {
            inner.into_iter().map(|(name, value)| (format!("proxies.{name}"), value)).collect::<Vec<_>>()
        }
        (_, value) => vec![(key, value)],
    })
}

fn check_shape(setting: &Setting, value: &Value) -> Result<(), Error> {
    let texts = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
    let (fits, expected) = match setting.shape {
        Shape::Flag => (value.is_boolean(), "true or false"),
        Shape::Text => (value.is_string(), "a text"),
        Shape::Number => (value.is_i64(), "a whole number"),
        Shape::Size => (value.is_i64() || value.is_string(), "a number of bytes"),
        Shape::List => (texts(value), "a list of texts"),
        Shape::Map | Shape::Runtimes => (value.is_object(), "an object"),
        Shape::NetworkOptions => (is_table_of_texts(value), "an object of objects of texts"),
        Shape::Pools => (value.is_array(), "a list of objects with base and size"),
        Shape::Other => (true, ""),
    };
    match fits {
        true => Ok(()),
        false => Err(Error::WrongType { key: setting.key.to_owned(), expected }),
    }
}

fn is_table_of_texts(value: &Value) -> bool {
    let texts = |value: &Value| value.as_object().is_some_and(|map| map.values().all(Value::is_string));
    value.as_object().is_some_and(|map| map.values().all(texts))
}

fn merge(flags: Given, mut file: Given) -> Result<Given, Error> {
    let mut conflicts = Vec::new();
    for (key, value) in flags {
        if let Some(in_file) = file.get(key) {
            // Features of both places are joined, as dockerd does.
            if let ("features", Value::Object(mut joined), Value::Object(more)) =
                (key, in_file.clone(), &value)
            {
                joined.extend(more.clone());
                file.insert(key, Value::Object(joined));
                continue;
            }
            conflicts.push(format!("{key}: (from flag: {}, from file: {})", shown(&value), shown(in_file)));
            continue;
        }
        file.insert(key, value);
    }
    match conflicts.is_empty() {
        true => Ok(file),
        false => Err(Error::Conflicts { conflicts: conflicts.join(", ") }),
    }
}

/// As Go prints values: `[a b]`, `text`.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| format!("{key}:{}", shown(value)));
            format!("map[{}]", entries.collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}

fn refuse_unsupported(given: &Given) -> Result<(), Error> {
    for (key, value) in given {
        let Some(setting) = Setting::of_key(key) else { continue };
        let (Support::NotYet(reason) | Support::Refused(reason)) = setting.support else { continue };
        let wanted = match value {
            Value::Array(list) if list.len() == 1 => shown(&list[0]),
            other => shown(other),
        };
        let empty = matches!(value, Value::Array(list) if list.is_empty())
            || matches!(value, Value::Object(map) if map.is_empty());
        if !empty && !setting.fits.contains(&wanted.as_str()) {
            let name = if setting.flag.is_empty() {
                (*key).to_owned()
            } else {
                format!("{key} (--{})", setting.flag)
            };
            return Err(Error::Unsupported { name, reason });
        }
    }
    Ok(())
}

/// Reads typed values out of what was given.
struct Reader<'a>(&'a Given);

impl Reader<'_> {
    fn find(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    fn text(&self, key: &str, default: &str) -> String {
        self.find(key).and_then(Value::as_str).unwrap_or(default).to_owned()
    }

    fn flag(&self, key: &str, default: bool) -> bool {
        self.find(key).and_then(Value::as_bool).unwrap_or(default)
    }

    fn number<T: TryFrom<i64>>(&self, key: &str, default: T) -> Result<T, Error> {
        let Some(number) = self.find(key).and_then(Value::as_i64) else { return Ok(default) };
        T::try_from(number)
            .map_err(|_| Error::Value { key: key.to_owned(), why: format!("{number} is out of range") })
    }

    fn list(&self, key: &str) -> Vec<String> {
        let list = self.find(key).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(|value| value.as_str().map(str::to_owned)).collect()
    }

    fn map(&self, key: &str) -> BTreeMap<String, String> {
        let map = self.find(key).and_then(Value::as_object);
        map.into_iter().flatten().map(|(key, value)| (key.clone(), shown(value))).collect()
    }

    fn path(&self, key: &str, default: &Path) -> PathBuf {
        self.find(key).and_then(Value::as_str).map_or_else(|| default.to_owned(), PathBuf::from)
    }

    fn bytes(&self, key: &str) -> Result<i64, Error> {
        match self.find(key) {
            None => Ok(0),
            Some(Value::String(text)) => {
                flags::go::parse_bytes(text).map_err(|why| Error::Value { key: key.to_owned(), why })
            }
            Some(value) => Ok(value.as_i64().unwrap_or_default()),
        }
    }
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
    let (image_limit, layer_limits) = storage_options(&read.list("storage-opts"))?;
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
    let cgroup_driver = cgroup_driver(&read.list("exec-opts"))?;
    Ok(Settings {
        data_root,
        run_dir,
        executable,
        cgroup_driver,
        cgroup_parent: cgroup_parent(cgroup_driver, read.find("cgroup-parent").and_then(Value::as_str))?,
        storage,
        image_limit,
        layer_limits,
        log_driver: log.r#type,
        log_options: log.config,
        log_budget: log_budget(read)?,
        cdi_folders: cdi_folders(read),
        no_new_privileges: read.flag("no-new-privileges", false),
        init: read.flag("init", false),
        seccomp: seccomp_profile(&seccomp_name)?,
        seccomp_name,
        resolv_conf: read.text("resolv-conf", "/etc/resolv.conf").into(),
        default_shm_size: read.bytes("default-shm-size")?,
        default_stop_timeout: read.number("default-stop-timeout", 10)?,
        http_proxy: proxy("proxies.http-proxy", "HTTP_PROXY"),
        https_proxy: proxy("proxies.https-proxy", "HTTPS_PROXY"),
        no_proxy: proxy("proxies.no-proxy", "NO_PROXY"),
        experimental: read.flag("experimental", false),
        open_hosts: Vec::new(),
        bridge: bridge(read)?,
        plugin_patience: plugin_patience(read)?,
    })
}

/// What all logs together may take: a size, 0 for no limit, or what the engine thinks right for its disk.
fn log_budget(read: &Reader<'_>) -> Result<engine::settings::LogBudget, Error> {
    use engine::settings::LogBudget;
    if read.find("log-budget").is_none() {
        return Ok(LogBudget::OfDisk);
    }
    Ok(match u64::try_from(read.bytes("log-budget")?) {
        Ok(0) | Err(_) => LogBudget::None,
        Ok(bytes) => LogBudget::Bytes(bytes),
    })
}

/// Where devices by name are described; nowhere, if that is switched off.
fn cdi_folders(read: &Reader<'_>) -> Vec<PathBuf> {
    let given = read.list("cdi-spec-dirs");
    let wanted = read.find("features").and_then(|features| features["cdi"].as_bool()).unwrap_or(true);
    match wanted {
        false => Vec::new(),
        true if given.is_empty() => engine::containers::cdi::FOLDERS.map(PathBuf::from).to_vec(),
        // An empty name stands for no folder at all.
        true => given.into_iter().filter(|folder| !folder.is_empty()).map(PathBuf::from).collect(),
    }
}

fn bridge(read: &Reader<'_>) -> Result<BridgeSettings, Error> {
    let wrong = |key: &str, why: String| Error::Value { key: key.into(), why };
    let binding = read.text("ip", "0.0.0.0");
    let binding = binding.parse().map_err(|_| wrong("ip", format!("{binding:?} is no IPv4 address")))?;
    let mut pools = Vec::new();
    for pool in read.find("default-address-pools").and_then(Value::as_array).into_iter().flatten() {
        let (base, size) = (pool["base"].as_str().unwrap_or_default(), pool["size"].as_u64());
        let made = BridgeSettings::pool(base, size.unwrap_or_default());
        pools.push(made.map_err(|why| wrong("default-address-pools", format!("{pool}: {why}")))?);
    }
    let device = Device::read(&read.text("bridge", "")).map_err(|why| wrong("bridge", why))?;
    for key in ["bip", "bip6"] {
        if device != Device::Own && read.find(key).is_some() {
            return Err(wrong(
                key,
                "it is for the engine's own bridge, and `bridge` says another".to_owned(),
            ));
        }
    }
    let family = |is_ipv4: bool, [address, part, gateway]: [&str; 3]| {
        let texts = [address, part, gateway].map(|key| read.text(key, ""));
        Chosen::read(is_ipv4, &texts[0], &texts[1], &texts[2]).map_err(|why| wrong(address, why))
    };
    Ok(BridgeSettings {
        mtu: read.number("mtu", 1500)?,
        icc: read.flag("icc", true),
        masquerade: read.flag("ip-masq", true),
        binding,
        pools,
        device,
        ipv4: family(true, ["bip", "fixed-cidr", "default-gateway"])?,
        ipv6: family(false, ["bip6", "fixed-cidr-v6", "default-gateway-v6"])?,
        both_families: read.flag("ipv6", false),
        defaults: network_defaults(read)?,
        host_gateways: host_gateways(read)?,
        forwarding: read.flag("ip-forward", true),
        direct_routing: read.flag("allow-direct-routing", false),
    })
}

fn network_defaults(read: &Reader<'_>) -> Result<BTreeMap<String, BTreeMap<String, String>>, Error> {
    let mut defaults = BTreeMap::new();
    for (driver, options) in
        read.find("default-network-opts").and_then(Value::as_object).into_iter().flatten()
    {
        let options = options.as_object().into_iter().flatten();
        let options = options.map(|(name, value)| (name.clone(), shown(value))).collect();
        let checked = engine::networks::check_defaults(driver, &options);
        checked.map_err(|why| Error::Value { key: "default-network-opts".to_owned(), why })?;
        defaults.insert(driver.clone(), options);
    }
    Ok(defaults)
}

/// At most one of each family.
fn host_gateways(read: &Reader<'_>) -> Result<Vec<IpAddr>, Error> {
    let wrong = |why: String| Error::Value { key: "host-gateway-ips".to_owned(), why };
    let mut texts = read.list("host-gateway-ips");
    texts.extend(read.find("host-gateway-ip").and_then(Value::as_str).map(str::to_owned));
    let mut gateways: Vec<IpAddr> = Vec::new();
    for text in texts {
        let ip: IpAddr = text.parse().map_err(|_| wrong(format!("{text:?} is no IP address")))?;
        if gateways.iter().any(|known| known.is_ipv4() == ip.is_ipv4()) {
            return Err(wrong(format!("only one address of each family is allowed, and {text} is another")));
        }
        gateways.push(ip);
    }
    gateways.sort_by_key(|ip| !ip.is_ipv4());
    Ok(gateways)
}

/// A profile is read and checked once, so that a container doesn't fail for what the administrator wrote.
fn seccomp_profile(name: &str) -> Result<Seccomp, Error> {
    /// More than any profile needs.
    const MOST: u64 = 4 << 20;
    if matches!(name, "builtin" | "unconfined") {
        return Ok(Seccomp::of(name));
    }
    let unreadable = |source| Error::SeccompFile { path: name.into(), source };
    let mut text = String::new();
    let file = File::open(name).map_err(unreadable)?;
    file.take(MOST).read_to_string(&mut text).map_err(unreadable)?;
    let profile = Seccomp::Profile(text);
    engine::security::check(&profile)
        .map_err(|source| Error::SeccompProfile { path: name.into(), source: Box::new(source) })?;
    Ok(profile)
}

/// Of the options for runtimes dockerd knows this one.
fn cgroup_driver(options: &[String]) -> Result<CgroupDriver, Error> {
    let wrong = |why: String| Err(Error::Value { key: "exec-opts".into(), why });
    let mut driver = CgroupDriver::Cgroupfs;
    for option in options {
        driver = match option.split_once('=') {
            Some(("native.cgroupdriver", "cgroupfs" | "")) => CgroupDriver::Cgroupfs,
            Some(("native.cgroupdriver", "systemd")) => CgroupDriver::Systemd,
            Some(("native.cgroupdriver", other)) => {
                return wrong(format!("native.cgroupdriver option {other} not supported"));
            }
            _ => {
                return wrong(format!(
                    "{option}: the only option is native.cgroupdriver=cgroupfs or =systemd"
                ));
            }
        };
    }
    driver.check()?;
    Ok(driver)
}

fn cgroup_parent(driver: CgroupDriver, text: Option<&str>) -> Result<String, Error> {
    if driver == CgroupDriver::Systemd {
        let slice = text.filter(|text| !text.is_empty()).unwrap_or("system.slice");
        driver.check_parent(slice)?;
        return Ok(slice.to_owned());
    }
    let text = text.unwrap_or("/ketch");
    let fits = !text.is_empty()
        && text.split('/').all(|part| part != ".." && part != "." && !part.contains(char::is_whitespace));
    match fits {
        true => Ok(format!("/{}", text.trim_matches('/'))),
        false => {
            Err(Error::Value { key: "cgroup-parent".into(), why: format!("{text:?} is not a cgroup's path") })
        }
    }
}

fn live(read: &Reader<'_>) -> Result<Live, Error> {
    let runtimes = runtimes(read.find("runtimes"))?;
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

/// `key=value`: the limits of the image store, and of what a layer may unpack to.
fn storage_options(options: &[String]) -> Result<(Option<u64>, LayerLimits), Error> {
    let wrong = |why: String| Error::Value { key: "storage-opts".into(), why };
    let (mut images, mut layers) = (None, LayerLimits::default());
    for option in options {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        let bytes = || {
            let parsed = flags::go::parse_bytes(value).map_err(|why| wrong(format!("{key}: {why}")))?;
            u64::try_from(parsed).map_err(|_| wrong(format!("{key}: {value} is negative")))
        };
        match key {
            "image-limit" => images = Some(bytes()?),
            "layer-size" => layers.bytes = bytes()?,
            "layer-entries" => {
                let not = |_| wrong(format!("{key}: {value:?} is not a number"));
                layers.entries = value.parse().map_err(not)?;
            }
            _ => {
                let why = "there are image-limit, layer-size and layer-entries";
                return Err(wrong(format!("{key}: {why}")));
            }
        }
    }
    Ok((images, layers))
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

fn runtimes(value: Option<&Value>) -> Result<BTreeMap<String, Runtime>, Error> {
    let wrong =
        |name: &str, why: &str| Error::Value { key: "runtimes".into(), why: format!("{name}: {why}") };
    let entries = value.and_then(Value::as_object).into_iter().flatten();
    entries
        .map(|(name, description)| {
            if name == BUILT_IN_RUNTIME {
                return Err(wrong(name, "runtime name is reserved"));
            }
            if let Some(key) = ["runtimeType", "options"].iter().find(|key| description.get(**key).is_some())
            {
                return Err(wrong(name, &format!("{key} is containerd's business and not supported")));
            }
            let path = description.get("path").and_then(Value::as_str).filter(|path| !path.is_empty());
            let path = path.ok_or_else(|| wrong(name, "a path is needed"))?.to_owned();
            let arguments = description.get("runtimeArgs").and_then(Value::as_array).into_iter().flatten();
            let arguments = arguments.filter_map(|word| word.as_str().map(str::to_owned)).collect();
            Ok((name.clone(), Runtime { path, arguments }))
        })
        .collect()
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
    let version = text.parse().ok().filter(|version| (api::OLDEST..=api::MAXIMUM).contains(version));
    version.ok_or_else(|| Error::Value {
        key: "min-api-version".into(),
        why: format!("{text} is not between {} and {}", api::OLDEST, api::MAXIMUM),
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
            Value::Object(map) => from_file(map),
            _ => panic!("not an object"),
        }
    }

    fn message<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn a_flag_and_a_key_that_contradict_each_other_are_both_named() {
        let flags = Given::from([("labels", json!(["a=1"]))]);
        let text = message(merge(flags, file(json!({"labels": ["a=2"]})).unwrap()));
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
        let given = |value| file(value).and_then(|given| refuse_unsupported(&given));
        assert!(
            message(given(json!({"metrics-addr": "x"})))
                .starts_with("metrics-addr (--metrics-addr) is not supported: ")
        );
        given(json!({"userland-proxy": false, "iptables": true, "dns": []})).unwrap();
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
