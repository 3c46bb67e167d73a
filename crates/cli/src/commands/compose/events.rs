//! `events` of a project's containers.

use client::encode;
use compose::labels;
use http::Method;
use serde_json::{Map, Value, json};

use super::project;
use crate::call::Call;
use crate::commands::{filters, logs, units};
use crate::error::{Error, Outcome};
use crate::{messages, ui};

/// `compose events`.
pub(crate) fn events(call: &Call) -> Outcome {
    let (name, project) = project::name(call)?;
    if let Some(project) = &project {
        project.known(call.args())?;
    }
    let flags = call.flags();
    let filter = json!({ "type": ["container"], "label": [format!("{}={name}", labels::PROJECT)] });
    let time = |flag: &str| logs::parameter(flag, flags.find(flag)).map_err(Error::Usage);
    let path = filters::with_query(
        "/events",
        &[time("since")?, time("until")?, Some(format!("filters={}", encode(&filter.to_string())))],
    );
    let (services, as_json) = (call.args(), flags.bool("json"));
    call.with_engine(|engine| async move {
        let body = engine.stream(Method::GET, &path, None).await?;
        messages::each(body, |event| {
            let nanos = event["timeNano"].as_i64().unwrap_or_default();
            match shown(event, nanos, services) {
                Some(event) if as_json => {
                    ui::out(&format!("{}\n", client::files::go_escape(&event.to_string())))
                }
                Some(event) => ui::out(&diag::printable(&plain(&event, nanos))),
                None => Ok(()),
            }
        })
        .await?;
        Ok(0)
    })
}

/// An event in docker compose's form, if it is of a service that was asked for. What `run` started is nobody's.
fn shown(event: &Value, nanos: i64, services: &[String]) -> Option<Value> {
    let attributes = event["Actor"]["Attributes"].as_object()?;
    let of = |label: &str| attributes.get(label).and_then(Value::as_str).unwrap_or_default();
    let service = of(labels::SERVICE);
    if of(labels::ONE_OFF) == "True" || !(services.is_empty() || services.iter().any(|one| one == service)) {
        return None;
    }
    let kept: Map<String, Value> = attributes
        .iter()
        .filter(|(key, _)| !key.starts_with("com.docker.compose."))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    Some(json!({
        "action": event["Action"], "attributes": kept, "id": event["Actor"]["ID"], "service": service,
        "time": units::local_nanos(nanos), "type": "container",
    }))
}

/// `2026-11-21 08:10:47.123456 container start 0123… (image=busybox, name=x)`.
fn plain(event: &Value, nanos: i64) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let attributes = event["attributes"].as_object().into_iter().flatten();
    let pairs: Vec<_> = attributes.map(|(key, value)| format!("{key}={}", text(value))).collect();
    format!(
        "{} container {} {} ({})\n",
        units::local_micros(nanos),
        text(&event["action"]),
        text(&event["id"]),
        pairs.join(", ")
    )
}
