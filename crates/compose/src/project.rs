//! A project in its typed form.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::{Value as Json, json};

use crate::container::{by_priority, list, text};
use crate::env::{Environment, Variable};
use crate::select::{self, Disabled};
use crate::source::Sources;
use crate::{Error, Options, Warnings, config, container, labels, load};
use yaml::{Map, Node};

/// What begins a build's context that is another service's image.
pub(crate) const CONTEXT_OF: &str = "service:";

/// A project that was loaded.
#[derive(Debug, Clone)]
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
    /// The typed form as JSON; nothing without variables filled in.
    document: Json,
    hashes: BTreeMap<String, String>,
    disabled: Disabled,
    /// Files of variables that were named.
    env_files: Vec<PathBuf>,
    /// What stands between the parts of a container's or an image's name.
    separator: char,
}

fn hashes(typed: Option<&Node>) -> BTreeMap<String, String> {
    let services = typed.and_then(|typed| typed.get("services")?.as_map());
    services.into_iter().flatten().map(|(name, node)| (name.clone(), config::hash(node))).collect()
}

impl Project {
    /// Loads a project for the profiles that are active.
    pub fn load(options: &Options, profiles: &[String]) -> Result<Self, Error> {
        let loaded = load(options, profiles)?;
        let typed = match options.switches.interpolate {
            true => Some(
                config::typed(&loaded.tree, &loaded.name)
                    .map_err(|mistake| mistake.in_files(&loaded.sources))?,
            ),
            false => None,
        };
        Ok(Self {
            document: typed.as_ref().map(config::document).unwrap_or_default(),
            name: loaded.name,
            directory: loaded.directory,
            files: loaded.files,
            warnings: loaded.warnings,
            environment: loaded.environment,
            sources: loaded.sources,
            tree: loaded.tree,
            hashes: hashes(typed.as_ref()),
            typed,
            disabled: loaded.disabled,
            env_files: options.env_files.iter().map(|path| options.current.join(path)).collect(),
            separator: if options.switches.underscores { '_' } else { '-' },
        })
    }

    /// As a document in YAML.
    pub fn yaml(&self) -> String {
        match &self.typed {
            Some(typed) => config::yaml(typed),
            None => config::untyped_yaml(&self.tree),
        }
    }

    /// As a document in JSON.
    pub fn json(&self) -> String {
        match &self.typed {
            Some(typed) => config::json(typed),
            None => config::untyped_json(&self.tree),
        }
    }

    /// Whether the same port of the host is wanted twice, which can't be.
    pub fn check_ports(&self) -> Result<(), Error> {
        load::check_ports(&self.tree).map_err(|mistake| mistake.in_files(&self.sources))
    }

    /// The canonical form, whose values know their places.
    pub(crate) fn tree(&self) -> &Node {
        &self.tree
    }

    fn part(&self, top: &str) -> Option<&Map> {
        self.typed.as_ref().unwrap_or(&self.tree).get(top)?.as_map()
    }

    /// The names of services, networks and so on.
    pub fn names(&self, top: &str) -> Vec<&str> {
        self.part(top).into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    }

    /// Services that no active profile wants, with the profiles that want them.
    pub fn disabled(&self) -> impl Iterator<Item = (&str, Vec<String>)> {
        self.disabled.0.iter().map(|(name, node)| (name.as_str(), select::profiles_of(node)))
    }

    /// Whether the file has no such service; one that no active profile wants it has.
    pub fn is_orphan(&self, service: &str) -> bool {
        self.service(service).is_none() && self.disabled().all(|(name, _)| name != service)
    }

