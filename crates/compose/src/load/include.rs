//! `include`: whole projects become part of this one, each with its own folder and variables.

use std::path::{Path, PathBuf};

use super::files::absolute;
use super::{Loader, canonical, merge, paths};
use crate::Error;
use crate::env::Environment;
use crate::error::Mistake;
use yaml::{At, Node, Value};

/// Projects that include projects that include projects.
const DEEPEST: usize = 50;
const RESOURCES: [&str; 6] = ["services", "networks", "volumes", "secrets", "configs", "models"];

impl Loader {
    /// Brings in what a document includes.
    pub(super) fn include(&mut self, document: &mut Node, directory: &Path) -> Result<(), Error> {
        let Some(map) = document.as_map_mut() else { return Ok(()) };
        let Some(include) = map.shift_remove("include") else { return Ok(()) };
        for entry in include.as_list().unwrap_or_default() {
            let tree = self.included(entry, directory)?;
            import(document, tree).map_err(|mistake| mistake.in_files(&self.sources))?;
        }
        Ok(())
    }

    fn included(&mut self, entry: &Node, directory: &Path) -> Result<Node, Error> {
        let paths: Vec<_> = match entry.get("path") {
            Some(node) => texts(node),
            None => texts(entry),
        };
        let paths: Vec<PathBuf> =
            paths.iter().map(|path| self.locate(path, directory, entry.at)).collect::<Result<_, _>>()?;
        let refuse = |loader: &Self, what: String| Mistake::new(entry.at, what).in_files(&loader.sources);
        let Some(first) = paths.first() else { return Err(refuse(self, "include needs a path".to_owned())) };
        if self.depth >= DEEPEST {
            return Err(refuse(
                self,
                format!("include cycle detected: {} leads back to itself", first.display()),
            ));
        }
        let folder = match entry.text_at("project_directory") {
            Some(given) => absolute(Path::new(given), directory),
            None => first.parent().unwrap_or(directory).to_owned(),
        };
        let outside = self.environment.clone();
        self.environment = self.inner_environment(&outside, entry, &folder, directory)?;
        self.depth += 1;
        let tree = self.read_included(&paths, entry.at).and_then(|texts| self.merged(texts, &folder));
        self.depth -= 1;
        let inner = std::mem::replace(&mut self.environment, outside);
        let mut tree = tree?;
        let long = canonical::canonical(&mut tree, self.switches.interpolate);
        long.map_err(|mistake| mistake.in_files(&self.sources))?;
        paths::resolve(&mut tree, &folder, &inner);
        Ok(tree)
    }

    fn read_included(&mut self, paths: &[PathBuf], at: At) -> Result<Vec<super::Text>, Error> {
        self.read_all(paths).map_err(|error| match error {
            Error::Read { path, source } => {
                Mistake::new(at, format!("cannot read {}: {source}", path.display())).in_files(&self.sources)
            }
            error => error,
        })
    }

    /// The variables that an included project sees: the includer's first.
    fn inner_environment(
        &mut self,
        outside: &Environment,
        entry: &Node,
        folder: &Path,
        directory: &Path,
    ) -> Result<Environment, Error> {
        let mut inner = outside.clone();
        let files: Vec<PathBuf> = match entry.get("env_file") {
            Some(node) => texts(node).iter().map(|path| absolute(Path::new(path), directory)).collect(),
            None => Some(folder.join(".env")).filter(|path| path.is_file()).into_iter().collect(),
        };
        inner.add_files(&files, &mut self.warnings)?;
        Ok(inner)
    }
}

fn texts(node: &Node) -> Vec<String> {
    match &node.value {
        Value::List(list) => list.iter().filter_map(Node::scalar).collect(),
        _ => node.scalar().into_iter().collect(),
    }
}

/// What is included may not be what is here already, but for the very same.
fn import(document: &mut Node, tree: Node) -> Result<(), Mistake> {
    let (Value::Map(tree), Some(document)) = (tree.value, document.as_map_mut()) else { return Ok(()) };
    for (top, node) in tree {
        if !RESOURCES.contains(&top.as_str()) {
            continue;
        }
        let Value::Map(found) = node.value else { continue };
        let target = document.entry(top.clone()).or_insert_with(merge::empty);
        if target.is_null() {
            *target = merge::empty();
        }
        let Some(target) = target.as_map_mut() else { continue };
        for (name, node) in found {
            match target.get(&name) {
                Some(there) if *there != node => {
                    return Err(Mistake::new(there.key, format!("{top}.{name} conflicts with imported resource"))
                        .hint("give one of the two another name, or change the included one in an override file of the include"));
                }
                _ => {
                    target.insert(name, node);
                }
            }
        }
    }
    Ok(())
}
