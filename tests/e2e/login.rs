//! `POST /auth`: credentials are asked about where they are for.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::{Value, json};
use testkit::Engine;

/// `me:secret`, as a registry of the plain kind wants it.
const RIGHT: &str = "Basic bWU6c2VjcmV0";

/// A registry that knows one name and password, on a port of its own, until the test's process ends.
fn registry() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    address
}

fn answer(mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut known = false;
        let mut line = String::new();
        let mut lines = 0;
        while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
            let header = line.trim_end().split_once(": ");
            known |= header
                .is_some_and(|(name, given)| name.eq_ignore_ascii_case("authorization") && given == RIGHT);
            line.clear();
            lines += 1;
        }
        if lines == 0 {
            return;
        }
        let head = match known {
            true => "200 OK\r\n",
            false => "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"test\"\r\n",
        };
        let reply = format!("HTTP/1.1 {head}Content-Length: 2\r\n\r\n{{}}");
        if stream.write_all(reply.as_bytes()).is_err() {
            return;
        }
    }
}

fn login(engine: &Engine, server: &str, password: &str) -> testkit::http::Reply {
    let body = json!({"username": "me", "password": password, "serveraddress": server});
    engine.post("/auth", &body)
}

// covers: api POST /auth
// covers: field AuthConfig username
// covers: field AuthConfig password
// covers: field AuthConfig serveraddress
#[test]
fn the_registry_decides_whether_credentials_are_right() {
    let engine = Engine::isolated();
    let server = registry();
    let right = login(&engine, &server, "secret").expect(200).json();
    assert_eq!(right, json!({"Status": "Login Succeeded", "IdentityToken": ""}));
    // dockerd has no class for this answer of a registry.
    let refused = if engine.is_peer() { 500 } else { 401 };
    let wrong = login(&engine, &server, "guess").expect(refused).message();
    assert!(!wrong.contains("guess"), "{wrong}");
}

#[test]
fn nobody_there_is_an_error_and_no_login() {
    let engine = Engine::ours();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let message = login(&engine, &closed.to_string(), "secret").expect(500).message();
    assert!(message.contains(&closed.to_string()) && !message.contains("secret"), "{message}");
    let nameless = engine.post("/auth", &json!({"serveraddress": closed.to_string()}));
    assert_eq!(
        nameless.expect(400).json(),
        Value::from_iter([("message", "no username, password or token was given")])
    );
}
