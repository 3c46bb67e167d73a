//! Files together: variables, functions, groups and targets, and what is asked of them.

mod compose_file;
mod json;
mod targets;
mod variables;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::Error;
use crate::eval::{Local, MAX_CALLS, Scope, eval};
use crate::syntax::{self, Attribute, Block, Body, Expr};
use crate::target::{self, Target};
use crate::value::Value;

/// No file is longer.
const MAX_FILE: u64 = 8 << 20;
/// What one matrix may come to.
const MAX_MATRIX: usize = 1000;

/// The files that are read where none is named: those that are there of each kind.
pub fn defaults(folder: &Path) -> Vec<PathBuf> {
    let compose = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
    let bake =
        ["docker-bake.json", "docker-bake.hcl", "docker-bake.override.json", "docker-bake.override.hcl"];
    let there = |name: &&str| folder.join(name).is_file();
    let first = compose.iter().copied().find(there);
    first.into_iter().chain(bake.into_iter().filter(there)).map(|name| folder.join(name)).collect()
}

/// What is asked of the files.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Targets and groups; none is `default`.
    pub targets: Vec<String>,
    /// `--set`.
    pub set: Vec<String>,
    /// The environment, which goes before variables' defaults.
    pub environment: BTreeMap<String, String>,
    /// `--var`, which goes before both.
    pub variables: BTreeMap<String, String>,
    /// What `BAKE_LOCAL_PLATFORM` is.
    pub platform: String,
}

/// What is to be built.
#[derive(Debug, Clone, Default)]
pub struct Bake {
    pub groups: BTreeMap<String, Vec<String>>,
    pub targets: BTreeMap<String, Target>,
    /// Those that were asked for, in order; what they are linked to isn't among them.
    pub wanted: Vec<String>,
}

/// One line of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    pub name: String,
    pub description: String,
    pub kind: String,
    pub value: Option<String>,
    /// A group's members.
    pub members: Vec<String>,
}

struct Variable {
    file: String,
    line: usize,
    body: Body,
}

struct Function {
    parameters: Vec<String>,
    rest: Option<String>,
    result: Expr,
}

/// A target as it is written, in one of the files.
struct Written {
    file: String,
    line: usize,
    body: Body,
}

/// All that the files say.
struct Files<'a> {
    asked: &'a Asked,
    variables: BTreeMap<String, Variable>,
    functions: BTreeMap<String, Function>,
    groups: BTreeMap<String, Vec<(String, Body)>>,
    targets: BTreeMap<String, Vec<Written>>,
    /// What Compose files say.
    composed: BTreeMap<String, Target>,
    compose_group: Vec<String>,
    known: RefCell<HashMap<String, Value>>,
    under_way: RefCell<Vec<String>>,
    depth: RefCell<usize>,
}

impl Scope for Files<'_> {
    fn variable(&self, name: &str) -> Result<Option<Value>, Error> {
        if let Some(value) = self.known.borrow().get(name) {
            return Ok(Some(value.clone()));
        }
        match name {
            "BAKE_CMD_CONTEXT" => return Ok(Some(Value::text("cwd://"))),
            "BAKE_LOCAL_PLATFORM" => return Ok(Some(Value::text(&self.asked.platform))),
            "target" | "group" => {
                return Err(Error::wrong(format!(
                    "what other blocks say ({name}.…) is not supported in expressions"
                )));
            }
            _ => {}
        }
        let Some(variable) = self.variables.get(name) else { return Ok(None) };
        if self.under_way.borrow().iter().any(|known| known == name) {
            return Err(Error::wrong(format!("variable {name:?} needs itself")));
        }
        self.under_way.borrow_mut().push(name.to_owned());
        let value = self.value_of(name, variable).map_err(|error| error.at(&variable.file, variable.line));
        self.under_way.borrow_mut().pop();
        let value = value?;
        self.known.borrow_mut().insert(name.to_owned(), value.clone());
        Ok(Some(value))
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Result<Option<Value>, Error> {
        let Some(function) = self.functions.get(name) else { return Ok(None) };
        let count = function.parameters.len();
        if arguments.len() < count || (arguments.len() > count && function.rest.is_none()) {
            return Err(Error::wrong(format!("function {name:?} takes {count} arguments")));
        }
        let mut names: BTreeMap<String, Value> =
            function.parameters.iter().cloned().zip(arguments.iter().cloned()).collect();
        if let Some(rest) = &function.rest {
            names.insert(rest.clone(), Value::List(arguments[count..].to_vec()));
        }
        let depth = *self.depth.borrow() + 1;
        if depth > MAX_CALLS {
            return Err(Error::wrong(format!("function {name:?} calls itself without end")));
        }
        self.depth.replace(depth);
        let made = eval(&function.result, &Local { outer: self, names, depth });
        self.depth.replace(depth - 1);
        made.map(Some)
    }

    fn depth(&self) -> usize {
        *self.depth.borrow()
    }
}

fn invalid<T>(message: String) -> Result<T, Error> {
    Err(Error::Wrong(message))
}

fn read(path: &Path) -> Result<String, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let mut file: Box<dyn std::io::Read> = match path.as_os_str() == "-" {
        true => Box::new(std::io::stdin()),
        false => Box::new(File::open(path).map_err(failed)?),
    };
    let count = file.by_ref().take(MAX_FILE + 1).read_to_string(&mut text).map_err(failed)?;
    match count as u64 > MAX_FILE {
        true => invalid(format!("{} is longer than {MAX_FILE} bytes", path.display())),
        false => Ok(text),
    }
}

