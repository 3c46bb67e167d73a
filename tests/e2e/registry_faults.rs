//! Registries that answer what no registry should, and other things that are asked of one.

use serde_json::{Value, json};
use testkit::http::{Reply, Request};
use testkit::registry::{self, Door, PASSWORD, USER, Wire};
use testkit::web::{Answer, Asked};
use testkit::{Engine, Registry, Web, images};

pub(crate) fn call(engine: &Engine, method: &str, path: &str) -> Reply {
    engine.request_unchecked(&Request::new(method, path))
}

/// What a stream of messages ends with.
pub(crate) fn ending(reply: &Reply) -> String {
    let text = reply.text();
    let last = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).next_back();
    let last = last.unwrap_or_default();
    last["error"].as_str().or(last["message"].as_str()).unwrap_or_default().to_owned()
}

/// A registry with one image of one layer, whose answers `spoil` may replace.
pub(crate) fn spoiled(spoil: impl Fn(&Asked, &Parts) -> Option<Answer> + Send + Sync + 'static) -> Web {
    let layer = images::archive_of(&[("a", b"b")]);
    let rootfs = json!({"type": "layers", "diff_ids": [images::digest(&layer)]});
    let config = json!({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).to_string();
    let entry = |kind: &str, bytes: &[u8]| json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": images::digest(bytes), "size": bytes.len()});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": entry("config.v1+json", config.as_bytes()), "layers": [entry("layer.v1.tar", &layer)],
    });
    let parts = Parts { layer, config: config.into_bytes(), manifest: manifest.to_string().into_bytes() };
    Web::serve(move |asked| spoil(asked, &parts).unwrap_or_else(|| parts.answer(asked)))
}

pub(crate) struct Parts {
    pub(crate) layer: Vec<u8>,
    pub(crate) config: Vec<u8>,
    pub(crate) manifest: Vec<u8>,
}

impl Parts {
    pub(crate) fn answer(&self, asked: &Asked) -> Answer {
        let kind = "application/vnd.oci.image.manifest.v1+json";
        match asked.path.as_str() {
            "/v2/" => Answer::new(200, "{}"),
            path if path.contains("/manifests/") => {
                Answer::new(200, self.manifest.clone()).header("Content-Type", kind)
            }
            path if self.is_layer(path) => Answer::new(200, self.layer.clone()),
            path if path.ends_with(&images::digest(&self.config)) => Answer::new(200, self.config.clone()),
            _ => Answer::new(404, "{}"),
        }
    }

    pub(crate) fn is_layer(&self, path: &str) -> bool {
        path.ends_with(&images::digest(&self.layer))
    }
}

const NOWHERE: &str = "HTTP/1.1 307 x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

#[test]
fn what_a_registry_should_not_say_is_refused_and_leaves_nothing() {
    let engine = Engine::planned(|plan, _| plan.arg("--max-download-attempts=1"));
    type Spoil = fn(&Asked, &Parts) -> Option<Answer>;
    let cases: [(&str, Spoil, &str); 8] = [
        (
            "a page instead of a manifest",
            |asked, _| {
                asked
                    .path
                    .contains("/manifests/")
                    .then(|| Answer::new(200, "<html>").header("Content-Type", "text/html"))
            },
            "is not what it should be",
        ),
        (
            "another layer",
            |asked, parts| {
                parts.is_layer(&asked.path).then(|| {
                    let mut other = parts.layer.clone();
                    other[0] ^= 1;
                    Answer::new(200, other)
                })
            },
            "should be sha256:",
        ),
        (
            "less than was announced",
            |asked, parts| {
                parts
                    .is_layer(&asked.path)
                    .then(|| Answer::Raw(b"HTTP/1.1 200 x\r\nContent-Length: 2048\r\n\r\nhalf".to_vec()))
            },
            "broke",
        ),
        (
            "less than the manifest says",
            |asked, parts| parts.is_layer(&asked.path).then(|| Answer::new(200, "short")),
            "sent 5 of ",
        ),
        (
            "more than the manifest says",
            |asked, parts| {
                parts.is_layer(&asked.path).then(|| Answer::new(200, [&parts.layer[..], b"more"].concat()))
            },
            "is larger than",
        ),
        (
            "a loop",
            |asked, parts| {
                parts.is_layer(&asked.path).then(|| Answer::new(307, "").header("Location", &asked.path))
            },
            "redirects without end",
        ),
        (
            "a redirection to nowhere",
            |asked, parts| parts.is_layer(&asked.path).then(|| Answer::Raw(NOWHERE.as_bytes().to_vec())),
            "without saying where to",
        ),
        (
            "an early end",
            |asked, _| asked.path.contains("/manifests/").then(|| Answer::Raw(b"HTTP/1.1 2".to_vec())),
            "broke",
        ),
    ];
    for (what, spoil, words) in cases {
        let web = spoiled(spoil);
        let reply = call(&engine, "POST", &format!("/images/create?fromImage={}/a&tag=1", web.address()));
        let ending = ending(&reply);
        assert!(ending.contains(words), "{what}: {} {ending}", reply.status());
        assert_eq!(call(&engine, "GET", "/images/json?all=1").json(), json!([]), "{what}");
    }
    let web = spoiled(|_, _| None);
    let whole = call(&engine, "POST", &format!("/images/create?fromImage={}/a&tag=1", web.address()));
    assert!(whole.text().contains("Status: Downloaded newer image"), "{}", whole.text());
}

