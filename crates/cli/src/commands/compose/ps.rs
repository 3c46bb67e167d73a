//! `ps`.

use compose::labels;
use serde_json::{Value, json};

use super::observe::{self, OneOff};
use super::project;
use crate::call::Call;
use crate::commands::containers;
use crate::error::{Error, Outcome};
use crate::listing::{Listing, Row};
use crate::ui;

const SERVICES: Listing = Listing {
    fields: &[
        ("Name", "NAME"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("Service", "SERVICE"),
        ("RunningFor", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("Status", "STATUS"),
        ("Ports", "PORTS"),
        ("ID", "CONTAINER ID"),
        ("Project", "PROJECT"),
        ("State", "STATE"),
        ("Health", "HEALTH"),
        ("ExitCode", "EXIT CODE"),
        ("Labels", "LABELS"),
        ("Mounts", "MOUNTS"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Names", "NAMES"),
        ("Networks", "NETWORKS"),
        ("Size", "SIZE"),
        ("Publishers", "PUBLISHERS"),
    ],
    table: "{{.Name}}\t{{.Image}}\t{{.Command}}\t{{.Service}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}",
    quiet: "{{.ID}}",
};

/// `compose ps`.
pub(crate) fn ps(call: &Call) -> Outcome {
    let flags = call.flags();
    let (name, project) = project::name(call)?;
    if let Some(project) = &project {
        project.known(call.args())?;
    }
    let statuses = statuses(call)?;
    let one_off = if flags.bool("all") { OneOff::With } else { OneOff::Without };
    let answer = call.with_engine(|engine| async move {
        let mut own = observe::of_services(observe::containers(&engine, &name, one_off).await?, call.args());
        if !flags.bool("orphans")
            && let Some(project) = &project
        {
            own.retain(|one| project.service(observe::label(one, labels::SERVICE)).is_some());
        }
        own.retain(|one| {
            let state = one["State"].as_str().unwrap_or_default();
            match statuses.is_empty() {
                true => flags.bool("all") || !matches!(state, "exited" | "dead" | "created"),
                false => statuses.iter().any(|wanted| wanted == state),
            }
        });
        Ok(own)
    })?;
    let full = flags.bool("no-trunc");
    if flags.bool("services") {
        let mut names: Vec<_> = answer.iter().map(|one| observe::label(one, labels::SERVICE)).collect();
        names.dedup();
        let lines: Vec<String> = names.into_iter().map(|name| format!("{name}\n")).collect();
        ui::out(&diag::printable(&lines.concat()))?;
        return Ok(0);
    }
    let rows: Vec<Row> = answer.iter().map(|one| row(one, full, flags.bool("quiet"))).collect();
    let text = match flags.text("format") {
        "json" => rows.iter().map(document).collect(),
        format => SERVICES.render(format, flags.bool("quiet"), &rows)?,
    };
    ui::out(&text)?;
    Ok(0)
}

/// All that docker compose says of a container, in its order.
fn document(row: &Row) -> String {
    let mut names: Vec<_> = SERVICES.fields.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    let all: Row = names.into_iter().map(|name| (name.to_owned(), row.get(name).cloned().into())).collect();
    format!("{}\n", Value::Object(all))
}

fn statuses(call: &Call) -> Result<Vec<String>, Error> {
    let mut statuses = call.flags().list("status");
    if let Some(filter) = call.flags().find("filter") {
        match filter.split_once('=') {
            Some(("status", status)) => statuses.push(status.to_owned()),
            Some(("source", _)) => return Err(Error::Usage("filter source is not supported".into())),
            _ => return Err(Error::Usage("arguments to --filter should be in form KEY=VAL".into())),
        }
    }
    Ok(statuses)
}

fn row(container: &Value, full: bool, full_id: bool) -> Row {
    let mut row = containers::row(container, full);
    let status = container["Status"].as_str().unwrap_or_default();
    let exit_code =
        status.strip_prefix("Exited (").and_then(|rest| rest.split(')').next()?.parse::<i64>().ok());
    let health = ["healthy", "unhealthy", "starting"].into_iter().find(|word| {
        status.ends_with(&format!("({word})"))
            || *word == "starting" && status.ends_with("(health: starting)")
    });
    let more = json!({
        "Name": observe::name(container),
        "Service": observe::label(container, labels::SERVICE),
        "Project": observe::label(container, labels::PROJECT),
        "ExitCode": exit_code.unwrap_or(0),
        "Health": health.unwrap_or_default(),
        "Publishers": publishers(container),
    });
    row.extend(more.as_object().cloned().unwrap_or_default());
    if full_id {
        row.insert("ID".into(), container["Id"].clone());
    }
    row
}

fn publishers(container: &Value) -> Value {
    let ports = container["Ports"].as_array().into_iter().flatten().map(|port| {
        json!({
            "URL": port["IP"].as_str().unwrap_or_default(),
            "TargetPort": port["PrivatePort"],
            "PublishedPort": port["PublicPort"].as_u64().unwrap_or(0),
            "Protocol": port["Type"],
        })
    });
    ports.collect()
}
