//! What a configuration changes of what clients and operators see.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use testkit::http::{self, Request};
use testkit::web::{Answer, Web};
use testkit::{DEADLINE, Scratch, eventually};

use super::secure::{certificate, run};
use super::server::code;
use super::{Blob, OCI_MANIFEST, Private};

// covers: registry config-key http http.relativeurls
// covers: registry config-key http http.http2
// covers: registry config-key http http.http2.disabled
// covers: registry config-key http http.debug.prometheus
// covers: registry config-key http http.debug.prometheus.enabled
// covers: registry config-key http http.debug.prometheus.path
// covers: registry config-key log log.level
// covers: registry config-key log log.fields.environment
#[test]
fn addresses_metrics_and_the_log_are_as_configured() {
    let registry = Private::with(
        "http: {relativeurls: true, http2: {disabled: false}, debug: {addr: '127.0.0.1:0', prometheus: {enabled: true, path: /numbers}}}\n\
         log: {level: debug, fields: {environment: staging}}",
    );
    let begun = registry.ask("POST", "/v2/a/blobs/uploads/").expect(202);
    assert!(begun.header("location").unwrap().starts_with("/v2/a/"));
    // The flag that the harness gives asks for the usual path; the file's own is that of a process without it.
    assert!(registry.metrics().contains("registry_http_requests_total"));
    eventually(DEADLINE, || match registry.log().contains("level=debug") {
        true => Ok(()),
        false => Err(registry.log()),
    });
    assert!(registry.log().contains("environment=staging"));
    let quiet = Private::with("log: {level: info, fields: {environment: staging}}");
    quiet.get("/v2/").expect(200);
    assert!(!quiet.log().contains("level=debug"));
}

// covers: registry config-key http http.draintimeout
#[test]
fn an_end_waits_for_so_long() {
    let mut registry = Private::with("http: {draintimeout: 100ms}");
    let place = registry.begin("a");
    let mut stream = http::connect_tcp(registry.address).unwrap();
    let head = format!("PATCH {place} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345");
    stream.write_all(head.as_bytes()).unwrap();
    registry.await_received(5);
    rustix::process::kill_process(registry.pid(), rustix::process::Signal::TERM).unwrap();
    // The other half never comes.
    assert_eq!(registry.wait(), Some(0));
}

// covers: registry config-key http http.tls.clientcas
// covers: registry config-key http http.tls.clientauth
#[test]
fn clients_show_who_they_are() {
    let files = |scratch: &Scratch| {
        certificate(scratch, "registry");
        let path = |name: &str| scratch.join(name).display().to_string();
        let script = format!(
            "cd {} && printf 'basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n' > kind && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=authority \
             -keyout ca.key -out ca.pem && openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=ann \
             -keyout ann.key -out ann.csr && openssl x509 -req -in ann.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile kind -out ann.pem",
            scratch.path().display()
        );
        let said = run("sh", &["-c", &script]);
        assert!(std::path::Path::new(&path("ann.pem")).exists(), "{said}");
    };
    let tls = |kind: &str| {
        format!(
            "http: {{tls: {{certificate: @/cert.pem, key: @/key.pem, clientcas: [@/ca.pem], clientauth: {kind}}}}}"
        )
    };
    let ask = |registry: &Private, with: bool| {
        let path = |name: &str| registry.scratch.join(name).display().to_string();
        let address = format!("https://{}/v2/", registry.address);
        let (server, cert, key) = (path("cert.pem"), path("ann.pem"), path("ann.key"));
        let mut words = vec!["-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", &server];
        if with {
            words.extend(["--cert", &cert, "--key", &key]);
        }
        words.push(&address);
        run("curl", &words)
    };
    let strict = Private::with_files(&tls("require-and-verify-client-cert"), files);
    assert_eq!((ask(&strict, true).as_str(), ask(&strict, false).as_str()), ("200", "000"));
    let lax = Private::with_files(&tls("verify-client-cert-if-given"), files);
    assert_eq!((ask(&lax, true).as_str(), ask(&lax, false).as_str()), ("200", "200"));
}

