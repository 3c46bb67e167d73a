//! The client's own input, read by a thread: a terminal or pipe can't be waited for together with sockets.

use std::io::Read as _;
use std::sync::OnceLock;

use tokio::sync::{Mutex, mpsc};

/// The next that is typed or piped; none at its end. One thread reads for whoever asks, so that nothing is lost
/// between two who ask after each other.
pub(crate) async fn next() -> Option<Vec<u8>> {
    static INPUT: OnceLock<Mutex<mpsc::Receiver<Vec<u8>>>> = OnceLock::new();
    INPUT.get_or_init(|| Mutex::new(start())).lock().await.recv().await
}

/// Starts reading. The channel is short, so that a container that doesn't read stops the reader too.
fn start() -> mpsc::Receiver<Vec<u8>> {
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
