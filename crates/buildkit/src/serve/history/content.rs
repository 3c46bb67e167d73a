//! `containerd.services.content.v1.Content`, to be read: the blobs that records name. What would change them is refused.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::sync::Arc;

use grpc::{Call, Code, Status};

use super::{History, files};
use crate::proto::Timestamp;
use crate::proto::content::{
    Info, InfoRequest, InfoResponse, ListContentRequest, ListContentResponse, ReadContentRequest,
    ReadContentResponse,
};

/// Bytes in one message.
const PIECE: usize = 1 << 20;

impl History {
    /// Answers a call of this method.
    pub(in crate::serve) async fn content(self: &Arc<Self>, method: &str, call: Call) -> Result<(), Status> {
        match method {
            "Info" => call.answer(|question: InfoRequest| async move { self.info(&question.digest) }).await,
            "List" => self.list(call).await,
            "Read" => self.read(call).await,
            "Update" | "Delete" | "Write" | "Abort" | "Status" | "ListStatuses" => {
                let why = format!("{method}: what is remembered of builds can only be read");
                Err(Status::new(Code::Unimplemented, why))
            }
            _ => Err(Status::unimplemented(&call.path)),
        }
    }

    fn info(&self, digest: &str) -> Result<InfoResponse, Status> {
        let missing = || Status::new(Code::NotFound, format!("content {digest}: not found"));
        let (path, record) = self.find(digest).ok_or_else(missing)?;
        let size = std::fs::metadata(path).map_err(|_| missing())?.len();
        let info = info(digest, i64::try_from(size).unwrap_or(i64::MAX), record.completed_at);
        Ok(InfoResponse { info: Some(info) })
    }

    async fn list(&self, mut call: Call) -> Result<(), Status> {
        let question = call.receiver.next::<ListContentRequest>().await?.unwrap_or_default();
        if let Some(filter) = question.filters.iter().find(|filter| !filter.is_empty()) {
            let why = format!("the filter {filter:?} of content is not supported");
            return Err(Status::new(Code::Unimplemented, why));
        }
        let size = |digest: &str| self.info(digest).ok()?.info;
        let info = self.blobs().iter().filter_map(|(digest, _)| size(digest)).collect();
        call.sender.send(&ListContentResponse { info }).await
    }

    async fn read(&self, mut call: Call) -> Result<(), Status> {
        let Some(question) = call.receiver.next::<ReadContentRequest>().await? else {
            return Err(Status::new(Code::InvalidArgument, "no content to read"));
        };
        let missing = || Status::new(Code::NotFound, format!("content {}: not found", question.digest));
        let (path, _) = self.find(&question.digest).ok_or_else(missing)?;
        let number = |number: i64| {
            let invalid = || Status::new(Code::OutOfRange, "an offset or size is negative");
            u64::try_from(number).map_err(|_| invalid())
        };
        let (mut offset, size) = (number(question.offset)?, number(question.size)?);
        let failed = |e: std::io::Error| Status::new(Code::Internal, format!("cannot read content: {e}"));
        let mut file = files::open(&path).map_err(|_| missing())?;
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        let mut left = if size == 0 { u64::MAX } else { size };
        loop {
            let mut data = Vec::new();
            // A blob is a file of ours on the disk, and a piece is small.
            (&file).take(left.min(PIECE as u64)).read_to_end(&mut data).map_err(failed)?;
            if data.is_empty() {
                return Ok(());
            }
            let length = data.len() as u64;
            let at = i64::try_from(offset).unwrap_or(i64::MAX);
            call.sender.send(&ReadContentResponse { offset: at, data }).await?;
            (offset, left) = (offset + length, left - length);
        }
    }
}

fn info(digest: &str, size: i64, at: Option<Timestamp>) -> Info {
    Info { digest: digest.to_owned(), size, created_at: at, updated_at: at, labels: Default::default() }
}
