//! An engine behind ssh: the `ssh` program, and `system dial-stdio` at its other end.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

/// The connection is one socket that ssh has as its input and output; ssh ends when it is dropped.
pub(crate) struct Ssh {
    stream: UnixStream,
    child: Child,
}

/// Starts ssh. Its words were checked when the address was read, so none can become an option or reach a shell.
pub(crate) fn connect(
    user: Option<&str>,
    name: &str,
    port: Option<u16>,
    socket: Option<&str>,
) -> io::Result<Ssh> {
    let (ours, theirs) = StdStream::pair()?;
    ours.set_nonblocking(true)?;
    let input: OwnedFd = theirs.try_clone()?.into();
    let output: OwnedFd = theirs.into();
    let mut command = Command::new("ssh");
    command.args(["-o", "ConnectTimeout=30", "-T"]);
    if let Some(user) = user {
        command.args(["-l", user]);
    }
    if let Some(port) = port {
        command.args(["-p", &port.to_string()]);
    }
    command.args(["--", name, &remote_command(socket)]);
    let child = command.stdin(Stdio::from(input)).stdout(Stdio::from(output)).spawn()?;
    // The `Command` keeps its copies of the socket open until it is dropped; end-of-file needs them closed.
    drop(command);
    Ok(Ssh { stream: UnixStream::from_std(ours)?, child })
}

/// The remote side may have either program; a machine with both has the socket that ours asks for first.
fn remote_command(socket: Option<&str>) -> String {
    let host = socket.map(|path| format!(" --host unix://{path}")).unwrap_or_default();
    format!(
        "sh -c 'command -v ketch >/dev/null 2>&1 && exec ketch{host} system dial-stdio; \
         exec docker{host} system dial-stdio'"
    )
}

impl Drop for Ssh {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl AsyncRead for Ssh {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Ssh {
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
