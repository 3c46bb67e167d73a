//! Files together: variables, functions, groups and targets, and what is asked of them.

mod compose_file;
mod json;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::Error;
use crate::eval::{self, Local, MAX_CALLS, Scope, eval};
use crate::functions;
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

    fn value_of(&self, name: &str, variable: &Variable) -> Result<Value, Error> {
        let kind = variable.body.attributes.get("type").map(|attribute| &attribute.value);
        let default = variable.body.attributes.get("default");
        let default = default.map(|default| eval(&default.value, self)).transpose()?.unwrap_or(Value::Null);
        let default = match kind {
            Some(kind) => eval::to_type(&default, kind)?,
            None => default,
        };
        match self.given(name) {
            None => Ok(default),
            Some(text) => override_of(name, &text, &default, kind),
        }
    }

    /// What somebody said from outside; `NAME_JSON` says it as JSON.
    fn given(&self, name: &str) -> Option<String> {
        if let Some(text) = self.asked.variables.get(name) {
            return Some(text.clone());
        }
        let disabled = self.asked.environment.get("BUILDX_BAKE_DISABLE_VARS_ENV_LOOKUP");
        if disabled.is_some_and(|value| flags::go::parse_bool(value) == Ok(true)) {
            return None;
        }
        let json = self.asked.environment.get(&format!("{name}_JSON"));
        let json = json.filter(|text| !text.is_empty()).map(|text| format!("\0{text}"));
        json.or_else(|| self.asked.environment.get(name).filter(|text| !text.is_empty()).cloned())
    }

    /// Every variable has a value, and its conditions hold.
    fn check_variables(&self) -> Result<(), Error> {
        for (name, variable) in &self.variables {
            self.variable(name)?;
            for rule in variable.body.blocks.iter().filter(|block| block.kind == "validation") {
                let condition = rule.body.attributes.get("condition");
                let Some(condition) = condition else {
                    return invalid(format!("a validation of {name:?} has no condition"));
                };
                let holds = eval(&condition.value, self).and_then(|value| value.to_bool());
                if !holds.map_err(|error| error.at(&variable.file, condition.line))? {
                    let message = rule.body.attributes.get("error_message");
                    let message = message.map(|message| eval(&message.value, self)).transpose()?;
                    let message = message.and_then(|message| message.to_text().ok());
                    let message = message.unwrap_or_else(|| "this condition doesn't hold".into());
                    let message = format!("Validation failed; {message}");
                    return Err(Error::Wrong(message).at(&variable.file, condition.line));
                }
            }
        }
        Ok(())
    }

    fn list_variables(&self) -> Result<Vec<Listed>, Error> {
        let one = |(name, variable): (&String, &Variable)| {
            let value = self.variable(name)?.unwrap_or(Value::Null);
            let value = match value {
                Value::Null => None,
                Value::List(_) | Value::Map(_) => Some(value.to_json().to_string()),
                other => Some(other.to_text()?),
            };
            let text = |key: &str| {
                let found = variable.body.attributes.get(key).map(|attribute| eval(&attribute.value, self));
                found.and_then(Result::ok).and_then(|value| value.to_text().ok()).unwrap_or_default()
            };
            let kind = match variable.body.attributes.get("type").map(|attribute| &attribute.value) {
                Some(kind) => shown(kind),
                None => String::new(),
            };
            Ok(Listed {
                name: name.clone(),
                description: text("description"),
                kind,
                value,
                members: Vec::new(),
            })
        };
        self.variables.iter().map(one).collect()
    }

    // ── Compose ──

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

    fn list_targets(&self) -> Result<Vec<Listed>, Error> {
        let mut listed = Vec::new();
        for name in self.groups.keys() {
            let members = self.members(name)?;
            listed.push(Listed { name: name.clone(), members, ..Listed::default() });
        }
        let mut made = Made::default();
        for name in self.targets.keys().filter(|name| !name.starts_with('_')) {
            let names = self.expand(name, &mut made)?;
            if names.as_slice() != std::slice::from_ref(name) {
                listed.push(Listed { name: name.clone(), members: names.clone(), ..Listed::default() });
            }
            for name in names {
                let description = made.targets.get(&name).and_then(|target| target.text("description"));
                let description = description.unwrap_or_default().to_owned();
                listed.push(Listed { name, description, ..Listed::default() });
            }
        }
        for name in self.composed.keys().filter(|name| !self.targets.contains_key(*name)) {
            listed.push(Listed { name: name.clone(), ..Listed::default() });
        }
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listed)
    }

    /// A group's members.
    fn members(&self, name: &str) -> Result<Vec<String>, Error> {
        let mut members: Vec<String> = Vec::new();
        for (file, body) in self.groups.get(name).into_iter().flatten() {
            let Some(targets) = body.attributes.get("targets") else { continue };
            let value = eval(&targets.value, self).and_then(|value| value.to_list());
            let value = value.map_err(|error| error.at(file, targets.line))?;
            members = value.iter().map(Value::to_text).collect::<Result<_, _>>()?;
        }
        Ok(members)
    }

    /// The targets that a name means: itself, or a matrix's.
    fn expand(&self, name: &str, made: &mut Made) -> Result<Vec<String>, Error> {
        if let Some(names) = made.names.get(name) {
            return Ok(names.clone());
        }
        let written = self.targets.get(name).map(Vec::as_slice).unwrap_or_default();
        let matrix =
            written.iter().find_map(|written| Some((written, written.body.attributes.get("matrix")?)));
        let Some((written, matrix)) = matrix else {
            let target = self.resolve(name, &BTreeMap::new(), &mut Vec::new())?;
            made.targets.insert(name.to_owned(), target);
            made.names.insert(name.to_owned(), vec![name.to_owned()]);
            return Ok(vec![name.to_owned()]);
        };
        let rows = rows(eval(&matrix.value, self).and_then(|value| value.to_map()));
        let rows = rows.map_err(|error| error.at(&written.file, matrix.line))?;
        let pattern = written.body.attributes.get("name");
        let pattern = pattern.ok_or_else(|| {
            Error::Wrong("a matrix needs a name for each of its targets".into())
                .at(&written.file, matrix.line)
        })?;
        let mut names = Vec::new();
        for row in rows {
            let scope = Local { outer: self, names: row.clone(), depth: 0 };
            let own = eval(&pattern.value, &scope).and_then(|value| value.to_text());
            let own = own.map_err(|error| error.at(&written.file, pattern.line))?;
            let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            if own.is_empty() || !own.chars().all(good) {
                return invalid(format!(
                    "{own:?} is no name for a target: only letters, digits, \"_\" and \"-\" are"
                ));
            }
            let target = self.resolve(name, &row, &mut Vec::new())?;
            made.targets.insert(own.clone(), target);
            names.push(own);
        }
        made.names.insert(name.to_owned(), names.clone());
        Ok(names)
    }

    /// Whether a matrix makes a target of this name. It is made then.
    fn is_of_a_matrix(&self, name: &str, made: &mut Made) -> Result<bool, Error> {
        if self.targets.contains_key(name) || self.composed.contains_key(name) {
            return Ok(false);
        }
        let has_matrix = |written: &Vec<Written>| {
            written.iter().any(|written| written.body.attributes.contains_key("matrix"))
        };
        let matrices = self.targets.iter().filter(|(_, written)| has_matrix(written)).map(|(name, _)| name);
        for matrix in matrices {
            self.expand(matrix, made)?;
        }
        Ok(made.targets.contains_key(name))
    }

    /// A target with all that it inherits.
    fn resolve(
        &self,
        name: &str,
        row: &BTreeMap<String, Value>,
        under_way: &mut Vec<String>,
    ) -> Result<Target, Error> {
        if under_way.iter().any(|known| known == name) {
            return invalid(format!("target {name:?} inherits from itself"));
        }
        let composed = self.composed.get(name);
        let written = match (self.targets.get(name), composed) {
            (Some(written), _) => written.as_slice(),
            (None, Some(_)) => &[],
            (None, None) => return invalid(format!("failed to find target {name}")),
        };
        under_way.push(name.to_owned());
        let scope = Local { outer: self, names: row.clone(), depth: 0 };
        let (mut target, mut own) = (Target::default(), composed.cloned().unwrap_or_default());
        for Written { file, line, body } in written {
            if let Some(block) = body.blocks.first() {
                let message = format!("a target has no block {:?}", block.kind);
                return Err(Error::Wrong(message).at(file, block.line));
            }
            let mut said = Target::default();
            for (key, attribute) in &body.attributes {
                let value = || eval(&attribute.value, &scope).map_err(|error| error.at(file, attribute.line));
                match key.as_str() {
                    "name" | "matrix" => {}
                    "inherits" => {
                        for parent in value()?.to_list()? {
                            let parent = parent.to_text()?;
                            target.merge(&self.resolve(&parent, row, under_way)?);
                        }
                    }
                    key => said.set(key, &value()?).map_err(|error| error.at(file, attribute.line))?,
                }
            }
            own.merge(&said);
            let _ = line;
        }
        target.merge(&own);
        under_way.pop();
        Ok(target)
    }

    fn bake(&self) -> Result<Bake, Error> {
        let (mut bake, mut made) = (Bake::default(), Made::default());
        let asked: Vec<String> = match self.asked.targets.is_empty() {
            true => vec!["default".into()],
            false => self.asked.targets.clone(),
        };
        let mut wanted = Vec::new();
        for name in &asked {
            self.collect(name, &mut bake, &mut made, &mut wanted, &mut Vec::new())?;
        }
        // What was asked for, and what is meant by it.
        let mut default: Vec<String> = asked.iter().filter(|name| *name != "default").cloned().collect();
        default.extend(bake.groups.remove("default").unwrap_or_default());
        if default.is_empty() {
            default.push("default".into());
        }
        let mut known = BTreeSet::new();
        default.retain(|name| known.insert(name.clone()));
        if asked != ["default"] {
            default.sort();
        }
        bake.groups.insert("default".into(), default);
        let mut seen = BTreeSet::new();
        wanted.retain(|name| seen.insert(name.clone()));
        let mut open = wanted.clone();
        while let Some(name) = open.pop() {
            if bake.targets.contains_key(&name) {
                continue;
            }
            let mut target = match made.targets.get(&name) {
                Some(target) => target.clone(),
                None => self.resolve(&name, &BTreeMap::new(), &mut Vec::new())?,
            };
            self.override_target(&name, &mut target)?;
            target.complete();
            open.extend(target.linked());
            // What is only somebody's context goes nowhere itself.
            if !wanted.contains(&name) {
                target.send("cacheonly");
            }
            bake.targets.insert(name, target);
        }
        self.check_links(&bake)?;
        bake.wanted = wanted;
        Ok(bake)
    }

    fn collect(
        &self,
        name: &str,
        bake: &mut Bake,
        made: &mut Made,
        wanted: &mut Vec<String>,
        under_way: &mut Vec<String>,
    ) -> Result<(), Error> {
        if under_way.iter().any(|known| known == name) {
            return invalid(format!("group {name:?} contains itself"));
        }
        under_way.push(name.to_owned());
        let default = name == "default" && !self.targets.contains_key(name) && !self.compose_group.is_empty();
        if self.groups.contains_key(name) || default {
            let mut members = self.members(name)?;
            if default {
                members.extend(self.compose_group.iter().cloned());
            }
            for member in &members {
                self.collect(member, bake, made, wanted, under_way)?;
            }
            bake.groups.insert(name.to_owned(), members);
        } else if self.is_of_a_matrix(name, made)? {
            wanted.push(name.to_owned());
        } else {
            let names = self.expand(name, made)?;
            if names.as_slice() != [name.to_owned()] {
                bake.groups.insert(name.to_owned(), names.clone());
            }
            wanted.extend(names);
        }
        under_way.pop();
        Ok(())
    }

    fn override_target(&self, name: &str, target: &mut Target) -> Result<(), Error> {
        let mut replaced: BTreeSet<String> = BTreeSet::new();
        for text in &self.asked.set {
            let (path, value) = text.split_once('=').unwrap_or((text, ""));
            let (path, add) = path.strip_suffix('+').map_or((path, false), |path| (path, true));
            let keys: Vec<&str> = path.split('.').collect();
            let [pattern, keys @ ..] = keys.as_slice() else { continue };
            if keys.is_empty() {
                return invalid(format!("invalid override key {path}, expected target.name"));
            }
            if !fits(pattern, name) {
                continue;
            }
            let value = match text.contains('=') {
                true => value.to_owned(),
                // A key alone is the environment's.
                false => self.asked.environment.get(keys[keys.len() - 1]).cloned().unwrap_or_default(),
            };
            // Several values for one key all count.
            let again = !replaced.insert(keys.join("."));
            target.replace(keys, &value, add || again)?;
        }
        Ok(())
    }

    fn check_links(&self, bake: &Bake) -> Result<(), Error> {
        for name in bake.targets.keys() {
            let (mut seen, mut open) = (BTreeSet::new(), vec![name.clone()]);
            while let Some(next) = open.pop() {
                for linked in bake.targets.get(&next).map(Target::linked).unwrap_or_default() {
                    if linked == *name {
                        return invalid(format!("target {name:?} is its own context"));
                    }
                    if seen.insert(linked.clone()) {
                        open.push(linked);
                    }
                }
            }
        }
        Ok(())
    }
}

