//! A container's input and output over a hijacked connection: frames, terminal, detach keys, signals.

pub(crate) mod input;
pub(crate) mod signals;
mod stdcopy;
pub(crate) mod terminal;

use client::{Body, Hijacked};
use detach::Keys;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

use crate::error::Error;
use crate::ui;

pub(crate) use stdcopy::Demux;

/// What the client carries.
pub(crate) struct Plan {
    /// Send what is typed or piped.
    pub(crate) stdin: bool,
    /// The container has a terminal: its output is one stream without frames.
    pub(crate) tty: bool,
    /// The keys that leave the container running.
    pub(crate) detach_keys: Keys,
}

/// Why carrying ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The container's output ended.
    Output,
    /// The detach keys were typed.
    Detached,
}

/// Carries until the output ends or the person detaches.
pub(crate) async fn carry(connection: Hijacked, plan: Plan) -> Result<End, Error> {
    let framed = connection.multiplexed || !plan.tty;
    let (reader, mut writer) = tokio::io::split(connection.io);
    let send = async move {
        if plan.stdin {
            let mut keys = if plan.tty { plan.detach_keys } else { Keys::none() };
            while let Some(bytes) = input::next().await {
                let mut pass = Vec::with_capacity(bytes.len());
                let detached = keys.feed(&bytes, &mut pass);
                // The container may have closed its input; its output and exit code still count.
                if writer.write_all(&pass).await.is_err() {
                    break;
                }
                if detached {
                    return End::Detached;
                }
            }
        }
        let _ = writer.shutdown().await;
        End::Output
    };
    let receive = receive(reader, framed);
    tokio::pin!(send, receive);
    tokio::select! {
        result = &mut receive => result.map(|()| End::Output),
        end = &mut send => match end {
            End::Detached => Ok(End::Detached),
            End::Output => receive.await.map(|()| End::Output),
        },
    }
}

async fn receive(mut reader: impl AsyncRead + Unpin, framed: bool) -> Result<(), Error> {
    let mut demux = Demux::new(framed);
    let mut buffer = vec![0; 64 << 10];
    loop {
        // An engine that goes away in the middle ends the stream as an exit does: the wait tells which it was.
        let size = reader.read(&mut buffer).await.unwrap_or(0);
        if size == 0 {
            return Ok(());
        }
        demux.write(&buffer[..size])?;
    }
}

/// Prints a streamed answer.
pub(crate) async fn print(mut body: Body, framed: bool) -> Result<(), Error> {
    let mut demux = Demux::new(framed);
    while let Some(bytes) = body.next().await? {
        demux.write(&bytes)?;
    }
    Ok(())
}

/// One of the two streams of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

impl Stream {
    fn write(self, bytes: &[u8]) -> Result<(), Error> {
        match self {
            Self::Out => ui::out_bytes(bytes),
            Self::Err => ui::err_bytes(bytes),
        }
    }
}
