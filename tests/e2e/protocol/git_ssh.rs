//! Repositories that are reached by ssh: with the client's agent, and without anything of the engine's host.
//!
//! The `ssh` that the engine finds is a script of the test's, which asks the agent that it was given and serves the repository
//! itself: who may come in is an ssh server's business, what it is asked with is ours.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

use buildkit::attach::Offer;
use testkit::command::run;
use testkit::{DEADLINE, Engine, eventually};

use super::git::repository;
use super::{Build, Definition};

/// Writes down what it is asked, and what the agent has.
const SSH: &str = r#"#!/bin/sh
{
    echo "asked: $*"
    echo "home: $HOME"
    ssh-add -l
    for word; do case $word in UserKnownHostsFile=*) eval "cat ${word#*=}" ;; esac; done
} >> PLACE/said 2>&1
for last; do :; done
cd PLACE
exec sh -c "$last"
"#;

struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn engine() -> Engine {
    Engine::planned(|plan, scratch| {
        let place = scratch.join("");
        let program = scratch.write("bin/ssh", SSH.replace("PLACE", place.to_str().expect("a path")));
        std::fs::set_permissions(program, Permissions::from_mode(0o755)).expect("a program");
        let path = std::env::var("PATH").unwrap_or_default();
        plan.env("PATH", format!("{}:{path}", scratch.join("bin").display()))
    })
}

/// An agent with a key of its own, and the key's comment.
fn agent(engine: &Engine) -> (Agent, Offer) {
    let (socket, key) = (engine.scratch().join("agent"), engine.scratch().join("key"));
    let mut command = Command::new("ssh-agent");
    command.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null());
    let agent = Agent(command.spawn().expect("ssh-agent"));
    let mut command = Command::new("ssh-keygen");
    run(command.args(["-q", "-t", "ed25519", "-N", "", "-C", "key-of-the-test", "-f"]).arg(&key)).ok();
    eventually(DEADLINE, || if socket.exists() { Ok(()) } else { Err("no agent") });
    run(Command::new("ssh-add").arg("-q").arg(&key).env("SSH_AUTH_SOCK", &socket)).ok();
    let agents = [("default".to_owned(), socket)].into();
    (agent, Offer { agents, ..Offer::default() })
}

// covers: buildkit llb-cap LLBCaps source.git.mountsshsock
// covers: buildkit llb-cap LLBCaps source.git.knownsshhosts
// covers: buildkit llb-source-attr SourceOp.attrs git.mountsshsock
// covers: buildkit llb-source-attr SourceOp.attrs git.knownsshhosts
// covers: buildkit session-metadata sshforward buildkit.ssh.id
#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_fetched_with_the_clients_agent() {
    let engine = engine();
    repository(&engine.scratch().join("whole.git"));
    let said = || std::fs::read_to_string(engine.scratch().join("said")).unwrap_or_default();
    let remote = "git@example.com:whole.git";
    let fetch_from = |fragment: &str, attributes: &[(&str, &str)]| {
        let mut definition = Definition::default();
        let all = [&[("git.fullurl", remote)], attributes].concat();
        let made = definition.source(&format!("git://example.com/whole.git#{fragment}"), &all);
        definition.end(&made)
    };
    let fetch = |attributes: &[(&str, &str)]| fetch_from("main", attributes);
    // Nobody lends an agent: nothing is asked.
    let without = Build::begin(&engine).await;
    let why = without.refused(fetch(&[("git.mountsshsock", "default")])).await;
    assert!(why.contains("no SSH key \"default\" forwarded from the client"), "{why}");
    assert_eq!(said(), "");
    let (_agent, offer) = agent(&engine);
    let build = Build::offering(&engine, offer).await;
    let hosts = "example.com ssh-ed25519 AAAAhost";
    let asked = [("git.mountsshsock", "default"), ("git.knownsshhosts", hosts)];
    let made = build.solve(fetch(&asked)).await.unwrap();
    assert_eq!(build.read(&made, "/file").await.unwrap(), "second\n");
    let told = said();
    for part in [
        "key-of-the-test",
        hosts,
        "StrictHostKeyChecking=yes",
        "-F /dev/null",
        "home: /dev/null",
        "git@example.com",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    // Of an unknown host, the first who answers is believed; an agent of another name is another one.
    let made = build.solve(fetch_from("main:sub", &[("git.mountsshsock", "default")])).await.unwrap();
    assert_eq!(build.names(&made, "/").await.unwrap(), ["inner"]);
    assert!(said().contains("StrictHostKeyChecking=no"), "{}", said());
    let why = build.refused(fetch(&[("git.mountsshsock", "other")])).await;
    assert!(why.contains("no SSH key \"other\""), "{why}");
    // Nothing of it stays.
    let left = std::fs::read_dir(engine.data_root().join("builds/tmp")).unwrap().count();
    assert_eq!(left, 0);
}

/// A Dockerfile's `ADD`, and a context: buildx and we lend the user's agent for that unasked.
#[tokio::test(flavor = "multi_thread")]
async fn commands_reach_repositories_by_ssh() {
    let engine = engine().with_plugins();
    let base = engine.busybox();
    let folder = engine.scratch().join("whole.git");
    repository(&folder);
    let text = format!("FROM {base}\nADD git@example.com:whole.git#v1 /added/\nCOPY file /copied\n");
    std::fs::write(folder.join("Dockerfile"), text).unwrap();
    for arguments in [&["add", "."][..], &["commit", "-q", "-m", "third"]] {
        super::git::git(&folder, arguments);
    }
    let (_agent, _) = agent(&engine);
    let buildx = {
        let mut command = engine.docker_command();
        command.arg("buildx");
        command
    };
    for (name, mut command) in [("ours", engine.ketch_command()), ("buildx", buildx)] {
        let tag = format!("{}:1", engine.name(name));
        command.env("SSH_AUTH_SOCK", engine.scratch().join("agent"));
        command.args(["build", "--no-cache", "--load", "-t", &tag, "git@example.com:whole.git"]);
        run(&mut command).ok();
        let mut seen = engine.docker_command();
        seen.args(["run", "--rm", "--network=none", &tag, "cat", "/added/file", "/copied"]);
        assert_eq!(run(&mut seen).ok(), "first\nsecond");
    }
}
