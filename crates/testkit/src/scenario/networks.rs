//! Networks with everything that one can say of them, and a container in two of them.

use serde_json::{Value, json};

use super::Pass;

impl Pass<'_> {
    pub(super) fn networks(&mut self) -> anyhow::Result<()> {
        let name = self.name.clone();
        let (lender, second) = (format!("{name}-lender"), format!("{name}-second"));
        self.post("/networks/create", &full_network(&name))?;
        self.post("/networks/create", &full_network(&name))?;
        let config =
            json!({"Name": lender, "ConfigOnly": true, "IPAM": {"Config": [{"Subnet": "10.231.2.0/24"}]}});
        self.post("/networks/create", &config)?;
        self.post("/networks/create", &json!({"Name": second, "ConfigFrom": {"Network": lender}}))?;
        self.get(&format!("/networks?filters={{%22name%22:[%22{name}%22]}}"))?;
        for path in [format!("/networks/{lender}"), format!("/networks/{name}?verbose=1&scope=local")] {
            self.get(&path)?;
        }
        self.member(&name, &second)?;
        for gone in [&second, &lender, &name, &name] {
            self.delete(&format!("/networks/{gone}"))?;
        }
        let prunable = json!({"Name": second, "Labels": {"ketch-prune": name}});
        self.post("/networks/create", &prunable)?;
        let filters = format!("filters={{%22label%22:[%22ketch-prune={name}%22]}}");
        self.post(&format!("/networks/prune?{filters}"), &Value::Null)?;
        self.post(&format!("/networks/prune?{filters}"), &Value::Null)?;
        Ok(())
    }

    /// A container that runs in one network, and goes into another and out again.
    fn member(&mut self, network: &str, second: &str) -> anyhow::Result<()> {
        let name = format!("{network}-member");
        let place = json!({
            "IPAMConfig": {"IPv4Address": "10.231.1.40", "IPv6Address": "fd00:231:1::40"}, "Aliases": ["alias"],
            "Links": [format!("{name}:self")], "MacAddress": "02:42:0a:e7:01:28", "GwPriority": 3,
            "DriverOpts": {"com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.log_martians=1"},
        });
        let config = json!({
            "Image": format!("{}:1", self.name), "Cmd": ["sleep", "600"], "ExposedPorts": {"80/tcp": {}, "81/udp": {}},
            "HostConfig": {
                "NetworkMode": network, "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
            },
            "NetworkingConfig": {"EndpointsConfig": {network: place}},
        });
        self.post(&format!("/containers/create?name={name}"), &config)?;
        self.get(&format!("/containers/{name}/json"))?;
        self.post(&format!("/containers/{name}/start"), &Value::Null)?;
        let other = json!({"Container": name, "EndpointConfig": {"Aliases": ["other"]}});
        self.post(&format!("/networks/{second}/connect"), &other)?;
        self.post(&format!("/networks/{second}/connect"), &other)?;
        self.get(&format!("/containers/{name}/json"))?;
        self.get(&format!("/containers/json?filters={{%22name%22:[%22{name}%22]}}"))?;
        self.get(&format!("/networks/{network}?verbose=1"))?;
        self.delete(&format!("/networks/{network}"))?;
        for _ in 0..2 {
            self.post(&format!("/networks/{second}/disconnect"), &json!({"Container": name}))?;
        }
        self.post(&format!("/networks/{second}/connect"), &json!({"Container": "ketch-nobody"}))?;
        self.delete(&format!("/containers/{name}?force=1"))?;
        Ok(())
    }
}

fn full_network(name: &str) -> Value {
    json!({
        "Name": name, "Driver": "bridge", "EnableIPv6": true, "Attachable": true, "Labels": {"l": "v"},
        "IPAM": {
            "Driver": "default", "Options": {"o": "v"},
            "Config": [
                {"Subnet": "10.231.1.0/24", "IPRange": "10.231.1.32/27", "Gateway": "10.231.1.9",
                 "AuxiliaryAddresses": {"router": "10.231.1.7"}},
                {"Subnet": "fd00:231:1::/64", "Gateway": "fd00:231:1::9"},
            ],
        },
        "Options": {"com.docker.network.driver.mtu": "1400"},
    })
}
