//! Removing images: names, digests, containers, and what is told of it.

use serde_json::{Value, json};
use testkit::http::{Reply, Request};
use testkit::{Engine, Registry, images};

fn call(engine: &Engine, method: &str, path: &str) -> Reply {
    engine.request_unchecked(&Request::new(method, path))
}

fn tag(engine: &Engine, from: &str, repository: &str, tag: &str) {
    call(engine, "POST", &format!("/images/{from}/tag?repo={repository}&tag={tag}")).expect(201);
}

/// An image of the test's own with one small layer and a label, and its id.
fn small(engine: &Engine, name: &str) -> String {
    let tar = images::archive_of(&[("name", engine.name(name).as_bytes())]);
    let label = engine.name("label");
    let query =
        format!("fromSrc=-&repo={}&tag=1&changes=LABEL%20{label}=yes&changes=CMD%20x", engine.name(name));
    let request = Request::new("POST", &format!("/images/create?{query}"));
    let reply = engine.request_unchecked(&request.header("Content-Type", "application/x-tar").body(tar));
    reply.expect(200).json()["status"].as_str().unwrap_or_default().to_owned()
}

fn words(reply: &Reply) -> Vec<(String, String)> {
    let entries = reply.json();
    let entries = entries.as_array().into_iter().flatten().filter_map(Value::as_object);
    entries
        .flat_map(|entry| {
            entry.iter().map(|(key, value)| (key.clone(), value.as_str().unwrap_or("").to_owned()))
        })
        .collect()
}

// covers: api DELETE /images/{name}
// covers: api DELETE /images/{name} ?force
// covers: api DELETE /images/{name} ?noprune
#[test]
fn names_go_one_by_one_and_the_image_with_the_last() {
    let engine = Engine::isolated();
    let (id, name) = (small(&engine, "a"), engine.name("a"));
    tag(&engine, &id, &name, "2");
    tag(&engine, &id, &engine.name("b"), "1");
    let short = &id[7..19];
    let refused = call(&engine, "DELETE", &format!("/images/{id}")).expect(409).message();
    let expected = format!(
        "conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories"
    );
    assert_eq!(refused, expected);
    for gone in [format!("{name}:1"), format!("{name}:2")] {
        let removed = call(&engine, "DELETE", &format!("/images/{gone}")).expect(200);
        assert_eq!(words(&removed), [("Untagged".to_owned(), gone)]);
    }
    let removed = call(&engine, "DELETE", &format!("/images/{id}?noprune=1")).expect(200);
    let removed = words(&removed);
    assert_eq!(removed[0], ("Untagged".to_owned(), format!("{}:1", engine.name("b"))));
    assert_eq!(removed[1], ("Deleted".to_owned(), id.clone()));
    assert_eq!(removed.len(), 3, "and its layer: {removed:?}");
    let missing = call(&engine, "DELETE", &format!("/images/{id}")).expect(404).message();
    assert_eq!(missing, format!("No such image: {id}"));
}

#[test]
fn digests_go_with_the_last_tag_of_their_repository() {
    let engine = Engine::isolated();
    let registry = Registry::start();
    let (id, repository) = (small(&engine, "a"), registry.name("a"));
    for name in ["1", "2"] {
        tag(&engine, &id, &repository, name);
    }
    engine.docker(["push", "-q", "-a", &repository]).ok();
    let first = words(&call(&engine, "DELETE", &format!("/images/{repository}:1")).expect(200));
    assert_eq!(first, [("Untagged".to_owned(), format!("{repository}:1"))]);
    let second = words(&call(&engine, "DELETE", &format!("/images/{repository}:2")).expect(200));
    let digest = format!("{repository}@{}", registry.digest("a:1"));
    let untagged = |name: &str| ("Untagged".to_owned(), name.to_owned());
    assert_eq!(second, [untagged(&format!("{repository}:2")), untagged(&digest)]);
    call(&engine, "DELETE", &format!("/images/{}:1", engine.name("a"))).expect(200);
}

