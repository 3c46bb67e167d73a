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
//! Docker's multiplexed frames (or raw bytes with a terminal), towards the shim raw standard input, whose end is the
//! closing of that direction. It gets what is written from then on; what came before is in the log.
//!
//! Descriptors that came with the launch are kept until process 1 has ended, and lent to whoever asks: what is open in a
//! container's network has to outlive the engine.
//!
//! `Rotated` comes at any time. `Signal`, `Resize` and `Release` have no answer but a `Refused`. `Exited` goes to every connection that is no stream,
//! after everything that the container wrote is in the log and in the streams. Then the shim waits for a `Release`, or
//! until nobody is connected, and ends; a container that could not be created or started has no exit, and its shim ends
//! after `Failed`.

use std::io::{self, Read, Write};

use oci_spec::runtime::{LinuxResources, Process};
use serde::{Deserialize, Serialize};

use crate::Stdin;

/// No message is larger; a peer that announces more is hung up on. Room for all arguments and variables that the kernel
/// takes with one `execve`.
pub const MAX_FRAME: usize = 4 << 20;

/// From the engine. Anything out of turn is answered with [`FromShim::Refused`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToShim {
    /// Let the created process run the container's program.
    Start,
    /// Send a signal to process 1.
    Signal { signal: i32 },
    /// Change the terminal's size.
    Resize { rows: u16, columns: u16 },
    /// Change the terminal's size of a process that joined the container. Answered with a [`FromShim::Hello`].
    ResizeExec { exec: String, rows: u16, columns: u16 },
    /// Turn this connection into the standard streams of the container, or of the process that joined it under this name.
    Attach {
        #[serde(default)]
        exec: Option<String>,
        stdin: bool,
        stdout: bool,
        stderr: bool,
    },
    /// Hold all processes of the container still, or let them go on. Answered with a [`FromShim::Hello`].
    Freeze { frozen: bool },
    /// Change the container's limits. Answered with a [`FromShim::Hello`].
    #[serde(skip_deserializing)]
    Limit(Box<LinuxResources>),
    /// Ask for all processes of the container, as [`FromShim::Processes`].
    Processes,
    /// Make a process that joins the running container, and let this connection be about it: `Created` or `Failed`, then
    /// `Start`, `Signal`, `Resize`, and `Exited`.
    #[serde(skip_deserializing)]
    Join(Box<Guest>),
    /// Let clients in by the sockets of published ports, or leave them in the kernel's queue for another shim that has the
    /// same sockets. Answered with a [`FromShim::Hello`].
    Doors { open: bool },
    /// Ask for one of the descriptors that the shim keeps, or, counted on behind those, of the sockets of published ports. Answered with a [`FromShim::Lent`] that it travels with.
    Lend { which: u32 },
    /// Ask for a [`FromShim::Hello`].
    Status,
    /// The engine has read the exit; the shim may leave.
    Release,
}

/// A process that joins a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Guest {
    /// What to attach to it by.
    pub id: String,
    pub process: Process,
    pub stdin: Stdin,
}

/// From the shim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromShim {
    /// Greeting to every connection but the first, and the answer to `Status`.
    Hello {
        id: String,
        state: ShimState,
        /// Whether its processes are held still.
        #[serde(default)]
        frozen: bool,
        /// How many descriptors it keeps.
        #[serde(default)]
        kept: u32,
    },
    Lent,
    Created {
        pid: i32,
    },
    Processes {
        pids: Vec<i32>,
    },
    Started,
    /// This connection carries streams from here on.
    Attached,
    Exited(Exit),
    /// The container's log has begun a new file: all logs together may be more than they should.
    Rotated,
    /// The container could not be made or started; `step` names what was being done. The shim ends itself.
    Failed {
        step: String,
        message: String,
        kind: FailureKind,
    },
    /// The request made no sense now.
    Refused {
        message: String,
    },
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

/// What one of the two can be told.
pub trait Message: Sized {
    /// Reads a frame's JSON.
    fn read(body: &[u8]) -> serde_json::Result<Self>;
}

impl Message for ToShim {
    /// What is a part of specifications is read as in those: serde's tagged enums have a reader of their own, which such
    /// large types would be compiled for once more.
    fn read(body: &[u8]) -> serde_json::Result<Self> {
        #[derive(Deserialize)]
        struct Tagged {
            r#type: String,
        }
        let tagged: Tagged = serde_json::from_slice(body)?;
        match tagged.r#type.as_str() {
            "limit" => Ok(Self::Limit(serde_json::from_slice(body)?)),
            "join" => Ok(Self::Join(serde_json::from_slice(body)?)),
            _ => serde_json::from_slice(body),
        }
    }
}

impl Message for FromShim {
    fn read(body: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(body)
    }
}

/// One message as it goes over the wire.
pub fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let length = frame.len() - 4;
    if length > MAX_FRAME {
        return Err(invalid("a message to send is too long"));
    }
    frame[..4].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(frame)
}

/// The first message in what was received so far and the number of bytes it took; nothing while it is incomplete.
pub fn decode<T: Message>(received: &[u8]) -> io::Result<Option<(T, usize)>> {
    let Some((length, rest)) = received.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if length > MAX_FRAME {
        return Err(invalid("the peer announced a message that is too long"));
    }
    let Some(body) = rest.get(..length) else { return Ok(None) };
    Ok(Some((T::read(body)?, 4 + length)))
}

/// Writes one message to a blocking stream.
pub fn send(mut stream: impl Write, message: &impl Serialize) -> io::Result<()> {
    stream.write_all(&encode(message)?)
}

/// Reads exactly one message from a blocking stream and nothing beyond it, since streams may follow.
pub fn receive<T: Message>(mut stream: impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_FRAME {
        return Err(invalid("the peer announced a message that is too long"));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(T::read(&body)?)
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_complete_only_with_its_last_byte() {
        let frame = encode(&ToShim::Resize { rows: 24, columns: 80 }).unwrap();
        for cut in 0..frame.len() {
            assert_eq!(decode::<ToShim>(&frame[..cut]).unwrap(), None);
        }
        let (message, used) = decode::<ToShim>(&[&frame[..], b"rest"].concat()).unwrap().unwrap();
        assert_eq!((message, used), (ToShim::Resize { rows: 24, columns: 80 }, frame.len()));
    }

    #[test]
    fn what_is_part_of_a_specification_comes_as_it_went() {
        let limits = serde_json::from_str(r#"{"memory": {"limit": 7}, "pids": {"limit": 8}}"#).unwrap();
        let process = serde_json::from_str(r#"{"cwd": "/", "user": {"uid": 1, "gid": 2}}"#).unwrap();
        let guest = Guest { id: "a".into(), process, stdin: Stdin::Open };
        for message in [ToShim::Limit(limits), ToShim::Join(Box::new(guest)), ToShim::Start] {
            let frame = encode(&message).unwrap();
            assert_eq!(receive::<ToShim>(&frame[..]).unwrap(), message);
        }
    }

    #[test]
    fn a_message_that_is_announced_as_huge_is_refused_before_it_is_read() {
        assert!(decode::<ToShim>(&[0, 0x40, 0, 1]).is_err());
        assert!(receive::<ToShim>(&[0xff, 0xff, 0xff, 0xff][..]).is_err());
    }
}