// covers: registry config-key notifications notifications.events
// covers: registry config-key notifications notifications.events.includereferences
// covers: registry config-key notifications notifications.endpoints[].disabled
// covers: registry config-key notifications notifications.endpoints[].ignoredmediatypes
// covers: registry config-key notifications notifications.endpoints[].timeout
#[test]
fn endpoints_hear_what_they_wish() {
    let (all, some, none) = (web(), web(), web());
    let registry = Private::with(&format!(
        "notifications: {{events: {{includereferences: true}}, endpoints: [\
         {{name: all, url: 'http://{}/', timeout: 5s, backoff: 10ms}}, \
         {{name: some, url: 'http://{}/', ignoredmediatypes: [application/octet-stream], backoff: 10ms}}, \
         {{name: none, url: 'http://{}/', disabled: true}}]}}",
        all.address(),
        some.address(),
        none.address()
    ));
    let manifest = registry.push_image("a", "one", "layer");
    let kinds = |web: &Web| -> Vec<String> {
        let bodies =
            web.asked().into_iter().map(|asked| serde_json::from_slice::<Value>(&asked.body).unwrap());
        let events = bodies.flat_map(|body| body["events"].as_array().unwrap().clone());
        events.map(|event| event["target"]["mediaType"].as_str().unwrap().to_owned()).collect()
    };
    eventually(DEADLINE, || {
        let found = (kinds(&all).len(), kinds(&some));
        if found == (3, vec![OCI_MANIFEST.to_owned()]) { Ok(()) } else { Err(found) }
    });
    assert_eq!(none.asked().len(), 0);
    let event: Value = serde_json::from_slice(&some.asked()[0].body).unwrap();
    let references = event["events"][0]["target"]["references"].as_array().unwrap();
    assert_eq!(references.len(), 2, "config and layer of {}", manifest.digest);
}

fn web() -> Web {
    Web::serve(|_| Answer::new(200, ""))
}

// covers: registry config-key proxy proxy.username
// covers: registry config-key proxy proxy.password
// covers: registry config-key proxy proxy.ttl
// covers: registry behaviour api rate limit
// covers: registry error-code api TOOMANYREQUESTS
// covers: registry header api Retry-After Retry-After
#[test]
fn a_cache_logs_in_believes_for_a_while_and_hands_limits_on() {
    let blob = Blob::new("{}");
    let manifest = Blob::manifest(&blob, &[], json!({}));
    let (bytes, calls) = (manifest.bytes.clone(), std::sync::atomic::AtomicUsize::new(0));
    let upstream = Web::serve(move |asked| {
        let known = asked.header("authorization") == Some("Basic dTpzZWNyZXQ=");
        match (known, asked.path.as_str()) {
            (false, _) => Answer::new(401, "{}").header("WWW-Authenticate", "Basic realm=\"r\""),
            (_, "/v2/") => Answer::new(200, "{}"),
            (_, path) if path.contains("/busy/") => {
                Answer::new(429, "{\"errors\":[{\"code\":\"TOOMANYREQUESTS\"}]}").header("Retry-After", "0")
            }
            (_, path) if path.ends_with("/manifests/one") => {
                calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                Answer::new(200, bytes.clone()).header("Content-Type", OCI_MANIFEST)
            }
            _ => Answer::new(404, "{}"),
        }
    });
    let cache = Private::with(&format!(
        "proxy: {{remoteurl: 'http://{}', username: u, password: secret, ttl: 1h}}",
        upstream.address()
    ));
    let first = cache.get("/v2/a/manifests/one").expect(200);
    assert_eq!(first.body, manifest.bytes);
    let before = upstream.asked().len();
    cache.get("/v2/a/manifests/one").expect(200);
    assert_eq!(upstream.asked().len(), before, "it is believed for an hour");
    let limited = cache.get("/v2/busy/manifests/one").expect(429);
    assert_eq!(code(&limited), "TOOMANYREQUESTS");
    assert!(limited.header("retry-after").is_some());
    assert!(!cache.log().contains("secret"));
}

