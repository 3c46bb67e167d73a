//! Builders, and what they keep: `builder prune`, `buildx du`, `ls`, `inspect` and `version`. Each engine is one builder, under
//! the name of its context.

use std::collections::BTreeMap;

use buildkit::client::Builder;
use buildkit::proto::control::{DiskUsageRequest, PruneRequest, UsageRecord};
use buildkit::proto::types::{CdiDevice, GcPolicy, WorkerRecord};
use client::Engine;
use client::resolve::Endpoint;
use futures_util::future::join_all;
use grpc::Status;
use serde_json::{Value, json};

use super::units;
use crate::builders::Builder as Named;
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::listing::{Listing, Row, align_with};
use crate::refs::Refs;
use crate::{prompt, ui};

const USAGE: Listing = Listing {
    fields: &[
        ("ID", "ID"),
        ("Parents", "PARENTS"),
        ("CreatedAt", "CREATED AT"),
        ("Mutable", "MUTABLE"),
        ("Reclaimable", "RECLAIMABLE"),
        ("Shared", "SHARED"),
        ("Size", "SIZE"),
        ("Description", "DESCRIPTION"),
        ("UsageCount", "USAGE COUNT"),
        ("LastUsedAt", "LAST ACCESSED"),
        ("Type", "TYPE"),
    ],
    table: "{{.ID}}\t{{.Reclaimable}}\t{{.Size}}\t{{.LastUsedAt}}",
    quiet: "{{.ID}}",
};

const BUILDERS: Listing = Listing {
    fields: &[
        ("Name", "NAME/NODE"),
        ("DriverEndpoint", "DRIVER/ENDPOINT"),
        ("LastActivity", "LAST ACTIVITY"),
        ("Status", "STATUS"),
        ("Buildkit", "BUILDKIT"),
        ("Platforms", "PLATFORMS"),
        ("Error", ""),
    ],
    table: "{{.Name}}\t{{.DriverEndpoint}}\t{{.Status}}\t{{.Buildkit}}\t{{.Platforms}}",
    quiet: "{{.Name}}",
};

/// The builder of this engine.
pub(super) async fn reach(engine: &Engine) -> Result<Builder, Error> {
    let upgraded = engine.upgrade("/grpc", "h2c", None).await?;
    Builder::over(upgraded.io).await.map_err(|status| failed(&status))
}

/// What a builder says of itself, for which nobody waits longer than `--timeout`.
pub(super) async fn in_time<T>(
    call: &Call,
    asking: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let late = |_| Err(Error::Usage("ERROR: context deadline exceeded: the builder says nothing".into()));
    tokio::time::timeout(call.flags().duration("timeout"), asking).await.unwrap_or_else(late)
}

fn failed(status: &Status) -> Error {
    Error::Usage(format!("ERROR: {}", diag::printable(&status.message)))
}

/// The builder's name: its own, or that of the engine's context.
pub(super) fn name(call: &Call, context: &str) -> Result<String, Error> {
    match call.builder_name()? {
        Some(name) if name == context => Ok(name),
        Some(name) => match call.builders().find(&name)? {
            Some(found) => Ok(found.name),
            None => Err(unknown(&name)),
        },
        None => Ok(context.to_owned()),
    }
}

/// What is noted of the builder's builds here.
pub(super) fn refs(call: &Call) -> Result<Refs, Error> {
    let context = call.endpoint()?.context;
    let name = name(call, &context)?;
    let node = if name == context { name.clone() } else { format!("{name}0") };
    Ok(call.builders().refs(&name, &node))
}

pub(super) fn unknown(name: &str) -> Error {
    Error::Usage(format!("ERROR: no builder {name:?} found"))
}

/// `buildx du`.
pub(crate) fn usage(call: &Call) -> Outcome {
    let flags = call.flags();
    name(call, &call.endpoint()?.context)?;
    let question = DiskUsageRequest { filter: expressions(&flags.list("filter"))?.1, age_limit: 0 };
    call.with_engine(|engine| async move {
        let builder = in_time(call, reach(&engine)).await?;
        let answer = builder.usage(&question).await.map_err(|status| failed(&status))?;
        let records = answer.record;
        if flags.bool("verbose") {
            let told: Vec<String> = records.iter().map(pretty).collect();
            ui::out(&told.concat())?;
        } else {
            let is_table = is_table(flags.text("format"));
            let rows: Vec<Row> = records.iter().map(|record| row(record, is_table)).collect();
            ui::out(&USAGE.render(flags.text("format"), false, &rows)?)?;
        }
        // A sum of some would be taken for the sum of all.
        if flags.list("filter").is_empty() && matches!(flags.text("format"), "" | "table") {
            ui::out(&summary(&records))?;
        }
        Ok(0)
    })
}

