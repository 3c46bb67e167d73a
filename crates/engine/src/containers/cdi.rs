//! Devices by name (the Container Device Interface): files of the administrator's or of a device's vendor say what a
//! container gets with `vendor.com/class=name`.
//!
//! The files are read at each start that asks for such a device: they change when drivers do.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use build::request::Devices;
use oci_spec::runtime as rt;
use serde::Deserialize;

use super::config::{DeviceRequest, HostConfig};
use super::devices;
use crate::Error;

/// Where files are looked for; those in later folders take precedence.
pub const FOLDERS: [&str; 2] = ["/etc/cdi", "/var/run/cdi"];
/// Annotations that BuildKit reads.
const AUTO_ALLOW: &str = "org.mobyproject.buildkit.device.autoallow";
const CLASS: &str = "org.mobyproject.buildkit.device.class";
const MOST_FILE: u64 = 1 << 20;
const MOST_FILES: usize = 256;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    cdi_version: String,
    kind: String,
    #[serde(default)]
    devices: Vec<Device>,
    #[serde(default)]
    container_edits: Edits,
    #[serde(default)]
    annotations: Annotations,
}

/// What a file says beside CDI. Values are texts, but people write `true`.
type Annotations = HashMap<String, serde_json::Value>;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Device {
    name: String,
    #[serde(default)]
    container_edits: Edits,
    #[serde(default)]
    annotations: Annotations,
}

