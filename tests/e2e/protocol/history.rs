//! What is remembered of builds: the real buildx' `history`, and the calls below it.

use buildkit::proto::content::{
    InfoRequest, InfoResponse, ListContentRequest, ListContentResponse, ReadContentRequest,
    ReadContentResponse,
};
use buildkit::proto::control::{
    BuildHistoryEvent, BuildHistoryEventType, BuildHistoryRequest, UpdateBuildHistoryRequest,
    UpdateBuildHistoryResponse,
};
use grpc::{Channel, Metadata, Status};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use testkit::Engine;
use testkit::command::run;

use super::builder;

fn said(engine: &Engine, arguments: &[&str]) -> String {
    run(engine.docker_command().args(["buildx", "history"]).args(arguments)).ok()
}

fn built(engine: &Engine, name: &str, text: &str) -> bool {
    let base = engine.busybox();
    engine.scratch().write(&format!("{name}/Dockerfile"), text.replace("BASE", &base));
    let folder = engine.scratch().join(name);
    run(engine.docker_command().args(["buildx", "build", "--build-arg", "WORD=seven"]).arg(folder)).code == 0
}

async fn listen(channel: &Channel, question: BuildHistoryRequest) -> Vec<BuildHistoryEvent> {
    let path = "/moby.buildkit.v1.Control/ListenBuildHistory";
    let mut answers = channel.ask(path, &Metadata::default(), &question).expect("the engine answers");
    let mut events = Vec::new();
    while let Some(event) = answers.next().await.expect("the engine answers") {
        events.push(event);
    }
    events
}

async fn update(
    channel: &Channel,
    question: UpdateBuildHistoryRequest,
) -> Result<UpdateBuildHistoryResponse, Status> {
    channel.unary("/moby.buildkit.v1.Control/UpdateBuildHistory", &Metadata::default(), &question).await
}

fn now() -> BuildHistoryRequest {
    BuildHistoryRequest { early_exit: true, ..BuildHistoryRequest::default() }
}

// covers: buildkit rpc moby.buildkit.v1.Control ListenBuildHistory
// covers: buildkit rpc moby.buildkit.v1.Control UpdateBuildHistory
// covers: buildkit rpc containerd.services.content.v1.Content Info
// covers: buildkit rpc containerd.services.content.v1.Content Read
// covers: buildkit llb-cap LLBCaps history.filter
#[test]
fn the_real_buildx_looks_at_earlier_builds() {
    let mut engine = Engine::ours().with_plugins();
    assert!(built(&engine, "good", "FROM BASE\nARG WORD\nRUN echo said $WORD\n"));
    assert!(!built(&engine, "bad", "FROM BASE\nRUN echo before; exit 3\n"));
    let look = |engine: &Engine| {
        let listed = said(engine, &["ls", "--format", "{{.Name}} {{.Status}}"]);
        assert_eq!(listed, "bad Error\ngood Completed");
        let shown = said(engine, &["inspect", "^1"]);
        assert!(shown.contains("Dockerfile:\tDockerfile\n") && shown.contains("WORD\t\tseven"), "{shown}");
        let shown = said(engine, &["inspect"]);
        for part in [
            "did not complete successfully: exit code: 3",
            "2 | >>> RUN echo before; exit 3",
            "> => [2/2] RUN echo before; exit 3:\n> before",
        ] {
            assert!(shown.contains(part), "{shown}");
        }
        let logs =
            run(engine.docker_command().args(["buildx", "history", "logs", "--progress", "plain", "^1"]));
        assert!(logs.stderr.contains("said seven"), "{}", logs.stderr);
        logs.ok();
        assert_eq!(said(engine, &["ls", "--filter", "status=error", "--format", "{{.Name}}"]), "bad");
        assert_eq!(
            said(engine, &["ls", "--filter", "startedAt<1h", "--format", "{{.Name}}"]).lines().count(),
            0
        );
        let bundle = engine.scratch().join("bundle");
        run(engine.docker_command().args(["buildx", "history", "export", "--all", "-o"]).arg(&bundle)).ok();
        assert!(std::fs::metadata(&bundle).unwrap().len() > 500);
    };
    look(&engine);
    // The next engine remembers them, too.
    engine.crash_and_restart();
    look(&engine);
    let id = said(&engine, &["ls", "--format", "{{.Ref}}"]);
    let id = id.lines().next().and_then(|line| line.rsplit('/').next()).unwrap().to_owned();
    said(&engine, &["rm", &id]);
    assert_eq!(said(&engine, &["ls", "--format", "{{.Name}}"]), "good");
    said(&engine, &["rm", "--all"]);
    assert_eq!(said(&engine, &["ls", "--format", "{{.Name}}"]), "");
    let folder = engine.data_root().join("builds/history");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
}

