//! Whether what a project refers to is there, and whether what it says goes together.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::error::Mistake;
use crate::project::CONTEXT_OF;
use crate::schema::nearest;
use yaml::{At, Map, Node, Value};

/// The first thing that doesn't fit.
pub(super) fn check(tree: &Node) -> Result<(), Mistake> {
    let nothing = Map::default();
    let part = |top: &str| tree.get(top).and_then(Node::as_map).unwrap_or(&nothing);
    let services = part("services");
    let project = Project {
        services,
        networks: part("networks"),
        volumes: part("volumes"),
        secrets: part("secrets"),
        configs: part("configs"),
        models: part("models"),
    };
    let mut names = BTreeMap::new();
    for (name, service) in services {
        project.service(name, service)?;
        container_name(name, service, &mut names)?;
    }
    for waits in [Waits::ToStart, Waits::ToBuild] {
        waits.cycles(services)?;
    }
    for (name, network) in project.networks {
        pools(name, network)?;
    }
    for (top, map) in [("secrets", project.secrets), ("configs", project.configs)] {
        map.iter().try_for_each(|(name, node)| source(top, name, node))?;
    }
    Ok(())
}

struct Project<'t> {
    services: &'t Map,
    networks: &'t Map,
    volumes: &'t Map,
    secrets: &'t Map,
    configs: &'t Map,
    models: &'t Map,
}

fn invalid(at: At, what: impl std::fmt::Display) -> Mistake {
    Mistake::new(at, format!("{what}: invalid compose project"))
}

fn list<'n>(node: &'n Node, key: &str) -> &'n [Node] {
    node.get(key).and_then(Node::as_list).unwrap_or_default()
}

impl Project<'_> {
    fn service(&self, name: &str, service: &Node) -> Result<(), Mistake> {
        let has =
            |key: &str| service.get(key).is_some_and(|node| !node.is_null() && node.as_text() != Some(""));
        if !has("image") && !has("build") && !has("provider") {
            let what = format!("service {name:?} has neither an image nor a build context specified");
            return Err(invalid(service.key, what).hint("add image: or build:"));
        }
        if let Some(build) = service.get("build")
            && let (Some(_), Some(inline)) = (build.get("dockerfile"), build.get("dockerfile_inline"))
        {
            return Err(invalid(
                inline.key,
                format!("service {name:?} declares mutually exclusive dockerfile and dockerfile_inline"),
            ));
        }
        if let (Some(mode), Some(networks)) = (service.get("network_mode"), service.get("networks"))
            && !mode.is_null()
            && networks.as_map().is_some_and(|map| !map.is_empty())
        {
            return Err(invalid(
                mode.key,
                format!("service {name} declares mutually exclusive `network_mode` and `networks`"),
            ));
        }
        self.references(name, service)?;
        self.bases(name, service)?;
        self.dependencies(name, service)
    }

    fn references(&self, name: &str, service: &Node) -> Result<(), Mistake> {
        let networks = service.get("networks").and_then(Node::as_map);
        for (network, node) in networks.into_iter().flatten() {
            refer(name, "network", network, place(node), self.networks)?;
        }
        for volume in list(service, "volumes") {
            if volume.text_at("type") == Some("volume")
                && let Some(source) = volume.get("source")
                && let Some(text) = source.as_text().filter(|text| !text.is_empty())
            {
                refer(name, "volume", text, source.at, self.volumes)?;
            }
        }
        let models = service.get("models").and_then(Node::as_map);
        for (model, node) in models.into_iter().flatten() {
            refer(name, "model", model, place(node), self.models)?;
        }
        for (index, device) in list(service, "devices").iter().enumerate() {
            if device.get("target").is_none() {
                let what =
                    format!("service device services.{name}.devices.[{index}] is missing a mount target");
                return Err(invalid(device.at, what));
            }
        }
        let mounted = [("secrets", "secret", self.secrets), ("configs", "config", self.configs)];
        for (key, kind, known) in mounted {
            let of_build = service.get("build").map(|build| list(build, key)).unwrap_or_default();
            for mount in list(service, key).iter().chain(of_build) {
                if let Some(source) = mount.get("source")
                    && let Some(text) = source.as_text()
                {
                    refer(name, kind, text, source.at, known)?;
                }
            }
        }
        Ok(())
    }

    fn dependencies(&self, name: &str, service: &Node) -> Result<(), Mistake> {
        let depends_on = service.get("depends_on").and_then(Node::as_map);
        for (other, node) in depends_on.into_iter().flatten() {
            let required = node.get("required").is_none_or(|node| node.value != Value::Bool(false));
            if required && !self.services.contains_key(other) {
                let mistake =
                    invalid(place(node), format!("service {name:?} depends on undefined service {other:?}"));
                return Err(meant(mistake, other, self.services));
            }
        }
        Ok(())
    }

    /// Whose images a build reads: services that are built themselves.
    fn bases(&self, name: &str, service: &Node) -> Result<(), Mistake> {
        for (context, other, at) in bases(service) {
            let Some(base) = self.services.get(other) else {
                let what = format!(
                    "service {name:?} declares unknown service {other:?} as additional contexts {context}"
                );
                return Err(meant(Mistake::new(at, what), other, self.services));
            };
            if base.get("build").is_none_or(Node::is_null) {
                let what = format!(
                    "service {name:?} declares non-buildable service {other:?} as additional contexts {context}"
                );
                let image = base.text_at("image").unwrap_or("NAME");
                return Err(Mistake::new(at, what).hint(format!(
                    "{other} has no build: name its image, docker-image://{image}, or give it one"
                )));
            }
        }
        Ok(())
    }
}

