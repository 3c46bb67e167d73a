//! What the cache answers, and what it must not.

use std::fs;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use testkit::Engine;
use testkit::http::Request;

use super::{Context, classic, image, run};

const TEXT: &str = "FROM BASE\nCOPY a.txt /a\nRUN cat /proc/sys/kernel/random/uuid > /first\n\
                    COPY d /d\nRUN cat /proc/sys/kernel/random/uuid > /second\n";

/// What ran anew is different from what ran before.
fn marks(engine: &Engine, tag: &str) -> (String, String) {
    (run(engine, tag, "cat /first"), run(engine, tag, "cat /second"))
}

fn context(engine: &Engine) -> Context {
    let context = Context::new(engine, "cached", TEXT);
    context.file("a.txt", "a").file("d/x", "x").file("unrelated", "1");
    context
}

// covers: dockerfile cache cache key instruction text plus content checksum (metadata but not mtime) for ADD, COPY, bind mounts
#[test]
fn only_what_a_change_reaches_is_done_anew() {
    let mut engine = Engine::isolated();
    engine.busybox();
    let context = context(&engine);
    let tag = engine.name("cached");
    let build = |engine: &Engine, more: &[&str]| {
        classic(engine, &context, &tag, more).ok();
        marks(engine, &tag)
    };
    let first = build(&engine, &[]);
    let id = image(&engine, &tag)["Id"].clone();
    assert_eq!(build(&engine, &[]), first);
    assert_eq!(image(&engine, &tag)["Id"], id);
    // Another time is no change.
    let later = SystemTime::now() + Duration::from_secs(3600);
    fs::File::options().append(true).open(context.path().join("d/x")).unwrap().set_modified(later).unwrap();
    // Nor is what no step takes.
    context.file("unrelated", "2");
    assert_eq!(build(&engine, &[]), first);
    // The same size at the same time, and another content.
    let time = fs::metadata(context.path().join("d/x")).unwrap().modified().unwrap();
    context.file("d/x", "y");
    fs::File::options().append(true).open(context.path().join("d/x")).unwrap().set_modified(time).unwrap();
    let second = build(&engine, &[]);
    assert_eq!((&second.0, run(&engine, &tag, "cat /d/x").as_str()), (&first.0, "y"));
    assert_ne!(second.1, first.1);
    // Back again: what was made then is still known, also by another engine.
    context.file("d/x", "x");
    assert_eq!(build(&engine, &[]), first);
    engine.crash_and_restart();
    assert_eq!(build(&engine, &[]), first);
    context.mode("d/x", 0o600);
    assert_ne!(build(&engine, &[]).1, first.1);
    // covers: api POST /build ?nocache
    let fresh = build(&engine, &["--no-cache"]);
    assert_ne!((&fresh.0, &fresh.1), (&first.0, &first.1));
}

// covers: api POST /build/prune
// covers: api POST /build/prune ?all
// covers: api POST /build/prune ?keep-storage
#[test]
fn what_is_pruned_is_made_again() {
    let engine = Engine::isolated();
    engine.busybox();
    let context = context(&engine);
    let tag = engine.name("pruned");
    classic(&engine, &context, &tag, &[]).ok();
    let first = marks(&engine, &tag);
    let listed = |engine: &Engine| {
        let usage: Value =
            engine.request_unchecked(&Request::new("GET", "/v1.51/system/df")).expect(200).json();
        usage["BuildCache"].as_array().unwrap().len()
    };
    assert_eq!(listed(&engine), 4);
    let keep = Request::new("POST", "/v1.51/build/prune?all=1&keep-storage=1000000000");
    assert!(engine.request_unchecked(&keep).expect(200).json()["CachesDeleted"].is_null());
    let all = engine.request_unchecked(&Request::new("POST", "/v1.51/build/prune?all=1")).expect(200).json();
    assert_eq!(all["CachesDeleted"].as_array().unwrap().len(), 4);
    assert_eq!(listed(&engine), 0);
    // The image has what it needs.
    assert_eq!(marks(&engine, &tag), first);
    classic(&engine, &context, &tag, &[]).ok();
    assert_ne!(marks(&engine, &tag), first);
}