    /// The profiles that services name.
    pub fn profiles(&self) -> Vec<String> {
        let services = self.part("services").into_iter().chain([&self.disabled.0]).flatten();
        let found: BTreeSet<_> = services.flat_map(|(_, service)| select::profiles_of(service)).collect();
        found.into_iter().collect()
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

    /// A service.
    pub fn service(&self, name: &str) -> Option<&Json> {
        self.document["services"].get(name)
    }

    /// A text that a file says under a key of its own (`x-…`), of a service, volume or the like.
    pub fn extension(&self, top: &str, name: &str, key: &str) -> Option<String> {
        self.tree.get(top)?.get(name)?.get(key)?.scalar()
    }

    /// A service's hash.
    pub fn hash(&self, service: &str) -> String {
        self.hashes.get(service).cloned().unwrap_or_default()
    }

    /// The same with the containers in the place of the services that it takes namespaces and volumes from: with another
    /// container it is another service. docker's client hashes it so.
    pub fn hash_with(&self, service: &str, containers: &BTreeMap<String, String>) -> String {
        let shaped = self.typed.as_ref().and_then(|typed| typed.get("services")?.get(service));
        match shaped {
            Some(shaped) if !self.shares_with(service).is_empty() => config::hash_with(shaped, containers),
            _ => self.hash(service),
        }
    }

    /// A network, volume, secret or config.
    pub fn resource(&self, top: &str, key: &str) -> Option<&Json> {
        self.document[top].get(key)
    }

    /// The hash of what a service's configurations and secrets say; empty if it has none.
    pub fn contents(&self, service: &str) -> Result<String, String> {
        container::contents(self, self.service(service).unwrap_or(&Json::Null))
    }

    /// The project with these services alone.
    pub fn only(mut self, services: &[String]) -> Result<Self, Error> {
        let kept = self.with_dependencies(services)?;
        for tree in [Some(&mut self.tree), self.typed.as_mut()].into_iter().flatten() {
            select::only(tree, &kept);
        }
        self.document = self.typed.as_ref().map(config::document).unwrap_or_default();
        Ok(self)
    }

    /// The project with these images for its services.
    pub fn with_images(mut self, images: &BTreeMap<String, String>) -> Self {
        for tree in [Some(&mut self.tree), self.typed.as_mut()].into_iter().flatten() {
            select::with_images(tree, images);
        }
        self.document = self.typed.as_ref().map(config::document).unwrap_or_default();
        self
    }

    /// The program that provides a service, and what it is told; none for a service of containers.
    pub fn provider(&self, service: &str) -> Option<&Json> {
        self.service(service).map(|spec| &spec["provider"]).filter(|provider| !provider.is_null())
    }

    /// The project with these variables for some of its services.
    pub fn with_variables(
        &self,
        variables: &BTreeMap<String, BTreeMap<String, String>>,
    ) -> Result<Self, Error> {
        let mut project = self.clone();
        for (service, variables) in variables {
            select::with_variables(&mut project.tree, service, variables);
        }
        let typed = config::typed(&project.tree, &project.name);
        let typed = typed.map_err(|mistake| mistake.in_files(&project.sources))?;
        project.document = config::document(&typed);
        project.hashes = hashes(Some(&typed));
        project.typed = Some(typed);
        Ok(project)
    }

    /// Its services with nothing but their images: a file to be laid over the others.
    pub fn images_alone(&self) -> String {
        let mut lines = String::from("services:\n");
        for name in self.names("services") {
            let image = self.service(name).map(|spec| text(spec, "image")).unwrap_or_default();
            if image.is_empty() {
                lines.push_str(&format!("  {name}: {{}}\n"));
            } else {
                lines.push_str(&format!("  {name}:\n    image: {image}\n"));
            }
        }
        lines
    }

    /// What the engine calls it.
    pub fn resource_name(&self, top: &str, key: &str) -> String {
        let named =
            self.resource(top, key).map(|resource| text(resource, "name")).filter(|name| !name.is_empty());
        named.map_or_else(|| format!("{}_{key}", self.name), str::to_owned)
    }

    /// What the engine calls the networks of a service.
    pub fn networks_of(&self, service: &str) -> Vec<String> {
        let spec = self.service(service).unwrap_or(&Json::Null);
        by_priority(spec).into_iter().map(|key| self.resource_name("networks", key)).collect()
    }

    /// The name of a service's container.
    pub fn container_name(&self, service: &str, number: u32) -> String {
        let given =
            self.service(service).map(|spec| text(spec, "container_name")).filter(|name| !name.is_empty());
        given.map_or_else(|| self.joined(&[service, &number.to_string()]), str::to_owned)
    }

    /// The name of a service's image; one that is only built is named after the project.
    pub fn image(&self, service: &str) -> String {
        let given = self.service(service).map(|spec| text(spec, "image")).filter(|name| !name.is_empty());
        given.map_or_else(|| self.joined(&[service]), str::to_owned)
    }

    /// The project's name with these parts behind it.
    pub fn joined(&self, parts: &[&str]) -> String {
        parts.iter().fold(self.name.clone(), |name, part| format!("{name}{}{part}", self.separator))
    }

    /// The files of variables that were named, for the containers' label.
    pub(crate) fn env_files(&self) -> String {
        let paths = self.env_files.iter().map(|path| path.to_string_lossy());
        paths.collect::<Vec<_>>().join(",")
    }

    /// How many containers a service wants.
    pub fn scale(&self, service: &str) -> u32 {
        let Some(spec) = self.service(service) else { return 0 };
        let count = spec["scale"].as_u64().or_else(|| spec["deploy"]["replicas"].as_u64()).unwrap_or(1);
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// What a service waits for: the other one, the condition, whether it must be there.
    pub fn dependencies(&self, service: &str) -> Vec<Dependency> {
        let depends_on = self.service(service).and_then(|spec| spec["depends_on"].as_object());
        let one = |(name, how): (&String, &Json)| Dependency {
            service: name.clone(),
            condition: text(how, "condition").to_owned(),
            required: how["required"] != false,
            restart: how["restart"] == true,
        };
        depends_on.into_iter().flatten().map(one).collect()
    }

    /// The services whose containers a service's containers are made of.
    pub fn shares_with(&self, service: &str) -> Vec<String> {
        let Some(spec) = self.service(service) else { return Vec::new() };
        let modes = ["network_mode", "ipc", "pid"].into_iter();
        let modes = modes.filter_map(|key| text(spec, key).strip_prefix("service:").map(str::to_owned));
        let volumes = list(spec, "volumes_from").iter().filter_map(Json::as_str);
        let volumes = volumes.filter(|from| !from.starts_with("container:"));
        modes.chain(volumes.map(|from| from.split(':').next().unwrap_or_default().to_owned())).collect()
    }

    /// All services, each after those that it depends on.
    pub fn in_order(&self) -> Vec<&str> {
        let (mut order, mut done) = (Vec::new(), BTreeSet::new());
        for name in self.names("services") {
            self.visit(name, &mut order, &mut done);
        }
        order
    }

    /// These services and those that are restarted with them (`depends_on.restart`), dependencies first.
    pub fn with_restarted(&self, services: &[String]) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for name in self.in_order() {
            let follows = self.dependencies(name).iter().any(|one| one.restart && all.contains(&one.service));
            if follows || services.iter().any(|one| one == name) {
                all.push(name.to_owned());
            }
        }
        all
    }

    fn visit<'p>(&'p self, name: &'p str, order: &mut Vec<&'p str>, done: &mut BTreeSet<&'p str>) {
        // There are no circles: that was checked; where it wasn't, a service is visited once all the same.
        if !done.insert(name) {
            return;
        }
        let depends_on = self.service(name).and_then(|spec| spec["depends_on"].as_object());
        for (other, _) in depends_on.into_iter().flatten() {
            if self.service(other).is_some() {
                self.visit(other, order, done);
            }
        }
        order.push(name);
    }