/// Contexts of a service's build that are other services' images: their names, the services, where that is said.
fn bases(service: &Node) -> impl Iterator<Item = (&str, &str, At)> {
    let contexts = service.get("build").and_then(|build| build.get("additional_contexts")?.as_map());
    contexts.into_iter().flatten().filter_map(|(context, node)| {
        Some((context.as_str(), node.as_text()?.strip_prefix(CONTEXT_OF)?, node.at))
    })
}

/// What a service waits for others to do. Services that wait for each other would wait for ever.
#[derive(Clone, Copy)]
enum Waits {
    ToStart,
    ToBuild,
}

impl Waits {
    /// For whom, and where that is said.
    fn of(self, service: &Node) -> Vec<(&str, At)> {
        match self {
            Self::ToStart => {
                let depends_on = service.get("depends_on").and_then(Node::as_map);
                depends_on.into_iter().flatten().map(|(other, node)| (other.as_str(), place(node))).collect()
            }
            Self::ToBuild => bases(service).map(|(_, other, at)| (other, at)).collect(),
        }
    }

    fn cycles(self, services: &Map) -> Result<(), Mistake> {
        let mut done = BTreeSet::new();
        services
            .keys()
            .try_for_each(|name| self.visit(services, name, At::default(), &mut Vec::new(), &mut done))
    }

    fn visit<'p>(
        self,
        services: &'p Map,
        name: &'p str,
        at: At,
        way: &mut Vec<&'p str>,
        done: &mut BTreeSet<&'p str>,
    ) -> Result<(), Mistake> {
        if done.contains(name) {
            return Ok(());
        }
        let Some(service) = services.get(name) else { return Ok(()) };
        if let Some(first) = way.iter().position(|step| *step == name) {
            let mut steps = way[first..].to_vec();
            steps.push(name);
            let kind = match self {
                Self::ToStart => "dependency cycle",
                Self::ToBuild => "cycle of builds",
            };
            return Err(Mistake::new(at, format!("{kind} detected: {}", steps.join(" -> "))));
        }
        way.push(name);
        for (other, at) in self.of(service) {
            self.visit(services, other, at, way, done)?;
        }
        way.pop();
        done.insert(name);
        Ok(())
    }
}

/// Of a key whose value may be nothing, the key.
fn place(node: &Node) -> At {
    if node.key.line > 0 { node.key } else { node.at }
}

fn meant(mistake: Mistake, name: &str, known: &Map) -> Mistake {
    match nearest(name, known.keys().map(String::as_str)) {
        Some(near) => mistake.hint(format!("did you mean {near}?")),
        None => mistake,
    }
}

fn refer(service: &str, kind: &str, name: &str, at: At, known: &Map) -> Result<(), Mistake> {
    if known.contains_key(name) {
        return Ok(());
    }
    let mistake = invalid(at, format!("service {service:?} refers to undefined {kind} {name}"));
    let mistake = mistake.hint(format!("declare it at the top level: {kind}s: {{{name}: {{}}}}"));
    Err(meant(mistake, name, known))
}

