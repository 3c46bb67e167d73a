//! The gateway: what a frontend asks, one call after the other.

use buildkit::proto::gateway::{
    EvaluateRequest, EvaluateResponse, FileRange, PingRequest, PongResponse, ReadDirRequest, ReadDirResponse,
    ReadFileRequest, ReadFileResponse, Ref, RefMap, ResolveImageConfigRequest, ResolveImageConfigResponse,
    ResolveSourceMetaRequest, ResolveSourceMetaResponse, Result as Returned, ReturnRequest, ReturnResponse,
    SolveRequest, SolveResponse, WarnRequest, WarnResponse, result,
};
use buildkit::proto::pb;
use grpc::Code;
use serde_json::Value;

use super::{Build, Definition, engine, upgraded};

// covers: buildkit rpc moby.buildkit.v1.frontend.LLBBridge Ping
// covers: buildkit gateway-cap FrontendAPICaps frontend.caps
#[tokio::test(flavor = "multi_thread")]
async fn capabilities_are_told() {
    let engine = engine();
    let build = Build::begin(&engine).await;
    let pong: PongResponse = build.ask("Ping", &PingRequest {}).await.unwrap();
    let has = |list: &[buildkit::proto::apicaps::ApiCap], name: &str| {
        list.iter().any(|cap| cap.id == name && cap.enabled)
    };
    for name in ["solve.base", "gateway.exec", "gateway.warnings", "returnmap", "source.metaresolver"] {
        assert!(has(&pong.frontend_api_caps, name), "{name}");
    }
    assert!(has(&pong.llb_caps, "mergeop") && !has(&pong.llb_caps, "cache.gha"));
    assert_eq!(pong.workers.len(), 1);
}