    /// The services whose images the build of a service reads: `additional_contexts: {name: service:other}`.
    pub fn builds_on(&self, service: &str) -> Vec<&str> {
        let contexts =
            self.service(service).and_then(|spec| spec["build"]["additional_contexts"].as_object());
        let places = contexts.into_iter().flatten().filter_map(|(_, place)| place.as_str());
        places.filter_map(|place| place.strip_prefix(CONTEXT_OF)).collect()
    }

    /// These services and those whose images their builds read, each after what it is built on; as far as that leaves it
    /// open, after what it depends on.
    pub fn in_build_order(&self, services: &[String]) -> Vec<&str> {
        let (mut order, mut done) = (Vec::new(), BTreeSet::new());
        for name in self.in_order().into_iter().filter(|name| services.iter().any(|one| one == name)) {
            self.visit_bases(name, &mut order, &mut done);
        }
        order
    }

    /// The same in groups: what is in one needs only images of those before it.
    pub fn in_build_groups(&self, services: &[String]) -> Vec<Vec<&str>> {
        let (mut groups, mut places) = (Vec::<Vec<&str>>::new(), BTreeMap::new());
        for name in self.in_build_order(services) {
            let bases = self.builds_on(name).into_iter().filter_map(|base| places.get(base));
            let place = bases.max().map_or(0, |last: &usize| last + 1);
            places.insert(name, place);
            match groups.get_mut(place) {
                Some(group) => group.push(name),
                None => groups.push(vec![name]),
            }
        }
        groups
    }

