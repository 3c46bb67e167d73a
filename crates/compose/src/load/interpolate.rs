//! Variables in all values of a tree.

use crate::env::{Environment, Unexpandable, Warnings, expand};
use crate::error::Mistake;
use yaml::{Node, Value};

/// Fills in all texts below a node that stands at `path`.
pub(super) fn fill_in(
    node: &mut Node,
    path: &str,
    environment: &Environment,
    warnings: &mut Warnings,
) -> Result<(), Mistake> {
    match &mut node.value {
        Value::Text(text) => {
            if !text.contains('$') {
                return Ok(());
            }
            let mut used = Vec::new();
            let mut lookup = |name: &str| {
                used.push(name.to_owned());
                environment.get(name).map(str::to_owned)
            };
            let mut unset = |name: &str| warnings.unset(name);
            let filled = expand(text, &mut lookup, &mut unset);
            used.iter().for_each(|name| warnings.used(environment, name, path));
            *text = filled.map_err(|wrong| match wrong {
                Unexpandable::Malformed(text) => {
                    let what = format!(
                        "invalid interpolation format for {path}.\nYou may need to escape any $ with another $.\n{text}"
                    );
                    Mistake::new(node.at, what).hint("write $$ where a dollar sign is meant")
                }
                Unexpandable::Required { name, words } => {
                    let words = if words.is_empty() { String::new() } else { format!(": {words}") };
                    let what =
                        format!("error while interpolating {path}: required variable {name} is missing a value{words}");
                    Mistake::new(node.at, what).hint(format!("set {name} in the environment or in .env"))
                }
            })?;
            Ok(())
        }
        Value::List(list) => {
            let path = format!("{path}.[]");
            list.iter_mut().try_for_each(|node| fill_in(node, &path, environment, warnings))
        }
        Value::Map(map) => map.iter_mut().try_for_each(|(name, node)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            fill_in(node, &path, environment, warnings)
        }),
        _ => Ok(()),
    }
}
