//! What a container has used, in the shape in which runc tells it.

use std::fs;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::Cgroup;
use crate::Error;

impl Cgroup {
    /// All statistics that this kernel keeps of it; what it doesn't keep is absent or zero.
    pub fn stats(&self) -> Result<Value, Error> {
        let unified = self.folders.iter().any(|f| f.hierarchy.unified) && !self.is_on_v1("memory");
        Ok(match unified {
            true => self.unified_stats(),
            false => self.v1_stats(),
        })
    }

    fn is_on_v1(&self, controller: &str) -> bool {
        self.folders.iter().any(|f| !f.hierarchy.unified && f.hierarchy.has(controller))
    }

    fn file(&self, controller: &str, name: &str) -> String {
        let v1 = self.folders.iter().find(|f| !f.hierarchy.unified && f.hierarchy.has(controller));
        let folder = v1.or_else(|| self.folders.iter().find(|f| f.hierarchy.unified));
        let path: Option<PathBuf> = folder.map(|folder| folder.path.join(name));
        path.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default()
    }

    fn number(&self, controller: &str, name: &str) -> u64 {
        limit(&self.file(controller, name))
    }

    fn unified_stats(&self) -> Value {
        let cpu = pairs(&self.file("cpu", "cpu.stat"));
        let nanoseconds = |key: &str| cpu.get(key).and_then(Value::as_u64).unwrap_or(0) * 1000;
        let memory = pairs(&self.file("memory", "memory.stat"));
        let count = |key: &str| memory.get(key).cloned().unwrap_or_else(|| 0.into());
        let memory_use = |usage: &str, limit: &str, events: &str| {
            json!({
                "usage": self.number("memory", usage),
                "max": self.number("memory", &usage.replace("current", "peak")),
                "limit": self.number("memory", limit),
                "failcnt": pairs(&self.file("memory", events)).get("max").cloned().unwrap_or_else(|| 0.into()),
            })
        };
        json!({
            "cpu": {
                "usage": {
                    "total": nanoseconds("usage_usec"),
                    "kernel": nanoseconds("system_usec"),
                    "user": nanoseconds("user_usec"),
                },
                "throttling": {
                    "periods": cpu.get("nr_periods").cloned().unwrap_or_else(|| 0.into()),
                    "throttledPeriods": cpu.get("nr_throttled").cloned().unwrap_or_else(|| 0.into()),
                    "throttledTime": nanoseconds("throttled_usec"),
                },
            },
            "memory": {
                "cache": count("file"),
                "usage": memory_use("memory.current", "memory.max", "memory.events"),
                "swap": memory_use("memory.swap.current", "memory.swap.max", "memory.swap.events"),
                "kernel": {"usage": count("kernel")},
                "raw": memory,
            },
            "pids": self.pids_stats(),
            "blkio": {"ioServiceBytesRecursive": io_lines(&self.file("io", "io.stat"), &[("Read", "rbytes"), ("Write", "wbytes")]),
                      "ioServicedRecursive": io_lines(&self.file("io", "io.stat"), &[("Read", "rios"), ("Write", "wios")])},
            "hugetlb": self.huge_pages("current", "max"),
        })
    }

