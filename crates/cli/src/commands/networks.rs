//! `network create`, `ls`, `connect`, `disconnect`, `rm`.

mod create;

use client::encode;
use http::Method;
use serde_json::{Value, json};

use super::containers::{labels, short_id};
use super::{filters, units};
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::listing::{Listing, Row};
use crate::{shape, ui};

pub(crate) use create::create;

const NETWORKS: Listing = Listing {
    fields: &[
        ("ID", "NETWORK ID"),
        ("Name", "NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("IPv4", "IPV4"),
        ("IPv6", "IPV6"),
        ("Internal", "INTERNAL"),
        ("Labels", "LABELS"),
        ("CreatedAt", "CREATED AT"),
    ],
    table: "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
    quiet: "{{.ID}}",
};

/// `network ls`.
pub(crate) fn list(call: &Call) -> Outcome {
    let flags = call.flags();
    let path = filters::with_query("/networks", &[filters::parameter(&flags.list("filter"))]);
    let answer = call.with_engine(|engine| async move { Ok(engine.get(&path).await?) })?;
    let mut networks: Vec<&Value> = answer.as_array().into_iter().flatten().collect();
    networks
        .sort_unstable_by(|a, b| natural(a["Name"].as_str().unwrap_or(""), b["Name"].as_str().unwrap_or("")));
    let full = flags.bool("no-trunc");
    let rows: Vec<Row> = networks.into_iter().map(|network| row(network, full)).collect();
    let configured = call.config().text("networksFormat").unwrap_or_default();
    let format = if flags.changed("format") { flags.text("format") } else { configured };
    let quiet = flags.bool("quiet");
    let format = if quiet && !flags.changed("format") { "" } else { format };
    ui::out(&NETWORKS.render(format, quiet, &rows)?)?;
    Ok(0)
}

fn row(network: &Value, full: bool) -> Row {
    let text = |key: &str| network[key].as_str().unwrap_or_default();
    let truth = |key: &str| network[key].as_bool().unwrap_or_default().to_string();
    let row = json!({
        "ID": if full { text("Id") } else { short_id(text("Id")) },
        "Name": text("Name"),
        "Driver": text("Driver"),
        "Scope": text("Scope"),
        "IPv4": truth("EnableIPv4"),
        "IPv6": truth("EnableIPv6"),
        "Internal": truth("Internal"),
        "Labels": labels(&network["Labels"]),
        "CreatedAt": units::full(text("Created")),
    });
    row.as_object().cloned().unwrap_or_default()
}

/// `net2` before `net10`: digits count as the number that they are.
fn natural(a: &str, b: &str) -> std::cmp::Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (ours, theirs) = (digits(left), digits(right));
        if ours > 0 && theirs > 0 {
            let value = |text: &str| text.trim_start_matches('0').to_owned();
            let (x, y) = (value(&left[..ours]), value(&right[..theirs]));
            let order = x.len().cmp(&y.len()).then(x.cmp(&y));
            if order.is_ne() {
                return order;
            }
            (left, right) = (&left[ours..], &right[theirs..]);
            continue;
        }
        let (mut next, mut other) = (left.chars(), right.chars());
        match (next.next(), other.next()) {
            (None, None) => return a.cmp(b),
            (x, y) if x != y => return x.cmp(&y),
            _ => (left, right) = (next.as_str(), other.as_str()),
        }
    }
}

/// `network connect`.
pub(crate) fn connect(call: &Call) -> Outcome {
    let [network, container] = two(call)?;
    let body = shape::connection(call.flags(), container)?;
    post(call, &format!("/networks/{}/connect", encode(network)), &body)
}

/// `network disconnect`.
pub(crate) fn disconnect(call: &Call) -> Outcome {
    let [network, container] = two(call)?;
    let body = json!({ "Container": container, "Force": call.flags().bool("force") });
    post(call, &format!("/networks/{}/disconnect", encode(network)), &body)
}

fn two(call: &Call) -> Result<[&String; 2], Error> {
    match call.args() {
        [network, container] => Ok([network, container]),
        _ => Err(Error::Usage("a network and a container are needed".into())),
    }
}

fn post(call: &Call, path: &str, body: &Value) -> Outcome {
    call.with_engine(|engine| async move {
        engine.call(Method::POST, path, Some(body)).await?;
        Ok(0)
    })
}

/// `network rm`: all are tried; what went wrong is counted in docker's words at the end.
pub(crate) fn remove(call: &Call) -> Outcome {
    let force = call.flags().bool("force");
    call.with_engine(|engine| async move {
        let mut failed = false;
        for name in call.args() {
            match engine.call(Method::DELETE, &format!("/networks/{}", encode(name)), None).await {
                Ok(_) => ui::out(&format!("{name}\n"))?,
                Err(error) if force && error.is_status(404) => {}
                Err(error) => {
                    ui::err(&super::each::unless_fatal(error)?);
                    failed = true;
                }
            }
        }
        if failed { Err(Error::Several("exit status 1".into())) } else { Ok(0) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_are_sorted_as_numbers() {
        let mut names = ["net10", "net2", "a", "net", "net2a", "net02"];
        names.sort_unstable_by(|a, b| natural(a, b));
        assert_eq!(names, ["a", "net", "net02", "net2", "net2a", "net10"]);
    }
}
