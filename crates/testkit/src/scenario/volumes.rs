//! Volumes: with everything that one can say of them, in use, and gone.

use serde_json::{Value, json};

use super::Pass;

impl Pass<'_> {
    pub(super) fn volumes(&mut self) -> anyhow::Result<()> {
        let name = format!("{}-volume", self.name);
        let full = json!({
            "Name": name, "Driver": "local", "Labels": {"l": "v"},
            "DriverOpts": {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"},
        });
        self.post("/volumes/create", &full)?;
        self.post("/volumes/create", &full)?;
        self.post("/volumes/create", &json!({"Name": name, "Driver": "no-such-driver"}))?;
        let plain = format!("{name}-plain");
        self.post("/volumes/create", &json!({"Name": plain}))?;
        self.get(&format!("/volumes/{plain}"))?;
        self.get(&format!("/volumes/{name}"))?;
        self.get(&format!("/volumes?filters={{%22name%22:[%22{name}%22]}}"))?;
        self.get("/volumes?filters={%22name%22:[%22ketch-no-such-volume%22]}")?;
        self.delete(&format!("/volumes/{plain}"))?;
        let config = json!({
            "Image": format!("{}:1", self.name), "Cmd": ["sleep", "600"],
            "HostConfig": {"NetworkMode": "none", "Binds": [format!("{name}:/data")]},
        });
        self.post(&format!("/containers/create?name={name}"), &config)?;
        self.get(&format!("/containers/{name}/json"))?;
        self.delete(&format!("/volumes/{name}"))?;
        self.delete(&format!("/containers/{name}"))?;
        for _ in 0..2 {
            self.delete(&format!("/volumes/{name}"))?;
        }
        self.delete(&format!("/volumes/{name}?force=1"))?;
        self.post("/volumes/create", &json!({"Name": name, "Labels": {"ketch-prune": name}}))?;
        let label = format!("%22label%22:[%22ketch-prune={name}%22]");
        // From 1.42 on, those that somebody named stay unless all are asked for.
        let all = if super::knows_anonymous(self.version) { ",%22all%22:[%22true%22]" } else { "" };
        for _ in 0..2 {
            self.post(&format!("/volumes/prune?filters={{{label}{all}}}"), &Value::Null)?;
        }
        Ok(())
    }
}
