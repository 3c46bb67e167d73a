//! Networks as the kernel has them: bridges, cables into containers, addresses, routes, and what may go where.
//!
//! Everything here blocks for microseconds and talks netlink; nothing here knows what a container is, or keeps a record.

mod error;
pub mod firewall;
mod interior;
mod links;
pub mod pools;
mod sysctl;

pub use error::Error;
pub use interior::{Cable, Interior};
pub use links::{Address, Bridge, Links};