// covers: buildkit rpc containerd.services.content.v1.Content List
// refuses: buildkit rpc containerd.services.content.v1.Content Update because what is remembered of builds is the engine's to write
// refuses: buildkit rpc containerd.services.content.v1.Content Delete because what is remembered of builds is removed by UpdateBuildHistory
// refuses: buildkit rpc containerd.services.content.v1.Content Status because nothing is written to what is remembered of builds
// refuses: buildkit rpc containerd.services.content.v1.Content ListStatuses because nothing is written to what is remembered of builds
// refuses: buildkit rpc containerd.services.content.v1.Content Write because what is remembered of builds is the engine's to write
// refuses: buildkit rpc containerd.services.content.v1.Content Abort because nothing is written to what is remembered of builds
#[tokio::test(flavor = "multi_thread")]
async fn builds_are_told_kept_and_removed() {
    let engine = Engine::ours().with_plugins();
    let channel = builder(&engine).await;
    let path = "/moby.buildkit.v1.Control/ListenBuildHistory";
    let question = BuildHistoryRequest::default();
    let mut live = channel.ask(path, &Metadata::default(), &question).unwrap();
    // Who asks is heard before anything happens: the answer to another question says so.
    assert!(listen(&channel, now()).await.is_empty());
    assert!(built(&engine, "one", "FROM BASE\n") && built(&engine, "two", "FROM BASE\nRUN true\n"));
    let mut kinds = Vec::new();
    let mut ids = Vec::new();
    while kinds.len() < 4 {
        let event: BuildHistoryEvent = live.next().await.unwrap().unwrap();
        kinds.push(event.r#type);
        ids.push(event.record.unwrap().r#ref);
    }
    let [started, complete] =
        [BuildHistoryEventType::Started, BuildHistoryEventType::Complete].map(i32::from);
    assert_eq!(kinds, [started, complete, started, complete]);
    let (one, two) = (ids[0].clone(), ids[2].clone());
    let events = listen(&channel, BuildHistoryRequest { limit: 1, ..now() }).await;
    assert_eq!(events.iter().map(|event| &event.record.as_ref().unwrap().r#ref).collect::<Vec<_>>(), [&two]);
    let events = listen(&channel, BuildHistoryRequest { r#ref: one.clone(), ..now() }).await;
    let record = events[0].record.clone().unwrap();
    assert_eq!(record.r#ref, one);
    assert!(record.num_total_steps >= 3 && record.num_completed_steps == record.num_total_steps);
    assert_eq!(listen(&channel, BuildHistoryRequest { active_only: true, ..now() }).await.len(), 0);
    let filter = vec!["color==red".to_owned()];
    let mut answers =
        channel.ask(path, &Metadata::default(), &BuildHistoryRequest { filter, ..now() }).unwrap();
    assert!(answers.next::<BuildHistoryEvent>().await.unwrap_err().message.contains("color==red"));
    // The log is content.
    let logs = record.logs.unwrap();
    let call = |method: &str| format!("/containerd.services.content.v1.Content/{method}");
    let question = InfoRequest { digest: logs.digest.clone() };
    let info: InfoResponse = channel.unary(&call("Info"), &Metadata::default(), &question).await.unwrap();
    assert_eq!(info.info.unwrap().size, logs.size);
    for (offset, size, expected) in [(0, 0, logs.size), (4, 0, logs.size - 4), (4, 5, 5), (logs.size, 1, 0)] {
        let question = ReadContentRequest { digest: logs.digest.clone(), offset, size };
        let mut answers = channel.ask(&call("Read"), &Metadata::default(), &question).unwrap();
        let mut read = 0;
        while let Some(answer) = answers.next::<ReadContentResponse>().await.unwrap() {
            assert_eq!(answer.offset, offset + read);
            read += answer.data.len() as i64;
        }
        assert_eq!(read, expected, "{offset} {size}");
    }
    let mut answers =
        channel.ask(&call("List"), &Metadata::default(), &ListContentRequest::default()).unwrap();
    let listed: ListContentResponse = answers.next().await.unwrap().unwrap();
    assert!(listed.info.iter().any(|info| info.digest == logs.digest));
    for digest in ["", "sha256:x", "../../../../etc/passwd"] {
        let question = InfoRequest { digest: digest.into() };
        let none = channel.unary::<InfoResponse>(&call("Info"), &Metadata::default(), &question).await;
        assert_eq!(none.unwrap_err().code, grpc::Code::NotFound);
    }
    for method in ["Update", "Delete", "Status", "ListStatuses", "Write", "Abort"] {
        let question = InfoRequest { digest: logs.digest.clone() };
        let refused = channel.unary::<InfoResponse>(&call(method), &Metadata::default(), &question).await;
        assert_eq!(refused.unwrap_err().code, grpc::Code::Unimplemented);
    }
    // Kept, and removed.
    let about = |id: &str| UpdateBuildHistoryRequest { r#ref: id.to_owned(), ..Default::default() };
    update(&channel, UpdateBuildHistoryRequest { pinned: true, ..about(&one) }).await.unwrap();
    let events = listen(&channel, BuildHistoryRequest { r#ref: one.clone(), ..now() }).await;
    assert!(events[0].record.as_ref().unwrap().pinned);
    update(&channel, UpdateBuildHistoryRequest { finalize: true, ..about(&one) }).await.unwrap();
    update(&channel, UpdateBuildHistoryRequest { delete: true, ..about(&one) }).await.unwrap();
    for question in [
        UpdateBuildHistoryRequest { delete: true, ..about(&one) },
        UpdateBuildHistoryRequest { pinned: true, ..about("../../x") },
        UpdateBuildHistoryRequest { finalize: true, ..about("") },
    ] {
        assert_eq!(update(&channel, question).await.unwrap_err().code, grpc::Code::NotFound);
    }
    assert_eq!(listen(&channel, now()).await.len(), 1);
}

// covers: buildkit transport connection h2c on the API socket
// covers: buildkit rpc grpc.health.v1.Health Check
// covers: buildkit rpc grpc.health.v1.Health Watch
#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_call_on_the_engines_socket_itself() {
    use buildkit::proto::control::{InfoRequest, InfoResponse};
    use buildkit::proto::health::{HealthCheckRequest, HealthCheckResponse};
    let engine = super::engine();
    let plain = tokio::net::UnixStream::connect(engine.socket()).await.unwrap();
    for channel in [Channel::over(plain).await.unwrap(), builder(&engine).await] {
        let path = "/moby.buildkit.v1.Control/Info";
        let info: InfoResponse = channel.unary(path, &Metadata::default(), &InfoRequest {}).await.unwrap();
        assert!(info.buildkit_version.is_some());
        let asked = HealthCheckRequest::default();
        let path = "/grpc.health.v1.Health/Check";
        let healthy: HealthCheckResponse = channel.unary(path, &Metadata::default(), &asked).await.unwrap();
        assert_eq!(healthy.status, 1);
        let mut told = channel.ask("/grpc.health.v1.Health/Watch", &Metadata::default(), &asked).unwrap();
        assert_eq!(told.next::<HealthCheckResponse>().await.unwrap().unwrap().status, 1);
        // An account of a client's own time is taken.
        let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
        let _: InfoResponse = channel.unary(path, &Metadata::default(), &asked).await.unwrap();
    }
}

// covers: buildkit llb-cap LLBCaps gc.freespacefilter
// covers: cli docker buildx prune --max-used-space
// covers: cli docker buildx prune --min-free-space
// covers: cli docker buildx prune --reserved-space
// covers: cli docker buildx du --filter
#[test]
fn the_cache_is_emptied_as_far_as_was_said() {
    let engine = Engine::ours().with_plugins();
    let text = "FROM BASE\nRUN head -c 3000000 /dev/urandom > /a\nRUN head -c 3000000 /dev/urandom > /b\nRUN --mount=type=cache,target=/c true\n";
    // No image shares what is kept.
    engine.scratch().write("large/Dockerfile", text.replace("BASE", &engine.busybox()));
    let folder = engine.scratch().join("large");
    run(engine.docker_command().args(["buildx", "build", "--output", "type=cacheonly"]).arg(folder)).ok();
    let listed = |real: bool, filter: &str| {
        let mut command = if real { engine.docker_command() } else { engine.ketch_command() };
        let filter = ["buildx", "du", "--format", "{{.ID}}", "--filter", filter];
        let mut ids: Vec<_> = run(command.args(filter)).ok().lines().map(str::to_owned).collect();
        ids.sort();
        ids
    };
    for (filter, count) in [("type=exec.cachemount", 1), ("type=regular", 3), ("type=none", 0)] {
        let [ours, theirs] = [false, true].map(|real| listed(real, filter));
        assert_eq!((ours.len(), &ours), (count, &theirs), "{filter}");
    }
    let prune = |arguments: &[&str]| {
        run(engine.docker_command().args(["buildx", "prune", "--force", "--all"]).args(arguments)).ok()
    };
    let gone = |text: &str| text.lines().filter(|line| line.contains("\ttrue ")).count();
    assert_eq!(gone(&prune(&["--max-used-space", "1GB"])), 0);
    assert_eq!(gone(&prune(&["--reserved-space", "1GB"])), 0);
    assert_eq!(gone(&prune(&["--min-free-space", "1"])), 0);
    assert!(gone(&prune(&["--max-used-space", "4MB"])) >= 1);
    assert!(!listed(true, "type=regular").is_empty());
    prune(&["--min-free-space", "1000000GB"]);
    // What takes no space may stay.
    let left = run(engine.docker_command().args(["buildx", "du", "--format", "{{.Size}}"])).ok();
    assert!(left.lines().all(|size| size.starts_with("0B")), "{left}");
}

// covers: cli docker buildx history
// covers: cli docker buildx history ls
// covers: cli docker buildx history ls --filter
// covers: cli docker buildx history ls --format
// covers: cli docker buildx history logs
// covers: cli docker buildx history logs --progress
// covers: cli docker buildx history rm
// covers: cli docker buildx history rm --all
#[test]
fn our_client_looks_at_earlier_builds_as_well() {
    let engine = Engine::ours().with_plugins();
    assert!(built(&engine, "good", "FROM BASE\nARG WORD\nRUN echo said $WORD\n"));
    assert!(!built(&engine, "bad", "FROM BASE\nRUN echo before; exit 3\n"));
    let ours = |arguments: &[&str]| run(engine.ketch_command().args(["buildx", "history"]).args(arguments));
    for arguments in [
        &["ls", "--format", "{{.Ref}} {{.Status}} {{.Duration}}"][..],
        &["ls", "--filter", "status=error", "--format", "{{.Ref}}"],
        &["ls", "--filter", "startedAt<1h", "--format", "{{.Ref}}"],
    ] {
        assert_eq!(ours(arguments).ok(), said(&engine, arguments), "{arguments:?}");
    }
    assert!(ours(&["ls"]).ok().starts_with("BUILD ID"));
    let told: Vec<serde_json::Value> = ours(&["ls", "--format", "json"])
        .ok()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!((told.len(), &told[0]["status"]), (2, &"Error".into()));
    let logs = ours(&["logs", "^1"]);
    assert!(logs.stderr.contains("said seven"), "{}", logs.stderr);
    assert!(
        ours(&["logs", "--progress", "rawjson"]).ok().len()
            + ours(&["logs", "--progress", "rawjson"]).stderr.len()
            > 100
    );
    assert_eq!(ours(&["rm"]).assert_code(1).stderr, "ERROR: rm requires at least one argument\n");
    let id = ours(&["ls", "--format", "{{.Ref}}"]).ok().lines().next().unwrap().to_owned();
    ours(&["rm", &id]).ok();
    assert_eq!(ours(&["ls", "--format", "{{.Status}}"]).ok(), "Completed");
    ours(&["rm", "--all"]).ok();
    assert_eq!(ours(&["ls", "--format", "{{.Status}}"]).ok(), "");
    for (wrong, expected) in [
        (&["logs"][..], "no records found"),
        (&["rm", "nosuch"], "no record found for ref \"nosuch\""),
        (&["ls", "--filter", "color=red"], "invalid filter \"color=red\""),
    ] {
        let refused = ours(wrong).assert_code(1);
        assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    }
    assert!(ours(&["ls", "--local"]).assert_code(125).stderr.contains("--local: builds don't say"));
}

/// A bundle's files.
fn unpacked(engine: &Engine, bundle: &Path) -> BTreeMap<String, Vec<u8>> {
    let folder = engine.scratch().join("unpacked");
    std::fs::create_dir(&folder).expect("a folder of the test's");
    run(Command::new("tar").arg("--extract").arg("--gzip").arg("--file").arg(bundle).arg("-C").arg(&folder))
        .ok();
    let mut files = BTreeMap::new();
    for folder in [folder.clone(), folder.join("blobs/sha256")] {
        for entry in std::fs::read_dir(folder).expect("a bundle").flatten() {
            if entry.path().is_file() {
                let bytes = std::fs::read(entry.path()).expect("a bundle's file");
                files.insert(entry.file_name().to_string_lossy().into_owned(), bytes);
            }
        }
    }
    std::fs::remove_dir_all(folder).expect("a folder of the test's");
    files
}

// covers: cli docker buildx history export
// covers: cli docker buildx history export --all
// covers: cli docker buildx history export --finalize
// covers: cli docker buildx history export --output
#[test]
fn our_bundles_of_records_are_buildx_own() {
    let engine = Engine::ours().with_plugins();
    assert!(built(&engine, "good", "FROM BASE\nARG WORD\nRUN echo \"$WORD\" > /a && echo '<&>'\n"));
    assert!(!built(&engine, "bad", "FROM BASE\nRUN echo before; exit 3\n"));
    let path = |client: &str| engine.scratch().join(client);
    // The first ones without a trace, the others with one.
    for arguments in [&[][..], &["^1"], &["--all"], &["--finalize"], &["--finalize", "^1"], &["--all"]] {
        let mut told = Vec::new();
        for (mut client, name) in [(engine.docker_command(), "theirs"), (engine.ketch_command(), "ours")] {
            client.args(["buildx", "history", "export", "-o"]).arg(path(name)).args(arguments);
            run(&mut client).ok();
            told.push(unpacked(&engine, &path(name)));
        }
        let names = |number: usize| told[number].keys().collect::<Vec<_>>();
        assert_eq!(names(0), names(1), "{arguments:?}");
        assert!(told[0] == told[1], "{arguments:?}");
        let has_trace = told[1].values().any(|bytes| bytes.starts_with(b"{\n  \"Name\": \"build\""));
        assert_eq!(has_trace, arguments.contains(&"--finalize") || told[1].len() > 12, "{arguments:?}");
    }
    // What goes to the output is the same, by either name of it.
    for arguments in [&[][..], &["--output", "-"]] {
        let mut client = engine.ketch_command();
        client.args(["buildx", "history", "export"]).args(arguments);
        let bytes = client.output().unwrap().stdout;
        std::fs::write(path("output"), bytes).unwrap();
        run(engine.ketch_command().args(["buildx", "history", "export", "-o"]).arg(path("ours"))).ok();
        assert!(unpacked(&engine, &path("output")) == unpacked(&engine, &path("ours")));
    }
    for (wrong, expected) in [
        (&["--all", "abc"][..], "ERROR: cannot specify refs when using --all\n"),
        (&["nosuch"], "ERROR: no record found for ref \"nosuch\"\n"),
    ] {
        for mut client in [engine.docker_command(), engine.ketch_command()] {
            let said = run(client.args(["buildx", "history", "export", "-o"]).arg(path("wrong")).args(wrong));
            assert_eq!(said.assert_code(1).stderr, expected);
        }
        assert!(!path("wrong").exists());
    }
}

// covers: cli docker buildx history trace
// refuses: cli docker buildx history trace --addr because a trace is printed, and Jaeger's page is not part of Ketch
// refuses: cli docker buildx history trace --compare because a trace is printed, and Jaeger's page is not part of Ketch
#[test]
fn the_times_of_a_build_s_steps_are_a_trace() {
    let engine = Engine::ours().with_plugins();
    assert!(built(&engine, "good", "FROM BASE\nRUN echo said\n"));
    assert!(!built(&engine, "bad", "FROM BASE\nRUN echo before; exit 3\n"));
    let ours =
        |arguments: &[&str]| run(engine.ketch_command().args(["buildx", "history", "trace"]).args(arguments));
    for (arguments, step, fails) in
        [(&["^1"][..], "[2/2] RUN echo said", false), (&[], "[2/2] RUN echo before; exit 3", true)]
    {
        let told: serde_json::Value = serde_json::from_str(&ours(arguments).ok()).unwrap();
        let spans = told["data"][0]["spans"].as_array().unwrap().clone();
        let whole = &spans[0];
        assert_eq!(
            (&whole["operationName"], &whole["references"]),
            (&"build".into(), &serde_json::json!([]))
        );
        let has_failed = |span: &serde_json::Value| {
            span["tags"].as_array().unwrap().iter().any(|tag| tag["key"] == "error" && tag["value"] == true)
        };
        assert_eq!(has_failed(whole), fails);
        let ran = spans.iter().find(|span| span["operationName"] == step).expect("the step");
        assert_eq!(has_failed(ran), fails);
        assert_eq!(ran["references"][0]["spanID"], whole["spanID"]);
        let time = |span: &serde_json::Value, name: &str| span[name].as_u64().unwrap();
        let [began, ended] = [whole, ran]
            .map(|span| (time(span, "startTime"), time(span, "startTime") + time(span, "duration")));
        assert!(began.0 <= ended.0 && ended.1 <= began.1, "{began:?} {ended:?}");
    }
    for (flag, value) in [("--addr", "127.0.0.1:1"), ("--compare", "^1")] {
        let refused = ours(&[flag, value]).assert_code(125);
        assert!(refused.stderr.contains(&format!("{flag}: a trace is printed")), "{}", refused.stderr);
    }
    assert!(ours(&["nosuch"]).assert_code(1).stderr.contains("no record found for ref \"nosuch\""));
}

// covers: cli docker buildx dial-stdio
#[tokio::test(flavor = "multi_thread")]
async fn our_client_carries_the_builders_protocol() {
    use buildkit::proto::control::{InfoRequest, InfoResponse};
    use std::process::Stdio;
    use tokio::net::unix::pipe;
    let engine = super::engine();
    let mut command = engine.ketch_command();
    command.args(["buildx", "dial-stdio"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let input = pipe::Sender::from_owned_fd(child.stdin.take().unwrap().into()).unwrap();
    let output = pipe::Receiver::from_owned_fd(child.stdout.take().unwrap().into()).unwrap();
    let channel = Channel::over(tokio::io::join(output, input)).await.unwrap();
    let path = "/moby.buildkit.v1.Control/Info";
    let info: InfoResponse = channel.unary(path, &Metadata::default(), &InfoRequest {}).await.unwrap();
    assert!(info.buildkit_version.is_some());
    // It ends with whoever used it.
    drop(channel);
    child.wait().unwrap();
    for (flag, expected, code) in [
        ("--platform=linux/arm64", "--platform: an engine", 125),
        ("--progress=plain", "is not supported", 1),
    ] {
        let refused = run(engine.ketch_command().args(["buildx", "dial-stdio", flag])).assert_code(code);
        assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    }
}

// refuses: value buildx-driver buildx create --driver kubernetes because a builder is an engine, and a cluster runs none of ours
// refuses: value buildx-driver buildx create --driver remote because a builder is an engine, and a daemon of BuildKit's alone has no images
#[test]
fn other_builders_than_engines_are_refused() {
    let engine = super::engine();
    for driver in ["kubernetes", "remote"] {
        let refused =
            run(engine.ketch_command().args(["buildx", "create", "--driver", driver])).assert_code(1);
        assert!(refused.stderr.contains("is not supported: a builder is an engine"), "{}", refused.stderr);
    }
}
