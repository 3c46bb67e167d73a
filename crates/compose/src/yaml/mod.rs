//! YAML with places: each value remembers the file, line and column that it came from, also after merging.

mod emit;
mod node;
mod parse;
mod scalar;

pub(crate) use emit::emit;
pub use node::{At, FileId, Map, Node, Tag, Value};
pub(crate) use parse::parse;
pub(crate) use scalar::{float_text, plain};
