//! `DiskUsage` and `Prune`.

use std::time::Duration;

use grpc::{Call, Code, Status};

use super::engine::{Engine, Prune, Usage};
use super::news::time;
use crate::error::status;
use crate::proto::control::{DiskUsageRequest, DiskUsageResponse, PruneRequest, UsageRecord};

/// What is kept, and fits.
pub(super) async fn list(
    engine: &dyn Engine,
    question: DiskUsageRequest,
) -> Result<DiskUsageResponse, Status> {
    // buildx says that it has no filter by an empty one.
    if question.filter.iter().any(|filter| !filter.is_empty()) {
        return Err(Status::new(Code::Unimplemented, "filters of disk usage are not supported"));
    }
    let unused = Duration::from_nanos(u64::try_from(question.age_limit).unwrap_or(0));
    let kept = engine.usage().await.map_err(|e| status(&e))?;
    let old = |usage: &Usage| {
        unused.is_zero() || usage.used.unwrap_or(usage.made).elapsed().is_ok_and(|since| since >= unused)
    };
    Ok(DiskUsageResponse { record: kept.into_iter().filter(old).map(record).collect() })
}

/// Removes, and tells of each thing that went.
pub(super) async fn prune(engine: &dyn Engine, mut call: Call) -> Result<(), Status> {
    let Some(question) = call.receiver.next::<PruneRequest>().await? else {
        return Err(Status::new(Code::InvalidArgument, "nothing to prune"));
    };
    let number = |number: i64| u64::try_from(number).unwrap_or(0);
    let wanted = Prune {
        all: question.all,
        unused_for: Duration::from_nanos(number(question.keep_duration)),
        keep: number(question.reserved_space),
        max_used: number(question.max_used_space),
        min_free: number(question.min_free_space),
        filters: question.filter.into_iter().filter(|filter| !filter.is_empty()).collect(),
    };
    for usage in engine.prune(wanted).await.map_err(|e| status(&e))? {
        call.sender.send(&record(usage)).await?;
    }
    Ok(())
}

fn record(usage: Usage) -> UsageRecord {
    UsageRecord {
        id: usage.id,
        mutable: usage.mutable,
        in_use: usage.in_use,
        size: i64::try_from(usage.size).unwrap_or(i64::MAX),
        created_at: Some(time(usage.made)),
        last_used_at: usage.used.map(time),
        usage_count: i64::try_from(usage.uses).unwrap_or(i64::MAX),
        description: usage.description,
        record_type: usage.kind,
        shared: usage.shared,
        parents: usage.parents,
        ..UsageRecord::default()
    }
}
