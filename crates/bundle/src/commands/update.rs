//! `update`: other limits for a container that is there.

use std::io::Read;
use std::path::Path;

use flags::Matches;
use oci_spec::runtime::LinuxResources;
use serde_json::{Map, Value, json};

use crate::Context;
use crate::container::{Container, Status};
use crate::error::{Doing, Error};
use crate::files::read_json;

const MAX_INPUT: u64 = 1 << 20;

pub(crate) fn update(context: &Context, flags: &Matches) -> Result<i32, Error> {
    let (container, _lock) = Container::lock(&context.root, &flags.args[0])?;
    container.require("update", &[Status::Created, Status::Running, Status::Paused])?;
    let resources = match flags.find("resources") {
        Some("-") => from_input()?,
        Some(path) => read_json(Path::new(path))?,
        None => parse("the flags", from_flags(flags)?.to_string().as_bytes())?,
    };
    container.cgroup()?.limit(&resources)?;
    Ok(0)
}

fn from_input() -> Result<LinuxResources, Error> {
    let mut text = Vec::new();
    std::io::stdin().take(MAX_INPUT).read_to_end(&mut text).doing("read the standard input")?;
    parse("the standard input", &text)
}

fn parse(whence: &str, text: &[u8]) -> Result<LinuxResources, Error> {
    serde_json::from_slice(text).map_err(|source| Error::Parse { path: whence.into(), source })
}

fn from_flags(flags: &Matches) -> Result<Value, Error> {
    const NUMBERS: [(&str, &str, &str); 9] = [
        ("cpu", "period", "cpu-period"),
        ("cpu", "quota", "cpu-quota"),
        ("cpu", "burst", "cpu-burst"),
        ("cpu", "shares", "cpu-share"),
        ("cpu", "realtimePeriod", "cpu-rt-period"),
        ("cpu", "realtimeRuntime", "cpu-rt-runtime"),
        ("cpu", "idle", "cpu-idle"),
        ("pids", "limit", "pids-limit"),
        ("blockIO", "weight", "blkio-weight"),
    ];
    const SIZES: [(&str, &str); 3] =
        [("limit", "memory"), ("reservation", "memory-reservation"), ("swap", "memory-swap")];
    const SETS: [(&str, &str); 2] = [("cpus", "cpuset-cpus"), ("mems", "cpuset-mems")];
    let mut all = Map::new();
    let mut set = |part: &str, key: &str, value: Value| {
        all.entry(part).or_insert_with(|| json!({}))[key] = value;
    };
    for (part, key, flag) in NUMBERS.into_iter().filter(|(.., flag)| flags.changed(flag)) {
        set(part, key, flags.int(flag).into());
    }
    for (key, flag) in SIZES.into_iter().filter(|(_, flag)| flags.changed(flag)) {
        set("memory", key, size(flag, flags.text(flag))?.into());
    }
    for (key, flag) in SETS.into_iter().filter(|(_, flag)| flags.changed(flag)) {
        set("cpu", key, flags.text(flag).into());
    }
    Ok(all.into())
}

/// Bytes, with a letter for their thousands, or -1.
fn size(flag: &str, text: &str) -> Result<i64, Error> {
    if text == "-1" {
        return Ok(-1);
    }
    flags::go::parse_bytes(text).map_err(|_| Error::Invalid(format!("--{flag}: {text:?} is no size")))
}
