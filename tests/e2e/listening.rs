//! The ways in: several sockets, systemd's descriptors, TCP with client certificates.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use testkit::command::{self, client, ketch_binary};
use testkit::daemon::{Daemon, Plan};
use testkit::http::{self, Request};
use testkit::{Engine, Scratch};

#[test]
fn one_engine_listens_on_several_sockets() {
    let engine = Engine::planned(|plan, scratch| {
        let (first, second) = (plan.socket.clone(), scratch.join("run/second.sock"));
        let host = |path: &std::path::Path| format!("unix://{}", path.display());
        plan.arg("-H").arg(host(&first)).arg("-H").arg(host(&second))
    });
    let reply =
        http::call(&engine.scratch().join("run/second.sock"), &Request::new("GET", "/_ping")).unwrap();
    assert_eq!(reply.text(), "OK");
    engine.get("/_ping").expect(200);
}

// covers: value host-scheme -H / contexts fd://
#[test]
fn a_socket_of_systemd_is_used() {
    let scratch = Scratch::create();
    let path = scratch.join("activated.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let plan = Plan::below(&scratch).arg("-H").arg("fd://");
    let engine = plan.command();
    let mut command = Command::new("sh");
    // systemd gives the sockets from descriptor 3 on, and says so to this very process.
    command.args(["-c", "exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"", "sh"]);
    command.arg(engine.get_program()).args(engine.get_args());
    command.stdin(Stdio::from(OwnedFd::from(listener))).stdout(Stdio::null()).stderr(Stdio::piped());
    // A client that comes before the engine waits in the queue.
    let early = http::connect(&path).unwrap();
    let mut daemon = Daemon::spawn(&mut command);
    daemon.wait_ready();
    drop(early);
    assert_eq!(http::call(&path, &Request::new("GET", "/_ping")).unwrap().text(), "OK");
    daemon.signal(rustix::process::Signal::TERM);
    assert!(daemon.wait().success(), "{}", daemon.log());
    assert!(path.exists(), "the socket is systemd's to remove");
    scratch.remove();
}

/// A certificate authority, a server and a client, made by openssl.
pub(crate) fn certificates(scratch: &Scratch) -> String {
    let script = "set -e; cd \"$1\"; \
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca-key.pem -out ca.pem; \
        sign() { openssl req -newkey rsa:2048 -nodes -subj /CN=$1 -keyout $1-key.pem -out $1.csr; \
          printf 'subjectAltName=IP:127.0.0.1\\nextendedKeyUsage=serverAuth,clientAuth\\n' >ext; \
          openssl x509 -req -days 2 -in $1.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -extfile ext -out $1.pem; }; \
        sign server; sign client; mkdir -p client; cp ca.pem client/ca.pem; cp client.pem client/cert.pem; \
        cp client-key.pem client/key.pem";
    let folder = scratch.join("pki");
    std::fs::create_dir_all(&folder).expect("a folder in the scratch directory");
    command::run(Command::new("sh").args(["-c", script, "sh"]).arg(&folder)).ok();
    folder.to_str().unwrap_or_default().to_owned()
}

// covers: value client-env docker DOCKER_CERT_PATH
// covers: value client-env docker DOCKER_TLS_VERIFY
// covers: daemon flag --tlsverify
// covers: daemon flag --tlscacert
// covers: daemon flag --tlscert
// covers: daemon flag --tlskey
#[test]
fn tcp_is_for_those_with_a_certificate() {
    let port = testkit::own_network::listen().local_addr().unwrap().port();
    let host = format!("tcp://127.0.0.1:{port}");
    let engine = Engine::planned(|plan, scratch| {
        let folder = certificates(scratch);
        let socket = format!("unix://{}", plan.socket.display());
        plan.arg("-H")
            .arg(socket)
            .arg("-H")
            .arg(&host)
            .arg("--tlsverify")
            .arg(format!("--tlscacert={folder}/ca.pem"))
            .arg(format!("--tlscert={folder}/server.pem"))
            .arg(format!("--tlskey={folder}/server-key.pem"))
    });
    let folder = engine.scratch().join("pki/client");
    for mut program in [client("docker"), Command::new(ketch_binary())] {
        program
            .env("HOME", engine.scratch().join("home"))
            .env_remove("DOCKER_CONTEXT")
            .env("DOCKER_HOST", &host);
        program.env("DOCKER_TLS_VERIFY", "1").env("DOCKER_CERT_PATH", &folder);
        program.args(["version", "--format", "{{.Server.Os}}"]);
        assert_eq!(command::run(&mut program).ok(), "linux");
        program.env("DOCKER_CERT_PATH", engine.scratch().join("nowhere"));
        assert_ne!(command::run(&mut program).code, 0, "without a certificate nobody gets in");
    }
    assert_eq!(http::call(engine.socket(), &Request::new("GET", "/_ping")).unwrap().text(), "OK");
}

// covers: field SystemInfo Warnings[]
#[test]
fn an_open_address_is_warned_of() {
    let engine = Engine::planned(|plan, _| {
        let socket = format!("unix://{}", plan.socket.display());
        plan.arg("-H").arg(socket).arg("-H").arg("tcp://127.0.0.1:0").arg("--tls=false")
    });
    let warnings =
        engine.request_unchecked(&Request::new("GET", "/info")).expect(200).json()["Warnings"].clone();
    let told = warnings.as_array().into_iter().flatten().any(|warning| {
        warning.as_str().is_some_and(|text| text.contains("API is accessible on tcp://127.0.0.1:0"))
    });
    assert!(told, "{warnings}");
}

#[test]
fn tcp_without_tls_has_to_be_meant() {
    let scratch = Scratch::create();
    let plan = Plan::below(&scratch).arg("-H").arg("tcp://127.0.0.1:0");
    let (status, log) = crate::daemon_config::refused(&mut plan.command());
    assert!(!status.success() && log.contains("root on this machine"), "{log}");
    scratch.remove();
}
