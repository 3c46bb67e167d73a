//! After a restart of the engine: what the record says is compared with what the shim knows.

use shim::protocol::{FromShim, ShimState};
use tokio::time::Instant;

use super::super::files::Frozen;
use super::super::record::Container;
use super::super::restart;
use super::super::state::State;
use super::{Actor, blocking, from_shim, hear, link};
use crate::Error;

impl Actor {
    /// The record says that it runs; the shim knows.
    pub(super) async fn recover(&mut self) {
        if !matches!(self.container().state, State::Restarting { .. }) {
            self.find_shim().await;
        }
        self.edit().settled = true;
        self.publish();
        self.succeed_if_alone().await;
    }

    /// Those that their policy wants to run do so with the engine, whether it found them waiting or at rest.
    pub(super) fn plan_after_engine_start(&mut self) {
        let Container { state, host, past, .. } = &self.view.container;
        let wanted = match state {
            State::Restarting { .. } => true,
            State::Exited { exit, started: Some(_) } if self.view.exits == 0 => {
                restart::is_wanted(&host.restart_policy, exit.code, past)
            }
            _ => false,
        };
        if wanted && self.plan.retry.is_none() {
            self.plan.retry = Some(Instant::now());
        }
    }

    async fn find_shim(&mut self) {
        let places = self.shared.places(&self.container().id);
        let connected = blocking(move || Ok(shim::connect(&places.volatile))).await;
        match connected.and_then(|stream| self.greet(stream)) {
            Ok(()) => match hear(&mut self.shim).await {
                Some(FromShim::Hello { state, frozen, .. }) => {
                    if !matches!(state, ShimState::Exited(_)) {
                        self.resume_names().await;
                    }
                    self.resume(state).await;
                    self.note_frozen(frozen);
                    if !frozen && let Some(live) = self.container().state.live() {
                        Frozen::leave_behind(live.pid, &self.container().id);
                    }
                }
                _ => self.shim_gone().await,
            },
            Err(_) => self.shim_gone().await,
        }
    }

    fn greet(&mut self, stream: Result<std::os::unix::net::UnixStream, shim::Error>) -> Result<(), Error> {
        let lost = |_| Error::ShimLost(self.container().id.clone());
        let stream = stream.map_err(|_| Error::ShimLost(self.container().id.clone()))?;
        let stream = link::adopt(stream).map_err(lost)?;
        self.connect(stream);
        Ok(())
    }

    async fn resume(&mut self, state: ShimState) {
        let result = match (state, &self.container().state) {
            // The engine went between making process 1 and letting it run.
            (ShimState::Created { pid }, _) => self.finish_start(pid).await,
            (ShimState::Running { pid }, State::Starting | State::StartingAgain(_)) => self.started(pid),
            (ShimState::Running { .. }, _) => {
                self.watch_health();
                Ok(())
            }
            (ShimState::Exited(exit), State::Starting | State::StartingAgain(_)) => {
                let started = self.started(0);
                self.exited(from_shim(&exit)).await;
                started
            }
            (ShimState::Exited(exit), _) => {
                self.exited(from_shim(&exit)).await;
                Ok(())
            }
        };
        if let Err(error) = result {
            tracing::warn!(
                container = self.container().short_id(),
                error = diag::chain(&error),
                "not resumed"
            );
            self.shim_gone().await;
        }
    }
}
