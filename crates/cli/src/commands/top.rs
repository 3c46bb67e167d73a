//! `top`.

use client::encode;
use serde_json::Value;

use super::filters;
use crate::call::Call;
use crate::error::Outcome;
use crate::{listing, ui};

/// The processes of a container.
pub(crate) fn top(call: &Call) -> Outcome {
    let Some((name, options)) = call.args().split_first() else { return Ok(1) };
    let options = (!options.is_empty()).then(|| format!("ps_args={}", encode(&options.join(" "))));
    let path = filters::with_query(&format!("/containers/{}/top", encode(name)), &[options]);
    let answer = call.with_engine(|engine| async move { Ok(engine.get(&path).await?) })?;
    ui::out(&table(&answer))?;
    Ok(0)
}

/// The engine's list of processes as a table.
fn table(answer: &Value) -> String {
    let rows = answer["Processes"].as_array().into_iter().flatten().map(row);
    let text: String = std::iter::once(row(&answer["Titles"])).chain(rows).collect();
    listing::align_with(&text, 20, 3)
}

/// One process, or the titles of all, as a line.
pub(crate) fn row(cells: &Value) -> String {
    let cells: Vec<&str> = cells.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    diag::printable(&cells.join("\t")) + "\n"
}
