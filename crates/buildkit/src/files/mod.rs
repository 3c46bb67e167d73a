//! Directories between machines: the two ends of fsutil's protocol (see [`crate::packet`]).

mod order;
mod receive;
mod send;

pub use receive::{receive, replay};
pub use send::{Afterwards, send};

/// The longest path, as the kernel has it.
const MAX_PATH: usize = 4096;
/// The largest packet: a stat with all its extended attributes.
const MAX_PACKET: usize = 4 << 20;
/// The most files in one directory tree. Numbers are 32 bits.
const MAX_ENTRIES: u32 = 20_000_000;
