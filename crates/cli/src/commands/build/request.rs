//! From flags to what BuildKit is asked for.

use std::collections::BTreeMap;

use buildkit::attach::Offer;
use buildkit::proto::control::{CacheOptions, CacheOptionsEntry};
use client::resolve::process_env;

use super::answer::{self, Question};
use super::context::{self, Context};
use super::folders::{self, Folder};
use super::outputs::{self, Outputs};
use super::{csv, secrets};
use crate::call::Call;
use crate::error::Error;

/// Everything about one build.
pub(super) struct Request {
    /// What the Dockerfile's frontend is told.
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) outputs: Outputs,
    pub(super) cache: CacheOptions,
    /// Where caches go that become folders of ours.
    pub(super) cache_folders: Vec<Folder>,
    pub(super) entitlements: Vec<String>,
    pub(super) offer: Offer,
    pub(super) context: Context,
    /// Hosts whose address is the engine's to say.
    pub(super) gateway_hosts: Vec<String>,
    /// What is asked instead of building: `frontend.lint`, …
    pub(super) question: Option<Question>,
}

/// Reads the whole command line.
pub(super) fn read(call: &Call) -> Result<Request, Error> {
    let flags = call.flags();
    let (mut attributes, mut offer) = (BTreeMap::new(), Offer::default());
    let question = answer::asked(call)?;
    let tags = tags(&flags.list("tag"))?;
    // A question has no result.
    let outputs = match &question {
        Some(_) => Outputs::default(),
        None => outputs::read(call, &tags, &mut offer)?,
    };
    let context = context::read(call, &mut attributes, &mut offer)?;
    secrets::read(call, &mut offer)?;
    arguments(call, &mut attributes)?;
    let mut set = |key: &str, value: String| drop(attributes.insert(key.to_owned(), value));
    for (key, value) in pairs(&flags.list("label"), |_| Some(String::new())) {
        set(&format!("label:{key}"), value);
    }
    for (flag, key) in [("target", "target"), ("cgroup-parent", "cgroup-parent")] {
        if let Some(value) = flags.find(flag) {
            set(key, value.to_owned());
        }
    }
    set("image-resolve-mode", if flags.bool("pull") { "pull" } else { "local" }.to_owned());
    if flags.bool("no-cache") {
        set("no-cache", String::new());
    } else if !flags.list("no-cache-filter").is_empty() {
        set("no-cache", comma(&flags.list("no-cache-filter")));
    }
    if let Some(platforms) = platforms(call) {
        set("platform", platforms);
    }
    let mut entitlements = flags.list("allow");
    if let Some(mode) = network_mode(flags.text("network"))? {
        set("force-network-mode", mode.to_owned());
        entitlements.extend((mode == "host").then(|| "network.host".to_owned()));
    }
    let (hosts, gateway_hosts) = hosts(&flags.list("add-host"))?;
    if !hosts.is_empty() {
        set("add-hosts", hosts.join(","));
    }
    if flags.bytes("shm-size") > 0 {
        set("shm-size", flags.bytes("shm-size").to_string());
    }
    if !flags.list("ulimit").is_empty() {
        set("ulimit", comma(&flags.list("ulimit")));
    }
    for (kind, value) in attestations(call)? {
        set(&format!("attest:{kind}"), value);
    }
    if flags.bool("explain") {
        if question.is_some() {
            return Err(Error::Usage("--explain is about steps, and a question has none".into()));
        }
        attributes.insert(buildkit::EXPLAIN.into(), "1".into());
    }
    let mut cache = cache(call, attributes.get("build-arg:BUILDKIT_INLINE_CACHE"))?;
    let cache_folders = folders::lend(&mut cache, &mut offer)?;
    if attributes
        .get("build-arg:BUILDKIT_MULTI_PLATFORM")
        .is_some_and(|value| flags::go::parse_bool(value) == Ok(true))
    {
        attributes.insert("multi-platform".into(), "true".into());
    }
    Ok(Request {
        attributes,
        outputs,
        cache,
        cache_folders,
        entitlements,
        offer,
        context,
        gateway_hosts,
        question,
    })
}

