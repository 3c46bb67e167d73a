//! What of the specification is built. Everything else is refused by the name it has in `config.json`.

use oci_spec::runtime::{Linux, LinuxNamespaceType, LinuxResources, Process, Spec};

use crate::Error;

/// Refuses a specification that asks for something this runtime would otherwise ignore.
pub(crate) fn check(spec: &Spec) -> Result<(), Error> {
    let refused = [
        ("hooks", spec.hooks().is_some()),
        ("solaris", spec.solaris().is_some()),
        ("windows", spec.windows().is_some()),
        ("vm", spec.vm().is_some()),
        ("zos", spec.zos().is_some()),
    ];
    refuse(&refused)?;
    check_process(required("process", spec.process().as_ref())?)?;
    check_linux(required("linux", spec.linux().as_ref())?)
}

fn check_process(process: &Process) -> Result<(), Error> {
    let given = |text: &Option<String>| text.as_ref().is_some_and(|t| !t.is_empty());
    refuse(&[
        ("process.apparmorProfile", given(process.apparmor_profile())),
        ("process.selinuxLabel", given(process.selinux_label())),
        ("process.ioPriority", process.io_priority().is_some()),
        ("process.scheduler", process.scheduler().is_some()),
        ("process.execCPUAffinity", process.exec_cpu_affinity().is_some()),
        ("process.commandLine", given(process.command_line())),
    ])
}

fn check_linux(linux: &Linux) -> Result<(), Error> {
    refuse(&[
        ("linux.uidMappings", linux.uid_mappings().as_ref().is_some_and(|m| !m.is_empty())),
        ("linux.gidMappings", linux.gid_mappings().as_ref().is_some_and(|m| !m.is_empty())),
        ("linux.netDevices", linux.net_devices().as_ref().is_some_and(|m| !m.is_empty())),
        ("linux.mountLabel", linux.mount_label().as_ref().is_some_and(|l| !l.is_empty())),
        ("linux.intelRdt", linux.intel_rdt().is_some()),
        ("linux.memoryPolicy", linux.memory_policy().is_some()),
        ("linux.personality", linux.personality().is_some()),
        ("linux.timeOffsets", linux.time_offsets().as_ref().is_some_and(|m| !m.is_empty())),
    ])?;
    for namespace in linux.namespaces().iter().flatten() {
        let joined = namespace.path().is_some();
        match namespace.typ() {
            LinuxNamespaceType::User => return Err(Error::Unsupported("linux.namespaces: user".into())),
            LinuxNamespaceType::Time => return Err(Error::Unsupported("linux.namespaces: time".into())),
            LinuxNamespaceType::Mount if joined => return unsupported("linux.namespaces: mount with a path"),
            _ => {}
        }
    }
    linux.resources().as_ref().map_or(Ok(()), check_resources)
}

fn check_resources(resources: &LinuxResources) -> Result<(), Error> {
    let memory = resources.memory().as_ref();
    let cpu = resources.cpu().as_ref();
    let block = resources.block_io().as_ref();
    refuse(&[
        ("linux.resources.memory.kernel", memory.is_some_and(|m| m.kernel().is_some())),
        ("linux.resources.memory.kernelTCP", memory.is_some_and(|m| m.kernel_tcp().is_some())),
        (
            "linux.resources.memory.checkBeforeUpdate",
            memory.is_some_and(|m| m.check_before_update() == Some(true)),
        ),
        (
            "linux.resources.cpu.realtimeRuntime",
            cpu.is_some_and(|c| c.realtime_runtime().is_some_and(|v| v != 0)),
        ),
        (
            "linux.resources.cpu.realtimePeriod",
            cpu.is_some_and(|c| c.realtime_period().is_some_and(|v| v != 0)),
        ),
        ("linux.resources.cpu.burst", cpu.is_some_and(|c| c.burst().is_some_and(|v| v != 0))),
        ("linux.resources.cpu.idle", cpu.is_some_and(|c| c.idle().is_some_and(|v| v != 0))),
        ("linux.resources.blockIO", block.is_some_and(|b| *b != Default::default())),
        (
            "linux.resources.hugepageLimits",
            resources.hugepage_limits().as_ref().is_some_and(|l| !l.is_empty()),
        ),
        ("linux.resources.network", resources.network().as_ref().is_some_and(|n| *n != Default::default())),
        ("linux.resources.rdma", resources.rdma().as_ref().is_some_and(|r| !r.is_empty())),
        ("linux.resources.unified", resources.unified().as_ref().is_some_and(|u| !u.is_empty())),
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

fn required<'a, T>(field: &'static str, value: Option<&'a T>) -> Result<&'a T, Error> {
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
        assert_eq!(
            refusal(&with(r#"{"timeOffsets":{"boottime":{"secs":1}}}"#)),
            "linux.timeOffsets is not supported"
        );
        assert_eq!(
            refusal(&with(r#"{"namespaces":[{"type":"user"}]}"#)),
            "linux.namespaces: user is not supported"
        );
        assert_eq!(
            refusal(&with(r#"{"resources":{"unified":{"memory.high":"1"}}}"#)),
            "linux.resources.unified is not supported"
        );
        assert_eq!(refusal(r#"{"linux":{}}"#), "the specification's process is missing");
    }
}
