//! A small blocking HTTP/1.1 client over a unix socket, for tests that must see every byte.
//!
//! It follows no redirect, keeps no connection and believes nothing: heads, bodies and waiting are bounded, so a test of
//! an engine that misbehaves ends with an error instead of hanging. What it can't send (a header of 10 MB, half a
//! body), a test writes itself on [`connect`]'s stream.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// No test waits longer for a single read or write.
pub const PATIENCE: Duration = Duration::from_secs(20);
const MAX_HEAD: u64 = 256 * 1024;
const MAX_BODY: u64 = 256 * 1024 * 1024;

/// A request as it goes over the wire. `Host` and `Content-Length` are added unless they are given.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn new(method: &str, path: &str) -> Self {
        Self { method: method.into(), path: path.into(), ..Self::default() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.header("Content-Type", "application/json").body(body.to_string())
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    fn head(&self) -> String {
        let has = |name: &str| self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        if !has("host") {
            head.push_str("Host: ketch\r\n");
        }
        if !has("connection") {
            head.push_str("Connection: close\r\n");
        }
        let has_body = !self.body.is_empty() || self.method == "POST";
        if has_body && !has("content-length") && !has("transfer-encoding") {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head + "\r\n"
    }
}

/// The status line and headers of an answer.
#[derive(Debug, Clone)]
pub struct Head {
    pub status: u16,
    pub headers: Vec<(String, String)>,
}

impl Head {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub head: Head,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn status(&self) -> u16 {
        self.head.status
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; anything else fails the test with what came instead.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("status {}, body is not JSON ({error}): {}", self.status(), self.text())
        })
    }

    /// `message` of an error body, or the whole text where the engine answers with plain text.
    pub fn message(&self) -> String {
        serde_json::from_slice::<Value>(&self.body)
            .ok()
            .and_then(|body| body["message"].as_str().map(str::to_owned))
            .unwrap_or_else(|| self.text().trim_end().to_owned())
    }

    /// Fails the test unless the status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status(), status, "body: {}", self.text());
        self
    }
}

/// An answer whose head has arrived and whose body is still to be read: events, logs, an upgraded connection.
#[derive(Debug)]
pub struct Exchange {
    pub head: Head,
    reader: BufReader<UnixStream>,
    framing: Framing,
}

#[derive(Debug)]
enum Framing {
    Length(u64),
    Chunked { left: u64, ended: bool },
    UntilClose,
}

/// A connection to the socket, with bounded waiting.
pub fn connect(socket: &Path) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The same to a TCP address. To what reads and writes, one socket is like another.
pub fn connect_tcp(address: SocketAddr) -> io::Result<UnixStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    let stream = UnixStream::from(OwnedFd::from(stream));
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Sends a request and reads the head of the answer.
pub fn open(socket: &Path, request: &Request) -> io::Result<Exchange> {
    open_on(connect(socket)?, request)
}

/// The same on a connection that is there.
pub fn open_on(mut stream: UnixStream, request: &Request) -> io::Result<Exchange> {
    stream.write_all(request.head().as_bytes())?;
    // An engine that refuses a request early closes while we still write: its answer says more than our broken pipe.
    let sent = stream.write_all(&request.body);
    match read_head(stream, &request.method) {
        Ok(exchange) => Ok(exchange),
        Err(error) => Err(sent.err().unwrap_or(error)),
    }
}

/// Sends a request and reads the whole answer.
pub fn call(socket: &Path, request: &Request) -> io::Result<Reply> {
    open(socket, request)?.finish()
}

/// Reads the head of an answer from a connection on which the test has written something of its own.
pub fn read_head(stream: UnixStream, method: &str) -> io::Result<Exchange> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    let mut bounded = (&mut reader).take(MAX_HEAD);
    loop {
        let mut line = String::new();
        if bounded.read_line(&mut line)? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the connection ended within the answer's head",
            ));
        }
        match line.trim_end() {
            "" => break,
            text => lines.push(text.to_owned()),
        }
    }
    let head = parse_head(&lines)?;
    let framing = framing(&head, method);
    Ok(Exchange { head, reader, framing })
}

fn parse_head(lines: &[String]) -> io::Result<Head> {
    let bad = |line: &str| io::Error::new(io::ErrorKind::InvalidData, format!("not an HTTP head: {line:?}"));
    let (first, rest) = lines.split_first().ok_or_else(|| bad(""))?;
    let status = first.strip_prefix("HTTP/1.").and_then(|tail| tail.split(' ').nth(1));
    let status = status.and_then(|code| code.parse().ok()).ok_or_else(|| bad(first))?;
    let headers = rest.iter().map(|line| {
        let (name, value) = line.split_once(':').ok_or_else(|| bad(line))?;
        Ok((name.to_owned(), value.trim().to_owned()))
    });
    Ok(Head { status, headers: headers.collect::<io::Result<_>>()? })
}

fn framing(head: &Head, method: &str) -> Framing {
    if method == "HEAD" || head.status == 204 || head.status == 304 {
        return Framing::Length(0);
    }
    if head.status == 101 {
        return Framing::UntilClose;
    }
    if head.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        return Framing::Chunked { left: 0, ended: false };
    }
    head.header("content-length")
        .and_then(|value| value.parse().ok())
        .map_or(Framing::UntilClose, Framing::Length)
}

impl Exchange {
    /// The rest of the body, whole.
    pub fn finish(mut self) -> io::Result<Reply> {
        let mut body = Vec::new();
        (&mut self).take(MAX_BODY).read_to_end(&mut body)?;
        Ok(Reply { head: self.head, body })
    }

    /// The next line of a streamed body; `None` at its end.
    pub fn next_line(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        let mut byte = [0];
        while line.len() < MAX_HEAD as usize && self.read(&mut byte)? == 1 {
            if byte[0] == b'\n' {
                return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
            }
            line.push(byte[0]);
        }
        Ok((!line.is_empty()).then(|| String::from_utf8_lossy(&line).into_owned()))
    }

    /// The raw connection below an upgraded answer.
    pub fn stream(&self) -> &UnixStream {
        self.reader.get_ref()
    }

    fn next_chunk(&mut self) -> io::Result<u64> {
        let mut line = String::new();
        (&mut self.reader).take(64).read_line(&mut line)?;
        let size = line.trim_end().split(';').next().unwrap_or_default();
        u64::from_str_radix(size, 16)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("not a chunk size: {line:?}")))
    }
}

impl Read for Exchange {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.framing {
            Framing::UntilClose => self.reader.read(buffer),
            Framing::Length(left) => {
                let count = (&mut self.reader).take(left).read(buffer)?;
                if count == 0 && left > 0 && !buffer.is_empty() {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        format!("{left} bytes of the body are missing"),
                    ));
                }
                self.framing = Framing::Length(left - count as u64);
                Ok(count)
            }
            Framing::Chunked { ended: true, .. } => Ok(0),
            Framing::Chunked { left: 0, .. } => {
                let left = self.next_chunk()?;
                if left == 0 {
                    self.framing = Framing::Chunked { left, ended: true };
                    return Ok(0);
                }
                self.framing = Framing::Chunked { left, ended: false };
                self.read(buffer)
            }
            Framing::Chunked { left, .. } => {
                let count = (&mut self.reader).take(left).read(buffer)?;
                if count == 0 {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the connection ended within a chunk",
                    ));
                }
                let left = left - count as u64;
                if left == 0 {
                    self.reader.read_line(&mut String::new())?;
                }
                self.framing = Framing::Chunked { left, ended: false };
                Ok(count)
            }
        }
    }
}
