//! Which engine is meant: flags, then environment, then the configured context, then the built-in socket.

use std::path::{Path, PathBuf};

use dial::Proxies;

use crate::config::Config;
use crate::context::{DEFAULT, Store};
use crate::{Error, Host};

/// What the command line says about the engine.
#[derive(Debug, Default, Clone)]
pub struct Wanted {
    /// `-H`.
    pub host: Option<String>,
    /// `-c`.
    pub context: Option<String>,
    /// `--tls`.
    pub tls: bool,
    /// `--tlsverify`, where it was given.
    pub tls_verify: Option<bool>,
    /// `--tlscacert`.
    pub ca: Option<PathBuf>,
    /// `--tlscert`.
    pub cert: Option<PathBuf>,
    /// `--tlskey`.
    pub key: Option<PathBuf>,
}

/// The certificates with which an engine is reached over TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Who signs engines.
    pub ca: Option<PathBuf>,
    /// Whether an engine is believed only if they signed it.
    pub verify: bool,
    /// Our certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// An engine that can be asked.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The context that led here; `default` for flags, environment and the built-in socket.
    pub context: String,
    /// The address as it was written.
    pub address: String,
    /// The address as it was understood.
    pub host: Host,
    /// TLS, where it is used.
    pub tls: Option<TlsFiles>,
    /// Nobody named an engine, so that the local one may be started.
    pub builtin: bool,
    /// `DOCKER_API_VERSION`.
    pub api_version: Option<String>,
    /// Headers from the configuration.
    pub headers: Vec<(String, String)>,
    /// Proxies between here and a tcp engine.
    pub proxies: Proxies,
}

impl Endpoint {
    /// What buildx calls it in its files: its context, or else its address.
    pub fn key(&self) -> &str {
        if self.context == DEFAULT { &self.address } else { &self.context }
    }
}

/// The environment, as a function, so that tests have their own.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The environment of this process; empty variables count as unset, as for docker.
pub fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The folder of the client's configuration.
pub fn config_dir(flag: Option<&str>, env: Env) -> PathBuf {
    match flag.map(str::to_owned).or_else(|| env("DOCKER_CONFIG")) {
        Some(dir) => dir.into(),
        None => Path::new(&env("HOME").unwrap_or_else(|| "/".into())).join(".docker"),
    }
}

/// The name of the context that is in force.
pub fn context_name(wanted: &Wanted, config: &Config, env: Env) -> Result<String, Error> {
    if wanted.context.is_some() && wanted.host.is_some() {
        return Err(Error::HostAndContext);
    }
    if let Some(name) = &wanted.context {
        return Ok(name.clone());
    }
    if wanted.host.is_some() || env("DOCKER_HOST").is_some() {
        return Ok(DEFAULT.into());
    }
    let configured = || config.current_context().map(str::to_owned);
    Ok(env("DOCKER_CONTEXT").or_else(configured).unwrap_or_else(|| DEFAULT.into()))
}

/// The engine that is meant.
pub fn endpoint(wanted: &Wanted, config: &Config, dir: &Path, env: Env) -> Result<Endpoint, Error> {
    let context = context_name(wanted, config, env)?;
    let (address, tls, builtin) = if context == DEFAULT {
        let named = wanted.host.clone().or_else(|| env("DOCKER_HOST"));
        let builtin = named.is_none();
        let socket = || format!("unix://{}", crate::default_socket(env).display());
        (named.unwrap_or_else(socket), tls_of_flags(wanted, dir, env), builtin)
    } else {
        let store = Store::new(dir);
        let found = store.find(&context)?;
        let chosen = wanted.context.is_some();
        let missing = |name| {
            if chosen {
                Error::NoContext(name)
            } else {
                Error::NoCurrentContext(name, config.path().to_owned())
            }
        };
        let found = found.ok_or_else(|| missing(context.clone()))?;
        (found.host().to_owned(), tls_of_context(&store, &found)?, false)
    };
    let api_version = env("DOCKER_API_VERSION").map(|version| check_version(&version)).transpose()?;
    let host = Host::parse(&normal(&address), tls.is_some())?;
    let (headers, proxies) = (config.headers(), Proxies::of_environment(env));
    Ok(Endpoint { context, address, host, tls, builtin, api_version, headers, proxies })
}

