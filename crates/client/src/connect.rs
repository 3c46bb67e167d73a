//! A byte stream to an engine, whatever lies between.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use crate::resolve::Endpoint;
use crate::{Error, Host, ssh, tls};

/// What every transport is: bytes in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// An open connection to an engine.
pub type Io = Box<dyn Duplex>;

/// How long a host may take to accept.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connects, once.
pub(crate) async fn connect(endpoint: &Endpoint) -> Result<Io, Error> {
    match &endpoint.host {
        Host::Unix(path) => {
            let stream = UnixStream::connect(path).await.map_err(|e| refused(endpoint, e))?;
            Ok(Box::new(stream))
        }
        Host::Tcp { name, port, .. } => {
            let dialled = tokio::time::timeout(PATIENCE, dial::connect(name, *port)).await;
            let stream = dialled.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            let stream = stream.map_err(|e| refused(endpoint, e))?;
            match &endpoint.tls {
                Some(files) => tls::wrap(stream, name, files, &endpoint.address).await,
                None => Ok(Box::new(stream)),
            }
        }
        Host::Ssh { user, name, port, socket } => {
            let stream = ssh::connect(user.as_deref(), name, *port, socket.as_deref());
            let stream = stream.map_err(|source| Error::Ssh { host: endpoint.address.clone(), source })?;
            Ok(Box::new(stream))
        }
    }
}

fn refused(endpoint: &Endpoint, source: io::Error) -> Error {
    let host = endpoint.address.clone();
    match source.kind() {
        io::ErrorKind::PermissionDenied => Error::Denied { host, source },
        _ => Error::Unreachable { host, source },
    }
}
