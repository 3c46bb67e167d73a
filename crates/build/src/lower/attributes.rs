//! A frontend's attributes, as BuildKit's clients name them. One that isn't known is refused by name.

use std::collections::BTreeMap;

use dockerfile::check;
use oci::image::{ImageConfig, Platform};

use super::context::{Context, Main};
use super::options::NoCache;
use super::problem::Problem;
use super::{git, platform};
use crate::frontend::Ref;
use crate::graph::{ExtraHost, Network, Pull, Ulimit};

/// What is asked, before anything was read.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// The Dockerfile's path in its context.
    pub(super) filename: String,
    /// The client's directory with the Dockerfile, where it has one of its own.
    pub(super) dockerfile_local: String,
    /// The Dockerfile isn't in the context, although that isn't the client's.
    pub(super) own_dockerfile: bool,
    pub(super) context: AskedContext,
    pub(super) subdir: String,
    pub(super) platforms: Vec<Platform>,
    pub(super) several_platforms: bool,
    pub(super) contexts: BTreeMap<String, Context>,
    /// `check=` of a build argument, before the Dockerfile's own.
    pub(super) check: Option<check::Options>,
    /// What is wanted instead of a build.
    pub(super) request: Option<String>,
    /// A syntax that goes before the Dockerfile's.
    pub(super) syntax: Option<String>,
    pub(super) settings: Settings,
}

/// The build's own context.
#[derive(Debug, Clone)]
pub(super) enum AskedContext {
    Local { name: String, session: String },
    Git(git::Address, String),
    Http(String),
    Input(Ref),
}

/// What goes into [`super::Options`] as it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    pub(super) target: String,
    pub(super) arguments: BTreeMap<String, String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) no_cache: NoCache,
    pub(super) pull: Pull,
    pub(super) network: Network,
    pub(super) extra_hosts: Vec<ExtraHost>,
    pub(super) shm_size: u64,
    pub(super) ulimits: Vec<Ulimit>,
    pub(super) cgroup_parent: String,
    pub(super) hostname: String,
    pub(super) cache_namespace: String,
    pub(super) epoch: Option<i64>,
    pub(super) sbom: bool,
}

/// What others read, or what says nothing that we'd need.
const OTHERS: [&str; 7] =
    ["cmdline", "source", "frontend.caps", "cache-imports", "cache-from", "input", "devices"];
const OTHERS_PREFIXES: [&str; 4] = ["attest:", "vcs:", "sharedkey:", "input-metadata:"];

/// Reads them. `inputs` are other builds' results, `host` is what steps run on.
pub(super) fn read(
    attributes: &BTreeMap<String, String>,
    inputs: &BTreeMap<String, Ref>,
    host: &Platform,
) -> Result<Asked, Problem> {
    let get = |name: &str| attributes.get(name).map(String::as_str).filter(|value| !value.is_empty());
    known(attributes)?;
    let argument = |name: &str| get(&format!("build-arg:{name}"));
    let sessions = |local: &str| get(&format!("local-sessionid:{local}")).unwrap_or_default().to_owned();
    let platforms = get("platform").map_or(Ok(Vec::new()), |text| parse_platforms(text, host))?;
    let several = argument("BUILDKIT_MULTI_PLATFORM").or(get("multi-platform"));
    let several = match several.map(|text| boolean("multi-platform", text)).transpose()? {
        Some(false) if platforms.len() > 1 => {
            let why = "conflicting config: returning multiple target platforms is not allowed";
            return Err(Problem::new(why));
        }
        Some(asked) => asked,
        None => platforms.len() > 1,
    };
    let check = argument("BUILDKIT_DOCKERFILE_CHECK").map(check::Options::parse).transpose();
    let filename = get("filename").unwrap_or("Dockerfile").to_owned();
    let dockerfile_local = get("dockerfilekey").unwrap_or("dockerfile").to_owned();
    Ok(Asked {
        context: main(attributes, inputs, &sessions)?,
        own_dockerfile: get("dockerfilekey").is_some(),
        filename,
        dockerfile_local,
        subdir: get("contextsubdir").unwrap_or_default().to_owned(),
        several_platforms: several,
        platforms,
        contexts: contexts(attributes, inputs)?,
        check: check.map_err(|why| {
            Problem::new(format!("failed to parse build-arg:BUILDKIT_DOCKERFILE_CHECK: {why}"))
        })?,
        request: get("requestid").map(str::to_owned),
        syntax: argument("BUILDKIT_SYNTAX").filter(|_| get("cmdline").is_none()).map(str::to_owned),
        settings: Settings {
            target: get("target").unwrap_or_default().to_owned(),
            arguments: with_prefix(attributes, "build-arg:"),
            labels: with_prefix(attributes, "label:"),
            no_cache: match attributes.get("no-cache").map(String::as_str) {
                None => NoCache::Nothing,
                Some("") => NoCache::All,
                Some(stages) => NoCache::Stages(stages.split(',').map(str::to_owned).collect()),
            },
            pull: match get("image-resolve-mode") {
                None | Some("default" | "local") => Pull::Missing,
                Some("pull") => Pull::Always,
                Some(other) => return Err(Problem::new(format!("invalid image-resolve-mode: {other}"))),
            },
            network: network(get("force-network-mode"))?,
            extra_hosts: hosts(get("add-hosts"))?,
            shm_size: number("shm-size", get("shm-size"))?.unwrap_or(0),
            ulimits: ulimits(get("ulimit"))?,
            cgroup_parent: get("cgroup-parent").unwrap_or_default().to_owned(),
            hostname: argument("BUILDKIT_SANDBOX_HOSTNAME")
                .or(get("hostname"))
                .unwrap_or_default()
                .to_owned(),
            cache_namespace: argument("BUILDKIT_CACHE_MOUNT_NS").unwrap_or_default().to_owned(),
            epoch: number("SOURCE_DATE_EPOCH", argument("SOURCE_DATE_EPOCH"))?,
            sbom: attributes.contains_key("attest:sbom"),
        },
    })
}

