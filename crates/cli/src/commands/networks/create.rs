//! `network create`: the flags as the JSON of `POST /networks/create`, with docker's own checks before.

use std::net::IpAddr;

use flags::Matches;
use http::Method;
use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::ui;

/// `network create`.
pub(crate) fn create(call: &Call) -> Outcome {
    let body = body(call.flags())?;
    call.with_engine(|engine| async move {
        let answer = engine.call(Method::POST, "/networks/create", Some(&body)).await?.json()?;
        ui::out(&format!("{}\n", answer["Id"].as_str().unwrap_or_default()))?;
        Ok(0)
    })
}

fn body(flags: &Matches) -> Result<Value, Error> {
    let pairs = |flag: &str| -> Map<String, Value> {
        let list = flags.list(flag);
        let pairs = list.iter().map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.map(|(key, value)| (key.to_owned(), value.into())).collect()
    };
    let mut body = json!({
        "Name": flags.args.first().map_or("", String::as_str),
        "Driver": flags.text("driver"),
        "Options": pairs("opt"),
        "Labels": pairs("label"),
        "Internal": flags.bool("internal"),
        "Attachable": flags.bool("attachable"),
        "Ingress": flags.bool("ingress"),
        "ConfigOnly": flags.bool("config-only"),
        "Scope": flags.text("scope"),
        "IPAM": {
            "Driver": flags.text("ipam-driver"),
            "Options": pairs("ipam-opt"),
            "Config": subnets(flags, &pairs("aux-address"))?,
        },
    });
    for (flag, key) in [("ipv4", "EnableIPv4"), ("ipv6", "EnableIPv6")] {
        if flags.changed(flag) {
            body[key] = flags.bool(flag).into();
        }
    }
    if let Some(name) = flags.find("config-from").filter(|name| !name.is_empty()) {
        body["ConfigFrom"] = json!({ "Network": name });
    }
    Ok(body)
}

/// A subnet, and what of the flags lies in it.
struct Part {
    subnet: String,
    range: String,
    gateway: String,
    auxiliary: Map<String, Value>,
}

fn usage(message: String) -> Error {
    Error::Usage(message)
}

fn subnets(flags: &Matches, auxiliary: &Map<String, Value>) -> Result<Vec<Value>, Error> {
    let [subnets, ranges, gateways] = ["subnet", "ip-range", "gateway"].map(|flag| flags.list(flag));
    if subnets.len() < ranges.len() || subnets.len() < gateways.len() {
        return Err(usage("every ip-range or gateway must have a corresponding subnet".into()));
    }
    let mut parts: Vec<Part> = Vec::new();
    for subnet in subnets {
        for other in &parts {
            if lies_in(&subnet, &other.subnet)? || lies_in(&other.subnet, &subnet)? {
                return Err(usage("multiple overlapping subnet configuration is not supported".into()));
            }
        }
        parts.push(Part { subnet, range: String::new(), gateway: String::new(), auxiliary: Map::new() });
    }
    for range in ranges {
        cidr(&range)?;
        let part = matching(&mut parts, &range, "range")?;
        let (kept, subnet) = (&part.range, &part.subnet);
        if !kept.is_empty() {
            return Err(usage(format!(
                "cannot configure multiple ranges ({range}, {kept}) on the same subnet ({subnet})"
            )));
        }
        part.range = range;
    }
    for gateway in gateways {
        let part = matching(&mut parts, &gateway, "gateway")?;
        let (kept, subnet) = (&part.gateway, &part.subnet);
        if !kept.is_empty() {
            return Err(usage(format!(
                "cannot configure multiple gateways ({gateway}, {kept}) for the same subnet ({subnet})"
            )));
        }
        part.gateway = gateway;
    }
    for (name, address) in auxiliary {
        let text = address.as_str().unwrap_or_default();
        matching(&mut parts, text, "aux-address")?.auxiliary.insert(name.clone(), address.clone());
    }
    Ok(parts.into_iter().map(Part::into_json).collect())
}

