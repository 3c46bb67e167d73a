//! `--mount type=bind,source=/a,target=/b,readonly`.

use std::ops::Range;

use flags::go;
use serde_json::{Map, Value, json};

use crate::error::Error;

use super::{place, wrong};

/// Whether it can be one; what is wrong with it is shown below docker's sentence.
pub(crate) fn check(text: &str) -> Result<(), String> {
    parse(text).map(drop).map_err(|fault| fault.shown(text))
}

/// One mount as `HostConfig.Mounts` has it.
pub(super) fn mount(text: &str) -> Result<Value, Error> {
    let told = |fault: Fault| {
        wrong(format!("invalid argument {text:?} for \"--mount\" flag: {}", fault.shown(text)))
    };
    parse(text).map_err(told)
}

/// docker's sentence, and what of the text it is about.
#[derive(Debug)]
struct Fault {
    why: String,
    at: Option<Range<usize>>,
}

impl Fault {
    fn shown(self, text: &str) -> String {
        match self.at {
            Some(at) => self.why + &place::mark(text, at),
            None => self.why,
        }
    }
}

type Field = (String, Option<Range<usize>>);

/// The fields and where they stand, unless quotes keep them from standing there as they are read.
fn fields(text: &str) -> Result<Vec<Field>, String> {
    let mut cursor = 0;
    let place = |field: String| {
        let at = text.get(cursor..).and_then(|rest| rest.find(&field)).map(|at| cursor + at);
        let range = at.map(|at| at..at + field.len());
        cursor = range.as_ref().map_or(cursor, |range| range.end);
        (field, range)
    };
    Ok(go::split_csv(text)?.into_iter().map(place).collect())
}

#[derive(Default)]
struct Groups {
    mount: Map<String, Value>,
    bind: Map<String, Value>,
    volume: Map<String, Value>,
    tmpfs: Map<String, Value>,
    image: Map<String, Value>,
    driver: Map<String, Value>,
}

fn parse(text: &str) -> Result<Value, Fault> {
    let mut groups = Groups::default();
    groups.mount.insert("Type".into(), "volume".into());
    let fields = fields(text).map_err(|why| Fault { why, at: None })?;
    for (field, at) in &fields {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_lowercase(), Some(value)),
            None => (field.to_lowercase(), None),
        };
        groups.take(field, &key, value).map_err(|why| Fault { why, at: at.clone() })?;
    }
    groups.whole().map_err(|(why, kind)| {
        // What is missing is missing at the end; what doesn't belong stands somewhere.
        let at = match kind {
            None => Some(text.len()..text.len()),
            Some(kind) => {
                let other = |field: &str| field.to_lowercase().starts_with(&format!("{kind}-"));
                fields.iter().find(|(field, _)| other(field)).and_then(|(_, at)| at.clone())
            }
        };
        Fault { why, at }
    })
}

impl Groups {
    fn take(&mut self, field: &str, key: &str, value: Option<&str>) -> Result<(), String> {
        let flag = || match value {
            None => Ok(true),
            Some(value) => go::parse_bool(value).map_err(|_| format!("invalid value for {key}: {value}")),
        };
        match key {
            "readonly" | "ro" => drop(self.mount.insert("ReadOnly".into(), flag()?.into())),
            // Ours: docker's own client doesn't know it.
            "idmap" => drop(self.mount.insert("IDMap".into(), flag()?.into())),
            "volume-nocopy" => drop(self.volume.insert("NoCopy".into(), flag()?.into())),
            "bind-nonrecursive" => drop(self.bind.insert("NonRecursive".into(), flag()?.into())),
            "bind-create-src" => drop(self.bind.insert("CreateMountpoint".into(), flag()?.into())),
            _ => {
                let value =
                    value.ok_or_else(|| format!("invalid field '{field}' must be a key=value pair"))?;
                self.take_valued(field, key, value)?;
            }
        }
        Ok(())
    }