// covers: buildkit rpc moby.buildkit.v1.frontend.LLBBridge ResolveImageConfig
// covers: buildkit rpc moby.buildkit.v1.frontend.LLBBridge ResolveSourceMeta
// covers: buildkit gateway-cap FrontendAPICaps resolveimage
// covers: buildkit gateway-cap FrontendAPICaps resolveimage.resolvemode
// covers: buildkit gateway-cap FrontendAPICaps source.metaresolver
// covers: buildkit llb-cap LLBCaps source.image.resolvemode
// covers: buildkit llb-source-attr SourceOp.attrs image.resolvemode
// covers: buildkit llb-source-attr SourceOp.attrs image.recordtype
// covers: buildkit llb-source-attr SourceOp.attrs default
// covers: buildkit llb-source-attr SourceOp.attrs local
// covers: buildkit llb-source-attr SourceOp.attrs pull
#[tokio::test(flavor = "multi_thread")]
async fn images_are_resolved() {
    let engine = engine();
    let base = engine.busybox();
    let build = Build::begin(&engine).await;
    for mode in ["", "default", "local"] {
        let question = ResolveImageConfigRequest {
            r#ref: base.clone(),
            resolve_mode: mode.into(),
            log_name: "resolved as asked".into(),
            ..ResolveImageConfigRequest::default()
        };
        let answer: ResolveImageConfigResponse = build.ask("ResolveImageConfig", &question).await.unwrap();
        assert!(answer.digest.starts_with("sha256:"), "{answer:?}");
        assert!(answer.r#ref.starts_with(&format!("docker.io/library/{base}")), "{answer:?}");
        let config: Value = serde_json::from_slice(&answer.config).unwrap();
        assert_eq!(config["os"], "linux");
    }
    let source = |identifier: &str| ResolveSourceMetaRequest {
        source: Some(pb::SourceOp { identifier: identifier.into(), attrs: Default::default() }),
        ..ResolveSourceMetaRequest::default()
    };
    let question = source(&format!("docker-image://docker.io/library/{base}"));
    let answer: ResolveSourceMetaResponse = build.ask("ResolveSourceMeta", &question).await.unwrap();
    assert!(answer.source.unwrap().identifier.starts_with("docker-image://docker.io/library/"));
    assert!(!answer.image.unwrap().config.is_empty());
    // A registry is asked where that is wanted, and there is none.
    let question = ResolveImageConfigRequest {
        r#ref: "127.0.0.1:1/none:1".into(),
        resolve_mode: "pull".into(),
        ..ResolveImageConfigRequest::default()
    };
    assert!(build.ask::<ResolveImageConfigResponse>("ResolveImageConfig", &question).await.is_err());
    for (wrong, expected) in [
        (ResolveImageConfigRequest { resolve_mode: "maybe".into(), ..question.clone() }, "maybe"),
        (ResolveImageConfigRequest { r#ref: "NO/../way".into(), ..question.clone() }, "NO/../way"),
    ] {
        let error = build.ask::<ResolveImageConfigResponse>("ResolveImageConfig", &wrong).await.unwrap_err();
        assert!(error.message.contains(expected), "{error}");
    }
    let nothing = ResolveSourceMetaRequest::default();
    let error = build.ask::<ResolveSourceMetaResponse>("ResolveSourceMeta", &nothing).await.unwrap_err();
    assert_eq!(error.message, "no source to resolve");
    for mode in ["default", "local"] {
        let mut definition = Definition::default();
        let attributes = [("image.resolvemode", mode), ("image.recordtype", "internal")];
        let made = definition.source(&format!("docker-image://docker.io/library/{base}"), &attributes);
        build.solve(definition.end(&made)).await.unwrap();
    }
    let mut definition = Definition::default();
    let made = definition.source("docker-image://127.0.0.1:1/none:1", &[("image.resolvemode", "pull")]);
    assert!(build.solve(definition.end(&made)).await.is_err());
}

// covers: buildkit rpc moby.buildkit.v1.frontend.LLBBridge Solve
// covers: buildkit rpc moby.buildkit.v1.frontend.LLBBridge ReadFile
// covers: buildkit rpc moby.buildkit.v1.frontend.LLBBridge ReadDir
// covers: buildkit rpc moby.buildkit.v1.frontend.LLBBridge StatFile
// covers: buildkit rpc moby.buildkit.v1.frontend.LLBBridge Evaluate
// covers: buildkit gateway-cap FrontendAPICaps solve.base
// covers: buildkit gateway-cap FrontendAPICaps readfile
// covers: buildkit gateway-cap FrontendAPICaps readdir
// covers: buildkit gateway-cap FrontendAPICaps statfile
// covers: buildkit gateway-cap FrontendAPICaps proto.refarray
// covers: buildkit gateway-cap FrontendAPICaps gateway.solve.evaluate
// covers: buildkit gateway-cap FrontendAPICaps gateway.evaluate
#[tokio::test(flavor = "multi_thread")]
async fn results_are_looked_at() {
    let engine = engine();
    let base = engine.busybox();
    let build = Build::begin(&engine).await;
    let mut definition = Definition::default();
    let root = definition.image(&base);
    let made = definition.run(
        &root,
        "mkdir -p /d/e; printf 0123456789 > /d/file; ln -s /d/file /abs; ln -s ../../../../etc/passwd /d/out; touch /d/x.c",
    );
    let definition = definition.end(&made);
    let made = build.solve(definition.clone()).await.unwrap();
    assert_eq!(build.read(&made, "/d/file").await.unwrap(), "0123456789");
    assert_eq!(build.read(&made, "/abs").await.unwrap(), "0123456789");
    // Beneath the result, whatever a link says.
    let inside = build.read(&made, "/d/out").await;
    assert!(!inside.is_ok_and(|text| text == std::fs::read_to_string("/etc/passwd").unwrap()));
    for (offset, length, expected) in [(2, 3, "234"), (8, 100, "89"), (10, 5, ""), (100, 5, "")] {
        let question = ReadFileRequest {
            r#ref: made.clone(),
            file_path: "/d/file".into(),
            range: Some(FileRange { offset, length }),
            ..ReadFileRequest::default()
        };
        let answer: ReadFileResponse = build.ask("ReadFile", &question).await.unwrap();
        assert_eq!(answer.data, expected.as_bytes(), "{offset} {length}");
    }
    let question = ReadDirRequest {
        r#ref: made.clone(),
        dir_path: "/d".into(),
        include_pattern: "*.c".into(),
        ..ReadDirRequest::default()
    };
    let answer: ReadDirResponse = build.ask("ReadDir", &question).await.unwrap();
    assert_eq!(answer.entries.iter().map(|entry| entry.path.as_str()).collect::<Vec<_>>(), ["x.c"]);
    let folder = build.stat(&made, "/d/e").await.unwrap();
    // Go's bit for a directory.
    assert_eq!(folder.mode >> 31, 1);
    assert_eq!(build.stat(&made, "/d/out").await.unwrap().linkname, "../../../../etc/passwd");
    for path in ["/none", "/d/file/below"] {
        assert_eq!(build.read(&made, path).await.unwrap_err().code, Code::NotFound, "{path}");
    }
    assert!(build.read(&made, "/d").await.is_err());
    assert_eq!(build.read("nobody's", "/d").await.unwrap_err().message, "no such ref: nobody's");
    // Unless it is to be evaluated, a failure comes with who looks.
    let mut failing = Definition::default();
    let root = failing.image(&base);
    let made = failing.run(&root, "exit 3");
    let failing = failing.end(&made);
    let question = SolveRequest {
        definition: Some(failing.clone()),
        allow_result_return: true,
        allow_result_array_ref: true,
        ..SolveRequest::default()
    };
    let answer: SolveResponse = build.ask("Solve", &question).await.unwrap();
    let Some(result::Result::Ref(lazy)) = answer.result.unwrap().result else { panic!("no ref") };
    let evaluate = EvaluateRequest { r#ref: lazy.id };
    let error = build.ask::<EvaluateResponse>("Evaluate", &evaluate).await.unwrap_err();
    assert!(error.message.ends_with("exit code: 3"), "{error}");
    let answer: SolveResponse = build
        .ask("Solve", &SolveRequest { definition: Some(definition), ..SolveRequest::default() })
        .await
        .unwrap();
    // Old clients are told a name alone.
    assert!(!answer.r#ref.is_empty() && answer.result.is_none());
}

// covers: buildkit rpc moby.buildkit.v1.frontend.LLBBridge Return
// covers: buildkit gateway-cap FrontendAPICaps return
// covers: buildkit gateway-cap FrontendAPICaps returnmap
// covers: buildkit gateway-cap FrontendAPICaps gateway.solve.metadata
#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_returned_once() {
    let engine = engine();
    let base = engine.busybox();
    let name = engine.name("returned");
    let exporter = buildkit::proto::control::Exporter {
        r#type: "image".into(),
        attrs: [("name".to_owned(), name.clone())].into(),
    };
    let request = buildkit::proto::control::SolveRequest {
        exporters: vec![exporter],
        ..buildkit::proto::control::SolveRequest::default()
    };
    let build = Build::planned(&engine, super::Plan { request, ..super::Plan::default() }).await;
    let mut definition = Definition::default();
    let root = definition.image(&base);
    let made = definition.run(&root, "echo x > /x");
    let id = build.solve(definition.end(&made)).await.unwrap();
    let config = br#"{"architecture":"amd64","os":"linux","config":{"Cmd":["cat","/x"]}}"#.to_vec();
    let result = Returned {
        result: Some(result::Result::Ref(Ref { id, def: None })),
        metadata: [("containerimage.config".to_owned(), config)].into(),
        ..Returned::default()
    };
    let response = build.end(result).await.unwrap();
    assert_eq!(response["image.name"], format!("docker.io/library/{name}:latest"));
    assert_eq!(engine.docker(["run", "--rm", "--network", "none", &name]).ok(), "x");
    // A map of results, of which none is exported.
    let build = Build::begin(&engine).await;
    let mut definition = Definition::default();
    let made = definition.image(&base);
    let id = build.solve(definition.end(&made)).await.unwrap();
    let refs = [("linux/amd64".to_owned(), Ref { id, def: None })].into();
    let refs = Returned { result: Some(result::Result::Refs(RefMap { refs })), ..Returned::default() };
    let question = ReturnRequest { result: Some(refs.clone()), error: None };
    let _: ReturnResponse = build.ask("Return", &question).await.unwrap();
    assert!(build.ask::<ReturnResponse>("Return", &question).await.is_err());
    // A failure is the build's, word for word; and a result that nobody made is one.
    let build = Build::begin(&engine).await;
    let failure = buildkit::proto::Status { code: 5, message: "as it was said".into(), details: Vec::new() };
    let question = ReturnRequest { result: None, error: Some(failure) };
    let _: ReturnResponse = build.ask("Return", &question).await.unwrap();
    let error = build.solving.await.unwrap().unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (Code::NotFound, "as it was said"));
    let build = Build::begin(&engine).await;
    let made_up = Returned {
        result: Some(result::Result::Ref(Ref { id: "made-up".into(), def: None })),
        ..Returned::default()
    };
    assert_eq!(build.end(made_up).await.unwrap_err().message, "no such ref: made-up");
}

// covers: buildkit rpc moby.buildkit.v1.frontend.LLBBridge Warn
// covers: buildkit gateway-cap FrontendAPICaps gateway.warnings
#[tokio::test(flavor = "multi_thread")]
async fn a_warning_is_told() {
    let engine = engine();
    let build = Build::begin(&engine).await;
    let client = buildkit::client::Builder::over(upgraded(&engine, "/grpc", &[]).await).await.unwrap();
    let mut news = client.news(&build.id).unwrap();
    let warning = WarnRequest {
        digest: oci::Digest::sha256(b"step").to_string(),
        level: 1,
        short: b"mind the gap".to_vec(),
        detail: vec![b"it is deep".to_vec()],
        url: "https://example.com/".into(),
        info: Some(pb::SourceInfo { filename: "F".into(), data: b"x".to_vec(), ..pb::SourceInfo::default() }),
        ranges: vec![pb::Range {
            start: Some(pb::Position { line: 1, character: 0 }),
            end: Some(pb::Position { line: 1, character: 1 }),
        }],
    };
    let _: WarnResponse = build.ask("Warn", &warning).await.unwrap();
    let nothing = WarnRequest { digest: "none".into(), ..warning };
    assert!(build.ask::<WarnResponse>("Warn", &nothing).await.is_err());
    let heard = loop {
        let told = news.next().await.unwrap().expect("the build goes on");
        if let Some(warning) = told.warnings.into_iter().next() {
            break warning;
        }
    };
    assert_eq!((heard.short.as_slice(), heard.level, heard.ranges.len()), (&b"mind the gap"[..], 1, 1));
    assert_eq!(heard.info.unwrap().filename, "F");
}
