//! What a connection goes over: of one type whatever it is, so that HTTP/2 is in the binary once.

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub(crate) type AnyIo = TokioIo<Box<dyn Io>>;

pub(crate) fn any(io: impl Io + 'static) -> AnyIo {
    TokioIo::new(Box::new(io))
}
