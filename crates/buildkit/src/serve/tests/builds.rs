//! A client's end against the engine's, with an engine that builds nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use build::frontend::{Built, Files, Frontend, Gateway, Ref, ResolvedImage};
use build::graph::{Local, Position, Pull, Range, SourceFile};
use build::progress::{Event, Log, Progress, Stream, VertexState, Warning};
use build::request::{Outcome, Request, What};
use build::session::{Entry, Kind, Session as BuildSession};
use build::{Error, Job};
use grpc::Code;
use oci::Digest;
use oci::image::Platform;

use super::sessions::{Kept, headers, tree};
use crate::attach::{Offer, Session};
use crate::client;
use crate::problem::Problem;
use crate::proto::control::{Exporter, SolveRequest};
use crate::proto::gateway;
use crate::serve::{Builder, Engine, Prune, Usage, Worker};

/// Tells what it is asked for, and reads the context.
struct Fake(tempfile::TempDir);

impl Fake {
    fn new() -> Arc<Self> {
        Arc::new(Self(tempfile::tempdir().unwrap()))
    }
}

struct Asked {
    session: String,
}

impl Gateway for Asked {
    fn session(&self) -> &str {
        &self.session
    }

    fn platforms(&self) -> Vec<Platform> {
        Vec::new()
    }

    fn image<'a>(
        &'a self,
        reference: &'a str,
        _: Option<&'a Platform>,
        _: Pull,
        _: &'a str,
    ) -> Job<'a, ResolvedImage> {
        let (reference, digest) = (format!("{reference}:latest"), Digest::sha256(b"x"));
        Box::pin(async move { Ok(ResolvedImage { reference, digest, config: b"{}".to_vec() }) })
    }

    fn solve<'a>(&'a self, _: &'a Ref) -> Job<'a, Arc<dyn Files>> {
        Box::pin(async { Ok(Arc::new(OneFile) as Arc<dyn Files>) })
    }

    fn warn(&self, _: Warning) {}
}

struct OneFile;

impl Files for OneFile {
    fn read<'a>(&'a self, path: &'a str, _: Option<(u64, u64)>) -> Job<'a, Vec<u8>> {
        Box::pin(async move { Ok(path.as_bytes().to_vec()) })
    }

    fn list<'a>(&'a self, _: &'a str, _: Option<&'a str>) -> Job<'a, Vec<Entry>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn stat<'a>(&'a self, path: &'a str) -> Job<'a, Entry> {
        let kind = Kind::File { size: 3 };
        let entry =
            Entry { path: path.into(), kind, mode: 0o644, uid: 0, gid: 0, mtime: 0, xattrs: BTreeMap::new() };
        Box::pin(async move { Ok(entry) })
    }
}

struct Echo;

impl Frontend for Echo {
    fn build<'a>(
        &'a self,
        attributes: &'a BTreeMap<String, String>,
        _: &'a BTreeMap<String, Ref>,
        _: &'a dyn Gateway,
    ) -> Job<'a, Built> {
        let text = format!("{attributes:?}").into_bytes();
        Box::pin(
            async move { Ok(Built { metadata: [("result.txt".into(), text)].into(), ..Built::default() }) },
        )
    }
}

fn vertex() -> Digest {
    Digest::sha256(b"step")
}

impl Engine for Fake {
    fn build(
        &self,
        request: Request,
        session: Arc<dyn BuildSession>,
        progress: Progress,
    ) -> Job<'_, Outcome> {
        Box::pin(async move {
            let at = SystemTime::now();
            let name = format!("step of {}", request.id);
            progress.tell(Event::Vertex(VertexState {
                digest: vertex(),
                inputs: Vec::new(),
                name: name.clone(),
                group: None,
                started: Some(at),
                completed: None,
                cached: false,
                error: None,
            }));
            let log = Log { vertex: vertex(), stream: Stream::Out, data: vec![b'x'; 1 << 20], at };
            progress.tell(Event::Log(log.clone()));
            progress.tell(Event::Log(log));
            let gateway = Arc::new(Asked { session: session.id().to_owned() });
            let built = match request.what {
                What::Frontend { frontend, attributes, inputs } => {
                    frontend.build(&attributes, &inputs, &*gateway).await?
                }
                What::Outside(outside) => outside(gateway).await?,
                What::Graph(_) => Built::default(),
            };
            let kept = Kept::default();
            let files = kept.files();
            let context = Local { name: "context".into(), ..Local::default() };
            session.send(&context, Box::new(kept)).await?;
            if request.allowed.security_insecure {
                let file = SourceFile {
                    name: "Dockerfile".into(),
                    language: String::new(),
                    data: b"RUN x".to_vec(),
                };
                let ranges = vec![Range { start: (1, 0), end: (1, 5) }];
                let positions = vec![Position { file: Arc::new(file), ranges }];
                let source = Arc::new(Error::Exit { command: "x".into(), code: 7 });
                return Err(Error::Step(Box::new(build::Failed {
                    vertex: vertex(),
                    name,
                    positions,
                    cause: source,
                })));
            }
            let mut outcome = Outcome::default();
            outcome.response.insert("files".into(), files.lock().unwrap().len().to_string());
            outcome.response.insert("exports".into(), request.exports.len().to_string());
            let refs = built.refs.len().to_string();
            outcome.response.insert("refs".into(), refs);
            Ok(outcome)
        })
    }

    fn frontend(&self, name: &str) -> Option<Arc<dyn Frontend>> {
        (name == "dockerfile.v0").then(|| Arc::new(Echo) as Arc<dyn Frontend>)
    }

    fn records(&self) -> std::path::PathBuf {
        self.0.path().to_owned()
    }

    fn worker(&self) -> Worker {
        Worker { id: "w".into(), ..Worker::default() }
    }

    fn usage(&self) -> Job<'_, Vec<Usage>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn prune(&self, _: Prune) -> Job<'_, Vec<Usage>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

