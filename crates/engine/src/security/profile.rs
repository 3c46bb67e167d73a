//! Docker's format for seccomp profiles: the specification's, with rules that depend on the container and the machine.

use std::collections::HashSet;

use oci_spec::runtime as rt;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

/// A profile as people write it, before it is known what it is for.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Profile {
    #[serde(deserialize_with = "action")]
    pub(super) default_action: Option<rt::LinuxSeccompAction>,
    pub(super) default_errno_ret: Option<u32>,
    pub(super) architectures: Option<Vec<rt::Arch>>,
    pub(super) arch_map: Option<Vec<Architecture>>,
    pub(super) flags: Option<Vec<rt::LinuxSeccompFilterFlag>>,
    pub(super) listener_path: Option<String>,
    pub(super) listener_metadata: Option<String>,
    pub(super) syscalls: Option<Vec<Rule>>,
}

/// On a machine of the first, programs of the others are meant as well.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Architecture {
    pub(super) architecture: rt::Arch,
    #[serde(default)]
    pub(super) sub_architectures: Option<Vec<rt::Arch>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Rule {
    /// The form of old profiles.
    pub(super) name: String,
    pub(super) names: Option<Vec<String>>,
    pub(super) action: rt::LinuxSeccompAction,
    pub(super) errno_ret: Option<u32>,
    pub(super) args: Option<Vec<rt::LinuxSeccompArg>>,
    /// The rule holds where all of this does …
    pub(super) includes: Option<Circumstances>,
    /// … and none of this.
    pub(super) excludes: Option<Circumstances>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Circumstances {
    pub(super) caps: Option<Vec<String>>,
    /// In the names of images' platforms.
    pub(super) arches: Option<Vec<String>>,
    #[serde(deserialize_with = "kernel")]
    pub(super) min_kernel: Option<Kernel>,
}

/// The first two numbers of a kernel's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kernel(pub(super) u32, pub(super) u32);

/// What the rules can depend on.
pub(super) struct Target<'a> {
    /// The capabilities that the container's processes can ever have, in their long names.
    pub(super) capabilities: &'a HashSet<String>,
    /// In the name that images use.
    pub(super) architecture: &'a str,
    pub(super) kernel: Kernel,
}

/// Why a text is no profile. The sentences are dockerd's, except for the decoder's own.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Invalid {
    #[error("Decoding seccomp profile failed: {0}")]
    Json(String),
    #[error(
        "both 'architectures' and 'archMap' are specified in the seccomp profile, use either 'architectures' or 'archMap'"
    )]
    Architectures,
    #[error("both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'")]
    Names,
}

impl Profile {
    pub(super) fn parse(text: &str) -> Result<Self, Invalid> {
        let invalid = |error: serde_json::Error| Invalid::Json(error.to_string());
        // A list would be taken for the fields' values in their order.
        let fields: serde_json::Map<_, _> = serde_json::from_str(text).map_err(invalid)?;
        serde_json::from_value(fields.into()).map_err(invalid)
    }

    /// What it means for one container; nothing where it asks for nothing.
    pub(super) fn resolve(self, target: &Target<'_>) -> Result<Option<rt::LinuxSeccomp>, Invalid> {
        let given = |list: &Option<Vec<_>>| list.as_ref().is_some_and(|list| !list.is_empty());
        let has_map = self.arch_map.as_ref().is_some_and(|map| !map.is_empty());
        if given(&self.architectures) && has_map {
            return Err(Invalid::Architectures);
        }
        let rules = self.syscalls.unwrap_or_default();
        if self.default_action.is_none() && rules.is_empty() {
            return Ok(None);
        }
        let mapped = self.arch_map.iter().flatten().find(|entry| is_native(entry.architecture, target));
        let mapped = mapped.map(|entry| {
            let more = entry.sub_architectures.iter().flatten().copied();
            std::iter::once(entry.architecture).chain(more).collect()
        });
        let rules = rules.into_iter().map(|rule| rule.resolve(target)).collect::<Result<Vec<_>, _>>()?;
        let mut seccomp = rt::LinuxSeccomp::default();
        seccomp
            // As runc does with a profile that only has rules.
            .set_default_action(self.default_action.unwrap_or(rt::LinuxSeccompAction::ScmpActKill))
            .set_default_errno_ret(self.default_errno_ret)
            .set_architectures(mapped.or(self.architectures))
            .set_flags(self.flags)
            .set_listener_path(self.listener_path.map(Into::into))
            .set_listener_metadata(self.listener_metadata)
            .set_syscalls(Some(rules.into_iter().flatten().collect()));
        Ok(Some(seccomp))
    }
}

impl Rule {
    fn resolve(self, target: &Target<'_>) -> Result<Option<rt::LinuxSyscall>, Invalid> {
        let names = match (self.name.as_str(), self.names.unwrap_or_default()) {
            ("", names) => names,
            (name, names) if names.is_empty() => vec![name.to_owned()],
            _ => return Err(Invalid::Names),
        };
        let included = self.includes.is_none_or(|these| these.all_hold(target));
        if !included || self.excludes.is_some_and(|these| these.any_holds(target)) {
            return Ok(None);
        }
        let mut rule = rt::LinuxSyscall::default();
        rule.set_names(names).set_action(self.action).set_errno_ret(self.errno_ret).set_args(self.args);
        Ok(Some(rule))
    }
}

impl Circumstances {
    fn all_hold(&self, target: &Target<'_>) -> bool {
        let arches = self.arches.as_deref().unwrap_or_default();
        let mut caps = self.caps.iter().flatten();
        (arches.is_empty() || arches.iter().any(|arch| arch == target.architecture))
            && caps.all(|cap| target.capabilities.contains(cap))
            && self.min_kernel.is_none_or(|kernel| target.kernel >= kernel)
    }

