//! Websockets (RFC 6455), as far as a stream of bytes needs them: no extensions, and what a message is made of doesn't matter.

use std::io;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use detach::Keys;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};

use crate::body;
use crate::error::Error;
use crate::hijack::{self, Source};
use crate::reply::{self, Reply};

/// What a key is answered with, by the standard.
const SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// What a control frame may carry.
const MOST_CONTROL: u64 = 125;
const CHUNK: usize = 32 * 1024;
/// Between the websocket and the container.
const PIPE: usize = 64 * 1024;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The answer to a client that asks for a websocket.
pub(crate) fn accept(request: &Request<Incoming>) -> Result<Reply, Error> {
    let accepted = answer(request.headers()).map_err(Error::invalid)?;
    let mut reply = reply::with_type(StatusCode::SWITCHING_PROTOCOLS, hijack::RAW, body::full(""));
    let headers = reply.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let value = HeaderValue::from_str(&accepted).map_err(|_| Error::invalid("the key makes no answer"))?;
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, value);
    Ok(reply)
}

fn answer(headers: &HeaderMap) -> Result<String, &'static str> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !header(header::UPGRADE).eq_ignore_ascii_case("websocket") {
        return Err("not a websocket: the header `Upgrade: websocket` is missing");
    }
    if header(header::SEC_WEBSOCKET_VERSION) != "13" {
        return Err("only version 13 of websockets is spoken");
    }
    let key = header(header::SEC_WEBSOCKET_KEY);
    if key.is_empty() {
        return Err("the header Sec-WebSocket-Key is missing");
    }
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{SUFFIX}").as_bytes());
    Ok(BASE64_STANDARD.encode(digest))
}

/// Joins the client with what its websocket is for, as [`hijack::join`] does a plain connection. Docker's frames are
/// taken off the streams that have them: a websocket has its own.
pub(crate) async fn join(
    upgrading: OnUpgrade,
    source: Source,
    framed: bool,
    escape: Option<Keys>,
    mut closing: watch::Receiver<bool>,
) -> bool {
    let (client, _) = match upgrading.await {
        Ok(upgraded) => serving::take(upgraded),
        Err(error) => {
            tracing::debug!(%error, "a client left before its stream began");
            return false;
        }
    };
    let (inner, outer) = tokio::io::duplex(PIPE);
    let (mut carry, mut translate) =
        (Box::pin(hijack::carry(inner, None, source, escape)), Box::pin(translate(client, outer, framed)));
    let joined = async {
        tokio::select! {
            escaped = &mut carry => {
                // What is said last is yet to be passed on.
                translate.await;
                escaped
            }
            // Whoever closes a websocket has gone, for both directions.
            () = &mut translate => false,
        }
    };
    tokio::select! {
        escaped = joined => escaped,
        _ = closing.wait_for(|closing| *closing) => false,
    }
}

/// Frames on one side, bytes on the other, until either ends.
async fn translate(client: impl AsyncRead + AsyncWrite, inner: impl AsyncRead + AsyncWrite, framed: bool) {
    let (from_client, to_client) = tokio::io::split(client);
    let (from_inner, to_inner) = tokio::io::split(inner);
    let (answers, asked) = mpsc::channel(4);
    // A client that hangs up or breaks the rules is hung up on; `inner` is closed with it.
    let _ = tokio::select! {
        ended = input(from_client, to_inner, answers) => ended,
        ended = output(from_inner, to_client, asked, framed.then(Unframed::default)) => ended,
    };
}

/// What comes from the client goes in; what has to be answered goes to the output.
async fn input(
    mut client: impl AsyncRead + Unpin,
    mut inner: impl AsyncWrite + Unpin,
    answers: mpsc::Sender<Vec<u8>>,
) -> io::Result<()> {
    loop {
        let frame = Frame::read(&mut client).await?;
        match frame.kind {
            CONTINUATION | TEXT | BINARY => frame.copy(&mut client, &mut inner).await?,
            CLOSE | PING | PONG if frame.length > MOST_CONTROL => return Err(broken("it is too long")),
            CLOSE => {
                let mut why = Vec::new();
                frame.copy(&mut client, &mut why).await?;
                let _ = answers.send(encode(CLOSE, &why)).await;
                // The output ends when it has said so.
                std::future::pending::<()>().await;
            }
            PING => {
                let mut payload = Vec::new();
                frame.copy(&mut client, &mut payload).await?;
                // One who asks faster than it listens isn't answered each time.
                let _ = answers.try_send(encode(PONG, &payload));
            }
            PONG => frame.copy(&mut client, &mut tokio::io::sink()).await?,
            _ => return Err(broken("its kind is unknown")),
        }
    }
}

async fn output(
    mut inner: impl AsyncRead + Unpin,
    mut client: impl AsyncWrite + Unpin,
    mut answers: mpsc::Receiver<Vec<u8>>,
    mut unframed: Option<Unframed>,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        tokio::select! {
            read = inner.read(&mut buffer) => match read? {
                0 => {
                    // A normal end, by its number.
                    client.write_all(&encode(CLOSE, &1000u16.to_be_bytes())).await?;
                    return client.shutdown().await;
                }
                count => {
                    let bare = unframed.as_mut().map_or(count, |unframed| unframed.strip(&mut buffer[..count]));
                    if bare > 0 {
                        client.write_all(&encode(BINARY, &buffer[..bare])).await?;
                    }
                }
            },
            Some(answer) = answers.recv() => {
                client.write_all(&answer).await?;
                if answer[0] & 0x0f == CLOSE {
                    return client.shutdown().await;
                }
            }
        }
        client.flush().await?;
    }
}

