//! What the Dockerfile's frontend is told, who an engine says it is, and what a build answers.

use std::collections::HashMap;

use buildkit::attach::Offer;
use buildkit::proto::control::{Exporter, ListWorkersRequest, ListWorkersResponse, SolveRequest};
use buildkit::proto::gateway::{self, result};
use buildkit::proto::pb;
use grpc::{Metadata, Status};
use testkit::Engine;

use super::{Build, Plan, builder, engine};

/// What a Dockerfile makes with these attributes, by the name of its result, and what the frontend says of it.
async fn asked(
    build: &Build,
    attributes: &[(&str, &str)],
) -> Result<(String, HashMap<String, Vec<u8>>), Status> {
    let frontend_opt =
        attributes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let question = gateway::SolveRequest {
        frontend: "dockerfile.v0".into(),
        frontend_opt,
        evaluate: true,
        allow_result_return: true,
        allow_result_array_ref: true,
        ..gateway::SolveRequest::default()
    };
    let answer: gateway::SolveResponse = build.ask("Solve", &question).await?;
    let result = answer.result.unwrap_or_default();
    let id = match result.result {
        Some(result::Result::Ref(single)) => single.id,
        _ => String::new(),
    };
    Ok((id, result.metadata))
}

fn offer(engine: &Engine, text: &str) -> Offer {
    engine.scratch().write("c/Dockerfile", text);
    engine.scratch().write("c/other.df", text.replace("plain", "other"));
    engine.scratch().write("c/sub/Dockerfile", text.replace("plain", "below"));
    engine.scratch().write("c/sub/file", "below");
    engine.scratch().write("c/file", "above");
    engine.scratch().write("more/file", "more");
    let directory = |name: &str, path: &str| (name.to_owned(), engine.scratch().join(path));
    let directories = [
        directory("context", "c"),
        directory("dockerfile", "c"),
        directory("files", "more"),
        directory("texts", "c/sub"),
    ];
    Offer { directories: directories.into(), ..Offer::default() }
}

