//! The engine's end: what `/grpc` and `/session` lead to.

mod archive;
mod bridge;
mod caller;
mod capabilities;
mod content;
mod engine;
mod forwarding;
mod history;
mod live;
mod llb;
pub(crate) mod news;
mod rooms;
mod service;
mod sessions;
#[cfg(test)]
mod tests;
mod usage;

pub use caller::Caller;
pub use engine::{Engine, Prune, Usage, Worker};
pub use llb::decode as decode_definition;
pub use service::Builder;
pub use sessions::Sessions;

use crate::proto::pb;
use crate::proto::types::{BuildkitVersion, GcPolicy, WorkerRecord};

/// A worker as messages have it.
fn worker_record(worker: &Worker) -> WorkerRecord {
    let platform = |platform: &oci::image::Platform| pb::Platform {
        architecture: platform.architecture.clone(),
        os: platform.os.clone(),
        variant: platform.variant.clone().unwrap_or_default(),
        os_version: platform.os_version.clone().unwrap_or_default(),
        os_features: platform.os_features.clone(),
    };
    let (package, version, revision) = worker.version.clone();
    let policy = GcPolicy { all: true, max_used_space: worker.keeps, ..GcPolicy::default() };
    WorkerRecord {
        id: worker.id.clone(),
        labels: worker.labels.clone().into_iter().collect(),
        platforms: worker.platforms.iter().map(platform).collect(),
        gc_policy: vec![policy],
        buildkit_version: Some(BuildkitVersion { package, version, revision }),
        ..WorkerRecord::default()
    }
}
