//! A build's events as BuildKit's status.

use std::time::{SystemTime, UNIX_EPOCH};

use build::graph::{Position, Range};
use build::progress::Event;

use crate::proto::control::{StatusResponse, Vertex, VertexLog, VertexStatus, VertexWarning};
use crate::proto::{Timestamp, pb};

/// Bytes of logs in one message: clients take 16 MiB, and want to see something soon.
const MAX_LOGS: usize = 1 << 20;

/// The events in as few messages as may be.
pub(super) fn responses<'a>(events: impl Iterator<Item = &'a Event>) -> Vec<StatusResponse> {
    let mut responses = Vec::new();
    let (mut current, mut bytes) = (StatusResponse::default(), 0);
    for event in events {
        match event {
            Event::Vertex(vertex) => current.vertexes.push(Vertex {
                digest: vertex.digest.to_string(),
                inputs: vertex.inputs.iter().map(ToString::to_string).collect(),
                name: vertex.name.clone(),
                cached: vertex.cached,
                started: vertex.started.map(time),
                completed: vertex.completed.map(time),
                error: vertex.error.clone().unwrap_or_default(),
                progress_group: vertex.group.as_ref().map(|group| pb::ProgressGroup {
                    id: group.id.clone(),
                    name: group.name.clone(),
                    weak: group.weak,
                }),
            }),
            Event::Status(status) => current.statuses.push(VertexStatus {
                id: status.id.clone(),
                vertex: status.vertex.to_string(),
                name: status.name.clone(),
                current: number(status.current),
                total: number(status.total),
                timestamp: Some(time(status.at)),
                started: status.started.map(time),
                completed: status.completed.map(time),
            }),
            Event::Log(log) => {
                bytes += log.data.len();
                current.logs.push(VertexLog {
                    vertex: log.vertex.to_string(),
                    timestamp: Some(time(log.at)),
                    stream: log.stream as i64,
                    msg: log.data.clone(),
                });
            }
            Event::Warning(warning) => {
                let (info, ranges) = warning.position.as_ref().map(source).unzip();
                current.warnings.push(VertexWarning {
                    vertex: warning.vertex.to_string(),
                    level: warning.level.into(),
                    short: warning.short.clone().into_bytes(),
                    detail: warning.detail.iter().map(|line| line.clone().into_bytes()).collect(),
                    url: warning.url.clone(),
                    info,
                    ranges: ranges.unwrap_or_default(),
                });
            }
        }
        if bytes >= MAX_LOGS {
            responses.push(std::mem::take(&mut current));
            bytes = 0;
        }
    }
    responses.push(current);
    responses
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A moment.
pub(super) fn time(at: SystemTime) -> Timestamp {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    Timestamp { seconds, nanos: since.subsec_nanos() as i32 }
}

/// A place in a file, as messages have it.
pub(crate) fn source(position: &Position) -> (pb::SourceInfo, Vec<pb::Range>) {
    let info = pb::SourceInfo {
        filename: position.file.name.clone(),
        data: position.file.data.clone(),
        definition: None,
        language: position.file.language.clone(),
    };
    (info, position.ranges.iter().map(range).collect())
}

fn range(range: &Range) -> pb::Range {
    let place = |(line, character): (u32, u32)| {
        let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        Some(pb::Position { line: number(line), character: number(character) })
    };
    pb::Range { start: place(range.start), end: place(range.end) }
}
