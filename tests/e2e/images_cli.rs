//! Commands about images, by both command lines: the same words, the same codes, the same images afterwards.

use std::process::Command;

use testkit::command::{Output, run};

use testkit::{Engine, Registry, images};

type Client = fn(&Engine) -> Command;

const CLIENTS: [Client; 2] = [Engine::ketch_command, Engine::docker_command];

/// What both say to the same; it has to be the same, but for the name of the program.
#[track_caller]
fn alike(engine: &Engine, arguments: &[&str]) -> Output {
    let [ours, theirs] = CLIENTS.map(|client| run(client(engine).args(arguments)));
    assert_same(&ours, &theirs);
    ours
}

#[track_caller]
fn assert_same(ours: &Output, theirs: &Output) {
    let told = |output: &Output| {
        (output.code, output.stdout.replace("ketch", "docker"), output.stderr.replace("ketch", "docker"))
    };
    assert_eq!(told(ours), told(theirs), "{}", ours.line);
}

/// A name for each client, so that both can do what can be done but once.
fn names(engine: &Engine) -> [String; 2] {
    ["ours", "evil"].map(|name| format!("{}:1", engine.name(name)))
}

/// Both do what can be done but once, with a name of their own for `NAME`; the words have to be the same.
#[track_caller]
fn each(engine: &Engine, arguments: &[&str]) -> [Output; 2] {
    let [ours, theirs] = names(engine)
        .into_iter()
        .zip(CLIENTS)
        .map(|(name, client)| {
            let arguments = arguments.iter().map(|argument| argument.replace("NAME", &name));
            run(client(engine).args(arguments))
        })
        .collect::<Vec<_>>()
        .try_into()
        .unwrap_or_else(|_| unreachable!());
    let renamed = Output {
        stdout: theirs.stdout.replace("-evil:1", "-ours:1"),
        stderr: theirs.stderr.replace("-evil:1", "-ours:1"),
        ..theirs.clone()
    };
    assert_same(&ours, &renamed);
    [ours, theirs]
}

// covers: cli docker tag
// covers: cli docker image tag
// covers: cli docker rmi --force
// covers: cli docker rmi --no-prune
// covers: cli docker image rm
// covers: cli docker image rm --force
// covers: cli docker image rm --no-prune
// covers: cli docker image remove
// covers: cli docker image remove --force
// covers: cli docker image remove --no-prune
// covers: cli docker image rmi
// covers: cli docker image rmi --force
// covers: cli docker image rmi --no-prune
#[test]
fn names_are_given_and_taken_alike() {
    let engine = Engine::isolated();
    let box_ = engine.busybox();
    let id = engine.docker(["inspect", "--format", "{{.Id}}", &box_]).ok();
    let hex = id.trim_start_matches("sha256:");
    for source in [box_.as_str(), &id, hex, &hex[..12]] {
        each(&engine, &["tag", source, "NAME"]);
        let [ours, _] = each(&engine, &["rmi", "NAME"]);
        assert!(ours.ok().starts_with("Untagged: "));
    }
    each(&engine, &["image", "tag", &box_, "NAME"]);
    for verb in ["rm", "remove", "rmi"] {
        each(&engine, &["image", verb, "--no-prune", "NAME"]);
        each(&engine, &["image", verb, "--force", "NAME"]);
        each(&engine, &["tag", &box_, "NAME"]);
    }
    each(&engine, &["rmi", "--force", "--no-prune", "NAME"]);
    let digest = format!("x@sha256:{}", "a".repeat(64));
    for wrong in [
        &["tag", "nosuch", "x"][..],
        &["tag", &box_, "UPPER"],
        &["tag", "a:::b", "x"],
        &["tag", &box_, &digest],
        &["tag", &box_, "x:-"],
        &["rmi", "nosuch", "neither"],
        &["rmi", "--platform", "linux//", &box_],
    ] {
        assert!(!alike(&engine, wrong).assert_code(1).stderr.is_empty());
    }
    assert_eq!(alike(&engine, &["rmi", "--force", "nosuch"]).code, 0);
}

