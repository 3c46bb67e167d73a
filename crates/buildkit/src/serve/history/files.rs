//! The history's folder.

use std::fs;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use oci::Digest;
use prost::Message as _;

use crate::proto::control::{BuildHistoryRecord, Descriptor, StatusResponse};

const RECORD: &str = "record";
pub(super) const LOGS: &str = "logs";
pub(super) const ERROR: &str = "error";
pub(super) const TRACE: &str = "trace";
/// What is being filled begins so; no ref's digest does.
const PARTIAL: &str = "partial-";
/// No record of ours is longer.
const MAX_RECORD: u64 = 4 << 20;
/// No message of a log is longer: those that are written are cut at a fraction of it.
const MAX_MESSAGE: u32 = 64 << 20;

/// Where builds lie.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Sweeps what was being filled when the engine ended.
    pub(super) fn open(path: PathBuf) -> Self {
        let made = fs::create_dir_all(&path);
        let listed = made.and_then(|()| fs::read_dir(&path));
        for entry in listed.into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(PARTIAL) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        Self(path)
    }

    /// A client chose the ref: its digest is a name that leads nowhere else.
    pub(super) fn path(&self, id: &str) -> PathBuf {
        self.0.join(Digest::sha256(id.as_bytes()).hex())
    }

    /// All that can be read.
    pub(super) fn records(&self) -> Vec<BuildHistoryRecord> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let record = |path: PathBuf| {
            let mut bytes = Vec::new();
            fs::File::open(path.join(RECORD)).ok()?.take(MAX_RECORD).read_to_end(&mut bytes).ok()?;
            let record = BuildHistoryRecord::decode(bytes.as_slice()).ok()?;
            (self.path(&record.r#ref) == path).then_some(record)
        };
        entries.filter_map(|entry| record(entry.path())).collect()
    }

    /// Writes a build down; one of the same name makes way.
    pub(super) fn write(
        &self,
        record: &BuildHistoryRecord,
        logs: &[u8],
        error: Option<&[u8]>,
        said: &[Vec<u8>],
    ) -> io::Result<()> {
        let path = self.path(&record.r#ref);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let partial = self.0.join(format!("{PARTIAL}{name}"));
        let _ = fs::remove_dir_all(&partial);
        fs::create_dir(&partial)?;
        fs::write(partial.join(LOGS), logs)?;
        if let Some(error) = error {
            fs::write(partial.join(ERROR), error)?;
        }
        for said in said {
            fs::write(partial.join(Digest::sha256(said).hex()), said)?;
        }
        fs::write(partial.join(RECORD), record.encode_to_vec())?;
        let _ = fs::remove_dir_all(&path);
        fs::rename(&partial, &path)
    }

    /// Replaces the record alone.
    pub(super) fn rewrite(&self, record: &BuildHistoryRecord) -> io::Result<()> {
        self.add(&record.r#ref, RECORD, &record.encode_to_vec())
    }

    /// A file of a build that is written down already.
    pub(super) fn add(&self, id: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(id);
        let partial = path.join(format!("{PARTIAL}{name}"));
        fs::File::create(&partial)?.write_all(bytes)?;
        fs::rename(&partial, path.join(name))
    }

    pub(super) fn remove(&self, id: &str) {
        if let Err(error) = fs::remove_dir_all(self.path(id)) {
            tracing::warn!(%error, "cannot remove a build's record");
        }
    }

    pub(super) fn story(&self, id: &str) -> io::Result<Story> {
        open(&self.path(id).join(LOGS)).map(|file| Story(BufReader::new(file)))
    }
}

/// The file of what is said of a result.
pub(super) fn said(blob: &Descriptor) -> &str {
    blob.digest.rsplit(':').next().unwrap_or_default()
}

/// A blob.
pub(super) fn open(path: &Path) -> io::Result<fs::File> {
    fs::File::open(path)
}

pub(super) fn descriptor(media_type: &str, bytes: &[u8]) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: Digest::sha256(bytes).to_string(),
        size: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
        annotations: Default::default(),
    }
}

/// Messages one after the other, each after its length, as BuildKit keeps them.
pub(super) fn told(messages: &[StatusResponse]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages {
        let length = u32::try_from(message.encoded_len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&message.encode_to_vec());
    }
    bytes
}

/// A log that is read again.
#[derive(Debug)]
pub(crate) struct Story(BufReader<fs::File>);

impl Story {
    /// The next message; nothing at the end. Blocking.
    pub(crate) fn next(&mut self) -> io::Result<Option<StatusResponse>> {
        let mut length = [0; 4];
        match self.0.read_exact(&mut length) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let length = u32::from_le_bytes(length);
        let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
        if length > MAX_MESSAGE {
            return Err(invalid("a message of the log is too long"));
        }
        let mut bytes = vec![0; length as usize];
        self.0.read_exact(&mut bytes)?;
        let message = StatusResponse::decode(bytes.as_slice());
        message.map(Some).map_err(|_| invalid("a message of the log is broken"))
    }
}
