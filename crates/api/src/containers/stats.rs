//! `GET /containers/{id}/stats`.

use std::time::Duration;

use bytes::Bytes;
use engine::containers::Handle;
use engine::containers::stats::{Link, Operation, Sample};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use crate::body;
use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};
use crate::time::{self, NEVER};

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

pub(crate) async fn get(call: Call) -> Result<Reply, Error> {
    let handle = call.engine.containers.get(call.name())?;
    // Unlike other switches, this one is on unless it is put off.
    let stream = !call.query.has("stream") || call.query.flag("stream");
    let once = call.query.flag("one-shot");
    if stream && once {
        return Err(Error::invalid("cannot have stream=true and one-shot=true"));
    }
    if !stream {
        let before = if once { None } else { sample(&handle).await };
        if before.is_some() {
            tokio::time::sleep(INTERVAL).await;
        }
        let now = sample(&handle).await;
        return Ok(reply::json(&describe(&handle, call.since(52), now.as_ref(), before.as_ref())));
    }
    let (sender, body) = body::streamed();
    let names_system = call.since(52);
    tasks::spawn(send(handle, names_system, sender, call.closing));
    Ok(reply::with_type(StatusCode::OK, "application/json", body))
}

/// Looks again and again until the client or the container has gone.
async fn send(
    handle: Handle,
    names_system: bool,
    sender: mpsc::Sender<Bytes>,
    mut closing: watch::Receiver<bool>,
) {
    let mut before = None;
    while !handle.view().removed {
        let now = sample(&handle).await;
        let line = format!("{}\n", describe(&handle, names_system, now.as_ref(), before.as_ref()));
        if sender.send(line.into()).await.is_err() {
            return;
        }
        before = now;
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = sender.closed() => return,
            _ = closing.wait_for(|closing| *closing) => return,
        }
    }
}

async fn sample(handle: &Handle) -> Option<Sample> {
    let handle = handle.clone();
    tasks::blocking(move || handle.sample()).await.ok().flatten()
}

fn describe(handle: &Handle, names_system: bool, now: Option<&Sample>, before: Option<&Sample>) -> Value {
    let at =
        |sample: Option<&Sample>| sample.map_or_else(|| NEVER.to_owned(), |sample| time::rfc3339(sample.at));
    let mut figures = json!({
        "name": format!("/{}", handle.view().container.name),
        "id": handle.id(),
        "read": at(now),
        "preread": at(before),
        "pids_stats": now.map_or_else(|| json!({}), processes),
        "blkio_stats": block(now),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": cpu(now),
        "precpu_stats": cpu(before),
        "memory_stats": now.map_or_else(|| json!({}), memory),
    });
    if let Some(sample) = now.filter(|sample| !sample.links.is_empty()) {
        let links = sample.links.iter().map(|(name, link)| (name.clone(), traffic(link)));
        figures["networks"] = Value::Object(links.collect());
    }
    if names_system {
        figures["os_type"] = "linux".into();
    }
    figures
}

fn traffic(Link { received, sent }: &Link) -> Value {
    json!({
        "rx_bytes": received.bytes, "rx_packets": received.packets, "rx_errors": received.errors,
        "rx_dropped": received.dropped, "tx_bytes": sent.bytes, "tx_packets": sent.packets,
        "tx_errors": sent.errors, "tx_dropped": sent.dropped,
    })
}

fn processes(sample: &Sample) -> Value {
    let mut fields = json!({ "current": sample.processes.current });
    if let Some(limit) = sample.processes.limit {
        fields["limit"] = limit.into();
    }
    fields
}

fn block(sample: Option<&Sample>) -> Value {
    let list = |operations: fn(&Sample) -> &Vec<Operation>| sample.map(|sample| entries(operations(sample)));
    let nothing = sample.map(|_| json!([]));
    json!({
        "io_service_bytes_recursive": list(|sample| &sample.block.bytes),
        "io_serviced_recursive": list(|sample| &sample.block.operations),
        "io_queue_recursive": nothing,
        "io_service_time_recursive": nothing,
        "io_wait_time_recursive": nothing,
        "io_merged_recursive": nothing,
        "io_time_recursive": nothing,
        "sectors_recursive": nothing,
    })
}

fn entries(operations: &[Operation]) -> Vec<Value> {
    let entry = |operation: &Operation| {
        let Operation { major, minor, name, value } = operation;
        json!({ "major": major, "minor": minor, "op": name, "value": value })
    };
    operations.iter().map(entry).collect()
}

fn cpu(sample: Option<&Sample>) -> Value {
    let cpu = sample.map(|sample| sample.cpu.clone()).unwrap_or_default();
    let mut fields = json!({
        "cpu_usage": {
            "total_usage": cpu.total, "usage_in_kernelmode": cpu.kernel, "usage_in_usermode": cpu.user,
        },
        "throttling_data": {
            "periods": cpu.periods, "throttled_periods": cpu.throttled_periods, "throttled_time": cpu.throttled,
        },
    });
    if !cpu.each.is_empty() {
        fields["cpu_usage"]["percpu_usage"] = json!(cpu.each);
    }
    if let Some(sample) = sample {
        fields["system_cpu_usage"] = sample.system.into();
        fields["online_cpus"] = sample.processors.into();
    }
    fields
}

fn memory(sample: &Sample) -> Value {
    let memory = &sample.memory;
    let mut fields = json!({ "usage": memory.usage, "stats": memory.figures, "limit": memory.limit });
    if let Some(most) = memory.most.filter(|most| *most > 0) {
        fields["max_usage"] = most.into();
    }
    if memory.failures > 0 {
        fields["failcnt"] = memory.failures.into();
    }
    fields
}
