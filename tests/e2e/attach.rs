//! Attaching over the API: what of before and after is sent, and websockets.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};
use testkit::Engine;
use testkit::http::{self, Request};

fn waiting(engine: &Engine, name: &str, script: &str, terminal: bool) -> String {
    let name = engine.name(name);
    let config = json!({
        "Image": engine.busybox(), "Cmd": ["sh", "-c", script], "OpenStdin": true, "Tty": terminal,
        "HostConfig": {"NetworkMode": "none"},
    });
    engine.post(&format!("/containers/create?name={name}"), &config).expect(201);
    engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
    name
}

/// What a container has said so far, waited for.
fn said(engine: &Engine, name: &str, text: &str) {
    testkit::eventually(testkit::DEADLINE, || match crate::containers::logs(engine, name) {
        log if log.contains(text) => Ok(()),
        log => Err(log),
    });
}

// covers: api POST /containers/{id}/attach
// covers: api POST /containers/{id}/attach ?logs
// covers: api POST /containers/{id}/attach ?stream
// covers: api POST /containers/{id}/attach ?stdin
// covers: api POST /containers/{id}/attach ?stdout
// covers: api POST /containers/{id}/attach ?stderr
#[test]
fn who_attaches_gets_what_was_said_before_and_what_comes_if_that_is_asked_for() {
    let engine = Engine::isolated();
    let name = waiting(&engine, "before", "echo early; echo bad >&2; read x; echo got $x", false);
    said(&engine, &name, "early");
    said(&engine, &name, "bad");
    let ask = |query: &str| {
        let request = Request::new("POST", &format!("/containers/{name}/attach?{query}"));
        http::open(engine.socket(), &request.header("Upgrade", "tcp").header("Connection", "Upgrade"))
    };
    let read = |mut exchange: http::Exchange| {
        let mut bytes = Vec::new();
        exchange.read_to_end(&mut bytes).unwrap();
        bytes
    };
    assert_eq!(read(ask("logs=1&stdout=1").unwrap()), b"\x01\0\0\0\0\0\0\x06early\n");
    assert_eq!(read(ask("logs=1&stderr=1").unwrap()), b"\x02\0\0\0\0\0\0\x04bad\n");
    let both = ask("logs=1&stream=1&stdin=1&stdout=1").unwrap();
    both.stream().write_all(b"word\n").unwrap();
    let expected = b"\x01\0\0\0\0\0\0\x06early\n\x01\0\0\0\0\0\0\x09got word\n";
    assert_eq!(read(both), expected);
    engine.delete(&format!("/containers/{name}?force=1")).expect(204);
}

/// A websocket that was opened, with what came right behind the answer.
struct Socket(UnixStream);

impl Socket {
    fn open(engine: &Engine, path: &str) -> Self {
        let mut stream = http::connect(engine.socket()).expect("a websocket");
        stream.set_read_timeout(Some(testkit::DEADLINE)).expect("a websocket");
        let head = format!(
            "GET /v1.47{path} HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("a websocket");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a websocket");
            answer.extend(byte);
        }
        let answer = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        assert!(answer.starts_with("http/1.1 101 "), "{answer}");
        assert!(answer.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{answer}");
        Self(stream)
    }

    fn say(&mut self, kind: u8, payload: &[u8]) {
        let length = u8::try_from(payload.len()).expect("a short message");
        let masked: Vec<u8> = payload.iter().zip([7, 8, 9, 10].iter().cycle()).map(|(b, m)| b ^ m).collect();
        self.0
            .write_all(&[&[0x80 | kind, 0x80 | length, 7, 8, 9, 10][..], &masked].concat())
            .expect("a websocket");
    }

    /// The kind and payload of the next frame; none at the end of the connection.
    fn hear(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).ok()?;
        let mut length = usize::from(head[1]);
        if length == 126 {
            let mut more = [0; 2];
            self.0.read_exact(&mut more).expect("a websocket");
            length = u16::from_be_bytes(more).into();
        }
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).expect("a websocket");
        Some((head[0] & 0x0f, payload))
    }

    /// What is said until `end`.
    fn hear_until(&mut self, end: &str) -> String {
        let mut text = String::new();
        while !text.contains(end) {
            let (_, payload) = self.hear().unwrap_or_else(|| panic!("it ended after {text:?}"));
            text.push_str(&String::from_utf8_lossy(&payload));
        }
        text
    }
}

