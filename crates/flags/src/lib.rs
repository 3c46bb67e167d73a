//! Command lines as docker reads them: pflag's grammar, cobra's command tree, docker's help pages and error texts.
//!
//! A program describes itself in `const` tables ([`Command`], [`Flag`]); nothing is built at start-up, so that the
//! thousand flags of a docker-like tree cost no more than their bytes in the executable. The crate knows no command
//! of its own: client and daemon bring their tables, and the type of what a command does (`A`).
//!
//! Invariants: parsing never panics, whatever the arguments; every flag that [`parse`] accepts has a value that its
//! [`Kind`] accepts; a flag that is not [`Support::Done`] is refused by name and never ignored.

mod error;
pub mod go;
mod help;
mod manual;
mod matches;
mod nearest;
mod parse;
mod place;
mod table;
#[cfg(test)]
mod tests;
mod walk;

pub use error::{Error, Usage};
pub use help::Page;
pub use manual::manual;
pub use matches::Matches;
pub use nearest::nearest;
pub use place::{Expected, Place, place};
pub use table::{Args, Command, Flag, FlagSets, Kind, Support};
pub use walk::{Invocation, Outcome, parse};
