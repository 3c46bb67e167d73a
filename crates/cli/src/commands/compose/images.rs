//! `images` and `volumes`: what a project's containers were made of, and what they keep.

use client::encode;
use compose::labels;
use serde_json::{Value, json};

use super::observe::{self, OneOff};
use super::project;
use crate::call::Call;
use crate::commands::{containers, units};
use crate::error::Outcome;
use crate::listing::{Listing, Row, align_with};
use crate::ui;

/// `compose images`.
pub(crate) fn images(call: &Call) -> Outcome {
    let flags = call.flags();
    let (name, project) = project::name(call)?;
    if let Some(project) = &project {
        project.known(call.args())?;
    }
    let rows = call.with_engine(|engine| async move {
        let own =
            observe::of_services(observe::containers(&engine, &name, OneOff::Without).await?, call.args());
        let mut rows = Vec::new();
        for one in own {
            let id = one["ImageID"].as_str().unwrap_or_default();
            let image = match engine.get(&format!("/images/{}/json", encode(id))).await {
                Ok(image) => image,
                // It is away; the container is not.
                Err(error) if error.is_status(404) => Value::Null,
                Err(error) => return Err(error.into()),
            };
            rows.push((one, image));
        }
        Ok(rows)
    })?;
    let text = match (flags.bool("quiet"), flags.text("format")) {
        (true, _) => {
            let mut ids: Vec<_> =
                rows.iter().map(|(one, _)| one["ImageID"].as_str().unwrap_or_default()).collect();
            ids.sort_unstable();
            ids.dedup();
            ids.into_iter().map(|id| format!("{}\n", id.trim_start_matches("sha256:"))).collect()
        }
        (false, "json") => {
            format!("{}\n", rows.iter().map(|(one, image)| as_json(one, image)).collect::<Value>())
        }
        _ => table(&rows),
    };
    ui::out(&text)?;
    Ok(0)
}

fn parts<'v>(one: &'v Value, image: &'v Value) -> (String, String, String, f64) {
    let name = one["Image"].as_str().unwrap_or_default();
    let slash = name.rfind('/').map_or(0, |at| at + 1);
    let (repository, tag) = match name[slash..].rfind(':') {
        Some(at) => (&name[..slash + at], &name[slash + at + 1..]),
        None => (name, "latest"),
    };
    let text = |key: &str| image[key].as_str().unwrap_or_default();
    let platform = format!("{}/{}", text("Os"), text("Architecture"));
    (repository.to_owned(), tag.to_owned(), platform, image["Size"].as_f64().unwrap_or(0.0))
}

fn as_json(one: &Value, image: &Value) -> Value {
    let (repository, tag, platform, size) = parts(one, image);
    json!({
        "ID": one["ImageID"],
        "ContainerName": observe::name(one),
        "Repository": repository,
        "Tag": tag,
        "Platform": platform,
        "Size": size as i64,
        "Created": image["Created"],
        "LastTagTime": image["Metadata"]["LastTagTime"],
    })
}

fn table(rows: &[(Value, Value)]) -> String {
    let mut text = "CONTAINER\tREPOSITORY\tTAG\tPLATFORM\tIMAGE ID\tSIZE\tCREATED\n".to_owned();
    for (one, image) in rows {
        let (repository, tag, platform, size) = parts(one, image);
        // Docker's client calls that the creation: when the image came to be what this name means.
        let tagged = image["Metadata"]["LastTagTime"].as_str().or(image["Created"].as_str());
        let created = units::seconds_of(tagged.unwrap_or_default());
        let created = created.map(units::ago).unwrap_or_else(|| "N/A".to_owned());
        let id = containers::short_id(one["ImageID"].as_str().unwrap_or_default());
        let (name, size) = (observe::name(one), units::size(size, 3));
        text.push_str(&format!("{name}\t{repository}\t{tag}\t{platform}\t{id}\t{size}\t{created}\n"));
    }
    align_with(&diag::printable(&text), 20, 3)
}

const VOLUMES: Listing = Listing {
    fields: &[
        ("Driver", "DRIVER"),
        ("Name", "VOLUME NAME"),
        ("Labels", "LABELS"),
        ("Mountpoint", "MOUNTPOINT"),
        ("Scope", "SCOPE"),
    ],
    table: "{{.Driver}}\t{{.Name}}",
    quiet: "{{.Name}}",
};

/// `compose volumes`.
pub(crate) fn volumes(call: &Call) -> Outcome {
    let flags = call.flags();
    let (name, project) = project::name(call)?;
    if let Some(project) = &project {
        project.known(call.args())?;
    }
    let rows: Vec<Row> = call.with_engine(|engine| async move {
        let mut volumes = observe::named(&engine, "volumes", &name).await?;
        if let (Some(project), false) = (&project, call.args().is_empty()) {
            let used = |key: &str| {
                call.args().iter().any(|service| {
                    let mounts = project.service(service).and_then(|spec| spec["volumes"].as_array());
                    mounts.into_iter().flatten().any(|mount| mount["source"] == key)
                })
            };
            volumes.retain(|volume| used(volume["Labels"][labels::VOLUME].as_str().unwrap_or_default()));
        }
        volumes.sort_unstable_by_key(|volume| volume["Name"].as_str().unwrap_or_default().to_owned());
        Ok(volumes.iter().map(volume_row).collect())
    })?;
    ui::out(&VOLUMES.render(flags.text("format"), flags.bool("quiet"), &rows)?)?;
    Ok(0)
}

fn volume_row(volume: &Value) -> Row {
    let row = json!({
        "Driver": volume["Driver"],
        "Name": volume["Name"],
        "Labels": containers::labels(&volume["Labels"]),
        "Mountpoint": volume["Mountpoint"],
        "Scope": volume["Scope"],
    });
    row.as_object().cloned().unwrap_or_default()
}
