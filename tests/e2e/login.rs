//! Logins: credentials are asked about where they are for, and kept where the configuration says.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::thread;

use serde_json::{Value, json};
use testkit::command::{Output, run};
use testkit::{Engine, Terminal};

/// `me:secret`, as a registry of the plain kind wants it.
const RIGHT: &str = "Basic bWU6c2VjcmV0";

/// A registry that knows one name and password, on a port of its own, until the test's process ends.
fn registry() -> String {
    let listener = testkit::own_network::listen();
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
    let closed = testkit::own_network::listen().local_addr().unwrap();
    let message = login(&engine, &closed.to_string(), "secret").expect(500).message();
    assert!(message.contains(&closed.to_string()) && !message.contains("secret"), "{message}");
    let nameless = engine.post("/auth", &json!({"serveraddress": closed.to_string()}));
    assert_eq!(
        nameless.expect(400).json(),
        Value::from_iter([("message", "no username, password or token was given")])
    );
}

/// A registry that trades `me:secret` for an identity token, and knows nobody else.
fn token_registry() -> String {
    let listener = testkit::own_network::listen();
    let address = listener.local_addr().unwrap().to_string();
    let realm = format!("http://{address}/token");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let realm = realm.clone();
            thread::spawn(move || serve_tokens(stream, &realm));
        }
    });
    address
}

fn serve_tokens(mut stream: TcpStream, realm: &str) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut first, mut known, mut token, mut length) = (String::new(), false, false, 0);
    while reader.read_line(&mut first).is_ok_and(|read| read > 0) {
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
            let lower = line.trim_end().to_ascii_lowercase();
            known |= lower == format!("authorization: {}", RIGHT.to_ascii_lowercase());
            token |= lower == "authorization: bearer short-lived";
            length = lower.strip_prefix("content-length: ").and_then(|n| n.parse().ok()).unwrap_or(length);
            line.clear();
        }
        let mut body = vec![0; length];
        std::io::Read::read_exact(&mut reader, &mut body).unwrap();
        // Either way to ask for a token: by the header or, OAuth's, by a form.
        let body = String::from_utf8_lossy(&body).into_owned();
        known |= body.contains("password=secret") || body.contains("refresh_token=long-lived");
        let for_token = first.contains(" /token");
        let answer =
            json!({"token": "short-lived", "access_token": "short-lived", "refresh_token": "long-lived"});
        let (head, body) = match (for_token && known) || (!for_token && token) {
            true => ("200 OK\r\nContent-Type: application/json".to_owned(), answer.to_string()),
            false if for_token => ("401 Unauthorized".to_owned(), "{}".to_owned()),
            false => {
                let offer = format!("Bearer realm=\"{realm}\",service=\"test\"");
                (format!("401 Unauthorized\r\nWWW-Authenticate: {offer}"), "{}".to_owned())
            }
        };
        let reply = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(reply.as_bytes()).is_err() {
            return;
        }
        (known, token, length) = (false, false, 0);
        first.clear();
    }
}

/// Both command lines log in with a password, each with a configuration of its own: what they said and what it became.
fn both_log_in(engine: &Engine, server: &str, config: &str) -> [(Output, String); 2] {
    let helper = engine.scratch().write("bin/docker-credential-kt", HELPER);
    std::fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", helper.parent().unwrap().display());
    [("ours", engine.ketch_command()), ("theirs", engine.docker_command())].map(|(name, mut command)| {
        let file = engine.scratch().write(&format!("{name}/config.json"), config);
        let folder = file.parent().unwrap();
        command.env("DOCKER_CONFIG", folder).env("PATH", &path).env("KEPT", folder.join("kept"));
        let output = run(command.args(["login", server, "-u", "me", "-p", "secret"]));
        (output, std::fs::read_to_string(file).unwrap())
    })
}

/// Keeps what it is given in the file `KEPT`.
const HELPER: &str = r#"#!/bin/sh
case $1 in
    store) cat > "$KEPT" ;;
    get) [ -s "$KEPT" ] && cat "$KEPT" || { echo credentials not found in native keychain; exit 1; } ;;
    erase) rm -f "$KEPT" ;;
esac
"#;

