//! The engine's end of a shim's connection, for async code.

use std::io;
use std::os::unix::net::UnixStream as StdStream;
use std::path::PathBuf;

use serde::Serialize;
use shim::protocol::{FromShim, MAX_FRAME, Message, ToShim, encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::Error;

/// Takes a blocking connection into the runtime.
pub(super) fn adopt(stream: StdStream) -> io::Result<UnixStream> {
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// Reads exactly one message and nothing beyond it, since a stream may follow.
pub(super) async fn receive<T: Message>(stream: &mut (impl AsyncReadExt + Unpin)) -> io::Result<T> {
    let length = stream.read_u32().await? as usize;
    if length > MAX_FRAME {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the shim announced a message that is too long",
        ));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(T::read(&body)?)
}

/// A new connection to a container's shim, after its greeting.
pub(super) async fn greet(folder: PathBuf, container: &str) -> Result<UnixStream, Error> {
    let lost = || Error::ShimLost(container.to_owned());
    let connected = tasks::blocking(move || shim::connect(&folder)).await;
    let stream = connected.map_err(|_| lost())?.map_err(|_| lost())?;
    let mut stream = adopt(stream).map_err(|_| lost())?;
    match receive::<FromShim>(&mut stream).await {
        Ok(FromShim::Hello { .. }) => Ok(stream),
        _ => Err(lost()),
    }
}

/// Asks a container's shim for something, on a connection of its own: what is said on the others meanwhile doesn't come
/// between.
pub(super) async fn ask(folder: PathBuf, container: &str, what: &ToShim) -> Result<FromShim, Error> {
    let lost = |_| Error::ShimLost(container.to_owned());
    let mut stream = greet(folder, container).await?;
    send(&mut stream, what).await.map_err(lost)?;
    match receive::<FromShim>(&mut stream).await.map_err(lost)? {
        FromShim::Refused { message } => Err(Error::ShimRefused { id: container.to_owned(), message }),
        answer => Ok(answer),
    }
}

/// Sends one message.
pub(super) async fn send(
    stream: &mut (impl AsyncWriteExt + Unpin),
    message: &impl Serialize,
) -> io::Result<()> {
    stream.write_all(&encode(message)?).await
}
