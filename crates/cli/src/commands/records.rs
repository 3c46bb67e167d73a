//! `buildx history`: builds that the engine remembers.

mod bundle;
mod inspect;
mod name;
mod trace;

use buildkit::client::Builder;
use buildkit::proto::Timestamp;
use buildkit::proto::control::{BuildHistoryRecord, BuildHistoryRequest, UpdateBuildHistoryRequest};
use serde_json::{Value, json};

use super::build::{Display, Mode};
use super::{builder, units};
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::listing::{Listing, Row};
use crate::refs::Refs;
use crate::ui;

pub(crate) use bundle::export;
pub(super) use inspect::provenances;
pub(crate) use inspect::{attachment, inspect};
pub(crate) use trace::trace;

const RECORDS: Listing = Listing {
    fields: &[
        ("Ref", "BUILD ID"),
        ("Name", "NAME"),
        ("Status", "STATUS"),
        ("CreatedAt", "CREATED AT"),
        ("Duration", "DURATION"),
    ],
    table: "{{.Ref}}\t{{.Name}}\t{{.Status}}\t{{.CreatedAt}}\t{{.Duration}}",
    quiet: "{{.Ref}}",
};

fn usage(text: impl std::fmt::Display) -> Error {
    Error::Usage(format!("ERROR: {text}"))
}

fn failed(status: &grpc::Status) -> Error {
    usage(diag::printable(&status.message))
}

/// All records that fit, the last to begin first.
async fn records(builder: &Builder, filter: Vec<String>) -> Result<Vec<BuildHistoryRecord>, Error> {
    asked(builder, &BuildHistoryRequest { early_exit: true, filter, ..BuildHistoryRequest::default() }).await
}

async fn asked(builder: &Builder, question: &BuildHistoryRequest) -> Result<Vec<BuildHistoryRecord>, Error> {
    let mut told = builder.history(question).map_err(|status| failed(&status))?;
    let mut records = Vec::new();
    while let Some(event) = told.next().await.map_err(|status| failed(&status))? {
        records.extend(event.record);
    }
    records
        .sort_by_key(|record| std::cmp::Reverse(record.created_at.as_ref().map(|at| (at.seconds, at.nanos))));
    Ok(records)
}

/// When the last build began; nothing where none is remembered.
pub(super) async fn last_activity(builder: &Builder) -> Result<String, Error> {
    let last = records(builder, Vec::new()).await?.into_iter().next().and_then(|record| record.created_at);
    let at = last.and_then(|at| jiff::Timestamp::new(at.seconds, at.nanos).ok());
    Ok(at.map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default())
}

/// One by its name, its end, or its place: `^1` is the one before the last.
async fn find(builder: &Builder, wanted: Option<&String>) -> Result<BuildHistoryRecord, Error> {
    pick(records(builder, Vec::new()).await?, wanted)
}

/// Those of these names that have ended: the last one without a name, or all.
async fn completed(
    builder: &Builder,
    wanted: &[String],
    all: bool,
) -> Result<Vec<BuildHistoryRecord>, Error> {
    let mut ended = records(builder, Vec::new()).await?;
    ended.retain(|record| record.completed_at.is_some());
    match wanted {
        [] if all && !ended.is_empty() => Ok(ended),
        [] => Ok(vec![pick(ended, None)?]),
        wanted => wanted.iter().map(|name| pick(ended.clone(), Some(name))).collect(),
    }
}

