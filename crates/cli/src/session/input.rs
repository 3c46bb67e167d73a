//! The client's own input, read by a thread: a terminal or pipe can't be waited for together with sockets.

use std::io::Read as _;

use tokio::sync::mpsc;

/// Starts reading. The channel is short, so that a container that doesn't read stops the reader too.
pub(super) fn start() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut buffer = vec![0; 32 << 10];
        loop {
            match stdin.read(&mut buffer) {
                Ok(size) if size > 0 => {
                    if sender.blocking_send(buffer[..size].to_vec()).is_err() {
                        return;
                    }
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    });
    receiver
}
