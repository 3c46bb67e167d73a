//! What a build is called, and where it was built from: by what its frontend was told and by what is noted here, as buildx
//! puts both together.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::commands::build::is_remote;

type Told = HashMap<String, String>;

fn said<'a>(told: &'a Told, name: &str) -> &'a str {
    told.get(name).map(String::as_str).unwrap_or_default()
}

fn noted<'a>(noted: Option<&'a Value>, name: &str) -> &'a str {
    noted.and_then(|noted| noted[name].as_str()).unwrap_or_default()
}

/// A name for people.
pub(super) fn title(told: &Told, state: Option<&Value>) -> String {
    let own = said(told, "build-arg:BUILDKIT_BUILD_NAME");
    if !own.is_empty() {
        return own.to_owned();
    }
    let told_of_context = match said(told, "context") {
        "" => Some(said(told, "vcs:localdir:context")).filter(|path| *path != ".").unwrap_or_default(),
        context => context,
    };
    let name = if told_of_context.is_empty() { of_paths(told, state) } else { told_of_context.to_owned() };
    let repository = said(told, "vcs:source");
    match (name.as_str(), said(told, "target")) {
        ("", "") => repository.to_owned(),
        ("", target) => target.to_owned(),
        (_, "") => name,
        (name, target) => format!("{name} ({target})"),
    }
}

/// The context's folder, or the Dockerfile's below it.
fn of_paths(told: &Told, state: Option<&Value>) -> String {
    let is_here = !is_remote(noted(state, "LocalPath"));
    let context = Some(noted(state, "LocalPath")).filter(|path| is_here && *path != "-").unwrap_or_default();
    let file = match noted(state, "DockerfilePath") {
        file if is_here && !matches!(file, "" | "-" | "Dockerfile") => file.to_owned(),
        _ => told_file(told),
    };
    let is_default = file.is_empty() || file == "Dockerfile" || file.ends_with("/Dockerfile");
    let file = if file == "Dockerfile" { "" } else { file.strip_suffix("/Dockerfile").unwrap_or(&file) };
    if file.len() > context.len() && file.starts_with(context) {
        return file[context.rfind('/').map_or(0, |at| at + 1)..].to_owned();
    }
    let last = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let path = if file.is_empty() { context } else { file };
    match path.rsplit_once('/') {
        Some((above, name)) if !is_default => format!("{}/{name}", last(above)),
        _ => last(path),
    }
}

/// The Dockerfile's path in its repository, or as it was given.
fn told_file(told: &Told) -> String {
    match (said(told, "vcs:localdir:dockerfile"), said(told, "filename")) {
        ("" | ".", file) => file.to_owned(),
        (folder, file) => format!("{folder}/{file}"),
    }
}

/// Where context and Dockerfile are, seen from here.
pub(super) fn places(told: &Told, state: Option<&Value>) -> (String, String) {
    let below = |folder: &Path, path: &str| -> Option<String> {
        let rest = Path::new(path).strip_prefix(folder).ok()?.display().to_string();
        Some(if rest.is_empty() { ".".to_owned() } else { rest })
    };
    let context = match noted(state, "LocalPath") {
        "" => said(told, "context").to_owned(),
        path => {
            let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
            below(&here, path).unwrap_or_else(|| path.to_owned())
        }
    };
    let file = match noted(state, "DockerfilePath") {
        "" => told_file(told),
        path => below(Path::new(noted(state, "LocalPath")), path).unwrap_or_else(|| path.to_owned()),
    };
    (context, file)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// As buildx 0.29 says them.
    #[test]
    fn names_are_buildx_own() {
        let told = |pairs: &[(&str, &str)]| -> Told {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let state = |context: &str, file: &str| json!({ "LocalPath": context, "DockerfilePath": file });
        let plain = [("filename", "Dockerfile")];
        let target = [("filename", "Dockerfile"), ("target", "two")];
        for (told, state, expected) in [
            (told(&plain), Some(state("/tmp/p/ok", "")), ("ok", "/tmp/p/ok", "Dockerfile")),
            (told(&target), Some(state("/tmp/p/ok", "")), ("ok (two)", "/tmp/p/ok", "Dockerfile")),
            (told(&plain), Some(state("/tmp/p/check", "-")), ("check", "/tmp/p/check", "-")),
            (told(&plain), Some(state("-", "")), ("", "-", "Dockerfile")),
            (
                told(&plain),
                Some(state("/tmp/p/ok", "/tmp/p/check/Dockerfile")),
                ("check", "/tmp/p/ok", "/tmp/p/check/Dockerfile"),
            ),
            (
                told(&plain),
                Some(state("/tmp/p/ok", "/tmp/p/ok/x/other")),
                ("ok/x/other", "/tmp/p/ok", "x/other"),
            ),
            (told(&[("filename", "other")]), None, ("other", "", "other")),
            (told(&[("vcs:source", "https://x/y.git")]), None, ("https://x/y.git", "", "")),
            (told(&[("build-arg:BUILDKIT_BUILD_NAME", "mine")]), None, ("mine", "", "")),
        ] {
            let (context, file) = places(&told, state.as_ref());
            let shown = (&*title(&told, state.as_ref()), &*context, &*file);
            assert_eq!(shown, expected, "{told:?} {state:?}");
        }
    }
}
