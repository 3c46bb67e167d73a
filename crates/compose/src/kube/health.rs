//! Health checks as probes.

use serde_json::{Value, json};

use crate::container::{list, text};

/// What a container is asked while it starts and afterwards.
pub(super) fn probes(spec: &Value) -> Vec<(&'static str, Value)> {
    let check = &spec["healthcheck"];
    let words: Vec<&str> = list(check, "test").iter().filter_map(Value::as_str).collect();
    let command = match words.split_first() {
        Some((&"CMD", rest)) => rest.to_vec(),
        Some((&"CMD-SHELL", rest)) => [&["/bin/sh", "-c"], rest].concat(),
        _ => return Vec::new(),
    };
    if check["disable"] == true {
        return Vec::new();
    }
    let seconds = |key: &str, usual: u64| {
        let given = crate::duration(text(check, key)).ok().and_then(|time| u64::try_from(time).ok());
        given.map(|time| time.div_ceil(1_000_000_000)).filter(|time| *time > 0).unwrap_or(usual)
    };
    let retries = check["retries"].as_u64().filter(|count| *count > 0).unwrap_or(3);
    let (interval, timeout) = (seconds("interval", 30), seconds("timeout", 30));
    let probe = json!({
        "exec": { "command": command },
        "periodSeconds": interval,
        "timeoutSeconds": timeout,
        "failureThreshold": retries,
    });
    let mut probes = vec![("readinessProbe", probe.clone()), ("livenessProbe", probe.clone())];
    let start = seconds("start_period", 0);
    if start > 0 {
        // For so long failures don't count; the first success ends it.
        let period = seconds("start_interval", 5).max(1);
        let mut first = probe;
        first["periodSeconds"] = period.into();
        first["failureThreshold"] = (start.div_ceil(period) + retries).into();
        probes.push(("startupProbe", first));
    }
    probes
}