/// What a container gets with a device.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Edits {
    env: Vec<String>,
    device_nodes: Vec<Node>,
    mounts: Vec<Mount>,
    hooks: Vec<Hook>,
    #[serde(rename = "additionalGids")]
    additional_gids: Vec<u32>,
    intel_rdt: Option<serde_json::Value>,
    net_devices: Vec<serde_json::Value>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    path: String,
    host_path: Option<String>,
    file_mode: Option<u32>,
    permissions: Option<String>,
    uid: Option<u32>,
    gid: Option<u32>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mount {
    host_path: PathBuf,
    container_path: PathBuf,
    #[serde(default)]
    options: Vec<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hook {
    hook_name: String,
    path: PathBuf,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: Vec<String>,
    timeout: Option<i64>,
}

/// A device that files describe, as `info` tells it.
pub fn discovered(folders: &[PathBuf]) -> Vec<String> {
    let specs = read(folders).into_iter().map(|(_, spec)| spec);
    let names = |spec: Spec| {
        let Spec { kind, devices, .. } = spec;
        devices.into_iter().map(move |device| format!("{kind}={}", device.name))
    };
    let mut names: Vec<_> = specs.flat_map(names).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// A device as `buildx inspect` shows it.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    pub name: String,
    /// Whether builds have it without asking.
    pub auto_allow: bool,
    pub annotations: BTreeMap<String, String>,
}

/// All devices, by their names in order.
pub fn shown(folders: &[PathBuf]) -> Vec<Shown> {
    let mut known = BTreeMap::new();
    for (_, spec) in read(folders) {
        for device in spec.devices {
            let text = |(key, value): (&String, &serde_json::Value)| {
                (key.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            };
            let both = spec.annotations.iter().chain(&device.annotations);
            let annotations: BTreeMap<_, _> = both.map(text).collect();
            let name = format!("{}={}", spec.kind, device.name);
            let auto_allow = annotations.get(AUTO_ALLOW).is_some_and(|value| value == "true");
            known.insert(name.clone(), Shown { name, auto_allow, annotations });
        }
    }
    known.into_values().collect()
}

/// What a build's step gets of the devices that it asks for, as BuildKit decides it and in its words.
pub(crate) fn granted(
    asked: &[build::graph::Device],
    allowed: Option<&Devices>,
    folders: &[PathBuf],
) -> Result<Vec<String>, build::Error> {
    let known = shown(folders);
    let alias = |name: &String| allowed.and_then(|allowed| allowed.names.get(name)).cloned().flatten();
    let (mut granted, mut wanted) = (Vec::new(), Vec::new());
    for device in asked {
        match alias(&device.name) {
            // What an alias means is named by who allows it.
            Some(meant) => granted.extend(meaning(&meant, device.optional, &known)?),
            None => wanted.extend(meaning(&device.name, device.optional, &known)?),
        }
    }
    if let Some(Devices { all: false, names }) = allowed
        && !wanted.is_empty()
    {
        for name in names.iter().filter(|(_, alias)| alias.is_none()).map(|(name, _)| name) {
            let these = meaning(name, false, &known)?;
            granted.extend(wanted.iter().filter(|wanted| these.contains(wanted)).cloned());
        }
    }
    let automatic = |name: &String| known.iter().any(|device| device.auto_allow && device.name == *name);
    let all = allowed.is_some_and(|allowed| allowed.all);
    let may = |name: &String| all || granted.contains(name) || automatic(name);
    let forbidden: Vec<_> = wanted.iter().filter(|name| !may(name)).cloned().collect();
    match forbidden.as_slice() {
        [] => {}
        [one] => return Err(build::Error::DeviceNotAllowed(format!("device {one} is"))),
        several => return Err(build::Error::DeviceNotAllowed(format!("devices {} are", several.join(", ")))),
    }
    granted.extend(wanted);
    let mut seen = BTreeSet::new();
    granted.retain(|name| seen.insert(name.clone()));
    Ok(granted)
}

/// The devices that a name of a build's means.
fn meaning(name: &str, optional: bool, known: &[Shown]) -> Result<Vec<String>, build::Error> {
    let (kind, device) = name.split_once('=').unwrap_or((name, ""));
    if !kind.split_once('/').is_some_and(|(vendor, class)| is_word(vendor, "_-.") && is_word(class, "_-")) {
        return Err(build::Error::Invalid(format!("invalid device {name:?}")));
    }
    let of_kind = || known.iter().filter(|known| known.name.split('=').next() == Some(kind));
    let mut found: Vec<_> = match device {
        "" => of_kind().take(1).collect(),
        "*" => of_kind().collect(),
        _ => of_kind().filter(|known| known.name == name).collect(),
    };
    if found.is_empty() && !device.is_empty() {
        found =
            of_kind().filter(|known| known.annotations.get(CLASS).is_some_and(|of| of == device)).collect();
    }
    match found.is_empty() && !optional {
        true => Err(build::Error::NotFound(format!("required device {name:?} is not registered"))),
        false => Ok(found.into_iter().map(|found| found.name.clone()).collect()),
    }
}

/// Begins with a letter and ends with a letter or a digit.
fn is_word(text: &str, inside: &str) -> bool {
    let within = |letter: char| letter.is_ascii_alphanumeric() || inside.contains(letter);
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.ends_with(|last: char| last.is_ascii_alphanumeric())
        && text.chars().all(within)
}

/// Refuses requests that can't be met on any machine.
pub(super) fn check(host: &HostConfig) -> Result<(), Error> {
    for request in host.device_requests.iter().flatten() {
        if request.count != 0 && request.device_ids.as_ref().is_some_and(|ids| !ids.is_empty()) {
            return Err(Error::Invalid("cannot set both Count and DeviceIDs on device request".into()));
        }
        if request.options.as_ref().is_some_and(|options| !options.is_empty()) {
            let instead = Some("a device's file says all that there is to say of it".into());
            return Err(Error::Unsupported { feature: "DeviceRequests.Options".into(), instead });
        }
        if !is_gpu(request) && request.driver != "cdi" {
            return Err(no_driver(request));
        }
    }
    Ok(())
}

fn is_gpu(request: &DeviceRequest) -> bool {
    let wanted = request.capabilities.iter().flatten().any(|all| all.iter().any(|one| one == "gpu"));
    wanted && matches!(request.driver.as_str(), "" | "cdi" | "nvidia" | "amd")
}

fn no_driver(request: &DeviceRequest) -> Error {
    let all: Vec<String> =
        request.capabilities.iter().flatten().map(|all| format!("[{}]", all.join(" "))).collect();
    let (driver, all) = (&request.driver, all.join(" "));
    Error::Device(format!("could not select device driver \"{driver}\" with capabilities: [{all}]"))
}

/// Gives the container what its devices by name bring.
pub(super) fn apply(host: &HostConfig, folders: &[PathBuf], spec: &mut rt::Spec) -> Result<(), Error> {
    let requests: Vec<_> = host.device_requests.iter().flatten().collect();
    if requests.is_empty() {
        return Ok(());
    }
    let files = read(folders);
    let mut kinds = Vec::new();
    for request in requests {
        for name in names(request, &files)? {
            let (of_kind, of_device) = find(&name, &files)?;
            // What all devices of a kind bring, they bring once.
            let first = name.split('=').next().is_some_and(|kind| !kinds.iter().any(|known| known == kind));
            if first {
                kinds.push(name.split('=').next().unwrap_or_default().to_owned());
                of_kind.apply(&name, spec)?;
            }
            of_device.apply(&name, spec)?;
        }
    }
    Ok(())
}

/// The devices that a request means.
fn names(request: &DeviceRequest, files: &[(PathBuf, Spec)]) -> Result<Vec<String>, Error> {
    let ids = request.device_ids.clone().unwrap_or_default();
    if !is_gpu(request) {
        return Ok(ids);
    }
    let vendor = |kind: &str| match request.driver.as_str() {
        "nvidia" => kind == "nvidia.com/gpu",
        "amd" => kind == "amd.com/gpu",
        _ => kind.ends_with("/gpu"),
    };
    let kind = files.iter().map(|(_, spec)| spec.kind.as_str()).find(|kind| vendor(kind));
    let kind = kind.ok_or_else(|| no_driver(request))?;
    Ok(match request.count {
        _ if !ids.is_empty() => {
            ids.iter().map(|id| if id.contains('=') { id.clone() } else { format!("{kind}={id}") }).collect()
        }
        count if count < 0 => vec![format!("{kind}=all")],
        count => (0..count).map(|number| format!("{kind}={number}")).collect(),
    })
}

fn find<'a>(name: &str, files: &'a [(PathBuf, Spec)]) -> Result<(&'a Edits, &'a Edits), Error> {
    let (kind, device) = name.split_once('=').unwrap_or((name, ""));
    let found = files.iter().rev().filter(|(_, spec)| spec.kind == kind).find_map(|(_, spec)| {
        let device = spec.devices.iter().find(|known| known.name == device)?;
        Some((&spec.container_edits, &device.container_edits))
    });
    found
        .ok_or_else(|| Error::Device(format!("CDI device injection failed: unresolvable CDI devices {name}")))
}

/// All files that can be read, in the order in which later ones take precedence.
fn read(folders: &[PathBuf]) -> Vec<(PathBuf, Spec)> {
    let mut specs = Vec::new();
    for folder in folders {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
        paths.sort_unstable();
        for path in paths.into_iter().take(MOST_FILES) {
            match read_file(&path) {
                Ok(Some(spec)) => specs.push((path, spec)),
                Ok(None) => {}
                // The others are good all the same.
                Err(why) => tracing::warn!(path = %path.display(), why, "a file of devices is passed over"),
            }
        }
    }
    specs
}

fn read_file(path: &Path) -> Result<Option<Spec>, String> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if !matches!(extension, "json" | "yaml" | "yml") {
        return Ok(None);
    }
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(MOST_FILE).read_to_string(&mut text));
    read.map_err(|error| error.to_string())?;
    let spec: Spec = match extension {
        "json" => serde_json::from_str(&text).map_err(|error| error.to_string())?,
        _ => yaml::from_str(&text).map_err(|error| error.to_string())?,
    };
    if !spec.cdi_version.starts_with("0.") && !spec.cdi_version.starts_with("1.") {
        return Err(format!("version {} is unknown", spec.cdi_version));
    }
    Ok(Some(spec))
}

