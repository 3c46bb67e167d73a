//! Images as archives: out of one engine and into another.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use testkit::http::{Reply, Request};
use testkit::{Engine, Scratch, command, images};

fn load(engine: &Engine, archive: &[u8], query: &str) -> Reply {
    let request = Request::new("POST", &format!("/images/load?{query}"));
    engine.request_unchecked(&request.header("Content-Type", "application/x-tar").body(archive))
}

/// The lines that `docker load` would print.
fn loaded(reply: &Reply) -> Vec<String> {
    let messages = reply.text();
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    messages.filter_map(|message| Some(message["stream"].as_str()?.trim_end().to_owned())).collect()
}

fn save(engine: &Engine, path: &str) -> Vec<u8> {
    engine.request_unchecked(&Request::new("GET", path)).expect(200).body
}

fn tag(engine: &Engine, from: &str, repository: &str, tag: &str) {
    let path = format!("/images/{from}/tag?repo={repository}&tag={tag}");
    engine.request_unchecked(&Request::new("POST", &path)).expect(201);
}

fn remove(engine: &Engine, name: &str) {
    engine.request_unchecked(&Request::new("DELETE", &format!("/images/{name}?force=1"))).expect(200);
}

fn inspect(engine: &Engine, name: &str) -> Value {
    engine.request_unchecked(&Request::new("GET", &format!("/images/{name}/json"))).expect(200).json()
}

/// An archive's files and what is in them, read by tar itself; a path that is there twice fails.
fn files(scratch: &Scratch, archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let archive = scratch.write("archive.tar", archive);
    let folder = scratch.join("unpacked");
    std::fs::create_dir_all(&folder).expect("the test made it so");
    let mut tar = Command::new("tar");
    let listed = command::run(tar.arg("xvf").arg(archive).arg("-C").arg(&folder)).ok();
    let names = listed.lines().filter(|name| !name.ends_with('/'));
    let mut files = BTreeMap::new();
    for name in names {
        let content = std::fs::read(folder.join(name)).expect("the test made it so");
        assert!(files.insert(name.to_owned(), content).is_none(), "{name} is in it twice");
    }
    files
}

fn json_of(files: &BTreeMap<String, Vec<u8>>, name: &str) -> Value {
    serde_json::from_slice(&files[name]).expect("the test made it so")
}

fn run(program: &str, arguments: &[&str], folder: &Path) -> String {
    command::run(Command::new(program).args(arguments).current_dir(folder)).ok()
}

// covers: api GET /images/{name}/get
// covers: api GET /images/get
// covers: api GET /images/get ?names
// covers: value event-action events save
#[test]
fn an_archive_has_each_layer_once_and_says_it_in_both_tongues() {
    let engine = Engine::isolated();
    let first = engine.busybox();
    let second = format!("{}:2", engine.name("other"));
    load(&engine, &images::busybox(&second).unwrap(), "").expect(200);
    let more = engine.name("more");
    tag(&engine, &first, &more, "1");
    let saved = save(&engine, &format!("/images/get?names={first}&names={second}&names={more}:1"));
    let files = files(engine.scratch(), &saved);

    let manifest = json_of(&files, "manifest.json");
    assert_eq!(manifest[0]["RepoTags"], json!([first, format!("{more}:1")]));
    assert_eq!(manifest[1]["RepoTags"], json!([second]));
    assert_eq!(manifest[0]["Layers"], manifest[1]["Layers"], "both have busybox's layer");
    let id = inspect(&engine, &first)["Id"].as_str().unwrap().to_owned();
    assert_eq!(manifest[0]["Config"], format!("blobs/sha256/{}", &id[7..]));
    let layer = manifest[0]["Layers"][0].as_str().unwrap();
    let diff_id = layer.replace("blobs/sha256/", "sha256:");
    assert_eq!(manifest[0]["LayerSources"][&diff_id]["size"], files[layer].len());

    assert_eq!(json_of(&files, "oci-layout"), json!({"imageLayoutVersion": "1.0.0"}));
    let index = json_of(&files, "index.json");
    let annotations: Vec<_> =
        index["manifests"].as_array().unwrap().iter().map(|m| &m["annotations"]).collect();
    assert_eq!(annotations.len(), 3);
    assert_eq!(annotations[0]["io.containerd.image.name"], format!("docker.io/library/{first}"));
    assert_eq!(annotations[0]["org.opencontainers.image.ref.name"], "1");
    let digest = index["manifests"][0]["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/");
    let oci = json_of(&files, &digest);
    assert_eq!(oci["layers"][0]["mediaType"], "application/vnd.oci.image.layer.v1.tar");
    assert_eq!(oci["config"]["digest"], id);
    assert_eq!(json_of(&files, "repositories")[&more]["1"], layer.replace("blobs/sha256/", ""));

    // Taken away and loaded again, everything is as it was.
    for name in [&first, &second, &format!("{more}:1")] {
        remove(&engine, name);
    }
    let lines = loaded(&load(&engine, &saved, "quiet=1").expect(200));
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(inspect(&engine, &format!("{more}:1"))["Id"], id);
    engine.docker(["run", "--rm", "--network", "none", &second, "true"]).ok();
    for name in [&first, &second, &format!("{more}:1")] {
        remove(&engine, name);
    }
}

