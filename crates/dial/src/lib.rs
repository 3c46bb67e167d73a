//! Opening byte streams to hosts as a client: names without libc's resolver, connections to the first address that
//! answers, proxies in between, and TLS that doesn't verify, for those who asked for that. Which host, which authorities and what an error
//! means to a person is the callers' business.

mod names;
mod network;
mod origin;
mod pinned;
mod proxy;
mod secret;
mod unverified;

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::net::TcpStream;

pub use names::lookup;
pub use network::Network;
pub use origin::Origin;
pub use pinned::Pinned;
pub use proxy::{Proxies, Proxy, Refused, Unreadable, tunnel};
pub use secret::Secret;
pub use unverified::Unverified;

/// One address of a host that doesn't answer holds up the next one for so long.
const WAIT: Duration = Duration::from_secs(10);

/// The addresses that a host's text means: itself if it is an address, otherwise what its name resolves to.
pub async fn addresses(host: &str) -> io::Result<Vec<IpAddr>> {
    match host.trim_start_matches('[').trim_end_matches(']').parse() {
        Ok(address) => Ok(vec![address]),
        Err(_) => lookup(host).await,
    }
}

/// Connects to the first of the host's addresses that takes the connection.
pub async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("no such host: {host}"));
    for address in addresses(host).await? {
        match tokio::time::timeout(WAIT, TcpStream::connect((address, port))).await {
            Ok(Ok(stream)) => {
                // Requests are small and wait for their answers.
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}
