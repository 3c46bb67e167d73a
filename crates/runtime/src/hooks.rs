//! Hooks: programs of the host's (or, at `startContainer`, of the container's) that are told the container's state.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use oci_spec::runtime::{Hook, Spec};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::Serialize;

use crate::Error;
use crate::error::Doing;

/// So much of what a failed hook wrote is told.
const MAX_COMPLAINT: u64 = 4096;

/// What a hook reads on its standard input: the state of the specification.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HookState<'a> {
    pub oci_version: &'a str,
    pub id: &'a str,
    pub status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    pub bundle: &'a Path,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<&'a std::collections::HashMap<String, String>>,
}

impl<'a> HookState<'a> {
    pub fn of(spec: &'a Spec, id: &'a str, bundle: &'a Path, status: &'static str, pid: Option<i32>) -> Self {
        let annotations = spec.annotations().as_ref();
        Self { oci_version: spec.version(), id, status, pid, bundle, annotations }
    }
}

/// Runs the hooks of one stage in order; the first that fails ends it.
pub fn run_hooks(stage: &str, hooks: &[Hook], state: &HookState<'_>) -> Result<(), Error> {
    if hooks.is_empty() {
        return Ok(());
    }
    let text = serde_json::to_vec(state).map_err(std::io::Error::from).doing("write the state down")?;
    hooks.iter().try_for_each(|hook| {
        let doing = format!("run the {stage} hook {}", hook.path().display());
        run(hook, &text).doing(&doing)
    })
}

fn run(hook: &Hook, state: &[u8]) -> std::io::Result<()> {
    // Files in memory, not pipes: a hook that neither reads nor ends its writing can't hold us up.
    let mut input = File::from(memfd_create("ketch-hook", MemfdFlags::CLOEXEC)?);
    input.write_all(state)?;
    input.rewind()?;
    let mut complaint = File::from(memfd_create("ketch-hook", MemfdFlags::CLOEXEC)?);
    let mut command = Command::new(hook.path());
    if let Some((name, rest)) = hook.args().as_deref().and_then(<[String]>::split_first) {
        command.arg0(name).args(rest);
    }
    command.env_clear();
    let variables = hook.env().iter().flatten().filter_map(|variable| variable.split_once('='));
    command.envs(variables).stdin(input).stdout(Stdio::null()).stderr(complaint.try_clone()?);
    let mut child = command.spawn()?;
    if !ended_within(&child, hook.timeout())? {
        child.kill()?;
        child.wait()?;
        return Err(std::io::ErrorKind::TimedOut.into());
    }
    let status = child.wait()?;
    if status.success() {
        return Ok(());
    }
    complaint.rewind()?;
    let mut said = Vec::new();
    complaint.take(MAX_COMPLAINT).read_to_end(&mut said)?;
    let said = String::from_utf8_lossy(&said);
    Err(std::io::Error::other(format!("{status}: {}", diag::printable(said.trim()))))
}

fn ended_within(child: &Child, seconds: Option<i64>) -> std::io::Result<bool> {
    let Some(seconds) = seconds.and_then(|s| u64::try_from(s).ok()).filter(|s| *s > 0) else {
        return Ok(true);
    };
    let pid = Pid::from_raw(child.id() as i32).ok_or(std::io::ErrorKind::NotFound)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let timeout = Timespec::try_from(Duration::from_secs(seconds)).ok();
    Ok(poll(&mut [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)], timeout.as_ref())? > 0)
}
