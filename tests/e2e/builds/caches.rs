//! The build cache that goes from one engine to another.

use serde_json::Value;
use testkit::command::{self, Output};
use testkit::{Engine, Registry};

use super::{Context, image, run};

const TEXT: &str = "FROM BASE AS tools\nRUN cat /proc/sys/kernel/random/uuid > /tool\n\
                    FROM BASE\nCOPY a /a\nRUN cat /proc/sys/kernel/random/uuid > /mark\nCOPY --from=tools /tool /tool\n";

/// An engine with the same context as all others.
fn engine() -> (Engine, Context) {
    let engine = Engine::ours();
    engine.busybox();
    let context = Context::new(&engine, "shared", TEXT);
    context.file("a", "a");
    (engine, context)
}

fn build(engine: &Engine, context: &Context, more: &[&str]) -> Output {
    let mut command = engine.ketch_command();
    command.args(["build", "--progress", "plain"]).args(more);
    command::run(command.arg(context.path()))
}

fn marks(engine: &Engine, name: &str) -> String {
    run(engine, name, "cat /tool /mark")
}

// covers: cli docker build --cache-from
// covers: cli docker build --cache-to
#[test]
fn what_one_engine_made_is_found_by_another() {
    let registry = Registry::start();
    for (mode, image_manifest) in [("max", "true"), ("min", "true"), ("max", "false")] {
        let cache = registry.name(&format!("cache:{mode}-{image_manifest}"));
        let to = format!("type=registry,ref={cache},mode={mode},image-manifest={image_manifest}");
        let from = format!("type=registry,ref={cache}");
        let (first, context) = engine();
        let name = first.name("cached");
        build(&first, &context, &["-t", &name, "--cache-to", &to]).ok();
        let made = marks(&first, &name);
        let (second, context) = engine();
        let said = build(&second, &context, &["-t", &name, "--cache-from", &from]).ok();
        if mode == "max" {
            assert_eq!(marks(&second, &name), made, "{said}");
            assert_eq!(image(&second, &name)["RootFS"], image(&first, &name)["RootFS"]);
        } else {
            // What the result needs alone is there: another stage's steps are made again.
            let mark = |made: &str| made.lines().last().map(str::to_owned);
            assert_eq!(mark(&marks(&second, &name)), mark(&made), "{said}");
            assert_ne!(marks(&second, &name), made);
        }
        // What was brought is remembered here.
        let said = build(&second, &context, &["-t", &name]).ok();
        assert!(!said.contains("importing"), "{said}");
        // A change is no hit.
        context.file("a", "b");
        build(&second, &context, &["-t", &name, "--cache-from", &from]).ok();
        assert_ne!(marks(&second, &name).lines().last(), made.lines().last());
    }
}

// covers: dockerfile builtin-arg ARG BUILDKIT_INLINE_CACHE Bool
#[test]
fn an_image_carries_its_cache() {
    let registry = Registry::start();
    for how in ["--cache-to=type=inline", "--build-arg=BUILDKIT_INLINE_CACHE=1"] {
        let (first, context) = engine();
        let name = registry.name("carrying:1");
        build(&first, &context, &["-t", &name, "--push", how]).ok();
        let made = marks(&first, &name);
        let (second, context) = engine();
        let from = format!("--cache-from={name}");
        build(&second, &context, &["-t", "other:1", &from]).ok();
        assert_eq!(marks(&second, "other:1").lines().last(), made.lines().last());
    }
}

#[test]
fn a_cache_that_can_not_be_had_is_no_failure_and_one_that_is_not_known_is_refused() {
    let registry = Registry::start();
    let (engine, context) = engine();
    let missing = registry.name("missing:1");
    let said = build(&engine, &context, &["-t", "x:1", &format!("--cache-from={missing}")]).assert_code(0);
    assert!(said.stderr.contains("importing cache manifest"), "{}", said.stderr);
    for (flag, words) in [
        ("--cache-from=type=gha", "\"gha\""),
        ("--cache-to=type=s3,bucket=x", "\"s3\""),
        ("--cache-to=type=azblob", "\"azblob\""),
        ("--cache-to=type=registry,ref=x,mode=most", "\"most\""),
        ("--cache-to=type=registry,ref=x,odd=1", "\"odd\""),
        ("--cache-to=type=inline,mode=max", "\"mode\""),
        ("--cache-from=type=registry", "ref"),
    ] {
        let refused = build(&engine, &context, &[flag]).assert_code(1);
        assert!(refused.stderr.contains(words), "{flag}: {}", refused.stderr);
    }
    let unreachable = "--cache-to=type=registry,ref=127.0.0.1:1/x";
    build(&engine, &context, &[unreachable]).assert_code(1);
    build(&engine, &context, &[&format!("{unreachable},ignore-error=true")]).ok();
}

/// buildx says it in its own way.
#[test]
fn buildx_exchanges_caches() {
    let registry = Registry::start();
    let cache = format!("type=registry,ref={}", registry.name("buildx-cache:1"));
    let made = |engine: &Engine, context: &Context, flag: &str| {
        let mut command = engine.docker_command();
        command.args(["buildx", "build", "-t", "made:1", &format!("--{flag}={cache},mode=max")]);
        command::run(command.arg(context.path())).ok();
        marks(engine, "made:1")
    };
    let (first, context) = engine();
    let first = first.with_plugins();
    let before = made(&first, &context, "cache-to");
    let (second, context) = engine();
    let second = second.with_plugins();
    let mut command = second.docker_command();
    command.args(["buildx", "build", "-t", "made:1", &format!("--cache-from={cache}")]);
    command::run(command.arg(context.path())).ok();
    assert_eq!(marks(&second, "made:1"), before);
    let _: Value = image(&second, "made:1");
}
