//! `/images/*`: one endpoint, one file.

pub(crate) mod inspect;
pub(crate) mod list;
pub(crate) mod load;
pub(crate) mod remove;
