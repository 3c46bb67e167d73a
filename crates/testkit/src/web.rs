//! A small web server of a test's own, which says what the test wants it to say: also what no server should.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::http::PATIENCE;
use crate::own_network;

/// No test sends more at once.
const MAX_BODY: u64 = 64 << 20;

/// The first byte of a TLS connection.
const TLS_HANDSHAKE: [u8; 1] = [0x16];

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    /// With its query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A whole answer: status, headers, body.
    Whole(u16, Vec<(String, String)>, Vec<u8>),
    /// Exactly these bytes, and then the end of the connection.
    Raw(Vec<u8>),
    /// As many bytes of this body, and then nothing, until the server ends.
    Begun(usize, Vec<u8>),
    /// Nothing, until the server ends.
    Silence,
}

impl Answer {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Whole(status, Vec::new(), body.into())
    }

    pub fn header(self, name: &str, value: &str) -> Self {
        match self {
            Self::Whole(status, mut headers, body) => {
                headers.push((name.to_owned(), value.to_owned()));
                Self::Whole(status, headers, body)
            }
            other => other,
        }
    }
}

type Handler = dyn Fn(&Asked) -> Answer + Send + Sync;

/// A running server on a loopback port that was free.
#[derive(Debug)]
pub struct Web {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Web {
    /// Answers each request with what `handler` says, one connection a request.
    #[track_caller]
    pub fn serve(handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = own_network::listen();
        let address = listener.local_addr().expect("it is bound");
        let web = Self { address, ended: Arc::default(), asked: Arc::default() };
        let (ended, asked, handler) = (web.ended.clone(), web.asked.clone(), Arc::new(handler));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (ended, asked, handler) = (ended.clone(), asked.clone(), handler.clone());
                std::thread::spawn(move || answer(stream, &ended, &asked, &*handler));
            }
        });
        web
    }

    /// `127.0.0.1:<port>`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Everything that was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the listener.
        drop(TcpStream::connect(self.address));
    }
}

fn answer(stream: TcpStream, ended: &AtomicBool, asked: &Mutex<Vec<Asked>>, handler: &Handler) {
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let (mut stream, mut first) = (stream, [0]);
    // dockerd begins with TLS, and goes on without when it is told so in plain HTTP, as Go's servers do.
    if stream.peek(&mut first).is_ok() && first == TLS_HANDSHAKE {
        let _ = stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n");
        return;
    }
    let Some(request) = read(&stream) else { return };
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
    match handler(&request) {
        Answer::Whole(status, headers, body) => {
            let mut head = format!("HTTP/1.1 {status} x\r\nConnection: close\r\n");
            for (name, value) in &headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
                head.push_str(&format!("Content-Length: {}\r\n", body.len()));
            }
            let sent = stream.write_all(format!("{head}\r\n").as_bytes());
            if request.method != "HEAD" && sent.is_ok() {
                let _ = stream.write_all(&body);
            }
        }
        Answer::Raw(bytes) => drop(stream.write_all(&bytes)),
        Answer::Begun(count, body) => {
            let head = format!("HTTP/1.1 200 x\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(&[head.as_bytes(), &body[..count]].concat());
            wait(&mut stream, ended);
        }
        Answer::Silence => wait(&mut stream, ended),
    }
}

/// Until whoever asked gives up, or the test ends.
fn wait(stream: &mut TcpStream, ended: &AtomicBool) {
    let _ = stream.set_read_timeout(Some(std::time::Duration::from_millis(50)));
    while !ended.load(Ordering::SeqCst) {
        if let Ok(0) = stream.read(&mut [0; 1]) {
            return;
        }
    }
}
fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
            None => break,
        }
    }
    let mut asked = Asked { method, path, headers, body: Vec::new() };
    let length = asked.header("content-length").and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    reader.take(length.min(MAX_BODY)).read_to_end(&mut asked.body).ok()?;
    Some(asked)
}
