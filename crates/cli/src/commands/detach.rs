//! Between a client that needs an engine and that engine: a session of its own, so that no terminal ends it.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::error::{Error, Outcome};

/// Becomes `ketch daemon`, the leader of a new session.
pub(crate) fn exec_engine() -> Outcome {
    rustix::process::setsid().map_err(|e| Error::Io("start a session", e.into()))?;
    let program = std::env::current_exe().map_err(|e| Error::Io("find this program", e))?;
    let pid_file = client::pid_file(&client::resolve::process_env);
    let mut command = Command::new(program);
    command.arg0("ketch").arg("daemon").arg("--pidfile").arg(pid_file);
    Err(Error::Io("start the engine", command.exec()))
}
