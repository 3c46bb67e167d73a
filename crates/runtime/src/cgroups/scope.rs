//! A container's cgroup as a scope of systemd's: `slice:prefix:name` in a specification.
//!
//! systemd makes the directory around the container's first process, which exists by then, and takes it away when nothing
//! is in it any more. The scope is delegated, so its files are ours to write, and all limits are written there. Those
//! that systemd knows are told to it as well: it writes what it knows whenever its own configuration is read anew.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxResources};
use systemd::{Manager, Property, Value};

use super::limits;
use crate::Error;
use crate::surroundings::numbers;

const DEFAULT_SLICE: &str = "system.slice";
/// Further settings of the scope, as runc has them.
const ANNOTATION: &str = "org.systemd.property.";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    slice: String,
    unit: String,
}

impl Scope {
    /// Whether a specification's path means a scope, and which.
    pub(crate) fn parse(path: &Path) -> Result<Option<Self>, Error> {
        let text = path.to_string_lossy();
        let parts: Vec<&str> = text.split(':').collect();
        let [slice, prefix, name] = parts.as_slice() else { return Ok(None) };
        let invalid =
            |why: &str| Error::Invalid { field: "linux.cgroupsPath", why: format!("is {text}, which {why}") };
        let slice = if slice.is_empty() { DEFAULT_SLICE } else { slice };
        if expand(slice).is_none() {
            return Err(invalid("has no slice's name before its first colon"));
        }
        let of_a_unit = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.\\@".contains(c))
        };
        if !of_a_unit(name) || !(prefix.is_empty() || of_a_unit(prefix)) || name.ends_with(".slice") {
            return Err(invalid("can't be a scope's name: letters, digits and `_-.\\@` make one"));
        }
        let dash = if prefix.is_empty() { "" } else { "-" };
        Ok(Some(Self { slice: slice.to_owned(), unit: format!("{prefix}{dash}{name}.scope") }))
    }

    /// Its directory, below the hierarchy's root.
    pub(super) fn folder(&self) -> PathBuf {
        expand(&self.slice).unwrap_or_default().join(&self.unit)
    }

    pub(super) fn start(
        &self,
        process: i32,
        resources: Option<&LinuxResources>,
        annotations: Option<&HashMap<String, String>>,
    ) -> Result<(), Error> {
        let flag = |name| Property::new(name, Value::Flag(true));
        let text = |name, text: &str| Property::new(name, Value::Text(text.to_owned()));
        let mut all = vec![
            text("Description", &format!("container {}", self.unit.trim_end_matches(".scope"))),
            text("Slice", &self.slice),
            flag("Delegate"),
            flag("MemoryAccounting"),
            flag("CPUAccounting"),
            flag("IOAccounting"),
            flag("TasksAccounting"),
            Property::new("DefaultDependencies", Value::Flag(false)),
            // Of one that ended by want of memory nothing stays, either.
            text("CollectMode", "inactive-or-failed"),
        ];
        all.extend(resources.map(properties).transpose()?.unwrap_or_default());
        for (name, value) in annotations.into_iter().flatten() {
            if let Some(name) = name.strip_prefix(ANNOTATION) {
                all.push(annotated(name, value)?);
            }
        }
        Manager::connect()?.start_scope(&self.unit, process.cast_unsigned(), &all)?;
        Ok(())
    }

    /// Tells systemd the limits that it knows.
    pub(super) fn limit(&self, resources: &LinuxResources) -> Result<(), Error> {
        let all = properties(resources)?;
        if all.is_empty() {
            return Ok(());
        }
        Ok(Manager::connect()?.set_properties(&self.unit, &all)?)
    }

    pub(super) fn stop(&self) -> Result<(), Error> {
        Ok(Manager::connect()?.stop(&self.unit)?)
    }
}

/// The directory of a slice: `a-b.slice` is in `a.slice`, and `-.slice` is the root.
fn expand(slice: &str) -> Option<PathBuf> {
    let name = slice.strip_suffix(".slice")?;
    if name == "-" {
        return Some(PathBuf::new());
    }
    let good = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "_.\\:@".contains(c))
    };
    let parts: Vec<&str> = name.split('-').collect();
    if !parts.iter().all(|part| good(part)) {
        return None;
    }
    Some((1..=parts.len()).map(|count| format!("{}.slice", parts[..count].join("-"))).collect())
}

fn properties(resources: &LinuxResources) -> Result<Vec<Property>, Error> {
    let mut all = Vec::new();
    if let Some(memory) = resources.memory() {
        memory_properties(memory, &mut all);
    }
    if let Some(cpu) = resources.cpu() {
        cpu_properties(cpu, &mut all)?;
    }
    if let Some(pids) = resources.pids() {
        all.push(number("TasksMax", u64::try_from(pids.limit()).ok().filter(|n| *n > 0)));
    }
    for (file, value) in resources.unified().iter().flatten() {
        all.extend(of_file(file, value.trim())?);
    }
    Ok(all)
}

