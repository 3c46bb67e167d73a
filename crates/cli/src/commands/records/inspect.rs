//! `buildx history inspect`: one build, with what is said of its results.

use std::collections::HashMap;

use buildkit::client::Builder;
use buildkit::proto::Timestamp;
use buildkit::proto::control::{BuildHistoryRecord, BuildHistoryRequest, Descriptor};
use serde_json::{Map, Value, json};

use super::{asked, failed, find, for_people, name, status, usage};
use crate::call::Call;
use crate::commands::builder;
use crate::error::{Error, Outcome};
use crate::listing::align_with;
use crate::template::{INSPECT, Template};
use crate::ui;

/// Of which type an attachment is.
const PREDICATE: &str = "in-toto.io/predicate-type";
const PROVENANCE: &str = "https://slsa.dev/provenance/";
const SBOM: &str = "https://spdx.dev/Document";

/// What a frontend was told, as the page calls it, and as JSON does.
const SETTINGS: &[(&str, &str, &str)] = &[
    ("force-network-mode", "Network", "Network"),
    ("hostname", "Hostname", "Hostname"),
    ("add-hosts", "Extra Hosts", "ExtraHosts"),
    ("cgroup-parent", "Cgroup Parent", "CgroupParent"),
    ("image-resolve-mode", "Image Resolve Mode", "ImageResolveMode"),
    ("multi-platform", "Multi-Platform", "MultiPlatform"),
    ("no-cache", "No Cache", "NoCache"),
    ("shm-size", "Shm Size", "ShmSize"),
    ("ulimit", "Resource Limits", "Ulimit"),
    ("build-arg:BUILDKIT_CACHE_MOUNT_NS", "Cache Mount Namespace", "CacheMountNS"),
    ("build-arg:BUILDKIT_DOCKERFILE_CHECK", "Dockerfile Check Config", "DockerfileCheckConfig"),
    ("build-arg:SOURCE_DATE_EPOCH", "Source Date Epoch", "SourceDateEpoch"),
    ("build-arg:BUILDKIT_SANDBOX_HOSTNAME", "Sandbox Hostname", "SandboxHostname"),
];