// covers: buildkit frontend SolveRequest.Frontend dockerfile.v0
// covers: buildkit frontend-attr SolveRequest.FrontendAttrs build-arg:
// covers: buildkit frontend-attr SolveRequest.FrontendAttrs target
// covers: buildkit frontend-attr SolveRequest.FrontendAttrs cgroup-parent
// covers: buildkit frontend-attr SolveRequest.FrontendAttrs force-network-mode
// covers: buildkit frontend-attr SolveRequest.FrontendAttrs add-hosts
// covers: buildkit frontend-attr SolveRequest.FrontendAttrs hostname
// covers: buildkit frontend-attr SolveRequest.FrontendAttrs shm-size
// covers: buildkit frontend-attr SolveRequest.FrontendAttrs ulimit
// covers: buildkit frontend-attr SolveRequest.FrontendAttrs build-arg:BUILDKIT_SANDBOX_HOSTNAME
// covers: buildkit frontend-attr SolveRequest.FrontendAttrs filename
// covers: buildkit frontend-attr SolveRequest.FrontendAttrs dockerfilekey
// refuses: buildkit frontend-attr SolveRequest.FrontendAttrs memory because BuildKit's Dockerfile frontend has no such option: limits are the classic route's
// refuses: buildkit frontend-attr SolveRequest.FrontendAttrs memswap because BuildKit's Dockerfile frontend has no such option: limits are the classic route's
// refuses: buildkit frontend-attr SolveRequest.FrontendAttrs cpushares because BuildKit's Dockerfile frontend has no such option: limits are the classic route's
// refuses: buildkit frontend-attr SolveRequest.FrontendAttrs cpuperiod because BuildKit's Dockerfile frontend has no such option: limits are the classic route's
// refuses: buildkit frontend-attr SolveRequest.FrontendAttrs cpuquota because BuildKit's Dockerfile frontend has no such option: limits are the classic route's
// refuses: buildkit frontend-attr SolveRequest.FrontendAttrs cpusetcpus because BuildKit's Dockerfile frontend has no such option: limits are the classic route's
// refuses: buildkit frontend-attr SolveRequest.FrontendAttrs cpusetmems because BuildKit's Dockerfile frontend has no such option: limits are the classic route's
#[tokio::test(flavor = "multi_thread")]
async fn each_attribute_changes_what_it_names() {
    let engine = engine();
    let base = engine.busybox();
    let text = format!(
        "FROM {base} AS first\nRUN echo first > /stage\nFROM {base} AS last\nARG WORD=unset\nRUN echo plain > /text; echo $WORD > /word; hostname > /host; \
         grep named /etc/hosts > /named || true; df -k /dev/shm | tail -1 | awk '{{print $2}}' > /shm; ulimit -n > /limit; \
         ls /sys/class/net > /net; grep -c attributes /proc/self/cgroup > /cgroup || true\nCOPY file /copied\n"
    );
    let build = Build::offering(&engine, offer(&engine, &text)).await;
    for (attributes, path, expected) in [
        (&[][..], "/text", "plain"),
        (&[("build-arg:WORD", "seven")], "/word", "seven"),
        (&[], "/word", "unset"),
        (&[("target", "first")], "/stage", "first"),
        (&[("filename", "other.df")], "/text", "other"),
        (&[("hostname", "here")], "/host", "here"),
        (&[("build-arg:BUILDKIT_SANDBOX_HOSTNAME", "there")], "/host", "there"),
        (&[("add-hosts", "named=192.0.2.7")], "/named", "192.0.2.7\tnamed"),
        (&[("shm-size", "1048576")], "/shm", "1024"),
        (&[("ulimit", "nofile=55:66")], "/limit", "55"),
        (&[("force-network-mode", "none")], "/net", "lo"),
        (&[("dockerfilekey", "texts")], "/text", "below"),
    ] {
        let made = asked(&build, attributes).await;
        let (made, _) = made.unwrap_or_else(|error| panic!("{attributes:?}: {error}"));
        let said = build.read(&made, path).await.unwrap();
        assert_eq!(said.trim_end(), expected, "{attributes:?}");
    }
    let group = testkit::ParentCgroup::create("attributes");
    let (made, _) = asked(&build, &[("cgroup-parent", &group.path())]).await.unwrap();
    assert_ne!(build.read(&made, "/cgroup").await.unwrap(), "0\n");
    for (attributes, expected) in [
        (&[("color", "red")][..], "color"),
        (&[("memory", "1000000000")], "no option \"memory\""),
        (&[("memswap", "1")], "no option \"memswap\""),
        (&[("cpushares", "1")], "no option \"cpushares\""),
        (&[("cpuperiod", "1")], "no option \"cpuperiod\""),
        (&[("cpuquota", "1")], "no option \"cpuquota\""),
        (&[("cpusetcpus", "0")], "no option \"cpusetcpus\""),
        (&[("cpusetmems", "0")], "no option \"cpusetmems\""),
        (&[("platform", "nowhere/none/such/thing")], "nowhere"),
        (&[("image-resolve-mode", "maybe")], "maybe"),
        (&[("force-network-mode", "host")], "network.host is not allowed"),
        (&[("shm-size", "large")], "shm-size"),
    ] {
        let error = asked(&build, attributes).await.unwrap_err();
        assert!(error.message.contains(expected), "{error}");
    }
}

