//! Registries by people who mean harm. `s065` and the like name the class of hole, as in docs/security.md.

use serde_json::{Value, json};
use testkit::http::{Reply, Request};
use testkit::registry;
use testkit::web::{Answer, Asked};
use testkit::{DEADLINE, Engine, Web, eventually, images};

use crate::hostile_images::kept;
use crate::registry_faults::{Parts, call, ending, spoiled};

fn engine() -> Engine {
    Engine::planned(|plan, _| plan.arg("--max-download-attempts=1"))
}

fn pull(engine: &Engine, web: &Web) -> Reply {
    call(engine, "POST", &format!("/images/create?fromImage={}/a&tag=1", web.address()))
}

/// Whether somebody asked for a manifest, whatever the name.
fn is_manifest(asked: &Asked) -> bool {
    asked.path.contains("/manifests/")
}

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The pull of each manifest is refused with these words, and nothing is kept.
fn refused(what: &str, kind: &'static str, manifest: Vec<u8>, words: &str) {
    let engine = engine();
    let before = kept(&engine);
    let web = spoiled(move |asked, _| {
        is_manifest(asked).then(|| Answer::new(200, manifest.clone()).header("Content-Type", kind))
    });
    let reply = pull(&engine, &web);
    let text = ending(&reply);
    assert!(text.contains(words), "{what}: {} {text}", reply.status());
    assert_eq!(kept(&engine), before, "{what} left something");
    let asked = web.asked();
    assert!(asked.iter().all(|asked| !asked.path.contains("/blobs/")), "{what} was believed: {asked:?}");
}

// covers: api POST /images/create ?fromImage
// covers: api POST /images/create ?tag
#[test]
fn s065_bytes_are_what_their_digest_says() {
    let engine = engine();
    let before = kept(&engine);
    // The name is a digest, and other bytes are given for it: also such as would be a fine manifest.
    let web = spoiled(|_, _| None);
    let digest = images::digest(b"another");
    let path = format!("/images/create?fromImage={}/a@{digest}", web.address());
    let text = ending(&call(&engine, "POST", &path));
    assert!(text.contains("should be sha256:"), "{text}");
    // The header claims another digest than the bytes have.
    let web = spoiled(move |asked, parts| {
        let claimed = |answer: Answer| answer.header("Docker-Content-Digest", &images::digest(b"another"));
        is_manifest(asked).then(|| claimed(parts.answer(asked)))
    });
    let text = ending(&pull(&engine, &web));
    assert!(text.contains("should be sha256:"), "{text}");
    // A config whose bytes are not the manifest's.
    let web = spoiled(|asked, parts| {
        let is_config = asked.path.ends_with(&images::digest(&parts.config));
        is_config.then(|| Answer::new(200, String::from_utf8_lossy(&parts.config).replace("amd64", "arm64")))
    });
    let text = ending(&pull(&engine, &web));
    assert!(text.contains("should be sha256:"), "{text}");
    assert_eq!(kept(&engine), before);
}

#[test]
fn s065_s066_a_document_means_one_thing() {
    let digest = images::digest(b"x");
    let entry = json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": 1});
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI, "config": entry, "layers": []});
    let mut both = manifest.clone();
    both["manifests"] = json!([]);
    let text = |value: &Value| value.to_string().into_bytes();
    refused("both at once", OCI, text(&both), "an index and a manifest at once");
    refused("both at once, as an index", INDEX, text(&both), "an index and a manifest at once");
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "config": entry, "layers": []});
    refused("a manifest that calls itself an index", OCI, text(&index), "is not what it holds");
    let twice = format!("{{\"schemaVersion\":2,\"layers\":[],\"layers\":[],\"config\":{entry}}}");
    refused("a key twice", OCI, twice.into_bytes(), "duplicate field");
    let more = [text(&manifest), b"{}".to_vec()].concat();
    refused("more after the end", OCI, more, "trailing characters");
    refused("neither", OCI, b"{\"schemaVersion\":2}".to_vec(), "neither an index nor a manifest");
}

#[test]
fn s067_digests_are_checked_before_anybody_is_asked_for_them() {
    for digest in [
        "sha256:../../../../etc/passwd",
        "sha256:%2e%2e%2f%2e%2e",
        &format!("sha256:{}", "A".repeat(64)),
        &format!("sha512:{}", "a".repeat(64)),
        &format!("sha256:{}", "a".repeat(10 << 10)),
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        "",
        "sha256:",
    ] {
        let entry =
            json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": 1});
        let manifest = json!({"schemaVersion": 2, "mediaType": OCI, "config": entry, "layers": []});
        refused(digest, OCI, manifest.to_string().into_bytes(), "is not what it should be");
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]});
        refused(digest, INDEX, index.to_string().into_bytes(), "is not what it should be");
    }
}