fn container_name<'t>(
    name: &'t str,
    service: &'t Node,
    names: &mut BTreeMap<&'t str, &'t str>,
) -> Result<(), Mistake> {
    let Some(node) = service.get("container_name") else { return Ok(()) };
    let Some(text) = node.as_text().filter(|text| !text.is_empty()) else { return Ok(()) };
    let count = |node: Option<&Node>| match node.map(|node| &node.value) {
        Some(Value::Int(count)) => *count,
        _ => 1,
    };
    let replicas = service.get("deploy").and_then(|deploy| deploy.get("replicas"));
    if count(service.get("scale")) > 1 || count(replicas) > 1 {
        let what =
            format!("services.scale: can't set container_name and {name} as container name must be unique");
        return Err(invalid(node.at, what));
    }
    match names.insert(text, name) {
        Some(other) => {
            let what =
                format!("services.{name}: container name {text:?} is already in use by \"services.{other}\"");
            Err(invalid(node.at, what))
        }
        None => Ok(()),
    }
}

/// Whether the same port of the host is wanted twice: a project that says so can be written down, but not started.
pub(crate) fn check_ports(tree: &Node) -> Result<(), Mistake> {
    let mut ports = BTreeMap::new();
    let services = tree.get("services").and_then(Node::as_map);
    services.into_iter().flatten().try_for_each(|(name, service)| published(name, service, &mut ports))
}

fn published<'t>(
    name: &'t str,
    service: &'t Node,
    ports: &mut BTreeMap<(String, String, String), &'t str>,
) -> Result<(), Mistake> {
    for port in list(service, "ports") {
        let part = |key: &str| port.get(key).and_then(Node::scalar).unwrap_or_default();
        let published = part("published");
        if published.is_empty() || published.contains('-') {
            continue;
        }
        if published.parse::<u16>().is_err() {
            let mistake = invalid(port.at, format!("services.{name}.ports: {published:?} is no port"));
            return Err(mistake.hint("a port is a number from 1 to 65535"));
        }
        let key = (part("host_ip"), published.clone(), part("protocol"));
        if let Some(other) = ports.insert(key, name) {
            let by = if other == name { "this service".to_owned() } else { format!("service {other:?}") };
            let what = format!("services.{name}.ports: port {published} is already published by {by}");
            return Err(invalid(port.at, what).hint("publish one of the two at another port"));
        }
    }
    Ok(())
}

fn pools(name: &str, network: &Node) -> Result<(), Mistake> {
    let pools = network.get("ipam").map(|ipam| list(ipam, "config")).unwrap_or_default();
    for pool in pools {
        for key in ["subnet", "ip_range"] {
            if let Some(node) = pool.get(key)
                && !node.as_text().is_some_and(is_subnet)
            {
                let what = format!(
                    "networks.{name}.ipam.config: {key} {:?} is no subnet",
                    node.scalar().unwrap_or_default()
                );
                return Err(invalid(node.at, what).hint("a subnet is an address and a length, like 10.5.0.0/16; each part of an address is at most 255"));
            }
        }
        if let Some(node) = pool.get("gateway")
            && node.as_text().is_none_or(|text| text.parse::<IpAddr>().is_err())
        {
            let what = format!(
                "networks.{name}.ipam.config: gateway {:?} is no address",
                node.scalar().unwrap_or_default()
            );
            return Err(invalid(node.at, what));
        }
    }
    Ok(())
}

fn is_subnet(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    length.parse::<u8>().is_ok_and(|length| length <= if address.is_ipv4() { 32 } else { 128 })
}

fn source(top: &str, name: &str, node: &Node) -> Result<(), Mistake> {
    let has =
        |key: &&str| node.get(key).is_some_and(|node| !node.is_null() && node.value != Value::Bool(false));
    let said: Vec<_> =
        ["file", "environment", "content", "external"].iter().filter(|key| has(key)).copied().collect();
    let at = place(node);
    match said.as_slice() {
        [] => Err(invalid(
            at,
            format!("{top}.{name}: one of file, environment, content or external must be set"),
        )),
        [_] => Ok(()),
        several => {
            let what = format!("{top}.{name}: {} attributes are mutually exclusive", several.join("|"));
            Err(invalid(at, what))
        }
    }
}