/// `builder prune`, `buildx prune`.
pub(crate) fn prune(call: &Call) -> Outcome {
    let flags = call.flags();
    name(call, &call.endpoint()?.context)?;
    let (keep_duration, filter) = expressions(&flags.list("filter"))?;
    let buildx = call.path().contains("buildx");
    let own = |flag: &str| if buildx { flags.bytes(flag) } else { 0 };
    let keep = match flags.text("keep-storage") {
        "" => 0,
        text => flags::go::parse_bytes(text).map_err(Error::Usage)?,
    };
    let reserved = own("reserved-space").max(keep);
    let what = PruneRequest {
        filter,
        all: flags.bool("all"),
        keep_duration,
        reserved_space: reserved,
        max_used_space: own("max-used-space"),
        min_free_space: own("min-free-space"),
    };
    let which = if what.all { "all" } else { "all dangling" };
    let question =
        format!("WARNING! This will remove {which} build cache. Are you sure you want to continue?");
    call.with_engine(|engine| async move {
        if !flags.bool("force") && !prompt::confirm(&question).await? {
            return Ok(0);
        }
        let builder = if buildx { in_time(call, reach(&engine)).await? } else { reach(&engine).await? };
        let mut pruned = builder.prune(&what).map_err(|status| failed(&status))?;
        let verbose = buildx && flags.bool("verbose");
        let mut records: Vec<UsageRecord> = Vec::new();
        while let Some(record) = pruned.next().await.map_err(|status| failed(&status))? {
            let head = "ID\t\t\t\t\t\tRECLAIMABLE\tSIZE\t\tLAST ACCESSED\n";
            let told = match (verbose, records.is_empty()) {
                (true, _) => pretty(&record),
                (false, true) => format!("{head}{}", line(&record)),
                (false, false) => line(&record),
            };
            ui::out(&told)?;
            records.push(record);
        }
        let total: i64 = records.iter().map(|record| record.size).sum();
        ui::out(&format!("Total:\t{}\n", units::size(total as f64, 4)))?;
        Ok(0)
    })
}

/// `until=24h` is a time, everything else an expression of containerd's kind.
fn expressions(filters: &[String]) -> Result<(i64, Vec<String>), Error> {
    let (mut since, mut expressions) = (0, Vec::new());
    for filter in filters {
        let (key, value) = filter.split_once('=').unwrap_or((filter, ""));
        match key {
            "until" | "unused-for" => {
                let parsed = flags::go::parse_duration(value).map_err(Error::Usage)?;
                since = i64::try_from(parsed.as_nanos()).unwrap_or(i64::MAX);
            }
            "id" => expressions.push(format!("id~={value}")),
            key => expressions.push(format!("{key}=={value}")),
        }
    }
    let joined = expressions.join(",");
    Ok((since, if joined.is_empty() { Vec::new() } else { vec![joined] }))
}

fn moment(time: Option<&buildkit::proto::Timestamp>) -> Option<jiff::Timestamp> {
    time.and_then(|time| jiff::Timestamp::new(time.seconds, time.nanos).ok())
}

fn last_used(record: &UsageRecord) -> String {
    match moment(record.last_used_at.as_ref()) {
        Some(at) => format!("{} ago", units::age(units::now() - at.as_second())),
        None => String::new(),
    }
}

fn created(record: &UsageRecord) -> String {
    let at = moment(record.created_at.as_ref()).unwrap_or_default();
    at.to_string().replace('T', " ").replace('Z', " +0000 UTC")
}

/// Whether a format is a table's, or for people otherwise.
fn is_table(format: &str) -> bool {
    matches!(format, "" | "pretty") || format.starts_with("table")
}

