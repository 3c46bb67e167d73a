//! The per-container process and its protocol.
//!
//! A shim is the parent of one container's process 1. It holds the pipes or the terminal, writes the log, reaps process
//! 1 and puts the exit on disk, so that an engine may end, be killed or be replaced while containers run.
//!
//! ```text
//! <run dir>/shim.sock           where later engines connect (0600)
//! <container dir>/exit.json     how process 1 ended: written, synced and renamed before anybody is told
//! <container dir>/<log file>    in Docker's formats, rotated
//! ```
//!
//! The engine's side is [`launch`], [`connect`] and the frames of [`protocol`]; [`main`] is the shim itself: one
//! thread, one `poll` loop, no allocation that grows with what a container writes.

mod config;
mod connection;
mod error;
mod exit;
mod foreign;
mod launch;
mod log;
mod outbox;
pub mod protocol;
mod relay;
mod serve;
mod start;
mod streams;
mod task;

pub use config::{
    Carries, ForeignRuntime, Forward, Language, Launch, LogConfig, LogFile, LogFormat, Packing, Relay,
    Server, Stdin, SyslogFormat, WhenFull,
};
pub use error::Error;
pub use exit::{forget_exit, read_exit};
pub use launch::{Launched, Launcher, MAX_RELAYS, borrow_doors, borrow_kept, connect, launch, program};
pub use log::decode_json;
pub use start::main;
