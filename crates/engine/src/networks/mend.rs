//! What a kill of the engine in the midst of something, or somebody's own hand, left between the records and the kernel.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use network::{Interior, Links};

use super::Networks;
use super::attach::cable;
use super::record::{Driver, Endpoint};
use crate::containers::View;

impl Networks {
    /// Gives containers that run the cables that their records say.
    pub(super) fn mend(
        &self,
        links: &mut Links,
        bridges: &HashMap<String, u32>,
        containers: &[Arc<View>],
    ) -> Result<(), network::Error> {
        let present = links.in_bridges()?;
        for view in containers {
            let Some(live) = view.container.state.live() else { continue };
            for (name, endpoint) in &view.container.endpoints {
                if let Err(error) = self.mend_cable(links, bridges, &present, (live.pid, name, endpoint)) {
                    let container = view.container.short_id();
                    tracing::warn!(container, network = name, error = diag::chain(&error), "no cable");
                }
            }
        }
        Ok(())
    }

    fn mend_cable(
        &self,
        links: &mut Links,
        bridges: &HashMap<String, u32>,
        present: &HashMap<String, u32>,
        (pid, name, endpoint): (i32, &str, &Endpoint),
    ) -> Result<(), network::Error> {
        let Some(lease) = endpoint.lease.as_ref().filter(|lease| !lease.outside.is_empty()) else {
            return Ok(());
        };
        let (Ok(network), Some(bridge)) = (self.get(name), bridges.get(&endpoint.network_id)) else {
            return Ok(());
        };
        if present.get(&lease.outside) == Some(bridge) {
            return Ok(());
        }
        tracing::warn!(
            cable = lease.outside,
            network = name,
            "somebody took a container's cable: it gets another"
        );
        // With its bridge went what that knew of it.
        links.remove(&lease.outside)?;
        let interior = Interior::of_process(pid)?;
        interior.disconnect(&lease.inside)?;
        cable(&network, endpoint, *bridge).map_or(Ok(()), |cable| interior.connect(links, &cable))
    }

    /// Takes away the cables in this engine's own bridges that no record knows.
    pub(super) fn cut_orphans(&self) -> Result<(), network::Error> {
        let mut links = Links::open()?;
        let networks = self.list().into_iter().filter(|network| network.driver == Driver::Bridge);
        let owned = networks.filter(|network| self.kernel.owns_bridge(network));
        let owned: HashSet<String> = owned.map(|network| self.kernel.bridge_name(&network)).collect();
        let bridges: HashSet<u32> = links
            .names()?
            .into_iter()
            .filter(|(name, _)| owned.contains(name))
            .map(|(_, index)| index)
            .collect();
        let present = links.in_bridges()?;
        for (name, _) in present.into_iter().filter(|(_, bridge)| bridges.contains(bridge)) {
            // A container that starts just now has its cable noted before it is made.
            let is_ours = name.len() == 11 && name.starts_with("veth");
            if is_ours && !self.tables().cables.contains(&name) {
                tracing::warn!(cable = name, "no container has this cable: it goes");
                links.remove(&name)?;
            }
        }
        Ok(())
    }
}