/// Tables mark what can change, and whose size is an image's, too.
fn row(record: &UsageRecord, is_table: bool) -> Row {
    let marked = |text: String, mark: bool| if mark && is_table { text + "*" } else { text };
    let fields = json!({
        "ID": marked(record.id.clone(), record.mutable),
        "Parents": if record.parents.is_empty() { Value::Null } else { json!(record.parents) },
        "CreatedAt": created(record),
        "Mutable": record.mutable,
        "Reclaimable": !record.in_use,
        "Shared": record.shared,
        "Size": marked(units::size(record.size as f64, 4), record.shared),
        "Description": record.description,
        "UsageCount": record.usage_count,
        "LastUsedAt": last_used(record),
        "Type": record.record_type,
    });
    fields.as_object().cloned().unwrap_or_default()
}

fn line(record: &UsageRecord) -> String {
    let id = format!("{}{}", record.id, if record.mutable { "*" } else { "" });
    let size = units::size(record.size as f64, 4);
    let text = format!("{id:<40}\t{:<5}\t\t{size:<10}\t{}\n", !record.in_use, last_used(record));
    diag::printable(&text)
}

fn pretty(record: &UsageRecord) -> String {
    let mut fields = vec![("ID", record.id.clone())];
    let parents: String = record.parents.iter().map(|parent| format!("\n - {parent}")).collect();
    fields.extend((!parents.is_empty()).then_some(("Parents", parents)));
    fields.extend([
        ("Created at", created(record)),
        ("Mutable", record.mutable.to_string()),
        ("Reclaimable", (!record.in_use).to_string()),
        ("Shared", record.shared.to_string()),
        ("Size", units::size(record.size as f64, 4)),
    ]);
    fields.extend((!record.description.is_empty()).then(|| ("Description", record.description.clone())));
    fields.push(("Usage count", record.usage_count.to_string()));
    fields.extend(record.last_used_at.is_some().then(|| ("Last used", last_used(record))));
    fields.extend((!record.record_type.is_empty()).then(|| ("Type", record.record_type.clone())));
    let lines: String = fields.iter().map(|(name, value)| format!("{name}:\t{value}\n")).collect();
    format!("{}\n", diag::printable(&align_with(&lines, 1, 2)))
}

fn summary(records: &[UsageRecord]) -> String {
    let size = |fits: &dyn Fn(&UsageRecord) -> bool| {
        units::size(
            records.iter().filter(|record| fits(record)).map(|record| record.size).sum::<i64>() as f64,
            4,
        )
    };
    let mut text = String::new();
    if records.iter().any(|record| record.shared && record.size > 0) {
        text.push_str(&format!("Shared:\t\t{}\n", size(&|record| record.shared)));
        text.push_str(&format!("Private:\t{}\n", size(&|record| !record.shared)));
    }
    format!("{text}Reclaimable:\t{}\nTotal:\t\t{}\n", size(&|record| !record.in_use), size(&|_| true))
}

/// A builder as `buildx ls` shows it.
struct Listed {
    name: String,
    node: String,
    endpoint: String,
    current: bool,
    last: String,
    worker: Result<WorkerRecord, Error>,
}

impl Listed {
    /// Asks its engine; one that doesn't answer is listed, too.
    async fn look(call: &Call, name: &str, found: Option<&Named>, engine: &Engine) -> Self {
        let (node, endpoint) = match found {
            Some(found) => (format!("{name}0"), found.endpoint.clone()),
            None => (name.to_owned(), name.to_owned()),
        };
        let asking = async {
            let worker = worker(engine).await?;
            let last = super::records::last_activity(&reach(engine).await?).await;
            Ok((worker, last.unwrap_or_default()))
        };
        let (worker, last) = match in_time(call, asking).await {
            Ok((worker, last)) => (Ok(worker), last),
            Err(error) => (Err(error), String::new()),
        };
        Self { name: name.to_owned(), node, endpoint, current: false, last, worker }
    }

    fn rows(&self, shown: bool) -> [Row; 2] {
        let (status, version, platforms, error) = match &self.worker {
            Ok(worker) => ("running", version_of(worker), platforms(worker).join(", "), String::new()),
            Err(error) => ("inactive", String::new(), String::new(), error.to_string()),
        };
        let named = |text: String| if shown { text } else { self.name.clone() };
        let mark = if self.current { "*" } else { "" };
        let rows = [
            json!({
                "Name": named(format!("{}{mark}", self.name)), "DriverEndpoint": "docker", "LastActivity": self.last,
                "Status": "", "Buildkit": "", "Platforms": "", "Error": "",
            }),
            json!({
                "Name": named(format!(" \\_ {}", self.node)),
                "DriverEndpoint": named(format!(" \\_ {}", self.endpoint)),
                "LastActivity": "", "Status": status, "Buildkit": version, "Platforms": platforms, "Error": error,
            }),
        ];
        rows.map(|row| row.as_object().cloned().unwrap_or_default())
    }