// covers: registry client-behaviour pull/push resume and retry
#[test]
fn an_interrupted_layer_is_gone_on_with() {
    let engine = Engine::ours();
    let web = spoiled(|asked, parts| {
        let first = asked.header("range").is_none() && parts.is_layer(&asked.path);
        let rest = asked.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        match rest.and_then(|from| from.parse::<usize>().ok()) {
            Some(from) => {
                let range = format!("bytes {from}-{}/{}", parts.layer.len() - 1, parts.layer.len());
                Some(Answer::new(206, parts.layer[from..].to_vec()).header("Content-Range", &range))
            }
            None if first => {
                let head = format!("HTTP/1.1 200 x\r\nContent-Length: {}\r\n\r\n", parts.layer.len());
                Some(Answer::Raw([head.as_bytes(), &parts.layer[..700]].concat()))
            }
            None => None,
        }
    });
    let reply = call(&engine, "POST", &format!("/images/create?fromImage={}/a&tag=1", web.address()));
    assert!(reply.text().contains("Status: Downloaded newer image"), "{}", reply.text());
    let ranges: Vec<_> =
        web.asked().iter().filter_map(|asked| asked.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges, ["bytes=700-"]);
}

#[test]
fn credentials_stay_with_the_registry_that_they_are_for() {
    let engine = Engine::ours();
    let storage = Web::serve(|asked| match asked.method.as_str() {
        "PATCH" => Answer::new(202, "").header("Location", "/upload?x=2"),
        "PUT" => Answer::new(201, ""),
        _ => Answer::new(404, ""),
    });
    let elsewhere = storage.address();
    let registry = Web::serve(move |asked| {
        let known = asked.header("authorization").is_some();
        match (known, asked.method.as_str(), asked.path.as_str()) {
            (false, ..) => Answer::new(401, "{}").header("WWW-Authenticate", "Basic realm=\"r\""),
            (_, "GET", "/v2/") => Answer::new(200, "{}"),
            (_, "HEAD", _) => Answer::new(404, ""),
            (_, "POST", _) => {
                Answer::new(202, "").header("Location", &format!("http://{elsewhere}/upload?x=1"))
            }
            (_, "PUT", path) if path.contains("/manifests/") => Answer::new(201, ""),
            _ => Answer::new(404, "{}"),
        }
    });
    let name = format!("{}/a", registry.address());
    let box_ = engine.busybox();
    call(&engine, "POST", &format!("/images/{box_}/tag?repo={name}&tag=1")).expect(201);
    let push = Request::new("POST", &format!("/images/{name}/push?tag=1"));
    let push = push.header("X-Registry-Auth", &registry::auth(Some(("me", "hunter2"))));
    let reply = engine.request_unchecked(&push).expect(200);
    assert!(reply.text().contains("digest: sha256:"), "{}", reply.text());
    let asked = storage.asked();
    assert!(asked.iter().all(|asked| asked.header("authorization").is_none()), "{asked:?}");
    let paths: Vec<_> = asked.iter().map(|asked| asked.path.split("%3A").next().unwrap()).collect();
    let (layer, config) = (["/upload?x=1", "/upload?x=2&digest=sha256"], "/upload?x=1&digest=sha256");
    assert_eq!(paths, [layer[0], layer[1], config]);
    let manifest = registry.asked().into_iter().find(|asked| asked.method == "PUT").unwrap();
    let manifest: Value = serde_json::from_slice(&manifest.body).unwrap();
    let layer = asked.iter().find(|asked| manifest["layers"][0]["digest"] == images::digest(&asked.body));
    assert!(layer.is_some(), "the layer is what the manifest says");
}

