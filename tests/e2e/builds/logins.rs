//! Who the client is to registries, and how little of that an engine has to know.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine as _;
use testkit::Engine;
use testkit::command::{Output, run};

use super::Context;
use crate::registry::server::Private;

const PASSWORD: &str = "a-password-that-stays";
const RULES: &str = "
access:
- {repositories: ['**'], users: [ann], actions: [pull, push]}
";

/// Passes on what clients and engine say to one another, and keeps what clients say.
struct Tap {
    socket: PathBuf,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    fn before(engine: &Engine) -> Self {
        let socket = engine.scratch().join("tap.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (engine, keeping) = (engine.socket().to_owned(), heard.clone());
        // Ends with the test's process: nobody waits for a listener whose socket is gone.
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = UnixStream::connect(&engine) else { return };
                pass(client.try_clone().unwrap(), server.try_clone().unwrap(), Some(keeping.clone()));
                pass(server, client, None);
            }
        });
        Self { socket, heard }
    }

    /// Whether clients have said this since they were last asked.
    fn heard(&self, word: &str) -> bool {
        let heard = std::mem::take(&mut *self.heard.lock().unwrap());
        assert!(!heard.is_empty(), "nobody has said anything");
        heard.windows(word.len()).any(|window| window == word.as_bytes())
    }

    fn build(&self, mut client: Command, words: &[&str]) -> Output {
        client.env("DOCKER_HOST", format!("unix://{}", self.socket.display()));
        run(client.args(["build", "--progress=plain"]).args(words))
    }
}

fn pass(mut from: UnixStream, mut to: UnixStream, keeping: Option<Arc<Mutex<Vec<u8>>>>) {
    thread::spawn(move || {
        let mut bytes = [0; 64 << 10];
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            if let Some(kept) = &keeping {
                kept.lock().unwrap().extend_from_slice(&bytes[..read]);
            }
            if to.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        // Each direction ends by itself.
        let _ = to.shutdown(Shutdown::Write);
    });
}

/// A client's own file, without an engine's help: it would hear the password.
fn log_in(engine: &Engine, registry: &Private, password: &str) {
    let login = base64::engine::general_purpose::STANDARD.encode(format!("ann:{password}"));
    let auths = serde_json::json!({ "auths": { registry.address.to_string(): { "auth": login } } });
    engine.scratch().write("home/.docker/config.json", auths.to_string());
}

fn registry(auth: &str) -> Private {
    Private::with_files(&format!("auth: {{htpasswd: {{path: @/users}}{auth}}}\n{RULES}"), |scratch| {
        scratch.write("users", format!("ann:{}\n", bcrypt::hash(PASSWORD, 4).unwrap()));
    })
}

#[test]
fn a_password_stays_where_tokens_are_fetched() {
    let engine = Engine::ours().with_plugins();
    let tap = Tap::before(&engine);
    let base = engine.busybox();
    let registry = registry(", token: {}");
    let name = |rest: &str| format!("{}/team/{rest}:1", registry.address);
    log_in(&engine, &registry, PASSWORD);
    let first = Context::new(&engine, "first", "FROM BASE\nRUN echo first > /word\n");
    let second = Context::new(&engine, "second", "");
    second.file("Dockerfile", &format!("FROM {}\nRUN cat /word\n", name("first")));
    let (first, second) = (first.path().display().to_string(), second.path().display().to_string());
    for client in [Engine::docker_command, Engine::ketch_command] {
        let (cache, second_name) = (name("cache"), name("second"));
        // Pushed, with its cache; pulled, with a cache.
        let to = format!("type=registry,ref={cache},mode=max");
        tap.build(client(&engine), &["--push", "-t", &name("first"), "--cache-to", &to, &first]).ok();
        let from = format!("type=registry,ref={cache}");
        let words =
            ["--pull", "--no-cache", "--push", "-t", &second_name, "--cache-from", &from, second.as_str()];
        tap.build(client(&engine), &words).ok();
        assert!(!tap.heard(PASSWORD));
        // A client that fetches none gives what it has, and is heard.
        let mut trusting = client(&engine);
        trusting.env("BUILDKIT_NO_CLIENT_TOKEN", "true");
        tap.build(trusting, &words).ok();
        assert!(tap.heard(PASSWORD));
    }
    log_in(&engine, &registry, "wrong");
    for client in [Engine::docker_command, Engine::ketch_command] {
        let refused = tap.build(client(&engine), &["--pull", "--no-cache", &second]).assert_code(1);
        assert!(refused.stderr.contains("nauthorized"), "{}", refused.stderr);
    }
    run(engine.ketch_command().args(["rmi", &base])).ok();
}

#[test]
fn a_registry_that_wants_the_password_gets_it() {
    let engine = Engine::ours().with_plugins();
    let tap = Tap::before(&engine);
    engine.busybox();
    let registry = registry("");
    log_in(&engine, &registry, PASSWORD);
    let context = Context::new(&engine, "c", "FROM BASE\nRUN true\n");
    let folder = context.path().display().to_string();
    for client in [Engine::docker_command, Engine::ketch_command] {
        let name = format!("{}/team/app:1", registry.address);
        tap.build(client(&engine), &["--push", "-t", &name, &folder]).ok();
        assert!(tap.heard(PASSWORD));
        // Nobody asks a client about registries where there is none.
        tap.build(client(&engine), &["--no-cache", &folder]).ok();
        assert!(!tap.heard(PASSWORD));
    }
}
