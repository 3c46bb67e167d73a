//! Builders by names of their own: each is an engine. They are kept where buildx keeps its own, and as it does, so either
//! tool finds what the other one made.
//!
//! ```text
//! <$BUILDX_CONFIG, or buildx below the configuration>/instances/<name>   the builder: driver, nodes with their endpoints
//!                                                     current           which is in use, and with which engine
//! ```

use std::path::{Path, PathBuf};

use client::files;
use serde_json::{Value, json};

use crate::error::Error;
use crate::refs::Refs;

/// Names that no builder may have are no files' either.
fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | '_');
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(fits) && name.len() <= 255
}

/// A builder.
#[derive(Debug, Clone)]
pub(crate) struct Builder {
    pub(crate) name: String,
    /// A context, or an address.
    pub(crate) endpoint: String,
}

/// All builders.
#[derive(Debug)]
pub(crate) struct Builders(PathBuf);

impl Builders {
    /// Those of a configuration.
    pub(crate) fn of(config: &Path) -> Self {
        let own = client::resolve::process_env("BUILDX_CONFIG").map(PathBuf::from);
        Self(own.unwrap_or_else(|| config.join("buildx")))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join("instances").join(name)
    }

    /// The builder of this name; an error for one that isn't an engine.
    pub(crate) fn find(&self, name: &str) -> Result<Option<Builder>, Error> {
        let name = name.to_ascii_lowercase();
        let written = if is_name(&name) { files::read_json(&self.path(&name))? } else { None };
        let Some(written) = written else { return Ok(None) };
        let wrong = |why: String| Err(Error::Usage(format!("ERROR: builder {name:?}: {why}")));
        let driver = written["Driver"].as_str().unwrap_or_default();
        if !matches!(driver, "" | "docker" | "docker-container") {
            return wrong(format!("the driver {driver:?} is not supported: a builder is an engine"));
        }
        match written["Nodes"].as_array().map(Vec::as_slice) {
            Some([node]) => {
                let endpoint = node["Endpoint"].as_str().unwrap_or_default().to_owned();
                Ok(Some(Builder { name, endpoint }))
            }
            nodes => {
                let count = nodes.map_or(0, <[Value]>::len);
                wrong(format!("it has {count} nodes, and a builder is one engine"))
            }
        }
    }

    /// What is noted of this one's builds.
    pub(crate) fn refs(&self, builder: &str, node: &str) -> Refs {
        Refs::of(&self.0, builder, node)
    }

    /// All names.
    pub(crate) fn names(&self) -> Vec<String> {
        let listed = std::fs::read_dir(self.0.join("instances")).into_iter().flatten().flatten();
        let mut names: Vec<String> = listed
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| is_name(name))
            .collect();
        names.sort_unstable();
        names
    }

    /// Makes one, or changes where it leads.
    pub(crate) fn create(&self, name: &str, driver: &str, endpoint: &str) -> Result<(), Error> {
        if !is_name(name) {
            return Err(Error::Usage(format!("ERROR: invalid builder name {name:?}")));
        }
        let node = json!({
            "Name": format!("{name}0"), "Endpoint": endpoint, "Platforms": null, "DriverOpts": null, "Flags": null,
            "Files": null,
        });
        let written = json!({ "Name": name, "Driver": driver, "Nodes": [node], "Dynamic": false });
        files::write(&self.path(name), written.to_string().as_bytes())?;
        Ok(())
    }

    /// Forgets one.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Error> {
        std::fs::remove_file(self.path(name)).map_err(|e| Error::Io("remove a builder", e))
    }

    /// Which one is in use with an engine, by the engine's key; nothing for the engine's own.
    pub(crate) fn current(&self, key: &str) -> Result<Option<String>, Error> {
        let Some(said) = files::read_json(&self.0.join("current"))? else { return Ok(None) };
        let fits = said["Key"] == key || said["Global"] == true;
        let name = said["Name"].as_str().filter(|name| fits && !name.is_empty());
        Ok(name.map(str::to_owned))
    }

    /// Uses one from now on, with this engine or, if `always`, with every one.
    pub(crate) fn choose(&self, key: &str, name: &str, always: bool) -> Result<(), Error> {
        let said = json!({ "Key": key, "Name": name, "Global": always });
        Ok(files::write(&self.0.join("current"), said.to_string().as_bytes())?)
    }
}
