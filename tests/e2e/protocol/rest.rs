//! What of BuildKit's protocol nobody who can be had uses, or what would be another machine's: refused by name, and not advertised.

use buildkit::attach::{Offer, Session};
use buildkit::proto::control::SolveRequest;
use buildkit::proto::gateway::{
    ChecksumRequest, PingRequest, PongResponse, ResolveSourceHttpRequest, ResolveSourceMetaRequest,
    ResolveSourceMetaResponse,
};
use buildkit::proto::pb;
use grpc::{Channel, Code, Metadata};

use super::{Build, Definition, Plan, builder, engine};

// refuses: buildkit llb-source-attr SourceOp.attrs git.mtime because a checkout's files are as old as their commit, or SOURCE_DATE_EPOCH's
// refuses: buildkit llb-cap LLBCaps source.git.mtime because a checkout's files are as old as their commit, or SOURCE_DATE_EPOCH's
// refuses: buildkit llb-source-attr SourceOp.attrs git.bundle because bundles are written by no client that can be had
// refuses: buildkit llb-source-attr SourceOp.attrs git.checkoutbundle because bundles are written by no client that can be had
// refuses: buildkit llb-cap LLBCaps source.git.bundle because bundles are written by no client that can be had
// refuses: buildkit llb-cap LLBCaps source.git.checkoutbundle because bundles are written by no client that can be had
// refuses: buildkit llb-source-attr SourceOp.attrs git.sig.pubkey because nothing here reads OpenPGP's keys: a commit's checksum says which bytes are meant
// refuses: buildkit llb-source-attr SourceOp.attrs git.sig.rejectexpired because nothing here reads OpenPGP's keys: a commit's checksum says which bytes are meant
// refuses: buildkit llb-source-attr SourceOp.attrs git.sig.requiresignedtag because nothing here reads OpenPGP's keys: a commit's checksum says which bytes are meant
// refuses: buildkit llb-source-attr SourceOp.attrs git.sig.ignoresignedtag because nothing here reads OpenPGP's keys: a commit's checksum says which bytes are meant
// refuses: buildkit llb-cap LLBCaps source.git.signatureverify because nothing here reads OpenPGP's keys: a commit's checksum says which bytes are meant
// refuses: buildkit llb-source-attr SourceOp.attrs http.sig.pubkey because nothing here reads OpenPGP's keys: http.checksum says which bytes are meant
// refuses: buildkit llb-source-attr SourceOp.attrs http.sig.signature because nothing here reads OpenPGP's keys: http.checksum says which bytes are meant
// refuses: buildkit llb-cap LLBCaps source.http.signatureverify because nothing here reads OpenPGP's keys: http.checksum says which bytes are meant
// refuses: buildkit llb-source-attr SourceOp.attrs local.metadatatransfer because a directory without its files' content makes no layer
// refuses: buildkit llb-source-attr SourceOp.attrs local.metadatatransferexclude because a directory without its files' content makes no layer
// refuses: buildkit llb-cap LLBCaps source.local.metadatatransfer because a directory without its files' content makes no layer
// refuses: buildkit llb-source-attr SourceOp.attrs image.layerlimit because a part of an image is no image, and no client that can be had asks for one
// refuses: buildkit llb-cap LLBCaps source.image.layerlimit because a part of an image is no image, and no client that can be had asks for one
// refuses: buildkit llb-source-attr SourceOp.attrs image.checksum because a name with a digest (name@sha256:…) says the same
// refuses: buildkit llb-cap LLBCaps source.image.checksum because a name with a digest (name@sha256:…) says the same
// covers: buildkit llb-source-attr SourceOp.attrs local.session
#[tokio::test(flavor = "multi_thread")]
async fn attributes_of_sources_are_refused_by_their_names() {
    let engine = engine();
    let base = engine.busybox();
    engine.scratch().write("given/file", "x");
    let directories = [("given".to_owned(), engine.scratch().join("given"))].into();
    let build = Build::offering(&engine, Offer { directories, ..Offer::default() }).await;
    let image = format!("docker-image://docker.io/library/{base}");
    for (identifier, attribute) in [
        ("git://example.com/a.git", "git.mtime"),
        ("git://example.com/a.git", "git.bundle"),
        ("git://example.com/a.git", "git.checkoutbundle"),
        ("git://example.com/a.git", "git.sig.pubkey"),
        ("git://example.com/a.git", "git.sig.rejectexpired"),
        ("git://example.com/a.git", "git.sig.requiresignedtag"),
        ("git://example.com/a.git", "git.sig.ignoresignedtag"),
        ("http://example.com/a", "http.sig.pubkey"),
        ("http://example.com/a", "http.sig.signature"),
        ("local://given", "local.metadatatransfer"),
        ("local://given", "local.metadatatransferexclude"),
        (&image, "image.layerlimit"),
        (&image, "image.checksum"),
    ] {
        let mut definition = Definition::default();
        let made = definition.source(identifier, &[(attribute, "1")]);
        let why = build.refused(definition.end(&made)).await;
        assert_eq!(why, format!("{attribute} of source {identifier} is not supported"));
    }
    // A session that several builds share is named, and this build's own offers the same.
    let mut definition = Definition::default();
    let made = definition.source("local://given", &[("local.session", "another")]);
    assert_eq!(build.made(definition.end(&made), "/file").await, "x");
}

