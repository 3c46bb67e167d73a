//! Giving a blob that is being made: it goes out while it is packed, and its digest is known at its end.

use std::io::{self, Write};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use content::Blob;
use http::{HeaderValue, Method, Request, header};
use oci::{Algorithm, Hasher};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::Error;
use crate::redirect::{self, Answer};
use crate::repository::Repository;
use crate::retry::retrying;
use crate::transport::RequestBody;
use crate::upload::{AHEAD, PIECE, body, no_content};
use crate::url::Url;

/// Makes a blob, always the same one. It blocks, and is asked again when sending has failed.
pub trait Make: Send + Sync + 'static {
    /// Writes the blob's bytes.
    fn make(&self, to: &mut dyn Write) -> io::Result<()>;
    /// How far it has got, as a progress bar shows it.
    fn progress(&self) -> u64;
}

/// What is going out.
struct Outgoing {
    body: RequestBody,
    sent: Arc<AtomicU64>,
    making: JoinHandle<io::Result<Blob>>,
}

impl Repository {
    /// Sends a blob while it is made, without keeping it. None if this registry takes only blobs that are there before
    /// they are sent.
    pub async fn send_made(
        &self,
        make: Arc<dyn Make>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Option<Blob>, Error> {
        match retrying(self.attempts(), || self.send_made_once(&make, progress)).await {
            Ok(blob) => Ok(Some(blob)),
            // What a registry says that knows no uploads in parts.
            Err(Error::Status { status: 404 | 405 | 411 | 415 | 501, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn send_made_once(
        &self,
        make: &Arc<dyn Make>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Blob, Error> {
        let begun = self.ask(&Method::POST, &self.url("blobs/uploads/"), &no_content()).await?;
        let session = redirect::location(&begun.url, &begun.response)?;
        let (answer, making) = self.patch(make, session, progress).await?;
        let answer = self.taken(answer).await?;
        let made = making.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        let blob = made.map_err(|source| Error::Make { source })?;
        let session = redirect::location(&answer.url, &answer.response)?;
        let url = session.with_query("digest", blob.digest.as_str());
        self.ask(&Method::PUT, &url, &no_content()).await?;
        Ok(blob)
    }

    async fn patch(
        &self,
        make: &Arc<dyn Make>,
        mut url: Url,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(Answer, JoinHandle<io::Result<Blob>>), Error> {
        for _ in 0..=redirect::MOST {
            let Outgoing { body, sent, making } = begin(make.clone());
            let mut request = Request::new(body);
            *request.method_mut() = Method::PATCH;
            let headers = request.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            self.authorize(&url, headers).await?;
            let response = self.exchange(&url, request, &sent, &|| progress(make.progress())).await;
            let response = match response {
                Ok(response) => response,
                Err(error) => return Err(self.reason(making, error).await),
            };
            match response.status().as_u16() {
                307 | 308 => url = redirect::location(&url, &response)?,
                _ => return Ok((Answer { url, response }, making)),
            }
        }
        Err(Error::Redirect { host: self.host(), why: "without end" })
    }

    /// Why a request broke: perhaps there was no blob to send.
    async fn reason(&self, making: JoinHandle<io::Result<Blob>>, error: Error) -> Error {
        match tokio::time::timeout(self.transport.config.patience, making).await {
            Ok(Ok(Err(source))) if source.kind() != io::ErrorKind::BrokenPipe => Error::Make { source },
            _ => error,
        }
    }
}

fn begin(make: Arc<dyn Make>) -> Outgoing {
    let (sender, pieces) = mpsc::channel(AHEAD);
    let sent = Arc::new(AtomicU64::new(0));
    let making = tasks::blocking(move || {
        let mut packet =
            Packet { piece: Vec::new(), sender, hasher: Hasher::new(Algorithm::Sha256), size: 0 };
        let made = make.make(&mut packet).and_then(|()| packet.flush());
        match made {
            Ok(()) => Ok(Blob { digest: packet.hasher.finish(), size: packet.size }),
            Err(error) => {
                // The request must not look as if it had come to its end.
                let _ = packet.sender.blocking_send(Err(error.kind().into()));
                Err(error)
            }
        }
    });
    Outgoing { body: body(pieces, None, sent.clone()), sent, making }
}

/// Hashes what is written and hands it to the network in pieces.
struct Packet {
    piece: Vec<u8>,
    sender: mpsc::Sender<io::Result<Bytes>>,
    hasher: Hasher,
    size: u64,
}

impl Write for Packet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = mem::take(&mut self.piece);
        let taken = piece.is_empty() || self.sender.blocking_send(Ok(piece.into())).is_ok();
        // The request has ended, and says why.
        taken.then_some(()).ok_or(io::ErrorKind::BrokenPipe.into())
    }
}