impl Bake {
    /// Reads the files and says what is to be built.
    pub fn load(paths: &[PathBuf], asked: &Asked) -> Result<Self, Error> {
        Files::read(paths, asked)?.bake()
    }

    /// Every target and group, or every variable, by name.
    pub fn list(paths: &[PathBuf], asked: &Asked, variables: bool) -> Result<Vec<Listed>, Error> {
        let files = Files::read(paths, asked)?;
        match variables {
            true => files.list_variables(),
            false => files.list_targets(),
        }
    }

    /// As `--print` shows it.
    pub fn to_json(&self) -> Json {
        target::printed(&self.groups, &self.targets)
    }
}

impl<'a> Files<'a> {
    fn read(paths: &[PathBuf], asked: &'a Asked) -> Result<Self, Error> {
        let mut files = Self {
            asked,
            variables: BTreeMap::new(),
            functions: BTreeMap::new(),
            groups: BTreeMap::new(),
            targets: BTreeMap::new(),
            composed: BTreeMap::new(),
            compose_group: Vec::new(),
            known: RefCell::default(),
            under_way: RefCell::default(),
            depth: RefCell::default(),
        };
        let mut compose = Vec::new();
        for path in paths {
            let name =
                path.file_name().map_or_else(|| "-".into(), |name| name.to_string_lossy()).into_owned();
            let ending = path.extension().map(|ending| ending.to_string_lossy().into_owned());
            match ending.as_deref() {
                Some("yaml" | "yml") => compose.push(path.clone()),
                Some("json") => files.add(&name, json::body(&name, &read(path)?)?)?,
                _ => {
                    let text = read(path)?;
                    let body = match text.trim_start().starts_with('{') {
                        true => json::body(&name, &text)?,
                        false => syntax::parse(&name, &text)?,
                    };
                    files.add(&name, body)?;
                }
            }
        }
        if !compose.is_empty() {
            files.compose(compose)?;
        }
        files.check_variables()?;
        Ok(files)
    }

    fn add(&mut self, file: &str, body: Body) -> Result<(), Error> {
        for (name, attribute) in body.attributes {
            let Attribute { line, value } = attribute;
            let default = [("default".to_owned(), Attribute { line, value })].into();
            let body = Body { attributes: default, blocks: Vec::new() };
            self.variables.insert(name, Variable { file: file.to_owned(), line, body });
        }
        for block in body.blocks {
            let line = block.line;
            self.block(file, block).map_err(|error| error.at(file, line))?;
        }
        Ok(())
    }

    fn block(&mut self, file: &str, block: Block) -> Result<(), Error> {
        let Block { kind, labels, line, body } = block;
        let [name] = labels.as_slice() else {
            return invalid(format!("a {kind} has one name"));
        };
        let (name, file) = (name.clone(), file.to_owned());
        match kind.as_str() {
            "variable" => drop(self.variables.insert(name, Variable { file, line, body })),
            "function" => {
                let parameter = |attribute: &Attribute| match &attribute.value {
                    Expr::List(names) => names.iter().map(parameter_name).collect::<Result<Vec<_>, _>>(),
                    one => Ok(vec![parameter_name(one)?]),
                };
                let parameters =
                    body.attributes.get("params").map(parameter).transpose()?.unwrap_or_default();
                let rest = body.attributes.get("variadic_params").map(parameter).transpose()?;
                let rest = rest.and_then(|names| names.into_iter().next());
                let missing = || Error::Wrong(format!("function {name:?} has no result"));
                let result = body.attributes.get("result").ok_or_else(missing)?.value.clone();
                self.functions.insert(name, Function { parameters, rest, result });
            }
            "group" => self.groups.entry(name).or_default().push((file, body)),
            "target" => self.targets.entry(name).or_default().push(Written { file, line, body }),
            other => return invalid(format!("a bake file has no block {other:?}")),
        }
        Ok(())
    }

    // ── variables ──

    fn compose(&mut self, files: Vec<PathBuf>) -> Result<(), Error> {
        let current = std::env::current_dir().unwrap_or_default();
        let switches = compose::Switches { resolve_paths: false, ..compose::Switches::default() };
        let options = compose::Options {
            files,
            directory: None,
            name: Some("bake".into()),
            env_files: Vec::new(),
            environment: compose::Environment::process(self.asked.environment.clone()),
            current,
            switches,
            remote: None,
        };
        let project = compose::Project::load(&options, &[])?;
        for name in project.names("services") {
            let Some(service) = project.service(name).filter(|service| !service["build"].is_null()) else {
                continue;
            };
            let name = name.replace('.', "_");
            self.composed.insert(name.clone(), compose_file::target(service)?);
            self.compose_group.push(name);
        }
        Ok(())
    }

    // ── targets ──
}

fn parameter_name(expr: &Expr) -> Result<String, Error> {
    match expr {
        Expr::Variable(name) | Expr::Literal(Value::Text(name)) => Ok(name.clone()),
        _ => invalid("a parameter is a name".into()),
    }
}

#[cfg(test)]
mod tests;
