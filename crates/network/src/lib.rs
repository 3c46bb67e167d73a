//! Networks as the kernel has them: bridges, cables into containers, addresses, routes, and what may go where.
//!
//! Everything here blocks for microseconds and talks netlink; nothing here knows what a container is, or keeps a record.

mod doors;
mod error;
pub mod firewall;
mod interior;
mod links;
mod listeners;
pub mod pools;
mod resolver;
mod subnet;
mod sysctl;

pub use doors::{Door, speaks_ipv6};
pub use error::Error;
pub use interior::{Cable, Interior, Way};
pub use links::{Address, Bridge, Links, Split};
pub use listeners::{Listener, accepted, listeners};
pub use resolver::{RESOLVER, ResolverSockets};
pub use subnet::{Subnet, SubnetError};
