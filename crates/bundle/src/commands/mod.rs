//! One file for each command, or for those that are one thing.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod events;
pub(crate) mod exec;
pub(crate) mod features;
pub(crate) mod kill;
pub(crate) mod list;
pub(crate) mod pause;
pub(crate) mod ps;
pub(crate) mod spec;
pub(crate) mod update;

use crate::error::Error;

/// The specification that we follow.
pub(crate) const SPEC_VERSION: &str = "1.2.1";

pub(crate) fn refuse(why: &str) -> Result<i32, Error> {
    Err(Error::Invalid(why.to_owned()))
}
