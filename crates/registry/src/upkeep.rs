//! What is done from time to time: collecting, forgetting old tags and uploads, looking whether the storage works.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::config::{Gc, Purge, Retention};
use crate::error::Error;
use crate::gc::Plan;
use crate::serve::Registry;

pub(crate) fn start(
    tasks: &mut JoinSet<()>,
    registry: &Arc<Registry>,
    purge: Option<Purge>,
    gc: Gc,
    retention: Vec<Retention>,
    check: Option<(Duration, u32)>,
) {
    // A registry that may not be written is left as it is.
    if !registry.settings.read_only {
        if let Some(purge) = purge {
            every(tasks, registry, purge.interval, "purging uploads", move |registry| {
                let purged = registry.repositories.purge(purge.age, purge.dry_run)?;
                tracing::debug!(purged, dry_run = purge.dry_run, "abandoned uploads");
                Ok(())
            });
        }
        if let Some(interval) = gc.interval {
            every(tasks, registry, interval, "collecting", move |registry| collect(registry, gc, &retention));
        }
    }
    if let Some((interval, threshold)) = check {
        let mut failures = 0;
        every(tasks, registry, interval, "checking the storage", move |registry| {
            let result = registry.repositories.storage.check();
            failures = if result.is_ok() { 0 } else { failures + 1 };
            let trouble = result.as_ref().err().filter(|_| failures >= threshold);
            registry.metrics.found(trouble.map(|error| diag::chain(error)));
            result
        });
    }
}

fn collect(registry: &Registry, gc: Gc, retention: &[Retention]) -> Result<(), Error> {
    for (name, tag) in registry.repositories.retain(retention, false)? {
        tracing::info!(repository = %name, tag, "a retention rule removed a tag");
    }
    let untagged = gc.untagged || !retention.is_empty();
    let plan = Plan { grace: gc.grace, untagged, dry_run: false };
    let collected = registry.repositories.collect(plan)?;
    registry.metrics.freed.fetch_add(collected.bytes, Relaxed);
    if collected != Default::default() {
        tracing::info!(
            manifests = collected.manifests,
            blobs = collected.blobs,
            bytes = collected.bytes,
            "collected"
        );
    }
    Ok(())
}

/// Does something now and then, beside the threads that serve.
fn every(
    tasks: &mut JoinSet<()>,
    registry: &Arc<Registry>,
    interval: Duration,
    doing: &'static str,
    mut work: impl FnMut(&Registry) -> Result<(), Error> + Send + 'static,
) {
    let registry = registry.clone();
    tasks.spawn(async move {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let registry = registry.clone();
            let done = tasks::blocking(move || {
                let result = work(&registry);
                (work, result)
            });
            match done.await {
                Ok((returned, result)) => {
                    work = returned;
                    if let Err(error) = result {
                        tracing::error!(error = diag::chain(&error), doing, "upkeep failed");
                    }
                }
                Err(error) => return tracing::error!(%error, doing, "upkeep ended"),
            }
        }
    });
}
