//! Results in other layers than the steps made: squashed, and with times that are said.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;

use serde_json::{Value, json};
use testkit::Engine;
use testkit::command::{self, Output};

use super::{Context, image};

const BASE: &str = "FROM BASE\nRUN mkdir -p /base/kept /base/gone /base/new && echo 1 > /base/one && echo 2 > /base/two && \
    echo 3 > /base/kept/three && echo 4 > /base/gone/four && echo 5 > /base/new/five && ln /base/one /base/linked\n";

const CHANGES: &str = "FROM base:1\n\
    RUN mkdir /d && echo one > /d/one && echo two > /d/two && ln /d/two /d/link && echo x > /d/replaced\n\
    RUN rm /d/one /base/two && rm -r /base/gone && echo three > /d/three && rm /d/replaced && mkdir /d/replaced\n\
    RUN rm -r /base/new && mkdir /base/new && echo 6 > /base/new/six && rm -r /base/kept && echo file > /base/kept\n\
    RUN ln -s /d/two /sym && chmod 2750 /d && chown 7:8 /d/three && mkfifo /fifo && chmod 600 /base/one && touch -d @5 /d/two\n\
    COPY f /f\nCOPY --link f /linked/f\nRUN rm /f\nENV A=b\nRUN rm /base/linked\n";

fn build(engine: &Engine, context: &Context, more: &[&str]) -> Output {
    let mut command = engine.ketch_command();
    command.current_dir(engine.scratch().join("")).args(["build", "--progress", "plain"]).args(more);
    command::run(command.arg(context.path()))
}

type Entries = BTreeMap<String, (String, Vec<u8>)>;

/// What is in a tar: all that its headers say, and the content.
fn entries(tar: &[u8]) -> Entries {
    let mut archive = tar::Archive::new(tar);
    let mut found = BTreeMap::new();
    for entry in archive.entries().expect("a tar") {
        let mut entry = entry.expect("a tar");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("a tar");
        let header = entry.header();
        let link = entry.link_name().expect("a tar").map(|link| link.display().to_string());
        let said = format!(
            "{:?} {:o} {}:{} {} {link:?}",
            header.entry_type(),
            header.mode().unwrap_or(0),
            header.uid().unwrap_or(0),
            header.gid().unwrap_or(0),
            header.mtime().unwrap_or(0),
        );
        found.insert(entry.path().expect("a tar").display().to_string(), (said, content));
    }
    found
}

/// The whole tree that a container of an image begins with.
fn tree(engine: &Engine, name: &str) -> Entries {
    let id = engine.docker(["create", "--network=none", name, "true"]).ok();
    let file = engine.scratch().join("tree.tar");
    engine.docker(["export", "-o", &file.display().to_string(), id.trim()]).ok();
    engine.docker(["rm", id.trim()]).ok();
    entries(&std::fs::read(file).expect("a tar"))
}

/// An image's layers as they are saved, lowest first.
fn layers(engine: &Engine, name: &str) -> Vec<Entries> {
    let file = engine.scratch().join("saved.tar");
    engine.docker(["save", "-o", &file.display().to_string(), name]).ok();
    let files = entries(&std::fs::read(file).expect("a tar"));
    let lists: Value = serde_json::from_slice(&files["manifest.json"].1).expect("a list");
    let names = lists[0]["Layers"].as_array().expect("a list");
    names.iter().map(|name| entries(&files[name.as_str().expect("a name")].1)).collect()
}

