//! Who may what: passwords, tokens, rules, read-only mode, TLS.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use serde_json::json;
use testkit::Scratch;
use testkit::http::{Reply, Request};

use super::server::code;
use super::{Blob, OCI_MANIFEST, Private};

/// `secret` for ann, `hidden` for bob, made with a cost that tests can pay.
const USERS: &str = "ann:$2b$04$ANN\nbob:$2b$04$BOB\n";
const RULES: &str = "
access:
- {repositories: ['open/**'], users: [anonymous], actions: [pull]}
- {repositories: ['**'], users: [ann], actions: [pull, push, delete]}
- {repositories: ['open/**'], users: [bob], actions: [pull, create]}
";

fn users(scratch: &Scratch) {
    let hash = |password: &str| bcrypt::hash(password, 4).unwrap();
    let text = USERS.replace("$2b$04$ANN", &hash("secret")).replace("$2b$04$BOB", &hash("hidden"));
    scratch.write("users", text);
}

fn basic(name: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}")))
}

fn ann() -> String {
    basic("ann", "secret")
}

fn bob() -> String {
    basic("bob", "hidden")
}

fn ask(registry: &Private, method: &str, path: &str, who: &str, body: &[u8]) -> Reply {
    let mut request = Request::new(method, path).header("Content-Type", OCI_MANIFEST).body(body);
    if method == "PUT" || method == "POST" {
        request = request.header("Content-Length", &body.len().to_string());
    }
    registry.send(&if who.is_empty() { request } else { request.header("Authorization", who) })
}

/// An image under a tag, as this user.
fn push(registry: &Private, name: &str, tag: &str, who: &str, content: &str) -> Reply {
    let (config, layer) = (Blob::new("{}"), Blob::new(content));
    for blob in [&config, &layer] {
        let path = format!("/v2/{name}/blobs/uploads/?digest={}", blob.digest);
        let reply = ask(registry, "POST", &path, who, &blob.bytes);
        if reply.status() != 201 {
            return reply;
        }
    }
    let manifest = Blob::manifest(&config, &[layer], json!({}));
    ask(registry, "PUT", &format!("/v2/{name}/manifests/{tag}"), who, &manifest.bytes)
}

fn with_users(more: &str) -> Private {
    Private::with_files(&format!("auth: {{htpasswd: {{realm: here, path: @/users}}}}{more}"), users)
}

// covers: registry docker-registry auth WWW-Authenticate: Basic
// covers: registry header api Authorization Authorization
// covers: registry error-code api UNAUTHORIZED
// covers: registry config-key auth auth
// covers: registry config-key auth auth.htpasswd
// covers: registry config-key auth auth.htpasswd.realm
// covers: registry config-key auth auth.htpasswd.path
#[test]
fn a_password_opens() {
    let registry = with_users("");
    let refused = registry.get("/v2/").expect(401);
    assert_eq!(refused.header("www-authenticate"), Some("Basic realm=\"here\""));
    assert_eq!(code(&refused), "UNAUTHORIZED");
    for wrong in [basic("ann", "hidden"), basic("eve", "secret"), "Basic !".into(), "Bearer x".into()] {
        ask(&registry, "GET", "/v2/", &wrong, b"").expect(401);
    }
    ask(&registry, "GET", "/v2/", &ann(), b"").expect(200);
    push(&registry, "a", "one", &ann(), "layer").expect(201);
    push(&registry, "a", "two", "", "layer").expect(401);
    for path in ["/v2/a/tags/list", "/v2/a/manifests/one", "/v2/_catalog"] {
        registry.get(path).expect(401);
        ask(&registry, "GET", path, &bob(), b"").expect(200);
    }
}

// covers: registry docker-registry auth anonymous pull, authenticated push
// covers: registry error-code api DENIED
#[test]
fn rules_say_who_may_what() {
    let registry = with_users(RULES);
    push(&registry, "open/a", "one", &ann(), "layer").expect(201);
    push(&registry, "closed/a", "one", &ann(), "layer").expect(201);
    registry.get("/v2/open/a/manifests/one").expect(200);
    registry.get("/v2/closed/a/manifests/one").expect(401);
    // Who has a password is told about it only where credentials are asked for.
    registry.get("/v2/").expect(401);
    let denied = ask(&registry, "GET", "/v2/closed/a/manifests/one", &bob(), b"").expect(403);
    assert_eq!(code(&denied), "DENIED");
    ask(&registry, "DELETE", "/v2/open/a/manifests/one", &bob(), b"").expect(403);
    push(&registry, "closed/b", "one", &bob(), "layer").expect(403);
    let seen = ask(&registry, "GET", "/v2/_catalog", &bob(), b"").expect(200).json();
    assert_eq!(seen, json!({"repositories": ["open/a"]}));
}

