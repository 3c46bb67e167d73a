//! Relative paths begin in a folder; after this they are absolute.

use std::path::Path;

use crate::env::Environment;
use yaml::{Node, Value};

use super::files::absolute;

/// Resolves all paths of a tree.
pub(super) fn resolve(tree: &mut Node, directory: &Path, environment: &Environment) {
    let from = From { directory, home: environment.get("HOME") };
    let Some(root) = tree.as_map_mut() else { return };
    for (top, node) in root.iter_mut() {
        let Some(map) = node.as_map_mut() else { continue };
        for node in map.values_mut() {
            match top.as_str() {
                "services" => from.service(node),
                "secrets" | "configs" => from.at(node, "file"),
                "volumes" => from.volume(node),
                _ => {}
            }
        }
    }
}

/// Resolves the paths of a service that another file's service extends.
pub(super) fn resolve_service(service: &mut Node, directory: &Path, environment: &Environment) {
    From { directory, home: environment.get("HOME") }.service(service);
}

struct From<'e> {
    directory: &'e Path,
    home: Option<&'e str>,
}

impl From<'_> {
    /// What is absolute stays as it was written, as docker's client leaves it: the hash of a service depends on it.
    fn path(&self, text: &str) -> String {
        if text.starts_with('/') {
            return text.to_owned();
        }
        let path = match (text.strip_prefix('~'), self.home) {
            (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
                absolute(Path::new(&format!("{home}{rest}")), self.directory)
            }
            _ => absolute(Path::new(text), self.directory),
        };
        path.to_string_lossy().into_owned()
    }

    fn node(&self, node: &mut Node) {
        if let Value::Text(text) = &mut node.value {
            *text = self.path(text);
        }
    }

    fn at(&self, node: &mut Node, key: &str) {
        if let Some(node) = node.as_map_mut().and_then(|map| map.get_mut(key)) {
            self.node(node);
        }
    }

    fn service(&self, service: &mut Node) {
        let Some(map) = service.as_map_mut() else { return };
        for (key, node) in map.iter_mut() {
            match key.as_str() {
                "build" => self.build(node),
                "volumes" => self.mounts(node),
                "env_file" | "label_file" => self.files(node),
                "develop" => self.watch(node),
                "extends" => self.at(node, "file"),
                _ => {}
            }
        }
    }

    fn build(&self, build: &mut Node) {
        match &mut build.value {
            Value::Text(text) => *text = self.context(text),
            Value::Map(map) => {
                for (key, node) in map.iter_mut() {
                    match (key.as_str(), &mut node.value) {
                        ("context", Value::Text(text)) => *text = self.context(text),
                        ("additional_contexts" | "ssh", Value::Map(map)) => {
                            for node in map.values_mut() {
                                if let Value::Text(text) = &mut node.value {
                                    *text = self.context(text);
                                }
                            }
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    /// A folder, unless it lies elsewhere.
    fn context(&self, text: &str) -> String {
        let schemes = [
            "http://",
            "https://",
            "git://",
            "ssh://",
            "git@",
            "github.com/",
            "docker-image://",
            "oci-layout://",
            "service:",
            "target:",
        ];
        match schemes.iter().any(|scheme| text.starts_with(scheme)) || text.contains("://") {
            true => text.to_owned(),
            false => self.path(text),
        }
    }

    fn mounts(&self, volumes: &mut Node) {
        let Value::List(list) = &mut volumes.value else { return };
        for volume in list {
            match &mut volume.value {
                Value::Text(text) if text.starts_with(['.', '~']) => {
                    let (source, rest) = text.split_once(':').unwrap_or((text, ""));
                    *text = format!("{}:{rest}", self.path(source));
                }
                Value::Map(map) => {
                    let is_bind = map.get("type").and_then(Node::as_text) == Some("bind");
                    if let Some(source) = map.get_mut("source").filter(|_| is_bind) {
                        self.node(source);
                    }
                }
                _ => {}
            }
        }
    }

    fn files(&self, files: &mut Node) {
        match &mut files.value {
            Value::Text(_) => self.node(files),
            Value::List(list) => {
                for file in list {
                    self.node(file);
                    self.at(file, "path");
                }
            }
            _ => {}
        }
    }

    fn watch(&self, develop: &mut Node) {
        let watch = develop.as_map_mut().and_then(|map| map.get_mut("watch"));
        let Some(Value::List(list)) = watch.map(|node| &mut node.value) else { return };
        for rule in list {
            self.at(rule, "path");
        }
    }

    /// A volume that is a folder of the host's.
    fn volume(&self, volume: &mut Node) {
        let Some(options) = volume.as_map_mut().and_then(|map| map.get_mut("driver_opts")) else { return };
        let option = |name: &str| options.text_at(name).unwrap_or_default().to_owned();
        let bind = option("o").split(',').any(|word| matches!(word, "bind" | "rbind"));
        if bind && !option("device").contains("://") {
            self.at(options, "device");
        }
    }
}
