//! `bake`: targets of files, each built by the command of that name.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ::bake::{Asked, Bake, Listed, Target};
use serde_json::{Value, json};

use super::build;
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::ui;

fn usage(text: impl std::fmt::Display) -> Error {
    Error::Usage(format!("ERROR: {text}"))
}

fn wrong(error: &::bake::Error) -> Error {
    usage(diag::chain(error))
}

/// `bake`.
pub(crate) fn bake(call: &Call) -> Outcome {
    let flags = call.flags();
    refuse(call)?;
    let asked = asked(call);
    let files = files(call)?;
    let list = match (flags.bool("list-targets"), flags.bool("list-variables")) {
        (true, _) => "targets",
        (_, true) => "variables",
        _ => flags.text("list"),
    };
    if !list.is_empty() {
        return show_list(&files, &asked, list);
    }
    let mut bake = Bake::load(&files, &asked).map_err(|error| wrong(&error))?;
    for name in bake.wanted.clone() {
        if let Some(target) = bake.targets.get_mut(&name) {
            by_flags(call, target);
        }
    }
    if flags.bool("print") {
        let text = serde_json::to_string_pretty(&bake.to_json()).map_err(|e| usage(e.to_string()))?;
        ui::out(&format!("{text}\n"))?;
        return Ok(0);
    }
    check_allowed(call, &bake)?;
    let mut oven = Oven { call, bake: &bake, linked: BTreeMap::new(), metadata: serde_json::Map::new() };
    let built = oven.build_all();
    // Images that were made for others to stand on go in any case.
    let cleared = oven.clear();
    built?;
    cleared?;
    if let Some(path) = flags.find("metadata-file") {
        let text = serde_json::to_string_pretty(&Value::Object(oven.metadata));
        let text = text.map_err(|e| usage(e.to_string()))?;
        std::fs::write(path, text).map_err(|e| usage(format!("cannot write {path}: {e}")))?;
    }
    Ok(0)
}

fn refuse(call: &Call) -> Result<(), Error> {
    let remote = |name: &&String| name.contains("://") || name.starts_with("git@");
    if let Some(name) = call.args().iter().find(remote) {
        return Err(usage(format!("bake definitions from {name} are not supported: check it out first")));
    }
    Ok(())
}

fn asked(call: &Call) -> Asked {
    let flags = call.flags();
    let pair = |text: String| {
        text.split_once('=')
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .unwrap_or((text, String::new()))
    };
    Asked {
        targets: call.args().to_vec(),
        set: flags.list("set"),
        environment: std::env::vars().collect(),
        variables: flags.list("var").into_iter().map(pair).collect(),
        platform: host(),
    }
}

/// What this machine builds for.
fn host() -> String {
    let wanted = distribution::Wanted::host();
    let platform = wanted.platform();
    let variant = platform.variant.as_ref().filter(|_| platform.architecture == "arm");
    let variant = variant.map(|variant| format!("/{variant}")).unwrap_or_default();
    format!("{}/{}{variant}", platform.os, platform.architecture)
}

fn files(call: &Call) -> Result<Vec<PathBuf>, Error> {
    let given = call.flags().list("file");
    if !given.is_empty() {
        return Ok(given.into_iter().map(PathBuf::from).collect());
    }
    let variable = |name: &str| client::resolve::process_env(name).filter(|value| !value.is_empty());
    if let Some(given) = variable("BUILDX_BAKE_FILE") {
        let separator = variable("BUILDX_BAKE_PATH_SEPARATOR").unwrap_or_else(|| ":".into());
        return Ok(given.split(separator.as_str()).map(PathBuf::from).collect());
    }
    let found = ::bake::defaults(Path::new("."));
    match found.is_empty() {
        true => Err(usage("couldn't find a bake definition")),
        false => Ok(found),
    }
}

fn show_list(files: &[PathBuf], asked: &Asked, list: &str) -> Outcome {
    let (mut what, mut json) = ("", false);
    for field in list.split(',') {
        match field.split_once('=').unwrap_or(("type", field)) {
            ("type", kind @ ("targets" | "variables")) => what = kind,
            ("format", "json") => json = true,
            ("format", "table") => json = false,
            _ => return Err(usage(format!("invalid value {list:?} for --list"))),
        }
    }
    let variables = what == "variables";
    let listed = Bake::list(files, asked, variables).map_err(|error| wrong(&error))?;
    if json {
        let told: Vec<Value> = listed.iter().map(|one| document(one, variables)).collect();
        let text = serde_json::to_string_pretty(&told).map_err(|e| usage(e.to_string()))?;
        ui::out(&format!("{text}\n"))?;
        return Ok(0);
    }
    let head: &[&str] =
        if variables { &["VARIABLE", "TYPE", "VALUE", "DESCRIPTION"] } else { &["TARGET", "DESCRIPTION"] };
    let mut rows: Vec<Vec<String>> = vec![head.iter().map(|&cell| cell.to_owned()).collect()];
    for one in listed {
        let told = if one.members.is_empty() { one.description } else { one.members.join(", ") };
        rows.push(match variables {
            true => vec![one.name, one.kind, one.value.unwrap_or_else(|| "<null>".into()), told],
            false => vec![one.name, told],
        });
    }
    ui::out(&tabbed(&rows))?;
    Ok(0)
}

