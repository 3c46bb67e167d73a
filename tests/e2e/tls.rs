//! TCP with TLS: the engine's settings for it, and the clients' flags.

use std::process::Command;

use serde_json::json;
use testkit::command::{self, Output};
use testkit::daemon::Plan;
use testkit::{Engine, Scratch};

use crate::client_settings::proxy;
use crate::listening::certificates;

/// An address of this machine that nobody listens on just now.
fn free_host() -> String {
    let address = testkit::own_network::listen().local_addr();
    format!("tcp://{}", address.expect("a free port"))
}

/// An engine on its socket and on `host`, with certificates made for it.
fn engine(host: &str, settings: impl FnOnce(Plan, &Scratch, &str) -> Plan) -> Engine {
    Engine::planned(|plan, scratch| {
        let folder = certificates(scratch);
        let socket = format!("unix://{}", plan.socket.display());
        settings(plan.arg("-H").arg(socket).arg("-H").arg(host), scratch, &folder)
    })
}

/// Both clients with these flags.
fn both(engine: &Engine, host: &str, flags: &[&str]) -> [Output; 2] {
    [engine.ketch_command(), engine.docker_command()].map(|mut command: Command| {
        command.env_remove("DOCKER_HOST").args(["--host", host]).args(flags);
        command::run(command.args(["version", "--format", "{{.Server.Os}}"]))
    })
}

// covers: value client-env docker DOCKER_TLS
// covers: cli docker --tls
// covers: cli docker --tlsverify
// covers: cli docker --tlscacert
// covers: cli docker --tlscert
// covers: cli docker --tlskey
#[test]
fn the_clients_flags_name_certificates() {
    let host = free_host();
    let engine = engine(&host, |plan, _, folder| {
        plan.arg("--tlsverify")
            .arg(format!("--tlscacert={folder}/ca.pem"))
            .arg(format!("--tlscert={folder}/server.pem"))
            .arg(format!("--tlskey={folder}/server-key.pem"))
    });
    let pki = |name: &str| engine.scratch().join("pki").join(name).display().to_string();
    let (ca, certificate, key) = (pki("ca.pem"), pki("client.pem"), pki("client-key.pem"));
    let (ca, certificate, key) =
        (format!("--tlscacert={ca}"), format!("--tlscert={certificate}"), format!("--tlskey={key}"));
    for output in both(&engine, &host, &["--tlsverify", &ca, &certificate, &key]) {
        assert_eq!(output.ok(), "linux");
    }
    let other = Scratch::create();
    let stranger = certificates(&other);
    let wrong_ca = format!("--tlscacert={stranger}/ca.pem");
    // Not verified: any CA does.
    for output in both(&engine, &host, &["--tls", &wrong_ca, &certificate, &key]) {
        assert_eq!(output.ok(), "linux");
    }
    let wrong = [format!("--tlscert={stranger}/client.pem"), format!("--tlskey={stranger}/client-key.pem")];
    for mut client in [engine.ketch_command(), engine.docker_command()] {
        client.env("DOCKER_HOST", &host).env("DOCKER_TLS", "1");
        client.env("DOCKER_CERT_PATH", engine.scratch().join("pki/client"));
        assert_eq!(command::run(client.args(["version", "--format", "{{.Server.Os}}"])).ok(), "linux");
    }
    let attempts: [&[&str]; 4] = [
        &["--tlsverify", &wrong_ca, &certificate, &key],
        &["--tlsverify", &ca, &wrong[0], &wrong[1]],
        &["--tls"],
        &[],
    ];
    for flags in attempts {
        for output in both(&engine, &host, flags) {
            assert_eq!(output.code, 1, "{output:?}");
        }
    }
    // A file that isn't there is named, also where nothing is verified and nobody answers.
    for name in ["tlscacert", "tlscert", "tlskey"] {
        let missing = format!("/nowhere/{name}.pem");
        let flag = format!("--{name}={missing}");
        for host in [&host, &free_host()] {
            let [told, _] = both(&engine, host, &["--tls", &ca, &certificate, &key, &flag]);
            assert!(told.assert_code(1).stderr.contains(&missing), "{flag}");
        }
    }
    other.remove();
}

