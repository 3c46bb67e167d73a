//! `--platform`: containerd's grammar, as the API wants it.

use client::encode;
use flags::Matches;
use serde_json::json;

use crate::error::Error;

const SYSTEMS: &[&str] = &[
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "windows",
    "zos",
];
const ARCHITECTURES: &[&str] = &[
    "386",
    "aarch64",
    "amd64",
    "amd64p32",
    "arm",
    "arm64",
    "arm64be",
    "armbe",
    "armel",
    "armhf",
    "i386",
    "loong64",
    "mips",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "mipsle",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
    "x86-64",
    "x86_64",
];

/// The `platform` parameters of a command: one for each that was asked for.
pub(crate) fn parameter(flags: &Matches) -> Result<Vec<Option<String>>, Error> {
    let asked = flags.list("platform");
    let asked = asked.iter().filter(|typed| !typed.is_empty());
    let asked = asked.map(|typed| {
        let platform = parse(typed).map_err(|error| Error::Usage(format!("invalid platform: {error}")))?;
        Ok(Some(format!("platform={}", encode(&platform))))
    });
    asked.collect()
}

/// `linux/arm64/v8`, `arm64` or `linux` as JSON. Spellings of the same are the engine's to know.
pub(crate) fn parse(text: &str) -> Result<String, Error> {
    let parts: Vec<String> = text.split('/').map(str::to_lowercase).collect();
    let part = |part: &&String| {
        part.is_empty() || !part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
    };
    if let Some(wrong) = parts.iter().find(part) {
        return Err(Error::Usage(format!(
            "{wrong:?} is an invalid component of {text:?}: platform specifier component must match \
             \"^[A-Za-z0-9_.-]+$\": invalid argument"
        )));
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let (os, architecture, variant) = match parts[..] {
        [os] if SYSTEMS.contains(&os) => (os, host_architecture(), None),
        [architecture] if ARCHITECTURES.contains(&architecture) => ("linux", architecture, None),
        [_] => {
            return Err(Error::Usage(format!(
                "{text:?}: unknown operating system or architecture: invalid argument"
            )));
        }
        [os, architecture] => (os, architecture, None),
        [os, architecture, variant] => (os, architecture, Some(variant)),
        _ => {
            return Err(Error::Usage(format!("{text:?}: cannot parse platform specifier: invalid argument")));
        }
    };
    let mut platform = json!({ "os": os, "architecture": architecture });
    if let Some(variant) = variant {
        platform["variant"] = variant.into();
    }
    Ok(platform.to_string())
}

fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_read_as_containerd_does() {
        for (text, expected) in [
            ("linux/ARM64/v8", r#"{"os":"linux","architecture":"arm64","variant":"v8"}"#),
            ("s390x", r#"{"os":"linux","architecture":"s390x"}"#),
            ("windows/amd64", r#"{"os":"windows","architecture":"amd64"}"#),
        ] {
            assert_eq!(parse(text).unwrap(), expected);
        }
        assert!(parse("linux").unwrap().contains(host_architecture()));
        for wrong in ["", "foo", "linux/", "a//b", "a/b/c/d", "linux/am d"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
