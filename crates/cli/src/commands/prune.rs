//! `image prune`, `container prune`, `network prune`.

use http::Method;
use serde_json::Value;

use super::{filters, units};
use crate::call::Call;
use crate::error::Outcome;
use crate::{prompt, ui};

const DANGLING: &str = "WARNING! This will remove all dangling images.\nAre you sure you want to continue?";
const UNUSED: &str = "WARNING! This will remove all images without at least one container associated to them.\n\
     Are you sure you want to continue?";

/// `image prune`.
pub(crate) fn images(call: &Call) -> Outcome {
    let flags = call.flags();
    let all = flags.bool("all");
    let mut wanted = filters::for_prune(call);
    wanted.push(format!("dangling={}", !all));
    let path = filters::with_query("/images/prune", &[filters::parameter(&wanted)]);
    call.with_engine(|engine| async move {
        let question = if all { UNUSED } else { DANGLING };
        if !flags.bool("force") && !prompt::confirm(question).await? {
            return Ok(0);
        }
        let report = engine.call(Method::POST, &path, None).await?.json()?;
        ui::out(&told(&report))?;
        Ok(0)
    })
}

const STOPPED: &str = "WARNING! This will remove all stopped containers.\nAre you sure you want to continue?";

/// `container prune`.
pub(crate) fn containers(call: &Call) -> Outcome {
    let filters = filters::parameter(&filters::for_prune(call));
    let path = filters::with_query("/containers/prune", &[filters]);
    call.with_engine(|engine| async move {
        if !call.flags().bool("force") && !prompt::confirm(STOPPED).await? {
            return Ok(0);
        }
        let report = engine.call(Method::POST, &path, None).await?.json()?;
        let gone = list("Deleted Containers:", &report["ContainersDeleted"]);
        if !gone.is_empty() {
            ui::out(&format!("{gone}\n"))?;
        }
        // Without a container gone docker counts nothing.
        let freed = report["SpaceReclaimed"].as_f64().filter(|_| !gone.is_empty()).unwrap_or_default();
        ui::out(&format!("Total reclaimed space: {}\n", units::size(freed, 4)))?;
        Ok(0)
    })
}

const CUSTOM: &str = "WARNING! This will remove all custom networks not used by at least one container.\nAre you sure you want to continue?";

/// `network prune`.
pub(crate) fn networks(call: &Call) -> Outcome {
    let filters = filters::parameter(&filters::for_prune(call));
    let path = filters::with_query("/networks/prune", &[filters]);
    call.with_engine(|engine| async move {
        if !call.flags().bool("force") && !prompt::confirm(CUSTOM).await? {
            return Ok(0);
        }
        let report = engine.call(Method::POST, &path, None).await?.json()?;
        let gone = list("Deleted Networks:", &report["NetworksDeleted"]);
        if !gone.is_empty() {
            ui::out(&format!("{gone}\n"))?;
        }
        Ok(0)
    })
}

/// A head and a line for each; nothing where there is nothing.
pub(crate) fn list(head: &str, names: &Value) -> String {
    let lines: String = names
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|name| format!("{name}\n"))
        .collect();
    if lines.is_empty() { lines } else { format!("{head}\n{lines}") }
}

/// What an image prune took away, under its head.
pub(crate) fn images_gone(report: &Value) -> String {
    let line = |item: &Value| match item["Untagged"].as_str().filter(|name| !name.is_empty()) {
        Some(name) => format!("untagged: {name}\n"),
        None => format!("deleted: {}\n", item["Deleted"].as_str().unwrap_or_default()),
    };
    let gone: String = report["ImagesDeleted"].as_array().into_iter().flatten().map(line).collect();
    if gone.is_empty() { gone } else { format!("Deleted Images:\n{gone}") }
}

fn told(report: &Value) -> String {
    let gone = images_gone(report);
    // Without an image gone docker counts nothing.
    let freed = report["SpaceReclaimed"].as_f64().filter(|_| !gone.is_empty()).unwrap_or_default();
    let head = if gone.is_empty() { gone } else { format!("{gone}\n") };
    format!("{head}Total reclaimed space: {}\n", units::size(freed, 4))
}
