//! The firewall's table stays as it has to be, whoever flushes it.

use std::sync::{Arc, Weak};

use network::firewall::Watch;

use super::Networks;

impl Networks {
    /// From here on, what somebody else takes out of the table is put back. A thread of its own waits for that; what
    /// happened before it began is put right when the table is made.
    pub(crate) fn guard_firewall(self: &Arc<Self>) {
        let (networks, table) = (Arc::downgrade(self), self.kernel.table().to_owned());
        let watch = move || match Watch::open(&table) {
            Ok(watch) => put_back(&networks, watch),
            Err(error) => {
                tracing::debug!(error = diag::chain(&error), "nobody hears of changes to the firewall");
            }
        };
        if let Err(error) = std::thread::Builder::new().name("firewall".to_owned()).spawn(watch) {
            tracing::warn!(%error, "nobody watches the firewall: no thread");
        }
    }
}

fn put_back(networks: &Weak<Networks>, mut watch: Watch) {
    loop {
        let waited =
            watch.wait(|port| networks.upgrade().is_some_and(|networks| networks.kernel.is_own(port)));
        let Some(networks) = networks.upgrade() else { return };
        if let Err(error) = waited {
            tracing::warn!(error = diag::chain(&error), "nobody watches the firewall any more");
            return;
        }
        let state = || {
            let entries = networks.tables().entries();
            (networks.list(), entries)
        };
        match networks.kernel.restore(state) {
            Ok(true) => tracing::warn!("somebody changed the firewall's table: it is as it has to be again"),
            Ok(false) => {}
            Err(error) => {
                tracing::error!(error = diag::chain(&error), "the firewall's table can't be put right");
            }
        }
    }
}
