//! `stats`: what containers use, once or again and again.

use std::collections::HashMap;
use std::time::Duration;

use client::{Engine, encode};
use http::Method;
use serde_json::{Value, json};

use super::containers::short_id;
use super::units;
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::listing::{Listing, Row};
use crate::ui;

const INTERVAL: Duration = Duration::from_secs(1);

const STATS: Listing = Listing {
    fields: &[
        ("Container", "CONTAINER"),
        ("Name", "NAME"),
        ("ID", "CONTAINER ID"),
        ("CPUPerc", "CPU %"),
        ("MemUsage", "MEM USAGE / LIMIT"),
        ("MemPerc", "MEM %"),
        ("NetIO", "NET I/O"),
        ("BlockIO", "BLOCK I/O"),
        ("PIDs", "PIDS"),
    ],
    table: "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}",
    quiet: "{{.ID}}",
};

/// The last figures of each container, by what it is asked for as.
type Seen = HashMap<String, Value>;

/// Whose figures are shown.
pub(crate) enum Whose {
    /// These, as they were named.
    Named(Vec<String>),
    /// Whatever a list of the engine has at the time.
    Listed(String),
}

pub(crate) fn stats(call: &Call) -> Outcome {
    let whose = match call.args() {
        [] if call.flags().bool("all") => Whose::Listed("/containers/json?all=1".to_owned()),
        [] => Whose::Listed("/containers/json".to_owned()),
        names => Whose::Named(names.to_vec()),
    };
    show(call, whose)
}

