//! `system dial-stdio`: this process' input and output become a connection to the engine. The other end of `ssh://`.

use std::io::{Read as _, Write as _};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use crate::call::Call;
use crate::error::{Error, Outcome};

/// Carries bytes in both directions until the engine closes its side.
pub(crate) fn dial_stdio(call: &Call) -> Outcome {
    call.with_engine(|engine| async move { carry(engine.dial().await?).await })
}

/// `buildx dial-stdio`: the same with the engine's builder, for whoever speaks its protocol.
pub(crate) fn builder(call: &Call) -> Outcome {
    super::builder::name(call, &call.endpoint()?.context)?;
    match call.flags().text("progress") {
        "" | "none" | "quiet" => {}
        other => {
            return Err(Error::Usage(format!(
                "ERROR: --progress={other} is not supported: nothing is shown"
            )));
        }
    }
    call.with_engine(|engine| async move { carry(engine.upgrade("/grpc", "h2c", None).await?.io).await })
}

async fn carry(io: impl tokio::io::AsyncRead + tokio::io::AsyncWrite) -> Result<i32, Error> {
    let (mut reader, mut writer) = tokio::io::split(io);
    let mut input = start_reading();
    let send = async move {
        while let Some(bytes) = input.recv().await {
            if writer.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _ = writer.shutdown().await;
    };
    let receive = async move {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let size = reader.read(&mut buffer).await.unwrap_or(0);
            if size == 0 {
                return Ok(0);
            }
            let mut out = std::io::stdout().lock();
            out.write_all(&buffer[..size])
                .and_then(|()| out.flush())
                .map_err(|e| Error::Io("write the output", e))?;
        }
    };
    tokio::pin!(send, receive);
    tokio::select! {
        done = &mut receive => done,
        () = &mut send => receive.await,
    }
}

fn start_reading() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut buffer = vec![0; 64 << 10];
        while let Ok(size) = stdin.read(&mut buffer) {
            if size == 0 || sender.blocking_send(buffer[..size].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}
