//! Clients' content stores, read and added to as containerd's clients do it.

use std::io::Read;

use build::Error;
use grpc::{Channel, Code, Metadata, Status};
use oci::Digest;
use tokio::sync::mpsc;

use crate::attach::method;
use crate::attach::store::{PIECE, STORE};
use crate::proto::content::{
    Action, ReadContentRequest, ReadContentResponse, WriteContentRequest, WriteContentResponse,
};
use fsutil::{called, failed};

/// A message of a client's has no more.
const MAX_PIECE: usize = 16 << 20;

/// Sends a blob's pieces on, until its end or until nobody wants more.
pub(super) async fn read(
    channel: &Channel,
    store: &str,
    digest: &Digest,
    into: mpsc::Sender<Vec<u8>>,
) -> Result<(), Error> {
    let doing = |status| called("read content of", status);
    let about = Metadata::default().and(STORE, store).map_err(doing)?;
    let question = ReadContentRequest { digest: digest.to_string(), offset: 0, size: 0 };
    let mut pieces = channel.ask(method::READ, &about, &question).map_err(doing)?.limited(MAX_PIECE);
    while let Some(piece) = pieces.next::<ReadContentResponse>().await.map_err(doing)? {
        if into.send(piece.data).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Gives a blob, unless it is there.
pub(super) async fn write(
    channel: &Channel,
    store: &str,
    (digest, size): (&Digest, u64),
    mut bytes: Box<dyn Read + Send>,
) -> Result<(), Error> {
    let doing = |status| failed("write content of", status);
    let about = Metadata::default().and(STORE, store).map_err(doing)?;
    let mut stream = channel.stream(method::WRITE, &about).map_err(doing)?;
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let request = |action: Action, offset: u64, data: Vec<u8>| {
        let mut request = WriteContentRequest {
            r#ref: format!("ketch-{}", digest.hex()),
            total: number(size),
            expected: digest.to_string(),
            offset: number(offset),
            data,
            ..WriteContentRequest::default()
        };
        request.set_action(action);
        request
    };
    let there = |status: &Status| status.code == Code::AlreadyExists;
    let mut at = match ask(&mut stream, request(Action::Stat, 0, Vec::new())).await {
        Ok(answer) => u64::try_from(answer.offset).unwrap_or(0),
        Err(status) if there(&status) => return Ok(()),
        Err(status) => return Err(doing(status)),
    };
    if at > 0 {
        // What somebody began and left.
        let skipping = (&mut bytes).take(at);
        std::io::copy(&mut { skipping }, &mut std::io::sink()).map_err(|e| failed("read what goes to", e))?;
    }
    loop {
        let reading = tasks::blocking(move || {
            let mut piece = Vec::new();
            (&mut bytes).take(PIECE as u64).read_to_end(&mut piece).map(|_| (bytes, piece))
        });
        let read = reading.await.map_err(|e| failed("read what goes to", e))?;
        let (rest, piece) = read.map_err(|e| failed("read what goes to", e))?;
        bytes = rest;
        if piece.is_empty() {
            break;
        }
        let length = piece.len() as u64;
        ask(&mut stream, request(Action::Write, at, piece)).await.map_err(doing)?;
        at += length;
    }
    match ask(&mut stream, request(Action::Commit, at, Vec::new())).await {
        Err(status) if !there(&status) => Err(doing(status)),
        _ => Ok(()),
    }
}

async fn ask(
    stream: &mut grpc::Stream,
    request: WriteContentRequest,
) -> Result<WriteContentResponse, Status> {
    // One that ended says why when it is listened to.
    let sent = stream.sender.send(&request).await;
    let ended = || Status::new(Code::Unavailable, "the client's content store ended the call");
    match stream.receiver.next().await? {
        Some(answer) => sent.map(|()| answer),
        None => Err(ended()),
    }
}
