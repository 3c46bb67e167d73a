//! `ls`: the projects that an engine has.

use std::collections::{BTreeMap, BTreeSet};

use client::encode;
use compose::labels;
use serde_json::{Value, json};

use super::observe;
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::listing::align_with;
use crate::ui;

#[derive(Default)]
struct Found {
    states: BTreeMap<String, usize>,
    files: BTreeSet<String>,
}

impl Found {
    fn status(&self) -> String {
        let parts: Vec<_> = self.states.iter().map(|(state, count)| format!("{state}({count})")).collect();
        parts.join(", ")
    }

    fn files(&self) -> String {
        self.files.iter().cloned().collect::<Vec<_>>().join(",")
    }
}

/// `compose ls`.
pub(crate) fn ls(call: &Call) -> Outcome {
    let flags = call.flags();
    let names = names(call)?;
    let all = flags.bool("all");
    let answer = call.with_engine(|engine| async move {
        let filters = json!({ "label": [labels::PROJECT] }).to_string();
        let all = if all { "all=1&" } else { "" };
        Ok(engine.get(&format!("/containers/json?{all}filters={}", encode(&filters))).await?)
    })?;
    let mut projects: BTreeMap<String, Found> = BTreeMap::new();
    for one in answer.as_array().into_iter().flatten() {
        let found = projects.entry(observe::label(one, labels::PROJECT).to_owned()).or_default();
        *found.states.entry(one["State"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        found.files.insert(observe::label(one, labels::FILES).to_owned());
    }
    projects.retain(|name, _| names.is_empty() || names.iter().any(|wanted| name.contains(wanted.as_str())));
    let text = match (flags.bool("quiet"), flags.text("format")) {
        (true, _) => projects.keys().map(|name| format!("{name}\n")).collect(),
        (false, "json") => {
            let rows = projects.iter().map(|(name, found)| {
                json!({ "Name": name, "Status": found.status(), "ConfigFiles": found.files() })
            });
            format!("{}\n", Value::Array(rows.collect()))
        }
        (false, "table" | "") => {
            let rows = projects
                .iter()
                .map(|(name, found)| format!("{name}\t{}\t{}\n", found.status(), found.files()));
            align_with(
                &diag::printable(&format!("NAME\tSTATUS\tCONFIG FILES\n{}", rows.collect::<String>())),
                20,
                3,
            )
        }
        (false, other) => {
            return Err(Error::Usage(format!("format value {other:?} could not be parsed: parsing failed")));
        }
    };
    ui::out(&text)?;
    Ok(0)
}

fn names(call: &Call) -> Result<Vec<String>, Error> {
    let names = call.flags().list("filter").into_iter().map(|filter| match filter.split_once('=') {
        Some(("name", name)) => Ok(name.to_owned()),
        Some((other, _)) => Err(Error::Usage(format!("unknown filter {other:?}"))),
        None => Err(Error::Usage(format!(
            "invalid argument {filter:?} for \"--filter\" flag: bad format of filter (expected name=value)"
        ))),
    });
    names.collect()
}
