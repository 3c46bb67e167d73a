//! The private registry that an engine serves in itself.

use std::os::unix::fs::MetadataExt as _;

use serde_json::{Value, json};
use testkit::http::{self, Reply, Request};
use testkit::{DEADLINE, Engine, eventually};

/// Each test has a network of its own.
const ADDRESS: &str = "127.0.0.1:5000";

fn with_registry() -> Engine {
    Engine::planned(|plan, scratch| plan.config(scratch, &json!({ "registry": ADDRESS })))
}

fn get(path: &str) -> Reply {
    let accept =
        "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
    let request = Request::new("GET", path).header("Accept", accept);
    eventually(DEADLINE, || {
        let stream = http::connect_tcp(ADDRESS.parse().map_err(|_| "no address".to_owned())?);
        let reply = stream.and_then(|stream| http::open_on(stream, &request)?.finish());
        reply.map_err(|error| error.to_string())
    })
}

/// The layer's blob as the engine and as the registry have it.
fn files(engine: &Engine, digest: &str) -> [Option<(u64, u64)>; 2] {
    let hex = digest.trim_start_matches("sha256:");
    ["blobs/sha256", "registry/blobs/sha256"].map(|folder| {
        let meta = std::fs::metadata(engine.data_root().join(folder).join(hex)).ok()?;
        Some((meta.ino(), meta.nlink()))
    })
}

#[test]
fn an_engine_serves_a_registry_and_has_each_blob_once() {
    let mut engine = with_registry();
    let (image, name) = (engine.busybox(), format!("{ADDRESS}/team/app:1"));
    engine.docker(["tag", &image, &name]).ok();
    engine.docker(["push", &name]).ok();
    let manifest: Value = get("/v2/team/app/manifests/1").expect(200).json();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap_or_default().to_owned();
    // Pulled again, the engine keeps what came: a third name beside the registry's own and its repository's.
    engine.docker(["rmi", &name, &image]).ok();
    engine.docker(["pull", &name]).ok();
    let [engines, registrys] = files(&engine, &layer);
    assert_eq!(engines, registrys, "two copies of {layer}");
    assert_eq!(engines.map(|(_, names)| names), Some(3));
    // What one of them gives up stays the other's.
    engine.docker(["rmi", &name]).ok();
    assert_eq!(files(&engine, &layer).map(|file| file.map(|(_, names)| names)), [None, Some(2)]);
    engine.crash_and_restart();
    assert_eq!(get("/v2/team/app/tags/list").expect(200).json()["tags"], json!(["1"]));
    engine.docker(["pull", &name]).ok();
    engine.docker(["run", "--rm", "--network", "none", &name, "true"]).ok();
    engine.docker(["rmi", &name]).ok();
}

#[test]
fn a_registry_that_cannot_be_is_told_before_anything_starts() {
    let scratch = testkit::Scratch::create();
    let validate = |value: &str| {
        let file = scratch.write("daemon.json", json!({ "registry": value }).to_string());
        let mut command = std::process::Command::new(testkit::command::ketch_binary());
        command.args(["daemon", "--validate", "--config-file"]).arg(file);
        testkit::command::run(&mut command)
    };
    validate("127.0.0.1:5000").ok();
    let nowhere = validate("nowhere").assert_code(1);
    assert!(nowhere.stderr.contains("http.addr"), "{}", nowhere.stderr);
    let missing = validate("/nonexistent/registry.yml").assert_code(1);
    assert!(missing.stderr.contains("/nonexistent/registry.yml"), "{}", missing.stderr);
    scratch.remove();
}