// refuses: buildkit llb-cap LLBCaps exec.meta.network.proxy because a step's way out is its network's, and proxies are its variables
// refuses: buildkit llb-cap LLBCaps exec.meta.linux.resources because limits of a step are the classic route's, or a cgroup's that it is put below
// refuses: buildkit llb-cap LLBCaps exporter.session because results go where exporters say, and no client that can be had has exporters of its own
// refuses: buildkit llb-cap LLBCaps source.policy.session because what decides about a source is rules that the client sends with the build
// refuses: buildkit gateway-cap FrontendAPICaps solve.inlinereturn because frontends return by Return, which all have
// refuses: buildkit gateway-cap FrontendAPICaps importcaches because clients name the caches of a build, and frontends none of their own
// refuses: buildkit gateway-cap FrontendAPICaps reference.attestations because what is said about an image is the engine's to say
// refuses: buildkit gateway-cap FrontendAPICaps source.metaresolver.image.attestations because what is said about an image is the engine's to say
// refuses: buildkit gateway-cap FrontendAPICaps source.metaresolver.http.checksumrequest because a file of the web is fetched to be known
// refuses: buildkit rpc moby.exporter.v1.Exporter FindExporters because results go where exporters say, and no client that can be had has exporters of its own
// refuses: buildkit rpc moby.exporter.v1.Exporter FinalizeExport because results go where exporters say, and no client that can be had has exporters of its own
// refuses: buildkit rpc moby.buildkit.v1.sourcepolicy.policysession.PolicyVerifier CheckPolicy because what decides about a source is rules that the client sends with the build
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_advertised() {
    let engine = engine();
    let base = engine.busybox();
    let build = Build::begin(&engine).await;
    let pong: PongResponse = build.ask("Ping", &PingRequest {}).await.unwrap();
    let advertised: Vec<String> =
        pong.llb_caps.into_iter().chain(pong.frontend_api_caps).map(|cap| cap.id).collect();
    for absent in [
        "source.image.layerlimit",
        "source.image.checksum",
        "source.local.metadatatransfer",
        "source.git.signatureverify",
        "source.git.mtime",
        "source.git.bundle",
        "source.git.checkoutbundle",
        "source.http.signatureverify",
        "exec.meta.network.proxy",
        "exec.meta.linux.resources",
        "exporter.session",
        "source.policy.session",
        "solve.inlinereturn",
        "importcaches",
        "reference.attestations",
        "source.metaresolver.image.attestations",
        "source.metaresolver.http.checksumrequest",
    ] {
        assert!(!advertised.iter().any(|cap| cap == absent), "{absent}");
    }
    // A definition that needs one says so.
    let mut definition = Definition::default();
    let root = definition.image(&base);
    let caps = [("exec.meta.linux.resources".to_owned(), true)].into();
    definition.about(&root, pb::OpMetadata { caps, ..pb::OpMetadata::default() });
    assert!(build.refused(definition.end(&root)).await.contains("\"exec.meta.linux.resources\""));
    for (request, expected) in [
        (
            SolveRequest { source_policy_session: "x".into(), ..SolveRequest::default() },
            "a source policy that the session decides",
        ),
        (
            SolveRequest { enable_session_exporter: true, ..SolveRequest::default() },
            "an exporter of the session's",
        ),
    ] {
        let request = SolveRequest { frontend: "dockerfile.v0".into(), ..request };
        let planned = Build::planned(&engine, Plan { request, ..Plan::default() }).await;
        let refused = planned.solving.await.unwrap().unwrap_err();
        assert_eq!(refused.message, format!("{expected} is not supported"));
    }
    // What is resolved is what can be had.
    for (identifier, http) in [
        ("local://given", None),
        (
            "http://example.com/a",
            Some(ResolveSourceHttpRequest { checksum_request: Some(ChecksumRequest::default()) }),
        ),
    ] {
        let source = pb::SourceOp { identifier: identifier.into(), attrs: Default::default() };
        let question =
            ResolveSourceMetaRequest { source: Some(source), http, ..ResolveSourceMetaRequest::default() };
        assert!(build.ask::<ResolveSourceMetaResponse>("ResolveSourceMeta", &question).await.is_err());
    }
}

