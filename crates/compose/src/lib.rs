//! A Compose project: from files to what is wanted.
//!
//! [`load`] reads files into one tree whose values know where they were written, [`Project`] is that tree in its typed
//! form: as a document, as hashes, as services. Nothing here knows an engine.

mod config;
pub mod container;
mod env;
mod error;
mod explain;
pub mod kube;
pub mod labels;
pub mod live;
mod load;
pub mod plan;
mod project;
mod publish;
mod schema;
mod select;
mod shape;
mod source;
pub mod watch;

pub use env::{Environment, Origin, Variable, Warnings};
pub use error::{Error, Mistake};
pub use explain::Explained;
pub use load::{Loaded, Options, Remote, Switches, load, ports};
pub use project::{Dependency, Project};
pub use publish::{Publication, Published};
pub use shape::{bytes, duration};
pub use source::{Place, Sources};
pub use yaml::{At, FileId, Map, Node, Tag, Value};
