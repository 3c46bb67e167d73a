//! Changing files without a container: copies, new files and removals are planned in memory ([`draft`]) over what is
//! there ([`look`]), and written as one layer ([`write`]). A byte that is copied goes from where it is into the layer, and
//! nowhere else.

mod copy;
mod draft;
mod look;
mod owner;
mod perform;
mod write;

pub(super) use draft::{Content, Draft, Node};
pub(super) use look::{Last, Look, Root, Seen, SeenKind, join, resolve, shown};
pub(super) use perform::{Help, Performed, Planned, perform, perform_on};
