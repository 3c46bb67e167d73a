//! What steers a client besides its flags: the environment, `config.json`, the scheme of an address; beside the real client.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use serde_json::json;
use testkit::Engine;
use testkit::command;

/// An engine that knows one answer, and passes on the heads of the requests that it gets.
fn listener() -> (String, Receiver<String>) {
    let listener = testkit::own_network::listen();
    let host = format!("tcp://{}", listener.local_addr().expect("its address"));
    let (sender, heads) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let sender = sender.clone();
            thread::spawn(move || answer(stream, &sender));
        }
    });
    (host, heads)
}

fn answer(mut stream: TcpStream, heads: &Sender<String>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    loop {
        let mut head = String::new();
        while reader.read_line(&mut head).is_ok_and(|length| length > 2) {}
        let reply = "HTTP/1.1 200 OK\r\nApi-Version: 1.51\r\nContent-Type: application/json\r\n";
        let (length, body) = if head.starts_with("HEAD") { (0, "") } else { (2, "[]") };
        let reply = format!("{reply}Content-Length: {length}\r\n\r\n{body}");
        let gone = head.trim().is_empty() || heads.send(head).is_err();
        if gone || stream.write_all(reply.as_bytes()).is_err() {
            return;
        }
    }
}

fn both(engine: &Engine) -> [Command; 2] {
    [engine.ketch_command(), engine.docker_command()]
}

/// The head of the last request, in lower case: header names have no case.
fn last(heads: &Receiver<String>) -> String {
    heads.try_iter().last().expect("a request").to_ascii_lowercase()
}

// covers: value client-config config.json HttpHeaders
// covers: value client-env docker DOCKER_CUSTOM_HEADERS
#[test]
fn headers_of_the_users_own_go_with_every_request() {
    let engine = Engine::isolated();
    let (host, heads) = listener();
    let config = json!({"HttpHeaders": {"X-From-File": "file"}});
    engine.scratch().write("home/.docker/config.json", config.to_string());
    for mut client in both(&engine) {
        command::run(client.env("DOCKER_HOST", &host).args(["ps", "-q"])).ok();
        assert!(last(&heads).contains("\r\nx-from-file: file\r\n"));
    }
    for mut client in both(&engine) {
        client.env("DOCKER_HOST", &host).env("DOCKER_CUSTOM_HEADERS", "\"X-Own=1,2\",X-Other=b=c");
        command::run(client.args(["ps", "-q"])).ok();
        let head = last(&heads);
        assert!(head.contains("\r\nx-own: 1,2\r\n") && head.contains("\r\nx-other: b=c\r\n"), "{head}");
        assert!(!head.contains("x-from-file"), "{head}");
    }
    for mut client in both(&engine) {
        client.env("DOCKER_HOST", &host).env("DOCKER_CUSTOM_HEADERS", "X-Own");
        let told = command::run(client.args(["ps", "-q"])).assert_code(1).stderr;
        assert!(told.contains("DOCKER_CUSTOM_HEADERS") && told.contains("missing \"=\""), "{told}");
    }
    assert!(heads.try_iter().next().is_none(), "nothing was sent");
}

// covers: value client-env docker DOCKER_API_VERSION
#[test]
fn the_version_of_the_api_can_be_fixed() {
    let engine = Engine::isolated();
    let (host, heads) = listener();
    for mut client in both(&engine) {
        client.env("DOCKER_HOST", &host).env("DOCKER_API_VERSION", "1.44");
        command::run(client.args(["ps", "-q"])).ok();
        assert!(last(&heads).starts_with("get /v1.44/containers/json"));
    }
}

