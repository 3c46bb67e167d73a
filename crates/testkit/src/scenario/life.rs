//! What is done with a container that runs, and one that says everything a container can say.

use serde_json::{Value, json};

use super::Pass;

impl Pass<'_> {
    pub(super) fn life(&mut self, name: &str) -> anyhow::Result<()> {
        let path = |what: &str| format!("/containers/{name}/{what}");
        self.get(&path("top"))?;
        self.get(&path("top?ps_args=-o%20pid,comm"))?;
        self.get(&path("stats?stream=0"))?;
        self.post(&path("update"), &json!({"CpuShares": 512, "RestartPolicy": {"Name": "no"}}))?;
        self.post(&path("pause"), &Value::Null)?;
        self.post(&path("pause"), &Value::Null)?;
        self.post(&path("unpause"), &Value::Null)?;
        self.post(&path("restart?t=0"), &Value::Null)?;
        let id = super::id_in(&self.post(&path("exec"), &json!({"Cmd": ["touch", "/new"]}))?);
        self.post(&format!("/exec/{id}/start"), &json!({"Detach": true}))?;
        for _ in 0..100_000 {
            if self.get(&format!("/exec/{id}/json"))?.json()["ExitCode"].is_number() {
                break;
            }
        }
        self.get(&path("changes"))?;
        self.post(&path(&format!("rename?name={name}-other")), &Value::Null)?;
        self.post(&format!("/containers/{name}-other/rename?name={name}"), &Value::Null)?;
        self.full_container(name)
    }

    fn full_container(&mut self, name: &str) -> anyhow::Result<()> {
        let full = format!("{name}-all");
        let config = json!({
            "Image": format!("{name}:1"), "Cmd": ["sleep", "600"], "Entrypoint": ["busybox"], "Hostname": "h",
            "Domainname": "d", "User": "0", "AttachStdout": true, "Env": ["A=b"], "ExposedPorts": {"80/tcp": {}},
            "Labels": {"l": "v"}, "StopSignal": "SIGKILL", "StopTimeout": 1, "Volumes": {"/v": {}}, "WorkingDir": "/tmp",
            "Shell": ["/bin/sh", "-c"], "OnBuild": ["RUN x"],
            "Healthcheck": {
                "Test": ["CMD", "/bin/true"], "Interval": 5_000_000, "Timeout": 10_000_000_000_u64, "Retries": 1,
                "StartPeriod": 1_000_000, "StartInterval": 1_000_000,
            },
            "HostConfig": full_host(),
        });
        self.post(&format!("/containers/create?name={full}"), &config)?;
        self.get(&format!("/containers/{full}/json"))?;
        self.post(&format!("/containers/{full}/start"), &Value::Null)?;
        self.until_checked(&full)?;
        self.get(&format!("/containers/{full}/json?size=1"))?;
        self.get(&format!("/containers/json?size=1&filters={{%22name%22:[%22{full}%22]}}"))?;
        self.delete(&format!("/containers/{full}?force=1&v=1"))?;
        Ok(())
    }

    /// A health that is known is another answer than one that isn't.
    fn until_checked(&mut self, name: &str) -> anyhow::Result<()> {
        for _ in 0..100_000 {
            if self.get(&format!("/containers/{name}/json"))?.json()["State"]["Health"]["Log"][0].is_object()
            {
                break;
            }
        }
        Ok(())
    }
}

fn full_host() -> Value {
    json!({
        "NetworkMode": "none", "Binds": ["/tmp:/b:ro"], "Tmpfs": {"/t": "size=1m"}, "CapAdd": ["NET_ADMIN"],
        "CapDrop": ["CHOWN"], "Dns": ["1.1.1.1"], "DnsOptions": ["ndots:1"], "DnsSearch": ["x"],
        "ExtraHosts": ["a:1.2.3.4"], "GroupAdd": ["5"], "IpcMode": "shareable", "OomScoreAdj": 1,
        "SecurityOpt": ["no-new-privileges"], "Sysctls": {"net.ipv4.ip_unprivileged_port_start": "1"},
        "Ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}], "DeviceCgroupRules": ["c 1:3 rwm"],
        "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/n", "CgroupPermissions": "rwm"}],
        "Mounts": [
            {"Type": "tmpfs", "Target": "/m", "TmpfsOptions": {"SizeBytes": 4096, "Mode": 448}},
            {"Type": "bind", "Source": "/tmp", "Target": "/n", "ReadOnly": true, "Consistency": "default",
             "BindOptions": {"Propagation": "rprivate"}},
            {"Type": "volume", "Target": "/o", "VolumeOptions": {"NoCopy": true}},
        ],
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}, "Annotations": {"a": "b"},
    })
}
