//! Who somebody is, and what they may.

use http::HeaderMap;
use serving::Peer;

use crate::error::Problem;
use crate::route::Name;

/// What is to be done with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Pull,
    Push,
    /// To push what is new, and move no tag.
    Create,
    Delete,
}

/// Who asks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller {}

/// How callers are told apart.
pub(crate) struct Auth {}

impl Auth {
    pub(crate) fn new(_: &crate::config::Config) -> Result<Self, crate::error::Error> {
        Ok(Self {})
    }

    pub(crate) async fn caller(&self, _: &HeaderMap, _: &Peer) -> Result<Caller, Problem> {
        Ok(Caller {})
    }

    pub(crate) fn permit(&self, _: &Caller, _: &Name, _: Action) -> Result<(), Problem> {
        Ok(())
    }

    pub(crate) fn permit_base(&self, _: &Caller) -> Result<(), Problem> {
        Ok(())
    }

    pub(crate) fn permit_catalog(&self, _: &Caller) -> Result<(), Problem> {
        Ok(())
    }

    pub(crate) fn is_open(&self) -> bool {
        true
    }
}
