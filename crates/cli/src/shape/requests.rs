//! Devices by what they are (`--gpus`, `--device vendor.com/class=name`), and limits of those with a path.

use flags::go;
use serde_json::{Map, Value, json};

/// Whether a `--device` is a name of the Container Device Interface and no path: `vendor.com/class=name`.
pub(super) fn is_named(text: &str) -> bool {
    let word = |text: &str, more: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    let parts = text.split_once('=').and_then(|(kind, name)| Some((kind.split_once('/')?, name)));
    parts.is_some_and(|((vendor, class), name)| {
        word(vendor, "-_.") && word(class, "-_.") && word(name, "-_.:")
    })
}

/// One request for all of them.
pub(super) fn named(names: &[String]) -> Option<Value> {
    let request = json!({
        "Driver": "cdi", "Count": 0, "DeviceIDs": names, "Capabilities": null, "Options": null,
    });
    (!names.is_empty()).then_some(request)
}

/// `all`, a count, or `device=…,capabilities=…`.
pub(crate) fn gpus(text: &str) -> Result<Value, String> {
    let count = |text: &str| match text {
        "all" => Ok(-1),
        number => go::parse_int(number).map_err(|_| "count must be an integer".to_owned()),
    };
    let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    let mut request = json!({
        "Driver": "", "Count": 0, "DeviceIDs": null, "Capabilities": [["gpu"]], "Options": {},
    });
    let mut seen = Vec::new();
    for field in go::split_csv(text)? {
        let (key, value) = field.split_once('=').unwrap_or(("count", &field));
        if seen.iter().any(|known| known == key) {
            return Err(format!("gpu request key '{key}' can be specified only once"));
        }
        seen.push(key.to_owned());
        match key {
            "driver" => request["Driver"] = value.into(),
            "count" => request["Count"] = count(value)?.into(),
            "device" => request["DeviceIDs"] = list(value).into(),
            "capabilities" => {
                let all: Vec<String> = list(value).into_iter().chain(["gpu".to_owned()]).collect();
                request["Capabilities"] = json!([all]);
            }
            "options" => {
                let pairs = go::split_csv(value)?;
                let pairs = pairs.iter().map(|pair| pair.split_once('=').unwrap_or((pair, "")));
                let options: Map<_, _> = pairs.map(|(key, value)| (key.to_owned(), value.into())).collect();
                request["Options"] = Value::Object(options);
            }
            _ => return Err(format!("unexpected key '{key}' in '{field}'")),
        }
    }
    if request["DeviceIDs"].is_null() && !seen.iter().any(|key| key == "count") {
        request["Count"] = 1.into();
    }
    Ok(request)
}

/// A device's path and what follows it.
fn path_and(text: &str) -> Result<(&str, &str), String> {
    let (path, rest) =
        text.split_once(':').filter(|(path, _)| !path.is_empty()).ok_or(format!("bad format: {text}"))?;
    match path.starts_with("/dev/") {
        true => Ok((path, rest)),
        false => Err(format!("bad format for device path: {text}")),
    }
}

/// `/dev/sda:200`.
pub(super) fn weight(text: &str) -> Result<Value, String> {
    let (path, weight) = path_and(text)?;
    let weight = weight.parse::<u16>().ok().filter(|weight| *weight == 0 || (10..=1000).contains(weight));
    let weight = weight.ok_or(format!("invalid weight for device: {text}"))?;
    Ok(json!({ "Path": path, "Weight": weight }))
}

/// `/dev/sda:1mb`.
pub(super) fn bytes(text: &str) -> Result<Value, String> {
    let (path, rate) = path_and(text)?;
    let rate = go::parse_bytes(rate).ok().filter(|rate| *rate >= 0).ok_or(format!(
        "invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. Number must be a \
         positive integer. Unit is optional and can be kb, mb, or gb"
    ))?;
    Ok(json!({ "Path": path, "Rate": rate }))
}

/// `/dev/sda:1000`.
pub(super) fn operations(text: &str) -> Result<Value, String> {
    let (path, rate) = path_and(text)?;
    let rate = rate.parse::<u64>().map_err(|_| {
        format!(
            "invalid rate for device: {text}. The correct format is <device-path>:<number>. Number must be a positive \
             integer"
        )
    })?;
    Ok(json!({ "Path": path, "Rate": rate }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_are_told_apart() {
        for name in ["vendor.com/class=name", "nvidia.com/gpu=0:1", "a/b=c-d"] {
            assert!(is_named(name), "{name}");
        }
        for path in ["/dev/x", "/dev/a=b", "vendor.com/class", "x=y", "/a/b=c", "a/b=", "a/b=c/d"] {
            assert!(!is_named(path), "{path}");
        }
    }

    #[test]
    fn gpus_are_asked_for_as_docker_does() {
        assert_eq!(gpus("all").unwrap()["Count"], -1);
        assert_eq!(gpus("2").unwrap()["Count"], 2);
        let request = gpus("\"device=0,1\",driver=nvidia,capabilities=utility,\"options=a=b,c=d\"").unwrap();
        let expected = json!({
            "Driver": "nvidia", "Count": 0, "DeviceIDs": ["0", "1"], "Capabilities": [["utility", "gpu"]],
            "Options": {"a": "b", "c": "d"},
        });
        assert_eq!(request, expected);
        assert_eq!(gpus("driver=x").unwrap()["Count"], 1);
        assert_eq!(gpus("x").unwrap_err(), "count must be an integer");
        assert_eq!(gpus("foo=1").unwrap_err(), "unexpected key 'foo' in 'foo=1'");
        assert_eq!(gpus("1,count=2").unwrap_err(), "gpu request key 'count' can be specified only once");
    }

    #[test]
    fn rates_and_weights_are_docker_s() {
        assert_eq!(bytes("/dev/sda:1mb").unwrap(), json!({"Path": "/dev/sda", "Rate": 1 << 20}));
        assert_eq!(operations("/dev/sda:5").unwrap(), json!({"Path": "/dev/sda", "Rate": 5}));
        assert_eq!(weight("/dev/sda:200").unwrap(), json!({"Path": "/dev/sda", "Weight": 200}));
        assert_eq!(weight("/dev/sda:5").unwrap_err(), "invalid weight for device: /dev/sda:5");
        assert_eq!(bytes("sda:1").unwrap_err(), "bad format for device path: sda:1");
        assert_eq!(bytes("/dev/sda").unwrap_err(), "bad format: /dev/sda");
        assert!(operations("/dev/sda:1mb").is_err() && bytes("/dev/sda:-1").is_err());
    }
}
