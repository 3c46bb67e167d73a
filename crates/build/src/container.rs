//! A container in which a frontend, or a person behind it, runs programs: over what was built, outside of every step.
//!
//! What programs write there goes with it. The first program is process 1: when it ends, so do those that joined it.

use std::sync::Arc;

use tokio::io::AsyncWrite;
use tokio::sync::mpsc;

use crate::Job;
use crate::frontend::{Files, Ref};
use crate::graph::{Exec, SecretEnv, Security};
use crate::progress::Stream;

/// What a container is to be.
#[derive(Debug, Clone)]
pub struct Room {
    /// The step that it is like: its mounts, network, name and hosts. What it runs, each program says.
    pub like: Exec,
    /// What the mounts' inputs are.
    pub inputs: Vec<Ref>,
}

/// A program that is to run in one.
#[derive(Debug, Clone, Default)]
pub struct Program {
    pub args: Vec<String>,
    pub env: Vec<String>,
    pub cwd: String,
    pub user: String,
    pub security: Security,
    pub secret_env: Vec<SecretEnv>,
    /// With a terminal, through which all that it says comes as one.
    pub terminal: bool,
    /// Whether somebody speaks to it.
    pub input: bool,
}

/// A container, until it is dropped.
pub trait Container: Send + Sync {
    /// Runs a program.
    fn start<'a>(&'a self, program: Program) -> Job<'a, Process>;

    /// What is at a mount now, in the order of [`Exec::mounts`].
    fn files<'a>(&'a self, mount: usize) -> Job<'a, Arc<dyn Files>>;
}

/// A program that runs. Dropped, it is killed.
pub struct Process {
    /// Where it reads from; shut down, it reads to the end.
    pub input: Box<dyn AsyncWrite + Send + Unpin>,
    /// What it writes, until its last word.
    pub output: mpsc::Receiver<(Stream, Vec<u8>)>,
    pub orders: mpsc::Sender<Order>,
    /// Its exit code.
    pub ended: Job<'static, i32>,
}

/// What a program that runs can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Signal(i32),
    Resize { rows: u16, columns: u16 },
}
