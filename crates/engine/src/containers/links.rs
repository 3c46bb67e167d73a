//! `--link` in the default network, where there are no names: another container in the file of hosts, and in the
//! environment as Docker writes it.
//!
//! Who is linked stands in the record by its id, so a name may change. What is said of it is reckoned at each start; when
//! it starts again under another address, the files of hosts of those that are linked to it follow.

use std::collections::HashMap;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::config::HostConfig;
use super::handle::View;
use super::record::{Container, Places};
use super::{Containers, Index};
use crate::Error;
use crate::networks::runs;

/// What is said of a container to one that is linked to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The other container's id.
    pub container: String,
    pub alias: String,
    /// While the linked one runs: its names for the file of hosts, the alias first.
    names: String,
    address: Option<IpAddr>,
    environment: Vec<String>,
}

/// Takes what was asked for out of the configuration, if it is for the default network.
pub(super) fn settle(host: &mut HostConfig, index: &Index, apart: bool) -> Result<Vec<Link>, Error> {
    let asked = host.links.take().unwrap_or_default();
    if !asked.is_empty() && host.network_mode == "host" {
        let why = "conflicting options: host type networking can't be used with links. This would result in undefined behavior";
        return Err(Error::Invalid(why.to_owned()));
    }
    if !asked.is_empty() && apart {
        return Err(Error::Unsupported {
            feature: "a link where containers are kept apart (icc=false)".to_owned(),
            instead: Some("a network of your own for those that may reach each other".to_owned()),
        });
    }
    let mut links: Vec<Link> = Vec::new();
    for text in &asked {
        let link = read(text, index)?;
        links.retain(|known| known.alias != link.alias);
        links.push(link);
    }
    Ok(links)
}

/// `container:alias`, or a container under its own name.
fn read(text: &str, index: &Index) -> Result<Link, Error> {
    let (target, alias) = text.split_once(':').unwrap_or((text, text));
    // Clients that read them back write whole paths: `/db:/web/alias`.
    let alias = alias.rsplit('/').next().unwrap_or_default();
    let told = |why: String| Error::Invalid(format!("could not get container for {target}: {why}"));
    if target.is_empty() {
        return Err(told("invalid name or ID supplied: \"\"".to_owned()));
    }
    if alias.is_empty() || alias.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(Error::Invalid(format!("invalid link: {text:?} has no alias that can be a name")));
    }
    // Not "not found": of a create, clients take that for the image's absence.
    let view = index.get(target).map_err(|error| told(error.to_string()))?.view();
    in_default_network(&view.container)?;
    Ok(Link { container: view.container.id.clone(), alias: alias.to_owned(), ..Link::default() })
}

fn in_default_network(target: &Container) -> Result<(), Error> {
    if target.host.network_mode == "host" {
        let why = "conflicting options: host type networking can't be used with links. This would result in undefined behavior";
        return Err(Error::Invalid(why.to_owned()));
    }
    match target.endpoints.contains_key("bridge") {
        true => Ok(()),
        false => {
            Err(Error::Invalid(format!("container {} not attached to default bridge network", target.id)))
        }
    }
}

/// What a container that starts is told of those that it is linked to. One that is gone is linked no more.
pub(super) fn resolve(container: &Container, index: &Index) -> Result<Vec<Link>, Error> {
    let mut links = Vec::new();
    for link in &container.links {
        let Ok(handle) = index.get(&link.container) else { continue };
        let target = &handle.view().container;
        let address = target.endpoints.get("bridge").and_then(|endpoint| endpoint.lease.as_ref()?.ipv4);
        let running = target.state.live().and(address);
        let Some(address) = running else {
            let why = format!(
                "Cannot link to a non running container: /{} AS /{}/{}",
                target.name, container.name, link.alias
            );
            return Err(Error::NotLinked(why));
        };
        links.push(Link {
            names: names(&link.alias, target),
            address: Some(address.ip),
            environment: environment(container, &link.alias, target, address.ip),
            ..link.clone()
        });
    }
    Ok(links)
}

fn names(alias: &str, target: &Container) -> String {
    let name = if alias == target.name { String::new() } else { format!(" {}", target.name) };
    format!("{alias} {}{name}", target.config.hostname)
}

/// Docker's variables of old: ports that the other container exposes, and its own environment.
fn environment(container: &Container, alias: &str, target: &Container, address: IpAddr) -> Vec<String> {
    let prefix = alias.to_uppercase().replace('-', "_");
    let exposed: Vec<String> = target.config.exposed_ports.iter().flat_map(runs::keys).collect();
    let mut ports: Vec<(u16, &str)> = exposed
        .iter()
        .filter_map(|port| {
            let (number, transport) = port.split_once('/').unwrap_or((port, "tcp"));
            Some((number.parse().ok()?, transport))
        })
        .collect();
    // The first is TCP's lowest.
    ports.sort_unstable_by_key(|(number, transport)| (*transport != "tcp", *number));
    let url = |(number, transport): &(u16, &str)| format!("{transport}://{address}:{number}");
    let mut lines: Vec<String> =
        ports.first().map(|port| format!("{prefix}_PORT={}", url(port))).into_iter().collect();
    for port in &ports {
        let name = format!("{prefix}_PORT_{}_{}", port.0, port.1.to_uppercase());
        lines.push(format!("{name}={}", url(port)));
        lines.push(format!("{name}_ADDR={address}"));
        lines.push(format!("{name}_PORT={}", port.0));
        lines.push(format!("{name}_PROTO={}", port.1));
    }
    lines.push(format!("{prefix}_NAME=/{}/{alias}", container.name));
    let of_its_own = target.config.env.iter().flatten().filter_map(|entry| entry.split_once('='));
    // What everybody has says nothing of it.
    let telling = of_its_own.filter(|(name, _)| !matches!(*name, "HOME" | "PATH"));
    lines.extend(telling.map(|(name, value)| format!("{prefix}_ENV_{name}={value}")));
    lines
}

