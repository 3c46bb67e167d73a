//! The Docker Engine API over HTTP: routes, versions, streams. It knows HTTP and nothing of namespaces.
//!
//! Every request goes the same way: `serving` bounds the connection, [`serve`] takes the request, [`version`] takes the version off the path,
//! [`routes`] finds the entry, the entry's handler asks the engine, and the reply is shaped for the version asked for.

mod body;
mod build;
mod builder;
mod call;
mod containers;
mod error;
mod hijack;
mod images;
mod networks;
mod reply;
mod routes;
mod serve;
mod swarm;
mod system;
mod time;
mod version;
mod volumes;
mod websocket;

pub use routes::dump as dump_routes;
pub use serve::Api;
pub use version::{ApiVersion, MAXIMUM, MINIMUM};