impl Edits {
    fn apply(&self, device: &str, spec: &mut rt::Spec) -> Result<(), Error> {
        let unsupported = |what: &str| {
            Err(Error::Unsupported { feature: format!("{what} of the device {device}"), instead: None })
        };
        if self.intel_rdt.is_some() {
            return unsupported("intelRdt");
        }
        if !self.net_devices.is_empty() {
            return unsupported("netDevices");
        }
        self.apply_to_process(spec);
        self.apply_nodes(device, spec)?;
        let mut mounts = spec.mounts().clone().unwrap_or_default();
        mounts.extend(self.mounts.iter().map(Mount::spec));
        spec.set_mounts(Some(mounts));
        self.apply_hooks(device, spec)
    }

    fn apply_to_process(&self, spec: &mut rt::Spec) {
        let Some(mut process) = spec.process().clone() else { return };
        let mut env: BTreeMap<usize, String> =
            process.env().clone().unwrap_or_default().into_iter().enumerate().collect();
        for entry in &self.env {
            let name = entry.split('=').next();
            env.retain(|_, known| known.split('=').next() != name);
            let next = env.keys().next_back().map_or(0, |last| last + 1);
            env.insert(next, entry.clone());
        }
        process.set_env(Some(env.into_values().collect()));
        let mut user = process.user().clone();
        let mut groups = user.additional_gids().clone().unwrap_or_default();
        groups.extend(self.additional_gids.iter().filter(|group| **group != 0));
        user.set_additional_gids(Some(groups));
        process.set_user(user);
        spec.set_process(Some(process));
    }