    fn take_valued(&mut self, field: &str, key: &str, value: &str) -> Result<(), String> {
        let put = |map: &mut Map<String, Value>, key: &str, value: Value| drop(map.insert(key.into(), value));
        match key {
            "type" => put(&mut self.mount, "Type", value.to_lowercase().into()),
            "source" | "src" if value.starts_with('.') => {
                let here = std::path::absolute(value).map_err(|error| error.to_string())?;
                put(&mut self.mount, "Source", here.display().to_string().into());
            }
            "source" | "src" => put(&mut self.mount, "Source", value.into()),
            "target" | "dst" | "destination" => put(&mut self.mount, "Target", value.into()),
            "consistency" => put(&mut self.mount, "Consistency", value.to_lowercase().into()),
            "bind-propagation" => put(&mut self.bind, "Propagation", value.to_lowercase().into()),
            "bind-recursive" => match value {
                "enabled" => {}
                "disabled" => put(&mut self.bind, "NonRecursive", true.into()),
                "writable" => put(&mut self.bind, "ReadOnlyNonRecursive", true.into()),
                "readonly" => put(&mut self.bind, "ReadOnlyForceRecursive", true.into()),
                _ => {
                    return Err(format!(
                        "invalid value for {key}: {value} (must be \"enabled\", \"disabled\", \"writable\", or \
                         \"readonly\")"
                    ));
                }
            },
            "volume-subpath" => put(&mut self.volume, "Subpath", value.into()),
            "volume-label" => self.pair("Labels", value),
            "volume-driver" => put(&mut self.driver, "Name", value.into()),
            "volume-opt" => {
                let (key, value) = value.split_once('=').unwrap_or((value, ""));
                let options = self.driver.entry("Options").or_insert_with(|| json!({}));
                options[key] = value.into();
            }
            "image-subpath" => put(&mut self.image, "Subpath", value.into()),
            "tmpfs-size" => {
                let bytes =
                    go::parse_bytes(value).map_err(|_| format!("invalid value for {key}: {value}"))?;
                put(&mut self.tmpfs, "SizeBytes", bytes.into());
            }
            "tmpfs-mode" => {
                let mode =
                    u32::from_str_radix(value, 8).map_err(|_| format!("invalid value for {key}: {value}"))?;
                put(&mut self.tmpfs, "Mode", mode.into());
            }
            _ => return Err(format!("unexpected key '{key}' in '{field}'")),
        }
        Ok(())
    }

    fn pair(&mut self, key: &str, pair: &str) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let map = self.volume.entry(key).or_insert_with(|| json!({}));
        map[name] = value.into();
    }

    /// The mount, or what is wrong: something that is missing, or options of a kind that it isn't of.
    fn whole(mut self) -> Result<Value, (String, Option<&'static str>)> {
        let kind = self.mount["Type"].as_str().unwrap_or_default().to_owned();
        if kind.is_empty() {
            return Err(("type is required".into(), None));
        }
        if !self.mount.contains_key("Target") {
            return Err(("target is required".into(), None));
        }
        if !self.driver.is_empty() || !self.volume.is_empty() {
            self.volume.insert("DriverConfig".into(), Value::Object(self.driver));
        }
        for (own, key, options) in [
            ("volume", "VolumeOptions", self.volume),
            ("bind", "BindOptions", self.bind),
            ("image", "ImageOptions", self.image),
            ("tmpfs", "TmpfsOptions", self.tmpfs),
        ] {
            if options.is_empty() {
                continue;
            }
            if own != kind {
                let why = format!("cannot mix '{own}-*' options with mount type '{kind}'");
                return Err((why, Some(own)));
            }
            self.mount.insert(key.into(), Value::Object(options));
        }
        Ok(Value::Object(self.mount))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_where_the_api_has_them() {
        let bind = parse("type=bind,\"src=/a,b\",dst=/c,ro,bind-propagation=rslave").unwrap();
        assert_eq!(
            bind,
            json!({"Type": "bind", "Source": "/a,b", "Target": "/c", "ReadOnly": true,
                   "BindOptions": {"Propagation": "rslave"}})
        );
        let memory = parse("type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=700").unwrap();
        assert_eq!(memory["TmpfsOptions"], json!({"SizeBytes": 1 << 20, "Mode": 0o700}));
        assert_eq!(
            parse("dst=/v,volume-opt=a=b").unwrap()["VolumeOptions"]["DriverConfig"]["Options"]["a"],
            "b"
        );
    }

    #[test]
    fn what_is_wrong_is_marked() {
        let marked = |text: &str| check(text).unwrap_err().lines().skip(1).collect::<Vec<_>>().join("\n");
        for (text, under) in [
            ("type=bind,src=/a,dst=/b,ro=x", "                        ^^^^"),
            ("type=bind,src=/a", "                ^"),
            ("type=bind,src=/a,dst=/b,tmpfs-size=1,ro", "                        ^^^^^^^^^^^^"),
            ("\"type=bind\",foo=1", "            ^^^^^"),
        ] {
            assert_eq!(marked(text), format!("  {text}\n  {under}"));
        }
    }

    #[test]
    fn what_is_wrong_is_said_as_docker_says_it() {
        for (text, why) in [
            ("type=bind,src=/a", "target is required"),
            ("foo=1,dst=/a", "unexpected key 'foo' in 'foo=1'"),
            ("dst", "invalid field 'dst' must be a key=value pair"),
            ("type=bind,src=/a,dst=/b,ro=x", "invalid value for ro: x"),
            ("type=bind,src=/a,dst=/b,tmpfs-size=1", "cannot mix 'tmpfs-*' options with mount type 'bind'"),
        ] {
            assert_eq!(parse(text).unwrap_err().why, why);
        }
    }
}