/// An address without scheme is tcp's, as for docker.
fn normal(address: &str) -> String {
    if address.contains("://") { address.to_owned() } else { format!("tcp://{address}") }
}

fn check_version(text: &str) -> Result<String, Error> {
    let version = text.trim_start_matches('v');
    let parts = version.split_once('.').map(|(major, minor)| (major.parse::<u16>(), minor.parse::<u16>()));
    match parts {
        Some((Ok(_), Ok(_))) => Ok(version.to_owned()),
        _ => Err(Error::ApiVersion(text.to_owned())),
    }
}

fn tls_of_flags(wanted: &Wanted, dir: &Path, env: Env) -> Option<TlsFiles> {
    let verify = wanted.tls_verify.unwrap_or_else(|| env("DOCKER_TLS_VERIFY").is_some());
    if !(wanted.tls || verify || env("DOCKER_TLS").is_some()) {
        return None;
    }
    let certificates = env("DOCKER_CERT_PATH").map_or_else(|| dir.to_owned(), PathBuf::from);
    let file = |given: &Option<PathBuf>, name: &str| given.clone().unwrap_or_else(|| certificates.join(name));
    let (cert, key) = (file(&wanted.cert, "cert.pem"), file(&wanted.key, "key.pem"));
    // Files that nobody named may be absent; a named one that is absent is an error where it is read.
    let absent = wanted.cert.is_none() && wanted.key.is_none() && !cert.exists() && !key.exists();
    let identity = (!absent).then_some((cert, key));
    // Where nothing is verified, authorities that somebody named have to be there all the same, as for docker.
    let ca = (verify || wanted.ca.is_some()).then(|| file(&wanted.ca, "ca.pem"));
    Some(TlsFiles { ca, verify, identity })
}

fn tls_of_context(store: &Store, context: &crate::context::Context) -> Result<Option<TlsFiles>, Error> {
    let dir = store.tls_dir(&context.name).join(crate::context::ENDPOINT);
    let existing = |name: &str| Some(dir.join(name)).filter(|path| path.exists());
    let (ca, cert, key) = (existing("ca.pem"), existing("cert.pem"), existing("key.pem"));
    if ca.is_none() && cert.is_none() && !context.skip_tls_verify() {
        return Ok(None);
    }
    let ca = ca.filter(|_| !context.skip_tls_verify());
    Ok(Some(TlsFiles { verify: ca.is_some(), ca, identity: cert.zip(key) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Context;
    use serde_json::json;

    fn resolve(wanted: &Wanted, vars: &[(&str, &str)], current: Option<&str>) -> Result<Endpoint, Error> {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::load(dir.path()).unwrap();
        config.set_current_context(current).unwrap();
        let store = Store::new(dir.path());
        store.save(&Context::new("far", "", &json!({ "Host": "tcp://far:1" }))).unwrap();
        let env = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        endpoint(wanted, &config, dir.path(), &env)
    }

    #[test]
    fn flags_beat_the_environment_and_that_the_configuration() {
        let flag = Wanted { host: Some("unix:///f".into()), ..Wanted::default() };
        let vars = [("DOCKER_HOST", "unix:///e"), ("DOCKER_CONTEXT", "far")];
        assert_eq!(resolve(&flag, &vars, Some("far")).unwrap().address, "unix:///f");
        assert_eq!(resolve(&Wanted::default(), &vars, Some("far")).unwrap().address, "unix:///e");
        assert_eq!(resolve(&Wanted::default(), &vars[1..], None).unwrap().address, "tcp://far:1");
        assert_eq!(resolve(&Wanted::default(), &[], Some("far")).unwrap().context, "far");
        let builtin = resolve(&Wanted::default(), &[("KETCH_RUN_DIR", "/r")], None).unwrap();
        assert!(builtin.builtin);
        assert_eq!(builtin.address, "unix:///r/ketch.sock");
    }

    #[test]
    fn a_context_that_is_missing_is_an_error() {
        let named = Wanted { context: Some("gone".into()), ..Wanted::default() };
        assert!(matches!(resolve(&named, &[], None), Err(Error::NoContext(_))));
        assert!(matches!(resolve(&Wanted::default(), &[], Some("gone")), Err(Error::NoCurrentContext(..))));
        let both = Wanted { host: Some("unix:///x".into()), ..named };
        assert!(matches!(resolve(&both, &[], None), Err(Error::HostAndContext)));
    }
}