/// S145, CVE-2026-31801: what may only be created is judged by what is there.
#[test]
fn who_may_create_moves_no_tag() {
    let registry = with_users(RULES);
    push(&registry, "open/a", "latest", &ann(), "ours").expect(201);
    push(&registry, "open/a", "new", &bob(), "theirs").expect(201);
    assert_eq!(code(&push(&registry, "open/a", "latest", &bob(), "theirs").expect(403)), "DENIED");
    // By another way: a push by digest that names the tag.
    let manifest = Blob::manifest(&Blob::new("{}"), &[Blob::new("theirs")], json!({}));
    let path = format!("/v2/open/a/manifests/{}?tag=latest", manifest.digest);
    ask(&registry, "PUT", &path, &bob(), &manifest.bytes).expect(403);
    // The same content again moves nothing.
    push(&registry, "open/a", "new", &bob(), "theirs").expect(201);
}

/// S146: knowing a digest is no right to what has it.
#[test]
fn nothing_is_mounted_from_what_may_not_be_read() {
    let registry = with_users(RULES);
    push(&registry, "closed/a", "one", &ann(), "private").expect(201);
    let digest = Blob::new("private").digest;
    for from in ["&from=closed/a", ""] {
        ask(&registry, "POST", &format!("/v2/open/b/blobs/uploads/?mount={digest}{from}"), &bob(), b"")
            .expect(202);
    }
    ask(&registry, "GET", &format!("/v2/open/b/blobs/{digest}"), &bob(), b"").expect(404);
    ask(&registry, "HEAD", &format!("/v2/closed/a/blobs/{digest}"), &bob(), b"").expect(403);
    ask(&registry, "POST", &format!("/v2/open/b/blobs/uploads/?mount={digest}&from=closed/a"), &ann(), b"")
        .expect(201);
}

/// S144, CVE-2026-41888: no way to delete forgets to ask whether it is enabled.
// covers: registry error-code api UNSUPPORTED
// covers: registry config-key storage storage.delete
// covers: registry config-key storage storage.delete.enabled
// covers: registry docker-registry behaviour read-only mode
// covers: registry config-key storage storage.maintenance.readonly
// covers: registry config-key storage storage.maintenance.readonly.enabled
#[test]
fn deleting_and_writing_can_be_switched_off() {
    let mut registry = Private::start();
    let manifest = registry.push_image("a", "one", "layer");
    registry.kill();
    let deletions = [
        "/v2/a/manifests/one".to_owned(),
        format!("/v2/a/manifests/{}", manifest.digest),
        format!("/v2/a/blobs/{}", Blob::new("layer").digest),
    ];
    registry.reconfigure("storage: {delete: {enabled: false}}");
    for path in &deletions {
        assert_eq!(code(&registry.ask("DELETE", path).expect(405)), "UNSUPPORTED");
    }
    registry.push_image("a", "two", "layer");
    let upload = registry.begin("a");
    registry.kill();
    registry.reconfigure("storage: {maintenance: {readonly: {enabled: true}}}");
    for path in &deletions {
        registry.ask("DELETE", path).expect(405);
    }
    for method in ["PATCH", "PUT", "DELETE"] {
        registry.ask(method, &format!("{upload}?digest={}", manifest.digest)).expect(405);
    }
    registry.ask("POST", "/v2/a/blobs/uploads/").expect(405);
    registry.ask("POST", &format!("/v2/b/blobs/uploads/?mount={}&from=a", manifest.digest)).expect(405);
    registry.put_manifest("a", "three", &manifest, OCI_MANIFEST).expect(405);
    registry.get("/v2/a/manifests/one").expect(200);
    assert_eq!(registry.tags("a"), json!(["one", "two"]));
}

/// A token for these scopes.
fn token(registry: &Private, scope: &str, who: &str) -> String {
    let path = format!("/token?service=ketch-registry&scope={scope}");
    let answer = ask(registry, "GET", &path, who, b"").expect(200).json();
    assert_eq!(answer["token"], answer["access_token"]);
    format!("Bearer {}", answer["token"].as_str().unwrap())
}

