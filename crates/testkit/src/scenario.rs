//! The calls that a recording is made of: one pass over every covered route, in one API version.

use serde_json::{Value, json};

use crate::http::{Reply, Request};
use crate::images;

/// Something that makes a call and looks at the answer: the recorder notes its shape, a test checks it.
pub trait Caller {
    fn call(&mut self, request: &Request) -> anyhow::Result<Reply>;
}

/// Everything below is named after this, and gone at the end.
const NAME: &str = "ketch-recording";

/// Calls every covered route in `version`.
pub fn run(caller: &mut dyn Caller, version: &str) -> anyhow::Result<()> {
    let mut pass = Pass {
        caller,
        version,
        name: format!("{NAME}-{}-{}", std::process::id(), version.replace('.', "-")),
    };
    pass.system()?;
    pass.images()?;
    let result = pass.containers();
    let removed = pass.delete(&format!("/images/{}:1?force=1", pass.name));
    result.and(removed.map(drop))
}

struct Pass<'a> {
    caller: &'a mut dyn Caller,
    version: &'a str,
    name: String,
}

impl Pass<'_> {
    fn call(&mut self, request: Request) -> anyhow::Result<Reply> {
        let path = format!("/v{}{}", self.version, request.path);
        self.caller.call(&Request { path, ..request })
    }

    fn get(&mut self, path: &str) -> anyhow::Result<Reply> {
        self.call(Request::new("GET", path))
    }

    fn post(&mut self, path: &str, body: &Value) -> anyhow::Result<Reply> {
        self.call(Request::new("POST", path).json(body))
    }

    fn delete(&mut self, path: &str) -> anyhow::Result<Reply> {
        self.call(Request::new("DELETE", path))
    }

    fn system(&mut self) -> anyhow::Result<()> {
        self.call(Request::new("HEAD", "/_ping"))?;
        for path in ["/_ping", "/version", "/info"] {
            self.get(path)?;
        }
        self.post("/auth", &json!({"username": "u", "password": "p", "serveraddress": "127.0.0.1:1"}))?;
        Ok(())
    }

    fn images(&mut self) -> anyhow::Result<()> {
        let archive = images::busybox(&format!("{}:1", self.name))?;
        let load =
            Request::new("POST", "/images/load").header("Content-Type", "application/x-tar").body(archive);
        self.call(load)?;
        self.get(&format!("/images/json?filters={{%22reference%22:[%22{}%22]}}", self.name))?;
        self.get(&format!("/images/{}:1/json", self.name))?;
        Ok(())
    }

    fn containers(&mut self) -> anyhow::Result<()> {
        let name = self.name.clone();
        let config = json!({
            "Image": format!("{name}:1"), "Cmd": ["sh", "-c", "echo out; echo err >&2; exit 3"],
            "Labels": {"ketch": "recording"}, "HostConfig": {"NetworkMode": "none"},
        });
        let since = now();
        self.post(&format!("/containers/create?name={name}"), &config)?;
        self.get(&format!("/containers/{name}/json"))?;
        self.post(&format!("/containers/{name}/start"), &Value::Null)?;
        self.post(&format!("/containers/{name}/wait"), &Value::Null)?;
        self.get(&format!("/containers/{name}/json"))?;
        let only_this = format!("filters={{%22name%22:[%22{name}%22]}}");
        self.get(&format!("/containers/json?all=1&{only_this}"))?;
        self.get(&format!("/containers/{name}/logs?stdout=1&stderr=1"))?;
        self.post(&format!("/containers/{name}/kill"), &Value::Null)?;
        self.get("/system/df")?;
        self.delete(&format!("/containers/{name}"))?;
        self.running(&name)?;
        let events = format!("filters={{%22container%22:[%22{name}%22]}}");
        self.get(&format!("/events?since={since}&until={}&{events}", now() + 1))?;
        Ok(())
    }

    fn running(&mut self, name: &str) -> anyhow::Result<()> {
        let config = json!({"Image": format!("{name}:1"), "Cmd": ["sleep", "600"], "HostConfig": {"NetworkMode": "none"}});
        self.post(&format!("/containers/create?name={name}"), &config)?;
        self.post(&format!("/containers/{name}/start"), &Value::Null)?;
        self.post(&format!("/containers/{name}/start"), &Value::Null)?;
        self.get(&format!("/containers/{name}/json"))?;
        self.get(&format!("/containers/json?filters={{%22name%22:[%22{name}%22]}}"))?;
        self.delete(&format!("/containers/{name}"))?;
        self.post(&format!("/containers/{name}/kill"), &Value::Null)?;
        self.post(&format!("/containers/{name}/wait"), &Value::Null)?;
        self.delete(&format!("/containers/{name}"))?;
        Ok(())
    }
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
