//! Signals, and what those that end a container mean for what comes after.

use shim::protocol::ToShim;

use super::super::handle::{Purpose, SIGKILL};
use super::super::state::{Event, State};
use super::{Actor, hear};
use crate::{Error, signal};

impl Actor {
    pub(super) async fn signal(&mut self, signal: i32, purpose: Purpose) -> Result<(), Error> {
        match self.container().state {
            State::Running(_) | State::Paused(_) => {}
            State::Restarting { .. } => return self.give_up(purpose),
            _ => return Err(Error::KillNotRunning(self.container().id.clone())),
        }
        let ends = self.ends(signal, purpose);
        self.plan.stopping |= matches!(purpose, Purpose::Stop | Purpose::Restart | Purpose::Shutdown);
        self.plan.keep |= purpose == Purpose::Restart;
        if ends {
            self.note_stopped(purpose)?;
        }
        self.tell(&ToShim::Signal { signal }).await?;
        self.shared.emit(self.container(), "kill", &[("signal", signal.to_string())]);
        // What is held still can't end, nor hear the signal.
        if ends && matches!(self.container().state, State::Paused(_)) {
            // It may have ended already: some kernels let what is held still be killed.
            if let Err(error) = self.unpause().await {
                tracing::debug!(error = diag::chain(&error), "a signalled container can't be let go on");
            }
        }
        Ok(())
    }

    /// Whether a signal is meant to end the container: any, unless it has one of its own for that. dockerd sees it so.
    fn ends(&self, signal: i32, purpose: Purpose) -> bool {
        let own = self.container().config.stop_signal.as_str();
        purpose != Purpose::Kill
            || signal == SIGKILL
            || own.is_empty()
            || signal::parse(own).is_ok_and(|own| own == signal)
    }

    /// It won't be started again when it ends. A policy may want to know that somebody said so also later.
    fn note_stopped(&mut self, purpose: Purpose) -> Result<(), Error> {
        self.plan.cancelled = true;
        if purpose == Purpose::Shutdown || self.container().past.stopped_by_hand {
            return Ok(());
        }
        self.edit().container.past.stopped_by_hand = true;
        self.record()
    }

    /// It waits to be started again, and won't be.
    fn give_up(&mut self, purpose: Purpose) -> Result<(), Error> {
        self.plan.retry = None;
        // With the engine only the waiting ends: its successor starts the container.
        if purpose == Purpose::Shutdown {
            return Ok(());
        }
        self.note_stopped(purpose)?;
        self.advance(Event::GiveUp)?;
        if purpose != Purpose::Kill {
            self.shared.emit(self.container(), "stop", &[]);
        }
        Ok(())
    }

    pub(super) async fn kill_and_wait(&mut self) -> Result<(), Error> {
        self.signal(SIGKILL, Purpose::Kill).await?;
        while self.container().state.is_active() {
            let message = hear(&mut self.shim).await;
            // `exited` may remove the container by itself; that is what the caller wants.
            Box::pin(self.heard(message)).await;
        }
        Ok(())
    }
}