fn known(attributes: &BTreeMap<String, String>) -> Result<(), Problem> {
    const OWN: [&str; 18] = [
        "add-hosts",
        "cgroup-parent",
        "context",
        "contextkey",
        "contextsubdir",
        "dockerfilekey",
        "filename",
        "force-network-mode",
        "hostname",
        "image-resolve-mode",
        "multi-platform",
        "no-cache",
        "platform",
        "requestid",
        "shm-size",
        "target",
        "ulimit",
        "dockerfile",
    ];
    const OWN_PREFIXES: [&str; 4] = ["build-arg:", "label:", "context:", "local-sessionid:"];
    // A context may go by a name of its own.
    let context = attributes.get("contextkey").map_or("context", String::as_str);
    let fine = |name: &str| {
        name == context
            || OWN.contains(&name)
            || OTHERS.contains(&name)
            || OWN_PREFIXES.iter().chain(&OTHERS_PREFIXES).any(|prefix| name.starts_with(prefix))
    };
    match attributes.keys().find(|name| !fine(name)) {
        Some(odd) => Err(Problem {
            class: diag::Class::NotImplemented,
            ..Problem::new(format!("the Dockerfile frontend has no option {odd:?}"))
        }),
        None => Ok(()),
    }
}

fn main(
    attributes: &BTreeMap<String, String>,
    inputs: &BTreeMap<String, Ref>,
    sessions: &dyn Fn(&str) -> String,
) -> Result<AskedContext, Problem> {
    let key = attributes.get("contextkey").map_or("context", String::as_str);
    let value = attributes.get(key).map(String::as_str).unwrap_or_default();
    if let Some(address) = git::parse(value, true)? {
        return Ok(AskedContext::Git(address, value.to_owned()));
    }
    if value.starts_with("http://") || value.starts_with("https://") {
        return Ok(AskedContext::Http(value.to_owned()));
    }
    if let Some(input) = inputs.get("context") {
        return Ok(AskedContext::Input(input.clone()));
    }
    Ok(AskedContext::Local { name: "context".to_owned(), session: sessions("context") })
}

/// `context:NAME`, and for the results of other builds the configurations that came with them.
fn contexts(
    attributes: &BTreeMap<String, String>,
    inputs: &BTreeMap<String, Ref>,
) -> Result<BTreeMap<String, Context>, Problem> {
    let mut contexts = BTreeMap::new();
    for (key, value) in with_prefix(attributes, "context:") {
        let input = |name: &str| {
            let found = inputs.get(name)?.clone();
            Some((
                found,
                attributes.get(&format!("input-metadata:{name}")).and_then(|text| input_config(text)),
            ))
        };
        let context = Context::parse(&key, &value, input)?;
        let context = match context {
            Context::Local { name, .. } => {
                let session = attributes.get(&format!("local-sessionid:{name}")).cloned().unwrap_or_default();
                Context::Local { name, session }
            }
            other => other,
        };
        contexts.insert(key, context);
    }
    Ok(contexts)
}