    /// As buildx says it in JSON.
    fn document(&self) -> Value {
        let (name, endpoint) = (&self.node, &self.endpoint);
        let node = match &self.worker {
            Ok(worker) => json!({
                "Name": name, "Endpoint": endpoint, "Status": "running", "Version": version_of(worker),
                "IDs": [worker.id], "Platforms": platforms(worker), "Labels": worker.labels,
                "GCPolicy": worker.gc_policy.iter().map(|rule| json!({
                    "all": rule.all, "filter": Some(&rule.filters).filter(|all| !all.is_empty()),
                    "keepDuration": rule.keep_duration, "maxUsedSpace": rule.max_used_space,
                    "minFreeSpace": rule.min_free_space, "reservedSpace": rule.reserved_space,
                })).collect::<Vec<_>>(),
            }),
            Err(error) => {
                json!({ "Name": name, "Endpoint": endpoint, "Status": "inactive", "Err": error.to_string() })
            }
        };
        json!({
            "Name": self.name, "Driver": "docker", "Dynamic": false, "Current": self.current,
            "LastActivity": self.last, "Nodes": [node],
        })
    }
}

/// `buildx ls`: the builder that is in use, and those with names of their own.
pub(crate) fn list(call: &Call) -> Outcome {
    let format = call.flags().text("format");
    let (own, builders) = (call.own_endpoint()?, call.builders());
    let current = name(call, &own.context)?;
    let mut all = vec![(own.context.clone(), None, own)];
    for name in builders.names() {
        let found = builders
            .find(&name)
            .and_then(|found| found.map(|found| Ok((call.endpoint_at(&found.endpoint)?, found))).transpose());
        match found {
            Ok(Some((endpoint, found))) => all.push((name, Some(found), endpoint)),
            Ok(None) => {}
            Err(error) => ui::err(&diag::chain(&error)),
        }
    }
    call.with_engine(|_| async move {
        let look = |(name, found, endpoint): (String, Option<Named>, Endpoint)| {
            let current = name == current;
            async move {
                let seen = Listed::look(call, &name, found.as_ref(), &Engine::new(endpoint)).await;
                Listed { current, ..seen }
            }
        };
        let listed = join_all(all.into_iter().map(look)).await;
        if format == "json" {
            let lines: String = listed.iter().map(|one| format!("{}\n", one.document())).collect();
            ui::out(&lines)?;
            return Ok(0);
        }
        let shown = matches!(format, "" | "table");
        let rows: Vec<Row> = listed.iter().flat_map(|one| one.rows(shown)).collect();
        ui::out(&BUILDERS.render(format, false, &rows)?)?;
        Ok(0)
    })
}

/// `buildx inspect`.
pub(crate) fn inspect(call: &Call) -> Outcome {
    // An engine is there or isn't: `--bootstrap` has nothing to start that reaching it doesn't.
    let _ = call.flags().bool("bootstrap");
    let context = call.endpoint()?.context;
    let name = name(call, &context)?;
    let found = call.builders().find(&name)?.filter(|_| name != context);
    let (node, endpoint) = match &found {
        Some(found) => (format!("{name}0"), found.endpoint.clone()),
        None => (name.clone(), name.clone()),
    };
    call.with_engine(|engine| async move {
        let worker = in_time(call, worker(&engine)).await?;
        let last = in_time(call, async { super::records::last_activity(&reach(&engine).await?).await }).await;
        let last = last.unwrap_or_default().replace('T', " ").replace('Z', " +0000 UTC");
        let last = if last.is_empty() { last } else { format!("Last Activity:\t{last}\n") };
        let head = align_with(&format!("Name:\t{name}\nDriver:\tdocker\n{last}"), 1, 1);
        let mut text = format!("{head}\nNodes:\n");
        let facts = format!(
            "Name:\t{node}\nEndpoint:\t{endpoint}\nStatus:\trunning\nBuildKit version:\t{}\nPlatforms:\t{}\n",
            version_of(&worker),
            platforms(&worker).join(", ")
        );
        text.push_str(&align_with(&facts, 1, 1));
        if !worker.labels.is_empty() {
            let mut labels: Vec<_> = worker.labels.iter().collect();
            labels.sort_unstable();
            let lines: String = labels.iter().map(|(name, value)| format!(" {name}:\t{value}\n")).collect();
            text.push_str(&format!("Labels:\n{}", align_with(&lines, 1, 1)));
        }
        if !worker.cdi_devices.is_empty() {
            let lines: String = worker.cdi_devices.iter().map(device).collect();
            text.push_str(&format!("Devices:\n{lines}"));
        }
        for (number, rule) in worker.gc_policy.iter().enumerate() {
            text.push_str(&format!("GC Policy rule#{number}:\n{}", align_with(&policy(rule), 1, 1)));
        }
        ui::out(&diag::printable(&text))?;
        Ok(0)
    })
}