/// What was made of targets so far.
#[derive(Default)]
struct Made {
    targets: BTreeMap<String, Target>,
    names: BTreeMap<String, Vec<String>>,
}

/// A type for people.
fn shown(kind: &Expr) -> String {
    match kind {
        Expr::Variable(kind) => kind.clone(),
        Expr::Call { name, arguments, .. } => match (name.as_str(), arguments.first()) {
            ("list" | "set" | "map", Some(of)) => format!("{name} of {}", shown(of)),
            (name, _) => name.to_owned(),
        },
        _ => String::new(),
    }
}

fn parameter_name(expr: &Expr) -> Result<String, Error> {
    match expr {
        Expr::Variable(name) | Expr::Literal(Value::Text(name)) => Ok(name.clone()),
        _ => invalid("a parameter is a name".into()),
    }
}

/// Every combination of a matrix's values, the first key's changing fastest.
fn rows(matrix: Result<BTreeMap<String, Value>, Error>) -> Result<Vec<BTreeMap<String, Value>>, Error> {
    let mut rows = vec![BTreeMap::new()];
    for (key, values) in matrix?.into_iter().rev() {
        let values = values.to_list()?;
        if rows.len().saturating_mul(values.len()) > MAX_MATRIX {
            return invalid(format!("the matrix comes to more than {MAX_MATRIX} targets"));
        }
        let with = |row: &BTreeMap<String, Value>| {
            let mut made = Vec::new();
            for value in &values {
                let mut row = row.clone();
                row.insert(key.clone(), value.clone());
                made.push(row);
            }
            made
        };
        rows = rows.iter().flat_map(with).collect();
    }
    Ok(rows)
}

