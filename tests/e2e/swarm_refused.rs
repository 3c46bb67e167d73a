//! Swarm's routes answer as an engine that isn't in a swarm.

use testkit::Engine;
use testkit::cases::SWARM;
use testkit::http::Request;

use crate::errors::differences;

// covers: api GET /swarm
// covers: api POST /swarm/leave
// covers: api POST /swarm/unlock
// covers: api GET /swarm/unlockkey
// covers: api POST /swarm/update
// covers: api GET /configs
// covers: api POST /configs/create
// covers: api GET /configs/{id}
// covers: api DELETE /configs/{id}
// covers: api POST /configs/{id}/update
// covers: api GET /nodes
// covers: api GET /nodes/{id}
// covers: api DELETE /nodes/{id}
// covers: api POST /nodes/{id}/update
// covers: api GET /secrets
// covers: api POST /secrets/create
// covers: api GET /secrets/{id}
// covers: api DELETE /secrets/{id}
// covers: api POST /secrets/{id}/update
// covers: api GET /services
// covers: api POST /services/create
// covers: api GET /services/{id}
// covers: api DELETE /services/{id}
// covers: api GET /services/{id}/logs
// covers: api POST /services/{id}/update
// covers: api GET /tasks
// covers: api GET /tasks/{id}
// covers: api GET /tasks/{id}/logs
#[test]
fn every_route_of_swarm_is_refused_in_dockerds_words() {
    let engine = Engine::isolated();
    let list = differences(&engine, SWARM, "swarm");
    assert!(list.is_empty(), "{} differences\n{}", list.len(), list.join("\n"));
}

// covers: api GET /configs ?filters
// covers: api POST /configs/{id}/update ?version
// covers: api GET /nodes ?filters
// covers: api DELETE /nodes/{id} ?force
// covers: api POST /nodes/{id}/update ?version
// covers: api GET /secrets ?filters
// covers: api POST /secrets/{id}/update ?version
// covers: api GET /services ?filters
// covers: api GET /services ?status
// covers: api GET /services/{id} ?insertDefaults
// covers: api GET /services/{id}/logs ?details
// covers: api GET /services/{id}/logs ?follow
// covers: api GET /services/{id}/logs ?stdout
// covers: api GET /services/{id}/logs ?stderr
// covers: api GET /services/{id}/logs ?since
// covers: api GET /services/{id}/logs ?timestamps
// covers: api GET /services/{id}/logs ?tail
// covers: api POST /services/{id}/update ?version
// covers: api POST /services/{id}/update ?registryAuthFrom
// covers: api POST /services/{id}/update ?rollback
// covers: api POST /swarm/init
// covers: api POST /swarm/join
// covers: api POST /swarm/leave ?force
// covers: api POST /swarm/update ?version
// covers: api POST /swarm/update ?rotateWorkerToken
// covers: api POST /swarm/update ?rotateManagerToken
// covers: api POST /swarm/update ?rotateManagerUnlockKey
// covers: api GET /tasks ?filters
// covers: api GET /tasks/{id}/logs ?details
// covers: api GET /tasks/{id}/logs ?follow
// covers: api GET /tasks/{id}/logs ?stdout
// covers: api GET /tasks/{id}/logs ?stderr
// covers: api GET /tasks/{id}/logs ?since
// covers: api GET /tasks/{id}/logs ?timestamps
// covers: api GET /tasks/{id}/logs ?tail
#[test]
fn whatever_is_said_with_them() {
    let engine = Engine::isolated();
    let body = serde_json::json!({});
    let cases: [(&str, &str, &[&str]); 15] = [
        ("GET", "/configs", &["filters={}"]),
        ("POST", "/configs/x/update", &["version=1"]),
        ("GET", "/nodes", &["filters={}"]),
        ("DELETE", "/nodes/x", &["force=1"]),
        ("POST", "/nodes/x/update", &["version=1"]),
        ("GET", "/secrets", &["filters={}"]),
        ("POST", "/secrets/x/update", &["version=1"]),
        ("GET", "/services", &["filters={}", "status=1"]),
        ("GET", "/services/x", &["insertDefaults=1"]),
        ("GET", "/services/x/logs", &["stdout=1&stderr=1&details=1&follow=1&since=1&timestamps=1&tail=1"]),
        ("POST", "/services/x/update", &["version=1&registryAuthFrom=spec&rollback=previous"]),
        (
            "POST",
            "/swarm/update",
            &["version=1&rotateWorkerToken=1&rotateManagerToken=1&rotateManagerUnlockKey=1"],
        ),
        ("GET", "/tasks", &["filters={}"]),
        ("GET", "/tasks/x/logs", &["stdout=1&stderr=1&details=1&follow=1&since=1&timestamps=1&tail=1"]),
        ("POST", "/swarm/leave", &["force=1"]),
    ];
    for (method, path, queries) in cases {
        for query in queries {
            let request = Request::new(method, &format!("{path}?{query}")).json(&body);
            let reply = engine.request_unchecked(&request);
            assert_eq!(reply.status(), 503, "{method} {path}?{query}: {}", reply.text());
            assert!(reply.message().contains("swarm"), "{}", reply.text());
        }
    }
    // Only of an engine of ours: another one would make a swarm.
    let own = Engine::ours();
    for path in ["/swarm/init", "/swarm/join"] {
        let reply = own.request_unchecked(&Request::new("POST", path).json(&body));
        assert!(
            reply.status() >= 400 && reply.message().to_lowercase().contains("swarm"),
            "{}",
            reply.text()
        );
    }
}
