//! What is said of containers' confinement, runtimes, devices and logs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use engine::security::Seccomp;
use engine::settings::{BUILT_IN_RUNTIME, CgroupDriver, Runtime};
use serde_json::Value;

use super::given::Reader;
use crate::error::Error;

/// What all logs together may take: a size, 0 for no limit, or what the engine thinks right for its disk.
pub(super) fn log_budget(read: &Reader<'_>) -> Result<engine::settings::LogBudget, Error> {
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
pub(super) fn cdi_folders(read: &Reader<'_>) -> Vec<PathBuf> {
    let given = read.list("cdi-spec-dirs");
    let wanted = read.find("features").and_then(|features| features["cdi"].as_bool()).unwrap_or(true);
    match wanted {
        false => Vec::new(),
        true if given.is_empty() => engine::containers::cdi::FOLDERS.map(PathBuf::from).to_vec(),
        // An empty name stands for no folder at all.
        true => given.into_iter().filter(|folder| !folder.is_empty()).map(PathBuf::from).collect(),
    }
}

/// dockerd has one mapping for all containers, of a user that is named; here each container has users of its own.
pub(super) fn private_users(remap: &str) -> Result<bool, Error> {
    match remap {
        "" => Ok(false),
        "default" => Ok(true),
        other => {
            let why =
                format!("{other}: only \"default\" exists, which gives each container users of its own");
            Err(Error::Value { key: "userns-remap".into(), why })
        }
    }
}

/// A profile is read and checked once, so that a container doesn't fail for what the administrator wrote.
pub(super) fn seccomp_profile(name: &str) -> Result<Seccomp, Error> {
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
pub(super) fn cgroup_driver(options: &[String]) -> Result<CgroupDriver, Error> {
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

pub(super) fn cgroup_parent(driver: CgroupDriver, text: Option<&str>) -> Result<String, Error> {
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

/// What was registered, and those that everybody calls by these names, where they are installed.
pub(super) fn runtimes(value: Option<&Value>) -> Result<BTreeMap<String, Runtime>, Error> {
    let mut runtimes = registered_runtimes(value)?;
    for name in ["runc", "crun"].into_iter().filter(|name| is_installed(name)) {
        let found = Runtime { path: name.to_owned(), arguments: Vec::new() };
        runtimes.entry(name.to_owned()).or_insert(found);
    }
    Ok(runtimes)
}

fn is_installed(name: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join(name).is_file())
}

fn registered_runtimes(value: Option<&Value>) -> Result<BTreeMap<String, Runtime>, Error> {
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
