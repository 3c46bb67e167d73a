//! `build --explain`: why each step ran.

use testkit::Engine;
use testkit::command;

use super::Context;

/// What is said at the end, a line for each step, with the reason behind it.
fn explained(engine: &Engine, context: &Context, more: &[&str]) -> Vec<String> {
    let mut command = engine.ketch_command();
    command.args(["build", "--explain", "--progress", "quiet"]).args(more).arg(context.path());
    let said = command::run(&mut command).stderr;
    let mut told: Vec<String> = Vec::new();
    for line in said.lines() {
        if let Some(why) = line.strip_prefix("        ") {
            told.last_mut().into_iter().for_each(|step| *step = format!("{step}: {why}"));
        } else if ["RAN ", "CACHED ", "NOT RUN "].iter().any(|word| line.starts_with(word)) {
            told.push(line.to_owned());
        }
    }
    told
}

fn why<'a>(told: &'a [String], step: &str) -> &'a str {
    told.iter().find(|line| line.contains(step)).unwrap_or_else(|| panic!("{step} is not in {told:#?}"))
}

const TEXT: &str = "FROM BASE\nARG VERSION=1\nWORKDIR /app\nCOPY src src/\nRUN echo $VERSION > /version\n\
                    RUN --mount=type=bind,source=tool,target=/t cat /t/x > /tooled\n";

#[test]
fn a_step_says_what_differs_files_first() {
    let engine = Engine::ours();
    engine.busybox();
    let context = Context::new(&engine, "explained", TEXT);
    context.file("src/a", "a").file("src/b", "b").file("src/c", "c").file("tool/x", "x").file("other", "o");
    let first = explained(&engine, &context, &[]);
    assert!(why(&first, "COPY src").ends_with("nothing was built from here before"), "{first:#?}");

    let again = explained(&engine, &context, &[]);
    assert!(again.iter().all(|line| line.starts_with("CACHED")), "{again:#?}");
    assert!(again.iter().any(|line| line.contains("RUN echo")), "{again:#?}");

    // What isn't copied is no reason.
    context.file("other", "p");
    assert!(explained(&engine, &context, &[]).iter().all(|line| line.starts_with("CACHED")));

    context.file("src/a", "A").file("src/d", "d");
    std::fs::remove_file(context.path().join("src/b")).unwrap();
    let changed = explained(&engine, &context, &[]);
    assert!(why(&changed, "WORKDIR").starts_with("CACHED"), "{changed:#?}");
    assert!(
        why(&changed, "COPY src").ends_with("src/a changed; src/d is new; src/b is gone"),
        "{changed:#?}"
    );
    let follows = why(&changed, "RUN echo");
    assert!(follows.contains("COPY src src/ is not what it was"), "{follows}");

    // A file that is mounted; the step before it has nothing to do with it.
    context.file("tool/x", "X");
    let mounted = explained(&engine, &context, &[]);
    assert!(why(&mounted, "RUN --mount").ends_with(": tool/x changed"), "{mounted:#?}");
    assert!(why(&mounted, "RUN echo").starts_with("CACHED"), "{mounted:#?}");

    let variable = explained(&engine, &context, &["--build-arg", "VERSION=2"]);
    assert!(why(&variable, "RUN echo").ends_with("the variable VERSION has another value"), "{variable:#?}");

    context.dockerfile(&engine, &TEXT.replace("echo $VERSION", "echo v$VERSION"));
    let reworded = explained(&engine, &context, &["--build-arg", "VERSION=2"]);
    assert!(why(&reworded, "RUN echo").contains("it was \"RUN echo 2 > /version\""), "{reworded:#?}");

    let anew = explained(&engine, &context, &["--no-cache", "--build-arg", "VERSION=2"]);
    assert!(why(&anew, "COPY src").ends_with("the cache was not to be asked"), "{anew:#?}");
    engine.docker(["builder", "prune", "-af"]).ok();
    let pruned = explained(&engine, &context, &["--build-arg", "VERSION=2"]);
    assert!(why(&pruned, "WORKDIR").ends_with("what it made is no longer in the cache"), "{pruned:#?}");
    assert!(why(&pruned, "COPY src").contains("is no longer in the cache"), "{pruned:#?}");
}

#[test]
fn a_build_that_fails_is_explained_and_a_question_is_not() {
    let engine = Engine::ours();
    engine.busybox();
    let context = Context::new(&engine, "fails", "FROM BASE\nCOPY a /a\nRUN cat /a && false\nRUN true\n");
    context.file("a", "a");
    explained(&engine, &context, &[]);
    context.file("a", "b");
    let told = explained(&engine, &context, &[]);
    assert!(why(&told, "COPY a").ends_with(": a changed"), "{told:#?}");
    assert!(why(&told, "RUN true").starts_with("NOT RUN"), "{told:#?}");
    // What came to its end is what the next one is compared with.
    context.dockerfile(&engine, "FROM BASE\nCOPY a /a\nRUN cat /a\nRUN true\n");
    let told = explained(&engine, &context, &[]);
    assert!(why(&told, "COPY a").starts_with("CACHED"), "{told:#?}");
    assert!(
        why(&told, "RUN true").contains("is not what it was") || why(&told, "RUN true").contains("is new")
    );
    let mut asked = engine.ketch_command();
    let refused =
        command::run(asked.args(["build", "--explain", "--check"]).arg(context.path())).assert_code(1);
    assert!(refused.stderr.contains("--explain"), "{}", refused.stderr);
}

/// Other clients hear nothing of it.
#[test]
fn nobody_is_told_who_did_not_ask() {
    let engine = Engine::ours().with_plugins();
    engine.busybox();
    let context = Context::new(&engine, "unasked", "FROM BASE\nCOPY a /a\n");
    for content in ["a", "b"] {
        context.file("a", content);
        for mut client in [engine.ketch_command(), engine.docker_command()] {
            client.args(["build", "--progress", "plain"]).arg(context.path());
            let said = command::run(&mut client).assert_code(0);
            assert!(!said.stderr.contains("not cached"), "{}", said.stderr);
        }
    }
}
