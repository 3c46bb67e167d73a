//! Where results go: a file, the output, a directory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use grpc::{Call, Code, Status};

use super::landing::Landing;
use crate::error::status;
use crate::proto::BytesMessage;

/// A place for one exporter's result.
#[derive(Debug, Clone)]
pub enum Place {
    /// Files, beside what is there.
    Directory(PathBuf),
    /// An archive.
    File(PathBuf),
    /// An archive, for whoever reads our output.
    Output,
}

/// Takes a result. One exporter sends one.
pub(super) async fn take(places: &BTreeMap<usize, Place>, call: Call) -> Result<(), Status> {
    let number = call.text("buildkit-attachable-exporter-id").map(str::parse::<usize>);
    // Engines from before there could be several don't say which.
    let place = match number {
        Some(Ok(number)) => places.get(&number),
        None => places.values().next(),
        Some(Err(_)) => None,
    };
    match place {
        None => Err(Status::new(Code::NotFound, "this build has no such output")),
        Some(Place::Directory(path)) => {
            let landing = Landing::open(path).map_err(|e| status(&e))?;
            let stream = grpc::Stream { sender: call.sender, receiver: call.receiver };
            fsutil::receive(stream, Box::new(landing)).await.map_err(|e| status(&e))
        }
        Some(Place::File(path)) => {
            let file = File::create(path).map_err(|e| unwritable(path, &e))?;
            let written = write(call, file).await;
            if written.is_err() {
                // Half an archive is worse than none.
                let _ = std::fs::remove_file(path);
            }
            written.map_err(|e: Result<Status, io::Error>| e.unwrap_or_else(|e| unwritable(path, &e)))
        }
        Some(Place::Output) => {
            let written = write(call, io::stdout()).await;
            written
                .map_err(|e: Result<Status, io::Error>| e.unwrap_or_else(|e| unwritable(Path::new("-"), &e)))
        }
    }
}

async fn write(mut call: Call, mut to: impl Write) -> Result<(), Result<Status, io::Error>> {
    while let Some(piece) = call.receiver.next::<BytesMessage>().await.map_err(Ok)? {
        to.write_all(&piece.data).map_err(Err)?;
    }
    to.flush().map_err(Err)
}

fn unwritable(path: &Path, error: &io::Error) -> Status {
    Status::new(Code::Unknown, format!("cannot write {}: {error}", path.display()))
}