    fn apply_nodes(&self, device: &str, spec: &mut rt::Spec) -> Result<(), Error> {
        let Some(mut linux) = spec.linux().clone() else { return Ok(()) };
        let mut nodes = linux.devices().clone().unwrap_or_default();
        let mut resources = linux.resources().clone().unwrap_or_default();
        let mut rules = resources.devices().clone().unwrap_or_default();
        for asked in &self.device_nodes {
            let access = asked.permissions.clone().unwrap_or_else(|| "rwm".into());
            let host_path = asked.host_path.as_deref().unwrap_or(&asked.path);
            let mut node = devices::at(Path::new(host_path)).ok_or_else(|| {
                Error::Device(format!(
                    "CDI device injection failed: {host_path} of {device} is no device node"
                ))
            })?;
            node.set_path(asked.path.clone().into());
            if asked.file_mode.is_some() {
                node.set_file_mode(asked.file_mode);
            }
            let (uid, gid) = (asked.uid.or(node.uid()), asked.gid.or(node.gid()));
            node.set_uid(uid).set_gid(gid);
            // What may do everything already has no list.
            if !rules.is_empty() {
                rules.push(devices::allow(&node, &access));
            }
            nodes.push(node);
        }
        if !rules.is_empty() {
            resources.set_devices(Some(rules));
        }
        linux.set_devices(Some(nodes).filter(|nodes| !nodes.is_empty())).set_resources(Some(resources));
        spec.set_linux(Some(linux));
        Ok(())
    }

    fn apply_hooks(&self, device: &str, spec: &mut rt::Spec) -> Result<(), Error> {
        let mut hooks = spec.hooks().clone().unwrap_or_default();
        let mut by_name: HashMap<&str, Vec<rt::Hook>> = HashMap::new();
        for hook in &self.hooks {
            by_name.entry(&hook.hook_name).or_default().push(hook.spec());
        }
        for (name, more) in by_name {
            let with = |known: &Option<Vec<rt::Hook>>| {
                Some([known.clone().unwrap_or_default(), more.clone()].concat())
            };
            match name {
                "createRuntime" | "prestart" => hooks.set_create_runtime(with(hooks.create_runtime())),
                "createContainer" => hooks.set_create_container(with(hooks.create_container())),
                "startContainer" => hooks.set_start_container(with(hooks.start_container())),
                "poststart" => hooks.set_poststart(with(hooks.poststart())),
                "poststop" => hooks.set_poststop(with(hooks.poststop())),
                other => {
                    return Err(Error::Device(format!(
                        "CDI device injection failed: {device} has a hook {other:?}, which there isn't"
                    )));
                }
            };
        }
        if !self.hooks.is_empty() {
            spec.set_hooks(Some(hooks));
        }
        Ok(())
    }
}