impl Part {
    fn into_json(self) -> Value {
        let mut config = json!({ "Subnet": self.subnet });
        for (key, value) in [("IPRange", self.range), ("Gateway", self.gateway)] {
            if !value.is_empty() {
                config[key] = value.into();
            }
        }
        if !self.auxiliary.is_empty() {
            config["AuxiliaryAddresses"] = self.auxiliary.into();
        }
        config
    }
}

fn matching<'a>(parts: &'a mut [Part], text: &str, what: &str) -> Result<&'a mut Part, Error> {
    for part in parts {
        if lies_in(text, &part.subnet)? {
            return Ok(part);
        }
    }
    Err(usage(format!("no matching subnet for {what} {text}")))
}

/// Go's `ParseCIDR`.
fn cidr(text: &str) -> Result<(IpAddr, u8), Error> {
    let wrong = || usage(format!("invalid CIDR address: {text}"));
    let (ip, prefix) = text.split_once('/').ok_or_else(wrong)?;
    let ip: IpAddr = ip.parse().map_err(|_| wrong())?;
    let longest = if ip.is_ipv4() { 32 } else { 128 };
    let digits = prefix.bytes().all(|byte| byte.is_ascii_digit());
    let prefix = prefix.parse().ok().filter(|prefix| digits && *prefix <= longest).ok_or_else(wrong)?;
    Ok((ip, prefix))
}

/// Whether a subnet has this address, or the first one of this subnet. What is no address is in none.
fn lies_in(text: &str, subnet: &str) -> Result<bool, Error> {
    let (base, prefix) = cidr(subnet).map_err(|error| usage(format!("invalid subnet: {error}")))?;
    let ip = match text.contains('/') {
        true => cidr(text)?.0,
        false => match text.parse() {
            Ok(ip) => ip,
            Err(_) => return Ok(false),
        },
    };
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)) << 96,
        IpAddr::V6(ip) => u128::from(ip),
    };
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
    Ok(ip.is_ipv4() == base.is_ipv4() && bits(ip) & mask == bits(base) & mask)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use flags::Outcome;

    use super::*;
    use crate::tree::ROOT;

    fn made(line: &str) -> Result<Value, String> {
        let words: Vec<OsString> =
            format!("network create {line}").split_whitespace().map(OsString::from).collect();
        match flags::parse("docker", &ROOT, &words) {
            Ok(Outcome::Run(invocation)) => body(&invocation.matches).map_err(|error| error.to_string()),
            _ => panic!("{line} is no command"),
        }
    }

    #[test]
    fn gateways_ranges_and_others_go_to_their_subnet() {
        let line = "--subnet 10.1.0.0/16 --subnet fd00::/64 --gateway fd00::9 --ip-range 10.1.2.0/24 \
                    --aux-address a=10.1.0.9 --ipv6 -o x=1 --label l n";
        let body = made(line).unwrap();
        assert_eq!(
            body["IPAM"]["Config"],
            json!([
                { "Subnet": "10.1.0.0/16", "IPRange": "10.1.2.0/24", "AuxiliaryAddresses": { "a": "10.1.0.9" } },
                { "Subnet": "fd00::/64", "Gateway": "fd00::9" },
            ])
        );
        assert_eq!((&body["EnableIPv6"], &body["EnableIPv4"]), (&json!(true), &json!(null)));
        assert_eq!((&body["Options"], &body["Labels"]), (&json!({ "x": "1" }), &json!({ "l": "" })));
    }

    /// What docker 28 says.
    #[test]
    fn what_fits_no_subnet_is_refused_before_the_engine_is_asked() {
        for (line, expected) in [
            ("--subnet 10.77.0.0/24 --gateway 10.78.0.1 n", "no matching subnet for gateway 10.78.0.1"),
            ("--gateway 10.78.0.1 n", "every ip-range or gateway must have a corresponding subnet"),
            ("--subnet 10.77.0.0/24 --ip-range 10.79.0.0/25 n", "no matching subnet for range 10.79.0.0/25"),
            ("--aux-address foo n", "no matching subnet for aux-address "),
            (
                "--subnet 10.77.0.0/24 --subnet 10.77.0.0/16 n",
                "multiple overlapping subnet configuration is not supported",
            ),
        ] {
            assert_eq!(made(line).unwrap_err(), expected, "{line}");
        }
    }
}