// covers: cli docker history
// covers: cli docker history --format
// covers: cli docker history --human
// covers: cli docker history --no-trunc
// covers: cli docker history --quiet
// covers: cli docker history --platform
// covers: cli docker image history
// covers: cli docker image history --format
// covers: cli docker image history --human
// covers: cli docker image history --no-trunc
// covers: cli docker image history --quiet
// covers: cli docker image history --platform
#[test]
fn a_history_is_told_alike() {
    let engine = Engine::isolated();
    let name = engine.busybox();
    for flags in [
        &[][..],
        &["--quiet"],
        &["--quiet", "--no-trunc"],
        &["--human=false"],
        &["-H=false", "--quiet"],
        &["--no-trunc", "--human=false", "--format", "table"],
        &["--format", "json"],
        &["--format", "{{.ID}} {{.CreatedBy}} {{.Size}} {{.CreatedAt}}"],
        &["--format", "table {{.CreatedBy}}\t{{.Comment}}"],
        &["--platform", "linux/amd64"],
        &["--platform", "linux"],
    ] {
        for verb in [&["history"][..], &["image", "history"]] {
            let text = alike(&engine, &[verb, flags, &[&name]].concat()).ok();
            assert!(!text.is_empty(), "{flags:?}");
        }
    }
    for wrong in [&["nosuch"][..], &["--platform", "a/b/c/d", &name], &["--platform", "linux/s390x", &name]] {
        alike(&engine, &[&["history"][..], wrong].concat()).assert_code(1);
    }
}

// covers: cli docker images --all
// covers: cli docker images --digests
// covers: cli docker images --filter
// covers: cli docker images --format
// covers: cli docker images --no-trunc
// covers: cli docker images --quiet
// covers: cli docker image ls
// covers: cli docker image ls --all
// covers: cli docker image ls --digests
// covers: cli docker image ls --filter
// covers: cli docker image ls --format
// covers: cli docker image ls --no-trunc
// covers: cli docker image ls --quiet
// covers: cli docker image list
// covers: cli docker image list --all
// covers: cli docker image list --digests
// covers: cli docker image list --filter
// covers: cli docker image list --format
// covers: cli docker image list --no-trunc
// covers: cli docker image list --quiet
// covers: value client-config config.json imagesFormat
#[test]
fn images_are_listed_alike() {
    let engine = Engine::isolated();
    let registry = Registry::start();
    let box_ = engine.busybox();
    let far = registry.name(&box_);
    registry.receive(&box_, &images::busybox(&far).unwrap_or_else(|error| panic!("{error:#}")));
    engine.docker(["pull", "--quiet", &far]).ok();
    let filter = format!("reference={}*", far.trim_end_matches('1'));
    for verb in [&["images"][..], &["image", "ls"], &["image", "list"]] {
        for flags in [
            &[][..],
            &["--all", "--no-trunc"],
            &["--digests"],
            &["--quiet"],
            &["--quiet", "--no-trunc"],
            &["--format", "json"],
            &["--format", "{{.ID}} {{.Repository}} {{.Digest}} {{.CreatedAt}}"],
            &["--format", "table {{.Tag}}\t{{.Size}}"],
        ] {
            let text = alike(&engine, &[verb, &["--filter", &filter], flags].concat()).ok();
            assert!(!text.is_empty(), "{verb:?} {flags:?}");
            alike(&engine, &[verb, flags, &[&box_]].concat());
        }
    }
    engine.scratch().write("home/.docker/config.json", r#"{"imagesFormat":"<{{.Repository}}>"}"#);
    let text = alike(&engine, &["images", &far]).ok();
    assert!(text.starts_with('<'), "{text}");
    alike(&engine, &["images", "--quiet", &far]).ok();
    for wrong in [&["--filter", "nosuch=1"][..], &["--filter", "x"], &["--format", "{{.Nope"]] {
        let [ours, theirs] = CLIENTS.map(|client| run(client(&engine).arg("images").args(wrong)));
        assert_eq!(ours.code, theirs.code, "{}\n{}", ours.stderr, theirs.stderr);
    }
    engine.docker(["rmi", &far]).ok();
}
