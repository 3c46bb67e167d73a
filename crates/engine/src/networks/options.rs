//! A bridge network's options: each one is known and checked, or refused by name.

use network::Split;

use super::NetworkError;
use super::egress::Egress;
use super::record::{Driver, EndpointConfig, Network};
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

pub(super) const TRUSTED: &str = "com.docker.network.bridge.trusted_host_interfaces";
/// Our own: what its containers reach, and whether they are kept to their own addresses.
pub(super) const EGRESS: &str = "com.ketch.egress";
pub(super) const GUARD: &str = "com.ketch.guard";
/// The host takes in what comes to published ports: its own rules for that decide.
pub(super) const INPUT: &str = "com.ketch.input";
pub(super) const PARENT: &str = "parent";
const MACVLAN_MODE: &str = "macvlan_mode";
const IPVLAN_MODE: &str = "ipvlan_mode";
const IPVLAN_FLAG: &str = "ipvlan_flag";

/// How an option's value is read.
#[derive(Clone, Copy)]
enum Shape {
    Truth,
    Number,
    Link,
    /// Several, with colons between them.
    Links,
    Address,
    Mode,
    Egress,
    OneOf(&'static [(&'static str, u32)]),
}

/// Every driver's that has links of its own.
const OF_ALL: &[(&str, Shape)] =
    &[(MTU, Shape::Number), (PREFIX, Shape::Link), (ENABLE_IPV4, Shape::Truth), (ENABLE_IPV6, Shape::Truth)];

const OF_BRIDGES: &[(&str, Shape)] = &[
    (BRIDGE_NAME, Shape::Link),
    (MASQUERADE, Shape::Truth),
    (ICC, Shape::Truth),
    (HOST_BINDING, Shape::Address),
    (INHIBIT_IPV4, Shape::Truth),
    (GATEWAY_MODE_4, Shape::Mode),
    (GATEWAY_MODE_6, Shape::Mode),
    (TRUSTED, Shape::Links),
    (EGRESS, Shape::Egress),
    (GUARD, Shape::Truth),
    (INPUT, Shape::Truth),
];

const OF_MACVLAN: &[(&str, Shape)] = &[(PARENT, Shape::Link), (MACVLAN_MODE, Shape::OneOf(MACVLAN_MODES))];

const OF_IPVLAN: &[(&str, Shape)] = &[
    (PARENT, Shape::Link),
    (IPVLAN_MODE, Shape::OneOf(IPVLAN_MODES)),
    (IPVLAN_FLAG, Shape::OneOf(IPVLAN_FLAGS)),
];

/// The kernel's numbers.
const MACVLAN_MODES: &[(&str, u32)] = &[("bridge", 4), ("private", 1), ("vepa", 2), ("passthru", 8)];
const IPVLAN_MODES: &[(&str, u32)] = &[("l2", 0), ("l3", 1), ("l3s", 2)];
const IPVLAN_FLAGS: &[(&str, u32)] = &[("bridge", 0), ("private", 1), ("vepa", 2)];

fn known(driver: Driver) -> impl Iterator<Item = &'static (&'static str, Shape)> {
    let own = match driver {
        Driver::Bridge => OF_BRIDGES,
        Driver::Macvlan => OF_MACVLAN,
        Driver::Ipvlan => OF_IPVLAN,
        Driver::Host | Driver::Null => &[],
    };
    own.iter().chain(OF_ALL)
}

/// What Go's `strconv.ParseBool` takes.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Refuses what can't be, in dockerd's words. A network that only lends its configuration has none of these itself: the
/// one that takes it is a bridge, if it says nothing else.
pub(super) fn check(driver: Driver, options: &Labels) -> Result<(), NetworkError> {
    let driver = if driver == Driver::Null { Driver::Bridge } else { driver };
    for (name, value) in options {
        let Some((_, shape)) = known(driver).find(|(known, _)| known == name) else {
            let feature = format!("the network option {name}");
            return Err(NetworkError::Unsupported { feature, instead: "" });
        };
        let refusal =
            |why: String| NetworkError::Invalid(format!("failed to parse {name} value: {value} ({why})"));
        let wrong = |why: String| Err(refusal(why));
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
            Shape::Links if !value.split(':').all(is_link_name) => {
                return wrong("links' names have at most 15 characters, and colons between them".to_owned());
            }
            Shape::Mode => check_mode(name, value)?,
            Shape::Egress => drop(Egress::read(value).map_err(refusal)?),
            Shape::OneOf(values) if !values.iter().any(|(word, _)| word == value) => {
                return Err(wrong_word(driver, name, value, values));
            }
            _ => {}
        }
    }
    Ok(())
}

fn wrong_word(driver: Driver, name: &str, value: &str, values: &[(&str, u32)]) -> NetworkError {
    let (kind, default) = (name.replace('_', " "), values.first().map_or("", |(word, _)| word));
    let driver = driver.name();
    NetworkError::Invalid(format!(
        "requested {kind} '{value}' is not valid, '{default}' mode is the {driver} driver default"
    ))
}

