//! `events`: the past between two times, the present while it happens, filters.

use serde_json::{Value, json};
use testkit::Engine;
use testkit::http::Request;

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

// covers: api GET /events
// covers: api GET /events ?since
// covers: api GET /events ?until
// covers: api GET /events ?filters
#[test]
fn a_containers_life_can_be_read_afterwards() {
    let engine = Engine::isolated();
    let (tag, name, since) = (engine.busybox(), engine.name("c"), now());
    let config = json!({"Image": tag, "Cmd": ["sh", "-c", "exit 3"], "HostConfig": {"NetworkMode": "none"}});
    engine.post(&format!("/containers/create?name={name}"), &config).expect(201);
    engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
    engine.post(&format!("/containers/{name}/wait"), &Value::Null).expect(200);
    engine.delete(&format!("/containers/{name}")).expect(204);
    let filters = format!("filters={{%22container%22:[%22{name}%22],%22type%22:[%22container%22]}}");
    let reply = engine.get(&format!("/events?since={since}&until={}&{filters}", now() + 1)).expect(200);
    let events: Vec<Value> =
        serde_json::Deserializer::from_slice(&reply.body).into_iter().map(Result::unwrap).collect();
    let actions: Vec<_> = events.iter().map(|event| event["Action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["create", "start", "die", "destroy"]);
    assert_eq!(events[2]["Actor"]["Attributes"]["exitCode"], "3");
    assert_eq!(events[0]["Actor"]["Attributes"]["name"], name.as_str());
}

/// This moment, to the nanosecond: everything that was answered lies before it, and nobody waits for it.
fn instant() -> String {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:09}", time.as_secs(), time.subsec_nanos())
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// The container actions since `since` that pass `filters`, in order; only this test's container can pass.
fn actions(engine: &Engine, since: u64, name: &str, filters: &Value) -> Vec<String> {
    let mut filters = filters.clone();
    // On a shared engine others make events too.
    if filters.get("container").is_none() {
        filters["container"] = json!([name]);
    }
    let encoded = percent(&filters.to_string());
    let reply =
        engine.get(&format!("/events?since={since}&until={}&filters={encoded}", instant())).expect(200);
    let events = serde_json::Deserializer::from_slice(&reply.body).into_iter::<Value>().map(Result::unwrap);
    events.map(|event| event["Action"].as_str().unwrap_or_default().to_owned()).collect()
}

// covers: value filter docker system events container
// covers: value filter docker system events daemon
// covers: value filter docker system events event
// covers: value filter docker system events image
// covers: value filter docker system events label
// covers: value filter docker system events network
// covers: value filter docker system events plugin
// covers: value filter docker system events scope
// covers: value filter docker system events type
// covers: value filter docker system events volume
// covers: value filter docker system events config
// covers: value filter docker system events node
// covers: value filter docker system events secret
// covers: value filter docker system events service
// covers: value event-type events container
// covers: value event-action events create
// covers: value event-action events start
// covers: value event-action events die
// covers: value event-action events destroy
#[test]
fn every_filter_lets_through_what_it_says() {
    let engine = Engine::isolated();
    let (tag, name, since) = (engine.busybox(), engine.name("c"), now());
    let config = json!({
        "Image": tag, "Cmd": ["true"], "Labels": {"colour": "red", "empty": ""},
        "HostConfig": {"NetworkMode": "none"},
    });
    engine.post(&format!("/containers/create?name={name}"), &config).expect(201);
    engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
    engine.post(&format!("/containers/{name}/wait"), &Value::Null).expect(200);
    engine.delete(&format!("/containers/{name}")).expect(204);
    // dockerd's network events name the container too, as an attribute; they aren't the container's own.
    let all = ["create", "start", "die", "destroy"];
    for (filters, wanted) in [
        (json!({"type": ["container"]}), &all[..]),
        (json!({"type": ["container", "image"]}), &all),
        (json!({"type": ["container"], "event": ["create", "destroy"]}), &["create", "destroy"]),
        (json!({"type": ["container"], "image": [tag]}), &all),
        (json!({"type": ["container"], "image": ["another"]}), &[]),
        (json!({"type": ["container"], "label": ["colour=red", "empty"]}), &all),
        (json!({"type": ["container"], "label": ["colour=red", "other"]}), &[]),
        (json!({"type": ["container"], "scope": ["local"]}), &all),
        (json!({"type": ["container"], "scope": ["swarm"]}), &[]),
        (json!({"type": ["container"], "container": ["another"]}), &[]),
        (json!({"type": ["volume"]}), &[]),
    ] {
        assert_eq!(actions(&engine, since, &name, &filters), wanted, "{filters}");
    }
    for kind in ["daemon", "network", "plugin", "volume", "config", "node", "secret", "service"] {
        // Something else's name: no event of a container is about it.
        let told = actions(&engine, since, &name, &json!({"type": ["container"], kind: ["another"]}));
        assert!(told.is_empty(), "{kind}: {told:?}");
    }
}

#[test]
fn a_filter_that_does_not_exist_is_refused_by_name() {
    let engine = Engine::ours();
    // dockerd takes any key and lets nothing through.
    let reply = engine.get("/events?filters={%22colour%22:[%22red%22]}").expect(400);
    assert!(reply.message().contains("colour"), "{}", reply.message());
}

#[test]
fn a_follower_hears_what_happens() {
    let engine = Engine::isolated();
    let filters = "filters={%22type%22:[%22image%22],%22event%22:[%22load%22,%22tag%22]}";
    let mut stream = engine.stream(&Request::new("GET", &format!("/events?{filters}")));
    assert_eq!(stream.head.status, 200);
    let tag = engine.busybox();
    let id = engine.get(&format!("/images/{tag}/json")).expect(200).json()["Id"].clone();
    loop {
        let line = stream.next_line().unwrap().expect("the stream goes on");
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["Type"], "image");
        if event["Action"] == "load" && event["Actor"]["ID"] == id {
            break;
        }
    }
}