// covers: api POST /build ?squash
// covers: cli docker build --squash
// covers: cli docker image build --squash
// covers: cli docker builder build --squash
// covers: cli docker buildx build --squash
// covers: cli docker buildx b --squash
#[test]
fn a_squashed_image_is_its_base_and_one_layer() {
    let engine = Engine::planned(|plan, scratch| plan.config(scratch, &json!({"experimental": true})));
    engine.busybox();
    let base = Context::new(&engine, "base", BASE);
    build(&engine, &base, &["-t", "base:1"]).ok();
    let below = layers(&engine, "base:1").len();
    let context = Context::new(&engine, "c", CHANGES);
    context.file("f", "content");
    build(&engine, &context, &["-t", "plain:1"]).ok();
    let expected = tree(&engine, "plain:1");
    for (number, word) in
        ["build", "image build", "builder build", "buildx build", "buildx b"].iter().enumerate()
    {
        let mut command = engine.ketch_command();
        command.args(word.split(' ')).args(["--squash", "-t", &format!("ours:{number}")]);
        command::run(command.arg(context.path())).ok();
    }
    let mut classic = engine.docker_command();
    classic.env("DOCKER_BUILDKIT", "0").args(["build", "--squash", "-t", "classic:1"]).arg(context.path());
    command::run(&mut classic).ok();
    for name in ["ours:0", "ours:1", "ours:2", "ours:3", "ours:4", "classic:1"] {
        let found = layers(&engine, name);
        assert_eq!(found.len(), below + 1, "{name}");
        let gone: Vec<&str> =
            found[below].keys().filter(|name| name.contains(".wh.")).map(String::as_str).collect();
        // What the base has and this hasn't; what only a step had in between is nowhere.
        let whiteouts = ["base/.wh.gone", "base/.wh.linked", "base/.wh.two", "base/new/.wh.five"];
        assert_eq!(gone, whiteouts, "{name}");
        let seen = tree(&engine, name);
        for (path, said) in &expected {
            assert_eq!(seen.get(path), Some(said), "{name}: {path}");
        }
        assert_eq!(seen.len(), expected.len(), "{name}");
        let (squashed, plain) = (image(&engine, name), image(&engine, "plain:1"));
        assert_eq!(squashed["Config"], plain["Config"], "{name}");
        let sizes = engine.docker(["history", "--format", "{{.Size}}", name]).ok();
        assert!(sizes.lines().filter(|size| *size != "0B").count() <= below + 1, "{name}: {sizes}");
    }
    // The same again is the same image, from the cache.
    let id = |name: &str| image(&engine, name)["Id"].clone();
    let first = id("ours:0");
    build(&engine, &context, &["--squash", "-t", "again:1"]).ok();
    assert_eq!(id("again:1"), first);
    // Nothing is below.
    let context = Context::new(&engine, "s", "FROM scratch\nCOPY f /f\nCOPY f /g/h\nCOPY g /f\n");
    context.file("f", "one").file("g", "two");
    build(&engine, &context, &["--squash", "-t", "alone:1"]).ok();
    let alone = layers(&engine, "alone:1");
    let names: Vec<&str> = alone[0].keys().map(String::as_str).collect();
    assert_eq!((alone.len(), names), (1, vec!["f", "g/", "g/h"]));
    assert_eq!(alone[0]["f"].1, b"two");
    let refused = build(&engine, &context, &["--squash", "-o", "out"]).assert_code(1);
    assert!(refused.stderr.contains("--squash is about an image's layers"), "{}", refused.stderr);
}

/// Also by the route of docker's clients of before 23, and with a base that is a stage.
#[test]
fn stages_and_archives_are_squashed_as_well() {
    let engine = Engine::ours();
    engine.busybox();
    let context = Context::new(
        &engine,
        "c",
        "FROM BASE AS one\nRUN echo 1 > /one\nRUN echo 2 > /two\nFROM one\nRUN rm /one && echo 3 > /three\nRUN echo 4 > /four\n",
    );
    let base = image(&engine, &engine.busybox())["RootFS"]["Layers"].as_array().map_or(0, Vec::len);
    build(&engine, &context, &["--squash", "-o", "type=docker,dest=x.tar,name=loaded:1"]).ok();
    engine.docker(["load", "-i", &engine.scratch().join("x.tar").display().to_string()]).ok();
    let found = layers(&engine, "loaded:1");
    assert_eq!(found.len(), base + 1);
    let made: Vec<&str> = found[base].keys().map(String::as_str).collect();
    assert_eq!(made, ["four", "three", "two"]);
}