fn check_mode(name: &str, value: &str) -> Result<(), NetworkError> {
    match Mode::read(value) {
        Some(_) => Ok(()),
        None => Err(NetworkError::Invalid(format!("{name}: unknown gateway mode {value}"))),
    }
}

/// What a bridge is for one family of its containers' addresses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// They go out under the host's address, and what is published is reached at the host's.
    #[default]
    Nat,
    /// The same, and whoever has a route reaches all their ports.
    Unprotected,
    /// Nothing is translated: what is published is reached at the containers' own addresses.
    Routed,
    /// The host has no address there at all.
    Isolated,
}

impl Mode {
    fn read(text: &str) -> Option<Self> {
        Some(match text {
            "" | "nat" => Self::Nat,
            "nat-unprotected" => Self::Unprotected,
            "routed" => Self::Routed,
            "isolated" => Self::Isolated,
            _ => return None,
        })
    }
}

/// `--default-network-opt`: a driver's options, as [`check`] does it.
pub fn check_defaults(driver: &str, options: &Labels) -> Result<(), String> {
    let known =
        [Driver::Bridge, Driver::Macvlan, Driver::Ipvlan].into_iter().find(|known| known.name() == driver);
    let driver = known.ok_or_else(|| format!("there is no network driver {driver:?} with options"))?;
    check(driver, options).map_err(|error| error.to_string())
}

/// Switches of a container's own link: `net.ipv4.conf.IFNAME.log_martians=1`, as `ipv4/conf/log_martians` and its value.
pub(super) fn switches(endpoint: &EndpointConfig) -> Result<Vec<(String, String)>, NetworkError> {
    let text = endpoint.driver_opts.iter().flatten().find(|(name, _)| *name == ENDPOINT_SYSCTLS);
    let words = text.map(|(_, value)| value.as_str()).unwrap_or_default();
    let read = |word: &str| {
        let (name, value) = word.split_once('=')?;
        // Some clients write all of it in small letters.
        let [
            "net",
            family @ ("ipv4" | "ipv6" | "mpls"),
            kind @ ("conf" | "neigh"),
            "IFNAME" | "ifname",
            last,
        ] = name.split('.').collect::<Vec<_>>()[..]
        else {
            return None;
        };
        let plain = |text: &str| {
            !text.is_empty()
                && text.len() <= 64
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_- ".contains(&b))
        };
        (plain(last) && plain(value)).then(|| (format!("{family}/{kind}/{last}"), value.to_owned()))
    };
    let refused = |word: &str| {
        NetworkError::Settings(format!(
            "unrecognised network interface sysctl '{word}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'"
        ))
    };
    let words = words.split(',').filter(|word| !word.is_empty());
    words.map(|word| read(word).ok_or_else(|| refused(word))).collect()
}

pub(super) const ENDPOINT_SYSCTLS: &str = "com.docker.network.endpoint.sysctls";
pub(super) const ENDPOINT_IFNAME: &str = "com.docker.network.endpoint.ifname";

/// How a container's link is to be called, if somebody said it.
pub(super) fn link_name(endpoint: &EndpointConfig) -> Option<&str> {
    endpoint.driver_opts.as_ref()?.get(ENDPOINT_IFNAME).map(String::as_str)
}

/// The options of a container's place in a network.
pub(crate) fn check_endpoint(endpoint: &EndpointConfig) -> Result<(), NetworkError> {
    let options = endpoint.driver_opts.iter().flatten();
    if let Some((name, _)) =
        options.into_iter().find(|(name, _)| ![ENDPOINT_SYSCTLS, ENDPOINT_IFNAME].contains(&name.as_str()))
    {
        let feature = format!("the endpoint option {name}");
        return Err(NetworkError::Unsupported { feature, instead: "" });
    }
    if let Some(name) = link_name(endpoint).filter(|name| !is_link_name(name) || *name == "lo") {
        return Err(NetworkError::Settings(format!("{name:?} can be no link's name")));
    }
    switches(endpoint).map(drop)
}

pub(super) fn is_link_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 15
        && !matches!(name, "." | "..")
        && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/' && byte != b':')
}

impl Network {
    /// What its containers are kept to, if they are.
    pub(super) fn egress(&self) -> Option<Egress> {
        self.options.get(EGRESS).and_then(|text| Egress::read(text).ok())
    }

    /// Whether its containers are kept to their own addresses.
    pub(super) fn is_guarded(&self) -> bool {
        self.switch(GUARD, true)
    }

    /// Whether what comes to its published ports is the host's input.
    pub(super) fn is_input(&self) -> bool {
        self.switch(INPUT, false)
    }

    pub(super) fn mtu(&self) -> Option<u32> {
        self.options.get(MTU).and_then(|text| text.parse().ok()).filter(|mtu| *mtu > 0)
    }

    /// What it is for one family.
    pub(super) fn mode(&self, is_ipv4: bool) -> Mode {
        let name = if is_ipv4 { GATEWAY_MODE_4 } else { GATEWAY_MODE_6 };
        self.options.get(name).and_then(|text| Mode::read(text)).unwrap_or_default()
    }

