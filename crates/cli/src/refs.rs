//! What is noted here of each build that began here: the engine that remembers it doesn't know where its context was.
//!
//! ```text
//! <buildx's folder>/refs/<builder>/<node>/<build>   {"Target":…,"LocalPath":…,"DockerfilePath":…}
//!                        __group__/<group>          which builds one `bake` of buildx began
//! ```
//!
//! The files are buildx's own, so either tool calls a build by the same name. They are a help: that one can't be written
//! or read fails nothing.

use std::path::{Path, PathBuf};

use client::files;
use serde_json::{Map, Value, json};

use crate::commands::build::is_remote;

/// Those of one builder.
#[derive(Debug, Clone)]
pub(crate) struct Refs {
    folder: PathBuf,
    builder: String,
    node: String,
}

/// Builds' and groups' names are the engine's, and nobody's paths.
fn is_plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && !name.contains('/') && name.len() <= 255
}

impl Refs {
    /// Below buildx's folder.
    pub(crate) fn of(buildx: &Path, builder: &str, node: &str) -> Self {
        Self { folder: buildx.join("refs"), builder: builder.to_owned(), node: node.to_owned() }
    }

    /// As buildx calls a build: `default/default/…`.
    pub(crate) fn name(&self, id: &str) -> String {
        format!("{}/{}/{id}", self.builder, self.node)
    }

    fn path(&self, id: &str) -> Option<PathBuf> {
        let plain = [&*self.builder, &*self.node, id].into_iter().all(is_plain);
        plain.then(|| self.folder.join(&self.builder).join(&self.node).join(id))
    }

    /// Notes where a build's context and Dockerfile are.
    pub(crate) fn note(&self, id: &str, target: &str, context: &str, dockerfile: &str) {
        let whole = |path: &str| match path {
            "" | "-" => path.to_owned(),
            path if is_remote(path) => diag::without_password(path),
            path => std::path::absolute(path).map_or_else(|_| path.to_owned(), |p| p.display().to_string()),
        };
        let target = if target.is_empty() { "default" } else { target };
        let noted =
            json!({ "Target": target, "LocalPath": whole(context), "DockerfilePath": whole(dockerfile) });
        let Some(path) = self.path(id) else { return };
        let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        // Nothing waits for the disk: a build would be slower for it.
        let _ = folder.and_then(|()| std::fs::write(&path, noted.to_string()));
    }

    /// What was noted of a build.
    pub(crate) fn find(&self, id: &str) -> Option<Value> {
        files::read_json(&self.path(id)?).ok()?
    }

    /// The same with the group that it belongs to, as bundles have both.
    pub(crate) fn for_bundle(&self, id: &str) -> Map<String, Value> {
        let mut found = Map::new();
        let Some(state) = self.find(id) else { return found };
        let group = state["GroupRef"].as_str().filter(|group| is_plain(group));
        let group =
            group.and_then(|group| files::read_json(&self.folder.join("__group__").join(group)).ok()?);
        found.insert("localState".into(), state);
        found.extend(group.map(|group| ("stateGroup".to_owned(), group)));
        found
    }

    /// A build is remembered no longer.
    pub(crate) fn forget(&self, id: &str) {
        // It may have begun elsewhere.
        let _ = self.path(id).map(std::fs::remove_file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_found_and_names_lead_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let refs = Refs::of(folder.path(), "default", "default");
        refs.note("abc", "", "/a/b", "-");
        let noted = json!({ "Target": "default", "LocalPath": "/a/b", "DockerfilePath": "-" });
        assert_eq!(refs.find("abc"), Some(noted));
        assert_eq!(refs.name("abc"), "default/default/abc");
        refs.note("def", "", "https://me:secret@h/a.git#main", "");
        assert_eq!(refs.find("def").unwrap()["LocalPath"], "https://xxxxx@h/a.git#main");
        refs.note("../abc", "", "/a/b", "-");
        assert_eq!(refs.find("../default/abc"), None);
        refs.forget("abc");
        refs.forget("def");
        assert_eq!(refs.find("abc"), None);
        assert_eq!(std::fs::read_dir(folder.path().join("refs/default")).unwrap().count(), 1);
    }
}