/// Takes the heads of docker's frames out of a stream that comes in any pieces.
#[derive(Default)]
struct Unframed {
    head: Vec<u8>,
    /// Of the present frame's payload.
    left: usize,
}

impl Unframed {
    /// Moves what is payload to the front; how much it is.
    fn strip(&mut self, bytes: &mut [u8]) -> usize {
        let (mut at, mut bare) = (0, 0);
        while at < bytes.len() {
            if self.left > 0 {
                let count = self.left.min(bytes.len() - at);
                bytes.copy_within(at..at + count, bare);
                (at, bare, self.left) = (at + count, bare + count, self.left - count);
                continue;
            }
            self.head.push(bytes[at]);
            at += 1;
            if let [_, _, _, _, length @ ..] = &self.head[..]
                && let Ok(length) = <[u8; 4]>::try_from(length)
            {
                self.left = u32::from_be_bytes(length) as usize;
                self.head.clear();
            }
        }
        bare
    }
}

/// A whole message of ours: servers mask nothing.
fn encode(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | kind];
    match payload.len() {
        length @ 0..126 => frame.push(length as u8),
        length @ 126..65_536 => {
            frame.push(126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

/// A frame's head; its payload follows.
struct Frame {
    kind: u8,
    length: u64,
    mask: [u8; 4],
}

impl Frame {
    async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let mut head = [0; 2];
        from.read_exact(&mut head).await?;
        if head[0] & 0x70 != 0 {
            return Err(broken("it uses an extension"));
        }
        if head[1] & 0x80 == 0 {
            return Err(broken("it is not masked, as a client's has to be"));
        }
        let length = match head[1] & 0x7f {
            126 => from.read_u16().await?.into(),
            127 => from.read_u64().await?,
            length => length.into(),
        };
        let mut mask = [0; 4];
        from.read_exact(&mut mask).await?;
        Ok(Self { kind: head[0] & 0x0f, length, mask })
    }

    /// Passes the payload on, however long, in pieces.
    async fn copy(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK.min(usize::try_from(self.length).unwrap_or(CHUNK))];
        let (mut left, mut at) = (self.length, 0);
        while left > 0 {
            let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let count = from.read(&mut buffer[..wanted]).await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            for byte in &mut buffer[..count] {
                *byte ^= self.mask[at % 4];
                at += 1;
            }
            to.write_all(&buffer[..count]).await?;
            left -= count as u64;
        }
        Ok(())
    }
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a websocket's frame is refused: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (header::HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn the_key_is_answered_as_in_the_standard() {
        let mut asked = vec![
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        assert_eq!(answer(&headers(&asked)).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        while asked.pop().is_some() {
            assert!(answer(&headers(&asked)).is_err());
        }
    }

    #[test]
    fn lengths_have_three_forms() {
        assert_eq!(encode(BINARY, b"ab"), b"\x82\x02ab");
        assert_eq!(encode(BINARY, &[0; 300])[..4], [0x82, 126, 1, 44]);
        assert_eq!(encode(BINARY, &[0; 70_000])[..10], [0x82, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70]);
    }

    fn masked(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut frame = encode(kind, payload);
        frame[1] |= 0x80;
        let at = frame.len() - payload.len();
        frame.splice(at..at, mask);
        for (byte, mask) in frame[at + 4..].iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        frame
    }

    #[tokio::test]
    async fn bytes_go_both_ways_pings_are_answered_and_a_close_is_echoed() {
        let (mut person, client) = tokio::io::duplex(1024);
        let (inner, mut container) = tokio::io::duplex(1024);
        let translating = tokio::spawn(translate(client, inner, false));
        for frame in [masked(TEXT, b"he"), masked(PING, b"p"), masked(CONTINUATION, b"llo")] {
            person.write_all(&frame).await.unwrap();
        }
        let mut heard = [0; 5];
        container.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
        let mut pong = [0; 3];
        person.read_exact(&mut pong).await.unwrap();
        assert_eq!(&pong, b"\x8a\x01p");
        container.write_all(b"answer").await.unwrap();
        let mut said = [0; 8];
        person.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"\x82\x06answer");
        person.write_all(&masked(CLOSE, b"\x03\xe8")).await.unwrap();
        let mut rest = Vec::new();
        person.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"\x88\x02\x03\xe8");
        translating.await.unwrap();
    }

    #[test]
    fn docker_s_frames_are_taken_off_wherever_they_are_cut() {
        let whole = [hijack::frame(1, b"one"), hijack::frame(2, b""), hijack::frame(2, b"three")].concat();
        for size in 1..whole.len() {
            let (mut unframed, mut bare) = (Unframed::default(), Vec::new());
            for piece in whole.chunks(size) {
                let mut piece = piece.to_vec();
                let count = unframed.strip(&mut piece);
                bare.extend_from_slice(&piece[..count]);
            }
            assert_eq!(bare, b"onethree", "{size}");
        }
    }

    #[tokio::test]
    async fn frames_that_break_the_rules_end_it() {
        for frame in [encode(TEXT, b"unmasked"), masked(3, b"x"), masked(PING, &[0; 126]), vec![0xc1, 0x80]] {
            let (mut person, client) = tokio::io::duplex(1024);
            let (inner, _container) = tokio::io::duplex(1024);
            person.write_all(&frame).await.unwrap();
            translate(client, inner, false).await;
        }
    }
}
