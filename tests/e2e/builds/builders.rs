//! What all of `buildx`' commands have alike: which builder is meant, and whether more is to be told.

use testkit::Engine;
use testkit::command::{Output, run};

use super::Context;

fn ours(engine: &Engine, words: &[&str]) -> Output {
    run(engine.ketch_command().args(words))
}

// covers: cli docker buildx --builder
// covers: cli docker buildx --debug
// covers: cli docker buildx bake --builder
// covers: cli docker buildx bake --debug
// covers: cli docker buildx dial-stdio --builder
// covers: cli docker buildx dial-stdio --debug
// covers: cli docker buildx dial-stdio --progress
// covers: cli docker buildx du --builder
// covers: cli docker buildx du --debug
// covers: cli docker buildx history --builder
// covers: cli docker buildx history --debug
// covers: cli docker buildx history logs --builder
// covers: cli docker buildx history logs --debug
// covers: cli docker buildx history ls --builder
// covers: cli docker buildx history ls --debug
// covers: cli docker buildx history rm --builder
// covers: cli docker buildx history rm --debug
// covers: cli docker buildx inspect --builder
// covers: cli docker buildx inspect --bootstrap
// covers: cli docker buildx inspect --debug
// covers: cli docker buildx ls --builder
// covers: cli docker buildx ls --debug
// covers: cli docker buildx prune --builder
// covers: cli docker buildx prune --debug
// covers: cli docker buildx version
// covers: cli docker buildx version --builder
// covers: cli docker buildx version --debug
// covers: value client-env docker buildx BUILDX_BUILDER
#[test]
fn the_builder_is_the_engine_that_the_context_means() {
    let engine = Engine::ours();
    let base = engine.busybox();
    let context = Context::new(&engine, "one", &format!("FROM {base}\nENV A=1\n"));
    let bake = context.path().join("docker-bake.hcl");
    std::fs::write(
        &bake,
        format!("target \"default\" {{\n  context = \"{}\"\n}}\n", context.path().display()),
    )
    .unwrap();
    let bake = bake.display().to_string();
    run(engine.ketch_command().arg("build").arg(context.path())).ok();
    let commands: [&[&str]; 9] = [
        &["bake", "-f", &bake],
        &["du"],
        &["history", "logs"],
        &["history", "ls"],
        &["inspect", "--bootstrap"],
        &["ls"],
        &["prune", "--force"],
        &["version"],
        &["dial-stdio", "--progress=none"],
    ];
    for words in commands {
        let (name, rest) = words.split_at(if words[0] == "history" { 2 } else { 1 });
        for (flag, fits) in [("--builder=default", true), ("--builder=absent", false)] {
            // Before the command, and behind it.
            for line in [[&["buildx", flag], words].concat(), [&["buildx"], name, &[flag], rest].concat()] {
                let said = ours(&engine, &line);
                assert_eq!(said.code == 0, fits, "{line:?}: {said:?}");
                assert!(
                    fits || said.stderr.contains("no builder \"absent\" found"),
                    "{line:?}: {}",
                    said.stderr
                );
            }
        }
        let mut other = engine.ketch_command();
        other.env("BUILDX_BUILDER", "absent").arg("buildx").args(words);
        let said = run(&mut other);
        assert_eq!(said.code == 0, name == ["version"], "{words:?}: {said:?}");
        for line in
            [[&["buildx", "--debug"], words].concat(), [&["buildx"], name, &["--debug"], rest].concat()]
        {
            let said = ours(&engine, &line).assert_code(0);
            let told = said.stderr.contains("debug: engine at");
            assert!(told || name == ["version"], "{line:?}: {}", said.stderr);
        }
    }
    for line in [&["history", "--builder=absent", "ls"][..], &["history", "rm", "--builder=absent", "--all"]]
    {
        let refused = ours(&engine, &[&["buildx"], line].concat()).assert_code(1);
        assert!(refused.stderr.contains("no builder \"absent\" found"), "{}", refused.stderr);
    }
    for line in [&["history", "--debug", "ls"][..], &["history", "rm", "--debug", "--all"]] {
        let said = ours(&engine, &[&["buildx"], line].concat()).assert_code(0);
        assert!(said.stderr.contains("debug: engine at"), "{}", said.stderr);
    }
}

// covers: cli docker buildx history ls --no-trunc
// covers: cli docker buildx ls --no-trunc
// covers: cli docker buildx prune --keep-storage
// covers: cli docker buildx prune --verbose
#[test]
fn what_listings_leave_out_and_what_pruning_leaves() {
    let engine = Engine::ours().with_plugins();
    let base = engine.busybox();
    let name = "a-folder-whose-name-is-longer-than-the-room-that-a-table-has";
    let context =
        Context::new(&engine, name, &format!("FROM {base}\nRUN head -c 100000 /dev/urandom > /a\n"));
    let file = context.path().join("Dockerfile-of-a-rather-long-name-that-needs-room");
    std::fs::copy(context.path().join("Dockerfile"), &file).unwrap();
    run(engine.ketch_command().args(["build", "-o", "type=cacheonly", "-f"]).arg(&file).arg(context.path()))
        .ok();
    let names = |flags: &[&str]| {
        let words = [&["buildx", "history", "ls"], flags].concat();
        let ours = ours(&engine, &words).ok();
        let row = ours.lines().nth(1).unwrap_or_default().to_owned();
        row.split_whitespace().nth(1).unwrap_or_default().to_owned()
    };
    let whole = "Dockerfile-of-a-rather-long-name-that-needs-room";
    assert_eq!(names(&["--no-trunc"]), whole);
    assert_eq!(names(&[]), format!("..{}", &whole[whole.len() - 34..]));
    assert!(ours(&engine, &["buildx", "ls", "--no-trunc"]).ok().contains("linux/"));
    let kept = ours(&engine, &["buildx", "prune", "--force", "--all", "--keep-storage=1GB"]).ok();
    assert!(kept.ends_with("0B"), "{kept}");
    let wrong = ours(&engine, &["buildx", "prune", "--force", "--keep-storage=much"]).assert_code(1);
    assert!(wrong.stderr.contains("much"), "{}", wrong.stderr);
    let pruned = ours(&engine, &["buildx", "prune", "--force", "--all", "--verbose"]).ok();
    assert!(pruned.contains("Reclaimable:") && pruned.contains("RUN head -c"), "{pruned}");
}

/// Refused by name, wherever docker has them.
#[test]
fn debuggers_and_policies_are_refused() {
    let engine = Engine::ours();
    for (words, why) in [
        (&["debug", "build", "."][..], "no debugger"),
        (&["debug", "--invoke", "sh", "b", "."], "no debugger"),
        (&["dap", "build", "."], "no debugger"),
        (&["policy", "json-schema"], "no policies"),
        (&["du", "--timeout=1s"], "--timeout"),
        (&["ls", "--timeout=1s"], "--timeout"),
        (&["inspect", "--timeout=1s"], "--timeout"),
        (&["prune", "--timeout=1s"], "--timeout"),
    ] {
        let refused = ours(&engine, &[&["buildx"], words].concat());
        assert_ne!(refused.code, 0, "{words:?}");
        assert!(refused.stderr.contains(why), "{words:?}: {}", refused.stderr);
    }
}
