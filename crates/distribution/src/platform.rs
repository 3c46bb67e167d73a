//! Which of an index's images is meant, by containerd's rules: the exact variant first, then what the processor also
//! runs, best first.

use oci::image::{Descriptor, Platform};

use crate::Error;

/// What Go can be built for: a word alone is one of these.
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

/// A platform that somebody asked for, or this host's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    platform: Platform,
    asked: bool,
}

impl Wanted {
    /// What this binary runs on.
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" => "ppc64le",
            other => other,
        };
        Self { platform: normal("linux", architecture, ""), asked: false }
    }

    /// `linux/arm64/v8`, `arm64`, `linux`, by containerd's grammar and in its words.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Err(Error::Platform(format!("{text:?}: {why}: invalid argument")));
        let part = |part: &str| {
            part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) && !part.is_empty()
        };
        let parts: Vec<&str> = text.split('/').collect();
        if let Some(odd) = parts.iter().find(|p| !part(p)) {
            return Err(Error::Platform(format!(
                "{odd:?} is an invalid component of {text:?}: platform specifier component must match \
                 \"^[A-Za-z0-9_.-]+$\": invalid argument"
            )));
        }
        let host = Self::host().platform.architecture;
        let known = |list: &[&str], word: &str| list.contains(&word.to_ascii_lowercase().as_str());
        let platform = match parts[..] {
            [os] if known(SYSTEMS, os) => normal(os, &host, ""),
            [architecture] if known(ARCHITECTURES, architecture) => normal("linux", architecture, ""),
            [_] => return wrong("unknown operating system or architecture"),
            [os, architecture] => normal(os, architecture, ""),
            [os, architecture, variant] => normal(os, architecture, variant),
            _ => return wrong("cannot parse platform specifier"),
        };
        Ok(Self { platform, asked: true })
    }

    /// Exactly what something is for.
    pub fn of(platform: &Platform) -> Self {
        let variant = platform.variant.as_deref().unwrap_or_default();
        Self { platform: normal(&platform.os, &platform.architecture, variant), asked: true }
    }

    /// In the spelling that is usual.
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// Whether somebody asked, so that nothing else will do.
    pub fn is_asked(&self) -> bool {
        self.asked
    }

    /// How well an image for `offered` fits; 0 is best.
    pub fn rank(&self, offered: &Platform) -> Option<usize> {
        let offered =
            normal(&offered.os, &offered.architecture, offered.variant.as_deref().unwrap_or_default());
        runs(&self.platform).iter().position(|runs| *runs == offered)
    }

    /// The best fit among an index's entries. Attestations and entries without a platform are nobody's image.
    pub fn choose<'a>(&self, entries: &'a [Descriptor]) -> Result<&'a Descriptor, Error> {
        let images = || entries.iter().filter_map(|entry| Some((entry, entry.platform.as_ref()?)));
        let ranked = images().filter_map(|(entry, platform)| Some((self.rank(platform)?, entry)));
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, entry)| entry).ok_or_else(|| {
            let known = images().filter(|(_, platform)| platform.os != "unknown");
            let mut available: Vec<String> = known.map(|(_, platform)| shown(platform)).collect();
            available.sort_unstable();
            available.dedup();
            let available = if available.is_empty() { "none".to_owned() } else { available.join(", ") };
            Error::NoPlatform { wanted: self.to_string(), available }
        })
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&shown(&self.platform))
    }
}

fn shown(platform: &Platform) -> String {
    let variant = platform.variant.as_deref().filter(|variant| !variant.is_empty());
    let variant = variant.map(|variant| format!("/{variant}")).unwrap_or_default();
    diag::printable(&format!("{}/{}{variant}", platform.os, platform.architecture))
}

/// The spellings that are in use, as one.
fn normal(os: &str, architecture: &str, variant: &str) -> Platform {
    let lower = |text: &str| text.to_ascii_lowercase();
    let (architecture, variant) = (lower(architecture), lower(variant));
    let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("i386", _) => ("386", ""),
        ("aarch64" | "arm64", "8" | "v8" | "") => ("arm64", "v8"),
        ("armhf", _) => ("arm", "v7"),
        ("armel", _) => ("arm", "v6"),
        ("arm", "" | "7") => ("arm", "v7"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "6") => ("arm", "v6"),
        ("arm", "8") => ("arm", "v8"),
        (architecture, variant) => (architecture, variant),
    };
    Platform {
        architecture: architecture.to_owned(),
        os: lower(os),
        os_version: None,
        os_features: Vec::new(),
        variant: (!variant.is_empty()).then(|| variant.to_owned()),
    }
}

