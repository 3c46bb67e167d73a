//! How a build becomes a record.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use build::progress::{Event, Progress, VertexState};
use build::request::{Outcome, Said};
use grpc::{Code, Status};
use oci::Digest;

use super::{History, files, news};
use crate::proto::control::{BuildHistoryRecord, SolveRequest};

/// Events that are put into one message of a log.
const EVENTS: usize = 5000;

/// A build that goes on. Given up, it has been cancelled.
pub(in crate::serve) struct Recording {
    history: Arc<History>,
    /// Until it is written.
    record: Option<BuildHistoryRecord>,
    progress: Progress,
}

impl History {
    /// A build begins.
    pub(in crate::serve) fn begin(
        self: &Arc<Self>,
        question: &SolveRequest,
        progress: Progress,
    ) -> Option<Recording> {
        // A client's own errands are nobody's builds.
        if question.internal {
            return None;
        }
        let record = BuildHistoryRecord {
            r#ref: question.r#ref.clone(),
            frontend: question.frontend.clone(),
            frontend_attrs: without_passwords(&question.frontend_attrs),
            exporters: question.exporters.clone(),
            created_at: Some(news::time(SystemTime::now())),
            ..BuildHistoryRecord::default()
        };
        self.started(&record);
        Some(Recording { history: self.clone(), record: Some(record), progress })
    }
}

impl Recording {
    /// It has ended so.
    pub(in crate::serve) async fn end(mut self, ended: &Result<Outcome, Status>) {
        if let Some(writing) = self.take(ended) {
            // That it can't be written is told in the log, and the build ended as it did.
            let _ = tasks::blocking(writing).await;
        }
    }

    fn take(&mut self, ended: &Result<Outcome, Status>) -> Option<impl FnOnce() + Send + 'static> {
        let mut record = self.record.take()?;
        record.completed_at = Some(news::time(SystemTime::now()));
        let (mut details, mut said) = (None, Vec::new());
        match ended {
            Ok(outcome) => {
                record.exporter_response = outcome.response.clone().into_iter().collect();
                said = outcome.said.clone();
            }
            Err(status) => {
                let (code, message) = (status.code as i32, status.message.clone());
                record.error = Some(crate::proto::Status { code, message, details: Vec::new() });
                details = Some(status.details.to_vec()).filter(|details| !details.is_empty());
            }
        }
        let (history, progress) = (self.history.clone(), self.progress.clone());
        Some(move || {
            // Whatever comes after this is no part of the build.
            progress.end();
            let events = progress.told();
            count(&mut record, &events);
            let said: Vec<Vec<u8>> = said.into_iter().map(|said| attest(&mut record, said)).collect();
            let messages: Vec<_> = events
                .chunks(EVENTS)
                .flat_map(|events| news::responses(events.iter().map(|e| &**e)))
                .collect();
            history.completed(record, &files::told(&messages), details.as_deref(), &said);
        })
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let gone = Err(Status::new(Code::Cancelled, "context canceled"));
        let Some(writing) = self.take(&gone) else { return };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(writing)),
            Err(_) => writing(),
        }
    }
}

/// Names what is said of a result in the record; its bytes.
fn attest(record: &mut BuildHistoryRecord, said: Said) -> Vec<u8> {
    let mut descriptor = files::descriptor("application/vnd.in-toto+json", &said.bytes);
    descriptor.annotations.insert("in-toto.io/predicate-type".into(), said.predicate.to_owned());
    let result = match said.platform.as_str() {
        "" => record.result.get_or_insert_default(),
        platform => record.results.entry(platform.to_owned()).or_default(),
    };
    result.attestations.push(descriptor);
    said.bytes
}

/// Steps by how they ended.
fn count(record: &mut BuildHistoryRecord, events: &[Arc<Event>]) {
    let mut steps: HashMap<&Digest, &VertexState> = HashMap::new();
    let mut warnings = 0;
    for event in events {
        match &**event {
            Event::Vertex(vertex) => drop(steps.insert(&vertex.digest, vertex)),
            Event::Warning(_) => warnings += 1,
            Event::Status(_) | Event::Log(_) => {}
        }
    }
    let number = |fits: &dyn Fn(&VertexState) -> bool| {
        i32::try_from(steps.values().filter(|step| fits(step)).count()).unwrap_or(i32::MAX)
    };
    record.num_total_steps = number(&|_| true);
    record.num_completed_steps = number(&|step| step.completed.is_some());
    record.num_cached_steps = number(&|step| step.cached);
    record.num_warnings = warnings;
}

/// What is remembered is shown to others: addresses lose who was to be let in.
fn without_passwords(attributes: &HashMap<String, String>) -> HashMap<String, String> {
    let clean = |(name, value): (&String, &String)| (name.clone(), diag::without_password(value));
    attributes.iter().map(clean).collect()
}
