//! What is remembered of builds: a record of each, its log, and what it failed with.
//!
//! ```text
//! <folder>/<digest of the build's ref>/record   BuildHistoryRecord
//!                                      logs     StatusResponses, each after its length
//!                                      error    google.rpc.Status, where the build failed with more than a sentence
//!                                      <digest> what is said of its results
//!                                      trace    its steps' times as a trace, once somebody wanted it
//! ```
//!
//! A build's folder is filled under another name first: one that is here is whole. The history is a help, not a promise:
//! what can't be read is left out, and what can't be written is for the log.

mod calls;
mod content;
mod files;
mod filter;
mod record;
mod trace;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use grpc::{Code, Status};
use tokio::sync::broadcast;

use super::news;
use crate::proto::control::{BuildHistoryEvent, BuildHistoryEventType, BuildHistoryRecord, Descriptor};
use files::Folder;

/// So many stay however old they are, where nobody says otherwise …
const ENTRIES: usize = 50;
/// … and others for so long, as BuildKit has it.
const AGE: Duration = Duration::from_secs(48 * 3600);
/// Never more than this, whatever their age; those that somebody pinned don't count.
const MOST: usize = 500;
/// Events that wait for one who listens.
const WAITING: usize = 1024;

/// All that is remembered.
#[derive(Debug)]
pub(super) struct History {
    folder: Folder,
    table: Mutex<Table>,
    events: broadcast::Sender<BuildHistoryEvent>,
    entries: usize,
    age: Duration,
}

#[derive(Debug, Default)]
struct Table {
    active: HashMap<String, BuildHistoryRecord>,
    ended: HashMap<String, BuildHistoryRecord>,
}