fn arguments(call: &Call, attributes: &mut BTreeMap<String, String>) -> Result<(), Error> {
    let given = pairs(&call.flags().list("build-arg"), process_env);
    for (key, value) in call.proxies()?.into_iter().chain(given) {
        attributes.insert(format!("build-arg:{key}"), value);
    }
    if let Some(epoch) = process_env("SOURCE_DATE_EPOCH").filter(|epoch| !epoch.is_empty()) {
        attributes.entry("build-arg:SOURCE_DATE_EPOCH".into()).or_insert(epoch);
    }
    Ok(())
}

/// The network of all steps; nothing where each has its own.
fn network_mode(given: &str) -> Result<Option<&str>, Error> {
    match given {
        "" | "default" => Ok(None),
        mode @ ("none" | "host") => Ok(Some(mode)),
        mode => Err(Error::Usage(format!(
            "network mode {mode:?} not supported by buildkit - you can define a custom network for your builder using \
             the network driver-opt in buildx create"
        ))),
    }
}

/// Names as exporters take them.
fn tags(given: &[String]) -> Result<Vec<String>, Error> {
    let whole = |tag: &String| match oci::Reference::parse_as_typed(tag) {
        Ok(_) => Ok(tag.clone()),
        Err(e) => Err(Error::Usage(format!("invalid tag {tag:?}: {e}"))),
    };
    given.iter().map(whole).collect()
}

/// `key=value`; a key alone has the value that `lacking` finds, or isn't there.
fn pairs(given: &[String], lacking: impl Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    let pair = |text: &String| match text.split_once('=') {
        Some((key, value)) => Some((key.to_owned(), value.to_owned())),
        None => lacking(text).map(|value| (text.clone(), value)),
    };
    given.iter().filter_map(pair).collect()
}

fn comma(values: &[String]) -> String {
    values.join(",")
}

fn platforms(call: &Call) -> Option<String> {
    let given = call.flags().list("platform");
    let given = match given.is_empty() {
        true => process_env("DOCKER_DEFAULT_PLATFORM").into_iter().collect(),
        false => given,
    };
    let all: Vec<&str> = given.iter().flat_map(|text| text.split(',')).map(str::trim).collect();
    let all: Vec<&str> = all.into_iter().filter(|text| !text.is_empty() && *text != "local").collect();
    (!all.is_empty()).then(|| all.join(","))
}

/// `name:address` for each host, in BuildKit's way of writing it; and those that mean the engine's own host.
fn hosts(given: &[String]) -> Result<(Vec<String>, Vec<String>), Error> {
    let (mut known, mut gateways) = (Vec::new(), Vec::new());
    for text in given {
        let split = text.split_once('=').or_else(|| text.split_once(':'));
        let Some((name, address)) = split.filter(|(name, address)| !name.is_empty() && !address.is_empty())
        else {
            return Err(Error::Usage(format!("invalid host {text}")));
        };
        if address == "host-gateway" {
            gateways.push(name.to_owned());
            continue;
        }
        let bare = address.trim_start_matches('[').trim_end_matches(']');
        if bare.parse::<std::net::IpAddr>().is_err() {
            return Err(Error::Usage(format!("invalid host {text}")));
        }
        known.push(format!("{name}={bare}"));
    }
    Ok((known, gateways))
}