/// The platforms whose programs run on this one, best first.
fn runs(platform: &Platform) -> Vec<Platform> {
    let named = |architecture: &str, variant: &str| normal(&platform.os, architecture, variant);
    let arm = |from: u8| (5..=from).rev().map(move |version| format!("v{version}"));
    let mut list = vec![platform.clone()];
    match (platform.architecture.as_str(), platform.variant.as_deref()) {
        ("amd64", variant) => {
            let level = variant.and_then(|v| v.strip_prefix('v')?.parse::<u8>().ok()).unwrap_or(1).min(4);
            list.extend((1..level).rev().map(|level| named("amd64", &format!("v{level}"))));
            list.push(named("386", ""));
        }
        ("arm64", _) => {
            list.push(named("arm64", "v8"));
            list.extend(arm(8).map(|variant| named("arm", &variant)));
        }
        ("arm", Some(variant)) => {
            let version = variant.strip_prefix('v').and_then(|v| v.parse::<u8>().ok()).unwrap_or(7).min(8);
            list.extend(arm(version).map(|variant| named("arm", &variant)));
        }
        _ => {}
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(platform: Option<&str>) -> Descriptor {
        let platform = platform.map(|text| {
            let parts: Vec<&str> = text.split('/').collect();
            let variant = parts.get(2).map(|variant| (*variant).to_owned());
            Platform {
                os: parts[0].into(),
                architecture: parts[1].into(),
                os_version: None,
                os_features: Vec::new(),
                variant,
            }
        });
        let digest = oci::Digest::sha256(format!("{platform:?}").as_bytes());
        Descriptor { media_type: String::new(), digest, size: 1, platform, annotations: Default::default() }
    }

    fn chosen(wanted: &str, offered: &[&str]) -> Option<String> {
        let entries: Vec<Descriptor> = offered.iter().map(|text| entry(Some(text))).collect();
        let chosen = Wanted::parse(wanted).unwrap().choose(&entries).ok()?;
        chosen.platform.as_ref().map(shown)
    }

    #[test]
    fn the_best_fit_wins_whatever_the_order() {
        for (wanted, offered, expected) in [
            ("linux/amd64", &["linux/386", "linux/amd64"][..], Some("linux/amd64")),
            ("linux/amd64", &["linux/386"], Some("linux/386")),
            ("linux/amd64", &["linux/amd64/v3"], None),
            ("linux/amd64/v3", &["linux/amd64", "linux/amd64/v2"], Some("linux/amd64/v2")),
            ("linux/arm64", &["linux/arm/v7", "linux/arm64/v8"], Some("linux/arm64/v8")),
            ("linux/arm64/v8", &["linux/arm64"], Some("linux/arm64")),
            ("linux/arm/v7", &["linux/arm/v5", "linux/arm/v6"], Some("linux/arm/v6")),
            ("linux/arm/v6", &["linux/arm/v7"], None),
            ("arm64", &["linux/amd64"], None),
            ("linux/riscv64", &["windows/riscv64", "linux/riscv64"], Some("linux/riscv64")),
        ] {
            assert_eq!(chosen(wanted, offered).as_deref(), expected, "{wanted} of {offered:?}");
        }
    }

    #[test]
    fn who_finds_nothing_hears_what_there_is() {
        let entries = [entry(Some("linux/s390x")), entry(Some("unknown/unknown")), entry(None)];
        let error = Wanted::parse("linux/arm64").unwrap().choose(&entries).unwrap_err();
        let expected =
            "no matching manifest for linux/arm64/v8 in the manifest list entries: it has linux/s390x";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn what_is_no_platform_is_refused() {
        for wrong in ["", "nonsense", "linux/", "a/b/c/d", "linux/am d64"] {
            assert!(Wanted::parse(wrong).is_err(), "{wrong}");
        }
    }
}