impl Mount {
    fn spec(&self) -> rt::Mount {
        let mut mount = rt::Mount::default();
        let options = match self.options.is_empty() {
            true => vec!["rbind".to_owned(), "rprivate".into(), "ro".into()],
            false => self.options.clone(),
        };
        mount
            .set_source(Some(self.host_path.clone()))
            .set_destination(self.container_path.clone())
            .set_typ(Some(self.kind.clone().unwrap_or_else(|| "bind".into())))
            .set_options(Some(options));
        mount
    }
}

impl Hook {
    fn spec(&self) -> rt::Hook {
        let mut hook = rt::Hook::default();
        hook.set_path(self.path.clone())
            .set_args(Some(self.args.clone()).filter(|args| !args.is_empty()))
            .set_env(Some(self.env.clone()).filter(|env| !env.is_empty()))
            .set_timeout(self.timeout);
        hook
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(driver: &str, count: i64, ids: &[&str], gpu: bool) -> DeviceRequest {
        DeviceRequest {
            driver: driver.into(),
            count,
            device_ids: Some(ids.iter().map(|&id| id.to_owned()).collect()),
            capabilities: gpu.then(|| vec![vec!["gpu".to_owned()]]),
            options: None,
        }
    }

    #[test]
    fn files_are_read_in_both_forms_and_later_folders_win() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("a"), folder.path().join("b"));
        let write = |path: &Path, name: &str, text: &str| {
            fs::create_dir_all(path).unwrap();
            fs::write(path.join(name), text).unwrap();
        };
        let json = |env: &str| {
            format!(
                "{{\"cdiVersion\":\"0.6.0\",\"kind\":\"x.org/gpu\",\"devices\":[{{\"name\":\"0\",\
                 \"containerEdits\":{{\"env\":[\"{env}\"]}}}}]}}"
            )
        };
        write(&first, "x.json", &json("A=1"));
        write(&second, "x.json", &json("A=2"));
        write(&second, "y.yaml", "cdiVersion: 0.5.0\nkind: y.org/net\ndevices:\n- name: eth\n");
        write(&second, "broken.json", "{");
        write(&second, "note.txt", "nothing");
        let folders = [first, second];
        assert_eq!(discovered(&folders), ["x.org/gpu=0", "y.org/net=eth"]);
        let files = read(&folders);
        let (_, edits) = find("x.org/gpu=0", &files).unwrap();
        assert_eq!(edits.env, ["A=2"]);
        let missing = find("x.org/gpu=1", &files).unwrap_err().to_string();
        assert_eq!(missing, "CDI device injection failed: unresolvable CDI devices x.org/gpu=1");
        let gpus = |count, ids: &[&str]| names(&request("", count, ids, true), &files).unwrap();
        assert_eq!(gpus(-1, &[]), ["x.org/gpu=all"]);
        assert_eq!(gpus(2, &[]), ["x.org/gpu=0", "x.org/gpu=1"]);
        assert_eq!(gpus(0, &["7"]), ["x.org/gpu=7"]);
        assert!(names(&request("nvidia", -1, &[], true), &files).is_err());
    }

    #[test]
    fn what_no_file_can_bring_is_refused() {
        let refusal = |request| {
            let host = HostConfig { device_requests: Some(vec![request]), ..HostConfig::default() };
            check(&host).map_err(|error| error.to_string())
        };
        assert_eq!(
            refusal(request("foo", 1, &[], true)).unwrap_err(),
            "could not select device driver \"foo\" with capabilities: [[gpu]]"
        );
        assert_eq!(
            refusal(request("", 1, &["0"], true)).unwrap_err(),
            "cannot set both Count and DeviceIDs on device request"
        );
        assert!(refusal(request("cdi", 0, &["a.b/c=d"], false)).is_ok());
    }
}