#[test]
fn s077_manifests_end_and_are_no_labyrinth() {
    let endless = [b"{\"schemaVersion\":2,\"layers\":[".to_vec(), b"[],".repeat(2 << 20)].concat();
    refused("megabytes", OCI, endless, "larger than");
    let deep = format!("{{\"schemaVersion\":2,\"layers\":{}", "[".repeat(100_000));
    refused("a hundred thousand brackets", OCI, deep.into_bytes(), "is not what it should be");
    // An index of an index, which may be itself.
    let engine = engine();
    let inner = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).to_string();
    let platform = json!({"architecture": std::env::consts::ARCH.replace("x86_64", "amd64").replace("aarch64", "arm64"), "os": "linux"});
    let entry = json!({"mediaType": INDEX, "digest": images::digest(inner.as_bytes()), "size": inner.len(), "platform": platform});
    let outer = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).to_string();
    let web = spoiled(move |asked, _| {
        let body = if asked.path.ends_with("/1") { outer.clone() } else { inner.clone() };
        is_manifest(asked).then(|| Answer::new(200, body).header("Content-Type", INDEX))
    });
    let text = ending(&pull(&engine, &web));
    assert!(text.contains("an index inside an index"), "{text}");
}

#[test]
fn json_of_the_wrong_type_is_refused() {
    let digest = images::digest(b"x");
    for (what, manifest) in [
        ("a list", json!([])),
        ("a text", json!("x")),
        ("a number for layers", json!({"schemaVersion": 2, "config": {}, "layers": 3})),
        (
            "a text for a size",
            json!({"schemaVersion": 2, "config": {"digest": digest, "size": "1"}, "layers": []}),
        ),
        (
            "less than nothing",
            json!({"schemaVersion": 2, "config": {"digest": digest, "size": -1}, "layers": []}),
        ),
        ("a text for the version", json!({"schemaVersion": "2", "config": {}, "layers": []})),
    ] {
        refused(what, OCI, manifest.to_string().into_bytes(), "is not what it should be");
    }
    // The config is right by its digest and wrong by what it says.
    for config in [
        json!([]),
        json!({"rootfs": 7}),
        json!({"architecture": 1}),
        json!({"config": "x"}),
        json!({"history": {}}),
    ] {
        let engine = engine();
        let before = kept(&engine);
        let bytes = config.to_string().into_bytes();
        let entry = json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": images::digest(&bytes), "size": bytes.len()});
        let manifest =
            json!({"schemaVersion": 2, "mediaType": OCI, "config": entry, "layers": []}).to_string();
        let web = spoiled(move |asked, _| match is_manifest(asked) {
            true => Some(Answer::new(200, manifest.clone()).header("Content-Type", OCI)),
            false if asked.path.contains("/blobs/") => Some(Answer::new(200, bytes.clone())),
            false => None,
        });
        let reply = pull(&engine, &web);
        let text = ending(&reply);
        assert!(!text.is_empty(), "{config}: {}", reply.text());
        assert_eq!(kept(&engine), before, "{config} left something");
    }
}

/// Like the registry of [`spoiled`], but nobody comes in without a name and a password.
fn guarded(elsewhere: String) -> Web {
    spoiled(move |asked, parts: &Parts| match asked.header("authorization") {
        None => Some(Answer::new(401, "{}").header("WWW-Authenticate", "Basic realm=\"r\"")),
        Some(_) if parts.is_layer(&asked.path) => {
            Some(Answer::new(307, "").header("Location", &format!("http://{elsewhere}{}", asked.path)))
        }
        Some(_) => None,
    })
}

