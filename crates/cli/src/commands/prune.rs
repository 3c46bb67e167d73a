//! `image prune`, `container prune`, `network prune`, `volume prune`: a question, a request, what went.

use http::Method;
use serde_json::Value;

use super::{filters, units};
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::{prompt, ui};

/// One kind of thing that can be pruned.
struct Prune {
    /// What goes, as the question names it.
    what: &'static str,
    path: &'static str,
    /// What a report says that is gone.
    gone: fn(&Value) -> String,
    /// Whether these take room.
    counted: bool,
}

impl Prune {
    fn run(&self, call: &Call, wanted: &[String]) -> Outcome {
        let path = filters::with_query(self.path, &[filters::parameter(wanted)]);
        let question =
            format!("WARNING! This will remove {}.\nAre you sure you want to continue?", self.what);
        call.with_engine(|engine| async move {
            if !call.flags().bool("force") && !prompt::confirm(&question).await? {
                return Ok(0);
            }
            let report = engine.call(Method::POST, &path, None).await?.json()?;
            ui::out(&self.told(&report))?;
            Ok(0)
        })
    }

    fn told(&self, report: &Value) -> String {
        let gone = (self.gone)(report);
        let head = if gone.is_empty() { String::new() } else { format!("{gone}\n") };
        if !self.counted {
            return head;
        }
        // Without anything gone docker counts nothing.
        let freed = report["SpaceReclaimed"].as_f64().filter(|_| !gone.is_empty()).unwrap_or_default();
        format!("{head}Total reclaimed space: {}\n", units::size(freed, 4))
    }
}

/// `image prune`.
pub(crate) fn images(call: &Call) -> Outcome {
    let all = call.flags().bool("all");
    let mut wanted = filters::for_prune(call);
    wanted.push(format!("dangling={}", !all));
    let what = if all {
        "all images without at least one container associated to them"
    } else {
        "all dangling images"
    };
    Prune { what, path: "/images/prune", gone: images_gone, counted: true }.run(call, &wanted)
}

/// `container prune`.
pub(crate) fn containers(call: &Call) -> Outcome {
    let (what, path) = ("all stopped containers", "/containers/prune");
    Prune { what, path, gone: containers_gone, counted: true }.run(call, &filters::for_prune(call))
}

/// `network prune`.
pub(crate) fn networks(call: &Call) -> Outcome {
    let (what, path) = ("all custom networks not used by at least one container", "/networks/prune");
    Prune { what, path, gone: networks_gone, counted: false }.run(call, &filters::for_prune(call))
}

/// `volume prune`.
pub(crate) fn volumes(call: &Call) -> Outcome {
    let all = call.flags().bool("all");
    let mut wanted = filters::for_prune(call);
    if all && wanted.iter().any(|filter| filter.starts_with("all=")) {
        let why = "conflicting options: cannot specify both --all and --filter all=1";
        return Err(Error::Usage(why.into()));
    }
    wanted.extend(all.then(|| "all=true".to_owned()));
    let what = match all {
        true => "all local volumes not used by at least one container",
        false => "anonymous local volumes not used by at least one container",
    };
    Prune { what, path: "/volumes/prune", gone: volumes_gone, counted: true }.run(call, &wanted)
}

pub(crate) fn containers_gone(report: &Value) -> String {
    list("Deleted Containers:", &report["ContainersDeleted"])
}

pub(crate) fn networks_gone(report: &Value) -> String {
    list("Deleted Networks:", &report["NetworksDeleted"])
}

pub(crate) fn volumes_gone(report: &Value) -> String {
    list("Deleted Volumes:", &report["VolumesDeleted"])
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