/// Nothing is no limit.
fn number(name: &str, value: Option<u64>) -> Property {
    Property::new(name, Value::Number(value.unwrap_or(u64::MAX)))
}

fn memory_properties(memory: &LinuxMemory, all: &mut Vec<Property>) {
    let mut add = |name, value: Option<i64>| {
        if let Some(value) = value.filter(|v| *v != 0) {
            all.push(number(name, u64::try_from(value).ok()));
        }
    };
    add("MemoryMax", memory.limit());
    add("MemoryLow", memory.reservation());
    if memory.swap().is_some_and(|swap| swap != 0) {
        let alone = limits::swap_alone(memory);
        all.push(number("MemorySwapMax", alone.and_then(|swap| u64::try_from(swap).ok())));
    }
}

fn cpu_properties(cpu: &LinuxCpu, all: &mut Vec<Property>) -> Result<(), Error> {
    if cpu.idle() == Some(1) {
        all.push(number("CPUWeight", Some(0)));
    } else if let Some(shares) = cpu.shares().filter(|shares| *shares != 0) {
        all.push(number("CPUWeight", Some(limits::weight(shares))));
    }
    quota(cpu.quota().filter(|q| *q != 0), cpu.period().filter(|p| *p != 0), all);
    for (name, list) in [("AllowedCPUs", cpu.cpus()), ("AllowedMemoryNodes", cpu.mems())] {
        if let Some(list) = list.as_ref().filter(|list| !list.is_empty()) {
            all.push(Property::new(name, Value::Bits(bits(list)?)));
        }
    }
    Ok(())
}

/// systemd counts the share of a second, in whole percents: rounded up, or the kernel's file, which is written after it,
/// would ask for more than the scope has.
fn quota(quota: Option<i64>, period: Option<u64>, all: &mut Vec<Property>) {
    const PERCENT: u64 = 10_000;
    if let Some(period) = period {
        all.push(number("CPUQuotaPeriodUSec", Some(period)));
    }
    if quota.is_none() && period.is_none() {
        return;
    }
    let period = period.unwrap_or(100_000);
    let share = quota.and_then(|quota| u64::try_from(quota).ok()).map(|quota| {
        quota.saturating_mul(1_000_000).div_ceil(period).checked_next_multiple_of(PERCENT).unwrap_or(u64::MAX)
    });
    all.push(number("CPUQuotaPerSecUSec", share));
}

fn bits(list: &str) -> Result<Vec<u8>, Error> {
    let mut bits = Vec::new();
    for number in numbers("linux.resources.cpu", list)? {
        bits.resize(bits.len().max(number / 8 + 1), 0);
        bits[number / 8] |= 1 << (number % 8);
    }
    Ok(bits)
}

/// What systemd calls a file of v2; of the others it knows nothing and leaves them alone.
fn of_file(file: &str, value: &str) -> Result<Vec<Property>, Error> {
    let most = |text: &str| if text == "max" { None } else { text.parse::<u64>().ok() };
    let simple = match file {
        "memory.min" => "MemoryMin",
        "memory.low" => "MemoryLow",
        "memory.high" => "MemoryHigh",
        "memory.max" => "MemoryMax",
        "memory.swap.max" => "MemorySwapMax",
        "pids.max" => "TasksMax",
        "cpu.weight" => "CPUWeight",
        "cpuset.cpus" => return Ok(vec![Property::new("AllowedCPUs", Value::Bits(bits(value)?))]),
        "cpuset.mems" => return Ok(vec![Property::new("AllowedMemoryNodes", Value::Bits(bits(value)?))]),
        "cpu.max" => {
            let (share, period) = value.split_once(' ').unwrap_or((value, "100000"));
            let mut all = Vec::new();
            quota(Some(share.parse().unwrap_or(-1)), period.trim().parse().ok(), &mut all);
            return Ok(all);
        }
        _ => return Ok(Vec::new()),
    };
    Ok(vec![number(simple, most(value))])
}

