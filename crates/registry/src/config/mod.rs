//! Settings: flags over the file over what is usual. All of it is checked before anything is opened.

mod bucket;
mod file;
mod refused;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serving::{TlsFiles, Verify};

use crate::error::Error;
use crate::pattern::Pattern;
use crate::route::Name;
pub(crate) use bucket::Bucket;
pub(crate) use file::{EventAction, Hidden, Permission};

/// Where everything is kept, unless something else was said.
pub const DEFAULT_ROOT: &str = "/var/lib/ketch-registry";
/// No configuration is longer.
const LONGEST: u64 = 1 << 20;
/// All warnings of an answer together; the specification's number.
const WARNINGS: usize = 4096;

/// What the command line says. Empty and absent mean that it says nothing.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub config: Option<PathBuf>,
    pub root: Option<PathBuf>,
    pub address: Option<String>,
    pub debug_address: Option<String>,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub htpasswd: Option<PathBuf>,
    pub read_only: bool,
    pub no_delete: bool,
    pub log_level: Option<String>,
    /// The data root of the engine that serves the registry in itself: the content is below it, unless something else
    /// was said, and what both have is there once.
    pub engine: Option<PathBuf>,
}

/// Everything that was decided.
pub struct Config {
    pub(crate) root: PathBuf,
    /// The data root that blobs are shared with.
    pub(crate) beside: Option<PathBuf>,
    /// None: the content is below `root`.
    pub(crate) bucket: Option<Bucket>,
    pub(crate) address: SocketAddr,
    pub(crate) debug_address: Option<SocketAddr>,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) log: Log,
    pub(crate) drain: Duration,
    pub(crate) connections: usize,
    pub(crate) settings: Settings,
    pub(crate) auth: file::Auth,
    pub(crate) rules: Vec<Rule>,
    pub(crate) notifications: Notifications,
    pub(crate) purge: Option<Purge>,
    pub(crate) gc: Gc,
    pub(crate) retention: Vec<Retention>,
    pub(crate) check_interval: Option<(Duration, u32)>,
    pub(crate) upstreams: Vec<Upstream>,
}

pub(crate) struct Log {
    pub(crate) level: String,
    pub(crate) json: bool,
    pub(crate) fields: Vec<(String, String)>,
}

/// What answers need of the configuration.
pub(crate) struct Settings {
    pub(crate) delete: bool,
    pub(crate) read_only: bool,
    /// What comes before `/v2/` in addresses that clients are sent; none is nothing.
    pub(crate) host: Option<String>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) access_log: bool,
    pub(crate) blob_limit: u64,
    pub(crate) chunk_min: u64,
    pub(crate) catalog_max: usize,
    pub(crate) tags_max: usize,
    pub(crate) metrics: Option<String>,
}

/// What users of some repositories are told.
pub(crate) struct Warning {
    pub(crate) value: HeaderValue,
    repositories: Vec<Pattern>,
}

impl Warning {
    pub(crate) fn concerns(&self, name: &Name) -> bool {
        self.repositories.iter().any(|pattern| pattern.matches(name.as_str()))
    }
}

/// Who may do what with which repositories.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) repositories: Vec<Pattern>,
    /// `*` is everybody with a name, `anonymous` everybody.
    pub(crate) users: Vec<String>,
    pub(crate) actions: Vec<Permission>,
}

pub(crate) struct Notifications {
    pub(crate) references: bool,
    pub(crate) endpoints: Vec<Endpoint>,
}

pub(crate) struct Endpoint {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) timeout: Duration,
    pub(crate) threshold: u32,
    pub(crate) backoff: Duration,
    pub(crate) ignored_types: Vec<String>,
    pub(crate) ignored_actions: Vec<EventAction>,
}