    /// Links of the host by which what is published is reached at its containers' own addresses.
    pub(super) fn trusted(&self) -> Vec<String> {
        let links = self.options.get(TRUSTED).map(|text| text.split(':').map(str::to_owned));
        links.into_iter().flatten().collect()
    }

    /// How its containers' links are parts of another one, if they are.
    pub(super) fn split(&self) -> Option<Split> {
        let number = |name: &str, values: &[(&str, u32)]| {
            let word = self.options.get(name).map_or(values[0].0, String::as_str);
            values.iter().find(|(known, _)| *known == word).map_or(values[0].1, |(_, number)| *number)
        };
        match self.driver {
            Driver::Macvlan => Some(Split::Macvlan(number(MACVLAN_MODE, MACVLAN_MODES))),
            Driver::Ipvlan => {
                let [mode, flags] = [number(IPVLAN_MODE, IPVLAN_MODES), number(IPVLAN_FLAG, IPVLAN_FLAGS)];
                Some(Split::Ipvlan(mode as u16, flags as u16))
            }
            _ => None,
        }
    }

    /// Whether its parts' kernel routes by the parent alone: everything goes to the link, and no router has an address in it.
    pub(super) fn is_routed_by_link(&self) -> bool {
        matches!(self.split(), Some(Split::Ipvlan(1.., _)))
    }

    /// Whether one container alone may be in it, and have the parent's link for itself.
    pub(super) fn is_passthru(&self) -> bool {
        self.options.get(MACVLAN_MODE).is_some_and(|mode| mode == "passthru")
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
            let options = Labels::from([(name.to_owned(), value.to_owned())]);
            check(Driver::Bridge, &options).unwrap_err().to_string()
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
        assert_eq!(message(GATEWAY_MODE_4, "x"), format!("{GATEWAY_MODE_4}: unknown gateway mode x"));
        assert!(message(TRUSTED, "eth0::eth1").contains("links' names"));
        assert!(message(BRIDGE_NAME, "../../etc").contains("a link's name"));
        check(Driver::Bridge, &Labels::from([(BRIDGE_NAME.to_owned(), "br-mine".to_owned())])).unwrap();
        let macvlan = |name: &str, value: &str| {
            let options = Labels::from([(name.to_owned(), value.to_owned())]);
            check(Driver::Macvlan, &options).map_err(|error| error.to_string())
        };
        macvlan(MACVLAN_MODE, "vepa").unwrap();
        assert_eq!(
            macvlan(MACVLAN_MODE, "foo").unwrap_err(),
            "requested macvlan mode 'foo' is not valid, 'bridge' mode is the macvlan driver default"
        );
        assert_eq!(macvlan(ICC, "true").unwrap_err(), format!("the network option {ICC} is not supported"));
    }

    #[test]
    fn each_word_for_a_part_of_a_link_is_the_kernels_number() {
        let split = |driver: &str, words: &[(&str, &str)]| {
            let options = words.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let body =
                serde_json::json!({"Name": "n", "Driver": driver, "Options": options.collect::<Labels>()});
            let request: crate::networks::CreateNetwork = serde_json::from_value(body).unwrap();
            request.settle_alone().unwrap().split()
        };
        assert_eq!(split("ipvlan", &[]), Some(Split::Ipvlan(0, 0)));
        for (flag, number) in [("bridge", 0), ("private", 1), ("vepa", 2)] {
            let words = [(PARENT, "eth0"), (IPVLAN_MODE, "l2"), (IPVLAN_FLAG, flag)];
            assert_eq!(split("ipvlan", &words), Some(Split::Ipvlan(0, number)), "{flag}");
        }
        for (mode, number) in [("l3", 1), ("l3s", 2)] {
            assert_eq!(split("ipvlan", &[(IPVLAN_MODE, mode)]), Some(Split::Ipvlan(number, 0)), "{mode}");
        }
        for (mode, number) in [("bridge", 4), ("private", 1), ("vepa", 2), ("passthru", 8)] {
            let words = [(PARENT, "eth0"), (MACVLAN_MODE, mode)];
            assert_eq!(split("macvlan", &words), Some(Split::Macvlan(number)), "{mode}");
        }
        assert_eq!(split("bridge", &[]), None);
    }

    #[test]
    fn a_links_switches_are_its_own_alone() {
        let endpoint = |value: &str| EndpointConfig {
            driver_opts: Some(Labels::from([(ENDPOINT_SYSCTLS.to_owned(), value.to_owned())])),
            ..EndpointConfig::default()
        };
        let read =
            switches(&endpoint("net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.neigh.IFNAME.app_solicit=2"));
        assert_eq!(read.unwrap()[1], ("ipv6/neigh/app_solicit".to_owned(), "2".to_owned()));
        for wrong in [
            "kernel.shmmax=1",
            "net.ipv4.conf.eth0.log_martians=1",
            "net.ipv4.ip_forward=1",
            "net.ipv4.conf.IFNAME.../../../x=1",
            "net.ipv4.conf.IFNAME./x=1",
            "net.ipv4.conf.IFNAME.x",
            "net.core.conf.IFNAME.x=1",
        ] {
            assert!(switches(&endpoint(wrong)).is_err(), "{wrong}");
        }
    }
}