/// What somebody said from outside, as the variable has it.
fn override_of(name: &str, text: &str, default: &Value, kind: Option<&Expr>) -> Result<Value, Error> {
    let wrong = |why: &str| Error::Wrong(format!("failed to set variable {name:?}: {why}"));
    if let Some(text) = text.strip_prefix('\0') {
        let parsed: Json = serde_json::from_str(text).map_err(|e| wrong(&e.to_string()))?;
        let value = Value::of_json(&parsed);
        return kind.map_or(Ok(value.clone()), |kind| eval::to_type(&value, kind));
    }
    let given = Value::text(text);
    match (kind, default) {
        (Some(kind @ Expr::Call { name: of, .. }), _) if matches!(of.as_str(), "list" | "set" | "tuple") => {
            let rows = functions::rows(text)?;
            let values = rows.into_iter().flatten().map(Value::Text).collect();
            eval::to_type(&Value::List(values), kind)
        }
        (Some(kind), _) => eval::to_type(&given, kind),
        (None, Value::Bool(_)) => {
            flags::go::parse_bool(text).map(Value::Bool).map_err(|_| wrong("a bool is required"))
        }
        (None, Value::Number(_)) => {
            given.to_number().map(Value::Number).map_err(|_| wrong("a number is required"))
        }
        (None, Value::List(_) | Value::Map(_)) => {
            Err(wrong("it is no text: say its type, or set it as JSON"))
        }
        (None, Value::Null | Value::Text(_)) => Ok(given),
    }
}

/// A pattern of `--set`: `*` is anything.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => {
            let Some(rest) = name.strip_prefix(before) else { return false };
            (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| fits(after, &rest[at..]))
        }
    }
}

#[cfg(test)]
mod tests;