// covers: api GET /containers/{id}/attach/ws
// covers: api GET /containers/{id}/attach/ws ?logs
// covers: api GET /containers/{id}/attach/ws ?stream
// covers: api GET /containers/{id}/attach/ws ?stdin
// covers: api GET /containers/{id}/attach/ws ?stdout
// covers: api GET /containers/{id}/attach/ws ?stderr
#[test]
fn a_websocket_carries_the_bare_streams() {
    let engine = Engine::isolated();
    let name = waiting(&engine, "ws", "echo early; while read x; do echo got $x; echo bad >&2; done", false);
    said(&engine, &name, "early");
    let all = format!("/containers/{name}/attach/ws?logs=1&stream=1&stdin=1&stdout=1&stderr=1");
    let mut socket = Socket::open(&engine, &all);
    assert_eq!(socket.hear_until("early\n"), "early\n");
    socket.say(1, b"one\n");
    let text = socket.hear_until("bad\n");
    assert!(text.contains("got one\n"), "{text}");
    socket.say(2, b"two\n");
    socket.hear_until("got two\n");
    drop(socket);
    // Only one stream, and none of what was before.
    let mut out = Socket::open(&engine, &format!("/containers/{name}/attach/ws?stream=1&stdout=1"));
    let mut bad = Socket::open(&engine, &format!("/containers/{name}/attach/ws?stream=1&stderr=1&stdin=1"));
    bad.say(1, b"three\n");
    assert_eq!(out.hear_until("three\n"), "got three\n");
    assert_eq!(bad.hear_until("bad\n"), "bad\n");
    engine.post(&format!("/containers/{name}/kill"), &Value::Null).expect(204);
    while let Some((kind, _)) = out.hear() {
        assert!(kind == 8 || engine.is_peer(), "{kind}");
    }
    engine.delete(&format!("/containers/{name}?force=1")).expect(204);
}

// covers: api GET /containers/{id}/attach/ws ?detachKeys
// covers: value event-action events detach
#[test]
fn a_websocket_is_left_by_its_keys_and_by_closing_it() {
    let (engine, since) = (Engine::ours(), crate::life::now());
    let name = waiting(&engine, "keys", "while read x; do echo got $x; done", true);
    let path = format!("/containers/{name}/attach/ws?stream=1&stdin=1&stdout=1&detachKeys=ctrl-k,q");
    let mut socket = Socket::open(&engine, &path);
    socket.say(1, b"a\n");
    socket.hear_until("got a");
    socket.say(9, b"ping");
    while socket.hear() != Some((10, b"ping".to_vec())) {}
    socket.say(1, &[11]);
    socket.say(1, b"q");
    let mut kinds = Vec::new();
    while let Some((kind, _)) = socket.hear() {
        kinds.push(kind);
    }
    assert_eq!(kinds.last(), Some(&8));
    testkit::eventually(testkit::DEADLINE, || match crate::life::actions(&engine, &since, &name) {
        told if told.contains(&"detach".to_owned()) => Ok(()),
        told => Err(told),
    });
    let mut closed = Socket::open(&engine, &path);
    closed.say(8, &1000u16.to_be_bytes());
    assert_eq!(closed.hear(), Some((8, 1000u16.to_be_bytes().to_vec())));
    assert_eq!(closed.hear(), None);
    assert_eq!(crate::life::state(&engine, &name)["Running"], true);
    engine.delete(&format!("/containers/{name}?force=1")).expect(204);
    // Whoever doesn't speak it is told so.
    let name = waiting(&engine, "plain", "sleep 60", false);
    let plain = Request::new("GET", &format!("/containers/{name}/attach/ws?stream=1"));
    let told = engine.request_unchecked(&plain).expect(400).message();
    assert!(told.contains("not a websocket"), "{told}");
    engine.delete(&format!("/containers/{name}?force=1")).expect(204);
}
