//! Removing all containers that rest.

use std::collections::BTreeMap;

use super::state::State;
use super::{Containers, Removal, Volumes};
use crate::events::Kind;
use crate::filters::{self, Filters};
use crate::images::Force;
use crate::{Error, disk};

/// The filter keys of `POST /containers/prune`.
pub const PRUNE_KEYS: &[&str] = &["label", "label!", "until"];

/// What a pruning removed.
#[derive(Debug, Default)]
pub struct Pruned {
    pub ids: Vec<String>,
    pub reclaimed: u64,
}

impl Containers {
    /// Removes those that rest and that the filters admit. One that somebody starts or removes meanwhile is left alone.
    pub async fn prune(&self, filters: &Filters) -> Result<Pruned, Error> {
        let until = filters::until(filters)?;
        let mut pruned = Pruned::default();
        for view in self.list() {
            let container = &view.container;
            let label = |name: &str| container.config.labels.as_ref()?.get(name).map(String::as_str);
            let admitted = matches!(container.state, State::Created | State::Exited { .. })
                && until.is_none_or(|until| container.created < until)
                && filters.admits_labels("label", label)
                && (!filters.has("label!") || !filters.admits_labels("label!", label));
            if !admitted {
                continue;
            }
            let upper = self.places(&container.id).upper();
            let written = tasks::blocking(move || disk::written_below(&upper)).await;
            match self.get(&container.id) {
                Ok(handle)
                    if handle.remove(Removal { force: Force::No, volumes: Volumes::Keep }).await.is_ok() =>
                {
                    pruned.ids.push(container.id.clone());
                    pruned.reclaimed += written.unwrap_or_default();
                }
                _ => tracing::info!(container = container.short_id(), "not pruned"),
            }
        }
        let reclaimed = BTreeMap::from([("reclaimed".to_owned(), pruned.reclaimed.to_string())]);
        self.shared.events.emit(Kind::Container, "prune", "", reclaimed);
        Ok(pruned)
    }
}
