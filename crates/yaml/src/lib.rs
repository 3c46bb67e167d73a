//! YAML with places: each value remembers the file, line and column that it came from, also after merging.

mod de;
mod emit;
mod node;
mod parse;
mod scalar;

pub use de::from_str;
pub use emit::emit;
pub use node::{At, FileId, Map, Node, Tag, Value};
pub use parse::{Trouble, parse};
pub use scalar::{float_text, plain};
