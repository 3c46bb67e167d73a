//! Holding a container still, and letting it go on.

use shim::protocol::ToShim;

use super::super::state::{Event, State};
use super::{Actor, link};
use crate::Error;

impl Actor {
    pub(super) async fn pause(&mut self) -> Result<(), Error> {
        let id = self.container().id.clone();
        match self.container().state {
            State::Running(_) => {}
            State::Paused(_) => return Err(Error::AlreadyPaused(id)),
            State::Restarting { .. } => return Err(Error::IsRestarting(id)),
            _ => return Err(Error::NotRunning(id)),
        }
        self.freeze(true).await.map_err(|error| match error {
            // It ended, and the news of it is still on its way.
            Error::ShimRefused { id, .. } | Error::ShimLost(id) => Error::NotRunning(id),
            error => error,
        })?;
        self.advance(Event::Pause)?;
        self.shared.emit(self.container(), "pause", &[]);
        Ok(())
    }

    pub(super) async fn unpause(&mut self) -> Result<(), Error> {
        if !matches!(self.container().state, State::Paused(_)) {
            return Err(Error::NotPaused(self.container().id.clone()));
        }
        self.freeze(false).await.map_err(|error| match error {
            Error::ShimLost(id) => Error::NotPaused(id),
            error => error,
        })?;
        self.advance(Event::Unpause)?;
        self.shared.emit(self.container(), "unpause", &[]);
        Ok(())
    }

    /// After a restart of the engine: what the shim says counts, the engine may have ended before it wrote that down.
    pub(super) fn note_frozen(&mut self, frozen: bool) {
        let event = match (frozen, &self.container().state) {
            (true, State::Running(_)) => Event::Pause,
            (false, State::Paused(_)) => Event::Unpause,
            _ => return,
        };
        if let Err(error) = self.advance(event) {
            tracing::warn!(error = diag::chain(&error), "a pause could not be recorded");
        }
    }

    async fn freeze(&self, frozen: bool) -> Result<(), Error> {
        let id = &self.container().id;
        let folder = self.shared.places(id).volatile;
        link::ask(folder, id, &ToShim::Freeze { frozen }).await.map(drop)
    }
}
