//! A bridge network's options: each one is known and checked, or refused by name.

use super::NetworkError;
use super::record::Network;
use crate::containers::config::Labels;

pub(super) const BRIDGE_NAME: &str = "com.docker.network.bridge.name";
pub(super) const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
pub(super) const ICC: &str = "com.docker.network.bridge.enable_icc";
pub(super) const HOST_BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";
/// The address families, where a client doesn't say them by the fields that are for it.
pub(super) const ENABLE_IPV4: &str = "com.docker.network.enable_ipv4";
pub(super) const ENABLE_IPV6: &str = "com.docker.network.enable_ipv6";
/// What the predefined bridge says of itself; nobody else can be it.
pub(super) const DEFAULT_BRIDGE: &str = "com.docker.network.bridge.default_bridge";
pub(super) const INHIBIT_IPV4: &str = "com.docker.network.bridge.inhibit_ipv4";
pub(super) const GATEWAY_MODE_4: &str = "com.docker.network.bridge.gateway_mode_ipv4";
pub(super) const GATEWAY_MODE_6: &str = "com.docker.network.bridge.gateway_mode_ipv6";
pub(super) const MTU: &str = "com.docker.network.driver.mtu";
pub(super) const PREFIX: &str = "com.docker.network.container_iface_prefix";

/// How an option's value is read.
#[derive(Clone, Copy)]
enum Shape {
    Truth,
    Number,
    Link,
    Address,
    Mode,
}

const KNOWN: &[(&str, Shape)] = &[
    (BRIDGE_NAME, Shape::Link),
    (MASQUERADE, Shape::Truth),
    (ICC, Shape::Truth),
    (HOST_BINDING, Shape::Address),
    (INHIBIT_IPV4, Shape::Truth),
    (GATEWAY_MODE_4, Shape::Mode),
    (GATEWAY_MODE_6, Shape::Mode),
    (MTU, Shape::Number),
    (PREFIX, Shape::Link),
    (ENABLE_IPV4, Shape::Truth),
    (ENABLE_IPV6, Shape::Truth),
];

/// What Go's `strconv.ParseBool` takes.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Refuses what can't be, in dockerd's words.
pub(super) fn check(options: &Labels) -> Result<(), NetworkError> {
    for (name, value) in options {
        let Some((_, shape)) = KNOWN.iter().find(|(known, _)| known == name) else {
            let feature = format!("the network option {name}");
            return Err(NetworkError::Unsupported { feature, instead: "" });
        };
        let wrong = |why: String| {
            Err(NetworkError::Invalid(format!("failed to parse {name} value: {value} ({why})")))
        };
        match shape {
            Shape::Truth if truth(value).is_none() => {
                return wrong(format!("strconv.ParseBool: parsing \"{value}\": invalid syntax"));
            }
            Shape::Number if value.parse::<u32>().is_err() => {
                return wrong(format!("strconv.Atoi: parsing \"{value}\": invalid syntax"));
            }
            Shape::Link if !is_link_name(value) => {
                return wrong(
                    "a link's name has at most 15 characters, without spaces and slashes".to_owned(),
                );
            }
            Shape::Address if !value.is_empty() && value.parse::<std::net::Ipv4Addr>().is_err() => {
                return wrong("it is no IPv4 address".to_owned());
            }
            Shape::Mode => check_mode(name, value)?,
            _ => {}
        }
    }
    Ok(())
}

fn check_mode(name: &str, value: &str) -> Result<(), NetworkError> {
    match value {
        "nat" | "nat-unprotected" => Ok(()),
        "routed" | "isolated" => Err(NetworkError::Unsupported {
            feature: format!("the gateway mode {value}"),
            instead: "`nat` and `nat-unprotected` are there",
        }),
        _ => Err(NetworkError::Invalid(format!("{name}: unknown gateway mode {value}"))),
    }
}

fn is_link_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 15
        && !matches!(name, "." | "..")
        && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/' && byte != b':')
}

impl Network {
    pub(super) fn mtu(&self) -> Option<u32> {
        self.options.get(MTU).and_then(|text| text.parse().ok()).filter(|mtu| *mtu > 0)
    }

    /// Whether all ports are open to whoever has a route, by the mode of one address family.
    pub(super) fn is_reachable(&self, mode: &str) -> bool {
        self.options.get(mode).is_some_and(|text| text == "nat-unprotected")
    }

    /// How its links are called in containers.
    pub(super) fn link_prefix(&self) -> &str {
        self.options.get(PREFIX).map_or("eth", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_option_is_known_and_checked_or_refused_by_name() {
        let message = |name: &str, value: &str| {
            check(&Labels::from([(name.to_owned(), value.to_owned())])).unwrap_err().to_string()
        };
        assert_eq!(
            message(ICC, "maybe"),
            "failed to parse com.docker.network.bridge.enable_icc value: maybe (strconv.ParseBool: parsing \"maybe\": invalid syntax)"
        );
        assert_eq!(
            message(MTU, "abc"),
            "failed to parse com.docker.network.driver.mtu value: abc (strconv.Atoi: parsing \"abc\": invalid syntax)"
        );
        for unknown in ["nonsense", "com.docker.network.internal", DEFAULT_BRIDGE] {
            assert_eq!(message(unknown, "true"), format!("the network option {unknown} is not supported"));
        }
        assert_eq!(message(GATEWAY_MODE_4, "routed"), "the gateway mode routed is not supported");
        assert!(message(BRIDGE_NAME, "../../etc").contains("a link's name"));
        check(&Labels::from([(BRIDGE_NAME.to_owned(), "br-mine".to_owned())])).unwrap();
    }
}
