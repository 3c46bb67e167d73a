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