fn pick(records: Vec<BuildHistoryRecord>, wanted: Option<&String>) -> Result<BuildHistoryRecord, Error> {
    let wanted = wanted.map_or("", String::as_str);
    let place = match wanted {
        "" => Some(0),
        wanted => wanted.strip_prefix('^').map(|number| number.parse().unwrap_or(usize::MAX)),
    };
    let bare = wanted.rsplit('/').next().unwrap_or(wanted);
    let found = match place {
        Some(place) => records.into_iter().nth(place),
        None => records.into_iter().find(|record| record.r#ref == bare),
    };
    found.ok_or_else(|| match wanted {
        "" => usage("no records found"),
        wanted => usage(format!("no record found for ref {wanted:?}")),
    })
}

/// Docker's ways to filter, in BuildKit's language.
fn filters(given: &[String]) -> Result<Vec<String>, Error> {
    let one = |text: &String| {
        let signs = ["!=", ">=", "<=", "=", ">", "<"];
        let found = signs.iter().filter_map(|sign| Some((text.find(sign)?, *sign)));
        let found = found.min_by_key(|(at, sign)| (*at, std::cmp::Reverse(sign.len())));
        let (at, sign) = found.ok_or_else(|| usage(format!("invalid filter {text:?}")))?;
        let (key, value) = (&text[..at], &text[at + sign.len()..]);
        let sign = match (key, sign) {
            ("status", "=") => "==",
            ("ref" | "repository", "=") => "~=",
            ("status" | "ref" | "repository", "!=") => "!=",
            ("startedAt" | "completedAt" | "duration", ">" | "<" | ">=" | "<=") => sign,
            _ => return Err(usage(format!("invalid filter {text:?}"))),
        };
        Ok(format!("{key}{sign}{value}"))
    };
    given.iter().map(one).collect()
}

/// `buildx history ls`.
pub(crate) fn list(call: &Call) -> Outcome {
    let flags = call.flags();
    let refs = builder::refs(call)?;
    let filter = filters(&flags.list("filter"))?;
    call.with_engine(|engine| async move {
        let records = records(&builder::reach(&engine).await?, filter).await?;
        let format = flags.text("format");
        if format == "json" {
            for record in &records {
                ui::out(&format!("{}\n", document(record, &refs)))?;
            }
            return Ok(0);
        }
        let short = !flags.bool("no-trunc") && matches!(format, "" | "table");
        let rows: Vec<Row> = records.iter().map(|record| row(record, &refs, short)).collect();
        ui::out(&RECORDS.render(format, false, &rows)?)?;
        Ok(0)
    })
}

fn row(record: &BuildHistoryRecord, refs: &Refs, short: bool) -> Row {
    let title = name::title(&record.frontend_attrs, refs.find(&record.r#ref).as_ref());
    let created = moment(record.created_at.as_ref());
    let fields = json!({
        "Ref": record.r#ref,
        "Name": if short { shortened(title) } else { title },
        "Status": status(record),
        "CreatedAt": format!("{} ago", units::age(units::now() - created)),
        "Duration": took(record),
    });
    fields.as_object().cloned().unwrap_or_default()
}

/// A name's end, where a table has no room for all of it.
fn shortened(name: String) -> String {
    const ROOM: usize = 36;
    let length = name.chars().count();
    match length > ROOM {
        true => format!("..{}", name.chars().skip(length - ROOM + 2).collect::<String>()),
        false => name,
    }
}

fn document(record: &BuildHistoryRecord, refs: &Refs) -> Value {
    let time = |at: Option<&Timestamp>| {
        at.and_then(|at| jiff::Timestamp::new(at.seconds, at.nanos).ok()).map(|at| at.to_string())
    };
    let mut made = json!({
        "cached_steps": record.num_cached_steps,
        "completed_steps": record.num_completed_steps,
        "created_at": time(record.created_at.as_ref()),
        "name": name::title(&record.frontend_attrs, refs.find(&record.r#ref).as_ref()),
        "ref": refs.name(&record.r#ref),
        "status": status(record),
        "total_steps": record.num_total_steps,
    });
    if let (Some(at), Some(made)) = (time(record.completed_at.as_ref()), made.as_object_mut()) {
        made.insert("completed_at".into(), at.into());
    }
    made
}

fn moment(at: Option<&Timestamp>) -> i64 {
    at.map_or(0, |at| at.seconds)
}

fn status(record: &BuildHistoryRecord) -> &'static str {
    match (&record.completed_at, &record.error) {
        (None, _) => "Running",
        (Some(_), None) => "Completed",
        (Some(_), Some(error)) if error.message.contains("context canceled") => "Canceled",
        (Some(_), Some(_)) => "Error",
    }
}

fn took(record: &BuildHistoryRecord) -> String {
    let exact = |at: &Timestamp| at.seconds as f64 + f64::from(at.nanos) / 1e9;
    let (Some(from), Some(to)) = (&record.created_at, &record.completed_at) else { return "-".into() };
    for_people(exact(to) - exact(from))
}

fn for_people(seconds: f64) -> String {
    match seconds {
        ..60.0 => format!("{seconds:.1}s"),
        _ => format!("{}m {}s", seconds as i64 / 60, seconds as i64 % 60),
    }
}

/// `buildx history logs`.
pub(crate) fn logs(call: &Call) -> Outcome {
    let name = builder::name(call, &call.endpoint()?.context)?;
    let mode = Mode::parse(call.flags().text("progress"))?;
    let wanted = match call.args() {
        [] => None,
        [one] => Some(one),
        _ => return Err(usage("\"logs\" takes one build")),
    };
    call.with_engine(|engine| async move {
        let builder = builder::reach(&engine).await?;
        let record = find(&builder, wanted).await?;
        let mut news = builder.news(&record.r#ref).map_err(|status| failed(&status))?;
        let mut display = Display::again(mode, &name)?;
        while let Some(told) = news.next().await.map_err(|status| failed(&status))? {
            display.take(told)?;
        }
        display.finish()?;
        Ok(0)
    })
}

/// `buildx history rm`.
pub(crate) fn remove(call: &Call) -> Outcome {
    let refs = builder::refs(call)?;
    let all = call.flags().bool("all");
    match (call.args().is_empty(), all) {
        (true, false) => return Err(usage("rm requires at least one argument")),
        (false, true) => return Err(usage("rm requires either --all or at least one argument")),
        _ => {}
    }
    call.with_engine(|engine| async move {
        let builder = builder::reach(&engine).await?;
        let mut wanted = Vec::new();
        if all {
            wanted.extend(records(&builder, Vec::new()).await?.into_iter().map(|record| record.r#ref));
        }
        for name in call.args() {
            wanted.push(find(&builder, Some(name)).await?.r#ref);
        }
        for id in wanted {
            let question = UpdateBuildHistoryRequest { r#ref: id, delete: true, ..Default::default() };
            builder.update_history(&question).await.map_err(|status| failed(&status))?;
            refs.forget(&question.r#ref);
        }
        Ok(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_buildkits() {
        let given =
            ["status=error", "ref=abc", "status!=error", "startedAt>=2h", "duration<5s"].map(str::to_owned);
        let expected = ["status==error", "ref~=abc", "status!=error", "startedAt>=2h", "duration<5s"];
        assert_eq!(filters(&given).unwrap(), expected);
        for wrong in ["status", "status>x", "startedAt=2h", "color=red"] {
            assert!(filters(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }
}
