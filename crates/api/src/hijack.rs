//! Taking a connection over for raw bytes, as attach, exec and BuildKit's sessions do.

use std::sync::Arc;

use bytes::Bytes;
use detach::Keys;
use engine::containers::Exec;
use http::{HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use serving::HangUp;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};

use crate::body;
use crate::error::Error;
use crate::reply::{self, Reply};

/// Docker's frames of standard output and error.
pub(crate) const MULTIPLEXED: &str = "application/vnd.docker.multiplexed-stream";
/// A terminal's bytes.
pub(crate) const RAW: &str = "application/vnd.docker.raw-stream";

/// Whether the client asked to upgrade; the old clients that don't get the output as an ordinary body.
pub(crate) fn wants_upgrade(request: &Request<Incoming>) -> bool {
    request.headers().contains_key(header::UPGRADE)
}

/// dockerd's answer to `Upgrade: tcp`.
pub(crate) fn switching(content_type: &'static str) -> Reply {
    let mut reply = reply::with_type(StatusCode::SWITCHING_PROTOCOLS, content_type, body::full(""));
    reply.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    reply.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("tcp"));
    reply
}

/// The keys that a client chose to leave by, or docker's own.
pub(crate) fn keys(text: &str) -> Result<Keys, Error> {
    let chosen = if text.is_empty() { detach::DEFAULT } else { text };
    Keys::parse(chosen).ok_or_else(|| Error::invalid(format!("Invalid detach keys ({text}) provided")))
}

/// One frame of the multiplexed stream: 1 is standard output, 2 standard error.
pub(crate) fn frame(stream: u8, bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u32).to_be_bytes();
    [&[stream, 0, 0, 0][..], &length, bytes].concat()
}

/// What a connection that is taken over carries.
pub(crate) enum Source {
    /// A container's streams, after what its log has of before.
    Streams(Before, UnixStream),
    /// The streams of a process that joined one. Who sees their end asks for the exit code next: so they end for the client
    /// when that is known, and not before.
    Process(UnixStream, Arc<Exec>),
    /// What a container's log has, and no more.
    Log(Before),
    /// All there is to say, after which it ends.
    Said(Vec<u8>),
}

/// What comes before a stream; nothing at all where nobody sends.
pub(crate) type Before = mpsc::Receiver<Bytes>;

/// Nothing comes before.
pub(crate) fn nothing() -> Before {
    mpsc::channel(1).1
}

/// Joins the client's connection, once it is ours, with what it is for. Returns whether the client left by `escape`.
///
/// What it is for begins only then: a client that reads the head of the answer by more than a line at a time would take the
/// first output for a part of it, and docker-py does.
pub(crate) async fn join(
    upgrading: OnUpgrade,
    source: impl Future<Output = Source>,
    escape: Option<Keys>,
    mut closing: watch::Receiver<bool>,
) -> bool {
    let upgraded = upgrading.await;
    let source = source.await;
    let (client, hang_up) = match upgraded {
        Ok(upgraded) => serving::take(upgraded),
        Err(error) => {
            tracing::debug!(%error, "a client left before its stream began");
            return false;
        }
    };
    tokio::select! {
        escaped = carry(client, hang_up, source, escape) => escaped,
        // An engine that ends leaves the container's streams to the next one.
        _ = closing.wait_for(|closing| *closing) => false,
    }
}

/// Carries what a connection is for until its end; whether the client left by `escape`.
pub(crate) async fn carry(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    hang_up: Option<HangUp>,
    source: Source,
    escape: Option<Keys>,
) -> bool {
    match source {
        Source::Said(text) => drop(client.write_all(&text).await),
        Source::Log(before) => drop(tell(before, &mut client).await),
        Source::Process(shim, process) => {
            return pump(client, hang_up, (nothing(), shim), escape, Some(process)).await;
        }
        Source::Streams(before, shim) => return pump(client, hang_up, (before, shim), escape, None).await,
    }
    let _ = client.shutdown().await;
    false
}

async fn tell(mut before: Before, client: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
    while let Some(bytes) = before.recv().await {
        client.write_all(&bytes).await?;
    }
    Ok(())
}

/// Both ways until the container's side ends. The client may close its half (end of input) and still read on.
async fn pump(
    client: impl AsyncRead + AsyncWrite,
    hang_up: Option<HangUp>,
    (before, shim): (Before, UnixStream),
    mut escape: Option<Keys>,
    process: Option<Arc<Exec>>,
) -> bool {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_shim, mut to_shim) = shim.into_split();
    let input = async {
        let escaped = match &mut escape {
            Some(escape) => watched(&mut from_client, &mut to_shim, escape).await,
            None => {
                let _ = tokio::io::copy(&mut from_client, &mut to_shim).await;
                false
            }
        };
        if !escaped {
            let _ = to_shim.shutdown().await;
            // Input has ended. The output decides when all is over, unless nobody is there to hear it.
            match hang_up {
                Some(hang_up) => hang_up.wait().await,
                None => std::future::pending().await,
            }
        }
        escaped
    };
    let output = async {
        if tell(before, &mut to_client).await.is_err() {
            return;
        }
        let _ = tokio::io::copy(&mut from_shim, &mut to_client).await;
        if let Some(process) = process {
            process.ended().await;
        }
    };
    let escaped = tokio::select! {
        escaped = input => escaped,
        () = output => false,
    };
    let _ = to_client.shutdown().await;
    escaped
}

/// Copies what is typed until its end or the escape keys; whether it was those.
async fn watched(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    escape: &mut Keys,
) -> bool {
    let (mut typed, mut passed) = ([0; 4096], Vec::new());
    while let Ok(count @ 1..) = from.read(&mut typed).await {
        let escaped = escape.feed(&typed[..count], &mut passed);
        if to.write_all(&passed).await.is_err() || escaped {
            return escaped;
        }
        passed.clear();
    }
    false
}

/// For clients that didn't ask to upgrade: the output as a body.
pub(crate) fn output_only(
    source: impl Future<Output = Option<Source>> + Send + 'static,
    content_type: &'static str,
) -> Reply {
    let (sender, body) = body::streamed();
    tasks::spawn(async move {
        let (mut before, stream, process) = match source.await {
            None => return,
            Some(Source::Said(text)) => return drop(sender.send(text.into()).await),
            Some(Source::Log(before)) => (before, None, None),
            Some(Source::Streams(before, stream)) => (before, Some(stream), None),
            Some(Source::Process(stream, process)) => (nothing(), Some(stream), Some(process)),
        };
        while let Some(bytes) = before.recv().await {
            if sender.send(bytes).await.is_err() {
                return;
            }
        }
        let Some(mut stream) = stream else { return };
        let mut buffer = vec![0; 32 * 1024];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            if sender.send(Bytes::copy_from_slice(&buffer[..count])).await.is_err() {
                return;
            }
        }
        if let Some(process) = process {
            process.ended().await;
        }
    });
    let mut reply = reply::with_type(StatusCode::OK, content_type, body);
    // With dockerd the end of the connection is the end of the output, and clients wait for that one.
    reply.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
    reply
}
