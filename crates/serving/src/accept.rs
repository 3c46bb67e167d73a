//! Listeners: each connection in a task of its own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};

use crate::wire::Wire;
use crate::{Peer, Server, Tls};

/// A TLS handshake takes no longer than this.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// Accepts for ever.
pub async fn accept_unix(listener: UnixListener, server: Server) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tasks::spawn(server.connection(Wire::Unix(stream), Peer::default()));
            }
            Err(error) => pause_after(&error).await,
        }
    }
}

/// Accepts for ever, with TLS if there are certificates.
pub async fn accept_tcp(listener: TcpListener, server: Server, tls: Option<Arc<Tls>>) {
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let peer = Peer { address: Some(address), encrypted: tls.is_some() };
        let Some(tls) = &tls else {
            tasks::spawn(server.connection(Wire::Tcp(stream), peer));
            continue;
        };
        let (server, acceptor) = (server.clone(), tls.acceptor());
        tasks::spawn(async move {
            match tokio::time::timeout(HANDSHAKE_TIME, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => server.connection(Wire::Tls(Box::new(stream)), peer).await,
                Ok(Err(error)) => tracing::info!(%error, "TLS handshake failed"),
                Err(_) => tracing::info!("TLS handshake took too long"),
            }
        });
    }
}

/// No descriptor left, or the like: trying again at once would spin.
async fn pause_after(error: &io::Error) {
    tracing::warn!(%error, "cannot accept a connection");
    tokio::time::sleep(Duration::from_millis(100)).await;
}
