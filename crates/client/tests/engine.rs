//! The client against scripted engines: what they say, byte by byte, and what the client makes of it.

#![expect(clippy::unwrap_used, reason = "a scripted engine that fails is a failed test")]

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::mpsc;

use client::{Endpoint, Engine, Error, Host};
use http::Method;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// An engine that answers each request on one connection with the next text; the requests' heads are handed out.
struct Scripted {
    _dir: TempDir,
    socket: PathBuf,
    requests: mpsc::Receiver<String>,
}

fn scripted(answers: Vec<String>) -> Scripted {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let (sender, requests) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        for answer in answers {
            let Some(head) = read_head(&mut stream) else { return };
            let _ = sender.send(head);
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
        // Whatever comes on an upgraded connection goes back in capitals.
        let mut bytes = [0; 64];
        while let Ok(size) = stream.read(&mut bytes) {
            if size == 0 || stream.write_all(&bytes[..size].to_ascii_uppercase()).is_err() {
                return;
            }
        }
    });
    Scripted { _dir: dir, socket, requests }
}

fn read_head(stream: &mut UnixStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

impl Scripted {
    fn engine(&self) -> Engine {
        Engine::new(Endpoint {
            context: "default".into(),
            address: format!("unix://{}", self.socket.display()),
            host: Host::Unix(self.socket.clone()),
            tls: None,
            builtin: false,
            api_version: None,
            headers: vec![("X-Meta".into(), "1".into())],
            proxies: dial::Proxies::default(),
        })
    }

    fn request(&self) -> String {
        self.requests.recv().unwrap()
    }
}

fn ping(version: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nApi-Version: {version}\r\nOstype: linux\r\nContent-Length: 0\r\n\r\n")
}

fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn the_older_version_of_both_sides_is_spoken_on_one_connection() {
    let script = scripted(vec![ping("1.40"), answer("200 OK", "{\"z\":1,\"a\":2}")]);
    let engine = script.engine();
    assert_eq!(engine.get("/info").await.unwrap().to_string(), "{\"z\":1,\"a\":2}");
    assert_eq!(engine.version().await.unwrap(), "1.40");
    assert!(script.request().starts_with("HEAD /_ping HTTP/1.1\r\n"));
    let request = script.request().to_lowercase();
    assert!(
        request.starts_with("get /v1.40/info http/1.1\r\n") && request.contains("x-meta: 1"),
        "{request}"
    );
}

#[tokio::test]
async fn an_error_is_the_engines_own_sentence() {
    let script =
        scripted(vec![ping("9.9"), answer("404 Not Found", "{\"message\":\"No such container: x\"}")]);
    let error = script.engine().get("/containers/x/json").await.unwrap_err();
    assert!(error.is_status(404));
    assert_eq!(error.to_string(), "Error response from daemon: No such container: x");
}

#[tokio::test]
async fn broken_answers_are_errors() {
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(1 << 20));
    let huge = "HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n".to_owned();
    for broken in [answer("200 OK", "{\"a\":"), "nonsense\r\n\r\n".into(), endless, huge] {
        let script = scripted(vec![ping("1.51"), broken.clone()]);
        let result = script.engine().get("/info").await;
        assert!(result.is_err(), "{}", &broken[..broken.len().min(60)]);
    }
}

#[tokio::test]
async fn an_upgraded_connection_carries_bytes_both_ways() {
    let switch = "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n\
                  Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
    let script = scripted(vec![ping("1.51"), switch.into()]);
    let mut taken = script.engine().upgrade("/containers/x/attach?stream=1", "tcp", None).await.unwrap();
    assert!(taken.multiplexed);
    taken.io.write_all(b"hello").await.unwrap();
    let mut reply = [0; 5];
    taken.io.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b"HELLO");
}

#[tokio::test]
async fn an_upgrade_that_is_refused_is_an_error() {
    let script = scripted(vec![ping("1.51"), answer("200 OK", "{}")]);
    let refused = script.engine().upgrade("/session", "h2c", None).await.map(drop);
    assert!(matches!(refused, Err(Error::NotUpgraded { status: 200, .. })));
}

#[tokio::test]
async fn a_stream_arrives_in_pieces() {
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n";
    let script = scripted(vec![ping("1.51"), chunks.into()]);
    let mut body = script.engine().stream(Method::GET, "/events", None).await.unwrap();
    let mut all = Vec::new();
    while let Some(piece) = body.next().await.unwrap() {
        all.extend_from_slice(&piece);
    }
    assert_eq!(all, b"onetwo");
}

#[tokio::test]
async fn nobody_there_is_said_in_dockers_words() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("none.sock");
    let endpoint = Endpoint {
        context: "default".into(),
        address: "unix:///none.sock".into(),
        host: Host::Unix(socket),
        tls: None,
        builtin: false,
        api_version: None,
        headers: Vec::new(),
        proxies: dial::Proxies::default(),
    };
    let error = Engine::new(endpoint).get("/info").await.unwrap_err();
    let words = "Cannot connect to the Docker daemon at unix:///none.sock. Is the docker daemon running?";
    assert_eq!(error.to_string(), words);
}
