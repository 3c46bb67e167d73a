//! Bake files: HCL, JSON and Compose files that say which images to build, and how.
//!
//! ```text
//! text ──syntax──► bodies ──file──► variables, functions, groups, targets ──target──► what is built
//!                    eval, functions: what expressions are worth
//! ```
//!
//! This crate builds nothing: it says what is meant, in buildx' words, and the command line carries it out.

mod error;
mod eval;
mod file;
mod functions;
mod syntax;
mod target;
mod value;

pub use error::Error;
pub use file::{Asked, Bake, Listed, defaults};
pub use target::Target;
pub use value::Value;
