//! TLS, and certificates that change while the registry serves.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::process::Command;

use testkit::{DEADLINE, Scratch, eventually};

use super::Private;

pub(super) fn run(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A key and a certificate for it, `cert.pem` and `key.pem`, in the place of those before.
pub(crate) fn certificate(scratch: &Scratch, name: &str) {
    let path = |file: &str| scratch.join(file).display().to_string();
    let said = run(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            &format!("/CN={name}"),
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-keyout",
            &path("key.new"),
            "-out",
            &path("cert.new"),
        ],
    );
    assert!(scratch.join("cert.new").exists(), "{said}");
    std::fs::rename(path("key.new"), path("key.pem")).unwrap();
    std::fs::rename(path("cert.new"), path("cert.pem")).unwrap();
}

fn subject(registry: &Private) -> String {
    let address = registry.address.to_string();
    let script =
        format!("openssl s_client -connect {address} </dev/null 2>/dev/null | openssl x509 -noout -subject");
    run("sh", &["-c", &script])
}

// covers: registry docker-registry behaviour TLS and automatic certificates
// covers: registry config-key http http.tls
// covers: registry config-key http http.tls.certificate
// covers: registry config-key http http.tls.key
#[test]
fn certificates_are_taken_over_when_they_change() {
    let registry = Private::with_files("http: {tls: {certificate: @/cert.pem, key: @/key.pem}}", |scratch| {
        certificate(scratch, "first");
    });
    assert!(subject(&registry).contains("first"));
    std::fs::write(registry.scratch.join("cert.pem"), "nonsense").unwrap();
    assert!(subject(&registry).contains("first"), "a broken file ends nothing");
    certificate(&registry.scratch, "second");
    eventually(DEADLINE, || {
        let subject = subject(&registry);
        if subject.contains("second") { Ok(()) } else { Err(subject) }
    });
    assert!(registry.log().contains("certificates reloaded"));
}