/// Columns that tabs hold apart, as buildx writes them here.
fn tabbed(rows: &[Vec<String>]) -> String {
    const TAB: usize = 8;
    let length = |cell: &String| cell.chars().count();
    let columns = rows.first().map_or(0, Vec::len);
    let width =
        |at: usize| rows.iter().map(|row| length(&row[at]) + 1).max().unwrap_or(0).next_multiple_of(TAB);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (at, cell) in row.iter().enumerate() {
            text.push_str(&diag::printable(cell));
            if at + 1 < columns {
                text.push_str(&"\t".repeat((widths[at] - length(cell)).div_ceil(TAB)));
            }
        }
        text.push('\n');
    }
    text
}

fn document(one: &Listed, variable: bool) -> Value {
    let mut made = serde_json::Map::new();
    let mut set = |name: &str, value: &str| {
        if !value.is_empty() {
            made.insert(name.to_owned(), json!(value));
        }
    };
    set("name", &one.name);
    set("description", &one.description);
    if variable {
        set("type", &one.kind);
        set("value", one.value.as_deref().unwrap_or_default());
    } else if !one.members.is_empty() {
        set("description", &one.members.join(", "));
        made.insert("group".into(), json!(true));
    }
    Value::Object(made)
}

/// What flags say about every target.
fn by_flags(call: &Call, target: &mut Target) {
    let flags = call.flags();
    if flags.bool("push") {
        target.send("registry");
    } else if flags.bool("load") {
        target.send("docker");
    }
    let mut set = |name: &str, value: &str| {
        // A bool is one whatever the target said before.
        let _ = target.assign(name, value);
    };
    for name in ["no-cache", "pull"] {
        if flags.changed(name) {
            set(name, if flags.bool(name) { "true" } else { "false" });
        }
    }
    if flags.bool("check") {
        set("call", "check");
    } else if flags.changed("call") {
        set("call", flags.text("call"));
    }
    for name in ["provenance", "sbom"] {
        if flags.changed(name) {
            target.attest(name, flags.text(name));
        }
    }
}

/// What reaches further than builds do by themselves has to be allowed on the command line.
fn check_allowed(call: &Call, bake: &Bake) -> Result<(), Error> {
    let allowed = call.flags().list("allow");
    for (name, target) in &bake.targets {
        let mut needed = target.texts("entitlements");
        needed.extend((target.text("network") == Some("host")).then(|| "network.host".to_owned()));
        for needed in needed {
            if !allowed.contains(&needed) {
                let why = format!("target {name:?} asks for {needed}: allow it by --allow {needed}");
                return Err(usage(why));
            }
        }
    }
    Ok(())
}

/// Targets that are being built.
struct Oven<'a> {
    call: &'a Call,
    bake: &'a Bake,
    /// Images of targets that others have as a context.
    linked: BTreeMap<String, String>,
    metadata: serde_json::Map<String, Value>,
}

