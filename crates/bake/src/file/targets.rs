//! Which targets are wanted, and what each is: inherited, multiplied by its matrix, overridden.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::{Bake, Files, Listed, MAX_MATRIX, Written, invalid};
use crate::Error;
use crate::eval::Local;
use crate::eval::eval;
use crate::target::Target;
use crate::value::Value;

impl Files<'_> {
    pub(super) fn list_targets(&self) -> Result<Vec<Listed>, Error> {
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
        listed.sort_unstable_by(|a, b| a.name.cmp(&b.name));
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

    pub(super) fn bake(&self) -> Result<Bake, Error> {
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
            default.sort_unstable();
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

/// A pattern of `--set`: `*` is anything.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => {
            let Some(rest) = name.strip_prefix(before) else { return false };
            (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| fits(after, &rest[at..]))
        }
    }
}