    fn any_holds(&self, target: &Target<'_>) -> bool {
        self.arches.iter().flatten().any(|arch| arch == target.architecture)
            || self.caps.iter().flatten().any(|cap| target.capabilities.contains(cap))
            || self.min_kernel.is_some_and(|kernel| target.kernel >= kernel)
    }
}

fn is_native(arch: rt::Arch, target: &Target<'_>) -> bool {
    match arch {
        rt::Arch::ScmpArchX86_64 => target.architecture == "amd64",
        rt::Arch::ScmpArchAarch64 => target.architecture == "arm64",
        rt::Arch::ScmpArchX86 => target.architecture == "386",
        rt::Arch::ScmpArchArm => target.architecture == "arm",
        _ => false,
    }
}

impl Kernel {
    /// From `uname -r`: `6.12.8-amd64`. Nothing that can't be read is newer than anything.
    pub(super) fn running(release: &str) -> Self {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
        Self(numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }

    fn required(text: &str) -> Option<Self> {
        let (kernel, major) = text.split_once('.')?;
        let version = Self(kernel.parse().ok()?, major.parse().ok()?);
        (version != Self(0, 0)).then_some(version)
    }
}

fn kernel<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Kernel>, D::Error> {
    let Some(text) = Option::<String>::deserialize(input)? else { return Ok(None) };
    let wrong =
        || D::Error::custom(format!("invalid kernel version: {text:?}, expected \"<kernel>.<major>\""));
    Kernel::required(&text).map(Some).ok_or_else(wrong)
}

/// An empty text is no action, as in Go.
fn action<'de, D: Deserializer<'de>>(input: D) -> Result<Option<rt::LinuxSeccompAction>, D::Error> {
    let Some(text) = Option::<String>::deserialize(input)?.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    rt::LinuxSeccompAction::deserialize(serde::de::value::StringDeserializer::<D::Error>::new(text)).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str, caps: &[&str], kernel: Kernel) -> Result<Option<rt::LinuxSeccomp>, Invalid> {
        let capabilities = caps.iter().map(|&cap| cap.to_owned()).collect();
        let target = Target { capabilities: &capabilities, architecture: "amd64", kernel };
        Profile::parse(text)?.resolve(&target)
    }

    fn names(text: &str, caps: &[&str], kernel: Kernel) -> Vec<String> {
        let seccomp = resolve(text, caps, kernel).unwrap().unwrap();
        seccomp.syscalls().iter().flatten().flat_map(|rule| rule.names().clone()).collect()
    }

    #[test]
    fn rules_depend_on_capabilities_architecture_and_kernel() {
        let text = r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["both"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_BPF", "CAP_KILL"]}},
            {"names": ["neither"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_BPF", "CAP_KILL"]}},
            {"name": "old", "action": "SCMP_ACT_ALLOW", "args": null, "excludes": {"minKernel": "4.8"}},
            {"name": "new", "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}, "excludes": {}},
            {"names": ["arm"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm", "arm64"]}},
            {"names": ["amd"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64"]}, "comment": "x"}
        ]}"#;
        assert_eq!(names(text, &["CAP_BPF", "CAP_KILL"], Kernel(4, 8)), ["both", "new", "amd"]);
        assert_eq!(names(text, &["CAP_BPF"], Kernel(4, 10)), ["new", "amd"]);
        assert_eq!(names(text, &[], Kernel(3, 19)), ["neither", "old", "amd"]);
    }

    #[test]
    fn the_architectures_are_those_of_the_map_s_native_entry() {
        let text = r#"{"defaultAction": "SCMP_ACT_ALLOW", "archMap": [
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": null}]}"#;
        let seccomp = resolve(text, &[], Kernel(6, 1)).unwrap().unwrap();
        assert_eq!(seccomp.architectures().as_deref(), Some(&[rt::Arch::ScmpArchX86_64][..]));
    }

    #[test]
    fn what_is_wrong_is_said_in_docker_s_words() {
        let said = |text: &str| resolve(text, &[], Kernel(6, 1)).unwrap_err().to_string();
        assert_eq!(
            said(r#"{"architectures":["SCMP_ARCH_X86"],"archMap":[{"architecture":"SCMP_ARCH_X86"}]}"#),
            Invalid::Architectures.to_string()
        );
        assert_eq!(
            said(r#"{"syscalls":[{"name":"a","names":["b"],"action":"SCMP_ACT_ALLOW"}]}"#),
            Invalid::Names.to_string()
        );
        let kernel = said(r#"{"syscalls":[{"name":"a","includes":{"minKernel":"x"}}]}"#);
        let expected =
            "Decoding seccomp profile failed: invalid kernel version: \"x\", expected \"<kernel>.<major>\"";
        assert!(kernel.starts_with(expected), "{kernel}");
        let action = said(r#"{"defaultAction":"SCMP_ACT_NOPE"}"#);
        assert!(action.contains("unknown variant `SCMP_ACT_NOPE`"), "{action}");
        assert!(said("[]").starts_with("Decoding seccomp profile failed: "));
    }

    #[test]
    fn a_profile_that_says_nothing_is_none() {
        assert_eq!(resolve(r#"{"defaultAction":""}"#, &[], Kernel(6, 1)), Ok(None));
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(Kernel::running("6.18.44-fc-v657"), Kernel(6, 18));
        assert!(Kernel::running("4.10") > Kernel(4, 8) && Kernel::running("rubbish") == Kernel(0, 0));
        assert_eq!(Kernel::required("0.0"), None);
    }
}
