//! Devices by what they are, and limits of block devices.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use serde_json::{Value, json};
use testkit::http::Request;
use testkit::{Engine, command};

use crate::life::{both, inspected};

/// An engine that finds devices in a folder of the test.
pub(crate) fn engine(spec: &Value) -> Engine {
    Engine::planned(|plan, scratch| {
        let file = scratch.write("cdi/test.json", spec.to_string());
        std::fs::write(scratch.join("secret"), "from the vendor").expect("a file");
        plan.arg("--cdi-spec-dir").arg(file.parent().expect("a folder"))
    })
}

fn spec(folder: &str) -> Value {
    json!({
        "cdiVersion": "0.6.0", "kind": "ketch.test/gpu",
        "containerEdits": {"env": ["ALL=devices"]},
        "devices": [
            {"name": "0", "containerEdits": {
                "env": ["GPU=zero"],
                "deviceNodes": [{"path": "/dev/gpu0", "hostPath": "/dev/full", "permissions": "r"}],
                "mounts": [{"hostPath": format!("{folder}/secret"), "containerPath": "/opt/secret"}],
                "additionalGids": [4242],
            }},
            {"name": "all", "containerEdits": {"env": ["GPU=all"]}},
        ],
    })
}

// covers: cli docker run --gpus
// covers: cli docker container run --gpus
// covers: value option-key --gpus count
// covers: value option-key --gpus device
// covers: value option-key --gpus capabilities
// covers: value option-key --gpus driver
// covers: field DeviceRequest Driver
// covers: field DeviceRequest Count
// covers: field DeviceRequest DeviceIDs
// covers: field DeviceRequest DeviceIDs[]
// covers: field DeviceRequest Capabilities
// covers: field DeviceRequest Capabilities[]
// covers: field DeviceRequest Capabilities[][]
// covers: field Resources DeviceRequests[]
// covers: daemon flag --cdi-spec-dir
#[test]
fn a_device_by_name_brings_what_its_file_says() {
    let engine = Engine::planned(|plan, scratch| {
        let folder = scratch.path().display().to_string();
        let file = scratch.write("cdi/test.json", spec(&folder).to_string());
        std::fs::write(scratch.join("secret"), "from the vendor").expect("a file");
        plan.arg("--cdi-spec-dir").arg(file.parent().expect("a folder"))
    });
    let script = "echo $ALL $GPU; cat /opt/secret; echo; id -G; head -c 1 /dev/gpu0 | od -An -tx1; \
                  echo x 2>&1 >/dev/gpu0 || echo read only";
    let expected = "devices zero\nfrom the vendor\n0 4242\n 00\n";
    for (flag, value) in [("--device", "ketch.test/gpu=0"), ("--gpus", "device=0"), ("--gpus", "1")] {
        for (mut client, words) in both(&engine).into_iter().zip([&["run"][..], &["container", "run"]]) {
            client.args(words).args([
                "--rm",
                "--network",
                "none",
                flag,
                value,
                &engine.busybox(),
                "sh",
                "-c",
            ]);
            let said = command::run(client.arg(script)).ok();
            assert!(said.starts_with(expected) && said.ends_with("read only"), "{flag} {value}: {said}");
        }
    }
    let all = [
        "run",
        "--rm",
        "--network",
        "none",
        "--gpus",
        "all",
        &engine.busybox(),
        "sh",
        "-c",
        "echo $ALL $GPU",
    ];
    assert_eq!(engine.docker(all).ok(), "devices all");
    let info = engine.request_unchecked(&Request::new("GET", "/info")).json();
    assert_eq!(info["CDISpecDirs"].as_array().map(Vec::len), Some(1), "{info}");
}

// covers: cli docker create --gpus
// covers: cli docker container create --gpus
// covers: daemon config-key cdi-spec-dirs
// covers: daemon feature features.cdi
#[test]
fn what_no_file_describes_is_refused_and_named() {
    let engine = engine(&json!({"cdiVersion": "0.6.0", "kind": "test.org/card", "devices": []}));
    let name = engine.name("c");
    let create = [
        "create",
        "--name",
        &name,
        "--network",
        "none",
        "--device",
        "test.org/card=one",
        &engine.busybox(),
        "true",
    ];
    engine.docker(create).ok();
    let asked = &inspected(&engine, &name)["HostConfig"]["DeviceRequests"];
    assert_eq!((&asked[0]["Driver"], &asked[0]["DeviceIDs"]), (&json!("cdi"), &json!(["test.org/card=one"])));
    let told =
        engine.request_unchecked(&Request::new("POST", &format!("/containers/{name}/start"))).message();
    assert!(
        told.contains("CDI device injection failed: unresolvable CDI devices test.org/card=one"),
        "{told}"
    );
    for mut client in both(&engine) {
        let gpu = engine.name("g");
        let created = ["container", "create", "--name", &gpu, "--gpus", "all", &engine.busybox(), "true"];
        command::run(client.args(created)).ok();
        let start = Request::new("POST", &format!("/containers/{gpu}/start"));
        let told = engine.request_unchecked(&start).message();
        assert!(told.contains("could not select device driver \"\" with capabilities: [[gpu]]"), "{told}");
        engine.delete(&format!("/containers/{gpu}")).expect(204);
    }
    let request = json!({"Image": engine.busybox(), "Cmd": ["true"], "HostConfig": {"DeviceRequests":
        [{"Driver": "cdi", "DeviceIDs": ["test.org/card=one"], "Options": {"x": "y"}}]}});
    let reply = engine.request_unchecked(&Request::new("POST", "/containers/create").json(&request));
    assert!(reply.message().contains("DeviceRequests.Options is not supported"), "{}", reply.message());

    let keys = json!({"cdi-spec-dirs": ["/nowhere"], "features": {"cdi": false}});
    let off = Engine::planned(|plan, scratch| plan.config(scratch, &keys));
    let info = off.request_unchecked(&Request::new("GET", "/info")).json();
    assert_eq!(info["CDISpecDirs"], json!([]));
}