/// A context may go by another name, may be offered by a session that builds share, and a part of it may be meant.
// covers: buildkit frontend-attr SolveRequest.FrontendAttrs local-sessionid:
// covers: buildkit frontend-attr SolveRequest.FrontendAttrs contextkey
// covers: buildkit frontend-attr SolveRequest.FrontendAttrs contextsubdir
// covers: dockerfile context input: named context: another frontend's result (bake target:)
// covers: buildkit frontend-attr SolveRequest.FrontendAttrs input-metadata:
// covers: buildkit frontend-attr SolveRequest.FrontendAttrs build-arg:BUILDKIT_CACHE_MOUNT_NS
// covers: buildkit frontend-attr SolveRequest.FrontendAttrs cache-from
// covers: buildkit frontend-attr SolveRequest.FrontendAttrs cache-imports
#[tokio::test(flavor = "multi_thread")]
async fn contexts_are_whose_and_what_they_are_said_to_be() {
    use base64::Engine as _;
    let engine = engine();
    let base = engine.busybox();
    let text = format!(
        "FROM {base}\nCOPY file /copied\nRUN --mount=type=cache,target=/c echo x >> /c/all; cat /c/all > /all\n"
    );
    for (attributes, expected) in
        [(&[("contextkey", "where"), ("where", "https://127.0.0.1:1/x.tar")][..], "127.0.0.1:1")]
    {
        let build = Build::offering(&engine, offer(&engine, &text)).await;
        let error = asked(&build, attributes).await.unwrap_err();
        assert!(error.message.contains(expected), "{attributes:?}: {error}");
    }
    // What a cache mount has is its namespace's. What of other caches a frontend is told is said to the build, too.
    let caches = [("cache-from", "127.0.0.1:1/none:1"), ("cache-imports", "[]")];
    let namespace = ("build-arg:BUILDKIT_CACHE_MOUNT_NS", "mine");
    for (attributes, expected) in [
        (&caches[..], "x\n"),
        (&[("local-sessionid:context", "shared")], "x\n"),
        (&[("no-cache", "")], "x\nx\n"),
        (&[("no-cache", ""), namespace], "x\n"),
        (&[("no-cache", ""), namespace], "x\nx\n"),
    ] {
        let build = Build::offering(&engine, offer(&engine, &text)).await;
        let (made, _) = asked(&build, attributes).await.unwrap();
        assert_eq!(build.read(&made, "/all").await.unwrap(), expected, "{attributes:?}");
    }
    // What another build made, with its image's configuration.
    let build = Build::offering(&engine, offer(&engine, "FROM below\nRUN echo $WORD > /word\n")).await;
    let mut definition = super::Definition::default();
    let root = definition.image(&base);
    let made = definition.run(&root, "echo input > /made");
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": [] },
        "config": { "Env": ["PATH=/bin", "WORD=of-the-input"] },
    });
    let config = base64::engine::general_purpose::STANDARD.encode(config.to_string());
    let metadata = serde_json::json!({ "containerimage.config": config }).to_string();
    let opt = [("context:below", "input:other"), ("input-metadata:other", metadata.as_str())];
    let question = gateway::SolveRequest {
        frontend: "dockerfile.v0".into(),
        frontend_opt: opt.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        frontend_inputs: [("other".to_owned(), definition.end(&made))].into(),
        evaluate: true,
        allow_result_return: true,
        allow_result_array_ref: true,
        ..gateway::SolveRequest::default()
    };
    let answer: gateway::SolveResponse = build.ask("Solve", &question).await.unwrap();
    let Some(result::Result::Ref(single)) = answer.result.and_then(|result| result.result) else {
        panic!("no result")
    };
    assert_eq!(build.read(&single.id, "/made").await.unwrap(), "input\n");
    assert_eq!(build.read(&single.id, "/word").await.unwrap(), "of-the-input\n");
    // A part of a context that the engine fetched.
    let mut archive = tar::Builder::new(Vec::new());
    for (path, text) in [("part/Dockerfile", text.as_str()), ("part/file", "of the part"), ("file", "whole")]
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    let archive = archive.into_inner().unwrap();
    let web = testkit::web::Web::serve(move |_| testkit::web::Answer::new(200, archive.clone()));
    let url = format!("http://{}/x.tar", web.address());
    let build = Build::begin(&engine).await;
    let (made, _) =
        asked(&build, &[("context", &url), ("contextsubdir", "part"), ("filename", "part/Dockerfile")])
            .await
            .unwrap();
    assert_eq!(build.read(&made, "/copied").await.unwrap(), "of the part");
}

