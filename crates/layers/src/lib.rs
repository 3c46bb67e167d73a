//! Layers: tars in, mounted root file systems out.
//!
//! This crate owns `<data root>/layers`:
//!
//! ```text
//! layers/<diff id hex>/fs/   a layer unpacked for overlayfs, with its whiteouts; never changed again
//! layers/<diff id hex>/layer.tar, layer.erofs   or: the tar as it came and an index that the kernel mounts
//! layers/empty/               nothing, for ever: the lowest layer of a root that can't be written to
//! layers/tmp/<random>/       one being unpacked or removed; swept when the engine starts
//! ```
//!
//! A layer appears under its diff id by one `rename`, after its tar was hashed to that id. A root file system is an
//! overlay of layers and is never mounted anywhere on the host: [`LayerStore::mount_root`] returns a mount that is
//! attached nowhere, which goes to the container's shim as a descriptor.
//!
//! How a layer is kept is the business of a [`Driver`].

mod ahead;
mod compression;
mod driver;
mod erofs;
mod error;
mod gzip;
mod ids;
mod mount;
mod overlay;
mod pack;
mod shown;
mod store;
mod unpack;

pub use ahead::{Ahead, decompress_ahead};
pub use compression::{Compression, Packing, decompress, decompress_archive};
pub use driver::{Choice, Driver, Limits};
pub use erofs::IndexedTars;
pub use error::Error;
pub use gzip::compress;
pub use ids::{IdMap, Span};
pub use mount::Strategy;
pub use overlay::Directories;
pub use pack::{
    About, Change, Composer, Copied, Kind, Source, What, Written, changes, copy_tree, pack_changes,
    pack_file, pack_file_of, pack_tree, pack_tree_of,
};
pub use store::{Layer, LayerStore, Unpacked};
pub use unpack::{Extract, Overwrite, Owner, clamp_times, extract, extract_anew, replay, restore};
