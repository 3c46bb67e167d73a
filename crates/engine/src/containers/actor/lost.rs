//! A shim that is gone, by itself or killed.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::super::spec;
use super::super::state::{Event, Exit, State};
use super::{Actor, blocking, from_shim};
use crate::Error;

/// How long processes that were killed may take to end, and the kernel to let those that were held still go on.
const PATIENCE: Duration = Duration::from_secs(2);

impl Actor {
    /// The shim hung up. If it left an exit behind, that is what happened; if not, it was killed.
    pub(super) async fn shim_gone(&mut self) {
        self.shim = None;
        let id = self.container().id.clone();
        let folder = self.shared.places(&id).durable;
        let group = spec::cgroup_path(self.container(), &self.shared.settings);
        let exit = blocking(move || {
            let exit = shim::read_exit(&folder);
            if !matches!(exit, Ok(Some(_))) {
                clear_away(&group);
            }
            Ok(exit)
        });
        let exit = exit.await;
        let exit = match exit {
            Ok(Ok(Some(exit))) => from_shim(&exit),
            _ => Exit {
                code: 137,
                oom_killed: false,
                at: SystemTime::now(),
                error: Error::ShimLost(id).to_string(),
            },
        };
        match self.container().state {
            State::Starting | State::StartingAgain(_) => {
                self.release().await;
                drop(self.advance(Event::Failed(exit, self.container().past.started)));
            }
            _ => self.exited(exit).await,
        }
    }
}

/// A killed shim ends nothing: what it was the parent of goes on without anybody to write its log or to hear how it ends.
/// So all of it is ended here. Blocking.
fn clear_away(group: &Path) {
    let cleared = runtime::Cgroup::find(group).and_then(|group| {
        // What is held still doesn't die of a signal everywhere.
        let _ = group.set_frozen(false, PATIENCE);
        group.kill(PATIENCE)?;
        group.delete()
    });
    if let Err(error) = cleared {
        tracing::warn!(group = %group.display(), error = diag::chain(&error), "what a killed shim left can't be cleared away");
    }
}