// covers: value client-env docker DOCKER_HOST
// covers: value client-env docker DOCKER_CONTEXT
// covers: value client-env docker DOCKER_CONFIG
// covers: value client-config config.json currentContext
// covers: value context-endpoint docker context docker
// covers: value host-scheme -H / contexts unix://
// covers: value host-scheme -H / contexts tcp://
#[test]
fn variables_and_the_file_choose_the_engine() {
    let engine = Engine::isolated();
    let (host, heads) = listener();
    let format = "{{.Server.Os}}";
    for mut client in both(&engine) {
        // The engine's own socket: DOCKER_HOST=unix://…
        assert_eq!(command::run(client.args(["version", "--format", format])).ok(), "linux");
    }
    for name in ["far", "near"] {
        let endpoint =
            if name == "far" { host.clone() } else { format!("unix://{}", engine.socket().display()) };
        engine.ketch(["context", "create", name, "--docker", &format!("host={endpoint}")]).ok();
    }
    for mut client in both(&engine) {
        client.env_remove("DOCKER_HOST").env("DOCKER_CONTEXT", "far");
        command::run(client.args(["ps", "-q"])).ok();
        assert!(last(&heads).contains("/containers/json"));
    }
    engine.ketch(["context", "use", "far"]).ok();
    for mut client in both(&engine) {
        command::run(client.env_remove("DOCKER_HOST").args(["ps", "-q"])).ok();
        assert!(last(&heads).contains("/containers/json"));
    }
    for mut client in both(&engine) {
        // The variable is stronger than the file.
        client.env_remove("DOCKER_HOST").env("DOCKER_CONTEXT", "near");
        assert_eq!(command::run(client.args(["version", "--format", format])).ok(), "linux");
    }
    let elsewhere = engine.scratch().join("elsewhere");
    for mut client in both(&engine) {
        client.env_remove("DOCKER_HOST").env("DOCKER_CONFIG", &elsewhere).env("DOCKER_CONTEXT", "far");
        let told = command::run(client.args(["ps", "-q"])).assert_code(1).stderr;
        assert!(told.contains("\"far\""), "{told}");
    }
    assert!(heads.try_iter().next().is_none(), "nobody went to the far engine");
}

/// A proxy that leads wherever it is asked to go to `target`, and passes on what it was asked for.
pub(crate) fn proxy(target: &str) -> (String, Receiver<String>) {
    let listener = testkit::own_network::listen();
    let host = format!("http://me:secret@{}", listener.local_addr().expect("its address"));
    let (sender, asked) = channel();
    let target = target.trim_start_matches("tcp://").to_owned();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (sender, target) = (sender.clone(), target.clone());
            thread::spawn(move || lead(stream, &target, &sender));
        }
    });
    (host, asked)
}

fn lead(mut near: TcpStream, target: &str, asked: &Sender<String>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if std::io::Read::read_exact(&mut near, &mut byte).is_err() {
            return;
        }
        head.push(byte[0]);
    }
    asked.send(String::from_utf8_lossy(&head).into_owned()).expect("the test listens");
    let mut far = TcpStream::connect(target).expect("the engine");
    near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").expect("an answer");
    let (mut near_in, mut far_out) =
        (near.try_clone().expect("a handle"), far.try_clone().expect("a handle"));
    thread::spawn(move || {
        let _ = std::io::copy(&mut near_in, &mut far_out);
        let _ = far_out.shutdown(std::net::Shutdown::Write);
    });
    let _ = std::io::copy(&mut far, &mut near);
}

// covers: value client-env docker HTTP_PROXY
// covers: value client-env docker NO_PROXY
#[test]
fn a_tcp_engine_is_reached_through_the_proxy() {
    let engine = Engine::isolated();
    let (host, heads) = listener();
    let (proxy, asked) = proxy(&host);
    let mut client = engine.ketch_command();
    client.env("DOCKER_HOST", "tcp://engine.invalid:2375").env("HTTP_PROXY", &proxy);
    command::run(client.args(["ps", "-q"])).ok();
    let head = asked.try_iter().next().expect("the proxy was asked");
    assert!(head.starts_with("CONNECT engine.invalid:2375 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nProxy-Authorization: Basic bWU6c2VjcmV0\r\n"), "{head}");
    assert!(last(&heads).contains("host: engine.invalid:2375"));
    // Neither what is named nor this machine itself.
    client.env("NO_PROXY", ".invalid");
    let told = command::run(&mut client).assert_code(1).stderr;
    assert!(told.contains("engine.invalid") && !told.contains("secret"), "{told}");
    let mut client = engine.ketch_command();
    command::run(client.env("DOCKER_HOST", &host).env("HTTP_PROXY", &proxy).args(["ps", "-q"])).ok();
    assert!(asked.try_iter().next().is_none(), "the proxy was not asked again");
}

