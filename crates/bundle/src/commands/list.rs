//! `list` and `state`.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::MetadataExt;

use flags::Matches;
use serde_json::{Value, json};

use crate::container::Container;
use crate::error::Error;
use crate::{Context, print, store};

pub(crate) fn state(context: &Context, flags: &Matches) -> Result<i32, Error> {
    let container = Container::load(&context.root, &flags.args[0])?;
    let text = serde_json::to_string_pretty(&describe(&container)?).unwrap_or_default();
    print(&format!("{text}\n"));
    Ok(0)
}

pub(crate) fn list(context: &Context, flags: &Matches) -> Result<i32, Error> {
    let all = store::all(&context.root)?;
    if flags.bool("quiet") {
        print(&all.iter().fold(String::new(), |text, one| text + &one.record.id + "\n"));
        return Ok(0);
    }
    let described = all.iter().map(describe).collect::<Result<Vec<_>, _>>()?;
    match flags.text("format") {
        "table" => print(&table(&described)),
        "json" => print(&format!("{}\n", Value::from(described))),
        other => return Err(Error::Invalid(format!("invalid format {other:?}: table and json there are"))),
    }
    Ok(0)
}

fn describe(container: &Container) -> Result<Value, Error> {
    let record = &container.record;
    let owner = fs::metadata(&record.bundle).map_or(0, |bundle| bundle.uid());
    let owner = if owner == 0 { "root".to_owned() } else { owner.to_string() };
    Ok(json!({
        "ociVersion": record.spec.version(),
        "id": record.id,
        "pid": container.pid().unwrap_or(0),
        "status": container.status()?,
        "bundle": record.bundle,
        "rootfs": record.rootfs,
        "created": record.created,
        "annotations": record.spec.annotations(),
        "owner": owner,
    }))
}

fn table(containers: &[Value]) -> String {
    const COLUMNS: [(&str, &str); 6] = [
        ("ID", "id"),
        ("PID", "pid"),
        ("STATUS", "status"),
        ("BUNDLE", "bundle"),
        ("CREATED", "created"),
        ("OWNER", "owner"),
    ];
    let cell = |one: &Value, key: &str| match &one[key] {
        Value::String(text) => diag::printable(text),
        other => other.to_string(),
    };
    let mut text = String::new();
    let widths = COLUMNS.map(|(title, key)| {
        let longest = containers.iter().map(|one| cell(one, key).len()).max().unwrap_or(0);
        longest.max(title.len()).max(9) + 3
    });
    let mut line = |cells: [String; 6]| {
        let mut out = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            let _ = write!(out, "{cell:width$}");
        }
        let _ = writeln!(text, "{}", out.trim_end());
    };
    line(COLUMNS.map(|(title, _)| title.to_owned()));
    containers.iter().for_each(|one| line(COLUMNS.map(|(_, key)| cell(one, key))));
    text
}
