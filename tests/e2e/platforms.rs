//! One name with images for several platforms.

use serde_json::{Value, json};
use testkit::http::{Reply, Request};
use testkit::{Engine, Registry, images};

const KIND: &str = "application/vnd.oci.image";

/// An OCI layout with an image for each of these architectures under one name.
fn archive(name: &str, architectures: &[&str]) -> Vec<u8> {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let mut put = |kind: &str, bytes: Vec<u8>| {
        let digest = images::digest(&bytes);
        let descriptor =
            json!({"mediaType": format!("{KIND}.{kind}"), "digest": digest, "size": bytes.len()});
        files.push((format!("blobs/sha256/{}", &digest[7..]), bytes));
        descriptor
    };
    let mut manifests = Vec::new();
    for architecture in architectures {
        let layer = images::archive_of(&[("for", architecture.as_bytes())]);
        let rootfs = json!({"type": "layers", "diff_ids": [images::digest(&layer)]});
        let config = json!({"architecture": architecture, "os": "linux", "config": {}, "rootfs": rootfs});
        let layer = put("layer.v1.tar", layer);
        let config = put("config.v1+json", config.to_string().into_bytes());
        let kind = format!("{KIND}.manifest.v1+json");
        let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]});
        manifests.push(put("manifest.v1+json", manifest.to_string().into_bytes()));
    }
    let index =
        json!({"schemaVersion": 2, "mediaType": format!("{KIND}.index.v1+json"), "manifests": manifests});
    let mut index = put("index.v1+json", index.to_string().into_bytes());
    index["annotations"] = json!({"io.containerd.image.name": format!("docker.io/library/{name}")});
    let outer = json!({"schemaVersion": 2, "manifests": [index]}).to_string().into_bytes();
    files.push(("index.json".to_owned(), outer));
    let files: Vec<(&str, &[u8])> = files.iter().map(|(path, bytes)| (path.as_str(), &bytes[..])).collect();
    images::archive_of(&files)
}

fn call(engine: &Engine, method: &str, path: &str) -> Reply {
    engine.request_unchecked(&Request::new(method, path))
}

fn load(engine: &Engine, archive: Vec<u8>) {
    let request = Request::new("POST", "/images/load").header("Content-Type", "application/x-tar");
    engine.request_unchecked(&request.body(archive)).expect(200);
}

fn platform(architecture: &str) -> String {
    format!("%7B%22os%22:%22linux%22,%22architecture%22:%22{architecture}%22%7D")
}

fn architecture(engine: &Engine, name: &str, query: &str) -> String {
    let image = call(engine, "GET", &format!("/images/{name}/json?{query}")).expect(200).json();
    image["Architecture"].as_str().unwrap_or_default().to_owned()
}

/// This host's architecture, and another one.
fn here_and_there() -> (&'static str, &'static str) {
    if cfg!(target_arch = "aarch64") { ("arm64", "amd64") } else { ("amd64", "arm64") }
}

// dockerd's graph drivers keep one platform of a name, and answer `manifests` with nothing.
// covers: api GET /images/{name}/json ?platform
// covers: api GET /images/{name}/json ?manifests
// covers: api GET /images/json ?manifests
// covers: api GET /images/{name}/history ?platform
// covers: api DELETE /images/{name} ?platforms
#[test]
fn a_name_has_an_image_for_each_platform() {
    let engine = Engine::ours();
    let (here, there) = here_and_there();
    load(&engine, archive("many:1", &[there, here, "riscv64"]));
    assert_eq!(architecture(&engine, "many:1", ""), here, "what this host runs is meant first");
    for wanted in [here, there, "riscv64"] {
        assert_eq!(architecture(&engine, "many:1", &format!("platform={}", platform(wanted))), wanted);
        call(&engine, "GET", &format!("/images/many:1/history?platform={}", platform(wanted))).expect(200);
    }
    let refused = call(&engine, "GET", &format!("/images/many:1/json?platform={}", platform("s390x")));
    let words = refused.expect(404).message();
    for part in ["image with reference many:1 was found but its platform (", "linux/riscv64", "(linux/s390x)"]
    {
        assert!(words.contains(part), "{words}");
    }

    // Listed once, with all its manifests.
    let list = call(&engine, "GET", "/images/json?manifests=1").expect(200).json();
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
    let manifests = |image: &Value| {
        let manifests = image["Manifests"].as_array().cloned().unwrap_or_default();
        let of =
            |manifest: &Value| manifest["ImageData"]["Platform"]["architecture"].as_str().map(str::to_owned);
        let mut found: Vec<String> = manifests.iter().filter_map(of).collect();
        found.sort();
        found
    };
    let mut all = vec![here.to_owned(), there.to_owned(), "riscv64".to_owned()];
    all.sort();
    assert_eq!(manifests(&list[0]), all);
    let image = call(&engine, "GET", "/images/many:1/json?manifests=1").expect(200).json();
    assert_eq!(manifests(&image), all);
    assert_eq!(image["Manifests"][0]["Kind"], "image");
    let both = format!("/images/many:1/json?manifests=1&platform={}", platform(here));
    let words = call(&engine, "GET", &both).expect(400).message();
    assert_eq!(words, "conflicting options: manifests and platform options cannot both be set");
    assert_eq!(call(&engine, "GET", "/images/json?all=1").json().as_array().map(Vec::len), Some(3));

    // One goes, then all that are left.
    call(&engine, "POST", "/images/many:1/tag?repo=kept&tag=1").expect(201);
    for name in ["many:1", "kept:1"] {
        let query = format!("platform={}", platform("riscv64"));
        assert_eq!(architecture(&engine, name, &query), "riscv64");
        let path = format!("/images/{name}?platforms={}", platform("riscv64"));
        call(&engine, "DELETE", &path).expect(200);
        call(&engine, "GET", &format!("/images/{name}/json?{query}")).expect(404);
    }
    call(&engine, "DELETE", "/images/kept:1").expect(200);
    let image = call(&engine, "GET", "/images/many:1/json?manifests=1").expect(200).json();
    assert_eq!(manifests(&image).len(), 2);
    call(&engine, "POST", "/images/many:1/tag?repo=other&tag=1").expect(201);
    assert_eq!(architecture(&engine, "other:1", &format!("platform={}", platform(there))), there);
    for name in ["many:1", "other:1"] {
        call(&engine, "DELETE", &format!("/images/{name}")).expect(200);
    }
    assert_eq!(call(&engine, "GET", "/images/json?all=1").json(), json!([]));
}

