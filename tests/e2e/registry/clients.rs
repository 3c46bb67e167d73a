//! The clients that people have, with TLS and a login: docker's, skopeo, podman and our own.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::process::Command;

use testkit::command::{self, Output};
use testkit::{Engine, Scratch, images};

use super::secure::certificate;
use super::{Private, STORE, Store};

const PASSWORD: &str = "secret";

/// With TLS and one user, `ann`. In a bucket, clients are sent to the store for their blobs.
fn locked() -> Private {
    let redirect = if STORE == Store::Bucket { "storage: {redirect: {disable: false}}\n" } else { "" };
    let config = format!(
        "{redirect}http: {{tls: {{certificate: @/cert.pem, key: @/key.pem}}}}\nauth: {{htpasswd: {{realm: here, path: @/users}}}}"
    );
    Private::with_files(&config, |scratch: &Scratch| {
        certificate(scratch, "registry");
        scratch.write("users", format!("ann:{}\n", bcrypt::hash(PASSWORD, 4).unwrap()));
        let ca = std::fs::read(scratch.join("cert.pem")).unwrap();
        scratch.write("certs/ca.crt", ca);
    })
}

fn refused(output: &Output) {
    assert_ne!(output.code, 0, "{}", output.line);
    let said = output.stderr.to_lowercase();
    assert!(said.contains("authentication required") || said.contains("unauthorized"), "{said}");
}

#[test]
fn skopeo_pushes_and_pulls() {
    let registry = locked();
    let path = |name: &str| registry.scratch.join(name).display().to_string();
    std::fs::write(path("image.tar"), images::busybox("x:1").unwrap()).unwrap();
    let (certs, name) = (path("certs"), format!("docker://{}/team/app:1", registry.address));
    let copy = |from: &str, to: &str, password: &str| {
        let mut skopeo = command::client("skopeo");
        skopeo.env("HOME", path("home")).env("TMPDIR", registry.scratch.path());
        skopeo.args(["--insecure-policy", "copy", "--quiet"]);
        let (side, credentials) = if to.starts_with("docker:") { ("dest", to) } else { ("src", from) };
        assert!(credentials.starts_with("docker://"));
        skopeo.arg(format!("--{side}-cert-dir={certs}")).arg(format!("--{side}-creds=ann:{password}"));
        command::run(skopeo.args([from, to]))
    };
    refused(&copy(&format!("docker-archive:{}", path("image.tar")), &name, "wrong"));
    copy(&format!("docker-archive:{}", path("image.tar")), &name, PASSWORD).ok();
    copy(&name, &format!("oci:{}:1", path("layout")), PASSWORD).ok();
    assert!(registry.scratch.join("layout/index.json").exists());
    assert_eq!(registry.command(&["tags", "--quiet", "team/app"]), "1\n");
}

/// Docker's own client and ours, each with an engine of ours: for both it is the engine that pushes and pulls.
#[test]
fn docker_and_ketch_push_and_pull() {
    let registry = locked();
    let engine = Engine::isolated();
    let image = engine.busybox();
    let name = format!("{}/team/app", registry.address);
    for (client, tag) in [("docker", "one"), ("ketch", "two")] {
        let run = |words: &[&str]| {
            let mut program =
                if client == "docker" { command::client("docker") } else { engine.ketch_command() };
            program.env("DOCKER_HOST", format!("unix://{}", engine.socket().display()));
            program.env("HOME", registry.scratch.join(&format!("home-{client}")));
            command::run(program.args(words))
        };
        let name = format!("{name}:{tag}");
        run(&["tag", &image, &name]).ok();
        refused_push(&run(&["push", &name]));
        run(&["login", "--username", "ann", "--password", PASSWORD, &registry.address.to_string()]).ok();
        run(&["push", &name]).ok();
        run(&["rmi", &name]).ok();
        assert!(run(&["pull", &name]).ok().contains("Digest: sha256:"));
        run(&["rmi", &name]).ok();
    }
    assert_eq!(registry.command(&["tags", "--quiet", "team/app"]), "one\ntwo\n");
    engine.docker(["rmi", &image]).ok();
}

fn refused_push(output: &Output) {
    assert_ne!(output.code, 0, "{}{}", output.stdout, output.stderr);
    assert!(output.stderr.contains("no basic auth credentials"), "{}", output.stderr);
}

#[test]
#[ignore = "needs podman and conmon: `cargo nextest run -p e2e --run-ignored only clients`"]
fn podman_pushes_and_pulls() {
    let registry = locked();
    let path = |name: &str| registry.scratch.join(name).display().to_string();
    std::fs::write(path("image.tar"), images::busybox("x:1").unwrap()).unwrap();
    let (certs, name) = (path("certs"), format!("{}/team/app:1", registry.address));
    let podman = |words: &[&str]| {
        let mut podman = Command::new("podman");
        podman.env("HOME", path("home")).env("TMPDIR", registry.scratch.path());
        podman.args(["--root", &path("store"), "--runroot", &path("run"), "--storage-driver", "vfs"]);
        command::run(podman.args(["--tmpdir", &path("tmp")]).args(words))
    };
    std::fs::create_dir_all(path("tmp")).unwrap();
    let loaded = podman(&["load", "--quiet", "--input", &path("image.tar")]).ok();
    podman(&["tag", loaded.rsplit(": ").next().unwrap(), &name]).ok();
    refused(&podman(&["push", "--quiet", "--cert-dir", &certs, "--creds", "ann:wrong", &name]));
    podman(&["push", "--quiet", "--cert-dir", &certs, "--creds", &format!("ann:{PASSWORD}"), &name]).ok();
    podman(&["rmi", &name]).ok();
    podman(&["pull", "--quiet", "--cert-dir", &certs, "--creds", &format!("ann:{PASSWORD}"), &name]).ok();
    assert_eq!(registry.command(&["tags", "--quiet", "team/app"]), "1\n");
    podman(&["rmi", "--all", "--force"]).ok();
}
