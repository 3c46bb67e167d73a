//! What becomes of results, and of secrets: over BuildKit's protocol.

use std::fs;
use std::path::Path;

use testkit::Engine;
use testkit::command::{self, Output};

use super::{Context, run};

fn build(engine: &Engine, context: &Context, more: &[&str]) -> Output {
    let mut command = engine.ketch_command();
    command.current_dir(engine.scratch().join("")).args(["build", "--progress", "plain"]).args(more);
    command::run(command.arg(context.path()))
}

/// Files below a folder that hold these bytes.
fn holding(folder: &Path, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(holding(&path, bytes)),
            Ok(kind) if kind.is_file() => {
                let content = fs::read(&path).unwrap_or_default();
                if content.windows(bytes.len()).any(|window| window == bytes) {
                    found.push(path.display().to_string());
                }
            }
            _ => {}
        }
    }
    found
}

// covers: buildkit exporter Exporters.Type local
// covers: buildkit exporter Exporters.Type tar
// covers: buildkit exporter Exporters.Type docker
#[test]
fn results_go_where_they_are_wanted() {
    let engine = Engine::ours();
    engine.busybox();
    let text = "FROM BASE AS one\nRUN echo made > /made\nFROM scratch\nCOPY --from=one /made /\nCOPY d /d/\n";
    let context = Context::new(&engine, "outputs", text);
    context.file("d/x", "x").link("d/l", "x").mode("d/x", 0o600);
    build(&engine, &context, &["-o", "files"]).ok();
    let files = engine.scratch().join("files");
    assert_eq!(fs::read_to_string(files.join("made")).unwrap(), "made\n");
    assert_eq!(fs::read_link(files.join("d/l")).unwrap(), Path::new("x"));
    build(&engine, &context, &["-o", "type=tar,dest=files.tar"]).ok();
    let mut archive = tar::Archive::new(fs::File::open(engine.scratch().join("files.tar")).unwrap());
    let names = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string());
    assert_eq!(names.collect::<Vec<_>>(), ["d/", "d/l", "d/x", "made"]);
    let name = engine.name("archived");
    for kind in ["docker", "oci"] {
        build(&engine, &context, &["-t", &name, "-o", &format!("type={kind},dest={kind}.tar")]).ok();
        let path = engine.scratch().join(&format!("{kind}.tar"));
        let loaded = engine.docker(["load", "-i", &path.display().to_string()]).ok();
        assert_eq!(loaded, format!("Loaded image: {name}:latest"));
        engine.docker(["rmi", &name]).ok();
    }
}

#[test]
fn a_secret_is_in_its_step_and_nowhere_else() {
    let engine = Engine::ours();
    engine.busybox();
    let secret = format!("canary-{}-{:?}", std::process::id(), std::time::SystemTime::now());
    let file = engine.scratch().join("secret.txt");
    fs::write(&file, &secret).unwrap();
    let text = "FROM BASE\nRUN --mount=type=secret,id=s,uid=7,mode=0440 wc -c < /run/secrets/s > /length && stat -c '%a %u' /run/secrets/s >> /length\n\
                RUN --mount=type=secret,id=s,env=S test -n \"$S\"\nRUN test ! -e /run/secrets\n";
    let context = Context::new(&engine, "secret", text);
    let tag = engine.name("secret");
    let said = build(&engine, &context, &["-t", &tag, "--secret", &format!("id=s,src={}", file.display())]);
    assert_eq!(run(&engine, &tag, "cat /length"), format!("{}\n440 7", secret.len()));
    assert!(!said.ok().contains(&secret));
    assert_eq!(holding(engine.data_root(), secret.as_bytes()), Vec::<String>::new());
    assert!(!engine.log().contains(&secret));
}

#[test]
fn stages_that_need_each_other_alive_run_at_once() {
    let engine = Engine::ours();
    engine.busybox();
    // Each waits for the other's mark.
    let stage = |own: &str, other: &str| {
        format!(
            "FROM BASE AS {own}\nRUN --mount=type=cache,id=meet,target=/m touch /m/{own}; \
             while ! test -e /m/{other}; do sleep 0.02; done; echo {own} > /{own}\n"
        )
    };
    let text =
        format!("{}{}FROM BASE\nCOPY --from=a /a /\nCOPY --from=b /b /\n", stage("a", "b"), stage("b", "a"));
    let context = Context::new(&engine, "meet", &text);
    let tag = engine.name("meet");
    build(&engine, &context, &["-t", &tag]).ok();
    assert_eq!(run(&engine, &tag, "cat /a /b"), "a\nb");
}

// covers: dockerfile mount-value RUN type=cache,sharing=locked
#[test]
fn a_locked_cache_is_for_one_at_a_time_and_twice_for_one_step() {
    let engine = Engine::ours();
    engine.busybox();
    let stage = |own: &str| {
        format!(
            "FROM BASE AS {own}\nRUN --mount=type=cache,id=one,sharing=locked,target=/m --mount=type=cache,id=one,sharing=locked,target=/again \
             mkdir /m/alone && test -d /again/alone && sleep 0.1 && rm -r /m/alone && touch /{own}\n"
        )
    };
    let text = format!("{}{}FROM BASE\nCOPY --from=a /a /\nCOPY --from=b /b /\n", stage("a"), stage("b"));
    let context = Context::new(&engine, "locked", &text);
    build(&engine, &context, &["-t", &engine.name("locked")]).ok();
}
