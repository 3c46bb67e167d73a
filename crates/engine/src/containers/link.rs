//! The engine's end of a shim's connection, for async code.

use std::io;
use std::os::unix::net::UnixStream as StdStream;

use serde::Serialize;
use serde::de::DeserializeOwned;
use shim::protocol::{MAX_FRAME, encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Takes a blocking connection into the runtime.
pub(super) fn adopt(stream: StdStream) -> io::Result<UnixStream> {
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// Reads exactly one message and nothing beyond it, since a stream may follow.
pub(super) async fn receive<T: DeserializeOwned>(stream: &mut (impl AsyncReadExt + Unpin)) -> io::Result<T> {
    let length = stream.read_u32().await? as usize;
    if length > MAX_FRAME {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the shim announced a message that is too long",
        ));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(serde_json::from_slice(&body)?)
}

/// Sends one message.
pub(super) async fn send(
    stream: &mut (impl AsyncWriteExt + Unpin),
    message: &impl Serialize,
) -> io::Result<()> {
    stream.write_all(&encode(message)?).await
}
