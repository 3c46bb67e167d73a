//! Containers that don't move while somebody looks at a volume of theirs.

use std::sync::Arc;

use super::freeze::Frozen;
use crate::Error;
use crate::containers::mounts::volume_of;
use crate::containers::{Containers, Shared, View};

/// They go on when this goes.
pub struct Still {
    frozen: Vec<(Option<Frozen>, Arc<View>)>,
    shared: Arc<Shared>,
}

impl Containers {
    /// Stops all containers that run and can write to a volume. Blocking.
    pub fn still(&self, volume: &str) -> Result<Still, Error> {
        let mut still = Still { frozen: Vec::new(), shared: self.shared.clone() };
        for view in self.list() {
            let container = &view.container;
            let writes =
                container.mounts.iter().any(|point| point.writable && volume_of(point) == Some(volume));
            let Some(live) = container.state.live().filter(|_| writes) else { continue };
            if let Some(frozen) = Frozen::enter(live.pid, &container.id)? {
                self.shared.emit(container, "pause", &[]);
                still.frozen.push((Some(frozen), view));
            }
        }
        Ok(still)
    }
}

impl Drop for Still {
    fn drop(&mut self) {
        for (frozen, view) in &mut self.frozen {
            drop(frozen.take());
            self.shared.emit(&view.container, "unpause", &[]);
        }
    }
}
