//! `linux.seccomp.listenerPath`: whoever listens there is given the descriptor on which the filter's questions arrive.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use oci_spec::runtime::Linux;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use serde_json::json;

use crate::Error;
use crate::error::Doing;
use crate::hooks::HookState;

/// The listener's socket, reached before there is a container: its path is one of the host's.
pub(crate) struct Listener {
    socket: OwnedFd,
    state: serde_json::Value,
    metadata: Option<String>,
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Listener {
    pub(crate) fn of(linux: &Linux, state: &HookState<'_>) -> Result<Option<Self>, Error> {
        let Some(profile) = linux.seccomp() else { return Ok(None) };
        let Some(path) = profile.listener_path() else { return Ok(None) };
        let doing = format!("connect to the seccomp listener {}", path.display());
        let socket =
            socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).doing(&doing)?;
        let address = SocketAddrUnix::new(path).doing(&doing)?;
        connect(&socket, &address).doing(&doing)?;
        let state =
            serde_json::to_value(state).map_err(std::io::Error::from).doing("write the state down")?;
        Ok(Some(Self { socket, state, metadata: profile.listener_metadata().clone() }))
    }

    /// Hands the descriptor over, with the state of the container whose process `pid` it is about.
    pub(crate) fn tell(&self, questions: &OwnedFd, pid: i32) -> Result<(), Error> {
        let mut state = self.state.clone();
        state["pid"] = pid.into();
        let mut message = json!({
            "ociVersion": state["ociVersion"], "fds": ["seccompFd"], "pid": pid, "state": state,
        });
        if let Some(metadata) = &self.metadata {
            message["metadata"] = metadata.as_str().into();
        }
        let text = message.to_string();
        sys::send_with_fd(&self.socket, text.as_bytes(), Some(questions.as_fd()))
            .doing("hand the seccomp listener its descriptor")
            .map(drop)
    }
}