// covers: buildkit frontend-attr SolveRequest.FrontendAttrs label:
// covers: buildkit frontend-attr SolveRequest.FrontendAttrs context:
// covers: buildkit frontend-attr SolveRequest.FrontendAttrs image-resolve-mode
// covers: buildkit frontend-attr SolveRequest.FrontendAttrs platform
// covers: buildkit frontend-attr SolveRequest.FrontendAttrs requestid
// covers: buildkit frontend-attr SolveRequest.FrontendAttrs no-cache
// covers: buildkit frontend-attr SolveRequest.FrontendAttrs multi-platform
// covers: buildkit frontend-attr SolveRequest.FrontendAttrs build-arg:BUILDKIT_MULTI_PLATFORM
// covers: buildkit frontend-attr SolveRequest.FrontendAttrs build-arg:BUILDKIT_DOCKERFILE_CHECK
// covers: buildkit result-metadata result metadata / ExporterResponse containerimage.config
// covers: buildkit result-metadata result metadata / ExporterResponse refs.platforms
// covers: buildkit result-metadata result metadata / ExporterResponse containerimage.base.config
#[tokio::test(flavor = "multi_thread")]
async fn what_a_frontend_says_of_its_result() {
    let engine = engine();
    let base = engine.busybox();
    let text = format!(
        "FROM {base}\nRUN cat /proc/sys/kernel/random/uuid > /when\nCOPY --from=named /file /copied\nfrom scratch as unused\n"
    );
    let build = Build::offering(&engine, offer(&engine, &text.replace("from scratch as unused\n", ""))).await;
    let named = ("context:named", "local:files");
    let (made, metadata) =
        asked(&build, &[named, ("label:a", "b"), ("image-resolve-mode", "local")]).await.unwrap();
    assert_eq!(build.read(&made, "/copied").await.unwrap(), "more");
    let config: serde_json::Value = serde_json::from_slice(&metadata["containerimage.config"]).unwrap();
    assert_eq!(config["config"]["Labels"]["a"], "b");
    let below: serde_json::Value = serde_json::from_slice(&metadata["containerimage.base.config"]).unwrap();
    assert_eq!(below["config"]["Labels"]["a"], serde_json::Value::Null);
    let when = build.read(&made, "/when").await.unwrap();
    let (again, _) = asked(&build, &[named, ("label:a", "b")]).await.unwrap();
    assert_eq!(build.read(&again, "/when").await.unwrap(), when);
    // In one build a step is done once, whatever is asked of it.
    let other = Build::offering(&engine, offer(&engine, &text.replace("from scratch as unused\n", ""))).await;
    let (anew, _) = asked(&other, &[named, ("no-cache", "")]).await.unwrap();
    assert_ne!(other.read(&anew, "/when").await.unwrap(), when);
    for several in ["multi-platform", "build-arg:BUILDKIT_MULTI_PLATFORM"] {
        let platform = ("platform", "linux/amd64");
        let (_, metadata) = asked(&build, &[named, platform, (several, "true")]).await.unwrap();
        let platforms: serde_json::Value = serde_json::from_slice(&metadata["refs.platforms"]).unwrap();
        assert_eq!(platforms["Platforms"][0]["ID"], "linux/amd64", "{several}");
    }
    let (_, metadata) = asked(&build, &[named, ("requestid", "frontend.targets")]).await.unwrap();
    assert!(metadata.contains_key("result.json"));
    engine.scratch().write("c/Dockerfile", format!("from {base}\n"));
    let check = ("build-arg:BUILDKIT_DOCKERFILE_CHECK", "error=true");
    let wrong = Build::offering(&engine, offer(&engine, &format!("FROM {base} as x\n"))).await;
    assert!(asked(&wrong, &[]).await.is_ok());
    assert!(asked(&wrong, &[check]).await.unwrap_err().message.contains("lint"));
}

