//! Directories between machines: fsutil's protocol, by which BuildKit's clients send a build what it reads and get what it
//! made ([`packet`]), and both its ends.
//!
//! Fifty thousand files are fifty thousand packets that say that nothing changed, so this crate is compiled for speed and
//! holds nothing else.

mod error;
mod order;
pub mod packet;
mod receive;
mod send;

pub use error::{called, failed};
pub use receive::{receive, replay};
pub use send::{Afterwards, send};

/// The longest path, as the kernel has it.
const MAX_PATH: usize = 4096;
/// The largest packet: a stat with all its extended attributes.
const MAX_PACKET: usize = 4 << 20;
/// The most files in one directory tree. Numbers are 32 bits.
const MAX_ENTRIES: u32 = 20_000_000;
