//! What a container may use.

use serde_json::{Map, Value, json};

use super::{list, text};

pub(super) fn limits(spec: &Value) -> Map<String, Value> {
    let mut host = Map::new();
    let mut set = |key: &str, value: Value| drop(host.insert(key.to_owned(), value));
    let bytes = |value: &Value| value.as_str().and_then(|text| crate::bytes(text).ok());
    let limits = &spec["deploy"]["resources"]["limits"];
    let reservations = &spec["deploy"]["resources"]["reservations"];
    // What `deploy` says counts more.
    for (deployed, ours, theirs) in [
        (&limits["memory"], "mem_limit", "Memory"),
        (&reservations["memory"], "mem_reservation", "MemoryReservation"),
        (&Value::Null, "memswap_limit", "MemorySwap"),
        (&Value::Null, "mem_swappiness", "MemorySwappiness"),
        (&Value::Null, "shm_size", "ShmSize"),
    ] {
        if let Some(number) = bytes(deployed).or_else(|| bytes(&spec[ours])) {
            set(theirs, number.into());
        }
    }
    let cpus = limits["cpus"].as_f64().or_else(|| spec["cpus"].as_f64());
    if let Some(cpus) = cpus {
        // Rounded: a tenth has no exact form.
        set("NanoCpus", ((cpus * 1e9).round() as i64).into());
    }
    let pids = limits["pids"].as_i64().or_else(|| spec["pids_limit"].as_i64());
    if let Some(pids) = pids {
        set("PidsLimit", pids.into());
    }
    for (ours, theirs) in [
        ("cpu_count", "CpuCount"),
        ("cpu_percent", "CpuPercent"),
        ("cpu_period", "CpuPeriod"),
        ("cpu_quota", "CpuQuota"),
        ("cpu_rt_period", "CpuRealtimePeriod"),
        ("cpu_rt_runtime", "CpuRealtimeRuntime"),
        ("cpu_shares", "CpuShares"),
        ("cpuset", "CpusetCpus"),
        ("oom_kill_disable", "OomKillDisable"),
        ("oom_score_adj", "OomScoreAdj"),
        ("device_cgroup_rules", "DeviceCgroupRules"),
    ] {
        if !spec[ours].is_null() {
            set(theirs, spec[ours].clone());
        }
    }
    set("Ulimits", ulimits(spec));
    set("Devices", devices(spec));
    let requests = list(spec, "gpus").iter().map(|gpu| request(gpu, &["gpu"]));
    let requests = requests.chain(list(reservations, "devices").iter().map(|d| request(d, &[])));
    let named = list(spec, "devices").iter().filter(|device| is_by_name(device));
    let requests: Vec<Value> = requests.chain(named.map(by_name)).collect();
    if !requests.is_empty() {
        set("DeviceRequests", requests.into());
    }
    host.extend(blkio(&spec["blkio_config"]));
    host
}

fn ulimits(spec: &Value) -> Value {
    let limits = spec["ulimits"].as_object().into_iter().flatten().map(|(name, limit)| {
        let (soft, hard) = match limit.as_i64() {
            Some(both) => (both, both),
            None => (limit["soft"].as_i64().unwrap_or(0), limit["hard"].as_i64().unwrap_or(0)),
        };
        json!({ "Name": name, "Soft": soft, "Hard": hard })
    });
    limits.collect()
}

fn devices(spec: &Value) -> Value {
    let device = |device: &Value| {
        json!({
            "PathOnHost": text(device, "source"),
            "PathInContainer": text(device, "target"),
            "CgroupPermissions": text(device, "permissions"),
        })
    };
    list(spec, "devices").iter().filter(|device| !is_by_name(device)).map(device).collect()
}

/// A device of CDI's files, `vendor.com/class=name`, and none of `/dev`.
fn is_by_name(device: &Value) -> bool {
    !text(device, "source").starts_with('/')
}

fn by_name(device: &Value) -> Value {
    json!({ "Driver": "cdi", "DeviceIDs": [text(device, "source")] })
}

fn request(device: &Value, always: &[&str]) -> Value {
    let mut capabilities: Vec<&str> = list(device, "capabilities").iter().filter_map(Value::as_str).collect();
    for name in always.iter().filter(|name| !capabilities.contains(name)).collect::<Vec<_>>() {
        capabilities.push(name);
    }
    json!({
        "Driver": text(device, "driver"),
        "Count": device["count"].as_i64().unwrap_or(0),
        "DeviceIDs": device["device_ids"],
        "Capabilities": [capabilities],
        "Options": device["options"],
    })
}

fn blkio(config: &Value) -> Map<String, Value> {
    let mut host = Map::new();
    if let Some(weight) = config["weight"].as_u64() {
        host.insert("BlkioWeight".into(), weight.into());
    }
    let weights = list(config, "weight_device");
    if !weights.is_empty() {
        let weight = |one: &Value| json!({ "Path": text(one, "path"), "Weight": one["weight"] });
        host.insert("BlkioWeightDevice".into(), weights.iter().map(weight).collect());
    }
    for (ours, theirs) in [
        ("device_read_bps", "BlkioDeviceReadBps"),
        ("device_write_bps", "BlkioDeviceWriteBps"),
        ("device_read_iops", "BlkioDeviceReadIOps"),
        ("device_write_iops", "BlkioDeviceWriteIOps"),
    ] {
        let rates = list(config, ours);
        if !rates.is_empty() {
            let rate = |one: &Value| {
                let rate = crate::bytes(text(one, "rate")).unwrap_or(0);
                json!({ "Path": text(one, "path"), "Rate": rate })
            };
            host.insert(theirs.into(), rates.iter().map(rate).collect());
        }
    }
    host
}
