//! `cargo xtask check`: what the compiler doesn't check about the workspace.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::process::{self, cargo, workspace};

/// Who may call whom. An arrow that isn't here is an error; so is a crate that isn't.
const ARROWS: &[(&str, &[&str])] = &[
    ("ketch", &["api", "bundle", "cli", "daemon", "demo", "diag", "reaper", "runtime", "shim"]),
    // faces
    ("demo", &["dial", "network"]),
    // `manifest` speaks to registries itself, as docker's does: there is no route for it.
    // And `cp` packs and unpacks the very tars that the engine does.
    (
        "cli",
        &[
            "about",
            "bake",
            "buildkit",
            "client",
            "compose",
            "detach",
            "diag",
            "distribution",
            "flags",
            "git",
            "grpc",
            "layers",
            "live",
            "oci",
            "regex",
            "registry",
            "sys",
            "tasks",
        ],
    ),
    ("live", &[]),
    ("client", &["diag", "dial", "sys", "tasks"]),
    ("bake", &["compose", "diag", "flags", "regex"]),
    ("compose", &["diag", "dockerfile", "yaml"]),
    ("daemon", &["about", "api", "diag", "engine", "flags", "registry", "serving", "state", "sys"]),
    ("api", &["about", "build", "buildkit", "detach", "diag", "engine", "oci", "serving", "tasks"]),
    (
        "registry",
        &["about", "content", "diag", "distribution", "flags", "oci", "serving", "sys", "tasks", "yaml"],
    ),
    ("bundle", &["about", "diag", "flags", "runtime", "sys"]),
    // Both ends of one protocol: the words of `build` are what it carries.
    ("buildkit", &["build", "diag", "dockerfile", "flags", "fsutil", "grpc", "oci", "regex", "tasks"]),
    ("fsutil", &["build", "grpc", "tasks"]),
    // decides
    (
        "engine",
        &[
            "build",
            "content",
            "diag",
            "dial",
            "distribution",
            "dns",
            "git",
            "layers",
            "network",
            "oci",
            "regex",
            "runtime",
            "shim",
            "state",
            "sys",
            "tasks",
            "yaml",
        ],
    ),
    ("build", &["diag", "dockerfile", "oci", "tasks"]),
    // stores and drivers
    ("distribution", &["content", "diag", "dial", "oci", "sys", "tasks"]),
    ("reaper", &["sys"]),
    ("shim", &["diag", "oci", "runtime", "sys"]),
    ("runtime", &["diag", "netlink", "oci", "sys", "systemd"]),
    ("layers", &["content", "diag", "oci", "sys"]),
    ("content", &["diag", "oci", "sys"]),
    ("state", &["diag", "oci", "sys"]),
    // ground
    ("dial", &[]),
    ("dockerfile", &["diag"]),
    ("dns", &["tasks"]),
    ("git", &["diag"]),
    ("grpc", &["diag", "tasks"]),
    ("yaml", &[]),
    ("serving", &["tasks"]),
    ("flags", &["diag"]),
    ("oci", &["diag"]),
    ("network", &["netlink", "sys"]),
    ("netlink", &["sys"]),
    ("systemd", &[]),
    ("tasks", &[]),
    ("sys", &["diag"]),
    ("detach", &[]),
    ("diag", &[]),
    ("about", &[]),
    // Stands in for the crate of that name.
    ("regex", &[]),
    // beside the product: they see it from outside
    ("testkit", &["netlink", "network", "regex", "sys"]),
    ("xtask", &["testkit"]),
    (
        "e2e",
        &[
            "build",
            "buildkit",
            "compose",
            "daemon",
            "distribution",
            "dns",
            "dockerfile",
            "engine",
            "flags",
            "fsutil",
            "grpc",
            "layers",
            "network",
            "oci",
            "registry",
            "shim",
            "testkit",
        ],
    ),
    ("bench", &["network", "testkit"]),
];
/// Past this, tests aside, a file is listed as a candidate for a second subject.
const LONG: usize = 600;

pub(crate) fn run() -> anyhow::Result<()> {
    let metadata: Value =
        serde_json::from_str(&process::output(cargo().args(["metadata", "--format-version=1"]))?)?;
    let mut problems = arrows(&metadata);
    problems.extend(licences(&metadata)?);
    problems.extend(architecture_paths()?);
    problems.extend(sources()?);
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    let ketch = process::ketch("debug")?;
    if ketch.exists() {
        is_static(&ketch)?;
    }
    println!("check: arrows, licences, paths and sources are as they should be");
    Ok(())
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn arrows(metadata: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    for package in list(metadata, "packages").iter().filter(|package| package["source"].is_null()) {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
            problems.push(format!("crate {name} has no place in the table of arrows"));
            continue;
        };
        let ours = list(package, "dependencies").iter().filter(|dependency| dependency["path"].is_string());
        // What only tests use draws no arrow.
        let ours = ours.filter(|dependency| dependency["kind"] != "dev");
        for dependency in ours.filter_map(|dependency| dependency["name"].as_str()) {
            if !allowed.contains(&dependency) {
                problems.push(format!("{name} may not depend on {dependency}"));
            }
        }
    }
    problems
}

