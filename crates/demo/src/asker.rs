//! A visitor who asks again and again while a service is replaced.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crate::story::Error;

/// A page of whoever listens there.
pub(crate) fn page(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let page = answer.split("\r\n\r\n").nth(1);
    page.map(|page| page.trim().to_owned()).ok_or_else(|| std::io::Error::other("an answer without a page"))
}

/// Asks until it is told to stop.
pub(crate) struct Asker {
    enough: Arc<AtomicBool>,
    thread: JoinHandle<Result<u32, String>>,
}

impl Asker {
    pub(crate) fn start(address: &str) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let (seen, address) = (enough.clone(), address.to_owned());
        let thread = thread::spawn(move || {
            let mut answered = 0;
            while !seen.load(Ordering::Relaxed) {
                page(&address).map_err(|e| format!("after {answered} answers one didn't come: {e}"))?;
                answered += 1;
            }
            Ok(answered)
        });
        Self { enough, thread }
    }

    /// How many answers came; one that didn't is an error.
    pub(crate) fn stop(self) -> Result<u32, Error> {
        self.enough.store(true, Ordering::Relaxed);
        let answered = self.thread.join().unwrap_or_else(|_| Err("nobody asked".to_owned()));
        answered.map_err(Error::Wrong)
    }
}