fn device(device: &CdiDevice) -> String {
    let facts = format!(" Name:\t{}\n Automatically allowed:\t{}\n", device.name, device.auto_allow);
    let annotations: BTreeMap<_, _> = device.annotations.iter().collect();
    let annotations: String = annotations.iter().map(|(key, value)| format!("  {key}:\t{value}\n")).collect();
    let title = if annotations.is_empty() { "" } else { " Annotations:\n" };
    align_with(&facts, 1, 1) + title + &align_with(&annotations, 1, 1)
}

fn policy(rule: &GcPolicy) -> String {
    let size = |name: &str, bytes: i64| match bytes {
        0 => String::new(),
        bytes => format!(" {name}:\t{}\n", units::binary_size(bytes as f64)),
    };
    let filters = match rule.filters.is_empty() {
        true => String::new(),
        false => format!(" Filters:\t{}\n", rule.filters.join(" ")),
    };
    let seconds = rule.keep_duration / 1_000_000_000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let kept = match rule.keep_duration {
        0 => String::new(),
        _ => format!(" Keep Duration:\t{hours}h{minutes}m{seconds}s\n"),
    };
    [
        format!(" All:\t{}\n", rule.all),
        filters,
        kept,
        size("Reserved Space", rule.reserved_space),
        size("Max Used Space", rule.max_used_space),
        size("Min Free Space", rule.min_free_space),
    ]
    .concat()
}

/// `buildx version`.
pub(crate) fn version(call: &Call) -> Outcome {
    if call.innermost("builder").is_some() {
        name(call, &call.endpoint()?.context)?;
    }
    ui::out(&format!("github.com/ketch-project/ketch v{} {}\n", about::VERSION, about::COMMIT))?;
    Ok(0)
}

pub(super) async fn worker(engine: &Engine) -> Result<WorkerRecord, Error> {
    let workers = reach(engine).await?.workers().await.map_err(|status| failed(&status))?;
    let first = workers.record.into_iter().next();
    first.ok_or_else(|| Error::Usage("ERROR: the engine has no builder".into()))
}

fn version_of(worker: &WorkerRecord) -> String {
    worker.buildkit_version.as_ref().map(|version| version.version.clone()).unwrap_or_default()
}

pub(super) fn platforms(worker: &WorkerRecord) -> Vec<String> {
    let platform = |platform: &buildkit::proto::pb::Platform| {
        let parts = [&platform.os, &platform.architecture, &platform.variant];
        parts.into_iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join("/")
    };
    worker.platforms.iter().map(platform).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_become_expressions() {
        let filters = ["until=24h", "type=exec.cachemount", "id=abc"].map(str::to_owned);
        let (since, expressions) = expressions(&filters).unwrap();
        assert_eq!(since, 24 * 3600 * 1_000_000_000);
        assert_eq!(expressions, ["type==exec.cachemount,id~=abc"]);
    }

    #[test]
    fn a_record_is_told_as_buildx_tells_it() {
        let created_at = Some(buildkit::proto::Timestamp { seconds: 1_796_000_000, nanos: 5 });
        let record = UsageRecord {
            id: "x".into(),
            mutable: true,
            size: 8192,
            created_at,
            description: "local source for context".into(),
            usage_count: 3,
            record_type: "source.local".into(),
            ..UsageRecord::default()
        };
        let expected = "\
ID:           x
Created at:   2026-11-30 00:53:20.000000005 +0000 UTC
Mutable:      true
Reclaimable:  true
Shared:       false
Size:         8.192kB
Description:  local source for context
Usage count:  3
Type:         source.local

";
        assert_eq!(pretty(&record), expected);
        assert_eq!(summary(&[record]), "Reclaimable:\t8.192kB\nTotal:\t\t8.192kB\n");
    }
}
