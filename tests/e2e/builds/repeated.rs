//! The same inputs again: on another engine, on another day, from the cache.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use testkit::command::{self, Output};
use testkit::web::{Answer, Web};
use testkit::{DEADLINE, Engine, Registry, eventually};

use super::{Context, image};

/// What a checkout on each machine has: the same times as well.
fn aged(path: &Path) {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    if path.is_dir() {
        fs::read_dir(path).expect("a context").flatten().for_each(|entry| aged(&entry.path()));
    }
    File::open(path).and_then(|file| file.set_modified(at)).expect("a context's file");
}

fn context(engine: &Engine, name: &str, text: &str) -> Context {
    engine.busybox();
    let context = Context::new(engine, name, text);
    context.file("a", "a").file("tree/deep/b", "b");
    let mut archive =
        tar::Builder::new(File::create(context.path().join("c.tar")).expect("a context's file"));
    let mut header = tar::Header::new_gnu();
    header.set_size(1);
    header.set_mode(0o644);
    header.set_mtime(1_500_000_000);
    archive.append_data(&mut header, "folder/c", &b"c"[..]).expect("memory");
    archive.into_inner().expect("a context's file");
    aged(context.path());
    context
}

fn build(engine: &Engine, context: &Context, name: &str, more: &[&str]) -> Output {
    let mut client = engine.ketch_command();
    client.args(["build", "--progress", "plain", "-t", name]).args(more);
    command::run(client.arg(context.path()))
}

fn layers(engine: &Engine, name: &str) -> Vec<Value> {
    image(engine, name)["RootFS"]["Layers"].as_array().expect("an image has layers").clone()
}

/// The clock of what comes next shows something else.
fn later() {
    let second =
        || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now = second();
    eventually(DEADLINE, || if second() > now { Ok(()) } else { Err("the same second") });
}

#[test]
fn what_is_copied_is_the_same_layer_on_another_engine_and_day() {
    let web = Web::serve(|_| Answer::new(200, "of the web"));
    let address = web.address();
    let text = format!(
        "FROM scratch AS empty\nWORKDIR /not/there/before\nCOPY a new/\n\
         FROM BASE\nWORKDIR /work/deep\nWORKDIR below\nCOPY a tree new/folder/\n\
         COPY --chmod=700 --chown=5:6 tree /other\nCOPY --link a /linked/a\nCOPY --parents tree/*/b /parents/\n\
         ADD c.tar /unpacked/\nADD http://{address}/d /of/the/web\nCOPY --from=empty / /empty/\n"
    );
    let made = |epoch: &[&str]| {
        let engine = Engine::ours();
        let context = context(&engine, "copied", &text);
        build(&engine, &context, "made:1", epoch).ok();
        build(&engine, &context, "empty:1", &[&["--target", "empty"], epoch].concat()).ok();
        ["made:1", "empty:1"].map(|name| (layers(&engine, name), image(&engine, name)["Created"].clone()))
    };
    let [first, empty] = made(&[]);
    later();
    let [second, other] = made(&[]);
    assert_eq!((first.0.len(), empty.0.len()), (10, 2));
    for (number, (layer, again)) in
        first.0.iter().chain(&empty.0).zip(second.0.iter().chain(&other.0)).enumerate()
    {
        assert_eq!(layer, again, "layer {number}");
    }
    // When an image was made is its own affair, as docker's clients expect.
    assert_ne!(first.1, second.1);
}

/// What a step or a here-document writes is as old as the build, unless it is said when that was.
#[test]
fn what_is_written_is_the_same_layer_where_the_time_is_said() {
    let text = "FROM BASE\nRUN mkdir -p /a/b && echo c > /a/b/c\nCOPY <<file /made/\nwritten\nfile\n";
    let made = || {
        let engine = Engine::ours();
        let context = context(&engine, "written", text);
        let time = ["--build-arg", "SOURCE_DATE_EPOCH=1700000000", "--provenance=false"];
        let output = ["--output", "type=image,name=made:1,rewrite-timestamp=true"];
        build(&engine, &context, "made:1", &[&time[..], &output].concat()).ok();
        (layers(&engine, "made:1"), image(&engine, "made:1")["Created"].clone())
    };
    let first = made();
    later();
    assert_eq!(first, made());
    assert_eq!(first.1, "2023-11-14T22:13:20Z");
}

#[test]
fn words_alone_are_the_same_image_on_another_engine_and_day() {
    let made = || {
        let engine = Engine::ours();
        let context = context(&engine, "words", "FROM scratch\nLABEL a=b\nENV C=d\nCMD [\"x\"]\n");
        build(&engine, &context, "made:1", &[]).ok();
        let listed = engine.ketch(["images", "made", "--format", "{{.CreatedSince}} {{.ID}}"]).ok();
        assert!(listed.starts_with("N/A "), "{listed}");
        assert!(engine.ketch(["history", "made:1"]).ok().contains("N/A"));
        image(&engine, "made:1")["Id"].clone()
    };
    let first = made();
    later();
    assert_eq!(first, made());
}

#[test]
fn an_image_of_cached_steps_is_the_same_image() {
    let mut engine = Engine::ours();
    let text = "FROM BASE AS tools\nRUN echo tool > /tool\nFROM BASE\nENV A=b\nCOPY a /a\n\
                RUN date +%s%N > /now\nCOPY --from=tools /tool /tool\nCMD [\"x\"]\n";
    let context = context(&engine, "cached", text);
    let id = |engine: &Engine| image(engine, "made:1")["Id"].clone();
    build(&engine, &context, "made:1", &["--provenance=false"]).ok();
    let first = id(&engine);
    later();
    // Whatever files' times are.
    context.file("a", "a");
    for name in ["made:1", "other:1"] {
        build(&engine, &context, name, &["--provenance=false"]).ok();
        assert_eq!(image(&engine, name)["Id"], first);
    }
    engine.docker(["rmi", "made:1", "other:1"]).ok();
    engine.crash_and_restart();
    build(&engine, &context, "made:1", &["--provenance=false"]).ok();
    assert_eq!(id(&engine), first);
}

#[test]
fn an_image_of_another_engine_s_cache_is_that_engine_s_image() {
    let registry = Registry::start();
    let text = "FROM scratch AS tools\nCOPY a /tool\nFROM scratch\nENV A=b\nCOPY tree /a\nWORKDIR /b\n\
                COPY <<file /made/\nwritten\nfile\nCOPY --from=tools /tool /tool\nCMD [\"x\"]\n";
    let cache = registry.name("cache:1");
    let to = format!("type=registry,ref={cache},mode=max");
    let from = format!("type=registry,ref={cache}");
    let made = |more: &[&str]| {
        let engine = Engine::ours();
        let context = context(&engine, "shared", text);
        build(&engine, &context, "made:1", more).ok();
        image(&engine, "made:1")["Id"].clone()
    };
    let first = made(&["--cache-to", &to]);
    later();
    assert_eq!(made(&["--cache-from", &from]), first);
}
