//! One file per command: read the flags, ask the engine, print what docker prints.

pub(crate) mod attach;
pub(crate) mod containers;
pub(crate) mod context;
pub(crate) mod detach;
pub(crate) mod df;
pub(crate) mod dial_stdio;
pub(crate) mod each;
pub(crate) mod events;
pub(crate) mod filters;
pub(crate) mod help;
pub(crate) mod images;
pub(crate) mod info;
pub(crate) mod inspect;
pub(crate) mod load;
pub(crate) mod logs;
pub(crate) mod private_registry;
pub(crate) mod run;
pub(crate) mod service;
pub(crate) mod start;
pub(crate) mod units;
pub(crate) mod version;
