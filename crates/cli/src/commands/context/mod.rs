//! `context …`: the named engines of one person.

mod archive;
mod endpoint;

use client::context::{Context, DEFAULT, check_name};
use serde_json::{Value, json};

use super::inspect;
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::listing::{Listing, Row};
use crate::template::{INSPECT, Template};
use crate::ui;

pub(crate) use archive::{export, import};

const CONTEXTS: Listing = Listing {
    fields: &[
        ("Name", "NAME"),
        ("Description", "DESCRIPTION"),
        ("DockerEndpoint", "DOCKER ENDPOINT"),
        ("Current", ""),
        ("Error", "ERROR"),
    ],
    table: "{{.Name}}{{if .Current}} *{{end}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}",
    quiet: "{{.Name}}",
};

fn name(call: &Call) -> &str {
    call.args().first().map_or("", String::as_str)
}

/// A name for a context that is to be made.
fn new_name(call: &Call, name: &str) -> Result<(), Error> {
    if name == DEFAULT {
        return Err(Error::Usage("\"default\" is a reserved context name".into()));
    }
    check_name(name)?;
    if call.contexts().find(name)?.is_some() {
        return Err(Error::Usage(format!("context \"{name}\" already exists")));
    }
    Ok(())
}

/// `context ls`.
pub(crate) fn list(call: &Call) -> Outcome {
    let flags = call.flags();
    let current = call.context_name()?;
    let default = call.default_endpoint()?;
    let mut rows =
        vec![row(DEFAULT, "Current DOCKER_HOST based configuration", &default.address, &current, "")];
    let contexts = call.contexts().list()?;
    rows.extend(contexts.iter().map(|c| row(&c.name, c.description(), c.host(), &current, "")));
    if !rows.iter().any(|row| row["Current"] == true) {
        let missing = format!("context not found: {current}");
        rows.push(row(&current, "", "", &current, &missing));
    }
    rows.sort_unstable_by(|a, b| a["Name"].as_str().cmp(&b["Name"].as_str()));
    ui::out(&CONTEXTS.render(
        if flags.bool("quiet") { "" } else { flags.text("format") },
        flags.bool("quiet"),
        &rows,
    )?)?;
    warn_of_host();
    Ok(0)
}

fn row(name: &str, description: &str, host: &str, current: &str, error: &str) -> Row {
    let row = json!({
        "Name": name,
        "Description": description,
        "DockerEndpoint": host,
        "Current": name == current,
        "Error": error,
    });
    row.as_object().cloned().unwrap_or_default()
}

/// A chosen context has no effect while the environment names a host.
fn warn_of_host() {
    if client::resolve::process_env("DOCKER_HOST").is_some() {
        ui::err(
            "Warning: DOCKER_HOST environment variable overrides the active context. To use a context, either set the global --context flag, or unset DOCKER_HOST environment variable.",
        );
    }
}

/// `context show`.
pub(crate) fn show(call: &Call) -> Outcome {
    ui::out(&format!("{}\n", call.context_name()?))?;
    Ok(0)
}

/// `context use`.
pub(crate) fn choose(call: &Call) -> Outcome {
    let name = name(call);
    if name != DEFAULT {
        call.contexts().get(name)?;
    }
    let mut config = call.config_to_change()?;
    config.set_current_context((name != DEFAULT).then_some(name))?;
    ui::out(&format!("{name}\n"))?;
    ui::err(&format!("Current context is now \"{name}\""));
    if name != DEFAULT {
        warn_of_host();
    }
    Ok(0)
}

/// `context create`.
pub(crate) fn create(call: &Call) -> Outcome {
    let flags = call.flags();
    let name = name(call);
    new_name(call, name)?;
    let described = flags.changed("description").then(|| flags.text("description"));
    let source = endpoint::read(call, flags.find("from"))?;
    let description = described.unwrap_or(source.description.as_str());
    let store = call.contexts();
    store.save(&Context::new(name, description, &source.endpoint))?;
    store.save_tls(name, &source.tls)?;
    ui::out(&format!("{name}\n"))?;
    ui::err(&format!("Successfully created context \"{name}\""));
    Ok(0)
}

