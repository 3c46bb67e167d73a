//! `history`.

use client::encode;
use serde_json::{Value, json};

use super::containers::{ellipsis, short_id};
use super::{filters, platform, units};
use crate::call::Call;
use crate::error::Outcome;
use crate::listing::{Listing, Row};
use crate::ui;

const HISTORY: Listing = Listing {
    fields: &[
        ("ID", "IMAGE"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("CreatedBy", "CREATED BY"),
        ("Size", "SIZE"),
        ("Comment", "COMMENT"),
    ],
    table: "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
    quiet: "{{.ID}}",
};
const EXACT: &str = "table {{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
/// 2000-01-01: what was made before has no age that anybody believes.
const EPOCH: i64 = 946_684_800;
/// As much of an instruction as a table shows.
const INSTRUCTION: usize = 45;

/// `history`, `image history`.
pub(crate) fn history(call: &Call) -> Outcome {
    let flags = call.flags();
    let (human, whole) = (flags.bool("human"), flags.bool("no-trunc"));
    let platform = platform::parameter(flags)?;
    let name = call.args().first().map_or("", String::as_str);
    let path = filters::with_query(&format!("/images/{}/history", encode(name)), &platform);
    let answer = call.with_engine(|engine| async move { Ok(engine.get(&path).await?) })?;
    let steps = answer.as_array().into_iter().flatten();
    let rows: Vec<Row> = steps.map(|step| row(step, human, whole)).collect();
    let format = match flags.text("format") {
        "" | "table" if !human => EXACT,
        format => format,
    };
    let quiet = flags.bool("quiet");
    // `-q` is about the table alone.
    let format = if quiet && format == EXACT { "" } else { format };
    ui::out(&HISTORY.render(format, quiet, &rows)?)?;
    Ok(0)
}

fn row(step: &Value, human: bool, whole: bool) -> Row {
    let id = step["Id"].as_str().unwrap_or_default();
    let created = step["Created"].as_i64().unwrap_or_default();
    let size = step["Size"].as_i64().unwrap_or_default();
    let by = step["CreatedBy"].as_str().unwrap_or_default().replace('\t', " ");
    let at = units::local_rfc3339(created);
    let since = match (human, created > EPOCH) {
        (false, _) => at.clone(),
        (true, true) => units::ago(created),
        (true, false) => "N/A".to_owned(),
    };
    let row = json!({
        "ID": if whole || id == "<missing>" { id } else { short_id(id) },
        "CreatedSince": since,
        "CreatedAt": at,
        "CreatedBy": if whole { by } else { ellipsis(&by, INSTRUCTION) },
        "Size": if human { units::size(size as f64, 3) } else { size.to_string() },
        "Comment": step["Comment"].as_str().unwrap_or_default(),
    });
    row.as_object().cloned().unwrap_or_default()
}