/// A setting in the notation of GVariant, as far as settings of scopes need it. `…Sec` is told in microseconds.
fn annotated(name: &str, value: &str) -> Result<Property, Error> {
    let refused =
        || Error::Unsupported(format!("the annotation {ANNOTATION}{name} with the value {value:?}"));
    if !name.starts_with(|c: char| c.is_ascii_uppercase()) || !name.chars().all(|c| c.is_ascii_alphanumeric())
    {
        return Err(refused());
    }
    let quoted = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    let value = match (value, value.split_once(' ')) {
        ("true", _) => Value::Flag(true),
        ("false", _) => Value::Flag(false),
        (_, Some(("uint64", digits))) => Value::Number(digits.trim().parse().map_err(|_| refused())?),
        (_, Some(("uint32", digits))) => Value::Unsigned(digits.trim().parse().map_err(|_| refused())?),
        (_, Some(("int32", digits))) => Value::Signed(digits.trim().parse().map_err(|_| refused())?),
        (text, _) => match quoted('\'').or_else(|| quoted('"')) {
            Some(text) if !text.contains(['\'', '"', '\\']) => Value::Text(text.to_owned()),
            _ => Value::Signed(text.parse().map_err(|_| refused())?),
        },
    };
    let in_seconds = name.strip_suffix("Sec").filter(|start| !start.ends_with('U'));
    let Some(start) = in_seconds else { return Ok(Property::new(name, value)) };
    let seconds = match value {
        Value::Number(seconds) => Some(seconds),
        Value::Unsigned(seconds) => Some(seconds.into()),
        Value::Signed(seconds) => u64::try_from(seconds).ok(),
        _ => None,
    };
    let micros = seconds.and_then(|seconds| seconds.checked_mul(1_000_000)).ok_or_else(refused)?;
    Ok(Property::new(&format!("{start}USec"), Value::Number(micros)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> Result<Option<Scope>, Error> {
        Scope::parse(Path::new(text))
    }

    #[test]
    fn a_scope_is_found_where_systemd_puts_it() {
        for (path, folder) in [
            (":ketch:abc", "system.slice/ketch-abc.scope"),
            ("machine.slice:libpod:abc", "machine.slice/libpod-abc.scope"),
            ("a-b-c.slice:x:y", "a.slice/a-b.slice/a-b-c.slice/x-y.scope"),
            ("-.slice::alone", "alone.scope"),
        ] {
            assert_eq!(scope(path).unwrap().unwrap().folder(), Path::new(folder), "{path}");
        }
        assert_eq!(scope("/ketch/abc").unwrap(), None);
        for wrong in [
            "a:b:c",
            "a/b.slice:x:y",
            "--x.slice:x:y",
            ".slice:x:y",
            ":x:../y",
            ":x:",
            ":x:y.slice",
            ":a/b:c",
        ] {
            assert!(scope(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn limits_are_told_in_systemd_s_words() {
        let told = |text: &str| properties(&serde_json::from_str(text).unwrap()).unwrap();
        let number = |name: &str, value| Property::new(name, Value::Number(value));
        assert_eq!(
            told(r#"{"memory":{"limit":100,"swap":150,"reservation":-1}}"#),
            [number("MemoryMax", 100), number("MemoryLow", u64::MAX), number("MemorySwapMax", 50)]
        );
        assert_eq!(
            told(r#"{"cpu":{"quota":12345,"period":100000,"cpus":"0,9","shares":1024}}"#),
            [
                number("CPUWeight", 39),
                number("CPUQuotaPeriodUSec", 100_000),
                number("CPUQuotaPerSecUSec", 130_000),
                Property::new("AllowedCPUs", Value::Bits(vec![1, 2])),
            ]
        );
        assert_eq!(told(r#"{"cpu":{"quota":-1}}"#), [number("CPUQuotaPerSecUSec", u64::MAX)]);
        assert_eq!(told(r#"{"pids":{"limit":-1}}"#), [number("TasksMax", u64::MAX)]);
        assert_eq!(
            told(r#"{"unified":{"cpu.max":"max 50000"}}"#),
            [number("CPUQuotaPeriodUSec", 50_000), number("CPUQuotaPerSecUSec", u64::MAX)]
        );
        assert_eq!(told(r#"{"unified":{"memory.high":"max"}}"#), [number("MemoryHigh", u64::MAX)]);
        assert_eq!(told(r#"{"unified":{"hugetlb.2MB.max":"1"}}"#), []);
    }

    #[test]
    fn annotations_are_settings_of_the_scope() {
        assert_eq!(
            annotated("TimeoutStopUSec", "uint64 10").unwrap(),
            Property::new("TimeoutStopUSec", Value::Number(10))
        );
        assert_eq!(
            annotated("TimeoutStopSec", "10").unwrap(),
            Property::new("TimeoutStopUSec", Value::Number(10_000_000))
        );
        assert_eq!(annotated("KillSignal", "37").unwrap(), Property::new("KillSignal", Value::Signed(37)));
        assert_eq!(annotated("X", "'a b'").unwrap(), Property::new("X", Value::Text("a b".into())));
        for (name, value) in
            [("x", "1"), ("X y", "1"), ("X", "[1]"), ("X", "'a"), ("XSec", "'a'"), ("X", "1e9")]
        {
            assert!(annotated(name, value).is_err(), "{name} {value}");
        }
    }
}