/// `context update`.
pub(crate) fn update(call: &Call) -> Outcome {
    let flags = call.flags();
    let name = name(call);
    let store = call.contexts();
    let mut context = store.get(name)?;
    if flags.changed("description") {
        context.meta["Metadata"]["Description"] = flags.text("description").into();
    }
    if flags.changed("docker") {
        let source = endpoint::read(call, None)?;
        context.meta["Endpoints"][client::context::ENDPOINT] = source.endpoint;
        store.save_tls(name, &source.tls)?;
    }
    store.save(&context)?;
    ui::out(&format!("{name}\n"))?;
    ui::err(&format!("Successfully updated context \"{name}\""));
    Ok(0)
}

/// `context rm`.
pub(crate) fn remove(call: &Call) -> Outcome {
    let current = call.context_name()?;
    let mut failures = Vec::new();
    for name in call.args() {
        match remove_one(call, name, &current) {
            Ok(()) => ui::out(&format!("{name}\n"))?,
            Err(error) => failures.push(error.to_string()),
        }
    }
    super::each::finish(&failures)
}

fn remove_one(call: &Call, name: &str, current: &str) -> Result<(), Error> {
    if name == DEFAULT {
        return Err(Error::Usage("context \"default\" cannot be removed".into()));
    }
    let force = call.flags().bool("force");
    if name == current && !force {
        return Err(Error::Usage(format!("context \"{name}\" is in use, set -f flag to force remove")));
    }
    match call.contexts().remove(name) {
        Err(client::Error::NoContext(_)) if force => {}
        other => other?,
    }
    if call.config().current_context() == Some(name) {
        call.config_to_change()?.set_current_context(None)?;
    }
    Ok(())
}

/// `context inspect`.
pub(crate) fn describe(call: &Call) -> Outcome {
    let format = call.flags().text("format");
    let template = match format {
        "" | "json" => None,
        _ => Some(Template::parse(format, INSPECT)?),
    };
    let names = match call.args() {
        [] => vec![call.context_name()?],
        names => names.to_vec(),
    };
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        match described(call, &name) {
            Ok(context) => found.push(context),
            Err(error) => failures.push(error.to_string()),
        }
    }
    let text = inspect::print(format, template.as_ref(), found)?;
    // The engine's answers are shown as they came; a context is written by the client itself, with Go's escapes.
    ui::out(&if template.is_none() { client::files::go_escape(&text) } else { text })?;
    super::each::finish(&failures)
}

fn described(call: &Call, name: &str) -> Result<Value, Error> {
    if name == DEFAULT {
        let endpoint = call.default_endpoint()?;
        let skip = endpoint.tls.as_ref().is_some_and(|tls| tls.ca.is_none());
        return Ok(json!({
            "Name": DEFAULT,
            "Metadata": {},
            "Endpoints": { client::context::ENDPOINT: { "Host": endpoint.address, "SkipTLSVerify": skip } },
            "TLSMaterial": {},
            "Storage": { "MetadataPath": "<IN MEMORY>", "TLSPath": "<IN MEMORY>" },
        }));
    }
    let store = call.contexts();
    let mut meta = store.get(name)?.meta;
    let mut material = json!({});
    for (endpoint, file, _) in store.tls_files(name)? {
        match material.get_mut(&endpoint).and_then(Value::as_array_mut) {
            Some(files) => files.push(file.into()),
            None => material[endpoint] = json!([file]),
        }
    }
    meta["TLSMaterial"] = material;
    meta["Storage"] = json!({ "MetadataPath": store.meta_dir(name), "TLSPath": store.tls_dir(name) });
    Ok(meta)
}