// covers: registry config-key storage storage.maintenance.uploadpurging.dryrun
#[test]
fn purging_can_be_tried() {
    let registry = Private::with(
        "storage: {maintenance: {uploadpurging: {enabled: true, age: 1ms, interval: 100ms, dryrun: true}}}\n\
         log: {level: debug}",
    );
    let place = registry.begin("a");
    eventually(DEADLINE, || match registry.log().contains("purged=1 dry_run=true") {
        true => Ok(()),
        false => Err(registry.log()),
    });
    registry.get(&place).expect(204);
}

// refuses: registry docker-registry media-type application/vnd.docker.distribution.manifest.v1+prettyjws because clients pull none any more, and its bytes hash to no digest
#[test]
fn schema_1_is_refused() {
    let registry = Private::start();
    let kind = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let old = Blob::new(json!({"schemaVersion": 1, "name": "a", "tag": "one", "fsLayers": []}).to_string());
    assert_eq!(code(&registry.put_manifest("a", "one", &old, kind).expect(400)), "MANIFEST_INVALID");
}

/// A token of somebody else's service, signed by a key that a certificate or a key set names.
fn token(scratch: &Scratch, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(&json!({"alg": "RS256", "typ": "JWT"})), part(claims));
    let mut openssl = Command::new("openssl")
        .args(["dgst", "-sha256", "-sign"])
        .arg(scratch.join("rsa.pem"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    openssl.stdin.take().unwrap().write_all(message.as_bytes()).unwrap();
    let signature = openssl.wait_with_output().unwrap().stdout;
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn rsa(scratch: &Scratch) {
    let (key, cert) = (scratch.join("rsa.pem"), scratch.join("rsa.crt"));
    let (key, cert) = (key.to_str().unwrap(), cert.to_str().unwrap());
    let said = run(
        "openssl",
        &["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=auth", "-keyout", key, "-out", cert],
    );
    assert!(scratch.join("rsa.crt").exists(), "{said}");
    let modulus = run("openssl", &["rsa", "-in", key, "-noout", "-modulus"]);
    let hex = modulus.trim().strip_prefix("Modulus=").unwrap();
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let key = json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode(bytes), "e": "AQAB"});
    scratch.write("jwks.json", json!({"keys": [key]}).to_string());
}

// covers: registry config-key auth auth.token.realm
// covers: registry config-key auth auth.token.service
// covers: registry config-key auth auth.token.issuer
// covers: registry config-key auth auth.token.rootcertbundle
// covers: registry config-key auth auth.token.jwks
// covers: registry config-key auth auth.token.signingalgorithms
#[test]
fn tokens_of_an_outside_service() {
    for keys in ["rootcertbundle: @/rsa.crt", "jwks: @/jwks.json"] {
        let more = "realm: 'https://auth.example/token', service: images, issuer: the-issuer, signingalgorithms: [RS256]";
        let registry = Private::with_files(&format!("auth: {{token: {{{more}, {keys}}}}}"), rsa);
        let asked = registry.get("/v2/a/tags/list").expect(401);
        assert_eq!(
            asked.header("www-authenticate"),
            Some(
                "Bearer realm=\"https://auth.example/token\",service=\"images\",scope=\"repository:a:pull\""
            )
        );
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let claims = |issuer: &str, actions: &[&str]| {
            let access = json!([{"type": "repository", "name": "a", "actions": actions}]);
            let times = (now - 10, now + 300);
            json!({"iss": issuer, "sub": "ann", "aud": "images", "nbf": times.0, "iat": times.0, "exp": times.1, "access": access})
        };
        let ask = |claims: &Value| {
            let bearer = format!("Bearer {}", token(&registry.scratch, claims));
            let request = Request::new("POST", "/v2/a/blobs/uploads/").header("Authorization", &bearer);
            registry.send(&request).status()
        };
        assert_eq!(ask(&claims("the-issuer", &["pull", "push"])), 202);
        assert_eq!(ask(&claims("the-issuer", &["pull"])), 401);
        assert_eq!(ask(&claims("somebody", &["pull", "push"])), 401);
    }
}
