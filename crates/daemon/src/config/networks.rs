//! What is said of networks: the default one, and what those that people make have of themselves.

use std::collections::BTreeMap;
use std::net::IpAddr;

use engine::networks::{BridgeSettings, Chosen, Device};
use serde_json::Value;

use super::given::{Reader, shown};
use crate::error::Error;

pub(super) fn bridge(read: &Reader<'_>) -> Result<BridgeSettings, Error> {
    let wrong = |key: &str, why: String| Error::Value { key: key.into(), why };
    let binding = read.text("ip", "0.0.0.0");
    let binding = binding.parse().map_err(|_| wrong("ip", format!("{binding:?} is no IPv4 address")))?;
    let mut pools = Vec::new();
    for pool in read.find("default-address-pools").and_then(Value::as_array).into_iter().flatten() {
        let (base, size) = (pool["base"].as_str().unwrap_or_default(), pool["size"].as_u64());
        let made = BridgeSettings::pool(base, size.unwrap_or_default());
        pools.push(made.map_err(|why| wrong("default-address-pools", format!("{pool}: {why}")))?);
    }
    let device = Device::read(&read.text("bridge", "")).map_err(|why| wrong("bridge", why))?;
    for key in ["bip", "bip6"] {
        if device != Device::Own && read.find(key).is_some() {
            return Err(wrong(
                key,
                "it is for the engine's own bridge, and `bridge` says another".to_owned(),
            ));
        }
    }
    let family = |is_ipv4: bool, [address, part, gateway]: [&str; 3]| {
        let texts = [address, part, gateway].map(|key| read.text(key, ""));
        Chosen::read(is_ipv4, &texts[0], &texts[1], &texts[2]).map_err(|why| wrong(address, why))
    };
    Ok(BridgeSettings {
        mtu: read.number("mtu", 1500)?,
        icc: read.flag("icc", true),
        masquerade: read.flag("ip-masq", true),
        relays: read.flag("userland-proxy", true),
        binding,
        pools,
        device,
        ipv4: family(true, ["bip", "fixed-cidr", "default-gateway"])?,
        ipv6: family(false, ["bip6", "fixed-cidr-v6", "default-gateway-v6"])?,
        both_families: read.flag("ipv6", false),
        defaults: network_defaults(read)?,
        host_gateways: host_gateways(read)?,
        forwarding: read.flag("ip-forward", true),
        direct_routing: read.flag("allow-direct-routing", false),
    })
}

pub(super) fn network_defaults(
    read: &Reader<'_>,
) -> Result<BTreeMap<String, BTreeMap<String, String>>, Error> {
    let mut defaults = BTreeMap::new();
    for (driver, options) in
        read.find("default-network-opts").and_then(Value::as_object).into_iter().flatten()
    {
        let options = options.as_object().into_iter().flatten();
        let options = options.map(|(name, value)| (name.clone(), shown(value))).collect();
        let checked = engine::networks::check_defaults(driver, &options);
        checked.map_err(|why| Error::Value { key: "default-network-opts".to_owned(), why })?;
        defaults.insert(driver.clone(), options);
    }
    Ok(defaults)
}

/// At most one of each family.
pub(super) fn host_gateways(read: &Reader<'_>) -> Result<Vec<IpAddr>, Error> {
    let wrong = |why: String| Error::Value { key: "host-gateway-ips".to_owned(), why };
    let mut texts = read.list("host-gateway-ips");
    texts.extend(read.find("host-gateway-ip").and_then(Value::as_str).map(str::to_owned));
    let mut gateways: Vec<IpAddr> = Vec::new();
    for text in texts {
        let ip: IpAddr = text.parse().map_err(|_| wrong(format!("{text:?} is no IP address")))?;
        if gateways.iter().any(|known| known.is_ipv4() == ip.is_ipv4()) {
            return Err(wrong(format!("only one address of each family is allowed, and {text} is another")));
        }
        gateways.push(ip);
    }
    gateways.sort_by_key(|ip| !ip.is_ipv4());
    Ok(gateways)
}
