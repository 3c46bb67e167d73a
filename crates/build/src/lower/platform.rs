//! `linux/arm/v7`, by containerd's grammar and in its words.

use oci::image::Platform;

const SYSTEMS: [&str; 8] =
    ["linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "solaris", "android"];
const ARCHITECTURES: [&str; 17] = [
    "386", "i386", "amd64", "x86_64", "x86-64", "arm", "armel", "armhf", "arm64", "aarch64", "loong64",
    "mips64", "mips64le", "ppc64le", "riscv64", "s390x", "wasm",
];

/// What `text` names; a word alone is a system or an architecture, the other part is `host`'s.
pub(super) fn parse(text: &str, host: &Platform) -> Result<Platform, String> {
    let fine = |part: &&str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    };
    let parts: Vec<&str> = text.split('/').collect();
    if let Some(odd) = parts.iter().find(|part| !fine(part)) {
        return Err(format!(
            "{} is an invalid component of {}: platform specifier component must match \
             \"^[A-Za-z0-9_.-]+$\": invalid argument",
            dockerfile::quote(odd),
            dockerfile::quote(text)
        ));
    }
    let lower = text.to_ascii_lowercase();
    match parts[..] {
        [system] if SYSTEMS.contains(&lower.as_str()) => Ok(normal(system, &host.architecture, "")),
        [architecture] if ARCHITECTURES.contains(&lower.as_str()) => Ok(normal("linux", architecture, "")),
        [_] => Err(format!(
            "{}: unknown operating system or architecture: invalid argument",
            dockerfile::quote(text)
        )),
        [system, architecture] => Ok(normal(system, architecture, "")),
        [system, architecture, variant] => Ok(normal(system, architecture, variant)),
        _ => Err(format!("{}: cannot parse platform specifier: invalid argument", dockerfile::quote(text))),
    }
}

/// The usual spelling, without a variant that goes without saying.
pub(super) fn normal(system: &str, architecture: &str, variant: &str) -> Platform {
    let (architecture, variant) = (architecture.to_ascii_lowercase(), variant.to_ascii_lowercase());
    let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("i386", _) => ("386", ""),
        ("aarch64" | "arm64", "8" | "v8" | "") => ("arm64", ""),
        ("aarch64", variant) => ("arm64", variant),
        ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "8") => ("arm", "v8"),
        (architecture, variant) => (architecture, variant),
    };
    Platform {
        architecture: architecture.to_owned(),
        os: system.to_ascii_lowercase(),
        variant: Some(variant.to_owned()).filter(|variant| !variant.is_empty()),
        ..Platform::default()
    }
}

/// The same platform in its usual spelling.
pub(super) fn normalized(platform: &Platform) -> Platform {
    let usual = normal(&platform.os, &platform.architecture, platform.variant.as_deref().unwrap_or_default());
    Platform { os_version: platform.os_version.clone(), os_features: platform.os_features.clone(), ..usual }
}

pub(super) fn format(platform: &Platform) -> String {
    let Platform { os, architecture, variant, .. } = platform;
    match variant.as_deref().filter(|variant| !variant.is_empty()) {
        Some(variant) => format!("{os}/{architecture}/{variant}"),
        None => format!("{os}/{architecture}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_have_many_spellings() {
        let host = normal("linux", "amd64", "");
        for (text, expected) in [
            ("linux/amd64", "linux/amd64"),
            ("arm64", "linux/arm64"),
            ("aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux", "linux/amd64"),
            ("windows/x86_64", "windows/amd64"),
        ] {
            assert_eq!(parse(text, &host).as_ref().map(format).as_deref(), Ok(expected), "{text}");
        }
        for wrong in ["", "foo", "a/b/c/d", "linux/", "linux/a b"] {
            assert!(parse(wrong, &host).is_err(), "{wrong}");
        }
    }
}
