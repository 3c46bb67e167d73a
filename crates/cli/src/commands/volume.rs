//! `volume …`.

use std::borrow::Cow;

use client::encode;
use http::Method;
use serde::Deserialize;
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
    let answer =
        call.with_engine(|engine| async move { Ok(engine.call(Method::GET, &path, None).await?) })?;
    let configured = call.config().text("volumesFormat").unwrap_or_default();
    let quiet = flags.bool("quiet");
    let format = match flags.changed("format") {
        true => flags.text("format"),
        false if quiet => "",
        false => configured,
    };
    if matches!(format, "" | "table") {
        ui::out(&table(&answer, quiet)?)?;
        return Ok(0);
    }
    let answer = answer.json()?;
    let mut volumes: Vec<&Value> = answer["Volumes"].as_array().into_iter().flatten().collect();
    volumes.sort_unstable_by_key(|volume| volume["Name"].as_str().unwrap_or_default());
    let mut rows = volumes.into_iter().map(|volume| Cow::Owned(row(volume)));
    ui::out(&VOLUMES.render_each(format, quiet, &mut rows)?)?;
    Ok(0)
}

/// Of thousands of volumes a table needs little: nothing else of the answer is kept.
fn table(answer: &client::Reply, quiet: bool) -> Result<String, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Named<'a> {
        #[serde(borrow)]
        name: Cow<'a, str>,
        #[serde(borrow, default)]
        driver: Cow<'a, str>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Listed<'a> {
        #[serde(borrow)]
        volumes: Option<Vec<Named<'a>>>,
    }
    let mut volumes = answer.parse::<Listed<'_>>()?.volumes.unwrap_or_default();
    volumes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let mut rows = volumes.into_iter().map(|volume| {
        let cells = [("Driver", volume.driver), ("Name", volume.name)];
        Cow::Owned(
            cells
                .map(|(key, value)| (key.to_owned(), Value::String(value.into_owned())))
                .into_iter()
                .collect(),
        )
    });
    VOLUMES.render_each("", quiet, &mut rows)
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