#[test]
fn an_upload_that_fails_for_a_moment_is_tried_again() {
    let engine = Engine::ours();
    let failed = std::sync::atomic::AtomicUsize::new(0);
    let registry = Web::serve(move |asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/v2/") => Answer::new(200, "{}"),
        ("HEAD", _) => Answer::new(404, ""),
        ("POST", _) => Answer::new(202, "").header("Location", "/upload"),
        // It takes no layer in parts: only one that is packed before.
        ("PATCH", _) => Answer::new(405, "{}"),
        ("PUT", path) if path.starts_with("/upload") => {
            match failed.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                0 => Answer::new(503, "{}"),
                _ => Answer::new(201, ""),
            }
        }
        ("PUT", _) => Answer::new(201, ""),
        _ => Answer::new(404, "{}"),
    });
    let name = format!("{}/a", registry.address());
    let box_ = engine.busybox();
    call(&engine, "POST", &format!("/images/{box_}/tag?repo={name}&tag=1")).expect(201);
    let reply = call(&engine, "POST", &format!("/images/{name}/push?tag=1")).expect(200);
    assert!(reply.text().contains("digest: sha256:"), "{}", reply.text());
}

// covers: api GET /distribution/{name}/json
#[test]
fn a_registry_is_asked_what_it_has() {
    let engine = Engine::isolated();
    let registry = Registry::with(Door::Login, Wire::Plain);
    let name = registry.name("a:1");
    registry.receive("a:1", &images::busybox(&name).unwrap());
    let ask = |name: &str, account| {
        let request = Request::new("GET", &format!("/distribution/{name}/json"));
        engine.request_unchecked(&request.header("X-Registry-Auth", &registry::auth(account)))
    };
    let found = ask(&name, Some((USER, PASSWORD))).expect(200).json();
    let manifest = registry.manifest("a:1");
    let kind = serde_json::from_str::<Value>(&manifest).unwrap()["mediaType"].clone();
    let descriptor = json!({"mediaType": kind, "digest": registry.digest("a:1"), "size": manifest.len()});
    assert_eq!(found["Descriptor"], descriptor);
    assert_eq!(found["Platforms"][0]["os"], "linux");
    let missing = ask(&registry.name("a:2"), Some((USER, PASSWORD))).expect(404).message();
    assert!(missing.ends_with("manifest unknown: manifest unknown"), "{missing}");
    assert!(ask(&name, None).status() >= 400);
    let wrong = ask(&registry.name("A:2"), None).expect(400).message();
    assert!(wrong.ends_with("must be lowercase"), "{wrong}");
}

// covers: api GET /images/search
// covers: api GET /images/search ?term
// covers: api GET /images/search ?limit
// covers: api GET /images/search ?filters
// covers: registry client-behaviour pull/push search
#[test]
fn a_registry_is_searched() {
    let engine = Engine::isolated();
    let found = |name: &str, stars: u64, official: bool| json!({"name": name, "description": "text", "star_count": stars, "is_official": official, "is_automated": false});
    let results =
        json!({"results": [found("a", 5, true), found("b", 1, false)], "num_results": 2, "query": "x"});
    let web = Web::serve(move |asked| match asked.path.split('?').next() {
        Some("/v1/search") => {
            Answer::new(200, results.to_string()).header("Content-Type", "application/json")
        }
        Some("/v1/_ping") => Answer::new(200, "{}").header("X-Docker-Registry-Standalone", "true"),
        _ => Answer::new(404, ""),
    });
    let search =
        |query: &str| call(&engine, "GET", &format!("/images/search?term={}/word&{query}", web.address()));
    let names = |reply: Reply| -> Vec<String> {
        let found = reply.expect(200).json();
        found.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(search("limit=7")), ["a", "b"]);
    let asked = web.asked();
    let asked = asked.iter().find(|asked| asked.path.starts_with("/v1/search")).unwrap();
    assert!(asked.path.contains("q=word") && asked.path.contains("n=7"), "{}", asked.path);
    assert_eq!(names(search("filters=%7B%22stars%22:[%223%22]%7D")), ["a"]);
    assert_eq!(names(search("filters=%7B%22is-official%22:[%22false%22]%7D")), ["b"]);
    let one = search("").expect(200).json()[0].clone();
    assert_eq!(one, found("a", 5, true));
    for (query, words) in [
        ("limit=1000", "limit 1000 is outside the range of [1, 100]"),
        ("limit=x", "invalid limit specified: strconv.Atoi: parsing \"x\": invalid syntax"),
        ("filters=%7B%22no%22:[%22x%22]%7D", "invalid filter 'no'"),
        ("filters=%7B%22is-official%22:[%22x%22]%7D", "invalid filter 'is-official=[x]'"),
    ] {
        assert_eq!(search(query).expect(400).message(), words);
    }
}