/// Their figures as `--format`, `--no-stream` and `--no-trunc` say.
pub(crate) fn show(call: &Call, whose: Whose) -> Outcome {
    let flags = call.flags();
    let format = match flags.text("format") {
        "" => call.config().text("statsFormat").unwrap_or_default().to_owned(),
        format => format.to_owned(),
    };
    // A wrong template is told before anything is waited for.
    STATS.render(&format, false, &[])?;
    let (stream, full) = (!flags.bool("no-stream"), flags.bool("no-trunc"));
    call.with_engine(|engine| async move {
        let mut seen = look(&engine, &whose).await?;
        loop {
            tokio::time::sleep(INTERVAL).await;
            let now = look(&engine, &whose).await?;
            let names = names(&whose, &now);
            let rows: Vec<Row> =
                names.iter().map(|name| row(name, &now[name], seen.get(name), full)).collect();
            let text = STATS.render(&format, false, &rows)?;
            if !stream {
                ui::out(&text)?;
                return Ok(0);
            }
            // From the top of the screen, each line to its end, and nothing of what was below.
            ui::out(&format!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n")))?;
            seen = now;
        }
    })
}

/// In the order in which they were asked for, or as the engine lists them.
fn names(whose: &Whose, now: &Seen) -> Vec<String> {
    if let Whose::Named(asked) = whose {
        return asked.iter().filter(|name| now.contains_key(*name)).cloned().collect();
    }
    let mut all: Vec<(&String, i64)> =
        now.iter().map(|(id, figures)| (id, figures["created"].as_i64().unwrap_or_default())).collect();
    all.sort_unstable_by_key(|(id, created)| (std::cmp::Reverse(*created), (*id).clone()));
    all.into_iter().map(|(id, _)| id.clone()).collect()
}

async fn look(engine: &Engine, whose: &Whose) -> Result<Seen, Error> {
    let mut seen = Seen::new();
    let list = match whose {
        Whose::Named(names) => {
            for name in names {
                let mut found = figures(engine, name).await?;
                if is_nameless(&found) {
                    let container = engine.get(&format!("/containers/{}/json", encode(name))).await?;
                    (found["id"], found["name"]) = (container["Id"].clone(), container["Name"].clone());
                }
                seen.insert(name.clone(), found);
            }
            return Ok(seen);
        }
        Whose::Listed(path) => engine.get(path).await?,
    };
    for container in list.as_array().into_iter().flatten() {
        let id = container["Id"].as_str().unwrap_or_default();
        match figures(engine, id).await {
            Ok(mut found) => {
                found["created"] = container["Created"].clone();
                if is_nameless(&found) {
                    (found["id"], found["name"]) = (id.into(), container["Names"][0].clone());
                }
                seen.insert(id.to_owned(), found);
            }
            // Removed since it was listed.
            Err(error) if error.is_status(404) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(seen)
}

pub(crate) async fn figures(engine: &Engine, name: &str) -> Result<Value, client::Error> {
    let path = format!("/containers/{}/stats?stream=0&one-shot=1", encode(name));
    engine.call(Method::GET, &path, None).await?.json()
}

/// dockerd doesn't say whose figures these are where they are asked for once.
fn is_nameless(figures: &Value) -> bool {
    figures["name"].as_str().is_none_or(str::is_empty)
}

/// What a container uses, as a table's line.
pub(crate) fn row(name: &str, now: &Value, before: Option<&Value>, full: bool) -> Row {
    let id = now["id"].as_str().unwrap_or_default();
    let used = used_memory(&now["memory_stats"]);
    let limit = now["memory_stats"]["limit"].as_f64().unwrap_or_default();
    let share = if limit > 0.0 { used / limit * 100.0 } else { 0.0 };
    let (read, written) = block(&now["blkio_stats"]);
    let (received, sent) = network(&now["networks"]);
    let pair = |a: f64, b: f64, show: &dyn Fn(f64) -> String| format!("{} / {}", show(a), show(b));
    let decimal = |bytes| units::size(bytes, 3);
    let row = json!({
        "Container": name,
        "Name": now["name"].as_str().unwrap_or_default().trim_start_matches('/'),
        "ID": if full { id } else { short_id(id) },
        "CPUPerc": format!("{:.2}%", cpu(now, before)),
        "MemUsage": pair(used, limit, &units::binary_size),
        "MemPerc": format!("{share:.2}%"),
        "NetIO": pair(received, sent, &decimal),
        "BlockIO": pair(read, written, &decimal),
        "PIDs": now["pids_stats"]["current"].as_u64().unwrap_or_default().to_string(),
    });
    match row {
        Value::Object(row) => row,
        _ => Row::new(),
    }
}

/// The same for a curve.
pub(crate) fn sample(at: f64, now: &Value, before: Option<&Value>) -> live::Sample {
    let sum = |(one, other): (f64, f64)| one + other;
    live::Sample {
        at,
        processor: cpu(now, before),
        memory: used_memory(&now["memory_stats"]),
        network: sum(network(&now["networks"])),
        disk: sum(block(&now["blkio_stats"])),
    }
}

/// Of one processor's time, so that two busy ones are 200 %.
fn cpu(now: &Value, before: Option<&Value>) -> f64 {
    let Some(before) = before else { return 0.0 };
    let figure =
        |of: &Value, path: &str| of["cpu_stats"].pointer(path).and_then(Value::as_f64).unwrap_or_default();
    let gain = |path: &str| figure(now, path) - figure(before, path);
    let (own, all) = (gain("/cpu_usage/total_usage"), gain("/system_cpu_usage"));
    if own > 0.0 && all > 0.0 { own / all * figure(now, "/online_cpus") * 100.0 } else { 0.0 }
}

/// Without what the kernel would give back at once.
fn used_memory(memory: &Value) -> f64 {
    let usage = memory["usage"].as_f64().unwrap_or_default();
    let inactive =
        ["total_inactive_file", "inactive_file"].iter().find_map(|key| memory["stats"][key].as_f64());
    inactive.filter(|inactive| *inactive < usage).map_or(usage, |inactive| usage - inactive)
}

fn block(stats: &Value) -> (f64, f64) {
    let entries = stats["io_service_bytes_recursive"].as_array().map(Vec::as_slice).unwrap_or_default();
    let sum = |letter: char| {
        let own = entries
            .iter()
            .filter(|e| e["op"].as_str().is_some_and(|op| op.to_lowercase().starts_with(letter)));
        own.filter_map(|entry| entry["value"].as_f64()).sum()
    };
    (sum('r'), sum('w'))
}

fn network(networks: &Value) -> (f64, f64) {
    let sum =
        |key: &str| networks.as_object().into_iter().flatten().filter_map(|(_, n)| n[key].as_f64()).sum();
    (sum("rx_bytes"), sum("tx_bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_become_what_people_read() {
        let at = |own: u64, all: u64| {
            json!({
                "id": "0123456789abcdef", "name": "/web",
                "cpu_stats": {"cpu_usage": {"total_usage": own}, "system_cpu_usage": all, "online_cpus": 2},
                "memory_stats": {"usage": 3 << 20, "limit": 8 << 20, "stats": {"inactive_file": 1 << 20}},
                "pids_stats": {"current": 4},
                "blkio_stats": {"io_service_bytes_recursive": [{"op": "Read", "value": 1000}, {"op": "write", "value": 2000}]},
            })
        };
        let row = row("w", &at(150, 2000), Some(&at(100, 1000)), false);
        let text = |key: &str| row[key].as_str().unwrap_or_default();
        assert_eq!((text("CPUPerc"), text("MemUsage"), text("MemPerc")), ("10.00%", "2MiB / 8MiB", "25.00%"));
        assert_eq!((text("BlockIO"), text("NetIO"), text("PIDs")), ("1kB / 2kB", "0B / 0B", "4"));
        assert_eq!((text("ID"), text("Name"), text("Container")), ("0123456789ab", "web", "w"));
    }
}