/// The disk that this machine runs from, with its numbers.
fn disk() -> Option<(String, String)> {
    let disks = std::fs::read_dir("/sys/block").ok()?.flatten();
    let node = disks.map(|disk| PathBuf::from("/dev").join(disk.file_name())).find(|path| {
        path.exists() && !path.to_string_lossy().contains("loop") && !path.to_string_lossy().contains("zram")
    })?;
    let meta = std::fs::metadata(&node).ok()?;
    let numbers = format!("{}:{}", rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
    Some((node.display().to_string(), numbers))
}

// covers: cli docker run --device-read-bps
// covers: cli docker run --device-write-bps
// covers: cli docker run --device-read-iops
// covers: cli docker run --device-write-iops
// covers: cli docker container run --device-read-bps
// covers: cli docker container run --device-write-bps
// covers: cli docker container run --device-read-iops
// covers: cli docker container run --device-write-iops
// covers: cli docker create --device-read-bps
// covers: cli docker create --device-write-bps
// covers: cli docker create --device-read-iops
// covers: cli docker create --device-write-iops
// covers: cli docker container create --device-read-bps
// covers: cli docker container create --device-write-bps
// covers: cli docker container create --device-read-iops
// covers: cli docker container create --device-write-iops
// covers: field ThrottleDevice Path
// covers: field ThrottleDevice Rate
// covers: field Resources BlkioDeviceReadBps[]
// covers: field Resources BlkioDeviceWriteBps[]
// covers: field Resources BlkioDeviceReadIOps[]
// covers: field Resources BlkioDeviceWriteIOps[]
#[test]
fn rates_of_a_block_device_reach_the_kernel() {
    let engine = Engine::ours();
    let Some((path, numbers)) = disk() else { panic!("this machine has no disk to limit") };
    let limits = [
        ("--device-read-bps", "5mb", "BlkioDeviceReadBps", "read_bps_device", "rbps", 5 << 20),
        ("--device-write-bps", "6mb", "BlkioDeviceWriteBps", "write_bps_device", "wbps", 6 << 20),
        ("--device-read-iops", "70", "BlkioDeviceReadIOps", "read_iops_device", "riops", 70),
        ("--device-write-iops", "80", "BlkioDeviceWriteIOps", "write_iops_device", "wiops", 80),
    ];
    let verbs =
        [["run", "-d"].as_slice(), &["container", "run", "-d"], &["create"], &["container", "create"]];
    let clients = both(&engine).into_iter().chain(both(&engine));
    for (number, (mut client, verb)) in clients.zip(verbs).enumerate() {
        let name = engine.name(&format!("io{number}"));
        client.args(verb).args(["--name", &name, "--network", "none"]);
        for (flag, rate, ..) in limits {
            client.arg(flag).arg(format!("{path}:{rate}"));
        }
        command::run(client.args([&engine.busybox(), "sleep", "600"])).ok();
        if verb.contains(&"create") {
            engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
        }
        let found = inspected(&engine, &name);
        let cgroup = format!("ketch/{}", found["Id"].as_str().unwrap());
        for (_, _, field, v1, v2, rate) in limits {
            assert_eq!(found["HostConfig"][field], json!([{"Path": path, "Rate": rate}]));
            let v1 = std::fs::read_to_string(format!("/sys/fs/cgroup/blkio/{cgroup}/blkio.throttle.{v1}"));
            match v1 {
                Ok(text) => assert_eq!(text.trim(), format!("{numbers} {rate}")),
                Err(_) => {
                    let text = std::fs::read_to_string(format!("/sys/fs/cgroup/{cgroup}/io.max")).unwrap();
                    assert!(text.contains(&format!("{v2}={rate}")), "{text}");
                }
            }
        }
        engine.delete(&format!("/containers/{name}?force=1")).expect(204);
    }
}

// covers: cli docker run --blkio-weight
// covers: cli docker run --blkio-weight-device
// covers: cli docker container run --blkio-weight
// covers: cli docker container run --blkio-weight-device
// covers: cli docker create --blkio-weight
// covers: cli docker create --blkio-weight-device
// covers: cli docker container create --blkio-weight
// covers: cli docker container create --blkio-weight-device
// covers: cli docker update --blkio-weight
// covers: cli docker container update --blkio-weight
// covers: field Resources BlkioWeightDevice[]
// covers: field Resources BlkioWeightDevice[].Path
// covers: field Resources BlkioWeightDevice[].Weight
#[test]
fn weights_are_kept_checked_and_given_to_a_scheduler_that_has_them() {
    let engine = Engine::ours();
    let Some((path, _)) = disk() else { panic!("this machine has no disk to weigh") };
    let weight = format!("{path}:200");
    let verbs =
        [["run", "-d"].as_slice(), &["container", "run", "-d"], &["create"], &["container", "create"]];
    let clients = both(&engine).into_iter().chain(both(&engine));
    for (number, (mut client, verb)) in clients.zip(verbs).enumerate() {
        let name = engine.name(&format!("w{number}"));
        let weights = ["--blkio-weight", "300", "--blkio-weight-device", &weight];
        client.args(verb).args(["--name", &name, "--network", "none"]).args(weights);
        let made = command::run(client.args([&engine.busybox(), "sleep", "600"]));
        // Where no scheduler knows of weights, the start says so by name.
        let asked = inspected(&engine, &name)["HostConfig"].clone();
        assert_eq!(asked["BlkioWeight"], 300);
        assert_eq!(asked["BlkioWeightDevice"], json!([{"Path": path, "Weight": 200}]));
        assert!(made.code == 0 || made.stderr.contains("weight"), "{made:?}");
        engine.delete(&format!("/containers/{name}?force=1")).expect(204);
    }
    let name = crate::life::runs(&engine, "changed", "sleep 600", &json!({}));
    for (mut client, (words, weight)) in
        both(&engine).into_iter().zip([(&["update"][..], "400"), (&["container", "update"], "500")])
    {
        let changed = command::run(client.args(words).args(["--blkio-weight", weight, &name]));
        let kept = inspected(&engine, &name)["HostConfig"]["BlkioWeight"].to_string();
        assert!(kept == weight || changed.stderr.contains("weight"), "{kept}: {changed:?}");
    }
    for (field, value, why) in [
        ("BlkioWeight", json!(5), "Range of blkio weight is from 10 to 1000"),
        (
            "BlkioWeightDevice",
            json!([{"Path": path, "Weight": 2000}]),
            "Range of blkio weight is from 10 to 1000",
        ),
    ] {
        let body = json!({"Image": engine.busybox(), "HostConfig": {field: value}});
        let reply =
            engine.request_unchecked(&Request::new("POST", "/containers/create").json(&body)).expect(400);
        assert!(reply.message().contains(why), "{}", reply.message());
    }
    let body = json!({"Image": engine.busybox(), "Cmd": ["true"],
        "HostConfig": {"BlkioDeviceReadBps": [{"Path": "/dev/null", "Rate": 1}]}});
    let name = engine.name("null");
    engine.post(&format!("/containers/create?name={name}"), &body).expect(201);
    let told =
        engine.request_unchecked(&Request::new("POST", &format!("/containers/{name}/start"))).message();
    assert!(told.contains("cannot limit the block device /dev/null: it is not a block device"), "{told}");
}

// covers: field SystemInfo DiscoveredDevices
// covers: field SystemInfo DiscoveredDevices[]
// covers: field DeviceInfo Source
// covers: field DeviceInfo ID
#[test]
fn the_engine_tells_which_devices_files_describe() {
    let engine = engine(&spec("/nowhere"));
    let info = |version: &str| {
        engine.request_unchecked(&Request::new("GET", &format!("{version}/info"))).expect(200).json()
    };
    let wanted =
        json!([{"Source": "cdi", "ID": "ketch.test/gpu=0"}, {"Source": "cdi", "ID": "ketch.test/gpu=all"}]);
    assert_eq!(info("/v1.50")["DiscoveredDevices"], wanted);
    assert_eq!(info("/v1.49").get("DiscoveredDevices"), None);
}

// refuses: value option-key --gpus options because they are for drivers other than CDI's files
// refuses: field DeviceRequest Options because they are for drivers other than CDI's files
// refuses: field DeviceRequest Options.* because they are for drivers other than CDI's files
#[test]
fn options_of_drivers_are_refused() {
    let engine = engine(&spec("/nowhere"));
    let tag = engine.busybox();
    for mut client in both(&engine) {
        let said = command::run(client.args(["run", "--gpus", "all,\"options=a=b\"", &tag, "true"]));
        assert!(said.code == 125 && said.stderr.contains("DeviceRequests.Options"), "{}", said.stderr);
    }
}