struct Meeting {
    client: client::Builder,
    session: String,
    _folder: tempfile::TempDir,
}

async fn meet() -> Meeting {
    let folder = tempfile::tempdir().unwrap();
    tree(folder.path());
    let builder = Builder::new(Fake::new());
    let directories = [("context".to_owned(), folder.path().to_owned())].into();
    let session = Session::new(String::new(), Offer { directories, ..Offer::default() }).unwrap();
    let (headers, id) = (headers(&session), session.id().to_owned());
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    tokio::spawn(session.serve(ours));
    let holding = builder.clone();
    tokio::spawn(async move { holding.hold(&headers, theirs).await });
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    tokio::spawn(async move { builder.serve(theirs).await });
    Meeting { client: client::Builder::over(ours).await.unwrap(), session: id, _folder: folder }
}

fn request(meeting: &Meeting, frontend: &str) -> SolveRequest {
    SolveRequest {
        r#ref: "b".into(),
        session: meeting.session.clone(),
        frontend: frontend.into(),
        ..SolveRequest::default()
    }
}

// covers: buildkit rpc moby.buildkit.v1.Control Solve
// covers: buildkit rpc moby.buildkit.v1.Control Status
#[tokio::test]
async fn a_build_tells_its_story_and_has_an_end() {
    let meeting = meet().await;
    let mut news = meeting.client.news("b").unwrap();
    let mut request = request(&meeting, "dockerfile.v0");
    request.exporters = vec![Exporter { r#type: "moby".into(), ..Exporter::default() }];
    let response = meeting.client.solve(&request).await.unwrap();
    assert_eq!((response["files"].as_str(), response["exports"].as_str()), ("7", "1"));
    let (mut names, mut logged, mut messages) = (Vec::new(), 0, 0);
    while let Some(told) = news.next().await.unwrap() {
        names.extend(told.vertexes.into_iter().map(|vertex| vertex.name));
        logged += told.logs.iter().map(|log| log.msg.len()).sum::<usize>();
        messages += 1;
    }
    assert_eq!((names, logged), (vec!["step of b".to_owned()], 2 << 20));
    assert!(messages >= 2, "two megabytes in one message");
    // Who comes late still hears it.
    assert!(meeting.client.news("b").unwrap().next().await.unwrap().is_some());
}

// covers: buildkit rpc moby.buildkit.v1.frontend.LLBBridge Ping
// covers: buildkit rpc moby.buildkit.v1.frontend.LLBBridge Solve
// covers: buildkit rpc moby.buildkit.v1.frontend.LLBBridge Return
#[tokio::test]
async fn a_client_drives_a_build_itself() {
    let meeting = meet().await;
    let question = gateway::SolveRequest {
        frontend: "dockerfile.v0".into(),
        frontend_opt: [("filename".to_owned(), "x".to_owned())].into(),
        allow_result_return: true,
        allow_result_array_ref: true,
        ..gateway::SolveRequest::default()
    };
    let answer = meeting.client.ask_frontend(&request(&meeting, ""), question).await.unwrap();
    assert_eq!(answer["result.txt"], b"{\"filename\": \"x\"}");
}

#[tokio::test]
async fn what_a_frontend_failed_with_is_what_its_build_fails_with() {
    let meeting = meet().await;
    let question = gateway::SolveRequest { frontend: "nobody.v0".into(), ..gateway::SolveRequest::default() };
    let error = meeting.client.ask_frontend(&request(&meeting, ""), question).await.unwrap_err();
    assert_eq!(error.code, Code::Unimplemented);
    assert!(error.message.contains("nobody.v0"), "{error}");
}

#[tokio::test]
async fn a_failed_step_says_where_it_was_written() {
    let meeting = meet().await;
    let mut request = request(&meeting, "dockerfile.v0");
    request.entitlements = vec!["security.insecure".into()];
    let error = meeting.client.solve(&request).await.unwrap_err();
    assert_eq!(error.message, "process \"x\" did not complete successfully: exit code: 7");
    let problem = Problem::of(&error);
    assert_eq!((problem.exit, problem.sources[0].info.data.as_slice()), (Some(7), &b"RUN x"[..]));
    assert_eq!(problem.vertex, Some(vertex().to_string()));
}

#[tokio::test]
async fn what_is_not_done_is_refused_by_name() {
    let meeting = meet().await;
    let plain = request(&meeting, "dockerfile.v0");
    let exporter = |kind: &str| vec![Exporter { r#type: kind.into(), ..Exporter::default() }];
    for (expected, request) in [
        ("frontend nobody.v0", SolveRequest { frontend: "nobody.v0".into(), ..plain.clone() }),
        ("no source", SolveRequest { frontend: "gateway.v0".into(), ..plain.clone() }),
        ("floppy", SolveRequest { exporters: exporter("floppy"), ..plain.clone() }),
        (
            "unknown device config key",
            SolveRequest { entitlements: vec!["device=a/b=c,x=y".into()], ..plain.clone() },
        ),
        ("policy", SolveRequest { source_policy_session: "s".into(), ..plain.clone() }),
        ("exporter of the session", SolveRequest { enable_session_exporter: true, ..plain.clone() }),
        ("needs an id", SolveRequest { r#ref: String::new(), ..plain.clone() }),
    ] {
        let error = meeting.client.solve(&request).await.expect_err(expected);
        assert!(error.message.contains(expected), "{error} has no {expected:?}");
    }
}

#[tokio::test]
async fn a_build_ends_with_its_clients_session() {
    let builder = Builder::new(Fake::new());
    let session = Session::new(String::new(), Offer::default()).unwrap();
    let (headers, id) = (headers(&session), session.id().to_owned());
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let serving = tokio::spawn(session.serve(ours));
    let holding = builder.clone();
    let held = tokio::spawn(async move { holding.hold(&headers, theirs).await });
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    tokio::spawn(async move { builder.serve(theirs).await });
    let client = client::Builder::over(ours).await.unwrap();
    // Without a frontend it waits for one that never comes.
    let request = SolveRequest { r#ref: "b".into(), session: id, ..SolveRequest::default() };
    let mut news = client.news("b").unwrap();
    let solving = tokio::spawn(async move { client.solve(&request).await });
    assert!(news.next().await.unwrap().is_some());
    serving.abort();
    assert_eq!(solving.await.unwrap().unwrap_err().code, Code::Cancelled);
    held.await.unwrap().unwrap();
}

// covers: buildkit rpc moby.buildkit.v1.Control Session
#[tokio::test]
async fn a_session_goes_through_a_call_where_nothing_can_be_upgraded() {
    let folder = tempfile::tempdir().unwrap();
    tree(folder.path());
    let builder = Builder::new(Fake::new());
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    tokio::spawn(async move { builder.serve(theirs).await });
    let channel = grpc::Channel::over(ours).await.unwrap();
    let directories = [("context".to_owned(), folder.path().to_owned())].into();
    let session = Session::new(String::new(), Offer { directories, ..Offer::default() }).unwrap();
    let about = session.headers().into_iter().try_fold(grpc::Metadata::default(), |all, (name, value)| {
        all.and(&name.to_ascii_lowercase(), &value)
    });
    let stream = channel.stream("/moby.buildkit.v1.Control/Session", &about.unwrap()).unwrap();
    let id = session.id().to_owned();
    let (inner, outer) = tokio::io::duplex(64 << 10);
    tokio::spawn(session.serve(inner));
    tokio::spawn(crate::tunnel::join::<crate::proto::control::BytesMessage>(stream, outer));
    let request = SolveRequest {
        r#ref: "b".into(),
        session: id,
        frontend: "dockerfile.v0".into(),
        ..SolveRequest::default()
    };
    let path = "/moby.buildkit.v1.Control/Solve";
    let answer: crate::proto::control::SolveResponse =
        channel.unary(path, &grpc::Metadata::default(), &request).await.unwrap();
    assert_eq!(answer.exporter_response["files"], "7");
}
