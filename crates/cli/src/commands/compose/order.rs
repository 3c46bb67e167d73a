//! Services side by side, each when those that it depends on are ready.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::OnceLock;

use client::resolve::process_env;
use compose::{Dependency, Project};
use futures_util::future::try_join_all;
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use crate::call::Call;
use crate::error::Error;

/// Runs `work` for each of these services, in parallel as far as their dependencies allow. `ready` waits until what one
/// depends on is as it must be.
pub(super) async fn forwards<W, R>(
    project: &Project,
    services: &[String],
    ready: impl Fn(String, Dependency) -> R,
    work: impl Fn(String) -> W,
) -> Result<(), Error>
where
    W: Future<Output = Result<(), Error>>,
    R: Future<Output = Result<(), Error>>,
{
    let gates: BTreeMap<&str, watch::Sender<bool>> =
        services.iter().map(|name| (name.as_str(), watch::channel(false).0)).collect();
    let (ready, work, gates) = (&ready, &work, &gates);
    let one = |name: &String| {
        let name = name.clone();
        async move {
            for dependency in project.dependencies(&name) {
                if let Some(gate) = gates.get(dependency.service.as_str()) {
                    pass(gate).await;
                }
                ready(name.clone(), dependency).await?;
            }
            {
                let _turn = turn().await;
                work(name.clone()).await?;
            }
            if let Some(gate) = gates.get(name.as_str()) {
                gate.send_replace(true);
            }
            Ok::<_, Error>(())
        }
    };
    try_join_all(services.iter().map(one)).await.map(drop)
}

/// How many things are done at once in this process: set once, by `--parallel` or `COMPOSE_PARALLEL_LIMIT`.
static LIMIT: OnceLock<Limit> = OnceLock::new();

struct Limit {
    most: usize,
    turns: Semaphore,
}

/// Reads the limit; none and a negative number are no limit.
pub(super) fn limit(call: &Call) -> Result<(), Error> {
    let group = call.group();
    let given = match (group.changed("parallel"), process_env("COMPOSE_PARALLEL_LIMIT")) {
        (true, _) => Some(group.int("parallel")),
        (false, Some(text)) if !text.is_empty() => Some(text.parse().map_err(|_| {
            Error::Usage(format!("COMPOSE_PARALLEL_LIMIT must be an integer (found: {text:?})"))
        })?),
        _ => None,
    };
    let most = given.and_then(|number| usize::try_from(number).ok()).filter(|number| *number > 0);
    if let Some(most) = most {
        let most = most.min(Semaphore::MAX_PERMITS);
        LIMIT.get_or_init(|| Limit { most, turns: Semaphore::new(most) });
    }
    Ok(())
}

/// Waits for one's turn, and has it until what is returned goes.
pub(super) async fn turn() -> Option<SemaphorePermit<'static>> {
    LIMIT.get()?.turns.acquire().await.ok()
}

/// How many that may be.
pub(super) fn most() -> usize {
    LIMIT.get().map_or(usize::MAX, |limit| limit.most)
}

/// The other way: a service after those that depend on it.
pub(super) async fn backwards<W>(
    project: &Project,
    services: &[String],
    work: impl Fn(String) -> W,
) -> Result<(), Error>
where
    W: Future<Output = Result<(), Error>>,
{
    let gates: BTreeMap<&str, watch::Sender<bool>> =
        services.iter().map(|name| (name.as_str(), watch::channel(false).0)).collect();
    let (work, gates) = (&work, &gates);
    let one = |name: &String| {
        let name = name.clone();
        async move {
            let dependents = services.iter().filter(|other| {
                project.dependencies(other).iter().any(|dependency| dependency.service == name)
            });
            for other in dependents {
                if let Some(gate) = gates.get(other.as_str()) {
                    pass(gate).await;
                }
            }
            {
                let _turn = turn().await;
                work(name.clone()).await?;
            }
            if let Some(gate) = gates.get(name.as_str()) {
                gate.send_replace(true);
            }
            Ok::<_, Error>(())
        }
    };
    try_join_all(services.iter().map(one)).await.map(drop)
}

async fn pass(gate: &watch::Sender<bool>) {
    // Its sender lives as long as we do.
    let _ = gate.subscribe().wait_for(|open| *open).await;
}
