//! Dockerfiles against what BuildKit answered to them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use dockerfile::check::{self, Failure, Findings};
use oci::Digest;
use serde_json::Value;

use super::*;
use crate::graph::{Change, Exec, Local, MountKind, Op, Place, Source, SourceFile};

/// What was recorded as `busybox`: a layer, a command, and no environment.
const BUSYBOX: &str = r#"{"architecture":"amd64","os":"linux","config":{"Cmd":["sh"]},"rootfs":{"type":"layers",
    "diff_ids":["sha256:0000000000000000000000000000000000000000000000000000000000000001"]},"history":[{"created_by":"base"}]}"#;
/// An image with triggers.
const TRIGGERS: &str = r#"{"architecture":"amd64","os":"linux","config":{"Env":["PATH=/bin"],"WorkingDir":"/w",
    "OnBuild":["COPY --from=busybox /bin/sh /sh","RUN echo $X","COPY a b"]},"rootfs":{"type":"layers",
    "diff_ids":["sha256:0000000000000000000000000000000000000000000000000000000000000002"]}}"#;

fn options(text: &[u8]) -> Options {
    let source = SourceFile { name: "Dockerfile".into(), language: "Dockerfile".into(), data: text.to_vec() };
    Options::new(Arc::new(source), platform::normal("linux", "amd64", ""))
}

/// Lowers with as much of the world as tests have.
fn attempt(text: &[u8], options: &Options) -> (Result<Lowered, Problem>, Findings) {
    let mut findings = match check::Options::of_dockerfile(text) {
        Ok(options) => Findings::new(options),
        Err(problem) => return (Err(Problem::new(problem.to_string())), Findings::default()),
    };
    let file = match dockerfile::parse(text, &mut findings) {
        Ok(file) => file,
        Err(error) => return (Err(error.into()), findings),
    };
    let mut known = Known::default();
    loop {
        let mut found = findings.clone();
        match lower(&file, options, &known, &mut found) {
            Err(problem) => return (Err(problem), found),
            Ok(Step::Done(lowered)) => return (Ok(*lowered), found),
            Ok(Step::Needs(needs)) => {
                for need in needs {
                    match need {
                        Need::Image { reference, platform, .. } => {
                            known.add_image(&reference, &platform, image(&reference));
                        }
                        Need::Ignore { key, .. } => known.add_ignore(&key, vec!["*.log".into()]),
                    }
                }
            }
        }
    }
}

fn image(reference: &str) -> ResolvedImage {
    let config = if reference.contains("triggers") { TRIGGERS } else { BUSYBOX };
    let digest = Digest::sha256(config.as_bytes());
    ResolvedImage { reference: reference.to_owned(), digest, config: config.as_bytes().to_vec() }
}

fn lowered(text: &str) -> Lowered {
    attempt(text.as_bytes(), &options(text.as_bytes())).0.expect("a Dockerfile that can be lowered")
}

fn names(lowered: &Lowered) -> Vec<&str> {
    lowered.graph.iter().map(|(_, vertex)| vertex.shown.name.as_str()).collect()
}