/// The image's configuration in another build's metadata, whose values are base64.
fn input_config(text: &str) -> Option<ImageConfig> {
    use base64::Engine as _;
    let metadata: BTreeMap<String, String> = serde_json::from_str(text).ok()?;
    let config = metadata.get("containerimage.config")?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(config).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn with_prefix(attributes: &BTreeMap<String, String>, prefix: &str) -> BTreeMap<String, String> {
    let found = attributes.iter().filter_map(|(name, value)| Some((name.strip_prefix(prefix)?, value)));
    found.map(|(name, value)| (name.to_owned(), value.clone())).collect()
}

fn parse_platforms(text: &str, host: &Platform) -> Result<Vec<Platform>, Problem> {
    let parse = |text: &str| {
        platform::parse(text.trim(), host)
            .map_err(|why| Problem::new(format!("failed to parse target platform {text}: {why}")))
    };
    let mut platforms = Vec::new();
    for platform in text.split(',').map(parse) {
        let platform = platform?;
        if !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    Ok(platforms)
}

fn boolean(name: &str, text: &str) -> Result<bool, Problem> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(Problem::new(format!("invalid boolean value for {name}: {text}"))),
    }
}

fn number<T: std::str::FromStr>(name: &str, text: Option<&str>) -> Result<Option<T>, Problem> {
    text.map(|text| text.parse().map_err(|_| Problem::new(format!("invalid {name}: {text}")))).transpose()
}

fn network(text: Option<&str>) -> Result<Network, Problem> {
    match text {
        None | Some("sandbox") => Ok(Network::Default),
        Some("none") => Ok(Network::None),
        Some("host") => Ok(Network::Host),
        Some(other) => Err(Problem::new(format!("invalid netmode {other}"))),
    }
}

/// `name=address,…`
fn hosts(text: Option<&str>) -> Result<Vec<ExtraHost>, Problem> {
    let wrong = |why: String| Problem::new(format!("failed to parse additional hosts: {why}"));
    let host = |field: &str| {
        let (host, ip) =
            field.split_once('=').ok_or_else(|| wrong(format!("invalid key-value pair {field}")))?;
        let ip = ip.parse().map_err(|_| wrong(format!("failed to parse IP {ip}")))?;
        Ok(ExtraHost { host: host.to_lowercase(), ip })
    };
    text.map_or(Ok(Vec::new()), |text| text.split(',').map(host).collect())
}

/// `nofile=1024:2048,…`
fn ulimits(text: Option<&str>) -> Result<Vec<Ulimit>, Problem> {
    let limit = |field: &str| {
        let wrong = || Problem::new(format!("failed to parse ulimit: invalid ulimit argument: {field}"));
        let (name, values) = field.split_once('=').ok_or_else(wrong)?;
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        let number = |text: &str| text.trim().parse::<i64>().map_err(|_| wrong());
        let (soft, hard) = (number(soft)?, number(hard)?);
        if hard != -1 && (soft > hard || soft == -1) {
            let why = "ulimit soft limit must be less than or equal to hard limit";
            return Err(Problem::new(format!("failed to parse ulimit: {why}: {soft} > {hard}")));
        }
        Ok(Ulimit { name: name.to_owned(), soft, hard })
    };
    text.map_or(Ok(Vec::new()), |text| text.split(',').map(limit).collect())
}

impl AskedContext {
    /// The context as the lowering knows it; of a download it has to be known whether it's an archive.
    pub(super) fn main(&self, archive: bool, keep_git_dir: bool, subdir: &str) -> Main {
        let main = match self {
            Self::Local { name, session } => return Main::local(name.clone()).in_session(session),
            Self::Git(address, shown) => {
                let mut source = address.source.clone();
                source.keep_git_dir = address.keep_git_dir == Some(true) || keep_git_dir;
                Main::git(source, shown.clone())
            }
            Self::Http(url) => Main::http(url.clone(), archive),
            Self::Input(input) => Main::input(input.clone()),
        };
        main.below(subdir)
    }
}