// covers: daemon config-key tlsverify
// covers: daemon config-key tlscacert
// covers: daemon config-key tlscert
// covers: daemon config-key tlskey
#[test]
fn the_file_can_ask_for_certificates() {
    let host = free_host();
    let engine = engine(&host, |plan, scratch, folder| {
        let file = |name: &str| format!("{folder}/{name}");
        plan.config(
            scratch,
            &json!({
                "tlsverify": true, "tlscacert": file("ca.pem"), "tlscert": file("server.pem"),
                "tlskey": file("server-key.pem"),
            }),
        )
    });
    assert_known_clients_only(&engine, &host);
}

// covers: daemon daemon-env DOCKER_CERT_PATH
// covers: daemon daemon-env DOCKER_TLS_VERIFY
#[test]
fn the_environment_can_ask_for_certificates() {
    let host = free_host();
    let engine = engine(&host, |plan, _, folder| {
        for (from, to) in [("server.pem", "cert.pem"), ("server-key.pem", "key.pem")] {
            std::fs::copy(format!("{folder}/{from}"), format!("{folder}/{to}")).expect("a copy");
        }
        plan.env("DOCKER_TLS_VERIFY", "1").env("DOCKER_CERT_PATH", folder)
    });
    assert_known_clients_only(&engine, &host);
}

#[track_caller]
fn assert_known_clients_only(engine: &Engine, host: &str) {
    let client = engine.scratch().join("pki/client");
    let flags = ["ca", "cert", "key"].map(|name| {
        let flag = if name == "ca" { "cacert" } else { name };
        format!("--tls{flag}={}/{name}.pem", client.display())
    });
    for output in both(engine, host, &["--tlsverify", &flags[0], &flags[1], &flags[2]]) {
        assert_eq!(output.ok(), "linux");
    }
    for output in both(engine, host, &["--tls"]) {
        assert_eq!(output.code, 1, "{output:?}");
    }
}

// covers: daemon flag --tls
// covers: daemon config-key tls
#[test]
fn encryption_alone_can_be_asked_for() {
    for as_flag in [true, false] {
        let host = free_host();
        let engine = engine(&host, |plan, scratch, folder| {
            let plan = plan
                .arg(format!("--tlscert={folder}/server.pem"))
                .arg(format!("--tlskey={folder}/server-key.pem"));
            if as_flag { plan.arg("--tls") } else { plan.config(scratch, &json!({"tls": true})) }
        });
        let ca = format!("--tlscacert={}", engine.scratch().join("pki/ca.pem").display());
        for output in both(&engine, &host, &["--tlsverify", &ca]) {
            assert_eq!(output.ok(), "linux");
        }
        for output in both(&engine, &host, &[]) {
            assert_eq!(output.code, 1, "plain text got through: {output:?}");
        }
        assert!(engine.log().contains("open to everybody"), "{}", engine.log());
    }
}

// covers: value client-env docker HTTPS_PROXY
#[test]
fn tls_goes_through_the_proxy() {
    let host = free_host();
    let engine = engine(&host, |plan, _, folder| {
        plan.arg("--tls")
            .arg(format!("--tlscert={folder}/server.pem"))
            .arg(format!("--tlskey={folder}/server-key.pem"))
    });
    let (proxy, asked) = proxy(&host);
    for mut client in [engine.ketch_command(), engine.docker_command()] {
        // docker reads its own certificate files even where it needs none.
        client.env("DOCKER_CERT_PATH", engine.scratch().join("pki/client")).env("HTTPS_PROXY", &proxy);
        client.env("DOCKER_HOST", "tcp://engine.invalid:2376").env("DOCKER_TLS", "1");
        assert_eq!(command::run(client.args(["version", "--format", "{{.Server.Os}}"])).ok(), "linux");
        let head = asked.try_iter().last().expect("the proxy was asked");
        assert!(head.starts_with("CONNECT engine.invalid:2376 "), "{head}");
    }
}
