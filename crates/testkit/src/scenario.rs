//! The calls that a recording is made of: one pass over every covered route, in one API version.

use serde_json::{Value, json};

use crate::http::{Reply, Request};
use crate::images;
use crate::registry::{self, Registry};
use crate::web::{Answer, Web};

/// Something that makes a call and looks at the answer: the recorder notes its shape, a test checks it.
pub trait Caller {
    fn call(&mut self, request: &Request) -> anyhow::Result<Reply>;
}

/// Everything below is named after this, and gone at the end.
const NAME: &str = "ketch-recording";

/// Calls every covered route in `version`.
pub fn run(caller: &mut dyn Caller, version: &str) -> anyhow::Result<()> {
    let mut pass = Pass::new(caller, version);
    pass.system()?;
    pass.images()?;
    pass.registry()?;
    let result = pass.containers().and_then(|()| pass.networks()).and_then(|()| pass.volumes());
    let removed = pass.delete(&format!("/images/{}:1?force=1", pass.name));
    result.and(removed.map(drop))
}

mod life;
mod networks;
mod volumes;

/// What a dockerd answers only where it keeps images in containerd.
pub fn platforms(caller: &mut dyn Caller, version: &str) -> anyhow::Result<()> {
    let mut pass = Pass::new(caller, version);
    let registry = two_platforms();
    let name = format!("{}/{}", registry.address(), pass.name);
    pass.post(&format!("/images/create?fromImage={name}&tag=1"), &Value::Null)?;
    let container =
        json!({"Image": format!("{name}:1"), "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}});
    let (image, name) = (name, pass.name.clone());
    pass.post(&format!("/containers/create?name={name}"), &container)?;
    pass.get(&format!("/images/json?manifests=1&filters={{%22reference%22:[%22{image}%22]}}"))?;
    pass.get(&format!("/images/{image}:1/json?manifests=1"))?;
    pass.delete(&format!("/containers/{name}"))?;
    pass.get(&format!("/images/{image}:1/json?manifests=1"))?;
    pass.delete(&format!("/images/{image}:1?force=1"))?;
    Ok(())
}

/// A registry whose every name is an index of this machine's image and another one's.
fn two_platforms() -> Web {
    let layer = images::archive_of(&[("file", b"x")]);
    let kind = |name: &str| format!("application/vnd.oci.image.{name}");
    let mut documents = vec![(String::new(), images::digest(&layer), layer.clone())];
    let mut add = |media_type: String, bytes: Vec<u8>| {
        let digest = images::digest(&bytes);
        let descriptor = json!({"mediaType": media_type, "digest": digest, "size": bytes.len()});
        documents.push((media_type, digest, bytes));
        descriptor
    };
    let here = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let layer =
        json!({"mediaType": kind("layer.v1.tar"), "digest": images::digest(&layer), "size": layer.len()});
    let entries = [here, "riscv64"].map(|architecture| {
        let rootfs = json!({"type": "layers", "diff_ids": [layer["digest"]]});
        let platform = json!({"architecture": architecture, "os": "linux"});
        let config = json!({"architecture": architecture, "os": "linux", "config": {}, "rootfs": rootfs});
        let config = add(kind("config.v1+json"), config.to_string().into());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": kind("manifest.v1+json"), "config": config, "layers": [layer],
        });
        let mut entry = add(kind("manifest.v1+json"), manifest.to_string().into());
        entry["platform"] = platform;
        entry
    });
    let index = json!({"schemaVersion": 2, "mediaType": kind("index.v1+json"), "manifests": entries});
    add(kind("index.v1+json"), index.to_string().into());
    Web::serve(move |asked| {
        let of_path = documents.iter().find(|(_, digest, _)| asked.path.ends_with(digest));
        let named = documents.last().filter(|_| asked.path.ends_with("/manifests/1"));
        match of_path.or(named) {
            Some((media_type, digest, bytes)) => Answer::new(200, bytes.clone())
                .header("Content-Type", media_type)
                .header("Docker-Content-Digest", digest),
            None if asked.path == "/v2/" => Answer::new(200, "{}"),
            None => Answer::new(404, "{}"),
        }
    })
}

/// The versions in which [`platforms`] are answered at all.
pub fn knows_platforms(version: &str) -> bool {
    minor(version) >= 48
}

/// The versions in which a pruning keeps the volumes that somebody named.
fn knows_anonymous(version: &str) -> bool {
    minor(version) >= 42
}

fn minor(version: &str) -> u32 {
    version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(0)
}

struct Pass<'a> {
    caller: &'a mut dyn Caller,
    version: &'a str,
    name: String,
}

impl<'a> Pass<'a> {
    fn new(caller: &'a mut dyn Caller, version: &'a str) -> Self {
        Self { caller, version, name: format!("{NAME}-{}-{}", std::process::id(), version.replace('.', "-")) }
    }

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

    fn load(&mut self, archive: Vec<u8>) -> anyhow::Result<Reply> {
        let load = Request::new("POST", "/images/load").header("Content-Type", "application/x-tar");
        self.call(load.body(archive))
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
        self.load(images::busybox(&format!("{}:1", self.name))?)?;
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
            "WorkingDir": "/w", "ArgsEscaped": true,
            "Healthcheck": {"Test": ["CMD", "t"], "Interval": 30_000_000_000_u64, "Timeout": 1_000_000_000, "Retries": 3},
        });
        let archive = images::archive(&format!("{name}:1"), &layer.finish()?, &config)?;
        self.load(archive)?;
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

    /// There and back again: progress, digests, and the two endings that a stream has.
    fn registry(&mut self) -> anyhow::Result<()> {
        let registry = Registry::start();
        let name = registry.name(&self.name);
        let mut layer = images::Layer::default();
        layer.file("file", &vec![b'x'; 1 << 20])?;
        let archive = images::of_machine(&format!("{name}:1"), &layer.finish()?)?;
        self.load(archive)?;
        let push = |name: &str| {
            let request = Request::new("POST", &format!("/images/{name}/push?tag=1"));
            request.header("X-Registry-Auth", &registry::auth(None))
        };
        let login = json!({"username": "u", "password": "p", "serveraddress": registry.address()});
        self.post("/auth", &login)?;
        self.call(push(&name))?;
        self.get(&format!("/images/{name}:1/json"))?;
        self.get(&format!("/images/json?filters={{%22reference%22:[%22{name}%22]}}"))?;
        self.get(&format!("/distribution/{name}:1/json"))?;
        self.delete(&format!("/images/{name}:1"))?;
        let pull = format!("/images/create?fromImage={name}&tag=1");
        self.post(&pull, &Value::Null)?;
        self.post(&pull, &Value::Null)?;
        // Nobody listens there.
        let nowhere = format!("127.0.0.1:1/{}", self.name);
        self.post(&format!("/images/{name}:1/tag?repo={nowhere}&tag=1"), &Value::Null)?;
        self.call(push(&nowhere))?;
        self.delete(&format!("/images/{nowhere}:1"))?;
        self.delete(&format!("/images/{name}:1"))?;
        registry.lose_layers(&format!("{}:1", self.name));
        self.post(&pull, &Value::Null)?;
        let import = format!("/images/create?fromSrc=-&repo={}-import&tag=1", self.name);
        self.call(Request::new("POST", &import).body(images::archive_of(&[("file", b"x")])))?;
        self.delete(&format!("/images/{}-import:1", self.name))?;
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