// covers: registry client-behaviour pull/push platform choice
#[test]
fn platforms_go_to_a_registry_and_come_back_side_by_side() {
    let engine = Engine::ours();
    let registry = Registry::start();
    let (here, there) = here_and_there();
    load(&engine, archive("many:1", &[there, here]));
    let name = registry.name("many");
    call(&engine, "POST", &format!("/images/many:1/tag?repo={name}&tag=1")).expect(201);
    let pushed = call(&engine, "POST", &format!("/images/{name}/push?tag=1")).expect(200).text();
    let digest = registry.digest("many:1");
    assert!(pushed.contains(&digest), "{pushed}");
    let index: Value = serde_json::from_str(&registry.manifest("many:1")).unwrap();
    assert_eq!(index["manifests"].as_array().map(Vec::len), Some(2), "{index}");

    let other = Engine::ours();
    let pull = |wanted: &str| {
        call(&other, "POST", &format!("/images/create?fromImage={name}&tag=1&platform=linux/{wanted}"))
    };
    let refused = pull("s390x").expect(404).message();
    assert!(
        refused.contains("no matching manifest for linux/s390x in the manifest list entries"),
        "{refused}"
    );
    for wanted in [here, there] {
        let pulled = pull(wanted).expect(200).text();
        assert!(pulled.contains("Status: Downloaded newer image"), "{pulled}");
    }
    for wanted in [here, there] {
        let query = format!("platform={}", platform(wanted));
        assert_eq!(architecture(&other, &format!("{name}:1"), &query), wanted);
    }
    assert_eq!(architecture(&other, &format!("{name}:1"), ""), here);
    let digests = call(&other, "GET", &format!("/images/{name}:1/json")).json()["RepoDigests"].clone();
    assert_eq!(digests, json!([format!("{name}@{digest}")]));

    // One platform alone is pushed as itself.
    let single = registry.name("single");
    call(&other, "POST", &format!("/images/{name}:1/tag?repo={single}&tag=1")).expect(201);
    let path = format!("/images/{single}/push?tag=1&platform={}", platform(there));
    call(&other, "POST", &path).expect(200);
    let manifest: Value = serde_json::from_str(&registry.manifest("single:1")).unwrap();
    let wanted =
        index["manifests"].as_array().unwrap().iter().find(|m| m["platform"]["architecture"] == there);
    assert_eq!(Some(&json!(registry.digest("single:1"))), wanted.map(|entry| &entry["digest"]), "{manifest}");

    // Saved and loaded, both are there again.
    let saved = call(&other, "GET", &format!("/images/{name}:1/get")).expect(200).body;
    let third = Engine::ours();
    load(&third, saved);
    for wanted in [here, there] {
        let query = format!("platform={}", platform(wanted));
        assert_eq!(architecture(&third, &format!("{name}:1"), &query), wanted);
    }
}

// covers: api POST /containers/create ?platform
// covers: field ContainerCreateResponse Warnings[]
#[test]
fn a_container_is_of_the_platform_that_was_asked_for() {
    let engine = Engine::isolated();
    let name = engine.busybox();
    let (here, there) = here_and_there();
    let create = |platform: &str| {
        let body = json!({"Image": name, "HostConfig": {"NetworkMode": "none"}});
        let path = format!("/containers/create?name={}&platform={platform}", engine.name("c"));
        engine.request_unchecked(&Request::new("POST", &path).json(&body))
    };
    let words = create(&format!("linux/{there}")).expect(404).message();
    assert!(words.contains("does not match the specified platform"), "{words}");
    create(&format!("linux/{here}")).expect(201);

    let tar = images::archive_of(&[("a", engine.name("foreign").as_bytes())]);
    let foreign = engine.name("foreign");
    let path =
        format!("/images/create?fromSrc=-&repo={foreign}&tag=1&platform=linux/{there}&changes=CMD%20x");
    let request = Request::new("POST", &path).header("Content-Type", "application/x-tar");
    engine.request_unchecked(&request.body(tar)).expect(200);
    let body = json!({"Image": format!("{foreign}:1"), "HostConfig": {"NetworkMode": "none"}});
    let path = format!("/containers/create?name={}", engine.name("f"));
    let created = engine.request_unchecked(&Request::new("POST", &path).json(&body)).expect(201).json();
    let warning = created["Warnings"][0].as_str().unwrap_or_default();
    assert!(warning.starts_with("The requested image's platform (linux/"), "{created}");
    assert!(warning.ends_with("and no specific platform was requested"), "{warning}");
}
