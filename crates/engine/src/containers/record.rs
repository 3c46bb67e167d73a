use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use network::firewall::Publication;
use oci::Digest;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use state::Record;

use super::config::{Config, HostConfig};
use super::identities::Identities;
use super::links::Link;
use super::mounts::Point;
use super::state::State;
use crate::networks::Endpoint;

/// Everything the engine remembers of a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Container {
    pub id: String,
    /// Without the API's leading slash.
    pub name: String,
    pub created: SystemTime,
    pub image: Digest,
    /// The layers of its root, lowest first, kept here because the image may lose its names.
    pub layers: Vec<Digest>,
    #[serde(deserialize_with = "as_in_a_request")]
    pub config: Config,
    #[serde(deserialize_with = "as_in_a_request")]
    pub host: HostConfig,
    #[serde(default)]
    pub mounts: Vec<Point>,
    /// Its networks, by name.
    #[serde(default)]
    pub endpoints: BTreeMap<String, Endpoint>,
    /// Others that it knows by another name, in the default network.
    #[serde(default)]
    pub links: Vec<Link>,
    /// The host's ports that lead to it while it runs.
    #[serde(default)]
    pub ports: Vec<Publication>,
    /// Another one that has the ports and names that both want.
    #[serde(default)]
    pub behind: Option<Behind>,
    pub state: State,
    #[serde(default)]
    pub past: Past,
    /// Users that are its own alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identities: Option<Identities>,
}

/// Reads what requests bring by the reader that they have: so many fields are 0.1 MB of code for each.
fn as_in_a_request<'a, T: DeserializeOwned, D: Deserializer<'a>>(input: D) -> Result<T, D::Error> {
    T::deserialize(&Value::deserialize(input)?).map_err(D::Error::custom)
}

/// A container stands behind another one until it takes over, and after that the other one behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behind {
    /// The other one's id.
    pub other: String,
    /// What it will publish.
    pub held: Vec<Publication>,
}

/// What is remembered from one run to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// When it last began to run, and when it last ended.
    pub started: Option<SystemTime>,
    pub finished: Option<SystemTime>,
    /// How often its restart policy started it since somebody did.
    pub restarts: u32,
    /// Whether somebody stopped it, which some policies heed when the engine starts.
    pub stopped_by_hand: bool,
}

impl Record for Container {
    const KIND: &'static str = "container";
    fn key(&self) -> &str {
        &self.id
    }
}

impl Container {
    /// How the host numbers its users.
    pub(crate) fn id_map(&self) -> layers::IdMap {
        self.identities.as_ref().map(Identities::map).unwrap_or_default()
    }

    /// The program and its arguments, as `inspect` shows them.
    pub fn command(&self) -> Vec<String> {
        let words = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
        let mut command = words(&self.config.entrypoint);
        command.extend(words(&self.config.cmd));
        command
    }

    /// Those of its root, and of the images that it mounts.
    pub(crate) fn all_layers(&self) -> impl Iterator<Item = &Digest> {
        self.layers.iter().chain(self.mounts.iter().flat_map(|point| &point.layers))
    }

    /// The first twelve digits, for people.
    pub fn short_id(&self) -> &str {
        &self.id[..12]
    }
}

/// Where a container's files are.
///
/// ```text
/// <data root>/containers/<id>/   upper/ work/ hostname hosts resolv.conf <id>-json.log exit.json
/// <run dir>/containers/<id>/     shim.sock
/// ```
#[derive(Debug, Clone)]
pub struct Places {
    pub durable: PathBuf,
    pub volatile: PathBuf,
    id: String,
}

impl Places {
    pub(crate) fn new(data_root: &Path, run_dir: &Path, id: &str) -> Self {
        let below = |base: &Path| base.join("containers").join(id);
        Self { durable: below(data_root), volatile: below(run_dir), id: id.to_owned() }
    }

    /// Where another container's files are.
    pub(crate) fn sibling(&self, id: &str) -> Self {
        let beside = |own: &Path| own.with_file_name(id);
        Self { durable: beside(&self.durable), volatile: beside(&self.volatile), id: id.to_owned() }
    }

    /// The newest file of the `json-file` log.
    pub fn log(&self) -> PathBuf {
        self.durable.join(format!("{}-json.log", self.id))
    }

    /// The newest file of the `local` log.
    pub fn local_log(&self) -> PathBuf {
        self.durable.join("local-logs/container.log")
    }

    /// The newest file of what is kept of a log that goes to a log server.
    pub fn cached_log(&self) -> PathBuf {
        self.durable.join("container-cached.log")
    }

    pub(crate) fn upper(&self) -> PathBuf {
        self.durable.join("upper")
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.durable.join("work")
    }

    /// A file of ours that the container sees below `/etc`.
    pub(crate) fn etc(&self, name: &str) -> PathBuf {
        self.durable.join(name)
    }
}
