//! A project in its typed form.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value as Json;

use crate::env::{Environment, Variable};
use crate::select::{self, Disabled};
use crate::source::Sources;
use crate::yaml::{Map, Node};
use crate::{Error, Options, Warnings, config, load};

/// A project that was loaded.
#[derive(Debug)]
pub struct Project {
    /// What the engine's things are named after.
    pub name: String,
    /// Where relative paths begin.
    pub directory: PathBuf,
    /// The files that were named or found.
    pub files: Vec<PathBuf>,
    /// What a person should know.
    pub warnings: Warnings,
    /// What variables are worth.
    pub environment: Environment,
    /// The files that were read.
    pub sources: Sources,
    tree: Node,
    typed: Option<Node>,
    disabled: Disabled,
}

impl Project {
    /// Loads a project for the profiles that are active.
    pub fn load(options: &Options, profiles: &[String]) -> Result<Self, Error> {
        let loaded = load(options, profiles)?;
        let typed = match options.switches.interpolate {
            true => Some(config::typed(&loaded.tree, &loaded.name).map_err(|mistake| mistake.in_files(&loaded.sources))?),
            false => None,
        };
        Ok(Self {
            name: loaded.name,
            directory: loaded.directory,
            files: loaded.files,
            warnings: loaded.warnings,
            environment: loaded.environment,
            sources: loaded.sources,
            tree: loaded.tree,
            typed,
            disabled: loaded.disabled,
        })
    }

    /// As a document in YAML.
    pub fn yaml(&self) -> String {
        match &self.typed {
            Some(typed) => config::yaml(typed),
            None => config::untyped_yaml(&self.tree, &self.name),
        }
    }

    /// As a document in JSON.
    pub fn json(&self) -> String {
        match &self.typed {
            Some(typed) => config::json(typed),
            None => config::untyped_json(&self.tree, &self.name),
        }
    }

    fn part(&self, top: &str) -> Option<&Map> {
        self.typed.as_ref().unwrap_or(&self.tree).get(top)?.as_map()
    }

    /// The names of services, networks and so on.
    pub fn names(&self, top: &str) -> Vec<&str> {
        self.part(top).into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    }

    /// Services that no active profile wants.
    pub fn disabled(&self) -> impl Iterator<Item = &str> {
        self.disabled.0.keys().map(String::as_str)
    }

    /// Each service's hash.
    pub fn hashes(&self) -> BTreeMap<&str, String> {
        let services = self.part("services").into_iter().flatten();
        services.map(|(name, node)| (name.as_str(), config::hash(node))).collect()
    }

    /// Each service as JSON.
    pub fn services(&self) -> BTreeMap<&str, Json> {
        let services = self.part("services").into_iter().flatten();
        services.map(|(name, node)| (name.as_str(), config::service_json(node))).collect()
    }

    /// The profiles that services name.
    pub fn profiles(&self) -> Vec<String> {
        let mut found = Vec::new();
        let services = self.part("services").into_iter().chain([&self.disabled.0]).flatten();
        for (_, service) in services {
            let list = service.get("profiles").and_then(Node::as_list).unwrap_or_default();
            found.extend(list.iter().filter_map(|node| node.as_text().map(str::to_owned)));
        }
        found.sort();
        found.dedup();
        found
    }

    /// The variables that the project's own files mention.
    pub fn variables(options: &Options) -> Result<Vec<Variable>, Error> {
        let mut options = options.clone();
        options.switches.interpolate = false;
        options.switches.consistency = false;
        options.switches.resolve_environment = false;
        let loaded = load(&options, &["*".to_owned()])?;
        Ok(select::variables(&loaded.tree))
    }
}