fn history(lowered: &Lowered) -> Vec<(&str, bool)> {
    let entries = lowered.config.history.iter();
    entries.map(|entry| (entry.created_by.as_deref().unwrap_or_default(), entry.empty_layer)).collect()
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn files(name: &str) -> BTreeMap<String, Vec<u8>> {
    let entries =
        std::fs::read_dir(folder(name)).expect("the corpus").map(|entry| entry.expect("an entry").path());
    let file = |path: PathBuf| {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        (name, std::fs::read(path).expect("a Dockerfile"))
    };
    entries.map(file).collect()
}

/// `refused.tsv` as in the parser's corpus: name, line, BuildKit's message, and ours where it's another on purpose.
#[test]
fn what_makes_no_sense_is_refused_in_buildkits_words() {
    let expected = std::fs::read_to_string(folder("refused.tsv")).expect("the messages");
    let expected: BTreeMap<&str, (usize, &str)> = expected
        .lines()
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            let (line, message) = (columns[columns.len() - 2], columns[columns.len() - 1]);
            (columns[0], (line.parse().expect("a line"), message))
        })
        .collect();
    let files = files("refused");
    assert_eq!(
        files.keys().map(String::as_str).collect::<Vec<_>>(),
        expected.keys().copied().collect::<Vec<_>>()
    );
    let mut wrong = Vec::new();
    for (name, text) in &files {
        let (line, message) = expected[name.as_str()];
        match attempt(text, &options(text)).0 {
            Err(problem) if (problem.lines.first, problem.message.as_str()) == (line, message) => {}
            Err(problem) => wrong.push(format!(
                "{name}: {}: {}\n  not {line}: {message}",
                problem.lines.first, problem.message
            )),
            Ok(_) => wrong.push(format!("{name}: fine\n  not {line}: {message}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The answers of `docker build --call=check,format=json`.
// covers: dockerfile check StageNameCasing
// covers: dockerfile check FromAsCasing
// covers: dockerfile check NoEmptyContinuation
// covers: dockerfile check ConsistentInstructionCasing
// covers: dockerfile check DuplicateStageName
// covers: dockerfile check ReservedStageName
// covers: dockerfile check JSONArgsRecommended
// covers: dockerfile check MaintainerDeprecated
// covers: dockerfile check UndefinedArgInFrom
// covers: dockerfile check WorkdirRelativePath
// covers: dockerfile check UndefinedVar
// covers: dockerfile check MultipleInstructionsDisallowed
// covers: dockerfile check LegacyKeyValueFormat
// covers: dockerfile check RedundantTargetPlatform
// covers: dockerfile check SecretsUsedInArgOrEnv
// covers: dockerfile check InvalidDefaultArgInFrom
// covers: dockerfile check FromPlatformFlagConstDisallowed
// covers: dockerfile check InvalidDefinitionDescription
// covers: dockerfile check ExposeProtoCasing
// covers: dockerfile check ExposeInvalidFormat
#[test]
fn checks_find_what_buildkits_find() {
    let expected = std::fs::read(folder("checks.json")).expect("the answers");
    let expected: BTreeMap<String, Value> = serde_json::from_slice(&expected).expect("JSON");
    let mut wrong = Vec::new();
    for (name, text) in files("checks") {
        let (result, findings) = attempt(&text, &Options { all_stages: true, ..options(&text) });
        let failure = result.err().map(|problem| Failure { message: problem.message, lines: problem.lines });
        let mut report = check::json(findings.list(), failure.as_ref(), "Dockerfile", "");
        report.as_object_mut().expect("an object").remove("sources");
        if report != expected[&name] {
            wrong.push(format!("{name}:\n{report}\n{}", expected[&name]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Names and history as the same Dockerfile had them with `docker build`.
// covers: dockerfile expansion one value per instruction a variable keeps its value through the whole instruction
#[test]
fn steps_and_history_are_called_as_buildkit_calls_them() {
    let text = include_str!("tests/everything.Dockerfile");
    let mut options = options(text.as_bytes());
    options.arguments.insert("D".into(), "4".into());
    let lowered = attempt(text.as_bytes(), &options).0.expect("a Dockerfile that can be lowered");
    let mut got: Vec<String> = names(&lowered).into_iter().map(str::to_owned).collect();
    got.extend(
        history(&lowered).into_iter().map(|(text, empty)| format!("{empty} {}", text.replace('\n', "\\n"))),
    );
    got.push(serde_json::to_string(&lowered.config.config).expect("JSON"));
    let expected: Vec<&str> = include_str!("tests/everything.txt").lines().collect();
    assert_eq!(got, expected);
}

fn local(lowered: &Lowered) -> &Local {
    let locals = lowered.graph.iter().filter_map(|(_, vertex)| match &vertex.op {
        Op::Source(Source::Local(local)) => Some(local),
        _ => None,
    });
    locals.last().expect("a directory")
}

fn execs(lowered: &Lowered) -> Vec<&Exec> {
    let execs = lowered.graph.iter().filter_map(|(_, vertex)| match &vertex.op {
        Op::Exec(exec) => Some(&**exec),
        _ => None,
    });
    execs.collect()
}

#[test]
fn only_what_is_used_of_the_context_is_sent() {
    for (text, follow) in [
        ("COPY a b/c /x/", vec!["a", "b/c"]),
        ("COPY . /", vec![]),
        ("COPY ../a /./b/ /x/", vec!["a", "b"]),
        ("ADD a /\nRUN --mount=target=/m,source=d true", vec!["a", "d"]),
        ("RUN --mount=target=/m true\nCOPY a /", vec![]),
        ("ARG F=f*\nCOPY $F /", vec!["f*"]),
    ] {
        let lowered = lowered(&format!("FROM busybox\n{text}\n"));
        assert_eq!(local(&lowered).follow, follow, "{text}");
    }
    let without = lowered("FROM busybox\nCOPY <<A /a\nA\nADD http://h/a /\n");
    assert!(!without.graph.iter().any(|(_, vertex)| matches!(vertex.op, Op::Source(Source::Local(_)))));
}

// covers: dockerfile onbuild ONBUILD order triggers run in the order registered
// covers: dockerfile form ONBUILD ONBUILD COPY --from= / RUN --mount=from=
#[test]
fn triggers_run_first_and_may_need_images() {
    let lowered = lowered("FROM triggers\nARG X=1\nRUN true\n");
    let got = names(&lowered);
    // The base's number was given before anybody knew of triggers, as BuildKit gives it.
    assert_eq!(got[0], "[1/2] FROM docker.io/library/triggers:latest");
    assert!(got.contains(&"[2/5] ONBUILD COPY --from=busybox /bin/sh /sh"), "{got:?}");
    assert!(got.contains(&"[internal] load build context"), "{got:?}");
    let history: Vec<&str> = history(&lowered).into_iter().map(|(text, _)| text).collect();
    let triggers = [
        "COPY /bin/sh /sh # buildkit",
        "RUN /bin/sh -c echo $X # buildkit",
        "COPY a b # buildkit",
        "ARG X=1",
        "RUN |1 X=1 /bin/sh -c true # buildkit",
    ];
    assert_eq!(history, triggers);
    assert_eq!(lowered.config.config.on_build, None);
}

#[test]
fn stages_that_nobody_needs_are_not_built() {
    let text = "FROM busybox AS a\nRUN a\nFROM busybox AS b\nRUN b\nFROM scratch AS c\nCOPY --from=a /x /y\nFROM b\n";
    let all = |target: &str| {
        let options = Options { target: target.into(), ..options(text.as_bytes()) };
        let lowered = attempt(text.as_bytes(), &options).0.expect("a stage");
        execs(&lowered).iter().map(|exec| exec.args.last().cloned().unwrap_or_default()).collect::<Vec<_>>()
    };
    assert_eq!(all(""), ["b"]);
    assert_eq!(all("C"), ["a"]);
    assert_eq!(all("a"), ["a"]);
    let missing = attempt(text.as_bytes(), &Options { target: "d".into(), ..options(text.as_bytes()) }).0;
    let message = missing.map(drop).map_err(|problem| problem.message);
    assert_eq!(message, Err("target stage \"d\" could not be found (did you mean a?)".to_owned()));
}

#[test]
fn mounts_say_what_they_mean() {
    let lowered = lowered(
        "FROM scratch AS s\nCOPY a /\nFROM busybox\nWORKDIR /w\nRUN \\\n --mount=type=cache,target=c,sharing=locked,uid=5 \\\n \
         --mount=type=bind,from=s,source=/a,target=/b,rw --mount=type=tmpfs,target=/t,size=1m \\\n \
         --mount=type=secret,id=k,env=K --mount=type=secret,id=d/f --mount=type=ssh --network=none true\n",
    );
    let exec = execs(&lowered)[0];
    let shown: Vec<String> = exec
        .mounts
        .iter()
        .map(|mount| {
            let kind = match &mount.kind {
                MountKind::Bind(bind) => format!("bind {}", bind.selector),
                MountKind::Cache(cache) => {
                    format!("cache {} {} {:?}", cache.id, cache.selector, cache.sharing)
                }
                MountKind::Tmpfs { size } => format!("tmpfs {size}"),
                MountKind::Secret(secret) => {
                    format!("secret {} {:o} {}", secret.id, secret.mode, secret.optional)
                }
                MountKind::Ssh(ssh) => format!("ssh {} {:o}", ssh.id, ssh.mode),
            };
            format!("{} {} {}", mount.target, if mount.read_only { "ro" } else { "rw" }, kind)
        })
        .collect();
    let expected = [
        "/ rw bind ",
        "/w/c rw cache /c /cache Locked",
        "/b rw bind /a",
        "/t rw tmpfs 1048576",
        "/run/secrets/f ro secret d/f 400 true",
        "/run/buildkit/ssh_agent.0 rw ssh default 600",
    ];
    assert_eq!(shown, expected);
    assert_eq!((exec.secret_env.len(), exec.cwd.as_str()), (1, "/w"));
    assert!(exec.env.contains(&"SSH_AUTH_SOCK=/run/buildkit/ssh_agent.0".to_owned()));
}

#[test]
fn a_linked_copy_looks_at_nothing_below() {
    let lowered = lowered("FROM busybox\nCOPY --link a /a\n");
    let (_, merge) = lowered.graph.iter().last().expect("a vertex");
    assert_eq!((merge.shown.name.as_str(), merge.inputs.len()), ("[2/2] LINK COPY --link a /a", 2));
    let copied = lowered.graph.iter().find_map(|(_, vertex)| match &vertex.op {
        Op::File(file) => file.actions.first(),
        _ => None,
    });
    assert_eq!(copied.map(|action| action.base), Some(Place::Scratch));
}

#[test]
fn copies_name_owners_modes_and_parents() {
    let lowered = lowered(
        "FROM busybox\nWORKDIR /w\nCOPY --parents --chown=me:7 --chmod=u+x --exclude=*.o x/./y/z b/*.c d/\nADD --unpack=false t.tar /t\n",
    );
    let copies: Vec<_> = lowered
        .graph
        .iter()
        .filter_map(|(_, vertex)| match &vertex.op {
            Op::File(file) => Some(file.actions.iter()),
            _ => None,
        })
        .flatten()
        .filter_map(|action| match &action.change {
            Change::Copy(copy) => Some(&**copy),
            _ => None,
        })
        .collect();
    assert_eq!(
        (copies[0].source.as_str(), copies[0].include.as_slice()),
        ("/x", ["y/z".to_owned()].as_slice())
    );
    assert_eq!(copies[0].required, ["/x/y/z"]);
    assert_eq!(
        (copies[1].source.as_str(), copies[1].include.as_slice()),
        ("/", ["b/*.c".to_owned()].as_slice())
    );
    assert!(copies[1].required.is_empty());
    assert_eq!(copies[0].target, "/w/d/");
    assert_eq!(copies[0].exclude, ["*.o"]);
    assert_eq!(copies[0].mode, Some(crate::graph::Mode::Symbolic("u+x".into())));
    assert!(copies[0].owner.is_some() && !copies[0].unpack && !copies[2].unpack);
}

#[test]
fn named_contexts_take_the_place_of_images_and_stages() {
    let text = "FROM busybox AS base\nRUN a\nFROM base\nCOPY --from=files /x /y\n";
    let mut options = options(text.as_bytes());
    let context = |value: &str| Context::parse("c", value, |_| None).expect("a context");
    options.contexts.insert("base".into(), context("docker-image://triggers"));
    options.contexts.insert("files".into(), context("local:mine"));
    let lowered = attempt(text.as_bytes(), &options).0.expect("a Dockerfile that can be lowered");
    assert!(execs(&lowered).iter().all(|exec| exec.args.last().is_some_and(|last| last != "a")));
    assert!(
        names(&lowered).contains(&"[context base] docker.io/library/triggers:latest"),
        "{:?}",
        names(&lowered)
    );
    let files = lowered.graph.iter().find_map(|(_, vertex)| match &vertex.op {
        Op::Source(Source::Local(local)) if local.name == "mine" => Some(local),
        _ => None,
    });
    let files = files.expect("the directory");
    assert_eq!(
        (files.follow.as_slice(), files.exclude.as_slice()),
        (["x".to_owned()].as_slice(), ["*.log".to_owned()].as_slice())
    );
}

#[test]
fn platforms_are_in_names_and_arguments() {
    let text = "FROM --platform=$BUILDPLATFORM busybox AS b\nARG TARGETARCH\nRUN build $TARGETARCH\nFROM busybox\nRUN x\nCOPY --from=b /a /b\n";
    let target = platform::normal("linux", "arm64", "");
    let options =
        Options { target_platform: Some(target), several_platforms: true, ..options(text.as_bytes()) };
    let lowered = attempt(text.as_bytes(), &options).0.expect("a Dockerfile that can be lowered");
    let expected = [
        "[linux/amd64 b 1/2] FROM docker.io/library/busybox:latest",
        "[linux/arm64 stage-1 1/3] FROM docker.io/library/busybox:latest",
        "[linux/amd64->arm64 b 2/2] RUN build arm64",
        "[linux/arm64 stage-1 2/3] RUN x",
        "[linux/arm64 stage-1 3/3] COPY --from=b /a /b",
    ];
    assert_eq!(names(&lowered), expected);
    assert_eq!(lowered.config.platform.architecture, "arm64");
}

#[test]
fn an_outline_lists_what_can_be_given() {
    let text = "# V which version\nARG V=1\nARG W=$V\nFROM busybox:$W AS a\nARG X=2\nRUN --mount=type=secret,id=k,required --mount=type=ssh true\n\
                # out the result\nFROM a AS out\nARG Y\n";
    let lowered = lowered(text);
    let outline = lowered.outline.json("");
    let expected = serde_json::json!({
        "name": "out",
        "description": "the result",
        "args": [
            {"name": "V", "description": "which version", "value": "1", "location": check::location(dockerfile::Lines { first: 2, last: 2 })},
            {"name": "W", "value": "1", "location": check::location(dockerfile::Lines { first: 3, last: 3 })},
            {"name": "X", "value": "2", "location": check::location(dockerfile::Lines { first: 5, last: 5 })},
            {"name": "Y", "location": check::location(dockerfile::Lines { first: 9, last: 9 })},
        ],
        "secrets": [{"name": "k", "required": true, "location": check::location(dockerfile::Lines { first: 6, last: 6 })}],
        "ssh": [{"name": "default", "location": check::location(dockerfile::Lines { first: 6, last: 6 })}],
        "sources": [""],
    });
    assert_eq!(outline, expected);
}

#[test]
fn what_doubles_with_every_line_is_stopped() {
    let mut text = String::from("FROM scratch\nENV A=xxxxxxxxxx\n");
    (0..64).for_each(|_| text.push_str("ENV A=$A$A\n"));
    let problem = attempt(text.as_bytes(), &options(text.as_bytes())).0.expect_err("too long");
    assert!(problem.message.ends_with("the result is longer than 1048576 bytes"), "{}", problem.message);
    let mut text = String::from("FROM scratch\nARG A=");
    text.push_str(&"x".repeat(60_000));
    (0..1000).for_each(|line| text.push_str(&format!("\nENV B{line}=$A$A$A$A$A$A$A$A")));
    let problem = attempt(text.as_bytes(), &options(text.as_bytes())).0.expect_err("too much");
    assert!(problem.message.starts_with("the environment is larger"), "{}", problem.message);
}

// covers: dockerfile check CopyIgnoredFile
#[test]
fn copies_of_what_is_ignored_are_told_where_asked_for() {
    let text = "# check=experimental=CopyIgnoredFile\nFROM scratch\nCOPY ignored/a /a\nADD ignored /b\nCOPY kept /c\n";
    let options = Options { ignore: vec!["ignored".into()], ..options(text.as_bytes()) };
    let lowered = attempt(text.as_bytes(), &options).0.expect("a Dockerfile that can be lowered");
    let found: Vec<_> =
        lowered.findings.iter().map(|found| (found.lines.first, found.detail.as_str())).collect();
    let expected = [
        (3, "Attempting to Copy file \"ignored/a\" that is excluded by .dockerignore"),
        (4, "Attempting to Add file \"ignored\" that is excluded by .dockerignore"),
    ];
    assert_eq!(found, expected);
}

// covers: dockerfile check InvalidBaseImagePlatform
#[test]
fn a_base_image_of_another_platform_is_told() {
    let text = "FROM busybox\n";
    let target = platform::normal("linux", "arm64", "");
    let options = Options { target_platform: Some(target), ..options(text.as_bytes()) };
    let lowered = attempt(text.as_bytes(), &options).0.expect("a Dockerfile that can be lowered");
    let found: Vec<_> = lowered.findings.iter().map(|found| found.detail.as_str()).collect();
    let expected = [
        "Base image busybox was pulled with platform \"linux/amd64\", expected \"linux/arm64\" for current build",
    ];
    assert_eq!(found, expected);
}

// covers: dockerfile builtin-arg ARG SOURCE_DATE_EPOCH Int
#[test]
fn a_fixed_time_is_in_history_and_files() {
    let text = "FROM busybox\nWORKDIR /w\nCOPY <<F /f\nF\nENV A=1\n";
    let options = Options { epoch: Some(1_000_000_000), ..options(text.as_bytes()) };
    let lowered = attempt(text.as_bytes(), &options).0.expect("a Dockerfile that can be lowered");
    let new = lowered.config.history.iter().skip(1);
    assert!(new.into_iter().all(|entry| entry.created.as_deref() == Some("2001-09-09T01:46:40Z")));
    let changes = lowered.graph.iter().filter_map(|(_, vertex)| match &vertex.op {
        Op::File(file) => file.actions.first().map(|action| &action.change),
        _ => None,
    });
    let times: Vec<_> = changes
        .map(|change| match change {
            Change::Mkdir(mkdir) => mkdir.time,
            Change::Mkfile(file) => file.time,
            Change::Copy(copy) => copy.time,
            _ => None,
        })
        .collect();
    assert_eq!(times, [Some(1_000_000_000_000_000_000); 3]);
}
