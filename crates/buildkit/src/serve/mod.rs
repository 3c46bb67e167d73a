//! The engine's end: what `/grpc` and `/session` lead to.

mod archive;
mod bridge;
mod caller;
mod capabilities;
mod content;
mod engine;
mod forwarding;
mod history;
mod lent;
mod live;
mod llb;
pub(crate) mod news;
mod policy;
mod rooms;
mod service;
mod sessions;
#[cfg(test)]
mod tests;
mod uploaded;
mod usage;

pub use caller::Caller;
pub use engine::{Device, Engine, Prune, Rule, Usage, Worker};
pub use llb::decode as decode_definition;
pub use service::Builder;
pub use sessions::Sessions;

use crate::proto::pb;
use crate::proto::types::{BuildkitVersion, CdiDevice, GcPolicy, WorkerRecord};

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
    let size = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let rule = |rule: &Rule| GcPolicy {
        all: rule.what.all,
        keep_duration: i64::try_from(rule.unused_for.as_nanos()).unwrap_or(i64::MAX),
        reserved_space: size(rule.what.keep),
        max_used_space: size(rule.what.max_used),
        min_free_space: size(rule.what.min_free),
        filters: rule.filters.clone(),
    };
    let device = |device: &Device| CdiDevice {
        name: device.name.clone(),
        auto_allow: device.auto_allow,
        annotations: device.annotations.clone().into_iter().collect(),
        on_demand: false,
    };
    WorkerRecord {
        id: worker.id.clone(),
        labels: worker.labels.clone().into_iter().collect(),
        platforms: worker.platforms.iter().map(platform).collect(),
        gc_policy: worker.rules.iter().map(rule).collect(),
        buildkit_version: Some(BuildkitVersion { package, version, revision }),
        cdi_devices: worker.devices.iter().map(device).collect(),
    }
}
