//! The Dockerfile's language: from text to instructions with positions, and what words in it mean.
//!
//! ```text
//! bytes ─ source ─► nodes ─ instruction ─► instructions ─ stages ─► Dockerfile
//!          lines, directives,  flags, forms,            FROM begins a stage
//!          here-documents      mounts
//! ```
//!
//! Nothing here reads a file or knows what a build is: variables are expanded when the caller says so, with the
//! variables that it has by then ([`Instruction::expand`]). Messages are BuildKit's own words wherever people and scripts
//! know them. Everything is bounded by [`limits`].

pub mod check;
mod error;
mod excerpt;
mod go;
pub mod ignore;
mod instruction;
pub mod limits;
mod source;
mod stages;
mod suggest;
mod syntax;
pub mod word;

pub use error::{Error, Lines, Problem};
pub use excerpt::excerpt;
pub use go::quote;
pub use instruction::{
    Argument, CommandLine, Copy, Device, Expander, Health, InlineFile, Instruction, Kind, Mount, MountType,
    Network, Pair, Run, Security, Sharing, SourceFile, Transfer,
};
pub use source::{Heredoc, chomp, heredoc};
pub use stages::{Dockerfile, Stage, parse, parse_trigger};
pub use suggest::{did_you_mean, nearest};
pub use syntax::{directive_value, syntax};
