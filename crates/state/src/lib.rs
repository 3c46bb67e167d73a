//! The engine's durable state: one data root, one lock on it, one transactional database in it.
//!
//! ```text
//! <data root>/
//!   ketch.lock     flock'ed while an engine lives; holds its pid
//!   ketch.db       records and references (SQLite, WAL)
//! ```
//!
//! Everything the engine must remember is a [`Record`]: a kind, a key and a JSON document. A transaction may touch any
//! number of records and references at once, so that an image, its layers' counts and its tags change together or not
//! at all. Nobody outside this crate sees SQL.

mod db;
mod error;
mod root;

pub use db::{Db, Durability, Record, Tx};
pub use error::Error;
pub use root::DataRoot;
