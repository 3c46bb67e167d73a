//! The end-to-end harness: every test has an engine of its own, and can be pointed at a real dockerd instead.
//!
//! - [`Engine::isolated`] starts the built binary with everything below one scratch directory and, when dropped, looks
//!   for processes, mounts, interfaces, cgroups and files that were left, also after a failed test.
//! - `KETCH_TEST_DOCKER_HOST=unix://…` makes the same tests run against that dockerd, which proves the tests.
//! - Every answer that [`Engine::request`] gets is compared with what dockerd answered on that route in that version:
//!   see [`recording`] and [`shape`].

mod bucket;
pub mod cases;
mod cgroups;
pub mod command;
pub mod daemon;
mod engine;
mod faults;
pub mod filters;
pub mod http;
pub mod images;
mod lan;
pub mod leaks;
mod netfilter;
pub use netfilter::{drop_what_comes_in, drop_what_is_forwarded, firewall_keys, flush_firewall};
pub mod own_network;
pub mod recording;
pub mod registry;
pub mod replay;
pub mod scenario;
mod scratch;
pub mod shape;
mod terminal;
mod waiting;
pub mod web;

pub use bucket::Bucket;
pub use cgroups::ParentCgroup;
pub use engine::Engine;
pub use faults::Faults;
pub use lan::{Lan, Neighbour};
pub use registry::Registry;
pub use scratch::Scratch;
pub use terminal::Terminal;
pub use waiting::{DEADLINE, eventually};
pub use web::Web;