#[test]
fn a_container_keeps_its_image_unless_forced_and_its_layers_always() {
    let engine = Engine::isolated();
    let name = engine.busybox();
    let id = call(&engine, "GET", &format!("/images/{name}/json")).json()["Id"].as_str().unwrap().to_owned();
    let container = engine.name("c");
    let body = json!({"Image": name, "Cmd": ["sleep", "600"], "HostConfig": {"NetworkMode": "none"}});
    let path = format!("/containers/create?name={container}");
    let created = engine.request_unchecked(&Request::new("POST", &path).json(&body)).expect(201).json();
    let user = &created["Id"].as_str().unwrap()[..12];
    let short = &id[7..19];

    let by_name = call(&engine, "DELETE", &format!("/images/{name}")).expect(409).message();
    let expected = format!(
        "conflict: unable to remove repository reference \"{name}\" (must force) - container {user} is using its \
         referenced image {short}"
    );
    assert_eq!(by_name, expected);
    let by_id = call(&engine, "DELETE", &format!("/images/{id}")).expect(409).message();
    let expected = format!(
        "conflict: unable to delete {short} (must be forced) - image is being used by stopped container {user}"
    );
    assert_eq!(by_id, expected);

    call(&engine, "POST", &format!("/containers/{container}/start")).expect(204);
    let running = call(&engine, "DELETE", &format!("/images/{id}?force=1")).expect(409).message();
    let expected = format!(
        "conflict: unable to delete {short} (cannot be forced) - image is being used by running container {user}"
    );
    assert_eq!(running, expected);
    call(&engine, "POST", &format!("/containers/{container}/kill")).expect(204);
    call(&engine, "POST", &format!("/containers/{container}/wait")).expect(200);

    let removed = words(&call(&engine, "DELETE", &format!("/images/{id}?force=1")).expect(200));
    assert_eq!(removed[0], ("Untagged".to_owned(), name));
    assert_eq!(removed[1], ("Deleted".to_owned(), id.clone()));
    call(&engine, "GET", &format!("/images/{id}/json")).expect(404);
    // The container's root is whole all the same.
    call(&engine, "POST", &format!("/containers/{container}/start")).expect(204);
    call(&engine, "DELETE", &format!("/containers/{container}?force=1")).expect(204);
}

// covers: api POST /images/prune
// covers: api POST /images/prune ?filters
// covers: value filter docker image prune label
// covers: value filter docker image prune until
// covers: value event-action events delete
// covers: value event-action events untag
// covers: value event-action events tag
#[test]
fn pruning_takes_what_nobody_uses_and_the_filters_admit() {
    let engine = Engine::isolated();
    let label = engine.name("label");
    let (id, name) = (small(&engine, "a"), engine.name("a"));
    let prune = |filters: Value| {
        let filters = filters.to_string().replace('"', "%22").replace('{', "%7B").replace('}', "%7D");
        call(&engine, "POST", &format!("/images/prune?filters={filters}"))
    };
    for (filters, text) in [
        (json!({"dangling": ["x"]}), "invalid filter 'dangling=[x]'"),
        (json!({"nosuch": ["x"]}), "invalid filter 'nosuch'"),
    ] {
        assert_eq!(prune(filters).expect(400).message(), text);
    }
    let nothing = json!({"ImagesDeleted": null, "SpaceReclaimed": 0});
    assert_eq!(prune(json!({"label": [label]})).expect(200).json(), nothing, "it has a name");
    let both = json!({"label": [label], "dangling": ["false"], "until": ["24h"]});
    assert_eq!(prune(both).expect(200).json(), nothing, "it is young");
    let other = json!({"label": [label], "dangling": ["false"], "label!": [format!("{label}=yes")]});
    assert_eq!(prune(other).expect(200).json(), nothing, "its label is excepted");

    let body = json!({"Image": id, "HostConfig": {"NetworkMode": "none"}});
    let path = format!("/containers/create?name={}", engine.name("c"));
    engine.request_unchecked(&Request::new("POST", &path).json(&body)).expect(201);
    let all = json!({"label": [label], "dangling": ["false"]});
    assert_eq!(prune(all.clone()).expect(200).json(), nothing, "a container uses it");
    call(&engine, "DELETE", &format!("/containers/{}", engine.name("c"))).expect(204);

    let pruned = prune(all).expect(200).json();
    let removed: Vec<&Value> = pruned["ImagesDeleted"].as_array().unwrap().iter().collect();
    assert_eq!(removed[0]["Untagged"], format!("{name}:1"));
    assert_eq!(removed[1]["Deleted"], id);
    assert!(pruned["SpaceReclaimed"].as_u64().unwrap() > 0, "{pruned}");
}

