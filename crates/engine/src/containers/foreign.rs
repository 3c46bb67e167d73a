//! Containers whose processes another OCI runtime makes: `--runtime`.

use std::path::PathBuf;

use super::config::HostConfig;
use super::mounts::Point;
use super::{Shared, spec};
use crate::Error;
use crate::settings::{BUILT_IN_RUNTIME, CgroupDriver, Live, Runtime};

/// Whether the name is one that there is.
pub(super) fn check(name: &str, live: &Live) -> Result<(), Error> {
    find(name, live).map(drop)
}

/// The other runtime calls mounts its own in a namespace where nothing gets out of: a mount that the container makes can't show
/// up on the host.
pub(super) fn check_mounts(host: &HostConfig, points: &[Point]) -> Result<(), Error> {
    let shared = points.iter().find(|point| matches!(point.propagation.as_str(), "shared" | "rshared"));
    match shared.filter(|_| is_foreign(&host.runtime)) {
        Some(point) => Err(Error::Unsupported {
            feature: format!(
                "propagation {} of {} with runtime {}",
                point.propagation, point.destination, host.runtime
            ),
            instead: None,
        }),
        None => Ok(()),
    }
}

/// How a shim calls it; nothing for ours. The profile, which ours gets compiled, goes into the specification.
pub(super) fn of(
    shared: &Shared,
    host: &HostConfig,
    spec: &mut oci_spec::runtime::Spec,
) -> Result<Option<shim::ForeignRuntime>, Error> {
    let Some(runtime) = find(&host.runtime, &shared.live.load())? else { return Ok(None) };
    spec::add_profile(spec, host, &shared.filters)?;
    Ok(Some(shim::ForeignRuntime {
        program: on_path(&runtime.path),
        arguments: runtime.arguments,
        systemd: shared.settings.cgroup_driver == CgroupDriver::Systemd,
    }))
}

/// A shim has no environment to look a bare name up in.
fn on_path(program: &str) -> PathBuf {
    let folders = std::env::var_os("PATH").filter(|_| !program.contains('/')).unwrap_or_default();
    let mut candidates = std::env::split_paths(&folders).map(|folder| folder.join(program));
    candidates.find(|candidate| candidate.is_file()).unwrap_or_else(|| program.into())
}

pub(super) fn is_foreign(name: &str) -> bool {
    !name.is_empty() && name != BUILT_IN_RUNTIME
}

fn find(name: &str, live: &Live) -> Result<Option<Runtime>, Error> {
    if !is_foreign(name) {
        return Ok(None);
    }
    let unknown = || Error::Invalid(format!("unknown or invalid runtime name: {name}"));
    live.runtimes.get(name).cloned().map(Some).ok_or_else(unknown)
}
