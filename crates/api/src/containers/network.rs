//! What `inspect` and the listing say of a container's networks. The two that exist now have no addresses.

use engine::containers::Container;
use serde_json::{Value, json};

/// `NetworkSettings.Networks`. dockerd sends the same keys whatever the version asked for.
pub(super) fn endpoints(container: &Container) -> Value {
    json!({
        &container.host.network_mode: {
            "IPAMConfig": null, "Links": null, "Aliases": null, "MacAddress": "", "DriverOpts": null,
            "GwPriority": 0, "NetworkID": "", "EndpointID": "", "Gateway": "", "IPAddress": "", "IPPrefixLen": 0,
            "IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "DNSNames": null,
        }
    })
}
