//! Requests that an engine refuses, and dockerd's exact words: `tests/recordings/<version>/errors.json` and `swarm.json`.
//!
//! The recorder and the tests make the very same calls; a test compares status, content type and message.

use serde_json::{Value, json};

use crate::filters;
use crate::http::{Reply, Request};

/// One refused request. `{v}` in the path is the version.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    method: &'static str,
    path: &'static str,
    content_type: Option<&'static str>,
    body: &'static str,
}

const JSON: Option<&str> = Some("application/json");

const fn plain(name: &'static str, method: &'static str, path: &'static str) -> Case {
    Case { name, method, path, content_type: None, body: "" }
}

const fn with(
    name: &'static str,
    path: &'static str,
    content_type: Option<&'static str>,
    body: &'static str,
) -> Case {
    Case { name, method: "POST", path, content_type, body }
}

/// Requests that are wrong in themselves, in every version.
pub const ERRORS: &[Case] = &[
    plain("unknown route", "GET", "/v{v}/nope"),
    plain("unknown route, no version", "GET", "/nope"),
    plain("root", "GET", "/"),
    plain("route of another method", "DELETE", "/v{v}/version"),
    plain("post to a get route", "POST", "/v{v}/info"),
    plain("unknown method", "BREW", "/v{v}/info"),
    plain("version too old", "GET", "/v1.20/info"),
    plain("version too new", "GET", "/v1.99/info"),
    plain("version not a number", "GET", "/vabc/info"),
    plain("version without a minor", "GET", "/v1/info"),
    plain("nul in a name", "GET", "/v{v}/containers/%00/json"),
    plain("bad escape", "GET", "/v{v}/containers/%zz/json"),
    plain("dots in a name", "GET", "/v{v}/containers/..%2f..%2fetc/json"),
    plain("dots in the path", "GET", "/v{v}/../../etc/passwd"),
    plain("doubled slash", "GET", "/v{v}//info"),
    with("create: broken JSON", "/v{v}/containers/create", JSON, "{"),
    with("create: no body", "/v{v}/containers/create", JSON, ""),
    with("create: array", "/v{v}/containers/create", JSON, "[]"),
    with("create: wrong type", "/v{v}/containers/create", JSON, r#"{"Image": 5}"#),
    with(
        "create: wrong type below",
        "/v{v}/containers/create",
        JSON,
        r#"{"Image":"x","HostConfig":{"Memory":"1g"}}"#,
    ),
    with("create: two documents", "/v{v}/containers/create", JSON, r#"{"Image":"nosuch"} {}"#),
    with("create: text", "/v{v}/containers/create", Some("text/plain"), "{}"),
    with("create: no content type", "/v{v}/containers/create", None, "{}"),
    with("create: empty object", "/v{v}/containers/create", JSON, "{}"),
    with("create: no such image", "/v{v}/containers/create", JSON, r#"{"Image":"nosuch:image"}"#),
    with("create: bad name", "/v{v}/containers/create?name=a%20b", JSON, r#"{"Image":"nosuch:image"}"#),
    with("auth: broken JSON", "/v{v}/auth", JSON, "{"),
    with("auth: no body", "/v{v}/auth", JSON, ""),
    with("auth: wrong type", "/v{v}/auth", JSON, r#"{"username": []}"#),
    plain("inspect: no such container", "GET", "/v{v}/containers/nosuch/json"),
    plain("start: no such container", "POST", "/v{v}/containers/nosuch/start"),
    plain("wait: no such container", "POST", "/v{v}/containers/nosuch/wait"),
    plain("kill: no such container", "POST", "/v{v}/containers/nosuch/kill"),
    plain("logs: no such container", "GET", "/v{v}/containers/nosuch/logs?stdout=1"),
    plain("logs: no stream", "GET", "/v{v}/containers/nosuch/logs"),
    plain("remove: no such container", "DELETE", "/v{v}/containers/nosuch"),
    plain("inspect: no such image", "GET", "/v{v}/images/nosuch/json"),
    plain("remove: no such image", "DELETE", "/v{v}/images/nosuch"),
    plain("inspect: image name in capitals", "GET", "/v{v}/images/NoSuch/json"),
    plain("events: filters not JSON", "GET", "/v{v}/events?filters=x"),
    plain("events: since not a time", "GET", "/v{v}/events?since=tomorrow"),
    plain("events: until not a time", "GET", "/v{v}/events?until=never"),
    plain("containers: filters not JSON", "GET", "/v{v}/containers/json?filters=x"),
    plain("containers: unknown filter", "GET", "/v{v}/containers/json?filters=%7B%22x%22:%5B%22y%22%5D%7D"),
    plain("containers: limit not a number", "GET", "/v{v}/containers/json?limit=x"),
    plain("images: unknown filter", "GET", "/v{v}/images/json?filters=%7B%22x%22:%5B%22y%22%5D%7D"),
    plain("df: unknown type", "GET", "/v{v}/system/df?type=nosuch"),
];

/// Every route of Swarm that doesn't change the peer. `init` and `join` would, so they are not asked.
pub const SWARM: &[Case] = &[
    plain("configs", "GET", "/v{v}/configs"),
    with("config create", "/v{v}/configs/create", JSON, r#"{"Name":"c","Data":""}"#),
    plain("config", "GET", "/v{v}/configs/x"),
    plain("config remove", "DELETE", "/v{v}/configs/x"),
    with("config update", "/v{v}/configs/x/update?version=1", JSON, "{}"),
    plain("nodes", "GET", "/v{v}/nodes"),
    plain("node", "GET", "/v{v}/nodes/x"),
    plain("node remove", "DELETE", "/v{v}/nodes/x"),
    with("node update", "/v{v}/nodes/x/update?version=1", JSON, "{}"),
    plain("secrets", "GET", "/v{v}/secrets"),
    with("secret create", "/v{v}/secrets/create", JSON, r#"{"Name":"c","Data":""}"#),
    plain("secret", "GET", "/v{v}/secrets/x"),
    plain("secret remove", "DELETE", "/v{v}/secrets/x"),
    with("secret update", "/v{v}/secrets/x/update?version=1", JSON, "{}"),
    plain("services", "GET", "/v{v}/services"),
    with("service create", "/v{v}/services/create", JSON, "{}"),
    plain("service", "GET", "/v{v}/services/x"),
    plain("service remove", "DELETE", "/v{v}/services/x"),
    plain("service logs", "GET", "/v{v}/services/x/logs?stdout=1"),
    with("service update", "/v{v}/services/x/update?version=1", JSON, "{}"),
    plain("swarm", "GET", "/v{v}/swarm"),
    plain("swarm leave", "POST", "/v{v}/swarm/leave"),
    with("swarm unlock", "/v{v}/swarm/unlock", JSON, r#"{"UnlockKey":"x"}"#),
    plain("swarm unlock key", "GET", "/v{v}/swarm/unlockkey"),
    with("swarm update", "/v{v}/swarm/update?version=1", JSON, "{}"),
    plain("tasks", "GET", "/v{v}/tasks"),
    plain("task", "GET", "/v{v}/tasks/x"),
    plain("task logs", "GET", "/v{v}/tasks/x/logs?stdout=1"),
];

impl Case {
    pub fn request(&self, version: &str) -> Request {
        let request = Request::new(self.method, &self.path.replace("{v}", version)).body(self.body);
        match self.content_type {
            Some(content_type) => request.header("Content-Type", content_type),
            None => request,
        }
    }

    /// What of the answer is compared, versions of the engine filtered.
    pub fn outcome(reply: &Reply) -> Value {
        let content_type = reply.header("content-type").unwrap_or_default();
        // What an accepted request answers is the shapes' business.
        let message =
            if reply.status() < 400 { String::new() } else { filters::api_versions(&reply.message()) };
        json!({ "status": reply.status(), "content_type": content_type, "message": message })
    }
}
