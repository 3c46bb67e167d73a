//! Content stores that a client lends: the blobs of OCI layouts on its disk, to be read, and to be added to.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use grpc::{Call, Code, Status};
use oci::{Digest, Hasher};

use crate::proto::content::{
    Action, Info, InfoRequest, InfoResponse, ReadContentRequest, ReadContentResponse, WriteContentRequest,
    WriteContentResponse,
};

/// The header that says which store is meant.
pub(crate) const STORE: &str = "buildkit-attachable-store-id";
/// Bytes in one message.
pub(crate) const PIECE: usize = 1 << 20;

/// Stores by their names, each a folder with `blobs/`.
pub(super) type Stores = BTreeMap<String, PathBuf>;

fn store<'a>(stores: &'a Stores, call: &Call) -> Result<&'a Path, Status> {
    let name = call.text(STORE).unwrap_or_default();
    let missing = || Status::new(Code::NotFound, format!("no content store {name:?} in this session"));
    stores.get(name).map(PathBuf::as_path).ok_or_else(missing)
}

/// A digest is checked before it is a path.
fn path(store: &Path, digest: &str) -> Result<(Digest, PathBuf), Status> {
    let digest: Digest = digest
        .parse()
        .map_err(|e| Status::new(Code::InvalidArgument, format!("{digest:?} is no digest: {e}")))?;
    let path = store.join("blobs").join(digest.algorithm().name()).join(digest.hex());
    Ok((digest, path))
}

fn missing(digest: &str) -> Status {
    Status::new(Code::NotFound, format!("content {digest}: not found"))
}

fn failed(doing: &'static str) -> impl Fn(io::Error) -> Status {
    move |error| Status::new(Code::Internal, format!("cannot {doing} content: {error}"))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// `Info`.
pub(super) async fn info(stores: &Stores, call: Call) -> Result<(), Status> {
    let store = store(stores, &call)?.to_owned();
    let answer = |question: InfoRequest| async move {
        let (digest, path) = path(&store, &question.digest)?;
        let size = fs::metadata(path).map_err(|_| missing(&question.digest))?.len();
        let info = Info { digest: digest.to_string(), size: signed(size), ..Info::default() };
        Ok(InfoResponse { info: Some(info) })
    };
    call.answer(answer).await
}

/// `Read`.
pub(super) async fn read(stores: &Stores, mut call: Call) -> Result<(), Status> {
    let store = store(stores, &call)?.to_owned();
    let question = call.receiver.next::<ReadContentRequest>().await?.unwrap_or_default();
    let (_, path) = path(&store, &question.digest)?;
    let mut file = File::open(path).map_err(|_| missing(&question.digest))?;
    let negative = |_| Status::new(Code::OutOfRange, "an offset or size is negative");
    let mut offset = u64::try_from(question.offset).map_err(negative)?;
    let size = u64::try_from(question.size).map_err(negative)?;
    let mut left = if size == 0 { u64::MAX } else { size };
    file.seek(SeekFrom::Start(offset)).map_err(failed("read"))?;
    loop {
        let mut data = Vec::new();
        // A piece of a file on this disk.
        (&file).take(left.min(PIECE as u64)).read_to_end(&mut data).map_err(failed("read"))?;
        if data.is_empty() {
            return Ok(());
        }
        let length = data.len() as u64;
        call.sender.send(&ReadContentResponse { offset: signed(offset), data }).await?;
        (offset, left) = (offset + length, left - length);
    }
}

/// `Write`: a blob comes in pieces and counts when it is what it was called.
pub(super) async fn write(stores: &Stores, mut call: Call) -> Result<(), Status> {
    let store = store(stores, &call)?.to_owned();
    let mut coming: Option<Coming> = None;
    while let Some(request) = call.receiver.next::<WriteContentRequest>().await? {
        let blob = match coming.take() {
            Some(blob) => blob,
            None => Coming::begin(&store, &request)?,
        };
        let (blob, answer) = blob.take(&request)?;
        call.sender.send(&answer).await?;
        coming = blob;
    }
    Ok(())
}

/// A file of its own, which goes unless it is kept.
struct Draft {
    file: File,
    path: PathBuf,
}

impl Draft {
    fn beside(folder: &Path) -> Result<Self, Status> {
        let path = folder.join(format!(".coming-{}", crate::identity()?));
        let file = File::create_new(&path).map_err(failed("write"))?;
        Ok(Self { file, path })
    }

    fn keep(self, path: &Path) -> io::Result<()> {
        self.file.sync_data()?;
        fs::rename(&self.path, path)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Where it was kept it has another name.
        let _ = fs::remove_file(&self.path);
    }
}

/// A blob on its way.
struct Coming {
    draft: Draft,
    hasher: Hasher,
    size: u64,
    digest: Digest,
    path: PathBuf,
}

impl Coming {
    fn begin(store: &Path, request: &WriteContentRequest) -> Result<Self, Status> {
        let (digest, path) = path(store, &request.expected)?;
        if path.exists() {
            return Err(Status::new(Code::AlreadyExists, format!("content {digest}: already exists")));
        }
        let folder = path.parent().unwrap_or(store);
        fs::create_dir_all(folder).map_err(failed("write"))?;
        Ok(Self {
            draft: Draft::beside(folder)?,
            hasher: Hasher::new(digest.algorithm()),
            size: 0,
            digest,
            path,
        })
    }

    fn take(mut self, request: &WriteContentRequest) -> Result<(Option<Self>, WriteContentResponse), Status> {
        let action = request.action();
        if !request.data.is_empty() {
            if u64::try_from(request.offset) != Ok(self.size) {
                let why = format!("content continues at {}, not at {}", self.size, request.offset);
                return Err(Status::new(Code::OutOfRange, why));
            }
            self.draft.file.write_all(&request.data).map_err(failed("write"))?;
            self.hasher.update(&request.data);
            self.size += request.data.len() as u64;
        }
        let mut answer = WriteContentResponse {
            offset: signed(self.size),
            total: request.total,
            ..WriteContentResponse::default()
        };
        answer.set_action(action);
        if action != Action::Commit {
            return Ok((Some(self), answer));
        }
        let found = self.hasher.finish();
        if found != self.digest {
            let why = format!("content is {found} and not {}", self.digest);
            return Err(Status::new(Code::FailedPrecondition, why));
        }
        answer.digest = found.to_string();
        self.draft.keep(&self.path).map_err(failed("keep"))?;
        Ok((None, answer))
    }
}
