//! Bytes on their way to a client, and from one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use grpc::{Status, Stream};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf};
use tokio::task::JoinHandle;

use crate::proto::BytesMessage;

const PIECE: usize = 64 << 10;

/// Takes bytes; its shutdown succeeds when the client has all of them.
pub(super) struct Archive {
    pipe: DuplexStream,
    sending: JoinHandle<Result<(), Status>>,
    closed: bool,
}

impl Archive {
    pub(super) fn new(stream: Stream) -> Self {
        let (pipe, from) = tokio::io::duplex(PIECE);
        Self { pipe, sending: tasks::spawn(send(stream, from)), closed: false }
    }
}

async fn send(stream: Stream, mut from: DuplexStream) -> Result<(), Status> {
    let Stream { sender, mut receiver } = stream;
    let mut buffer = vec![0; PIECE];
    loop {
        let count = from.read(&mut buffer).await;
        let count = count.map_err(|e| Status::broken("cannot send an archive", e))?;
        if count == 0 {
            break;
        }
        if sender.send(&BytesMessage { data: buffer[..count].to_vec() }).await.is_err() {
            // Why it doesn't listen any more, it says itself.
            break;
        }
    }
    drop(sender);
    while receiver.next::<BytesMessage>().await?.is_some() {}
    Ok(())
}

impl Drop for Archive {
    fn drop(&mut self) {
        if !self.closed {
            self.sending.abort();
        }
    }
}

impl AsyncWrite for Archive {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closed {
            return Poll::Ready(Ok(()));
        }
        std::task::ready!(Pin::new(&mut self.pipe).poll_shutdown(cx))?;
        let sent = std::task::ready!(Pin::new(&mut self.sending).poll(cx));
        self.closed = true;
        Poll::Ready(match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(status)) => Err(io::Error::other(status)),
            Err(ended) => Err(io::Error::other(ended)),
        })
    }
}

/// What a client uploads. Its end is one only if the client said so.
pub(super) struct Upload {
    pipe: DuplexStream,
    receiving: JoinHandle<Result<(), Status>>,
    ended: bool,
}

impl Upload {
    pub(super) fn new(stream: Stream) -> Self {
        let (pipe, to) = tokio::io::duplex(PIECE);
        Self { pipe, receiving: tasks::spawn(receive(stream, to)), ended: false }
    }
}

async fn receive(stream: Stream, mut to: DuplexStream) -> Result<(), Status> {
    let Stream { sender, mut receiver } = stream;
    while let Some(piece) = receiver.next::<BytesMessage>().await? {
        to.write_all(&piece.data).await.map_err(|e| Status::broken("cannot take an upload", e))?;
    }
    drop(sender);
    Ok(())
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.receiving.abort();
    }
}

impl AsyncRead for Upload {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        std::task::ready!(Pin::new(&mut self.pipe).poll_read(cx, buffer))?;
        if buffer.filled().len() > before || self.ended || buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let received = std::task::ready!(Pin::new(&mut self.receiving).poll(cx));
        self.ended = true;
        Poll::Ready(match received {
            Ok(Ok(())) => Ok(()),
            Ok(Err(status)) => Err(io::Error::other(status)),
            Err(ended) => Err(io::Error::other(ended)),
        })
    }
}