// covers: buildkit exporter-attr image, oci, docker rewrite-timestamp
// covers: buildkit exporter-attr all source-date-epoch
// covers: buildkit llb-cap LLBCaps exporter.sourcedateepoch
#[test]
fn nothing_is_later_than_is_said() {
    let made = |client: &str, flags: &[&str]| -> (Vec<u8>, Entries, Value) {
        let engine = Engine::ours().with_plugins();
        engine.busybox();
        let context = Context::new(
            &engine,
            "c",
            "FROM BASE\nRUN mkdir /d && echo made > /d/made && rm /bin/busybox.absent || true\nCOPY f /f\n",
        );
        context.file("f", "content");
        let mut command = if client == "ketch" { engine.ketch_command() } else { engine.docker_command() };
        command.args(["buildx", "build", "--provenance=false", "-o"]).args(flags).arg(context.path());
        command::run(command.current_dir(engine.scratch().join(""))).ok();
        let whole = std::fs::read(engine.scratch().join("x.tar")).expect("an archive");
        let files = entries(&whole);
        let blob = |of: &Value| {
            files[&format!("blobs/{}", of["digest"].as_str().expect("a digest").replace(':', "/"))].1.clone()
        };
        let index: Value = serde_json::from_slice(&files["index.json"].1).expect("an index");
        let manifest: Value = serde_json::from_slice(&blob(&index["manifests"][0])).expect("a manifest");
        let config: Value = serde_json::from_slice(&blob(&manifest["config"])).expect("a config");
        let list = manifest["layers"].as_array().expect("layers");
        let mut all = Entries::new();
        for layer in &list[list.len() - 2..] {
            all.extend(entries(&blob(layer)));
        }
        (whole, all, config)
    };
    let output = "type=oci,dest=x.tar,compression=uncompressed,rewrite-timestamp=true";
    let argument = "--build-arg=SOURCE_DATE_EPOCH=1000000000";
    let (first, files, config) = made("ketch", &[output, argument]);
    assert!(files["d/made"].0.contains(" 1000000000 ") && files["f"].0.contains(" 1000000000 "), "{files:?}");
    let times = files.iter().filter(|(name, _)| *name != "./");
    assert!(times.clone().all(|(_, (said, _))| said.contains(" 1000000000 ")), "{files:?}");
    assert_eq!(config["created"], "2001-09-09T01:46:40Z");
    let (again, ..) = made("docker", &[output, argument]);
    assert!(first == again, "the same build on another engine, and other bytes");
    // Said to the exporter alone.
    let (_, files, config) = made("docker", &[&format!("{output},source-date-epoch=1000000007")]);
    assert!(files["d/made"].0.contains(" 1000000007 "), "{files:?}");
    assert_eq!(config["created"], "2001-09-09T01:46:47Z");
    let last = config["history"].as_array().and_then(|entries| entries.last()).expect("a history");
    assert_eq!(last["created"], "2001-09-09T01:46:47Z");
}

/// Files get the time that is said, whatever made them, as dockerd's builder has it.
#[test]
fn files_have_the_time_that_is_said() {
    let engine = Engine::ours().with_plugins();
    engine.busybox();
    let context = Context::new(
        &engine,
        "c",
        "FROM BASE AS a\nRUN echo hi > /made\nFROM scratch\nCOPY --from=a /made /made\nCOPY f /f\n",
    );
    context.file("f", "x");
    for (number, (flags, time)) in [
        (["--build-arg=SOURCE_DATE_EPOCH=1000000000", "type=local,dest=DEST"], 1_000_000_000),
        (["--label=a=b", "type=local,dest=DEST,source-date-epoch=1000000001"], 1_000_000_001),
    ]
    .into_iter()
    .enumerate()
    {
        for (client, mut command) in [("ours", engine.ketch_command()), ("theirs", engine.docker_command())] {
            let out = engine.scratch().join(&format!("{client}-{number}"));
            let output = flags[1].replace("DEST", &out.display().to_string());
            command::run(command.args(["buildx", "build", flags[0], "-o", &output]).arg(context.path())).ok();
            for name in ["made", "f"] {
                assert_eq!(std::fs::metadata(out.join(name)).unwrap().mtime(), time, "{client} {name}");
            }
        }
    }
    let refused = build(&engine, &context, &["-o", "type=image,source-date-epoch=soon"]).assert_code(1);
    assert!(refused.stderr.contains("invalid SOURCE_DATE_EPOCH"), "{}", refused.stderr);
}