    fn v1_stats(&self) -> Value {
        let throttling = pairs(&self.file("cpu", "cpu.stat"));
        let memory = pairs(&self.file("memory", "memory.stat"));
        let memory_use = |prefix: &str| {
            json!({
                "usage": self.number("memory", &format!("{prefix}.usage_in_bytes")),
                "max": self.number("memory", &format!("{prefix}.max_usage_in_bytes")),
                "limit": self.number("memory", &format!("{prefix}.limit_in_bytes")),
                "failcnt": self.number("memory", &format!("{prefix}.failcnt")),
            })
        };
        let per_cpu: Vec<u64> =
            self.file("cpuacct", "cpuacct.usage_percpu").split_whitespace().map(limit).collect();
        let count = |key: &str| throttling.get(key).cloned().unwrap_or_else(|| 0.into());
        json!({
            "cpu": {
                "usage": {
                    "total": self.number("cpuacct", "cpuacct.usage"),
                    "percpu": per_cpu,
                    "kernel": self.number("cpuacct", "cpuacct.usage_sys"),
                    "user": self.number("cpuacct", "cpuacct.usage_user"),
                },
                "throttling": {
                    "periods": count("nr_periods"),
                    "throttledPeriods": count("nr_throttled"),
                    "throttledTime": count("throttled_time"),
                },
            },
            "memory": {
                "cache": memory.get("cache").cloned().unwrap_or_else(|| 0.into()),
                "usage": memory_use("memory"),
                "swap": memory_use("memory.memsw"),
                "kernel": memory_use("memory.kmem"),
                "kernelTCP": memory_use("memory.kmem.tcp"),
                "raw": memory,
            },
            "pids": self.pids_stats(),
            "blkio": {
                "ioServiceBytesRecursive": v1_io_lines(&self.file("blkio", "blkio.throttle.io_service_bytes")),
                "ioServicedRecursive": v1_io_lines(&self.file("blkio", "blkio.throttle.io_serviced")),
            },
            "hugetlb": self.huge_pages("usage_in_bytes", "limit_in_bytes"),
        })
    }

    fn pids_stats(&self) -> Value {
        let most = self.number("pids", "pids.max");
        json!({"current": self.number("pids", "pids.current"), "limit": if most == u64::MAX { 0 } else { most }})
    }

    fn huge_pages(&self, usage: &str, most: &str) -> Value {
        let sizes = fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
        let mut all = Map::new();
        for entry in sizes {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(kilobytes) =
                name.strip_prefix("hugepages-").and_then(|n| n.strip_suffix("kB")?.parse().ok())
            else {
                continue;
            };
            let size = super::limits::page_size_name(kilobytes);
            if !self.file("hugetlb", &format!("hugetlb.{size}.{usage}")).is_empty() {
                let used = self.number("hugetlb", &format!("hugetlb.{size}.{usage}"));
                let most = self.number("hugetlb", &format!("hugetlb.{size}.{most}"));
                all.insert(size, json!({"usage": used, "limit": most}));
            }
        }
        all.into()
    }
}

/// A number, or `max`; nothing is zero.
fn limit(text: &str) -> u64 {
    match text.trim() {
        "max" => u64::MAX,
        number => number.parse().unwrap_or(0),
    }
}

/// Lines of a word and a number.
fn pairs(text: &str) -> Map<String, Value> {
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), value.trim().parse::<u64>().ok()?.into()))
    };
    text.lines().filter_map(pair).collect()
}

/// v2: `8:0 rbytes=1 wbytes=2 …`.
fn io_lines(text: &str, wanted: &[(&str, &str)]) -> Vec<Value> {
    let mut all = Vec::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let Some((major, minor)) = words.next().and_then(device) else { continue };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            if let Some((operation, _)) = wanted.iter().find(|(_, name)| *name == key) {
                all.push(json!({"major": major, "minor": minor, "op": operation, "value": limit(value)}));
            }
        }
    }
    all
}

/// v1: `8:0 Read 1`.
fn v1_io_lines(text: &str) -> Vec<Value> {
    let line = |line: &str| {
        let mut words = line.split(' ');
        let (major, minor) = words.next().and_then(device)?;
        let (operation, value) = (words.next()?, words.next()?);
        Some(json!({"major": major, "minor": minor, "op": operation, "value": limit(value)}))
    };
    text.lines().filter_map(line).collect()
}

fn device(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_tables_are_read() {
        let text = "8:0 rbytes=1 wbytes=2 rios=3 wios=4\n8:16 \n";
        let lines = io_lines(text, &[("Read", "rbytes"), ("Write", "wbytes")]);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1], json!({"major": 8, "minor": 0, "op": "Write", "value": 2}));
        assert_eq!(
            v1_io_lines("8:0 Read 5\nTotal 5\n"),
            [json!({"major": 8, "minor": 0, "op": "Read", "value": 5})]
        );
        assert_eq!(pairs("a 1\nb\nc x\n"), Map::from_iter([("a".to_owned(), 1.into())]));
        assert_eq!((limit("max\n"), limit(""), limit("7\n")), (u64::MAX, 0, 7));
    }
}
