//! What strangers send: a clear refusal each, and the engine lives on.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

use testkit::http::{self, Request};
use testkit::{Engine, Faults};

#[track_caller]
fn lives(engine: &Engine) {
    assert_eq!(engine.get("/_ping").expect(200).text(), "OK");
}

/// Writes until the engine has had enough, and reads what it says to that. A reset is an answer too.
fn send_until_refused(stream: &mut UnixStream, chunk: &[u8], total: usize) -> String {
    let mut sent = 0;
    while sent < total && stream.write_all(chunk).is_ok() {
        sent += chunk.len();
    }
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => break,
            Err(error) => panic!("the engine neither answers nor hangs up: {error}"),
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_header_of_ten_megabytes_is_refused() {
    let engine = Engine::isolated();
    let mut stream = http::connect(engine.socket()).unwrap();
    stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: x\r\nX-Long: ").unwrap();
    let answer = send_until_refused(&mut stream, &[b'a'; 64 * 1024], 10 << 20);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    lives(&engine);
}

#[test]
fn ten_megabytes_of_headers_are_refused() {
    let engine = Engine::isolated();
    let mut stream = http::connect(engine.socket()).unwrap();
    stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: x\r\n").unwrap();
    let answer = send_until_refused(&mut stream, &b"X-A: bbbbbbbbbb\r\n".repeat(4096), 10 << 20);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    lives(&engine);
}

#[test]
fn what_is_not_http_is_refused() {
    let engine = Engine::isolated();
    for bytes in
        [&b"\x16\x03\x01\x02\x00\x01\x00"[..], b"GET\r\n\r\n", b"\0\0\0\0\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"]
    {
        let mut stream = http::connect(engine.socket()).unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let answer = send_until_refused(&mut stream, &[], 0);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 505"),
            "{answer}"
        );
    }
    lives(&engine);
}

#[test]
fn half_a_body_creates_nothing() {
    let engine = Engine::isolated();
    let mut stream = http::connect(engine.socket()).unwrap();
    let head = b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n";
    stream.write_all(head).unwrap();
    stream.write_all(b"{\"Image\": \"x").unwrap();
    drop(stream);
    lives(&engine);
}

/// Ours alone: dockerd reads such a body for as long as it is sent.
#[test]
fn a_json_body_that_never_ends_is_refused() {
    let engine = Engine::ours();
    let mut stream = http::connect(engine.socket()).unwrap();
    let head = b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
        1\r\n{\r\n";
    stream.write_all(head).unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    let answer = send_until_refused(&mut stream, &chunk, 64 << 20);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");
    lives(&engine);
}

#[test]
fn deeply_nested_json_is_refused() {
    let engine = Engine::isolated();
    let body = "[".repeat(200_000);
    let request =
        Request::new("POST", "/containers/create").header("Content-Type", "application/json").body(body);
    assert_eq!(engine.request(&request).status(), 400);
    lives(&engine);
}

#[test]
fn idle_connections_keep_nobody_out() {
    let engine = Engine::ours();
    let count = Faults::of(10_000).count;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    let idle: Vec<_> = (0..count).map_while(|_| http::connect(engine.socket()).ok()).collect();
    assert_eq!(idle.len() as u64, count, "a connection was refused");
    lives(&engine);
    drop(idle);
    lives(&engine);
}

#[test]
fn random_bytes_never_end_the_engine() {
    let mut engine = Engine::ours();
    let mut faults = Faults::of(2_000);
    let seeds: [&[u8]; 3] = [
        b"GET /v1.44/info HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v1.44/containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
        b"GET /events?since=1&filters={\"type\":[\"image\"]} HTTP/1.1\r\nHost: x\r\n\r\n",
    ];
    for round in 0..faults.count {
        let mut bytes = seeds[(round % 3) as usize].to_vec();
        for _ in 0..=faults.below(6) {
            let at = faults.below(bytes.len() as u64) as usize;
            bytes[at] = faults.below(256) as u8;
        }
        let mut stream = http::connect(engine.socket()).unwrap();
        // The engine may hang up before all of it is written.
        let _ = stream.write_all(&bytes);
    }
    lives(&engine);
    assert!(engine.daemon().is_running());
    assert!(!engine.log().contains("panicked"), "{}", engine.log());
}