#[test]
fn a_proxy_that_refuses_is_told_with_its_words() {
    let engine = Engine::isolated();
    // Something that is no proxy: it answers every request alike, and that is no tunnel.
    let listener = testkit::own_network::listen();
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = std::io::Read::read(&mut stream, &mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 403 Not with me\r\n\r\n");
        }
    });
    let mut client = engine.ketch_command();
    client.env("DOCKER_HOST", "tcp://engine.invalid:2375").env("HTTP_PROXY", format!("http://{address}"));
    let told = command::run(client.args(["ps", "-q"])).assert_code(1).stderr;
    assert!(told.contains("403 Not with me") && told.contains("NO_PROXY"), "{told}");
}

// refuses: value host-scheme -H / contexts npipe:// because named pipes exist on Windows only
// refuses: value host-scheme -H / contexts http:// because docker's clients write tcp://, and refuse it too
// refuses: value host-scheme -H / contexts https:// because docker's clients write tcp:// with --tls, and refuse it too
#[test]
fn addresses_that_no_client_takes_are_refused_by_name() {
    let engine = Engine::isolated();
    for address in ["http://127.0.0.1:1", "https://127.0.0.1:1", "npipe:////./pipe/x", "ftp://x"] {
        for mut client in both(&engine) {
            let output = command::run(client.args(["-H", address, "version"]));
            assert_ne!(output.code, 0, "{address}: {output:?}");
        }
        let told = engine.ketch(["-H", address, "version"]).assert_code(1).stderr;
        assert!(told.contains(address), "{told}");
    }
}

// covers: value client-env docker DOCKER_HIDE_LEGACY_COMMANDS
#[test]
fn commands_that_a_group_has_too_can_be_hidden() {
    let engine = Engine::isolated();
    for hide in [false, true] {
        for mut client in both(&engine) {
            if hide {
                client.env("DOCKER_HIDE_LEGACY_COMMANDS", "1");
            }
            let help = command::run(client.arg("--help")).ok();
            assert_eq!(help.contains("\nCommands:\n"), !hide, "{help}");
            assert!(help.contains("\n  run ") && help.contains("\n  container "), "{help}");
        }
    }
    for mut client in both(&engine) {
        // Hidden is not gone.
        let output = command::run(client.env("DOCKER_HIDE_LEGACY_COMMANDS", "1").args(["rm", "--help"]));
        assert!(output.ok().contains("Remove one or more containers"));
    }
}

/// A plugin that would like to be asked behind `version`.
const HOOKED: &str = r#"#!/bin/sh
if [ "$1" = docker-cli-plugin-metadata ]; then
  echo '{"SchemaVersion":"0.1.0","Vendor":"Test","Version":"1"}'
elif [ "$1" = docker-cli-plugin-hooks ]; then
  touch "$HOME/called"
fi
"#;

// refuses: value client-config config.json plugins because a plugin runs when it is called, never behind other commands; its own keys are kept in the file
// refuses: value client-config config.json features because what they switch in docker's client (hooks) doesn't exist here
// refuses: value client-env docker DOCKER_CLI_HOOKS because no plugin runs behind other commands
// refuses: value client-env docker DOCKER_CLI_HINTS because commands print their result and no hints
#[test]
fn nothing_runs_or_is_printed_behind_a_command() {
    use std::os::unix::fs::PermissionsExt as _;
    let engine = Engine::isolated();
    let plugin = engine.scratch().write("home/.docker/cli-plugins/docker-hooked", HOOKED);
    std::fs::set_permissions(&plugin, std::fs::Permissions::from_mode(0o755)).expect("permissions");
    let config =
        json!({"plugins": {"hooked": {"hooks": "version", "own": "kept"}}, "features": {"hooks": "true"}});
    engine.scratch().write("home/.docker/config.json", config.to_string());
    let arguments = ["version", "--format", "{{.Server.Os}}"];
    for hints in ["true", "false"] {
        let mut client = engine.ketch_command();
        client.env("DOCKER_CLI_HOOKS", hints).env("DOCKER_CLI_HINTS", hints);
        let output = command::run(client.args(arguments));
        assert_eq!(output.stderr, "");
        assert_eq!(output.ok(), "linux");
    }
    assert!(!engine.scratch().join("home/called").exists());
    engine.ketch(["context", "create", "one", "--docker", "host=unix:///nowhere.sock"]).ok();
    engine.ketch(["context", "use", "one"]).ok();
    let kept = std::fs::read_to_string(engine.scratch().join("home/.docker/config.json")).expect("the file");
    assert!(kept.contains("\"own\": \"kept\"") && kept.contains("currentContext"), "{kept}");
}