/// `buildx history inspect`.
pub(crate) fn inspect(call: &Call) -> Outcome {
    let name = builder::name(call, &call.endpoint()?.context)?;
    let format = call.flags().text("format");
    let template = match format {
        "pretty" | "json" => None,
        text => Some(Template::parse(text, INSPECT)?),
    };
    let refs = builder::refs(call)?;
    call.with_engine(|engine| async move {
        let builder = builder::reach(&engine).await?;
        let record = find(&builder, call.args().first()).await?;
        let told = tell(&builder, &record, refs.find(&record.r#ref).as_ref()).await?;
        let text = match (template, format) {
            (Some(template), _) => format!("{}\n", template.render(told.clone(), told)?),
            (None, "json") => format!("{}\n", client::files::indented(&told, "  ")),
            (None, _) => page(&told, &name, call.args().is_empty()),
        };
        ui::out(&diag::printable(&text))?;
        Ok(0)
    })
}

/// `buildx history inspect attachment`.
pub(crate) fn attachment(call: &Call) -> Outcome {
    builder::name(call, &call.endpoint()?.context)?;
    let (kind, platform) = (call.flags().text("type"), call.flags().text("platform"));
    let (wanted, digest) = (call.args().first(), call.args().get(1));
    if kind.is_empty() && platform.is_empty() && digest.is_none() {
        return Err(usage("at least one of --type, --platform or DIGEST must be specified"));
    }
    call.with_engine(|engine| async move {
        let builder = builder::reach(&engine).await?;
        let record = find(&builder, wanted).await?;
        let fits = |(of, blob): &(String, Descriptor)| {
            let said = self::kind(blob);
            let is_kind = match kind {
                "" => true,
                "provenance" => said.starts_with(PROVENANCE),
                "sbom" => said == SBOM,
                kind => said == kind,
            };
            let is_platform = platform.is_empty() || of == platform || of.is_empty();
            is_kind && is_platform && digest.is_none_or(|digest| blob.digest == *digest)
        };
        let found = attachments(&record).into_iter().find(fits);
        let wanted = wanted.map_or("", String::as_str);
        let (_, blob) =
            found.ok_or_else(|| usage(format!("no matching attachment found for ref {wanted:?}")))?;
        let bytes = builder.content(&blob.digest).await.map_err(|status| failed(&status))?;
        let text = match serde_json::from_slice::<Value>(&bytes) {
            Ok(document) => client::files::indented(&document, "  "),
            Err(_) => String::from_utf8_lossy(&bytes).into_owned(),
        };
        ui::out(&format!("{}\n", diag::printable(&text)))?;
        Ok(0)
    })
}

/// All that is said of results, each with its platform.
fn attachments(record: &BuildHistoryRecord) -> Vec<(String, Descriptor)> {
    let single = record.result.iter().map(|result| (String::new(), result));
    let several = record.results.iter().map(|(platform, result)| (platform.clone(), result));
    let blobs = single.chain(several).flat_map(|(platform, result)| {
        result.attestations.iter().map(move |blob| (platform.clone(), blob.clone()))
    });
    let mut all: Vec<_> = blobs.collect();
    all.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    all
}

fn kind(blob: &Descriptor) -> &str {
    blob.annotations.get(PREDICATE).unwrap_or(&blob.media_type)
}

/// How a build's results were made, each with its platform; nothing of one that isn't remembered.
pub(in crate::commands) async fn provenances(
    builder: &Builder,
    id: &str,
) -> Result<Vec<(String, Value)>, Error> {
    let wanted = BuildHistoryRequest { r#ref: id.to_owned(), early_exit: true, ..Default::default() };
    let records = asked(builder, &wanted).await?;
    let attached = records.iter().flat_map(attachments);
    let mut found = Vec::new();
    for (platform, blob) in attached.filter(|(_, blob)| kind(blob).starts_with(PROVENANCE)) {
        found.push((platform, said(builder, &blob).await?));
    }
    Ok(found)
}

async fn said(builder: &Builder, blob: &Descriptor) -> Result<Value, Error> {
    let bytes = builder.content(&blob.digest).await.map_err(|status| failed(&status))?;
    serde_json::from_slice(&bytes).map_err(|e| usage(format!("what is said of the build can't be read: {e}")))
}

/// Everything that is known of a build, in the words of `--format json`.
async fn tell(builder: &Builder, record: &BuildHistoryRecord, noted: Option<&Value>) -> Result<Value, Error> {
    let asked = &record.frontend_attrs;
    let said = |name: &str| asked.get(name).filter(|value| !value.is_empty());
    let mut told = Map::new();
    let mut put = |name: &str, value: Value| {
        let is_empty = value.is_null() || value == "" || value == json!([]) || value == json!({});
        if !is_empty {
            told.insert(name.to_owned(), value);
        }
    };
    put("Name", name::title(asked, noted).into());
    put("Ref", record.r#ref.clone().into());
    let (context, file) = name::places(asked, noted);
    put("Context", context.into());
    put("Dockerfile", file.into());
    for (from, name) in
        [("vcs:source", "VCSRepository"), ("vcs:revision", "VCSRevision"), ("target", "Target")]
    {
        put(name, said(from).cloned().into());
    }
    put("Platform", said("platform").map(|list| list.split(',').collect::<Vec<_>>()).into());
    put("NamedContexts", pairs(asked, "context:"));
    put("StartedAt", time(record.created_at.as_ref()));
    put("CompletedAt", time(record.completed_at.as_ref()));
    put("Duration", nanoseconds(record).into());
    put("Status", status(record).to_lowercase().into());
    if let Some(error) = &record.error {
        put("Error", json!({ "Code": error.code, "Message": error.message }));
    }
    put("NumCompletedSteps", record.num_completed_steps.into());
    put("NumTotalSteps", record.num_total_steps.into());
    put("NumCachedSteps", record.num_cached_steps.into());
    put("BuildArgs", pairs(asked, "build-arg:"));
    put("Labels", pairs(asked, "label:"));
    let settings =
        SETTINGS.iter().filter_map(|(from, _, name)| Some(((*name).to_owned(), said(from)?.clone())));
    put("Config", json!(settings.collect::<HashMap<_, _>>()));
    let attached = attachments(record);
    put("Materials", materials(builder, &attached).await?);
    let shown = attached.iter().map(|(platform, blob)| {
        let mut shown = json!({ "Digest": blob.digest, "Type": kind(blob) });
        if !platform.is_empty() {
            shown["Platform"] = json!(platform);
        }
        shown
    });
    put("Attachments", shown.collect::<Vec<_>>().into());
    Ok(told.into())
}

/// What goes by a prefix; what has a line of its own is no argument.
fn pairs(asked: &HashMap<String, String>, prefix: &str) -> Value {
    let own = |key: &str| SETTINGS.iter().any(|(setting, ..)| *setting == key);
    let named = asked.iter().filter(|(key, _)| !own(key));
    let mut found: Vec<_> =
        named.filter_map(|(key, value)| Some((key.strip_prefix(prefix)?, value))).collect();
    found.sort_unstable();
    found.into_iter().map(|(name, value)| json!({ "Name": name, "Value": value })).collect()
}

/// What went into the results, by what is said of the first.
async fn materials(builder: &Builder, attached: &[(String, Descriptor)]) -> Result<Value, Error> {
    let Some((_, blob)) = attached.iter().find(|(_, blob)| kind(blob).starts_with(PROVENANCE)) else {
        return Ok(Value::Null);
    };
    let said = said(builder, blob).await?;
    let material = |one: &Value| {
        let digests = one["digest"].as_object().into_iter().flatten();
        let digests = digests.map(|(kind, hex)| format!("{kind}:{}", hex.as_str().unwrap_or_default()));
        json!({ "URI": one["uri"], "Digests": digests.collect::<Vec<_>>() })
    };
    Ok(said["materials"].as_array().into_iter().flatten().map(material).collect())
}

fn time(at: Option<&Timestamp>) -> Value {
    let at = at.and_then(|at| jiff::Timestamp::new(at.seconds, at.nanos).ok());
    at.map(|at| at.to_string()).into()
}

fn nanoseconds(record: &BuildHistoryRecord) -> Option<i64> {
    let exact = |at: &Timestamp| at.seconds.checked_mul(1_000_000_000)?.checked_add(at.nanos.into());
    exact(record.completed_at.as_ref()?)?.checked_sub(exact(record.created_at.as_ref()?)?)
}

/// The same for people.
fn page(told: &Value, builder: &str, is_last: bool) -> String {
    let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
    let line = |label: &str, value: String| match value.is_empty() {
        true => String::new(),
        false => format!("{label}:\t{value}\n"),
    };
    let id = text("Ref");
    let platforms: Vec<_> =
        told["Platform"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let what = [
        line("Name", text("Name")),
        line("Ref", if is_last { id.clone() } else { String::new() }),
        line("Context", text("Context")),
        line("Dockerfile", text("Dockerfile")),
        line("VCS Repository", text("VCSRepository")),
        line("VCS Revision", text("VCSRevision")),
        line("Target", text("Target")),
        line("Platforms", platforms.join(", ")),
    ];
    let mut page = format!("{}\n", align_with(&what.concat(), 1, 1));
    page.push_str(&table("NAMED CONTEXT\tVALUE", &told["NamedContexts"], &["Name", "Value"]));
    page.push_str(&format!("{}\n", align_with(&facts(told), 1, 1)));
    let config = |(_, label, name): &(&str, &str, &str)| {
        line(label, told["Config"][name].as_str().unwrap_or_default().to_owned())
    };
    let settings: String = SETTINGS.iter().map(config).collect();
    if !settings.is_empty() {
        page.push_str(&format!("{}\n", align_with(&settings, 1, 1)));
    }
    page.push_str(&table("BUILD ARG\tVALUE", &told["BuildArgs"], &["Name", "Value"]));
    page.push_str(&table("LABEL\tVALUE", &told["Labels"], &["Name", "Value"]));
    for (title, head, list, columns) in [
        ("Materials", "URI\tDIGEST", &told["Materials"], &["URI", "Digests"][..]),
        ("Attachments", "DIGEST\tPLATFORM\tTYPE", &told["Attachments"], &["Digest", "Platform", "Type"]),
    ] {
        let table = table(head, list, columns);
        page.push_str(&if table.is_empty() { table } else { format!("{title}:\n{table}") });
    }
    let which = if builder == "default" { String::new() } else { format!("--builder {builder} ") };
    page + &format!("Print build logs: docker buildx history logs {which}{id}\n")
}

fn facts(told: &Value) -> String {
    let number = |name: &str| told[name].as_i64().unwrap_or(0);
    let (all, cached) = (number("NumTotalSteps"), number("NumCachedSteps"));
    let share = if all > 0 { 100.0 * cached as f64 / all as f64 } else { 0.0 };
    let started: Option<jiff::Timestamp> = told["StartedAt"].as_str().and_then(|at| at.parse().ok());
    let started = started.map(|at| at.to_zoned(jiff::tz::TimeZone::system()));
    let started = started.map(|at| at.strftime("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default();
    let duration = told["Duration"].as_i64().map_or_else(|| "-".to_owned(), |ns| for_people(ns as f64 / 1e9));
    let how = match told["Status"].as_str() {
        Some("running") => " (running)".to_owned(),
        Some("canceled") => "\nStatus:\tCanceled".to_owned(),
        _ => match told["Error"]["Message"].as_str() {
            Some(message) => format!("\nError:\t{}", message.replace('\n', " ")),
            None => String::new(),
        },
    };
    let steps = format!("{}/{all} ({share:.0}% cached)", number("NumCompletedSteps"));
    format!("Started:\t{started}\nDuration:\t{duration}{how}\nBuild Steps:\t{steps}\n")
}

/// Rows under a head, and an empty line; nothing where there are none.
fn table(head: &str, list: &Value, columns: &[&str]) -> String {
    let cell = |value: &Value| match value {
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        one => one.as_str().unwrap_or_default().to_owned(),
    };
    let row = |one: &Value| columns.iter().map(|name| cell(&one[name])).collect::<Vec<_>>().join("\t");
    let rows: Vec<String> = list.as_array().into_iter().flatten().map(row).collect();
    match rows.is_empty() {
        true => String::new(),
        false => format!("{}\n", align_with(&format!("{head}\n{}\n", rows.join("\n")), 1, 1)),
    }
}
