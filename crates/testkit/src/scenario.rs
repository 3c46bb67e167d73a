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

mod life;

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
        self.get(&format!("/images/{}:1/history", self.name))?;
        self.full_image()
    }

    /// An image whose config says everything that one can say.
    fn full_image(&mut self) -> anyhow::Result<()> {
        let name = format!("{}-full", self.name);
        let mut layer = images::Layer::default();
        layer.file("file", name.as_bytes())?;
        let config = json!({
            "Cmd": ["c"], "Entrypoint": ["/e"], "Env": ["A=b"], "ExposedPorts": {"80/tcp": {}}, "Labels": {"l": "v"},
            "OnBuild": ["RUN x"], "Shell": ["/s", "-c"], "StopSignal": "SIGINT", "User": "1:2", "Volumes": {"/v": {}},
            "WorkingDir": "/w",
            "Healthcheck": {"Test": ["CMD", "t"], "Interval": 30_000_000_000_u64, "Timeout": 1_000_000_000, "Retries": 3},
        });
        let archive = images::archive(&format!("{name}:1"), &layer.finish()?, &config)?;
        let load =
            Request::new("POST", "/images/load").header("Content-Type", "application/x-tar").body(archive);
        self.call(load)?;
        self.get(&format!("/images/{name}:1/json"))?;
        self.get(&format!("/images/{name}:1/history"))?;
        self.post(&format!("/images/{name}:1/tag?repo={name}&tag=2"), &Value::Null)?;
        self.get(&format!("/images/json?filters={{%22reference%22:[%22{name}%22]}}"))?;
        self.delete(&format!("/images/{name}:2"))?;
        self.delete(&format!("/images/{name}:1"))?;
        self.delete(&format!("/images/{name}:1"))?;
        // A label that nothing has: asked for, and nothing is removed.
        self.post(&format!("/images/prune?filters={{%22label%22:[%22{name}%22]}}"), &Value::Null)?;
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
        self.exec(name)?;
        self.life(name)?;
        self.post(&format!("/containers/{name}/kill"), &Value::Null)?;
        self.post(&format!("/containers/{name}/wait"), &Value::Null)?;
        self.delete(&format!("/containers/{name}"))?;
        Ok(())
    }

    fn exec(&mut self, name: &str) -> anyhow::Result<()> {
        let create = format!("/containers/{name}/exec");
        let working = json!({"Cmd": ["sleep", "600"], "User": "1", "AttachStdout": true});
        for config in [working, json!({"Cmd": ["no-such-program"]})] {
            let id = id_in(&self.post(&create, &config)?);
            self.get(&format!("/exec/{id}/json"))?;
            self.post(&format!("/exec/{id}/start"), &json!({"Detach": true}))?;
            self.get(&format!("/exec/{id}/json"))?;
        }
        self.get(&format!("/containers/{name}/json"))?;
        Ok(())
    }
}

fn id_in(reply: &Reply) -> String {
    reply.json()["Id"].as_str().unwrap_or_default().to_owned()
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
