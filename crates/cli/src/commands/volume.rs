//! `volume …`.

use client::encode;
use http::Method;
use serde_json::{Map, Value, json};

use super::each::unless_fatal;
use super::{filters, units};
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::listing::{Listing, Row};
use crate::ui;

const VOLUMES: Listing = Listing {
    fields: &[
        ("Driver", "DRIVER"),
        ("Name", "VOLUME NAME"),
        ("Scope", "SCOPE"),
        ("Mountpoint", "MOUNTPOINT"),
        ("Labels", "LABELS"),
        ("Links", "LINKS"),
        ("Size", "SIZE"),
        ("Availability", "AVAILABILITY"),
        ("Group", "GROUP"),
        ("Status", "STATUS"),
    ],
    table: "{{.Driver}}\t{{.Name}}",
    quiet: "{{.Name}}",
};

pub(super) fn pairs(words: &[String]) -> Map<String, Value> {
    let pair = |word: &String| {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        (name.to_owned(), json!(value))
    };
    words.iter().map(pair).collect()
}

/// `volume create`.
pub(crate) fn create(call: &Call) -> Outcome {
    let flags = call.flags();
    let by_flag = flags.text("name");
    let argument = call.args().first().map_or("", String::as_str);
    if !by_flag.is_empty() && !argument.is_empty() {
        return Err(Error::Usage(
            "conflicting options: either specify --name or provide positional arg, not both".into(),
        ));
    }
    let name = if by_flag.is_empty() { argument } else { by_flag };
    let body = json!({
        "Name": name,
        "Driver": flags.text("driver"),
        "DriverOpts": pairs(&flags.list("opt")),
        "Labels": pairs(&flags.list("label")),
    });
    call.with_engine(|engine| async move {
        let made = engine.call(Method::POST, "/volumes/create", Some(&body)).await?.json()?;
        ui::out(&format!("{}\n", made["Name"].as_str().unwrap_or_default()))?;
        Ok(0)
    })
}

/// `volume ls`.
pub(crate) fn list(call: &Call) -> Outcome {
    let flags = call.flags();
    let path = filters::with_query("/volumes", &[filters::parameter(&flags.list("filter"))]);
    let answer = call.with_engine(|engine| async move { Ok(engine.get(&path).await?) })?;
    let mut volumes: Vec<&Value> = answer["Volumes"].as_array().into_iter().flatten().collect();
    volumes.sort_unstable_by_key(|volume| volume["Name"].as_str().unwrap_or_default());
    let rows: Vec<Row> = volumes.into_iter().map(row).collect();
    let configured = call.config().text("volumesFormat").unwrap_or_default();
    let quiet = flags.bool("quiet");
    let format = match flags.changed("format") {
        true => flags.text("format"),
        false if quiet => "",
        false => configured,
    };
    ui::out(&VOLUMES.render(format, quiet, &rows)?)?;
    Ok(0)
}

/// A volume as templates see it.
pub(crate) fn row(volume: &Value) -> Row {
    let text = |key: &str| volume[key].as_str().unwrap_or_default();
    let labels: Vec<String> = volume["Labels"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
        .collect();
    let usage = &volume["UsageData"];
    let size = usage["Size"].as_f64().filter(|size| *size >= 0.0);
    let shown = json!({
        "Driver": text("Driver"),
        "Name": text("Name"),
        "Scope": text("Scope"),
        "Mountpoint": text("Mountpoint"),
        "Labels": labels.join(","),
        "Links": usage["RefCount"].as_i64().map_or("N/A".to_owned(), |count| count.to_string()),
        "Size": size.map_or("N/A".to_owned(), |size| units::size(size, 4)),
        "Availability": "N/A",
        "Group": "N/A",
        "Status": "N/A",
    });
    match shown {
        Value::Object(row) => row,
        _ => Row::new(),
    }
}

/// `volume rm`.
pub(crate) fn remove(call: &Call) -> Outcome {
    let force = call.flags().bool("force");
    call.with_engine(|engine| async move {
        let mut failures = Vec::new();
        for name in call.args() {
            let query = if force { "?force=1" } else { "" };
            let path = format!("/volumes/{}{query}", encode(name));
            match engine.call(Method::DELETE, &path, None).await {
                Ok(_) => ui::out(&format!("{name}\n"))?,
                Err(error) => failures.push(unless_fatal(error)?),
            }
        }
        super::each::finish(&failures)
    })
}