impl Oven<'_> {
    /// What others stand on first, then everything at once. A question is answered by itself.
    fn build_all(&mut self) -> Result<(), Error> {
        let (mut lines, mut files) = (Vec::new(), Vec::new());
        for name in &self.bake.wanted {
            let Some(target) = self.bake.targets.get(name) else { continue };
            let mut target = target.clone();
            self.link(&mut target)?;
            let mut line = self.line(&target);
            if target.text("call").is_some_and(|call| call != "build") {
                self.run(name, &target, line)?;
                continue;
            }
            let metadata = TemporaryFile::new()?;
            line.insert(1, format!("--metadata-file={}", metadata.0.display()));
            let inline = Self::inline(&target, &mut line)?;
            lines.push((name.clone(), self.call.parsed(&line)?));
            files.push((name.clone(), metadata, inline));
        }
        if !lines.is_empty() {
            build::together(self.call, &lines)?;
        }
        for (name, metadata, _) in &files {
            if let Ok(bytes) = std::fs::read(&metadata.0)
                && let Ok(value) = serde_json::from_slice(&bytes)
            {
                self.metadata.insert(name.clone(), value);
            }
        }
        Ok(())
    }

    /// A Dockerfile that the target itself has, for as long as it is built.
    fn inline(target: &Target, line: &mut Vec<String>) -> Result<Option<TemporaryFile>, Error> {
        let inline = target.text("dockerfile-inline").map(TemporaryFile::with).transpose()?;
        if let Some(inline) = &inline {
            line.insert(1, format!("--file={}", inline.0.display()));
        }
        Ok(inline)
    }

    /// Other targets that are contexts of this one become images first.
    fn link(&mut self, target: &mut Target) -> Result<(), Error> {
        for (context, value) in target.pairs("contexts") {
            let Some(other) = value.strip_prefix("target:") else { continue };
            if !self.linked.contains_key(other) {
                let mut base = self.bake.targets.get(other).cloned().unwrap_or_default();
                self.link(&mut base)?;
                let id = buildkit::identity().map_err(|e| usage(e.to_string()))?;
                let tag = format!("ketch-bake/{}:{id}", other.to_lowercase());
                base.become_image(&tag);
                let line = self.line(&base);
                self.run(other, &base, line)?;
                self.linked.insert(other.to_owned(), tag);
            }
            if let Some(tag) = self.linked.get(other) {
                target.set_pair("contexts", &context, &format!("docker-image://{tag}"));
            }
        }
        Ok(())
    }

    fn run(&self, name: &str, target: &Target, mut line: Vec<String>) -> Result<(), Error> {
        let _inline = Self::inline(target, &mut line)?;
        match self.call.again(&line)? {
            0 => Ok(()),
            code => Err(usage(format!("target {name}: failed to build: exit code {code}"))),
        }
    }

    /// The target as a `build` takes it.
    fn line(&self, target: &Target) -> Vec<String> {
        let flags = self.call.flags();
        let mut line = vec!["build".to_owned()];
        let mut push = |flag: &str, value: &str| line.push(format!("--{flag}={value}"));
        let context = target.text("context").unwrap_or(".");
        if target.text("dockerfile-inline").is_none() {
            push("file", &in_context(context, target.text("dockerfile").unwrap_or("Dockerfile")));
        }
        for (name, flag) in [
            ("args", "build-arg"),
            ("labels", "label"),
            ("contexts", "build-context"),
            ("extra-hosts", "add-host"),
        ] {
            for (key, value) in target.pairs(name) {
                push(flag, &format!("{key}={value}"));
            }
        }
        for (name, flag) in [
            ("tags", "tag"),
            ("annotations", "annotation"),
            ("attest", "attest"),
            ("cache-from", "cache-from"),
            ("cache-to", "cache-to"),
            ("secret", "secret"),
            ("ssh", "ssh"),
            ("platforms", "platform"),
            ("output", "output"),
            ("no-cache-filter", "no-cache-filter"),
            ("ulimits", "ulimit"),
            ("entitlements", "allow"),
        ] {
            for value in target.texts(name) {
                push(flag, &value);
            }
        }
        for name in ["target", "network", "shm-size", "call"] {
            if let Some(value) = target.text(name).filter(|value| !value.is_empty()) {
                push(name, value);
            }
        }
        for name in ["pull", "no-cache"] {
            if let Some(value) = target.flag(name) {
                push(name, if value { "true" } else { "false" });
            }
        }
        if flags.changed("progress") {
            push("progress", flags.text("progress"));
        }
        if let Some(name) = self.call.innermost("builder") {
            push("builder", name);
        }
        if self.call.debug() {
            push("debug", "true");
        }
        line.push(context.to_owned());
        line
    }

    fn clear(&self) -> Result<(), Error> {
        for tag in self.linked.values() {
            let path = format!("/images/{}?force=1", client::encode(tag));
            self.call.with_engine(|engine| async move {
                // One whose build failed was never there.
                let _ = engine.call(http::Method::DELETE, &path, None).await;
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// A Dockerfile is looked for in its context.
fn in_context(context: &str, dockerfile: &str) -> String {
    let remote = context.contains("://") || context.starts_with("git@") || context == "-";
    match remote || dockerfile.starts_with('/') {
        true => dockerfile.to_owned(),
        false => format!("{}/{dockerfile}", context.trim_end_matches('/')),
    }
}

/// A file for as long as a target is built.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn new() -> Result<Self, Error> {
        let name = buildkit::identity().map_err(|e| usage(e.to_string()))?;
        Ok(Self(std::env::temp_dir().join(format!("ketch-bake-{name}"))))
    }

    fn with(text: &str) -> Result<Self, Error> {
        let failed = |e: std::io::Error| Error::Io("write an inline Dockerfile", e);
        let made = Self::new()?;
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&made.0).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        Ok(made)
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = std::fs::remove_file(&self.0);
    }
}