#[test]
fn the_cache_keeps_its_layers_when_images_go_and_gives_them_back() {
    let engine = Engine::isolated();
    let base = engine.busybox();
    let context = context(&engine);
    let tag = engine.name("gone");
    classic(&engine, &context, &tag, &[]).ok();
    let first = marks(&engine, &tag);
    engine.docker(["rmi", "-f", &tag]).ok();
    classic(&engine, &context, &tag, &[]).ok();
    assert_eq!(marks(&engine, &tag), first);
    for image in [&tag, &base] {
        engine.docker(["rmi", "-f", image]).ok();
    }
    engine.request_unchecked(&Request::new("POST", "/v1.51/build/prune?all=1")).expect(200);
    let layers = fs::read_dir(engine.data_root().join("layers")).unwrap();
    let left = layers.filter(|entry| entry.as_ref().unwrap().file_name().len() == 64).count();
    assert_eq!(left, 0);
}

/// Whatever changes between builds: what the cache answers is what a clean build makes. A wrong hit is the worst there is.
#[test]
fn a_cached_build_is_what_a_clean_one_is() {
    let engine = Engine::ours();
    engine.busybox();
    let mut faults = testkit::Faults::of(120);
    let context = Context::new(&engine, "random", "FROM BASE\n");
    let names = ["a", "b", "d/a", "d/b", "d/e/a", "link", "ignored"];
    let steps = [
        "COPY a* /x/",
        "COPY d /x/d",
        "COPY . /x/all",
        "COPY --link d/e /x/e",
        "COPY --chmod=640 b* /x/m/",
        "COPY --chown=5:6 d /x/o",
        "COPY --exclude=a d /x/ex",
        "RUN cat /x/*/a /x/a > /x/sum 2>/dev/null; true",
        "RUN ls -R /x > /x/list; true",
        "WORKDIR /x/w",
        "RUN --mount=type=bind,target=/c cat /c/a /c/d/b > /x/bound 2>/dev/null; true",
        "RUN --mount=type=bind,source=d,target=/c ls -l /c | cut -c1-10 > /x/modes",
        "ENV V=1",
        "RUN echo $V > /x/v",
        "COPY --from=first /x/all /x/from",
    ];
    let look = "cd /x 2>/dev/null || exit 0; find . | sort | while read f; do test -L \"$f\" && readlink \"$f\" || stat -c '%n %F %a %u %g' \"$f\"; \
                test -f \"$f\" && test ! -L \"$f\" && md5sum \"$f\"; done; true";
    let (cached, clean) = (engine.name("cached"), engine.name("clean"));
    let mut chosen: Vec<&str> = Vec::new();
    for round in 0..faults.count {
        let name = names[faults.below(names.len() as u64) as usize];
        let path = context.path().join(name);
        match faults.below(9) {
            0..=2 => {
                // A file takes the link's place: nothing is written through it, it may lead to a folder.
                if path.is_symlink() {
                    fs::remove_file(&path).unwrap();
                }
                context.file(name, &format!("content {}", faults.below(4)));
            }
            3 if path.is_file() => {
                context.mode(name, [0o600, 0o644, 0o755][faults.below(3) as usize]);
            }
            4 => drop(fs::remove_file(&path)),
            5 if path.is_file() => {
                let later = SystemTime::now() + Duration::from_secs(faults.below(9999));
                fs::File::options().append(true).open(&path).unwrap().set_modified(later).unwrap();
            }
            6 => {
                let _ = fs::remove_file(context.path().join("link"));
                context.link("link", ["a", "d", "nowhere"][faults.below(3) as usize]);
            }
            7 => {
                let ignored = ["", "ignored\n", "d/e\n", "*\n!d\n"][faults.below(4) as usize];
                context.file(".dockerignore", ignored);
            }
            _ => {
                chosen = (0..1 + faults.below(5))
                    .map(|_| steps[faults.below(steps.len() as u64) as usize])
                    .collect();
            }
        }
        let text =
            format!("FROM BASE AS first\nCOPY . /x/all\nFROM BASE\nRUN mkdir /x\n{}\n", chosen.join("\n"));
        context.dockerfile(&engine, &text);
        let build = |tag: &str, more: &[&str]| {
            let mut command = engine.ketch_command();
            command.args(["build", "-q", "-t", tag]).args(more);
            testkit::command::run(command.arg(context.path())).code
        };
        let codes = (build(&cached, &[]), build(&clean, &["--no-cache"]));
        assert_eq!(codes.0, codes.1, "round {round}: {text}");
        if codes.0 == 0 {
            assert_eq!(run(&engine, &cached, look), run(&engine, &clean, look), "round {round}: {text}");
        }
    }
}
