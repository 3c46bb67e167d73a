//! A client's connection to a container's standard streams.

use std::io;
use std::path::PathBuf;

use shim::protocol::{FromShim, ToShim};
use tokio::net::UnixStream;

use super::link;
use crate::Error;

/// Which streams a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}

/// Opens a connection of its own to the shim and turns it into the byte stream of the container, or of a process that
/// joined it.
pub(super) async fn open(
    run_dir: PathBuf,
    id: &str,
    exec: Option<&str>,
    streams: Streams,
) -> Result<UnixStream, Error> {
    let lost = |_| Error::ShimLost(id.to_owned());
    let connect = tasks::blocking(move || shim::connect(&run_dir)).await;
    let connected = connect.map_err(|error| lost(io::Error::other(error)))?;
    let mut stream =
        connected.map_err(|_| Error::ShimLost(id.to_owned())).and_then(|s| link::adopt(s).map_err(lost))?;
    let Streams { stdin, stdout, stderr } = streams;
    link::send(&mut stream, &ToShim::Attach { exec: exec.map(str::to_owned), stdin, stdout, stderr })
        .await
        .map_err(lost)?;
    loop {
        match link::receive::<FromShim>(&mut stream).await.map_err(lost)? {
            FromShim::Hello { .. } => {}
            FromShim::Attached => return Ok(stream),
            _ => return Err(Error::NotRunning(id.to_owned())),
        }
    }
}
