//! A connection that was upgraded: raw bytes from here on, and the news that its client has gone.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::{Parts, downcast};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::UnixStream;

use crate::Stream;
use crate::patient::Patient;
use crate::wire::Wire;

/// Takes the bytes of an upgraded connection over, with the means to notice that its client is gone, where there are any.
#[must_use]
pub fn take(upgraded: Upgraded) -> (Box<dyn Stream>, Option<HangUp>) {
    match downcast::<TokioIo<Patient<Wire>>>(upgraded) {
        Ok(Parts { io, read_buf, .. }) => {
            let stream = io.into_inner();
            let hang_up = match stream.get_ref() {
                Wire::Unix(socket) => HangUp::of(socket).ok(),
                // A peer that is gone looks like one that has nothing more to say.
                Wire::Tcp(_) | Wire::Tls(_) => None,
            };
            (Box::new(Rewound { rest: read_buf, stream }), hang_up)
        }
        Err(upgraded) => (Box::new(TokioIo::new(upgraded)), None),
    }
}

/// Notices that the other side of a unix socket is closed for both directions. The end of what it sends says less: a
/// client may have nothing more to say and still listen.
#[derive(Debug)]
pub struct HangUp(UnixStream);

impl HangUp {
    fn of(stream: &UnixStream) -> io::Result<Self> {
        // A registration of its own: what is cleared here must not be missed by whoever writes.
        let copy = stream.as_fd().try_clone_to_owned()?;
        UnixStream::from_std(copy.into()).map(Self)
    }

    /// Returns when the client is gone, or never.
    pub async fn wait(&self) {
        loop {
            match self.0.ready(Interest::WRITABLE).await {
                Ok(ready) if ready.is_write_closed() => return,
                // That there is room to write is no news; the next event is.
                Ok(_) => {
                    drop(
                        self.0.try_io(Interest::WRITABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into())),
                    );
                }
                Err(_) => std::future::pending().await,
            }
        }
    }
}

/// What was read already comes first.
struct Rewound<S> {
    rest: Bytes,
    stream: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let count = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
