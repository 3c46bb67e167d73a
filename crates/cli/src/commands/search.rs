//! `search`.

use client::encode;
use serde_json::{Value, json};

use super::containers::ellipsis;
use super::filters;
use crate::call::Call;
use crate::error::Outcome;
use crate::listing::{Listing, Row};
use crate::ui;

const FOUND: Listing = Listing {
    fields: &[
        ("Name", "NAME"),
        ("Description", "DESCRIPTION"),
        ("StarCount", "STARS"),
        ("IsOfficial", "OFFICIAL"),
    ],
    table: "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}",
    quiet: "",
};
/// As much of a description as a table shows.
const DESCRIPTION: usize = 45;

/// `search`.
pub(crate) fn search(call: &Call) -> Outcome {
    let flags = call.flags();
    let term = call.args().first().map_or("", String::as_str);
    let limit = flags.int("limit");
    if flags.list("filter").iter().any(|filter| filter.starts_with("is-automated=")) {
        ui::err(
            "WARNING: the \"is-automated\" filter is deprecated, and searching for \"is-automated=true\" will not yield any \
             results in future.",
        );
    }
    let query = [
        Some(format!("term={}", encode(term))),
        (limit > 0).then(|| format!("limit={limit}")),
        filters::parameter(&flags.list("filter")),
    ];
    let path = filters::with_query("/images/search", &query);
    // A term may begin with the registry that is to be searched.
    let registry = term.split_once('/').map(|(first, _)| first);
    let registry = registry.filter(|first| first.contains(['.', ':']) || *first == "localhost");
    let found = call.with_engine(|engine| async move {
        Ok(call.known_to(&engine, registry.unwrap_or("docker.io")).get(&path).await?)
    })?;
    let json = flags.text("format") == "json";
    let found = found.as_array().into_iter().flatten();
    let rows: Vec<Row> = found.map(|item| row(item, flags.bool("no-trunc"), json)).collect();
    ui::out(&FOUND.render(flags.text("format"), false, &rows)?)?;
    Ok(0)
}

fn row(item: &Value, whole: bool, json: bool) -> Row {
    let description = item["description"].as_str().unwrap_or_default().replace(['\n', '\r'], " ");
    let official = match (item["is_official"] == true, json) {
        (official, true) => official.to_string(),
        (true, false) => "[OK]".to_owned(),
        (false, false) => String::new(),
    };
    let row = json!({
        "Name": item["name"],
        "Description": if whole { description } else { ellipsis(&description, DESCRIPTION) },
        "StarCount": item["star_count"].as_i64().unwrap_or_default().to_string(),
        "IsOfficial": official,
    });
    row.as_object().cloned().unwrap_or_default()
}