    fn visit_bases<'p>(&'p self, name: &'p str, order: &mut Vec<&'p str>, done: &mut BTreeSet<&'p str>) {
        // A circle was refused; where nothing was checked, each is visited once all the same.
        if self.service(name).is_some() && done.insert(name) {
            for base in self.builds_on(name) {
                self.visit_bases(base, order, done);
            }
            order.push(name);
        }
    }

    /// These services and all that they depend on; all of them if none is named.
    pub fn with_dependencies(&self, services: &[String]) -> Result<BTreeSet<String>, Error> {
        if services.is_empty() {
            return Ok(self.names("services").into_iter().map(str::to_owned).collect());
        }
        let mut found = BTreeSet::new();
        let mut pending = self.known(services)?;
        while let Some(name) = pending.pop() {
            if found.insert(name.clone()) {
                let dependencies = self.dependencies(&name).into_iter().map(|one| one.service);
                pending.extend(dependencies.filter(|name| self.service(name).is_some()));
            }
        }
        Ok(found)
    }

    /// Names that were typed, if there are such services.
    pub fn known(&self, services: &[String]) -> Result<Vec<String>, Error> {
        match services.iter().find(|name| self.service(name).is_none()) {
            Some(name) => Err(Error::NoSuchService {
                name: name.clone(),
                near: crate::schema::nearest(name, self.names("services").into_iter()).map(str::to_owned),
            }),
            None => Ok(services.to_vec()),
        }
    }

    /// The body of `POST /networks/create`.
    pub fn network(&self, key: &str) -> Json {
        let network = self.resource("networks", key).unwrap_or(&Json::Null);

        let mut labels = network["labels"].as_object().cloned().unwrap_or_default();
        labels.extend(self.resource_labels(labels::NETWORK, key, &config::resource_hash(network)));
        let pools = list(&network["ipam"], "config").iter().map(|pool| {
            let mut body = serde_json::Map::new();
            for (ours, theirs) in [
                ("subnet", "Subnet"),
                ("gateway", "Gateway"),
                ("ip_range", "IPRange"),
                ("aux_addresses", "AuxiliaryAddresses"),
            ] {
                body.extend(pool.get(ours).map(|value| (theirs.to_owned(), value.clone())));
            }
            Json::Object(body)
        });
        let mut body = json!({
            "Name": self.resource_name("networks", key),
            "Driver": network["driver"], "Options": network["driver_opts"],
            "Internal": network["internal"] == true,
            "Attachable": network["attachable"] == true,
            "Labels": labels,
        });
        let pools: Vec<Json> = pools.collect();
        if !pools.is_empty() || !text(&network["ipam"], "driver").is_empty() {
            body["IPAM"] = json!({ "Driver": text(&network["ipam"], "driver"), "Config": pools });
        }
        for (ours, theirs) in [("enable_ipv4", "EnableIPv4"), ("enable_ipv6", "EnableIPv6")] {
            if !network[ours].is_null() {
                body[theirs] = network[ours].clone();
            }
        }
        body
    }

    /// The body of `POST /volumes/create`.
    pub fn volume(&self, key: &str) -> Json {
        let volume = self.resource("volumes", key).unwrap_or(&Json::Null);
        let mut hashed = volume.as_object().cloned().unwrap_or_default();
        let driver = Some(text(volume, "driver")).filter(|driver| !driver.is_empty()).unwrap_or("local");
        // docker's client hashes it with its driver in the second place.
        hashed.shift_remove("driver");
        let place = usize::from(hashed.contains_key("name"));
        hashed.shift_insert(place, "driver".to_owned(), driver.into());
        let mut labels = volume["labels"].as_object().cloned().unwrap_or_default();
        labels.extend(self.resource_labels(
            labels::VOLUME,
            key,
            &config::resource_hash(&Json::Object(hashed)),
        ));
        let mut body = json!({
            "Name": self.resource_name("volumes", key),
            "DriverOpts": volume["driver_opts"],
            "Labels": labels,
        });
        if !volume["driver"].is_null() {
            body["Driver"] = volume["driver"].clone();
        }
        body
    }

    fn resource_labels(&self, kind: &str, key: &str, hash: &str) -> [(String, Json); 4] {
        [
            (labels::HASH.to_owned(), hash.into()),
            (kind.to_owned(), key.into()),
            (labels::PROJECT.to_owned(), self.name.clone().into()),
            (labels::VERSION.to_owned(), labels::VERSION_VALUE.into()),
        ]
    }
}

/// What a service waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The other service.
    pub service: String,
    /// `service_started`, `service_healthy`, `service_completed_successfully`.
    pub condition: String,
    /// Whether it must be there.
    pub required: bool,
    /// Whether this one is restarted with it.
    pub restart: bool,
}