#[test]
fn what_is_not_there_is_not_saved() {
    let engine = Engine::isolated();
    let none = engine.name("none");
    engine.request_unchecked(&Request::new("GET", &format!("/images/{none}/get"))).expect(404);
    engine.request_unchecked(&Request::new("GET", &format!("/images/{none}:1/get"))).expect(404);
}

// covers: api GET /images/{name}/get ?platform
// covers: api GET /images/get ?platform
#[test]
fn the_same_image_is_the_same_archive() {
    let engine = Engine::ours();
    let name = engine.busybox();
    let saved = save(&engine, &format!("/images/{name}/get"));
    assert!(
        saved == save(&engine, &format!("/images/get?names={name}")),
        "the second archive is another one"
    );
    // Saved by its id, it has no name.
    let id = inspect(&engine, &name)["Id"].as_str().unwrap().to_owned();
    let nameless = save(&engine, &format!("/images/{id}/get"));
    assert_eq!(json_of(&files(engine.scratch(), &nameless), "manifest.json")[0]["RepoTags"], Value::Null);
    let path =
        format!("/images/{name}/get?platform=%7B%22os%22:%22linux%22,%22architecture%22:%22s390x%22%7D");
    let refused = engine.request_unchecked(&Request::new("GET", &path)).expect(404).message();
    assert!(refused.contains("was found but its platform ("), "{refused}");
    let other = Engine::ours();
    assert_eq!(loaded(&load(&other, &saved, "").expect(200)), [format!("Loaded image: {name}")]);
    assert!(
        saved == save(&other, &format!("/images/{name}/get")),
        "the other engine's archive is another one"
    );
}

// covers: api POST /images/load ?quiet
#[test]
fn archives_come_compressed_or_not() {
    let engine = Engine::isolated();
    let name = format!("{}:1", engine.name("packed"));
    let plain = engine.scratch().write("a.tar", images::busybox(&name).unwrap());
    let folder = plain.parent().unwrap();
    for program in ["gzip", "zstd"] {
        run("sh", &["-c", &format!("{program} -q -c a.tar > packed")], folder);
        let packed = folder.join("packed");
        let reply = load(&engine, &std::fs::read(packed).unwrap(), "quiet=1").expect(200);
        assert_eq!(loaded(&reply), [format!("Loaded image: {name}")], "{program}: {}", reply.text());
        remove(&engine, &name);
    }
}

/// An OCI layout of the test's image, made by skopeo, as a folder.
fn layout(engine: &Engine, name: &str) -> PathBuf {
    let archive = engine.scratch().write("a.tar", images::busybox(name).expect("the test made it so"));
    let folder = archive.parent().expect("the test made it so").to_owned();
    let (from, to) = (format!("docker-archive:{}", archive.display()), "oci:layout:docker.io/library/laid:1");
    run("skopeo", &["--insecure-policy", "copy", "-q", &from, to], &folder);
    folder.join("layout")
}

fn packed(layout: &Path) -> Vec<u8> {
    run("tar", &["cf", "../layout.tar", "."], layout);
    std::fs::read(layout.with_file_name("layout.tar")).expect("the test made it so")
}

fn put(layout: &Path, document: &Value) -> Value {
    let bytes = document.to_string();
    let digest = images::digest(bytes.as_bytes());
    std::fs::write(layout.join("blobs/sha256").join(&digest[7..]), &bytes).expect("the test made it so");
    json!({"mediaType": document["mediaType"], "digest": digest, "size": bytes.len()})
}

#[test]
fn archives_come_packed_in_each_way_that_people_pack_them() {
    let engine = Engine::isolated();
    let image = engine.busybox();
    let scratch = engine.scratch();
    let path = scratch.join("a.tar").display().to_string();
    engine.docker(["save", "-o", &path, &image]).ok();
    for (program, ending) in [("gzip", "gz"), ("bzip2", "bz2"), ("xz", "xz"), ("zstd", "zst")] {
        command::run(Command::new(program).args(["-k", "-q", "-1", &path])).ok();
        engine.docker(["rmi", &image]).ok();
        let told = engine.docker(["load", "-i", &format!("{path}.{ending}")]).ok();
        assert_eq!(told, format!("Loaded image: {image}"), "{program}");
    }
}