#[derive(Clone, Copy)]
pub(crate) struct Purge {
    pub(crate) age: Duration,
    pub(crate) interval: Duration,
    pub(crate) dry_run: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Gc {
    /// None: only when somebody asks.
    pub(crate) interval: Option<Duration>,
    pub(crate) grace: Duration,
    pub(crate) untagged: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Retention {
    pub(crate) repositories: Vec<Pattern>,
    pub(crate) keep: Option<usize>,
    pub(crate) older_than: Option<Duration>,
    pub(crate) protect: Vec<Pattern>,
}

pub(crate) struct Upstream {
    pub(crate) prefix: String,
    pub(crate) url: String,
    pub(crate) credentials: Option<(String, Hidden)>,
    pub(crate) fresh: Duration,
    pub(crate) limit: Option<u64>,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

fn invalid(key: &str, why: impl Into<String>) -> Error {
    Error::Setting { key: key.to_owned(), why: why.into() }
}

impl Config {
    /// Reads and checks everything.
    pub fn load(options: &Options) -> Result<Self, Error> {
        let mut file = match &options.config {
            Some(path) => read(path)?,
            None => file::File::default(),
        };
        override_with(&mut file, options);
        Self::check(file, options)
    }

    /// Where the content is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn check(file: file::File, options: &Options) -> Result<Self, Error> {
        let rules = rules(&file)?;
        let connections = file.http.maxconnections.unwrap_or(8192);
        if connections == 0 {
            return Err(invalid("http.maxconnections", "nobody could connect"));
        }
        let purging = &file.storage.maintenance.uploadpurging;
        let span = |span: Option<file::Span>, usual| span.map_or(usual, |span: file::Span| span.0);
        let purge = purging.enabled.unwrap_or(true).then(|| Purge {
            age: span(purging.age, 7 * DAY),
            interval: span(purging.interval, DAY),
            dry_run: purging.dryrun,
        });
        let gc = &file.storage.gc;
        let gc = Gc {
            interval: gc.enabled.unwrap_or(true).then(|| span(gc.interval, DAY)),
            grace: span(gc.grace, Duration::from_secs(3600)),
            untagged: gc.untagged,
        };
        let health = &file.health.storagedriver;
        let check_interval = health
            .enabled
            .unwrap_or(true)
            .then(|| (span(health.interval, Duration::from_secs(10)), health.threshold.unwrap_or(3)));
        for (key, interval) in [
            ("storage.maintenance.uploadpurging.interval", purge.map(|purge| purge.interval)),
            ("storage.gc.interval", gc.interval),
            ("health.storagedriver.interval", check_interval.map(|(interval, _)| interval)),
        ] {
            if interval.is_some_and(|interval| interval < Duration::from_millis(100)) {
                return Err(invalid(key, "it is too short"));
            }
        }
        let address = address("http.addr", file.http.addr.as_deref().unwrap_or("127.0.0.1:5000"))?;
        let debug = file.http.debug.as_ref();
        let debug_address = debug.map(|debug| self::address("http.debug.addr", &debug.addr)).transpose()?;
        Ok(Self {
            root: file.storage.filesystem.rootdirectory.clone().unwrap_or_else(|| match &options.engine {
                Some(data_root) => data_root.join("registry"),
                None => DEFAULT_ROOT.into(),
            }),
            beside: options.engine.clone(),
            bucket: bucket::read(&file.storage, |name| std::env::var(name).ok())?,
            address,
            debug_address,
            tls: tls(&file)?,
            log: log(&file, options)?,
            drain: span(file.http.draintimeout, Duration::from_secs(60)),
            connections,
            settings: settings(&file, options)?,
            notifications: notifications(&file)?,
            retention: retention(&file)?,
            upstreams: upstreams(&file)?,
            auth: file.auth,
            rules,
            purge,
            gc,
            check_interval,
        })
    }
}

fn read(path: &Path) -> Result<file::File, Error> {
    use std::io::Read as _;
    let failed = |source| Error::Store { doing: "read", path: path.to_owned(), source };
    let mut text = String::new();
    fs::File::open(path).map_err(failed)?.take(LONGEST + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > LONGEST {
        return Err(Error::Damaged {
            path: path.to_owned(),
            why: format!("it is longer than {LONGEST} bytes"),
        });
    }
    parse(&text).map_err(|error| match error {
        Error::Setting { key, why } if key.is_empty() => Error::Damaged { path: path.to_owned(), why },
        error => error,
    })
}

fn parse(text: &str) -> Result<file::File, Error> {
    let wrong = |trouble: yaml::Trouble| invalid("", trouble.to_string());
    if text.trim().is_empty() {
        return Ok(file::File::default());
    }
    let tree: serde_json::Value = yaml::from_str(text).map_err(wrong)?;
    if let Some((key, why)) = refused::find(&tree) {
        return Err(Error::NotSupported { key, why });
    }
    yaml::from_str(text).map_err(wrong)
}

/// Reads a text as a configuration.
pub(crate) fn fuzz(text: &str) {
    if text.len() as u64 <= LONGEST
        && let Ok(file) = parse(text)
    {
        let _ = Config::check(file, &Options::default());
    }
}

fn override_with(file: &mut file::File, options: &Options) {
    let Options { root, address, debug_address, certificate, key, htpasswd, .. } = options.clone();
    if root.is_some() {
        file.storage.filesystem.rootdirectory = root;
    }
    if address.is_some() {
        file.http.addr = address;
    }
    if let Some(addr) = debug_address {
        let prometheus = file::Prometheus { enabled: true, path: None };
        file.http.debug = Some(file::Debug { addr, prometheus });
    }
    if certificate.is_some() || key.is_some() {
        let tls = file.http.tls.get_or_insert_default();
        tls.certificate = certificate.unwrap_or_else(|| tls.certificate.clone());
        tls.key = key.unwrap_or_else(|| tls.key.clone());
    }
    if let Some(path) = htpasswd {
        file.auth.htpasswd = Some(file::Htpasswd { realm: None, path });
    }
    file.storage.maintenance.readonly.enabled |= options.read_only;
    if options.no_delete {
        file.storage.delete.enabled = Some(false);
    }
}

/// `:5000`, `127.0.0.1:5000`, `localhost:5000`.
fn address(key: &str, text: &str) -> Result<SocketAddr, Error> {
    let numeric = match text.strip_prefix(':') {
        Some(port) => format!("0.0.0.0:{port}"),
        None => text.replace("localhost:", "127.0.0.1:"),
    };
    numeric.parse().map_err(|_| invalid(key, format!("{text} is not an address and a port")))
}

fn tls(file: &file::File) -> Result<Option<TlsFiles>, Error> {
    let Some(tls) = &file.http.tls else { return Ok(None) };
    for (key, path) in [("http.tls.certificate", &tls.certificate), ("http.tls.key", &tls.key)] {
        if path.as_os_str().is_empty() {
            return Err(invalid(key, "TLS needs a certificate and its key"));
        }
    }
    let verify = match (tls.clientcas.is_empty(), tls.clientauth) {
        (true, None) => Verify::Nobody,
        (true, Some(_)) => return Err(invalid("http.tls.clientauth", "it needs http.tls.clientcas")),
        (false, Some(file::ClientAuth::Offered)) => Verify::Offered(tls.clientcas.clone()),
        (false, _) => Verify::Required(tls.clientcas.clone()),
    };
    Ok(Some(TlsFiles { certificate: tls.certificate.clone(), key: tls.key.clone(), verify }))
}

fn log(file: &file::File, options: &Options) -> Result<Log, Error> {
    let level = options.log_level.clone().or(file.log.level.clone()).unwrap_or_else(|| "info".into());
    if !matches!(level.as_str(), "error" | "warn" | "info" | "debug") {
        return Err(invalid("log.level", format!("{level} is none of error, warn, info and debug")));
    }
    let json = match file.log.formatter.as_deref() {
        None | Some("text") => false,
        Some("json") => true,
        Some(other) => return Err(invalid("log.formatter", format!("{other} is neither text nor json"))),
    };
    Ok(Log { level, json, fields: file.log.fields.clone().into_iter().collect() })
}

fn headers<'a>(
    key: &str,
    map: impl Iterator<Item = (&'a String, Vec<&'a str>)>,
) -> Result<Vec<(HeaderName, HeaderValue)>, Error> {
    let mut list = Vec::new();
    for (name, values) in map {
        let bad = |_| invalid(key, format!("{name} can't be sent"));
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad(()))?;
        for value in values {
            list.push((parsed.clone(), HeaderValue::from_str(value).map_err(|_| bad(()))?));
        }
    }
    Ok(list)
}

fn settings(file: &file::File, _: &Options) -> Result<Settings, Error> {
    let sent =
        file.http.headers.iter().map(|(name, values)| (name, values.iter().map(String::as_str).collect()));
    let host = match (&file.http.host, file.http.relativeurls) {
        (Some(_), Some(true)) => return Err(invalid("http.relativeurls", "http.host asks for the opposite")),
        (None, Some(false)) => return Err(invalid("http.relativeurls", "whole addresses need http.host")),
        (Some(host), _) if !host.starts_with("http://") && !host.starts_with("https://") => {
            return Err(invalid("http.host", "it has to begin with http:// or https://"));
        }
        (host, _) => host.as_ref().map(|host| host.trim_end_matches('/').to_owned()),
    };
    let prometheus = file.http.debug.as_ref().map(|debug| &debug.prometheus).filter(|found| found.enabled);
    Ok(Settings {
        delete: file.storage.delete.enabled.unwrap_or(true),
        read_only: file.storage.maintenance.readonly.enabled,
        host,
        headers: headers("http.headers", sent)?,
        warnings: warnings(file)?,
        access_log: !file.log.accesslog.disabled,
        blob_limit: file.storage.maxblob.map_or(1 << 40, |size| size.0),
        chunk_min: file.http.chunkmin.map_or(0, |size| size.0),
        catalog_max: file.catalog.maxentries.unwrap_or(1000),
        tags_max: file.tags.maxtags.unwrap_or(10_000),
        metrics: prometheus.map(|found| found.path.clone().unwrap_or_else(|| "/metrics".into())),
    })
}

fn warnings(file: &file::File) -> Result<Vec<Warning>, Error> {
    let mut total = 0;
    let warning = |warning: &file::Warning| {
        let quoted = warning.text.replace('\\', "\\\\").replace('"', "\\\"");
        let text = format!("299 - \"{quoted}\"");
        total += text.len();
        let value = HeaderValue::from_str(&text).map_err(|_| invalid("warnings", "a text can't be sent"))?;
        match total > WARNINGS {
            true => Err(invalid("warnings", format!("all together are longer than {WARNINGS} bytes"))),
            false => Ok(Warning { value, repositories: patterns("warnings", &warning.repositories)? }),
        }
    };
    file.warnings.iter().map(warning).collect()
}

fn patterns(key: &str, texts: &[String]) -> Result<Vec<Pattern>, Error> {
    if texts.is_empty() {
        return Ok(vec![Pattern::all()]);
    }
    texts.iter().map(|text| Pattern::parse(text).map_err(|why| invalid(key, why))).collect()
}

fn rules(file: &file::File) -> Result<Vec<Rule>, Error> {
    let has_users = file.auth.htpasswd.is_some() || file.auth.token.is_some();
    let rule = |rule: &file::Rule| {
        if rule.users.is_empty() || rule.actions.is_empty() {
            return Err(invalid("access", "each rule needs users and actions"));
        }
        if !has_users && rule.users.iter().any(|user| user != "*" && user != "anonymous") {
            return Err(invalid("access", "there is no auth to tell users apart"));
        }
        let repositories = patterns("access", &rule.repositories)?;
        Ok(Rule { repositories, users: rule.users.clone(), actions: rule.actions.clone() })
    };
    file.access.iter().map(rule).collect()
}

fn notifications(file: &file::File) -> Result<Notifications, Error> {
    let span = |span: Option<file::Span>, usual: u64| {
        span.map_or(Duration::from_secs(usual), |span: file::Span| span.0)
    };
    let endpoint = |endpoint: &file::Endpoint| {
        let sent = endpoint.headers.iter();
        let sent = sent.map(|(name, values)| (name, values.iter().map(|value| value.0.as_str()).collect()));
        if !endpoint.url.starts_with("http://") && !endpoint.url.starts_with("https://") {
            return Err(invalid("notifications.endpoints.url", format!("{} is no address", endpoint.url)));
        }
        let ignored = endpoint.ignoredmediatypes.iter().chain(&endpoint.ignore.mediatypes);
        Ok(Endpoint {
            name: endpoint.name.clone(),
            url: endpoint.url.clone(),
            headers: headers("notifications.endpoints.headers", sent)?,
            timeout: span(endpoint.timeout, 5),
            threshold: endpoint.threshold.unwrap_or(10).max(1),
            backoff: span(endpoint.backoff, 1),
            ignored_types: ignored.cloned().collect(),
            ignored_actions: endpoint.ignore.actions.clone(),
        })
    };
    let enabled = file.notifications.endpoints.iter().filter(|endpoint| !endpoint.disabled);
    Ok(Notifications {
        references: file.notifications.events.includereferences,
        endpoints: enabled.map(endpoint).collect::<Result<_, _>>()?,
    })
}

fn retention(file: &file::File) -> Result<Vec<Retention>, Error> {
    let rule = |rule: &file::Retention| {
        if rule.keep.is_none() && rule.olderthan.is_none() {
            return Err(invalid("retention", "each rule needs keep or olderthan"));
        }
        let protect = match rule.protect.is_empty() {
            true => Vec::new(),
            false => patterns("retention.protect", &rule.protect)?,
        };
        Ok(Retention {
            repositories: patterns("retention", &rule.repositories)?,
            keep: rule.keep,
            older_than: rule.olderthan.map(|span| span.0),
            protect,
        })
    };
    file.retention.iter().map(rule).collect()
}

fn upstreams(file: &file::File) -> Result<Vec<Upstream>, Error> {
    if file.proxy.as_ref().is_some_and(|proxy| !proxy.prefix.is_empty()) {
        return Err(invalid("proxy.prefix", "a registry under a prefix is one of proxies"));
    }
    let mut seen = std::collections::BTreeSet::new();
    let upstream = |upstream: &file::Upstream| {
        let prefix = upstream.prefix.trim_matches('/').to_owned();
        if !prefix.is_empty() && Name::parse(&prefix).is_err() {
            return Err(invalid("proxies.prefix", format!("{prefix} can't begin a repository's name")));
        }
        if !seen.insert(prefix.clone()) {
            return Err(invalid("proxies.prefix", format!("{prefix:?} is there twice")));
        }
        if upstream.remoteurl.is_empty() {
            return Err(invalid("proxies.remoteurl", "it is missing"));
        }
        let credentials = match (&upstream.username, &upstream.password) {
            (Some(name), Some(password)) => Some((name.clone(), password.clone())),
            (None, None) => None,
            _ => return Err(invalid("proxies.username", "a name and a password go together")),
        };
        Ok(Upstream {
            prefix,
            url: upstream.remoteurl.clone(),
            credentials,
            fresh: upstream.ttl.map_or(Duration::from_secs(300), |span| span.0),
            limit: upstream.maxsize.map(|size| size.0),
        })
    };
    file.proxy.iter().chain(&file.proxies).map(upstream).collect()
}

#[cfg(test)]
mod refused_tests;
#[cfg(test)]
mod tests;