// refuses: buildkit rpc moby.filesync.v1.FileSync TarStream because directories are told file by file, so that only what changed is sent
// covers: buildkit rpc opentelemetry.proto.collector.trace.v1.TraceService Export
// covers: buildkit session-header session X-Docker-Expose-Session-Name
// covers: buildkit session-header session X-Docker-Expose-Session-Sharedkey
#[tokio::test(flavor = "multi_thread")]
async fn a_session_answers_what_it_offers() {
    let engine = engine();
    let session = Session::new("a test".into(), Offer::default()).unwrap();
    let headers = session.headers();
    let said = |name: &str| headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
    assert_eq!(said("X-Docker-Expose-Session-Name").as_deref(), Some("build"));
    assert_eq!(said("X-Docker-Expose-Session-Sharedkey").as_deref(), Some("a test"));
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let serving = tokio::spawn(session.serve(theirs));
    let channel = Channel::over(ours).await.unwrap();
    // Nobody's keys were offered.
    for method in [
        "/moby.filesync.v1.FileSync/TarStream",
        "/moby.filesync.v1.Auth/Credentials",
        "/moby.filesync.v1.Auth/FetchToken",
        "/moby.filesync.v1.Auth/GetTokenAuthority",
        "/moby.filesync.v1.Auth/VerifyTokenAuthority",
    ] {
        let answer = channel.unary::<PingRequest>(method, &Metadata::default(), &PingRequest {}).await;
        assert_eq!(answer.unwrap_err().code, Code::Unimplemented, "{method}");
        assert!(!headers.iter().any(|(_, value)| value == method));
    }
    serving.abort();
    // What a client measured of itself is taken.
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let _: PingRequest =
        builder(&engine).await.unary(path, &Metadata::default(), &PingRequest {}).await.unwrap();
}

/// A client that writes down what it is told with a result.
struct Listening(std::sync::Mutex<Vec<(String, String)>>);

impl grpc::Service for Listening {
    async fn call(&self, call: grpc::Call) -> Result<(), grpc::Status> {
        let told = call
            .metadata
            .iter()
            .map(|(key, value)| (key.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        self.0.lock().expect("a list").extend(told);
        Err(grpc::Status::unimplemented(&call.path))
    }
}

// refuses: buildkit session-metadata filesync exporter-md- because what an archive is stands in the build's answer, where clients read it
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_goes_to_its_exporters_place() {
    use buildkit::proto::control::{Exporter, SolveResponse};
    let engine = engine();
    let mut headers: Vec<(&str, String)> = vec![("X-Docker-Expose-Session-Uuid", "listening".into())];
    headers.push(("X-Docker-Expose-Session-Grpc-Method", "/moby.filesync.v1.FileSend/DiffCopy".into()));
    let stream = super::upgraded(&engine, "/session", &headers).await;
    let client = std::sync::Arc::new(Listening(Default::default()));
    let _stop = super::Stop(tokio::spawn(grpc::serve(stream, client.clone())).abort_handle());
    let mut definition = Definition::default();
    let made = definition.file(&[], &[mkdir()]);
    let request = SolveRequest {
        r#ref: buildkit::identity().unwrap(),
        session: "listening".into(),
        definition: Some(definition.end(&made)),
        exporters: vec![Exporter { r#type: "oci".into(), attrs: Default::default() }],
        ..SolveRequest::default()
    };
    let path = "/moby.buildkit.v1.Control/Solve";
    let solved = builder(&engine).await.unary::<SolveResponse>(path, &Metadata::default(), &request).await;
    assert!(solved.is_err(), "{solved:?}");
    let told = client.0.lock().unwrap().clone();
    assert!(!told.iter().any(|(key, _)| key.starts_with("exporter-md-")), "{told:?}");
    assert!(told.iter().any(|(key, _)| key == "buildkit-attachable-exporter-id"), "{told:?}");
}

fn mkdir() -> pb::FileAction {
    let action = pb::FileActionMkDir { path: "/made".into(), mode: 0o755, ..pb::FileActionMkDir::default() };
    let action = Some(pb::file_action::Action::Mkdir(action));
    pb::FileAction { input: -1, secondary_input: -1, output: 0, action }
}

// covers: buildkit llb-source SourceOp.identifier https://
#[tokio::test(flavor = "multi_thread")]
async fn a_file_comes_by_tls_from_whom_the_engine_believes() {
    use testkit::Engine;
    use testkit::registry::{Door, Registry, Wire};
    let registry = Registry::with(Door::Open, Wire::Tls);
    let trusting = Engine::planned(|plan, _| plan.env("SSL_CERT_FILE", registry.certificate()));
    let build = Build::begin(&trusting).await;
    let mut definition = Definition::default();
    let url = format!("https://{}/v2/", registry.address());
    let made = definition.source(&url, &[("http.filename", "answer")]);
    assert_eq!(build.made(definition.end(&made), "/answer").await.trim(), "{}");
}
