//! `system service`: the engine of this machine, whether it runs and how to end it.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use client::resolve::process_env;

use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::ui;

/// How long an engine may take to end: its containers live on, so it has only itself to put away.
const PATIENCE: Timespec = Timespec { tv_sec: 30, tv_nsec: 0 };

/// `system service status`.
pub(crate) fn status(call: &Call) -> Outcome {
    let socket = client::default_socket(&process_env);
    let Some((pid, _)) = running()? else {
        ui::out(&format!("{}: the engine is not running\n", call.program))?;
        return Ok(3);
    };
    ui::out(&format!(
        "{}: the engine is running\n pid:    {}\n socket: unix://{}\n",
        call.program,
        pid.as_raw_pid(),
        socket.display()
    ))?;
    Ok(0)
}

/// `system service stop`.
pub(crate) fn stop(call: &Call) -> Outcome {
    let Some((pid, process)) = running()? else {
        ui::err(&format!("{}: the engine is not running", call.program));
        return Ok(0);
    };
    pidfd_send_signal(&process, Signal::TERM).map_err(|e| Error::Io("stop the engine", e.into()))?;
    let mut wait = [PollFd::new(&process, PollFlags::IN)];
    let ended = poll(&mut wait, Some(&PATIENCE)).map_err(|e| Error::Io("wait for the engine", e.into()))?;
    if ended == 0 {
        return Err(Error::Usage(format!(
            "the engine (pid {}) did not end in {} seconds",
            pid.as_raw_pid(),
            PATIENCE.tv_sec
        )));
    }
    Ok(0)
}

/// The engine that the pid file names, held by a descriptor: its number can't become another process' meanwhile.
fn running() -> Result<Option<(Pid, OwnedFd)>, Error> {
    let path = client::pid_file(&process_env);
    let Some(text) = client::files::read(&path)? else { return Ok(None) };
    let number = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok());
    let Some(pid) = number.and_then(Pid::from_raw) else { return Ok(None) };
    let process = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(process) => process,
        Err(rustix::io::Errno::SRCH | rustix::io::Errno::INVAL) => return Ok(None),
        Err(e) => return Err(Error::Io("look at the engine", e.into())),
    };
    Ok(is_engine(pid).then_some((pid, process)))
}

/// A pid file outlives a crash; whatever has the number now is left alone unless it is an engine.
fn is_engine(pid: Pid) -> bool {
    let line = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_pid())).unwrap_or_default();
    let mut words = line.split(|byte| *byte == 0);
    let program = words.next().unwrap_or_default();
    program.ends_with(b"dockerd") || words.next() == Some(b"daemon")
}
