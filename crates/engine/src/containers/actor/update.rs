//! Other limits, another restart policy, other labels, for a container that may run.

use shim::protocol::ToShim;

use super::super::resources::Update;
use super::super::state::State;
use super::{Actor, link};
use crate::Error;
use crate::containers::spec;

impl Actor {
    pub(super) async fn update(&mut self, update: &Update) -> Result<(), Error> {
        let id = self.container().id.clone();
        if matches!(self.container().state, State::Removing) {
            return Err(Error::MarkedForRemoval("\"update\""));
        }
        let merged = update.merged(&self.container().host);
        let host = merged.map_err(|why| Error::Update { id: id.clone(), why })?;
        if self.container().state.live().is_some() {
            let limits = ToShim::Limit(Box::new(spec::limits(&host)));
            let folder = self.shared.places(&id).volatile;
            match link::ask(folder, &id, &limits).await {
                Err(Error::ShimRefused { message: why, .. }) => {
                    // What was set before the one that failed goes back as far as it goes.
                    let before = ToShim::Limit(Box::new(spec::limits(&self.container().host)));
                    let _ = link::ask(self.shared.places(&id).volatile, &id, &before).await;
                    return Err(Error::UpdateFailed { id, why });
                }
                // It has ended, and the limits are those of its next run.
                Err(Error::ShimLost(_)) => {}
                other => drop(other?),
            }
        }
        let container = &mut self.edit().container;
        container.host = host;
        update.relabel(&mut container.config.labels);
        self.record()?;
        self.shared.emit(self.container(), "update", &[]);
        Ok(())
    }
}