/// Licences of everything cargo resolves, against the list in deny.toml.
fn licences(metadata: &Value) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(workspace().join("deny.toml"))?;
    let line = text
        .lines()
        .find(|line| line.starts_with("allow = ["))
        .context("deny.toml has no list of licences")?;
    let allowed: BTreeSet<&str> = line.split('"').skip(1).step_by(2).collect();
    let foreign = list(metadata, "packages").iter().filter(|package| package["source"].is_string());
    let refused =
        foreign.filter(|package| !licence_allowed(package["license"].as_str().unwrap_or_default(), &allowed));
    Ok(refused
        .map(|package| format!("{} has licence {}, not in deny.toml", package["name"], package["license"]))
        .collect())
}

/// An SPDX expression, as far as crates use it: all of the `AND`s, any of the `OR`s (`/` is the old way to say it).
fn licence_allowed(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let expression = expression.replace('/', " OR ").replace(['(', ')'], "");
    expression.split(" AND ").all(|part| part.split(" OR ").any(|licence| allowed.contains(licence.trim())))
}

/// Every `path/in/backquotes` of ARCHITECTURE.md exists.
fn architecture_paths() -> anyhow::Result<Vec<String>> {
    let page = workspace().join("ARCHITECTURE.md");
    if !page.exists() {
        return Ok(vec!["ARCHITECTURE.md is missing".to_owned()]);
    }
    let text = fs::read_to_string(page)?;
    let quoted = text.split('`').skip(1).step_by(2);
    let folders = ["crates/", "tests/", "bench/", "fuzz/", "docs/", "coverage/", "examples/"];
    let named = quoted.filter(|word| {
        folders.iter().any(|folder| word.starts_with(folder)) && !word.contains([' ', '*', '<'])
    });
    Ok(named
        .filter(|path| !workspace().join(path).exists())
        .map(|path| format!("ARCHITECTURE.md names {path}, which doesn't exist"))
        .collect())
}

/// No `unsafe` outside `sys`, and a report of long files.
fn sources() -> anyhow::Result<Vec<String>> {
    let mut problems = Vec::new();
    for path in rust_files(&workspace())? {
        let text = fs::read_to_string(&path)?;
        let shown = path.strip_prefix(workspace()).unwrap_or(&path).to_owned();
        if !shown.starts_with("crates/sys") && !shown.starts_with("crates/xtask") {
            let unsafe_lines = text.lines().filter(|line| {
                ["unsafe {", "unsafe fn", "unsafe impl"].iter().any(|word| line.contains(word))
            });
            problems.extend(
                unsafe_lines.map(|line| format!("{}: unsafe outside sys: {}", shown.display(), line.trim())),
            );
        }
        let length = text.split("#[cfg(test)]").next().unwrap_or_default().lines().count();
        if length > LONG {
            println!("long: {} has {length} lines", shown.display());
        }
    }
    Ok(problems)
}

/// The sources that are ours: not what cargo built.
pub(crate) fn rust_files(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["crates", "tests", "bench", "fuzz"].iter().map(|name| root.join(name)).collect();
    while let Some(folder) = folders.pop().filter(|folder| folder.exists()) {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// An ELF file without an interpreter needs no other file to run.
pub(crate) fn is_static(binary: &Path) -> anyhow::Result<()> {
    let headers =
        process::output(std::process::Command::new("readelf").arg("--program-headers").arg(binary))?;
    ensure!(!headers.contains("INTERP"), "{} is not static", binary.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_expressions() {
        let allowed = BTreeSet::from(["MIT", "Apache-2.0", "Unicode-3.0"]);
        for fine in ["MIT", "MIT/Apache-2.0", "GPL-3.0 OR MIT", "(MIT OR Apache-2.0) AND Unicode-3.0"] {
            assert!(licence_allowed(fine, &allowed), "{fine}");
        }
        for refused in ["", "GPL-3.0", "MIT AND GPL-3.0"] {
            assert!(!licence_allowed(refused, &allowed), "{refused}");
        }
    }

    #[test]
    fn no_arrow_points_up_or_in_a_circle() {
        for (index, (name, targets)) in ARROWS.iter().enumerate() {
            let below = |target: &&str| ARROWS.iter().position(|(known, _)| known == target) > Some(index);
            let beside = ["testkit", "xtask", "e2e", "bench"].contains(name);
            assert!(beside || targets.iter().all(below), "{name} points up");
        }
    }
}
