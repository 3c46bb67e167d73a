//! Bytes in both directions as messages: agents, and sessions in a call.

use grpc::{Code, Status, Stream};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::proto;

const PIECE: usize = 32 << 10;

/// A message that is nothing but bytes.
pub(crate) trait Bytes: prost::Message + Default {
    fn of(data: Vec<u8>) -> Self;
    fn into_data(self) -> Vec<u8>;
}

macro_rules! bytes {
    ($($message:ty),*) => {$(
        impl Bytes for $message {
            fn of(data: Vec<u8>) -> Self {
                Self { data }
            }

            fn into_data(self) -> Vec<u8> {
                self.data
            }
        }
    )*};
}

bytes!(proto::BytesMessage, proto::ssh::BytesMessage, proto::control::BytesMessage);

/// Copies both ways until either side has ended.
pub(crate) async fn join<M: Bytes>(stream: Stream, io: impl AsyncRead + AsyncWrite) -> Result<(), Status> {
    let Stream { sender, mut receiver } = stream;
    let (mut from, mut to) = tokio::io::split(io);
    let outwards = async {
        let mut buffer = vec![0; PIECE];
        loop {
            let count = from.read(&mut buffer).await.map_err(broken)?;
            if count == 0 {
                return Ok(());
            }
            sender.send(&M::of(buffer[..count].to_vec())).await?;
        }
    };
    let inwards = async {
        while let Some(message) = receiver.next::<M>().await? {
            to.write_all(&message.into_data()).await.map_err(broken)?;
        }
        // Whoever listens there may still have something to say.
        to.shutdown().await.map_err(broken)?;
        std::future::pending::<Result<(), Status>>().await
    };
    tokio::select! {
        ended = outwards => ended,
        ended = inwards => ended,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn broken(error: std::io::Error) -> Status {
    Status::new(Code::Unavailable, error.to_string())
}