// covers: registry client-behaviour pull/push foreign layers
#[test]
fn s079_s082_credentials_go_where_they_are_for() {
    let engine = engine();
    let curious = Web::serve(|_| Answer::new(401, "{}").header("WWW-Authenticate", "Basic realm=\"mine\""));
    let web = guarded(curious.address());
    let request = Request::new("POST", &format!("/images/create?fromImage={}/a&tag=1", web.address()));
    let request = request.header("X-Registry-Auth", &registry::auth(Some(("me", "hunter2"))));
    let reply = engine.request_unchecked(&request);
    assert!(!ending(&reply).is_empty(), "{}", reply.text());
    let asked = curious.asked();
    assert!(
        !asked.is_empty() && asked.iter().all(|asked| asked.header("authorization").is_none()),
        "{asked:?}"
    );
    assert!(!reply.text().contains("hunter2") && !engine.log().contains("hunter2"));

    // Addresses that a layer brings along are not asked at all.
    let tempting = Web::serve(|_| Answer::new(401, "{}").header("WWW-Authenticate", "Basic realm=\"mine\""));
    let foreign = format!("http://{}/layer", tempting.address());
    let web = spoiled(move |asked, parts| {
        let mut manifest: Value = serde_json::from_slice(&parts.manifest).expect("the test made it so");
        manifest["layers"][0]["urls"] = json!([foreign]);
        let answer = Answer::new(200, manifest.to_string()).header("Content-Type", OCI);
        is_manifest(asked).then_some(answer)
    });
    assert!(pull(&engine, &web).text().contains("Downloaded newer image"));
    assert_eq!(tempting.asked().len(), 0);
}

#[test]
fn s082_a_redirection_leaves_http_for_nothing_else() {
    for target in
        ["file:///etc/passwd", "unix:///run/docker.sock", "ftp://127.0.0.1/x", "gopher://x", "http://"]
    {
        let engine = engine();
        let before = kept(&engine);
        let web = spoiled(move |asked, parts| {
            parts.is_layer(&asked.path).then(|| Answer::new(307, "").header("Location", target))
        });
        let text = ending(&pull(&engine, &web));
        assert!(!text.is_empty(), "{target}");
        assert_eq!(kept(&engine), before, "{target} left something");
    }
}

#[test]
fn s121_a_broken_helper_sends_nothing_to_anybody() {
    let engine = Engine::ours();
    let web = spoiled(|_, _| None);
    let other = json!({
        "credsStore": "nosuch", "credHelpers": {web.address(): "nosuch"},
        "auths": {"https://index.docker.io/v1/": {"auth": "bWU6aHVudGVyMg=="}},
    });
    engine.scratch().write("home/.docker/config.json", other.to_string());
    let output = engine.ketch(["pull", &format!("{}/a:1", web.address())]);
    let asked = web.asked();
    assert!(asked.iter().all(|asked| asked.header("authorization").is_none()), "{asked:?}");
    assert!(!format!("{}{}", output.stdout, output.stderr).contains("hunter2"));
}

#[test]
fn s076_a_silent_registry_holds_nobody_up() {
    let engine = Engine::ours();
    let before = kept(&engine);
    let web = spoiled(|asked, parts| parts.is_layer(&asked.path).then_some(Answer::Silence));
    let path = format!("/images/create?fromImage={}/a&tag=1", web.address());
    let mut stuck = engine.stream(&Request::new("POST", &path));
    eventually(DEADLINE, || match stuck.next_line() {
        Ok(Some(line)) if line.contains("Pulling fs layer") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    // Meanwhile everything else goes on, also a pull.
    let whole = spoiled(|_, _| None);
    call(&engine, "GET", "/images/json").expect(200);
    engine.ketch(["ps"]).ok();
    let name = engine.busybox();
    engine.docker(["run", "--rm", "--network", "none", &name, "true"]).ok();
    call(&engine, "DELETE", &format!("/images/{name}?force=1")).expect(200);
    drop(stuck);
    // Who hangs up ends the pull.
    let reply = pull(&engine, &whole);
    assert!(reply.text().contains("Downloaded newer image"), "{}", reply.text());
    call(&engine, "DELETE", &format!("/images/{}/a:1", whole.address())).expect(200);
    eventually(DEADLINE, || match kept(&engine) {
        now if now == before => Ok(()),
        now => Err(now),
    });
}

/// What a pull finds here stays, also where only another one, that is given up at the moment, has brought it.
#[test]
fn a_pull_that_is_given_up_takes_nothing_from_another() {
    let engine = Engine::ours();
    let silent = spoiled(|asked, parts| parts.is_layer(&asked.path).then_some(Answer::Silence));
    let whole = spoiled(|_, _| None);
    for _ in 0..30 {
        let path = format!("/images/create?fromImage={}/a&tag=1", silent.address());
        let mut stuck = engine.stream(&Request::new("POST", &path));
        eventually(DEADLINE, || match stuck.next_line() {
            Ok(Some(line)) if line.contains("Pulling fs layer") => Ok(()),
            other => Err(format!("{other:?}")),
        });
        drop(stuck);
        let reply = pull(&engine, &whole);
        assert!(reply.text().contains("Downloaded newer image"), "{}", reply.text());
        call(&engine, "DELETE", &format!("/images/{}/a:1", whole.address())).expect(200);
    }
}
