//! `system df`.

use serde::Deserialize as _;
use serde_json::{Value, json};

use super::containers::{self, labels, short_id};
use super::images::{self, Summary};
use super::units;
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::listing::{Listing, Row};
use crate::ui;

const SUMMARY: Listing = Listing {
    fields: &[
        ("Type", "TYPE"),
        ("TotalCount", "TOTAL"),
        ("Active", "ACTIVE"),
        ("Size", "SIZE"),
        ("Reclaimable", "RECLAIMABLE"),
    ],
    table: "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
    quiet: "",
};

/// Shows what takes room.
pub(crate) fn df(call: &Call) -> Outcome {
    let flags = call.flags();
    let usage = call.with_engine(|engine| async move { Ok(engine.get("/system/df").await?) })?;
    let format = flags.text("format");
    let text = if flags.bool("verbose") {
        verbose(&usage, format)?
    } else {
        SUMMARY.render(format, false, &summary(&usage))?
    };
    ui::out(&text)?;
    Ok(0)
}

fn list<'a>(usage: &'a Value, key: &str) -> &'a [Value] {
    usage[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn number(value: &Value, key: &str) -> i64 {
    value[key].as_i64().unwrap_or_default()
}

fn is_active(container: &Value) -> bool {
    matches!(container["State"].as_str(), Some("running" | "paused" | "restarting"))
}

fn volume_size(volume: &Value) -> i64 {
    number(&volume["UsageData"], "Size").max(0)
}

fn summary(usage: &Value) -> Vec<Row> {
    let (images, containers) = (list(usage, "Images"), list(usage, "Containers"));
    let (volumes, cache) = (list(usage, "Volumes"), list(usage, "BuildCache"));
    let layers = number(usage, "LayersSize");
    let used_by_images: i64 = images
        .iter()
        .filter(|image| number(image, "Containers") != 0 && number(image, "SharedSize") != -1)
        .map(|image| number(image, "Size") - number(image, "SharedSize"))
        .sum();
    let size = |of: &dyn Fn(&Value) -> bool| {
        containers.iter().filter(|c| of(c)).map(|c| number(c, "SizeRw")).sum::<i64>()
    };
    let in_use = |volume: &&Value| number(&volume["UsageData"], "RefCount") > 0;
    let volumes_size: i64 = volumes.iter().map(volume_size).sum();
    let volumes_free: i64 = volumes.iter().filter(|v| !in_use(v)).map(volume_size).sum();
    let cached = |only_used: bool| {
        let own = cache.iter().filter(|c| c["Shared"] != true && (!only_used || c["InUse"] == true));
        own.map(|c| number(c, "Size")).sum::<i64>()
    };
    vec![
        row(
            "Images",
            images.len(),
            images.iter().filter(|i| number(i, "Containers") > 0).count(),
            layers,
            &part(layers - used_by_images, layers),
        ),
        row(
            "Containers",
            containers.len(),
            containers.iter().filter(|c| is_active(c)).count(),
            size(&|_| true),
            &part(size(&|c| !is_active(c)), size(&|_| true)),
        ),
        row(
            "Local Volumes",
            volumes.len(),
            volumes.iter().filter(in_use).count(),
            volumes_size,
            &part(volumes_free, volumes_size),
        ),
        row(
            "Build Cache",
            cache.len(),
            cache.iter().filter(|c| c["InUse"] == true).count(),
            cached(false),
            &human(cached(false) - cached(true)),
        ),
    ]
}

fn human(bytes: i64) -> String {
    units::size(bytes as f64, 4)
}

fn part(free: i64, whole: i64) -> String {
    if whole > 0 { format!("{} ({}%)", human(free), free.saturating_mul(100) / whole) } else { human(free) }
}

fn row(kind: &str, total: usize, active: usize, size: i64, reclaimable: &str) -> Row {
    let row = json!({
        "Type": kind,
        "TotalCount": total.to_string(),
        "Active": active.to_string(),
        "Size": human(size),
        "Reclaimable": reclaimable,
    });
    row.as_object().cloned().unwrap_or_default()
}

const IMAGES: Listing = Listing {
    fields: &[
        ("Repository", "REPOSITORY"),
        ("Tag", "TAG"),
        ("ID", "IMAGE ID"),
        ("CreatedSince", "CREATED"),
        ("Size", "SIZE"),
        ("SharedSize", "SHARED SIZE"),
        ("UniqueSize", "UNIQUE SIZE"),
        ("Containers", "CONTAINERS"),
    ],
    table: "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}",
    quiet: "",
};
const CONTAINERS: Listing = Listing {
    fields: &[
        ("ID", "CONTAINER ID"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Size", "SIZE"),
        ("RunningFor", "CREATED"),
        ("Status", "STATUS"),
        ("Names", "NAMES"),
    ],
    table: "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}",
    quiet: "",
};
const VOLUMES: Listing = Listing {
    fields: &[("Name", "VOLUME NAME"), ("Links", "LINKS"), ("Size", "SIZE")],
    table: "{{.Name}}\t{{.Links}}\t{{.Size}}",
    quiet: "",
};
const CACHE: Listing = Listing {
    fields: &[
        ("ID", "CACHE ID"),
        ("CacheType", "CACHE TYPE"),
        ("Size", "SIZE"),
        ("CreatedSince", "CREATED"),
        ("LastUsedSince", "LAST USED"),
        ("UsageCount", "USAGE"),
        ("Shared", "SHARED"),
    ],
    table: "{{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}",
    quiet: "",
};

fn verbose(usage: &Value, format: &str) -> Result<String, Error> {
    let images: Vec<Row> = list(usage, "Images")
        .iter()
        .filter_map(|image| Summary::deserialize(image).ok())
        .flat_map(|image| images::rows(&image, false, images::Digests::Hidden, images::Look::Whole))
        .collect();
    let containers: Vec<Row> = list(usage, "Containers").iter().map(container_row).collect();
    let volumes: Vec<Row> = list(usage, "Volumes").iter().map(volume_row).collect();
    let mut cache: Vec<&Value> = list(usage, "BuildCache").iter().collect();
    cache.sort_by_key(|record| (record["LastUsedAt"].as_str().and_then(instant), record["ID"].as_str()));
    let table = matches!(format, "" | "table");
    let cache: Vec<Row> = cache.into_iter().map(|record| cache_row(record, table)).collect();
    if !table {
        let whole =
            json!({ "Images": images, "Containers": containers, "Volumes": volumes, "BuildCache": cache });
        if format == "json" {
            return Ok(format!("{}\n", client::files::go_escape(&whole.to_string())));
        }
        let template = crate::template::Template::parse(format, crate::template::LISTING)?;
        // The whole is one object: as with docker, line breaks are the template's own business.
        return template.render(whole.clone(), whole);
    }
    let own: i64 =
        list(usage, "BuildCache").iter().filter(|c| c["Shared"] != true).map(|c| number(c, "Size")).sum();
    Ok(format!(
        "Images space usage:\n\n{}\nContainers space usage:\n\n{}\nLocal Volumes space usage:\n\n{}\nBuild cache usage: {}\n\n{}",
        IMAGES.render("", false, &images)?,
        CONTAINERS.render("", false, &containers)?,
        VOLUMES.render("", false, &volumes)?,
        human(own),
        CACHE.render("", false, &cache)?,
    ))
}

fn instant(text: &str) -> Option<jiff::Timestamp> {
    text.parse().ok()
}

/// Only what a container wrote itself takes room of its own.
fn container_row(container: &Value) -> Row {
    let mut row = containers::row(container, false);
    row.insert("Size".into(), units::size(container["SizeRw"].as_f64().unwrap_or_default(), 3).into());
    row
}

fn volume_row(volume: &Value) -> Row {
    let row = json!({
        "Name": volume["Name"],
        "Driver": volume["Driver"],
        "Mountpoint": volume["Mountpoint"],
        "Labels": labels(&volume["Labels"]),
        "Links": number(&volume["UsageData"], "RefCount").to_string(),
        "Size": units::size(volume_size(volume) as f64, 4),
    });
    row.as_object().cloned().unwrap_or_default()
}

/// Go's words for a time, in UTC.
fn moment(record: &Value, key: &str) -> String {
    let at = record[key].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
    at.map(|at| at.to_string().replace('T', " ").replace('Z', " +0000 UTC")).unwrap_or_default()
}

fn cache_row(record: &Value, short: bool) -> Row {
    let id = record["ID"].as_str().unwrap_or_default();
    let parents = record["Parents"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let since =
        |key: &str| record[key].as_str().and_then(units::seconds_of).map(units::ago).unwrap_or_default();
    let row = json!({
        "ID": if short { short_id(id) } else { id },
        "Parent": parents.collect::<Vec<_>>().join(", "),
        "CreatedAt": moment(record, "CreatedAt"),
        "LastUsedAt": moment(record, "LastUsedAt"),
        "CacheType": record["Type"],
        "Description": record["Description"],
        "Size": units::size(number(record, "Size") as f64, 3),
        "CreatedSince": since("CreatedAt"),
        "LastUsedSince": since("LastUsedAt"),
        "UsageCount": number(record, "UsageCount").to_string(),
        "Shared": (record["Shared"] == true).to_string(),
        "InUse": (record["InUse"] == true).to_string(),
    });
    row.as_object().cloned().unwrap_or_default()
}
