//! What of the specification is built. Everything else is refused by the name it has in `config.json`.

use std::fs;

use oci_spec::runtime::{Linux, LinuxNamespaceType, LinuxResources, Process, Spec};

use crate::Error;

/// Refuses a specification that asks for something this runtime would otherwise ignore.
pub(crate) fn check(spec: &Spec) -> Result<(), Error> {
    let refused = [
        ("solaris", spec.solaris().is_some()),
        ("windows", spec.windows().is_some()),
        ("vm", spec.vm().is_some()),
        ("zos", spec.zos().is_some()),
    ];
    refuse(&refused)?;
    check_process(required("process", spec.process().as_ref())?)?;
    check_linux(required("linux", spec.linux().as_ref())?)
}

pub(crate) fn check_process(process: &Process) -> Result<(), Error> {
    let given = |text: &Option<String>| text.as_ref().is_some_and(|t| !t.is_empty());
    let apparmor =
        || fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|t| t.starts_with('Y'));
    refuse(&[
        (
            "process.apparmorProfile (this kernel has no AppArmor)",
            given(process.apparmor_profile()) && !apparmor(),
        ),
        (
            "process.selinuxLabel (this kernel has no SELinux)",
            given(process.selinux_label()) && !has_selinux(),
        ),
        ("process.commandLine", given(process.command_line())),
    ])
}

fn has_selinux() -> bool {
    fs::exists("/sys/fs/selinux/enforce").unwrap_or(false)
}

fn check_linux(linux: &Linux) -> Result<(), Error> {
    refuse(&[
        ("linux.mountLabel", linux.mount_label().as_ref().is_some_and(|l| !l.is_empty())),
        ("linux.intelRdt", linux.intel_rdt().is_some()),
    ])?;
    for namespace in linux.namespaces().iter().flatten() {
        let joined = namespace.path().as_ref().is_some_and(|path| !path.as_os_str().is_empty());
        match namespace.typ() {
            LinuxNamespaceType::Mount if joined => return unsupported("linux.namespaces: mount with a path"),
            _ => {}
        }
    }
    linux.resources().as_ref().map_or(Ok(()), check_resources)
}

fn check_resources(resources: &LinuxResources) -> Result<(), Error> {
    let memory = resources.memory().as_ref();
    refuse(&[
        ("linux.resources.memory.kernel", memory.is_some_and(|m| m.kernel().is_some_and(|v| v != 0))),
        ("linux.resources.memory.kernelTCP", memory.is_some_and(|m| m.kernel_tcp().is_some_and(|v| v != 0))),
    ])
}

fn refuse(fields: &[(&str, bool)]) -> Result<(), Error> {
    match fields.iter().find(|(_, asked)| *asked) {
        Some((name, _)) => unsupported(name),
        None => Ok(()),
    }
}

fn unsupported(name: &str) -> Result<(), Error> {
    Err(Error::Unsupported(name.to_owned()))
}

pub(crate) fn required<'a, T>(field: &'static str, value: Option<&'a T>) -> Result<&'a T, Error> {
    value.ok_or_else(|| Error::Invalid { field, why: "is missing".into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        let spec: Spec = serde_json::from_str(text).unwrap();
        check(&spec).unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_built_is_refused_by_its_name() {
        let with = |linux: &str| format!(r#"{{"process":{{"user":{{}},"cwd":"/"}},"linux":{linux}}}"#);
        assert_eq!(refusal(&with(r#"{"intelRdt":{"closID":"x"}}"#)), "linux.intelRdt is not supported");
        assert_eq!(
            refusal(&with(r#"{"resources":{"memory":{"kernel":1}}}"#)),
            "linux.resources.memory.kernel is not supported"
        );
        assert_eq!(refusal(r#"{"linux":{}}"#), "the specification's process is missing");
    }
}
