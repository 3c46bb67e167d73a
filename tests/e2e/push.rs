//! Images given to a real registry.

use serde_json::Value;
use testkit::http::Request;
use testkit::registry::{self, Door, PASSWORD, USER, Wire};
use testkit::{Engine, Registry, images};

/// The messages of a push over the API, with or without credentials.
fn push(engine: &Engine, name: &str, query: &str, login: Option<(&str, &str)>) -> Vec<Value> {
    let request = Request::new("POST", &format!("/images/{name}/push?{query}"))
        .header("X-Registry-Auth", &registry::auth(login));
    let reply = engine.request_unchecked(&request).expect(200);
    reply.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn tag(engine: &Engine, from: &str, repository: &str, tag: &str) {
    let path = format!("/images/{from}/tag?repo={repository}&tag={tag}");
    engine.request_unchecked(&Request::new("POST", &path)).expect(201);
}

/// What was said about layers, the bars left out.
fn milestones(messages: &[Value]) -> Vec<String> {
    let of_layers = messages.iter().filter(|message| message["id"].is_string());
    let statuses = of_layers.filter_map(|message| message["status"].as_str());
    statuses.filter(|status| !matches!(*status, "Pushing" | "Waiting")).map(str::to_owned).collect()
}

fn error(messages: &[Value]) -> &str {
    messages.last().and_then(|message| message["error"].as_str()).unwrap_or_default()
}

fn inspect(engine: &Engine, image: &str) -> Value {
    engine.request_unchecked(&Request::new("GET", &format!("/images/{image}/json"))).expect(200).json()
}

fn names(engine: &Engine, image: &str, key: &str) -> Vec<String> {
    let image =
        engine.request_unchecked(&Request::new("GET", &format!("/images/{image}/json"))).expect(200).json();
    image[key].as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

fn remove(engine: &Engine, name: &str) {
    engine.request_unchecked(&Request::new("DELETE", &format!("/images/{name}?force=1")));
}

// covers: api POST /images/{name}/push
// covers: api POST /images/{name}/push ?tag
#[test]
fn a_registry_is_given_what_it_lacks_and_nothing_twice() {
    let engine = Engine::isolated();
    let registry = Registry::start();
    let box_ = engine.busybox();
    let (first, second) = (registry.name("team/a"), registry.name("team/b"));
    tag(&engine, &box_, &first, "1");
    tag(&engine, &box_, &second, "1");

    let messages = push(&engine, &first, "tag=1", None);
    assert_eq!(messages[0]["status"], format!("The push refers to repository [{first}]"));
    assert_eq!(milestones(&messages), ["Preparing", "Pushed"]);
    let digest = registry.digest("team/a:1");
    let size = registry.manifest("team/a:1").len();
    let last = &messages[messages.len() - 2..];
    assert_eq!(last[0]["status"], format!("1: digest: {digest} size: {size}"));
    let aux = serde_json::json!({"Tag": "1", "Digest": digest, "Size": size});
    assert_eq!(last[1], serde_json::json!({"progressDetail": {}, "aux": aux}));
    assert_eq!(names(&engine, &format!("{first}:1"), "RepoDigests"), [format!("{first}@{digest}")]);

    assert_eq!(milestones(&push(&engine, &first, "tag=1", None)), ["Preparing", "Layer already exists"]);
    let mounted = push(&engine, &second, "tag=1", None);
    assert_eq!(milestones(&mounted), ["Preparing", "Mounted from team/a"]);
    assert_eq!(registry.digest("team/b:1"), digest);

    // What was pushed is what comes back.
    let id = inspect(&engine, &box_)["Id"].clone();
    for name in [format!("{first}:1"), format!("{second}:1"), box_] {
        remove(&engine, &name);
    }
    engine.docker(["pull", &format!("{second}:1")]).ok();
    let back = inspect(&engine, &format!("{second}:1"));
    assert_eq!(back["Id"], id);
    engine.docker(["run", "--rm", "--network", "none", &format!("{second}:1"), "true"]).ok();
    remove(&engine, &format!("{second}:1"));
}

#[test]
fn all_tags_of_a_repository_go_when_none_is_named() {
    let engine = Engine::isolated();
    let registry = Registry::start();
    let (box_, repository) = (engine.busybox(), registry.name("many"));
    for name in ["1", "2"] {
        tag(&engine, &box_, &repository, name);
    }
    let messages = push(&engine, &repository, "", None);
    let pushed: Vec<_> = messages.iter().filter_map(|message| message["aux"]["Tag"].as_str()).collect();
    assert_eq!(pushed, ["1", "2"]);
    assert_eq!(registry.digest("many:1"), registry.digest("many:2"));
    for name in ["1", "2"] {
        remove(&engine, &format!("{repository}:{name}"));
    }
}

// covers: api POST /images/{name}/push ?platform
#[test]
fn what_cannot_be_pushed_is_told_in_dockerd_s_words() {
    let engine = Engine::isolated();
    let registry = Registry::with(Door::Login, Wire::Plain);
    let (box_, repository) = (engine.busybox(), registry.name("a"));
    tag(&engine, &box_, &repository, "1");
    let none = registry.name("none");
    let nothing = format!("An image does not exist locally with the tag: {none}");
    assert_eq!(error(&push(&engine, &none, "tag=1", None)), nothing);
    let missing = push(&engine, &repository, "tag=2", None);
    assert_eq!(error(&missing), format!("tag does not exist: {repository}:2"));
    assert!(error(&push(&engine, &repository, "tag=1", None)).starts_with("no basic auth credentials"));
    let wrong = push(&engine, &repository, "tag=1", Some((USER, "wrong")));
    assert_eq!(error(&wrong), "unauthorized: authentication required");
    let right = push(&engine, &repository, "tag=1", Some((USER, PASSWORD)));
    assert_eq!(error(&right), "", "{right:?}");
    let digest = format!("{repository}@sha256:{}", "a".repeat(64));
    assert_eq!(error(&push(&engine, &digest, "", None)), "cannot push a digest reference");
    let other = "platform=%7B%22os%22:%22linux%22,%22architecture%22:%22s390x%22%7D";
    let request = Request::new("POST", &format!("/images/{repository}/push?tag=1&{other}"))
        .header("X-Registry-Auth", &registry::auth(None));
    let refused = engine.request_unchecked(&request).expect(404).message();
    assert!(refused.ends_with("does not match the specified platform (linux/s390x)"), "{refused}");
    let request = Request::new("POST", &format!("/images/{repository}/push?tag=1&platform=linux/s390x"));
    let refused = engine.request_unchecked(&request.header("X-Registry-Auth", "e30=")).expect(400).message();
    assert!(refused.starts_with("failed to parse platform: "), "{refused}");
    remove(&engine, &format!("{repository}:1"));
}

// dockerd compresses again what it pulled, and its digest is another one.
#[test]
fn what_was_pulled_is_pushed_byte_for_byte() {
    let engine = Engine::ours();
    let (from, to) = (Registry::start(), Registry::start());
    let archive = images::busybox(&from.name("a:1")).unwrap_or_else(|error| panic!("{error:#}"));
    from.receive("a:1", &archive);
    let name = from.name("a:1");
    engine.docker(["pull", &name]).ok();
    tag(&engine, &name, &to.name("b"), "1");
    push(&engine, &to.name("b"), "tag=1", None);
    assert_eq!(to.manifest("b:1"), from.manifest("a:1"));
}