fn with_tokens() -> Private {
    Private::with_files(&format!("auth: {{htpasswd: {{path: @/users}}, token: {{}}}}\n{RULES}"), users)
}

// covers: registry docker-registry auth WWW-Authenticate: Bearer
// covers: registry docker-registry auth GET token endpoint
// covers: registry docker-registry auth scope grammar
// covers: registry docker-registry auth JWT access tokens
// covers: registry header api Host Host
// covers: registry config-key auth auth.token
#[test]
fn our_own_tokens() {
    let registry = with_tokens();
    let refused =
        registry.send(&Request::new("GET", "/v2/open/a/tags/list").header("Host", "reg.example:5000"));
    // What is everybody's needs no token.
    refused.expect(404);
    let refused = registry
        .send(&Request::new("GET", "/v2/closed/a/tags/list").header("Host", "reg.example:5000"))
        .expect(401);
    assert_eq!(
        refused.header("www-authenticate"),
        Some(
            "Bearer realm=\"http://reg.example:5000/token\",service=\"ketch-registry\",scope=\"repository:closed/a:pull\""
        )
    );
    let evil = registry.send(&Request::new("GET", "/v2/").header("Host", "x\",realm=\"evil")).expect(401);
    assert!(!evil.header("www-authenticate").unwrap().contains("evil"));
    let pushing = token(&registry, "repository:closed/a:pull,push", &ann());
    push(&registry, "closed/a", "one", &pushing, "layer").expect(201);
    let more = ask(&registry, "DELETE", "/v2/closed/a/manifests/one", &pushing, b"").expect(401);
    assert!(more.header("www-authenticate").unwrap().contains("error=\"insufficient_scope\""));
    ask(&registry, "GET", "/v2/closed/b/tags/list", &pushing, b"").expect(401);
    let bobs = token(&registry, "repository:closed/a:pull,push", &bob());
    ask(&registry, "GET", "/v2/closed/a/manifests/one", &bobs, b"").expect(401);
    ask(&registry, "GET", "/v2/_catalog", &bobs, b"").expect(401);
    let catalog = token(&registry, "registry:catalog:*", &bob());
    assert_eq!(
        ask(&registry, "GET", "/v2/_catalog", &catalog, b"").expect(200).json(),
        json!({"repositories": []})
    );
    let nobodys = token(&registry, "repository:open/a:pull", "");
    ask(&registry, "GET", "/v2/", &nobodys, b"").expect(200);
    ask(&registry, "GET", "/token?service=ketch-registry", &basic("ann", "wrong"), b"").expect(401);
    ask(&registry, "GET", "/v2/", &format!("{pushing}x"), b"").expect(401);
}

// covers: registry docker-registry auth POST token endpoint (OAuth2)
#[test]
fn a_login_outlasts_the_process() {
    let mut registry = with_tokens();
    let form = |registry: &Private, text: &str| {
        let request =
            Request::new("POST", "/token").header("Content-Type", "application/x-www-form-urlencoded");
        registry.send(&request.body(text))
    };
    let first = form(
        &registry,
        "grant_type=password&service=ketch-registry&client_id=x&access_type=offline&username=ann&password=secret&scope=repository:closed/a:pull",
    );
    let first = first.expect(200).json();
    assert_eq!(first["scope"], "repository:closed/a:pull");
    let refresh = first["refresh_token"].as_str().unwrap().to_owned();
    registry.kill();
    registry.run();
    let second = form(
        &registry,
        &format!(
            "grant_type=refresh_token&service=ketch-registry&refresh_token={refresh}&scope=repository:closed/a:pull,push"
        ),
    );
    let access = second.expect(200).json()["access_token"].as_str().unwrap().to_owned();
    push(&registry, "closed/a", "one", &format!("Bearer {access}"), "layer").expect(201);
    // One is not the other.
    ask(&registry, "GET", "/v2/", &format!("Bearer {refresh}"), b"").expect(401);
    form(&registry, &format!("grant_type=refresh_token&refresh_token={access}")).expect(401);
    form(&registry, "grant_type=password&username=ann&password=wrong").expect(401);
    form(&registry, "grant_type=other").expect(400);
}