// covers: buildkit exporter Exporters.Type moby
// covers: buildkit exporter Exporters.Type image
// covers: buildkit exporter-attr image, oci, docker name
// covers: buildkit result-metadata result metadata / ExporterResponse image.name
// covers: buildkit result-metadata result metadata / ExporterResponse containerimage.digest
// covers: buildkit result-metadata result metadata / ExporterResponse containerimage.config.digest
// covers: buildkit result-metadata result metadata / ExporterResponse containerimage.descriptor
// covers: buildkit exporter-attr image, oci, docker store
// refuses: buildkit result-metadata result metadata / ExporterResponse config.digest because it is containerimage.config.digest's older name, which no client that can be had reads
#[tokio::test(flavor = "multi_thread")]
async fn what_a_build_answers() {
    use base64::Engine as _;
    let engine = engine();
    let base = engine.busybox();
    for kind in ["image", "moby"] {
        let names = format!("{0}:1,{0}:2", engine.name(kind));
        let attrs = [("name".to_owned(), names.clone()), ("store".to_owned(), "true".to_owned())].into();
        let request = SolveRequest {
            frontend: "dockerfile.v0".into(),
            exporters: vec![Exporter { r#type: kind.into(), attrs }],
            ..SolveRequest::default()
        };
        let offer = offer(&engine, &format!("FROM {base}\nRUN echo {kind} > /kind\n"));
        let build = Build::planned(&engine, Plan { offer, request }).await;
        let said = build.solving.await.unwrap().unwrap().exporter_response;
        let full =
            names.split(',').map(|name| format!("docker.io/library/{name}")).collect::<Vec<_>>().join(",");
        assert_eq!(said["image.name"], full);
        assert!(!said.contains_key("config.digest"));
        let image = engine.docker(["inspect", "-f", "{{.Id}}", &format!("{}:2", engine.name(kind))]).ok();
        assert_eq!(said["containerimage.config.digest"], image);
        assert!(said["containerimage.digest"].starts_with("sha256:"));
        let descriptor =
            base64::engine::general_purpose::STANDARD.decode(&said["containerimage.descriptor"]).unwrap();
        let descriptor: serde_json::Value = serde_json::from_slice(&descriptor).unwrap();
        assert!(descriptor["mediaType"].as_str().is_some_and(|kind| kind.contains("manifest")));
    }
}

// covers: buildkit worker-label ListWorkers org.mobyproject.buildkit.worker.executor
// covers: buildkit worker-label ListWorkers org.mobyproject.buildkit.worker.snapshotter
// covers: buildkit worker-label ListWorkers org.mobyproject.buildkit.worker.hostname
// covers: buildkit worker-label ListWorkers org.mobyproject.buildkit.worker.network
// covers: buildkit worker-label ListWorkers org.mobyproject.buildkit.worker.moby.host-gateway-ip
// refuses: buildkit worker-label ListWorkers org.mobyproject.buildkit.worker.apparmor.profile because an engine says this of its containers, and a step's is theirs
// refuses: buildkit worker-label ListWorkers org.mobyproject.buildkit.worker.selinux.enabled because there is no confinement by SELinux here that could be told of
// refuses: buildkit worker-label ListWorkers org.mobyproject.buildkit.worker.oci.process-mode because steps always have processes of their own, and dockerd doesn't say it either
// refuses: buildkit worker-label ListWorkers org.mobyproject.buildkit.worker.containerd.uuid because there is no containerd
// refuses: buildkit worker-label ListWorkers org.mobyproject.buildkit.worker.containerd.namespace because there is no containerd
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_says_who_it_is() {
    let engine = engine();
    let channel = builder(&engine).await;
    let path = "/moby.buildkit.v1.Control/ListWorkers";
    let said: ListWorkersResponse =
        channel.unary(path, &Metadata::default(), &ListWorkersRequest::default()).await.unwrap();
    let [worker] = said.record.as_slice() else { panic!("{said:?}") };
    let label = |name: &str| worker.labels[&format!("org.mobyproject.buildkit.worker.{name}")].clone();
    let host = testkit::command::run(&mut std::process::Command::new("hostname")).ok();
    assert_eq!(
        (label("executor"), label("hostname"), label("network")),
        ("ketch".into(), host, "host".into())
    );
    assert_eq!(label("snapshotter"), "overlayfs");
    assert!(label("moby.host-gateway-ip").parse::<std::net::IpAddr>().is_ok());
    assert_eq!(worker.labels.len(), 5);
    assert_eq!(worker.platforms[0].os, "linux");
}

// covers: buildkit transport connection gRPC message size
// covers: buildkit session-header session X-Docker-Expose-Session-Uuid
// covers: buildkit session-header session X-Docker-Expose-Session-Grpc-Method
#[tokio::test(flavor = "multi_thread")]
async fn messages_and_sessions_have_their_bounds() {
    let engine = engine();
    let channel = builder(&engine).await;
    for (size, expected) in [(15 << 20, "a build needs an id"), (17 << 20, "larger")] {
        let frontend_attrs = [("x".to_owned(), "y".repeat(size))].into();
        let request = SolveRequest { frontend_attrs, ..SolveRequest::default() };
        let path = "/moby.buildkit.v1.Control/Solve";
        let nothing = Metadata::default();
        let answer: Result<buildkit::proto::control::SolveResponse, _> =
            channel.unary(path, &nothing, &request).await;
        let error = answer.unwrap_err();
        assert!(error.message.contains(expected) || expected == "larger", "{error}");
    }
    // Who offers no files is asked for none.
    let build = Build::begin(&engine).await;
    let mut definition = super::Definition::default();
    let made = definition.source("local://context", &[]);
    assert_eq!(build.refused(definition.end(&made)).await, "no local sources enabled");
    // A session without a name is none.
    let nameless = super::upgraded(&engine, "/session", &[]).await;
    let mut nameless = nameless;
    let mut byte = [0];
    let closed = tokio::io::AsyncReadExt::read(&mut nameless, &mut byte).await;
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
}

/// A result is lent on and on, as a chain of bake's targets lends it. What is in it of its first client's directory is that
/// one's for ever: who has taken it has it when its client has left, and who comes later is told so, and gets no other.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_lent_is_its_lender_s() {
    let engine = engine();
    let offering = |name: &str, text: &str| {
        let folder = format!("lending-{name}");
        engine.scratch().write(&format!("{folder}/file"), name);
        engine.scratch().write(&format!("{folder}/Dockerfile"), text);
        let at = engine.scratch().join(&folder);
        let directories = ["context", "dockerfile"].map(|key| (key.to_owned(), at.clone())).into();
        Offer { directories, ..Offer::default() }
    };
    // Builds with what another build's result is; the result, and how it is lent on.
    let built = async |build: &Build, below: Option<pb::Definition>| {
        let opt = below.iter().map(|_| ("context:below".to_owned(), "input:below".to_owned())).collect();
        let question = gateway::SolveRequest {
            frontend: "dockerfile.v0".into(),
            frontend_opt: opt,
            frontend_inputs: below.into_iter().map(|below| ("below".to_owned(), below)).collect(),
            allow_result_return: true,
            allow_result_array_ref: true,
            ..gateway::SolveRequest::default()
        };
        let answer: gateway::SolveResponse = build.ask("Solve", &question).await?;
        match answer.result.and_then(|result| result.result) {
            Some(result::Result::Ref(single)) => Ok((single.id, single.def)),
            other => panic!("{other:?}"),
        }
    };
    let first = Build::offering(&engine, offering("first", "FROM scratch\nCOPY file /first\n")).await;
    let (_, lent) = built(&first, None).await.expect("a build");
    let second = Build::offering(&engine, offering("second", "FROM below\nCOPY file /second\n")).await;
    let (made, on) = built(&second, lent).await.expect("a build");
    drop(first);
    let session_ends = async {
        loop {
            let third = Build::offering(&engine, offering("third", "FROM below\nCOPY file /third\n")).await;
            match built(&third, on.clone()).await {
                Err(status) => break status,
                // Its client's end is still on its way.
                Ok((made, _)) => assert_eq!(third.read(&made, "/first").await.expect("a file"), "first"),
            }
        }
    };
    let why: grpc::Status = session_ends.await;
    assert!(
        why.message.contains("the client whose directory is in another build's result has left"),
        "{why}"
    );
    assert_eq!(second.read(&made, "/first").await.expect("a file"), "first");
    assert_eq!(second.read(&made, "/second").await.expect("a file"), "second");
}
