//! `events`.

use std::fmt::Write as _;

use http::Method;
use serde_json::Value;

use super::{filters, logs, units};
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::messages;
use crate::template::{LISTING, Template};
use crate::ui;

/// Prints events as they happen.
pub(crate) fn events(call: &Call) -> Outcome {
    let flags = call.flags();
    let format = flags.text("format");
    let template = match format {
        "" | "json" => None,
        _ => Some(Template::parse(format, LISTING)?),
    };
    let time = |flag: &str| logs::parameter(flag, flags.find(flag)).map_err(Error::Usage);
    let path = filters::with_query(
        "/events",
        &[time("since")?, time("until")?, filters::parameter(&flags.list("filter"))],
    );
    call.with_engine(|engine| async move {
        let body = engine.stream(Method::GET, &path, None).await?;
        messages::each(body, |event| ui::out(&line(format, template.as_ref(), event)?)).await?;
        Ok(0)
    })
}

fn line(format: &str, template: Option<&Template>, event: &Value) -> Result<String, Error> {
    match template {
        Some(template) => {
            let mut shown = event.clone();
            // The time fields have other names in Go's struct than in the JSON.
            for (field, key) in [
                ("Time", "time"),
                ("TimeNano", "timeNano"),
                ("ID", "id"),
                ("Status", "status"),
                ("From", "from"),
                ("Scope", "scope"),
            ] {
                shown[field] = event[key].clone();
            }
            Ok(template.render(shown, event.clone())? + "\n")
        }
        None if format == "json" => Ok(format!("{}\n", client::files::go_escape(&event.to_string()))),
        None => Ok(diag::printable(&plain(event))),
    }
}

/// `2026-11-21T08:10:47.123456789Z container start 0123… (image=busybox, name=x)`.
fn plain(event: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let nanos = event["timeNano"].as_i64().filter(|nanos| *nanos != 0);
    let nanos =
        nanos.unwrap_or_else(|| event["time"].as_i64().unwrap_or_default().saturating_mul(1_000_000_000));
    let mut line = units::local_nanos(nanos);
    let _ =
        write!(line, " {} {} {}", text(&event["Type"]), text(&event["Action"]), text(&event["Actor"]["ID"]));
    let attributes = event["Actor"]["Attributes"].as_object();
    let mut pairs: Vec<String> =
        attributes.into_iter().flatten().map(|(k, v)| format!("{k}={}", text(v))).collect();
    pairs.sort_unstable();
    if !pairs.is_empty() {
        let _ = write!(line, " ({})", pairs.join(", "));
    }
    line + "\n"
}
