//! What the engine is asked for: the requests that docker's client made of the same file, recorded from it.
//!
//! Left out on both sides: what is nothing; hashes and image ids, which depend on where the file lies; what dockerd copies
//! from one place of a request to another (`Links` and `IPAddress` stand twice in docker's).

use std::collections::BTreeMap;
use std::path::Path;

use compose::container::{Facts, container};
use compose::{Environment, Options, Project, Switches};
use serde_json::{Map, Value};

fn project() -> Project {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bodies");
    let options = Options {
        files: Vec::new(),
        directory: None,
        name: None,
        env_files: Vec::new(),
        environment: Environment::default(),
        current: folder,
        switches: Switches::default(),
        remote: None,
    };
    Project::load(&options, &[]).expect("the project")
}

/// Without what is nothing, lists whose order means nothing in order, the folder as `$DIR`.
fn plain(value: &Value, key: &str) -> Option<Value> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bodies");
    let kept = match value {
        Value::Null | Value::Bool(false) => return None,
        Value::Number(number) if number.as_f64() == Some(0.0) => return None,
        Value::String(text) => Value::String(text.replace(folder, "$DIR")),
        Value::Array(list) => {
            let mut list: Vec<Value> = list.iter().filter_map(|value| plain(value, "")).collect();
            if matches!(key, "Env" | "Binds" | "Mounts" | "Ulimits") {
                list.sort_by_key(Value::to_string);
            }
            Value::Array(list)
        }
        Value::Object(map) => {
            let pairs = map.iter().filter_map(|(key, value)| Some((key.clone(), plain(value, key)?)));
            let sorted: BTreeMap<_, _> = pairs.collect();
            Value::Object(sorted.into_iter().collect::<Map<_, _>>())
        }
        other => other.clone(),
    };
    let nothing = match &kept {
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    (!nothing).then_some(kept)
}

fn comparable(mut body: Value) -> Value {
    if let Some(labels) = body["Labels"].as_object_mut() {
        for own in [
            "com.docker.compose.config-hash",
            "com.docker.compose.image",
            "ketch.compose.contents",
            "ketch.compose.fields",
        ] {
            labels.shift_remove(own);
        }
    }
    plain(&body, "").unwrap_or_default()
}

// covers: compose key networks.*.enable_ipv4
// covers: compose key networks.*.labels[]
// covers: compose key services.*.annotations[]
// covers: compose key services.*.blkio_config.device_read_iops
// covers: compose key services.*.blkio_config.device_read_iops[]
// covers: compose key services.*.blkio_config.device_read_iops[].path
// covers: compose key services.*.blkio_config.device_read_iops[].rate
// covers: compose key services.*.blkio_config.device_write_bps
// covers: compose key services.*.blkio_config.device_write_bps[]
// covers: compose key services.*.blkio_config.device_write_bps[].path
// covers: compose key services.*.blkio_config.device_write_bps[].rate
// covers: compose key services.*.cpu_rt_period
// covers: compose key services.*.cpu_rt_runtime
// covers: compose key services.*.deploy.resources.reservations.devices
// covers: compose key services.*.deploy.resources.reservations.devices[]
// covers: compose key services.*.deploy.resources.reservations.devices[].capabilities
// covers: compose key services.*.deploy.resources.reservations.devices[].capabilities[]
// covers: compose key services.*.deploy.resources.reservations.devices[].count
// covers: compose key services.*.deploy.resources.reservations.devices[].device_ids
// covers: compose key services.*.deploy.resources.reservations.devices[].device_ids[]
// covers: compose key services.*.deploy.resources.reservations.devices[].driver
// covers: compose key services.*.deploy.resources.reservations.devices[].options
// covers: compose key services.*.deploy.resources.reservations.devices[].options.*
// covers: compose key services.*.deploy.resources.reservations.devices[].options[]
// covers: compose key services.*.devices[].permissions
// covers: compose key services.*.devices[].source
// covers: compose key services.*.devices[].target
// covers: compose key services.*.gpus
// covers: compose key services.*.gpus[]
// covers: compose key services.*.gpus[].capabilities
// covers: compose key services.*.gpus[].capabilities[]
// covers: compose key services.*.gpus[].count
// covers: compose key services.*.gpus[].device_ids
// covers: compose key services.*.gpus[].device_ids[]
// covers: compose key services.*.gpus[].driver
// covers: compose key services.*.gpus[].options
// covers: compose key services.*.gpus[].options.*
// covers: compose key services.*.gpus[].options[]
// covers: compose key services.*.isolation
// covers: compose key services.*.label_file[]
// covers: compose key services.*.runtime
// covers: compose key services.*.storage_opt
// covers: compose key services.*.sysctls[]
// covers: compose key services.*.userns_mode
// covers: compose key services.*.volumes[].bind.recursive
// covers: compose key services.*.volumes[].consistency
// covers: compose key services.*.volumes[].volume.labels[]
// covers: compose key volumes.*.labels.*
// covers: compose syntax services.*.gpus
// covers: compose syntax services.*.deploy.resources.reservations.devices[].capabilities
#[test]
fn requests_are_those_of_dockers_client() {
    let project = project();
    let recorded: Value = serde_json::from_str(include_str!("bodies/docker.json")).unwrap();
    let mut compared = 0;
    let mut compare = |name: &str, ours: Value| {
        // Their lists are in the order in which they were sorted by another program: sorted once more, as ours are.
        let theirs = comparable(recorded[name].clone());
        assert_eq!(
            serde_json::to_string_pretty(&comparable(ours)).unwrap(),
            serde_json::to_string_pretty(&theirs).unwrap(),
            "{name}"
        );
        compared += 1;
    };
    for service in project.names("services") {
        let ids = ["ids", "mounts"].map(|other| (other.to_owned(), format!("ID-{other}")));
        let facts = Facts { containers: ids.into(), ..Facts::default() };
        let mut wanted = container(&project, service, 1, &facts).unwrap();
        // docker's client forgets that volumes are taken over to be read only.
        if service == "share" {
            assert_eq!(wanted.body["HostConfig"]["VolumesFrom"][0], "ID-mounts:ro");
            wanted.body["HostConfig"]["VolumesFrom"][0] = "ID-mounts".into();
        }
        compare(&wanted.name, wanted.body);
    }
    for key in project.names("networks") {
        compare(&project.resource_name("networks", key), project.network(key));
    }
    for key in project.names("volumes") {
        compare(&project.resource_name("volumes", key), project.volume(key));
    }
    assert_eq!(compared, recorded.as_object().unwrap().len());
}
