//! Images from a real registry: by the API, by our command line, by docker's.

use serde_json::Value;
use testkit::http::Request;
use testkit::registry::{Door, Wire};
use testkit::{Engine, Registry, images};

/// A registry with `box:1` in it, whose id no other test has.
fn registry(engine: &Engine, door: Door, wire: Wire) -> (Registry, String) {
    let registry = Registry::with(door, wire);
    let tag = format!("{}:1", engine.name("box"));
    let archive = images::busybox(&registry.name(&tag)).unwrap_or_else(|error| panic!("{error:#}"));
    registry.receive(&tag, &archive);
    let name = registry.name(&tag);
    (registry, name)
}

/// The messages of a pull over the API.
fn pull(engine: &Engine, name: &str) -> Vec<Value> {
    let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
    let path = format!("/images/create?fromImage={repository}&tag={tag}");
    let reply = engine.request_unchecked(&Request::new("POST", &path)).expect(200);
    reply.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn remove(engine: &Engine, name: &str) {
    engine.docker(["rmi", "--force", name]).ok();
}

// covers: api POST /images/create
#[test]
fn an_image_comes_from_a_real_registry() {
    let engine = Engine::isolated();
    for wire in [Wire::Plain, Wire::Tls] {
        let (registry, name) = registry(&engine, Door::Open, wire);
        let messages = pull(&engine, &name);
        let said = |text: &str| {
            messages.iter().any(|m| m["status"].as_str().is_some_and(|status| status.contains(text)))
        };
        assert!(said("Pulling from ") && said("Pull complete"), "{messages:?}");
        assert!(said(&format!("Status: Downloaded newer image for {name}")), "{messages:?}");
        let output = engine.docker(["run", "--rm", "--network", "none", &name, "echo", "pulled"]);
        assert_eq!(output.ok(), "pulled");
        let again = pull(&engine, &name);
        let last = again.last().and_then(|message| message["status"].as_str()).unwrap_or_default();
        assert_eq!(last, format!("Status: Image is up to date for {name}"));
        let digest = engine.docker(["inspect", "--format", "{{index .RepoDigests 0}}", &name]).ok();
        let rest = name.split_once('/').map_or("", |(_, rest)| rest);
        assert_eq!(digest.split_once('@').map(|(_, digest)| digest), Some(registry.digest(rest).as_str()));
        remove(&engine, &name);
    }
}