// covers: value client-config config.json credsStore
// covers: value client-config config.json credHelpers
// covers: registry client-behaviour pull/push credential helpers
#[test]
fn a_helper_keeps_what_the_file_must_not() {
    let engine = Engine::isolated();
    let server = registry();
    let own = format!(r#"{{"credHelpers":{{"{server}":"kt"}},"credsStore":"nosuch"}}"#);
    for config in [r#"{"credsStore":"kt"}"#, own.as_str()] {
        let [(ours, our_file), (theirs, their_file)] = both_log_in(&engine, &server, config);
        assert_eq!((ours.code, &ours.stdout, &ours.stderr), (0, &theirs.stdout, &theirs.stderr));
        let [our_file, their_file]: [Value; 2] =
            [our_file, their_file].map(|text| serde_json::from_str(&text).unwrap());
        assert_eq!(our_file, their_file);
        assert_eq!(our_file["auths"][&server], json!({}));
        let kept = |name: &str| engine.scratch().join(name).join("kept");
        let read =
            |name: &str| -> Value { serde_json::from_slice(&std::fs::read(kept(name)).unwrap()).unwrap() };
        assert_eq!(read("ours"), json!({"ServerURL": server, "Username": "me", "Secret": "secret"}));
        assert_eq!(read("ours"), read("theirs"));
        let again = |mut command: std::process::Command, name: &str, arguments: &[&str]| {
            let folder = engine.scratch().join(name);
            let path = format!("{}:/usr/bin:/bin", engine.scratch().join("bin").display());
            command.env("DOCKER_CONFIG", &folder).env("PATH", path).env("KEPT", folder.join("kept"));
            run(command.args(arguments))
        };
        let known = again(engine.ketch_command(), "ours", &["login", &server]).assert_code(0);
        assert!(known.stderr.contains("existing credentials... [Username: me]"), "{}", known.stderr);
        again(engine.ketch_command(), "ours", &["logout", &server]).ok();
        assert!(!kept("ours").exists());
    }
    let [(ours, _), (theirs, _)] = both_log_in(&engine, &server, r#"{"credsStore":"nosuch"}"#);
    assert_eq!((ours.code, &ours.stdout, &ours.stderr), (theirs.code, &theirs.stdout, &theirs.stderr));
    assert!(ours.stderr.contains("docker-credential-nosuch"), "{}", ours.stderr);
}

#[test]
fn a_token_is_kept_instead_of_the_password() {
    let engine = Engine::isolated();
    let server = token_registry();
    let [(ours, our_file), (theirs, their_file)] = both_log_in(&engine, &server, "{}");
    assert_eq!((ours.code, &ours.stdout), (0, &theirs.stdout), "{}\n{}", ours.stderr, theirs.stderr);
    assert_eq!(our_file, their_file);
    assert!(our_file.contains("\"identitytoken\": \"long-lived\""), "{our_file}");
    let [(with_helper, file), _] = both_log_in(&engine, &server, r#"{"credsStore":"kt"}"#);
    let kept = std::fs::read_to_string(engine.scratch().join("ours/kept")).unwrap();
    assert!(with_helper.code == 0 && kept.contains("\"<token>\"") && !kept.contains("secret"), "{kept}");
    assert!(!file.contains("long-lived"), "{file}");
}

// covers: value client-env docker DOCKER_AUTH_CONFIG
#[test]
fn the_variable_of_credentials_is_believed_first() {
    let engine = Engine::isolated();
    let server = registry();
    let auth = json!({"auths": {&server: {"auth": "bWU6c2VjcmV0"}}}).to_string();
    for variable in [auth.as_str(), r#"{"auths":{}}"#] {
        let [ours, theirs] =
            [Engine::ketch_command as fn(&Engine) -> _, Engine::docker_command].map(|client| {
                ["login", "logout"].map(|verb| {
                    run(client(&engine).env("DOCKER_AUTH_CONFIG", variable).args([verb, server.as_str()]))
                })
            });
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(
                (ours.code, &ours.stdout, &ours.stderr),
                (theirs.code, &theirs.stdout, &theirs.stderr)
            );
            assert!(ours.stderr.contains("takes precedence"), "{}", ours.stderr);
        }
        assert_eq!(ours[0].code, i32::from(variable != auth), "{}", ours[0].stderr);
    }
}

#[test]
fn a_person_is_asked_and_the_password_not_shown() {
    let engine = Engine::isolated();
    let server = registry();
    for mut command in [engine.ketch_command(), engine.docker_command()] {
        command.env("TERM", "xterm");
        let mut terminal = Terminal::start(command.args(["login", &server]), 40, 120);
        terminal.wait_for("Username: ");
        terminal.type_in("me\n");
        terminal.wait_for("Password: ");
        terminal.type_in("secret\n");
        assert_eq!(terminal.wait(), Some(0), "{}", terminal.shown());
        let shown = terminal.shown();
        assert!(shown.contains("Login Succeeded") && !shown.contains("secret"), "{shown}");
        engine.docker(["logout", &server]).ok();
    }
    let mut command = engine.ketch_command();
    let mut terminal = Terminal::start(command.env("TERM", "xterm").args(["login", &server]), 40, 120);
    terminal.wait_for("Username: ");
    terminal.type_in("\u{3}");
    assert_eq!(terminal.wait(), Some(130), "{}", terminal.shown());
}

#[test]
fn logins_that_cannot_be_are_refused_in_dockers_words() {
    let engine = Engine::isolated();
    for arguments in [
        &["login"][..],
        &["login", "r.example", "-u", "me"],
        &["login", "--password-stdin"],
        &["login", "-u", "me", "-p", "x", "--password-stdin"],
        &["logout"],
        &["logout", "https://r.example/v1/"],
    ] {
        let [ours, theirs] =
            [engine.ketch_command(), engine.docker_command()].map(|mut command| run(command.args(arguments)));
        let ours_said = ours.stderr.replace("ketch", "docker");
        assert_eq!(
            (ours.code, &ours.stdout, &ours_said),
            (theirs.code, &theirs.stdout, &theirs.stderr),
            "{arguments:?}"
        );
    }
}
