//! An engine behind another program's input and output: `system dial-stdio`, and `ssh://` that uses it.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use testkit::command::{self, client, ketch_binary};
use testkit::{DEADLINE, Engine, Scratch, eventually, leaks};

// covers: cli docker system dial-stdio
#[test]
fn dial_stdio_carries_a_conversation() {
    let engine = Engine::isolated();
    for mut command in [engine.ketch_command(), engine.docker_command()] {
        let mut child = command
            .args(["system", "dial-stdio"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a client");
        let mut input = child.stdin.take().expect("a pipe");
        input
            .write_all(b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .expect("somebody reads");
        let mut text = String::new();
        child.stdout.take().expect("a pipe").read_to_string(&mut text).expect("text");
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("OK"), "{text}");
        drop(input);
        assert!(child.wait().expect("an end").success());
    }
}

/// A program `ssh` that says how it was called and runs the remote command here, where `program` is the only client.
fn fake_ssh(scratch: &Scratch, program: &str, command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
    let line = words.iter().map(|word| format!("'{}'", word.display())).collect::<Vec<_>>().join(" ");
    let remote = scratch.join(&format!("remote-{program}"));
    let far = format!("#!/bin/sh\nexec {line} \"$@\"\n");
    let ssh = format!(
        "#!/bin/sh\necho \"$@\" >>'{log}'\nfor last; do :; done\nPATH='{remote}':/usr/bin:/bin exec sh -c \"$last\"\n",
        log = scratch.join("ssh.log").display(),
        remote = remote.display(),
    );
    for (path, text) in [(format!("remote-{program}/{program}"), far), ("near/ssh".to_owned(), ssh)] {
        let path = scratch.write(&path, text);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("an executable");
    }
    format!("{}:/usr/bin:/bin", scratch.join("near").display())
}

// covers: value host-scheme -H / contexts ssh://
#[test]
fn ssh_reaches_an_engine_through_either_program() {
    let engine = Engine::isolated();
    for (name, far) in [("ketch", Command::new(ketch_binary())), ("docker", client("docker"))] {
        let path = fake_ssh(engine.scratch(), name, &far);
        let host = format!("ssh://me@far.example:2222{}", engine.socket().display());
        // The remote side finds its engine by the path in the address; the near side's own variable isn't asked.
        let mut near = engine.ketch_command();
        near.env("PATH", &path).env_remove("DOCKER_HOST").args(["--host", &host]);
        let told = command::run(near.args(["version", "--format", "{{.Server.Os}}"]));
        assert_eq!(told.ok(), "linux");
        let calls = std::fs::read_to_string(engine.scratch().join("ssh.log")).expect("ssh was called");
        let last = calls.lines().last().unwrap_or_default();
        assert!(
            last.contains("-l me") && last.contains("-p 2222") && last.contains("-- far.example"),
            "{last}"
        );
    }
}

#[test]
fn the_real_client_reaches_our_engine_through_ssh() {
    let engine = Engine::isolated();
    let far: Command = if engine.is_peer() { client("docker") } else { Command::new(ketch_binary()) };
    let path = fake_ssh(engine.scratch(), "docker", &far);
    let mut near = engine.docker_command();
    near.env("PATH", path).env_remove("DOCKER_HOST");
    near.args(["--host", &format!("ssh://me@far.example{}", engine.socket().display())]);
    assert_eq!(command::run(near.args(["version", "--format", "{{.Server.Os}}"])).ok(), "linux");
    // docker's client waits for nobody; the far side ends when it finds its input closed.
    eventually(DEADLINE, || {
        let mut left = leaks::processes(engine.scratch().path());
        left.retain(|(_, how)| how.contains("dial-stdio"));
        if left.is_empty() { Ok(()) } else { Err(left) }
    });
}

#[test]
fn an_ssh_that_fails_is_told_with_its_words() {
    let engine = Engine::isolated();
    let ssh =
        engine.scratch().write("near/ssh", "#!/bin/sh\necho 'Host key verification failed.' >&2\nexit 255\n");
    std::fs::set_permissions(ssh, std::fs::Permissions::from_mode(0o755)).expect("an executable");
    let mut near = engine.ketch_command();
    near.env("PATH", format!("{}:/usr/bin:/bin", engine.scratch().join("near").display()));
    let told = command::run(near.env_remove("DOCKER_HOST").args(["--host", "ssh://far.example", "version"]));
    assert_eq!(told.code, 1, "{told:?}");
    assert!(told.stderr.contains("Host key verification failed."), "{told:?}");
    for wrong in ["ssh://-oProxyCommand=x", "ssh://me:secret@far.example", "ssh://"] {
        let mut near = engine.ketch_command();
        let told = command::run(near.env_remove("DOCKER_HOST").args(["--host", wrong, "version"]));
        assert!(told.code == 1 && !told.stderr.contains("secret"), "{told:?}");
    }
}
