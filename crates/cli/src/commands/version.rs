//! `version`, and `--version`.

use std::fmt::Write as _;

use client::API_VERSION;
use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::listing::align_with;
use crate::template::{Stage, Template};
use crate::ui;

const STAGE: Stage = Stage { parse: "template parsing error", execute: "template execution error" };

/// `Docker version 28.5.2, build 9cc6dea`.
pub(crate) fn short(program: &str) -> Result<(), Error> {
    let name = if program == "docker" { "Docker" } else { "Ketch" };
    ui::out(&format!("{name} version {}, build {}\n", own(program), about::COMMIT))
}

/// Scripts that call `docker` compare its version with the releases they know.
pub(super) fn own(program: &str) -> &'static str {
    if program == "docker" { about::AS_DOCKER } else { about::VERSION }
}

/// `version`.
pub(crate) fn version(call: &Call) -> Outcome {
    let format = call.flags().text("format");
    let template = match format {
        "" | "json" => None,
        _ => Some(Template::parse(format, STAGE)?),
    };
    let context = call.context_name()?;
    let answer = call.with_engine(|engine| async move {
        let server = engine.get("/version").await;
        let agreed = engine.version().await.unwrap_or(API_VERSION).to_owned();
        Ok((agreed, server))
    });
    let (agreed, server) = match answer {
        Ok((agreed, server)) => (agreed, server.map_err(Error::from)),
        Err(error) => (API_VERSION.to_owned(), Err(error)),
    };
    let client = client_part(call.program, &agreed, &context);
    let server = server.map(with_readable_dates);
    let whole = json!({ "Client": client, "Server": server.as_ref().ok() });
    let text = match (format, template) {
        ("json", _) => format!("{}\n", client::files::go_escape(&whole.to_string())),
        (_, Some(template)) => format!("{}\n", template.render(with_field_names(&whole), whole)?),
        _ => table(&whole),
    };
    ui::out(&text)?;
    server.map(|_| 0)
}

/// docker shows the components' build times in the style of C's `ctime`.
fn with_readable_dates(mut server: Value) -> Value {
    for component in server["Components"].as_array_mut().into_iter().flatten() {
        let built =
            component["Details"]["BuildTime"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        if let Some(built) = built {
            component["Details"]["BuildTime"] = built.strftime("%a %b %e %H:%M:%S %Y").to_string().into();
        }
    }
    server
}

fn client_part(program: &str, agreed: &str, context: &str) -> Value {
    json!({
        "Version": own(program),
        "ApiVersion": agreed,
        "DefaultAPIVersion": API_VERSION,
        "GitCommit": about::COMMIT,
        "GoVersion": "",
        "BuildTime": about::COMMIT_TIME,
        "Os": "linux",
        "Arch": arch(),
        "Context": context,
    })
}

/// Go's name for this machine.
pub(crate) fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Templates name Go's fields, which differ from the JSON keys in one case.
fn with_field_names(whole: &Value) -> Value {
    let mut whole = whole.clone();
    for part in ["Client", "Server"] {
        if let Some(part) = whole.get_mut(part).and_then(Value::as_object_mut) {
            let version = part.get("ApiVersion").cloned().unwrap_or_default();
            part.insert("APIVersion".into(), version);
        }
    }
    whole
}

fn table(whole: &Value) -> String {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let client = &whole["Client"];
    let mut lines = vec![(" Version".to_owned(), text(client, "Version"))];
    let (agreed, own) = (text(client, "ApiVersion"), text(client, "DefaultAPIVersion"));
    let downgraded = if agreed == own { String::new() } else { format!(" (downgraded from {own})") };
    lines.push((" API version".into(), format!("{agreed}{downgraded}")));
    lines.push((" Git commit".into(), text(client, "GitCommit")));
    lines.push((" OS/Arch".into(), format!("{}/{}", text(client, "Os"), text(client, "Arch"))));
    lines.push((" Context".into(), text(client, "Context")));
    let mut out = format!("Client:\n{}", aligned(&lines));
    let server = &whole["Server"];
    if server.is_null() {
        return out;
    }
    let platform = server["Platform"]["Name"].as_str().filter(|name| !name.is_empty());
    let _ = writeln!(out, "\nServer:{}", platform.map(|name| format!(" {name}")).unwrap_or_default());
    let components = server["Components"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut lines = Vec::new();
    for component in components {
        lines.push((format!(" {}", text(component, "Name")), String::new()));
        lines.push(("  Version".into(), text(component, "Version")));
        let none = Map::new();
        let details = component["Details"].as_object().unwrap_or(&none);
        let engine = component["Name"] == "Engine";
        lines.extend(if engine { engine_details(&component["Details"]) } else { other_details(details) });
    }
    out.push_str(&aligned(&lines));
    out
}

fn engine_details(details: &Value) -> Vec<(String, String)> {
    let text = |key: &str| details[key].as_str().unwrap_or_default().to_owned();
    let api = format!("{} (minimum version {})", text("ApiVersion"), text("MinAPIVersion"));
    let rows = [
        ("  API version", api),
        ("  Go version", text("GoVersion")),
        ("  Git commit", text("GitCommit")),
        ("  Built", text("BuildTime")),
        ("  OS/Arch", format!("{}/{}", text("Os"), text("Arch"))),
        ("  Experimental", text("Experimental")),
    ];
    // An engine that isn't written in Go, or doesn't know when it was built, says nothing there.
    let shown = rows.into_iter().filter(|(name, value)| !value.is_empty() || *name == "  Git commit");
    shown.map(|(name, value)| (name.to_owned(), value)).collect()
}

fn other_details(details: &Map<String, Value>) -> Vec<(String, String)> {
    let row =
        |(key, value): (&String, &Value)| (format!("  {key}"), value.as_str().unwrap_or_default().to_owned());
    details.iter().map(row).collect()
}

/// `Name:` and its value in a column; a name without value is a heading.
fn aligned(lines: &[(String, String)]) -> String {
    let heading = |name: &str| !name.starts_with("  ") && name.starts_with(' ');
    let line = |(name, value): &(String, String)| match value.as_str() {
        "" if heading(name) => format!("{name}:\n"),
        _ => format!("{name}:\t{value}\n"),
    };
    align_with(&lines.iter().map(line).collect::<String>(), 20, 1)
}
