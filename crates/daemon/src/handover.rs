//! Upgrading without a refused connection: the engine becomes its successor by `execve`.
//!
//! The listening sockets and the lock on the data root stay open across it, and the process keeps its pid, so that
//! systemd, the pid file and the shims' parent stay what they are. Clients that connect in between wait in the
//! sockets' queues. What the successor must know comes in one environment variable:
//!
//! ```text
//! KETCH_HANDOVER={"lock":7,"sockets":[["unix:///run/ketch/ketch.sock",8]]}
//! ```

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::io::{FdFlags, fcntl_setfd};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::listen::Listener;

const VARIABLE: &str = "KETCH_HANDOVER";

#[derive(Debug, Serialize, Deserialize)]
struct Message {
    lock: i32,
    sockets: Vec<(String, i32)>,
}

/// What the engine that this process was a moment ago left open.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    pub(crate) lock: Option<OwnedFd>,
    pub(crate) sockets: Vec<(String, OwnedFd)>,
}

/// Takes over what is there to be taken over.
pub(crate) fn inherit() -> Result<Inherited, Error> {
    let Ok(text) = std::env::var(VARIABLE) else { return Ok(Inherited::default()) };
    let failed = |source| Error::System { doing: "take over the sockets of the engine before", source };
    let message: Message = serde_json::from_str(&text).map_err(|error| failed(error.into()))?;
    let sockets = message.sockets.into_iter().map(|(host, fd)| Ok((host, sys::inherited(fd)?)));
    Ok(Inherited {
        lock: Some(sys::inherited(message.lock).map_err(failed)?),
        sockets: sockets.collect::<Result<_, _>>().map_err(failed)?,
    })
}

/// Asks the successor whether it would start with these arguments. After `execve` it would be too late.
pub(crate) fn check(executable: &Path, arguments: &[std::ffi::OsString]) -> Result<(), Error> {
    let output = Command::new(executable).arg("daemon").args(arguments).arg("--validate").output();
    let refused = |message: String| Error::Replacement { path: executable.to_owned(), message };
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(refused(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        Err(error) => Err(refused(error.to_string())),
    }
}

/// Becomes the successor. Returns only when that failed; then everything is as before.
pub(crate) fn become_successor(
    executable: &Path,
    arguments: &[std::ffi::OsString],
    lock: BorrowedFd<'_>,
    listeners: &[Listener],
) -> Error {
    let failed = |source| Error::System { doing: "become the new executable", source };
    let sockets = listeners.iter().map(|listener| (listener.host.clone(), listener.fd().as_raw_fd()));
    let message = Message { lock: lock.as_raw_fd(), sockets: sockets.collect() };
    let text = match serde_json::to_string(&message) {
        Ok(text) => text,
        Err(error) => return failed(error.into()),
    };
    let descriptors = || listeners.iter().map(Listener::fd).chain([lock]);
    let set = |flags| descriptors().try_for_each(|fd| fcntl_setfd(fd, flags));
    if let Err(errno) = set(FdFlags::empty()) {
        return failed(errno.into());
    }
    let error = Command::new(executable).arg("daemon").args(arguments).env(VARIABLE, text).exec();
    let _ = set(FdFlags::CLOEXEC);
    failed(error)
}
