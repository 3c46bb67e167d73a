//! A byte stream to an engine, whatever lies between.

use std::io;
use std::time::Duration;

use dial::Origin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

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
            // A file that can't be read is told whether or not anybody answers.
            let config = endpoint.tls.as_ref().map(tls::config).transpose()?;
            let dialled = tokio::time::timeout(PATIENCE, dial_tcp(endpoint, name, *port)).await;
            let stream =
                dialled.unwrap_or_else(|_| Err(refused(endpoint, io::ErrorKind::TimedOut.into())))?;
            match config {
                Some(config) => tls::wrap(stream, name, config, &endpoint.address).await,
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

/// To the engine's host, or through the proxy that the environment names for it. docker sends plain requests to a proxy
/// as they are; a tunnel serves them and the streams of `attach` and `exec` alike.
async fn dial_tcp(endpoint: &Endpoint, name: &str, port: u16) -> Result<TcpStream, Error> {
    let host = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
    let origin = Origin { tls: endpoint.tls.is_some(), host, port };
    let unusable =
        |proxy: String, reason: String| Error::Proxy { host: endpoint.address.clone(), proxy, reason };
    let found =
        endpoint.proxies.find(&origin).map_err(|e| unusable("in the environment".into(), e.to_string()))?;
    let Some(proxy) = found else {
        return dial::connect(name, port).await.map_err(|e| refused(endpoint, e));
    };
    let at = proxy.origin.authority();
    if proxy.origin.tls {
        return Err(unusable(at, "a proxy is reached by http:// only".into()));
    }
    let stream = dial::connect(proxy.origin.bare_host(), proxy.origin.port).await;
    let stream = stream.map_err(|e| unusable(at.clone(), e.to_string()))?;
    dial::tunnel(&origin, &proxy, stream).await.map_err(|e| unusable(at, e.to_string()))
}

fn refused(endpoint: &Endpoint, source: io::Error) -> Error {
    let host = endpoint.address.clone();
    match source.kind() {
        io::ErrorKind::PermissionDenied => Error::Denied { host, source },
        _ => Error::Unreachable { host, source },
    }
}
