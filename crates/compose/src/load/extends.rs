//! `extends`: a service begins as another one, of this file or another.

use std::path::{Path, PathBuf};

use super::{Loader, merge, paths};
use crate::Error;
use crate::error::Mistake;
use yaml::{At, Map, Node};

/// Services that extend services that extend services.
const DEEPEST: usize = 50;

impl Loader {
    /// Extends all services of a document.
    pub(super) fn extend_services(
        &mut self,
        document: &mut Node,
        path: &Path,
        directory: &Path,
    ) -> Result<(), Error> {
        let Some(services) = document.get("services").and_then(Node::as_map).cloned() else { return Ok(()) };
        if !services.values().any(|service| service.get("extends").is_some_and(|node| !node.is_null())) {
            return Ok(());
        }
        let mut extended = Map::default();
        for name in services.keys() {
            let mut way = Way { steps: Vec::new(), directory };
            extended.insert(name.clone(), self.extended(name, &services, path, &mut way)?);
        }
        if let Some(node) = document.as_map_mut().and_then(|map| map.get_mut("services")) {
            node.value = yaml::Value::Map(extended);
        }
        Ok(())
    }

    /// One service with all that it extends.
    fn extended(
        &mut self,
        name: &str,
        services: &Map,
        path: &Path,
        way: &mut Way<'_>,
    ) -> Result<Node, Error> {
        let mut service = services.get(name).cloned().unwrap_or_else(merge::empty);
        let Some(map) = service.as_map_mut() else { return Ok(service) };
        let Some(extends) = map.shift_remove("extends").filter(|node| !node.is_null()) else {
            return Ok(service);
        };
        let base = extends.as_text().or_else(|| extends.text_at("service")).unwrap_or_default().to_owned();
        let file = extends.text_at("file").map(|file| self.locate(file, way.folder(path), extends.at));
        let file = file.transpose()?;
        way.enter(path, name, extends.at).map_err(|mistake| mistake.in_files(&self.sources))?;
        let mut node = match &file {
            None => {
                self.known(&base, services, path, name, extends.at)?;
                self.extended(&base, services, path, way)?
            }
            Some(file) => self.extended_elsewhere(file, &base, (path, name, extends.at), way)?,
        };
        way.steps.pop();
        let over = Node { at: service.at, key: service.key, ..service };
        merge::merge_service(&mut node, over).map_err(|mistake| mistake.in_files(&self.sources))?;
        Ok(node)
    }

    fn extended_elsewhere(
        &mut self,
        file: &Path,
        base: &str,
        (path, name, at): (&Path, &str, At),
        way: &mut Way<'_>,
    ) -> Result<Node, Error> {
        let text = self.parse(file).map_err(|error| match error {
            Error::Read { source, .. } => {
                let what = format!("cannot read {}: {source}", file.display());
                Mistake::new(at, what)
                    .hint("a file is looked for beside the one that extends")
                    .in_files(&self.sources)
            }
            error => error,
        })?;
        let mut services = Map::default();
        for mut document in text.documents {
            self.fill_in(&mut document, "")?;
            let found = document.get("services").and_then(Node::as_map).cloned().unwrap_or_default();
            services.extend(found);
        }
        self.known(base, &services, path, name, at)?;
        let mut node = self.extended(base, &services, file, way)?;
        if let Some(folder) = file.parent() {
            paths::resolve_service(&mut node, folder, &self.environment);
        }
        Ok(node)
    }

    fn known(&self, base: &str, services: &Map, path: &Path, name: &str, at: At) -> Result<(), Error> {
        if services.contains_key(base) {
            return Ok(());
        }
        let what =
            format!("cannot extend service {name:?} in {}: service {base:?} not found", path.display());
        let mistake = Mistake::new(at, what);
        let near = crate::schema::nearest(base, services.keys().map(String::as_str));
        let mistake = match near {
            Some(near) => mistake.hint(format!("did you mean {near}?")),
            None => mistake,
        };
        Err(mistake.in_files(&self.sources))
    }
}

/// The services that led here.
struct Way<'d> {
    steps: Vec<(PathBuf, String)>,
    directory: &'d Path,
}

impl Way<'_> {
    /// Where the files begin that this one names: in the project's folder for its own files, else beside it.
    fn folder<'p>(&'p self, path: &'p Path) -> &'p Path {
        if self.steps.is_empty() { self.directory } else { path.parent().unwrap_or(self.directory) }
    }

    fn enter(&mut self, path: &Path, name: &str, at: At) -> Result<(), Mistake> {
        let step = (path.to_owned(), name.to_owned());
        if self.steps.contains(&step) || self.steps.len() >= DEEPEST {
            let line = |(path, name): &(PathBuf, String)| format!("{} in {}", name, path.display());
            let way: Vec<_> = self.steps.iter().chain([&step]).map(line).collect();
            return Err(Mistake::new(at, format!("Circular reference:\n  {}", way.join("\n  extends "))));
        }
        self.steps.push(step);
        Ok(())
    }
}