/// What was told about an image of this test: action, actor, attributes.
fn told(engine: &Engine, since: &str, wanted: &str) -> Vec<(String, String, Value)> {
    let until = now();
    let path = format!("/events?since={since}&until={until}&filters=%7B%22type%22:[%22image%22]%7D");
    let events = call(engine, "GET", &path).text();
    let events = events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    events
        .map(|event| {
            (text(&event["Action"]), text(&event["Actor"]["ID"]), event["Actor"]["Attributes"].clone())
        })
        .filter(|(_, id, attributes)| id == wanted || attributes["name"] == wanted || id.starts_with("127."))
        .collect()
}

fn now() -> String {
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("the test made it so");
    format!("{}.{:09}", now.as_secs(), now.subsec_nanos())
}

// covers: value event-action events push
// covers: value event-action events pull
// covers: value event-action events load
// covers: value event-type events image
#[test]
fn everything_that_happens_to_an_image_is_told() {
    let engine = Engine::isolated();
    let registry = Registry::start();
    let since = now();
    let (id, name, label) = (small(&engine, "a"), format!("{}:1", engine.name("a")), engine.name("label"));
    let repository = registry.name("a");
    tag(&engine, &name, &repository, "1");
    engine.docker(["push", "-q", &format!("{repository}:1")]).ok();
    engine.docker(["pull", "-q", &format!("{repository}:1")]).ok();
    let saved = call(&engine, "GET", &format!("/images/{name}/get")).expect(200).body;
    let load = Request::new("POST", "/images/load").header("Content-Type", "application/x-tar");
    engine.request_unchecked(&load.body(saved)).expect(200);
    call(&engine, "DELETE", &format!("/images/{repository}:1")).expect(200);
    call(&engine, "DELETE", &format!("/images/{name}")).expect(200);

    let with = |name: &str| json!({ "name": name, label.clone(): "yes" });
    let remote = format!("{repository}:1");
    let expected = [
        ("tag", &id, with(&name)),
        ("import", &id, with(&id)),
        ("tag", &id, with(&remote)),
        ("push", &remote, with(&repository)),
        ("pull", &remote, with(&repository)),
        ("save", &id, with(&id)),
        ("load", &id, with(&id)),
        ("untag", &id, with(&id)),
        ("untag", &id, with(&id)),
        ("delete", &id, json!({ "name": id })),
    ];
    let line = |action: &str, actor: &str, attributes: &Value| {
        let label = attributes.get(&label).is_some();
        format!("{action} {actor} {} {label}", attributes["name"].as_str().unwrap_or_default())
    };
    let expected = expected.map(|(action, actor, attributes)| line(action, actor, &attributes));
    let mut told = told(&engine, &since, &id);
    told.retain(|(_, actor, _)| *actor == id || *actor == remote);
    let told: Vec<String> =
        told.iter().map(|(action, actor, attributes)| line(action, actor, attributes)).collect();
    assert_eq!(told, expected);
}

// covers: value event-action events prune
// covers: api GET /images/json ?filter
#[test]
fn a_prune_is_told_with_what_it_freed() {
    let engine = Engine::isolated();
    let since = now();
    let (id, name) = (small(&engine, "a"), engine.name("a"));
    let old = call(&engine, "GET", &format!("/v1.40/images/json?filter={name}")).expect(200).json();
    assert_eq!(old[0]["Id"], json!(id));
    assert_eq!(call(&engine, "GET", "/v1.40/images/json?filter=nobody").expect(200).json(), json!([]));
    // Nothing has this label: in a shared engine, nothing must go.
    let filters = format!("%7B%22label%22:[%22{}%22]%7D", engine.name("nobody"));
    call(&engine, "POST", &format!("/images/prune?filters={filters}")).expect(200);
    let told = told(&engine, &since, "");
    let (_, _, attributes) = told.iter().find(|(action, ..)| action == "prune").expect("it was told");
    assert_eq!(attributes["reclaimed"], "0");
    call(&engine, "DELETE", &format!("/images/{name}:1")).expect(200);
}