/// `--attest`, and its short forms for provenance and SBOM.
fn attestations(call: &Call) -> Result<BTreeMap<String, String>, Error> {
    let flags = call.flags();
    let mut wanted = BTreeMap::new();
    for text in flags.list("attest") {
        let (kind, fields) = csv::typed("attest", &text)?;
        let disabled = fields.get("disabled").is_some_and(|value| flags::go::parse_bool(value) == Ok(true));
        let fields: Vec<String> =
            fields.iter().filter(|(key, _)| *key != "disabled").map(|(k, v)| format!("{k}={v}")).collect();
        wanted.insert(kind, (!disabled).then(|| fields.join(",")));
    }
    for kind in ["provenance", "sbom"] {
        if flags.changed(kind) {
            let text = flags.text(kind);
            wanted.insert(
                kind.to_owned(),
                match flags::go::parse_bool(text) {
                    Ok(false) => None,
                    Ok(true) => Some(String::new()),
                    Err(_) if text.contains('=') => Some(text.to_owned()),
                    Err(_) if kind == "provenance" => Some(format!("mode={text}")),
                    Err(_) => Some(format!("generator={text}")),
                },
            );
        }
    }
    Ok(wanted.into_iter().filter_map(|(kind, value)| Some((kind, value?))).collect())
}

fn cache(call: &Call, inline: Option<&String>) -> Result<CacheOptions, Error> {
    let entries = |flag: &str| -> Result<Vec<CacheOptionsEntry>, Error> {
        call.flags().list(flag).iter().map(|text| entry(flag, text)).collect()
    };
    let (imports, mut exports) = (entries("cache-from")?, entries("cache-to")?);
    if inline.is_some_and(|value| flags::go::parse_bool(value) == Ok(true)) {
        exports.push(CacheOptionsEntry { r#type: "inline".into(), ..CacheOptionsEntry::default() });
    }
    Ok(CacheOptions { imports, exports, ..CacheOptions::default() })
}

/// `type=…,key=value`, or a reference alone.
fn entry(flag: &str, text: &str) -> Result<CacheOptionsEntry, Error> {
    if !text.contains(['=', ',']) {
        let attrs = [("ref".to_owned(), text.to_owned())].into();
        return Ok(CacheOptionsEntry { r#type: "registry".into(), attrs });
    }
    let (kind, fields) = csv::typed(flag, text)?;
    let mut attrs: std::collections::HashMap<String, String> = fields.into_iter().collect();
    if kind == "s3" {
        bucket_keys(&mut attrs, process_env);
    }
    Ok(CacheOptionsEntry { r#type: kind, attrs })
}

/// Who the client is to a bucket stands in the environment, as for AWS' own tools; the engine isn't asked for its own.
fn bucket_keys(
    attrs: &mut std::collections::HashMap<String, String>,
    environment: impl Fn(&str) -> Option<String>,
) {
    if attrs.contains_key("access_key_id") || attrs.contains_key("secret_access_key") {
        return;
    }
    for (key, variable) in [
        ("access_key_id", "AWS_ACCESS_KEY_ID"),
        ("secret_access_key", "AWS_SECRET_ACCESS_KEY"),
        ("session_token", "AWS_SESSION_TOKEN"),
    ] {
        attrs.extend(environment(variable).map(|value| (key.to_owned(), value)));
    }
    for (key, variable) in [("region", "AWS_REGION"), ("bucket", "AWS_BUCKET")] {
        if let Some(value) = environment(variable) {
            attrs.entry(key.to_owned()).or_insert(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_rewritten() {
        let given = ["a:10.0.0.1", "b=::1", "c:[fe80::1]", "d:host-gateway"].map(str::to_owned);
        let (known, gateways) = hosts(&given).unwrap();
        assert_eq!(known, ["a=10.0.0.1", "b=::1", "c=fe80::1"]);
        assert_eq!(gateways, ["d"]);
        assert!(hosts(&["x".to_owned()]).is_err());
        assert!(hosts(&["x:y".to_owned()]).is_err());
    }

    #[test]
    fn a_cache_is_a_reference_or_fields() {
        assert_eq!(entry("cache-from", "user/app:cache").unwrap().r#type, "registry");
        let typed = entry("cache-to", "type=inline").unwrap();
        assert_eq!((typed.r#type.as_str(), typed.attrs.len()), ("inline", 0));
        assert!(entry("cache-to", "mode=max").is_err());
    }
}