#[test]
fn what_is_wrong_with_an_archive_is_told_to_who_still_sends() {
    let engine = Engine::ours();
    let mut archive = b"\xfd7zXZ\0".to_vec();
    archive.resize(8 << 20, 1);
    let path = engine.scratch().write("a.tar.xz", archive);
    let output = engine.docker(["load", "-i", &path.display().to_string()]).assert_code(1);
    assert!(output.stderr.contains("cannot read the image archive"), "{}", output.stderr);
}

// dockerd's graph drivers want docker's own list beside the layout.
// covers: api POST /images/load
// covers: api POST /images/load ?platform
#[test]
fn an_oci_layout_is_loaded_with_nested_indexes_and_without_attestations() {
    let engine = Engine::ours();
    let layout = layout(&engine, "laid:1");
    assert_eq!(loaded(&load(&engine, &packed(&layout), "").expect(200)), ["Loaded image: laid:1"]);
    let id = inspect(&engine, "laid:1")["Id"].clone();
    remove(&engine, "laid:1");

    let index: Value = serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    let mut image = index["manifests"][0].clone();
    image["annotations"] = Value::Null;
    let mut attestation = image.clone();
    attestation["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest"});
    attestation["digest"] = json!(format!("sha256:{}", "a".repeat(64)));
    let mut absent = image.clone();
    absent["digest"] = json!(format!("sha256:{}", "b".repeat(64)));
    let kind = "application/vnd.oci.image.index.v1+json";
    let inner = json!({"schemaVersion": 2, "mediaType": kind, "manifests": [absent, image, attestation]});
    let mut inner = put(&layout, &inner);
    inner["annotations"] = json!({"io.containerd.image.name": "docker.io/library/nested:1"});
    let outer = json!({"schemaVersion": 2, "manifests": [inner]}).to_string();
    std::fs::write(layout.join("index.json"), outer).unwrap();
    let nested = packed(&layout);
    assert_eq!(loaded(&load(&engine, &nested, "").expect(200)), ["Loaded image: nested:1"]);
    assert_eq!(inspect(&engine, "nested:1")["Id"], id);
    engine.docker(["run", "--rm", "--network", "none", "nested:1", "true"]).ok();

    let other = "platform=%7B%22os%22:%22linux%22,%22architecture%22:%22s390x%22%7D";
    let refused = load(&engine, &nested, other).expect(404).message();
    assert!(refused.starts_with("the archive has no image for linux/s390x: it has linux/"), "{refused}");
}

#[test]
fn an_archive_that_lies_leaves_nothing() {
    let engine = Engine::ours();
    let blobs = || {
        let list = |folder: &str| {
            let folder = engine.scratch().join("data").join(folder);
            std::fs::read_dir(folder)
                .into_iter()
                .flatten()
                .flatten()
                .map(|e| e.file_name())
                .collect::<Vec<_>>()
        };
        (list("blobs/sha256"), list("layers").len())
    };
    let before = blobs();
    let layout = layout(&engine, "laid:1");
    let whole = packed(&layout);
    let manifest: Value = {
        let index: Value =
            serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
        let digest = index["manifests"][0]["digest"].as_str().unwrap()[7..].to_owned();
        serde_json::from_slice(&std::fs::read(layout.join("blobs/sha256").join(digest)).unwrap()).unwrap()
    };
    let layer = layout.join("blobs/sha256").join(&manifest["layers"][0]["digest"].as_str().unwrap()[7..]);
    let mut bytes = std::fs::read(&layer).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&layer, bytes).unwrap();
    for (what, archive) in [
        ("another layer than its name says", packed(&layout)),
        ("an early end", whole[..whole.len() / 2].to_vec()),
        ("nothing of an image", images::archive_of(&[("a", b"b")])),
        ("no JSON", images::archive_of(&[("manifest.json", b"[")])),
        ("no tar", b"hello".to_vec()),
        (
            "a missing config",
            images::archive_of(&[("manifest.json", br#"[{"Config":"x.json","Layers":[]}]"#)]),
        ),
    ] {
        let reply = load(&engine, &archive, "");
        assert!((400..500).contains(&reply.status()), "{what}: {} {}", reply.status(), reply.text());
        assert_eq!(blobs(), before, "{what} left something");
    }
}