impl History {
    /// What the folder holds of earlier builds.
    pub(super) fn open(folder: PathBuf, (entries, age): (Option<usize>, Option<Duration>)) -> Arc<Self> {
        let folder = Folder::open(folder);
        let ended = folder.records().into_iter().map(|record| (record.r#ref.clone(), record)).collect();
        let table = Mutex::new(Table { active: HashMap::new(), ended });
        let (entries, age) = (entries.unwrap_or(ENTRIES), age.unwrap_or(AGE));
        Arc::new(Self { folder, table, events: broadcast::channel(WAITING).0, entries, age })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those who listen; that nobody does is no failure.
    fn tell(&self, kind: BuildHistoryEventType, record: BuildHistoryRecord) {
        let _ = self.events.send(BuildHistoryEvent { r#type: kind.into(), record: Some(record) });
    }

    fn started(&self, record: &BuildHistoryRecord) {
        self.table().active.insert(record.r#ref.clone(), record.clone());
        self.tell(BuildHistoryEventType::Started, record.clone());
    }

    /// A build has ended: its record is written down with what goes with it. Blocking.
    fn completed(&self, mut record: BuildHistoryRecord, logs: &[u8], error: Option<&[u8]>, said: &[Vec<u8>]) {
        record.logs = Some(files::descriptor("application/vnd.buildkit.status.v0", logs));
        record.external_error =
            error.map(|error| files::descriptor("application/vnd.googeapis.google.rpc.status+proto", error));
        let written = self.folder.write(&record, logs, error, said);
        {
            let mut table = self.table();
            table.active.remove(&record.r#ref);
            match written {
                Ok(()) => drop(table.ended.insert(record.r#ref.clone(), record.clone())),
                Err(error) => tracing_lost(&error),
            }
        }
        self.tell(BuildHistoryEventType::Complete, record);
        self.make_room();
    }

    /// Forgets what is too much.
    fn make_room(&self) {
        let mut ended: Vec<BuildHistoryRecord> =
            self.table().ended.values().filter(|record| !record.pinned).cloned().collect();
        ended.sort_by_key(|record| std::cmp::Reverse(filter::seconds(record.completed_at.as_ref())));
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let oldest = i64::try_from(now.saturating_sub(self.age).as_secs()).unwrap_or(0);
        let old = |record: &BuildHistoryRecord| filter::seconds(record.completed_at.as_ref()) < oldest;
        for (number, record) in ended.iter().enumerate().skip(self.entries) {
            if number >= MOST || old(record) {
                self.remove(&record.r#ref);
            }
        }
    }

    /// Forgets a build; false where none was remembered. Blocking.
    fn remove(&self, id: &str) -> bool {
        let Some(record) = self.table().ended.remove(id) else { return false };
        self.folder.remove(id);
        self.tell(BuildHistoryEventType::Deleted, record);
        true
    }

    /// Keeps a build for good, or no longer. Blocking.
    fn pin(&self, id: &str, pinned: bool) -> Result<(), Status> {
        self.change(id, |record| record.pinned = pinned)
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut BuildHistoryRecord)) -> Result<(), Status> {
        let record = {
            let mut table = self.table();
            let record = table.ended.get_mut(id).ok_or_else(|| unknown(id))?;
            change(record);
            record.clone()
        };
        let written = self.folder.rewrite(&record);
        written.map_err(|e| Status::new(Code::Internal, format!("cannot write down build {id}: {e}")))?;
        self.tell(BuildHistoryEventType::Complete, record);
        Ok(())
    }

    /// Makes a build's trace, if it has ended and has none yet. Blocking.
    fn finalize(&self, id: &str) -> Result<(), Status> {
        let failed = |e: std::io::Error| {
            Status::new(Code::Internal, format!("cannot write down the trace of build {id}: {e}"))
        };
        let ended = {
            let table = self.table();
            match table.ended.get(id) {
                Some(record) => record.clone(),
                None if table.active.contains_key(id) => return Ok(()),
                None => return Err(unknown(id)),
            }
        };
        if ended.trace.is_some() {
            return Ok(());
        }
        let trace = trace::of(&ended, self.story(id)?).map_err(failed)?;
        self.folder.add(id, files::TRACE, &trace).map_err(failed)?;
        self.change(id, |record| record.trace = Some(files::descriptor(trace::MEDIA_TYPE, &trace)))
    }

    /// Whether the build of this name has ended and is remembered.
    pub(super) fn has_ended(&self, id: &str) -> bool {
        self.table().ended.contains_key(id)
    }

    /// What such a build told. Blocking.
    pub(super) fn story(&self, id: &str) -> Result<files::Story, Status> {
        self.folder.story(id).map_err(|e| Status::new(Code::NotFound, format!("no log of build {id}: {e}")))
    }

    /// Where each blob lies that a record names.
    fn find(&self, digest: &str) -> Option<(PathBuf, BuildHistoryRecord)> {
        let table = self.table();
        table.ended.values().find_map(|record| {
            let (name, _) = named(record).find(|(_, descriptor)| descriptor.digest == digest)?;
            Some((self.folder.path(&record.r#ref).join(name), record.clone()))
        })
    }

    /// All blobs, each once.
    fn blobs(&self) -> Vec<(String, BuildHistoryRecord)> {
        let table = self.table();
        let mut known = HashSet::new();
        let named = table.ended.values().flat_map(|record| {
            named(record).map(move |(_, descriptor)| (descriptor.digest.clone(), record.clone()))
        });
        named.filter(|(digest, _)| known.insert(digest.clone())).collect()
    }
}

/// A record's blobs, each with its file.
fn named(record: &BuildHistoryRecord) -> impl Iterator<Item = (&str, &Descriptor)> {
    let log = record.logs.iter().map(|blob| (files::LOGS, blob));
    let error = record.external_error.iter().map(|blob| (files::ERROR, blob));
    let trace = record.trace.iter().map(|blob| (files::TRACE, blob));
    let results = record.result.iter().chain(record.results.values());
    let said = results.flat_map(|result| &result.attestations).map(|blob| (files::said(blob), blob));
    log.chain(error).chain(trace).chain(said)
}

fn unknown(id: &str) -> Status {
    Status::new(Code::NotFound, format!("no build {id} is remembered"))
}

/// The build itself went well.
fn tracing_lost(error: &std::io::Error) {
    tracing::warn!(%error, "cannot write down a build's record");
}
