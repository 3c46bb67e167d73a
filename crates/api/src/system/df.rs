//! `GET /system/df`: what takes how much room.

use engine::volumes::Volume;
use engine::{Engine, disk};
use serde_json::{Map, Value, json};
use std::sync::Arc;

use crate::call::Call;
use crate::containers::list::summary;
use crate::error::Error;
use crate::images::list::Summary;
use crate::reply::{self, Reply};
use crate::volumes::describe as describe_volume;

const TYPES: &[&str] = &["container", "image", "volume", "build-cache"];

pub(crate) async fn get(call: Call) -> Result<Reply, Error> {
    // Before 1.42 there was no such parameter.
    let wanted: Vec<&str> = call.query.all("type").filter(|_| call.since(42)).collect();
    if let Some(unknown) = wanted.iter().find(|name| !TYPES.contains(name)) {
        return Err(Error::invalid(format!("unknown object type: {unknown}")));
    }
    let wants = |name: &str| wanted.is_empty() || wanted.contains(&name);
    let usage = measure(call.engine.clone()).await?;
    let mut fields = Map::new();
    let images = images(&call, &usage);
    let containers = containers(&call, &usage);
    let volumes = volumes(&call).await?;
    let (builds, built) = build_cache(&call).await?;
    // 1.52 sends both the old and the new form.
    if call.since(52) {
        let verbose = call.query.flag("verbose");
        let mut add = |kind, key: &str, summary: Value| {
            if wants(kind) {
                fields.insert(key.into(), summary);
            }
        };
        add("image", "ImagesUsage", brief(&images, verbose, &usage.images));
        add("container", "ContainersUsage", brief(&containers, verbose, &usage.containers));
        add("volume", "VolumesUsage", brief(&volumes, verbose, &volume_total(&volumes)));
        add("build-cache", "BuildCacheUsage", brief(&builds, verbose, &built));
    }
    if call.before(53) {
        let list = |name, list: Vec<Value>| if wants(name) { Value::Array(list) } else { Value::Null };
        fields.insert("LayersSize".into(), json!(if wants("image") { usage.images.size } else { 0 }));
        fields.insert("Images".into(), list("image", images));
        fields.insert("Containers".into(), list("container", containers));
        fields.insert("Volumes".into(), list("volume", volumes));
        fields.insert("BuildCache".into(), list("build-cache", builds));
        if call.before(42) {
            fields.insert("BuilderSize".into(), json!(built.size));
        }
    }
    Ok(reply::json(&fields))
}

async fn measure(engine: Arc<Engine>) -> Result<disk::Usage, Error> {
    let measured = tasks::blocking(move || disk::measure(&engine)).await;
    measured.map_err(|error| {
        Error::new(http::StatusCode::INTERNAL_SERVER_ERROR, format!("cannot measure: {error}"))
    })
}

fn images(call: &Call, usage: &disk::Usage) -> Vec<Value> {
    let catalogue = call.engine.images.catalogue();
    let entries = catalogue.images.values().map(|image| {
        let mut entry = Summary::of(call, &catalogue, image);
        entry.containers = i64::try_from(usage.users_of(&image.id)).unwrap_or(i64::MAX);
        entry.shared_size = i64::try_from(usage.shared_size(image)).unwrap_or(i64::MAX);
        // Here dockerd never fills it.
        entry.repo_digests = None;
        json!(entry)
    });
    entries.collect()
}

fn containers(call: &Call, usage: &disk::Usage) -> Vec<Value> {
    let (views, names) = (call.engine.containers.list(), call.engine.containers.link_names());
    views
        .iter()
        .map(|view| {
            let mut entry = summary(call, view, &names);
            let image = call.engine.images.catalogue().images.get(&view.container.image).map(|i| i.size());
            let written = usage.written_by(&view.container.id);
            if let Some(fields) = entry.as_object_mut() {
                if written > 0 {
                    fields.insert("SizeRw".into(), json!(written));
                }
                fields.insert("SizeRootFs".into(), json!(written + image.unwrap_or(0)));
            }
            entry
        })
        .collect()
}

async fn volumes(call: &Call) -> Result<Vec<Value>, Error> {
    let engine = call.engine.clone();
    let measured = tasks::blocking(move || engine.volumes.measure()).await;
    let measured = measured.map_err(|error| {
        Error::new(http::StatusCode::INTERNAL_SERVER_ERROR, format!("cannot measure volumes: {error}"))
    })??;
    let entry = |(volume, size, users): &(Volume, u64, usize)| {
        let mut entry = describe_volume(&call.engine, volume);
        entry["UsageData"] = json!({ "RefCount": users, "Size": size });
        entry
    };
    Ok(measured.iter().map(entry).collect())
}

fn volume_total(volumes: &[Value]) -> disk::Total {
    let size = |volume: &Value| volume["UsageData"]["Size"].as_u64().unwrap_or_default();
    let used = |volume: &&Value| volume["UsageData"]["RefCount"].as_u64().is_some_and(|count| count > 0);
    disk::Total {
        active: volumes.iter().filter(used).count(),
        size: volumes.iter().map(size).sum(),
        reclaimable: volumes.iter().filter(|volume| !used(volume)).map(size).sum(),
    }
}

/// What builds keep, and its sum.
async fn build_cache(call: &Call) -> Result<(Vec<Value>, disk::Total), Error> {
    let engine = call.engine.clone();
    let listed = tasks::blocking(move || engine.builds.usage()).await;
    let entries = listed.map_err(|error| {
        Error::new(
            http::StatusCode::INTERNAL_SERVER_ERROR,
            format!("cannot measure the build cache: {error}"),
        )
    })??;
    let in_use = |entry: &&engine::builds::UsageEntry| entry.in_use;
    let total = disk::Total {
        active: entries.iter().filter(in_use).count(),
        size: entries.iter().map(|entry| entry.size).sum(),
        reclaimable: entries.iter().filter(|entry| !entry.in_use).map(|entry| entry.size).sum(),
    };
    let describe = |entry: &engine::builds::UsageEntry| {
        json!({
            "ID": entry.id,
            "Type": entry.kind.word(),
            "Description": entry.description,
            "InUse": entry.in_use,
            "Shared": entry.shared,
            "Size": entry.size,
            "CreatedAt": crate::time::rfc3339(entry.made),
            "LastUsedAt": crate::time::rfc3339(entry.used),
            "UsageCount": entry.uses.max(1),
        })
    };
    Ok((entries.iter().map(describe).collect(), total))
}

fn brief(items: &[Value], verbose: bool, total: &disk::Total) -> Value {
    let mut fields = json!({
        "ActiveCount": total.active, "TotalCount": items.len(), "Reclaimable": total.reclaimable,
        "TotalSize": total.size,
    });
    if verbose && let Some(fields) = fields.as_object_mut() {
        fields.insert("Items".into(), json!(items));
    }
    fields
}