impl Link {
    /// The file of hosts' line.
    pub(super) fn line(&self) -> Option<String> {
        Some(format!("{}\t{}\n", self.address?, self.names))
    }
}

impl Container {
    /// The variables that its links give it.
    pub(super) fn link_environment(&self) -> impl Iterator<Item = &String> {
        self.links.iter().flat_map(|link| &link.environment)
    }
}

/// Tells those that are linked to a container and run under which address it is now.
pub(super) fn tell_others(target: &Container, index: &Index, places: &Places) {
    let address = target.endpoints.get("bridge").and_then(|endpoint| endpoint.lease.as_ref()?.ipv4);
    let Some(address) = address else { return };
    let linked: Vec<_> = index
        .views()
        .into_iter()
        .filter(|view| view.container.state.is_active())
        .filter(|view| view.container.links.iter().any(|link| link.container == target.id))
        .collect();
    for view in linked {
        let path = places.sibling(&view.container.id).etc("hosts");
        for link in view.container.links.iter().filter(|link| link.container == target.id) {
            if let Err(error) = readdress(&path, &link.names, address.ip) {
                tracing::warn!(path = %path.display(), %error, "a link leads to where its container was");
            }
        }
    }
}

/// The lines of these names get another address; all others, and what the container wrote itself, stay.
fn readdress(path: &Path, names: &str, address: IpAddr) -> std::io::Result<()> {
    let text = fs::read_to_string(path)?;
    let ending = format!("\t{names}");
    let line = |line: &str| match line.ends_with(&ending) {
        true => format!("{address}{ending}\n"),
        false => format!("{line}\n"),
    };
    let changed: String = text.lines().map(line).collect();
    if changed == text { Ok(()) } else { fs::write(path, changed) }
}

/// The further names of containers: by whom they are linked to, and as what.
#[derive(Debug, Default)]
pub struct LinkNames(HashMap<String, Vec<String>>);

impl LinkNames {
    fn of(views: &[std::sync::Arc<View>]) -> Self {
        let mut names: HashMap<String, Vec<String>> = HashMap::new();
        for view in views {
            for link in &view.container.links {
                let name = format!("/{}/{}", view.container.name, link.alias);
                names.entry(link.container.clone()).or_default().push(name);
            }
        }
        names.values_mut().for_each(|names| names.sort_unstable());
        Self(names)
    }

    /// Its own name, and the others'.
    pub fn of_container(&self, container: &Container) -> Vec<String> {
        let own = format!("/{}", container.name);
        [own].into_iter().chain(self.0.get(&container.id).into_iter().flatten().cloned()).collect()
    }
}

impl Containers {
    /// What containers are called beside their own names.
    pub fn link_names(&self) -> LinkNames {
        LinkNames::of(&self.list())
    }

    /// `HostConfig.Links` as `inspect` shows it; nothing without links.
    pub fn links_of(&self, container: &Container) -> Option<Vec<String>> {
        let shown = |link: &Link| {
            let target = self.index.get(&link.container).ok()?.view();
            Some(format!("/{}:/{}/{}", target.container.name, container.name, link.alias))
        };
        let links: Vec<String> = container.links.iter().filter_map(shown).collect();
        Some(links).filter(|links| !links.is_empty())
    }

    /// The container that has a link, and the link's alias: `web/db`.
    pub fn link_at(&self, typed: &str) -> Result<(super::Handle, String), Error> {
        let unknown = || Error::NoSuchContainer(typed.to_owned());
        let (parent, alias) = typed.trim_start_matches('/').split_once('/').ok_or(Error::DefaultLink)?;
        let handle = self.index.get(parent).map_err(|_| unknown())?;
        let known = handle.view().container.links.iter().any(|link| link.alias == alias);
        if known { Ok((handle, alias.to_owned())) } else { Err(unknown()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_link_follow_its_container_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        fs::write(&path, "127.0.0.1\tlocalhost\n172.17.0.2\tdb 0123 web\n172.17.0.2\tmydb 0123 web\n")
            .unwrap();
        readdress(&path, "db 0123 web", "172.17.0.9".parse().unwrap()).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "127.0.0.1\tlocalhost\n172.17.0.9\tdb 0123 web\n172.17.0.2\tmydb 0123 web\n");
    }
}
