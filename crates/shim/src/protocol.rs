//! What the engine and a container's shim say to each other.
//!
//! ```text
//! engine ── launch (socketpair: the first connection) ──► shim
//!        ◄─ Created { pid }                                namespaces and process 1 exist, the program does not run yet
//!        ── Attach … ──►                                   each attached client is a connection of its own
//!        ── Start ──►
//!        ◄─ Started                                        `execve` succeeded
//!        ── Signal, Resize, Status … ──►
//!        ◄─ Exited { … }                                   after exit.json is on disk
//! ```
//!
//! Each frame is a big-endian `u32` length and that many bytes of JSON, at most [`MAX_FRAME`]. A later engine connects
//! to `shim.sock` in the container's run directory and is first sent a [`FromShim::Hello`] with the present state. A
//! connection whose first message is [`ToShim::Attach`] becomes a byte stream after its `Attached`: towards the engine
//! Docker's multiplexed frames (or raw bytes with a terminal), towards the shim raw standard input.

use serde::{Deserialize, Serialize};

/// No message is larger; a peer that announces more is hung up on.
pub const MAX_FRAME: usize = 64 * 1024;

/// From the engine. Anything out of turn is answered with [`FromShim::Refused`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToShim {
    /// Let the created process run the container's program.
    Start,
    /// Send a signal to process 1.
    Signal { signal: i32 },
    /// Change the terminal's size.
    Resize { rows: u16, columns: u16 },
    /// Turn this connection into the container's standard streams.
    Attach { stdin: bool, stdout: bool, stderr: bool },
    /// Ask for a [`FromShim::Hello`].
    Status,
    /// The engine has read the exit; the shim may leave.
    Release,
}

/// From the shim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromShim {
    /// Greeting to every connection but the first, and the answer to `Status`.
    Hello { id: String, state: ShimState },
    Created { pid: i32 },
    Started,
    /// This connection carries streams from here on.
    Attached,
    Exited(Exit),
    /// The container could not be made or started; `step` names what was being done. The shim ends itself.
    Failed { step: String, message: String, kind: FailureKind },
    /// The request made no sense now.
    Refused { message: String },
}

/// Where the container is in its life, as its shim knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ShimState {
    Created { pid: i32 },
    Running { pid: i32 },
    Exited(Exit),
}

/// How process 1 ended. The same document is `exit.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The exit code, or 128 + the signal's number.
    pub code: i32,
    pub signal: Option<i32>,
    pub oom_killed: bool,
    /// Nanoseconds since the epoch.
    pub at: u64,
}

/// Decides docker's exit code for a failed start: 127, 126 or 125/128.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The program doesn't exist in the image.
    NotFound,
    /// It exists and can't be executed.
    NotExecutable,
    /// Anything else: ours or the kernel's.
    Setup,
}
