//! BuildKit's protocol, spoken by the test itself: definitions, the gateway, containers of frontends, history.

mod attributes;
mod containers;
mod definitions;
mod files;
mod frontends;
mod gateway;
mod git;
mod git_ssh;
mod history;
mod hostile;
mod layouts;
mod older;
mod rest;

use std::collections::{BTreeMap, HashMap};

use buildkit::attach::{Offer, Session};
use buildkit::proto::control::{SolveRequest, SolveResponse};
use buildkit::proto::{gateway as asked, pb};
use grpc::{Channel, Metadata, Status};
use prost::Message as _;
use testkit::Engine;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::task::{AbortHandle, JoinHandle};

/// A connection that the engine upgraded.
async fn upgraded(engine: &Engine, path: &str, headers: &[(&str, String)]) -> UnixStream {
    let mut stream = UnixStream::connect(engine.socket()).await.expect("the engine answers");
    let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n{more}\r\n");
    stream.write_all(head.as_bytes()).await.expect("the engine answers");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.expect("the engine answers"));
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    stream
}

/// A connection to the engine's builder.
async fn builder(engine: &Engine) -> Channel {
    Channel::over(upgraded(engine, "/grpc", &[]).await).await.expect("the engine answers")
}

/// A build that the test drives itself.
struct Build {
    channel: Channel,
    about: Metadata,
    id: String,
    solving: JoinHandle<Result<SolveResponse, Status>>,
    _stop: [Stop; 2],
}

/// A client that leaves takes all with it.
struct Stop(AbortHandle);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a build begins with.
#[derive(Default)]
struct Plan {
    offer: Offer,
    request: SolveRequest,
}

impl Build {
    async fn begin(engine: &Engine) -> Self {
        Self::planned(engine, Plan::default()).await
    }

    async fn allowed(engine: &Engine, entitlements: &[&str]) -> Self {
        let entitlements = entitlements.iter().map(|name| (*name).to_owned()).collect();
        let request = SolveRequest { entitlements, ..SolveRequest::default() };
        Self::planned(engine, Plan { request, ..Plan::default() }).await
    }

    async fn offering(engine: &Engine, offer: Offer) -> Self {
        Self::planned(engine, Plan { offer, ..Plan::default() }).await
    }

    async fn planned(engine: &Engine, plan: Plan) -> Self {
        let session = Session::new("a test".into(), plan.offer).expect("the engine answers");
        let headers: Vec<_> = session.headers();
        let name = session.id().to_owned();
        let stream = upgraded(engine, "/session", &headers).await;
        let session = tokio::spawn(session.serve(stream));
        let channel = builder(engine).await;
        let id = buildkit::identity().expect("the engine answers");
        let request = SolveRequest { r#ref: id.clone(), session: name, ..plan.request };
        let (asking, nothing) = (channel.clone(), Metadata::default());
        let solving =
            tokio::spawn(
                async move { asking.unary("/moby.buildkit.v1.Control/Solve", &nothing, &request).await },
            );
        let about = Metadata::default().and("buildkit-controlapi-buildid", &id).expect("the engine answers");
        let stop = [Stop(session.abort_handle()), Stop(solving.abort_handle())];
        Self { channel, about, id, solving, _stop: stop }
    }

    async fn ask<A: prost::Message + Default>(
        &self,
        method: &str,
        question: &impl prost::Message,
    ) -> Result<A, Status> {
        let path = format!("/moby.buildkit.v1.frontend.LLBBridge/{method}");
        self.channel.unary(&path, &self.about, question).await
    }

    /// Builds a definition; its result's name.
    async fn solve(&self, definition: pb::Definition) -> Result<String, Status> {
        let question = asked::SolveRequest {
            definition: Some(definition),
            evaluate: true,
            allow_result_return: true,
            allow_result_array_ref: true,
            ..asked::SolveRequest::default()
        };
        let answer: asked::SolveResponse = self.ask("Solve", &question).await?;
        match answer.result.and_then(|result| result.result) {
            Some(asked::result::Result::Ref(single)) => Ok(single.id),
            other => panic!("{other:?}"),
        }
    }

    async fn read(&self, from: &str, path: &str) -> Result<String, Status> {
        let question = asked::ReadFileRequest {
            r#ref: from.to_owned(),
            file_path: path.to_owned(),
            ..asked::ReadFileRequest::default()
        };
        let answer: asked::ReadFileResponse = self.ask("ReadFile", &question).await?;
        Ok(String::from_utf8_lossy(&answer.data).into_owned())
    }

    async fn stat(&self, from: &str, path: &str) -> Result<buildkit::proto::Stat, Status> {
        let question = asked::StatFileRequest {
            r#ref: from.to_owned(),
            path: path.to_owned(),
            ..asked::StatFileRequest::default()
        };
        let answer: asked::StatFileResponse = self.ask("StatFile", &question).await?;
        Ok(answer.stat.expect("the engine answers"))
    }

    /// The names in a directory of a result.
    async fn names(&self, from: &str, path: &str) -> Result<Vec<String>, Status> {
        Ok(self.entries(from, path).await?.into_iter().map(|entry| entry.path).collect())
    }

    /// How old each thing in a folder is.
    async fn times(&self, from: &str, path: &str) -> Result<Vec<i64>, Status> {
        Ok(self.entries(from, path).await?.into_iter().map(|entry| entry.mod_time).collect())
    }

    async fn entries(&self, from: &str, path: &str) -> Result<Vec<buildkit::proto::Stat>, Status> {
        let question = asked::ReadDirRequest {
            r#ref: from.to_owned(),
            dir_path: path.to_owned(),
            ..asked::ReadDirRequest::default()
        };
        let answer: asked::ReadDirResponse = self.ask("ReadDir", &question).await?;
        Ok(answer.entries)
    }

    /// What a definition's result has at a path.
    async fn made(&self, definition: pb::Definition, path: &str) -> String {
        let made = self.solve(definition).await.expect("the engine answers");
        self.read(&made, path).await.expect("the engine answers")
    }

    /// Why a definition isn't built.
    async fn refused(&self, definition: pb::Definition) -> String {
        self.solve(definition).await.expect_err("it is refused").message
    }

    /// Returns a result, and what became of the build.
    async fn end(self, result: asked::Result) -> Result<HashMap<String, String>, Status> {
        let question = asked::ReturnRequest { result: Some(result), error: None };
        let _: asked::ReturnResponse = self.ask("Return", &question).await?;
        Ok(self.solving.await.expect("the engine answers")?.exporter_response)
    }
}

/// A definition that grows.
#[derive(Default)]
struct Definition {
    operations: Vec<Vec<u8>>,
    metadata: BTreeMap<String, pb::OpMetadata>,
}

/// An output of an operation.
type Out = (String, i64);

impl Definition {
    fn add(&mut self, inputs: &[&Out], op: pb::op::Op) -> Out {
        self.on(inputs, op, None)
    }

    fn on(&mut self, inputs: &[&Out], op: pb::op::Op, platform: Option<pb::Platform>) -> Out {
        let inputs = inputs.iter().map(|(digest, index)| pb::Input { digest: digest.clone(), index: *index });
        self.raw(&pb::Op { inputs: inputs.collect(), op: Some(op), platform, ..pb::Op::default() })
    }

    fn raw(&mut self, op: &pb::Op) -> Out {
        let bytes = op.encode_to_vec();
        let digest = oci::Digest::sha256(&bytes).to_string();
        if !self.operations.contains(&bytes) {
            self.operations.push(bytes);
        }
        (digest, 0)
    }

    fn about(&mut self, of: &Out, metadata: pb::OpMetadata) {
        self.metadata.insert(of.0.clone(), metadata);
    }

    fn source(&mut self, identifier: &str, attributes: &[(&str, &str)]) -> Out {
        let attrs = attributes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self.add(&[], pb::op::Op::Source(pb::SourceOp { identifier: identifier.to_owned(), attrs }))
    }

    fn image(&mut self, name: &str) -> Out {
        self.source(&format!("docker-image://docker.io/library/{name}"), &[])
    }

    /// A shell's command in a root, whose result is the root.
    fn run(&mut self, root: &Out, command: &str) -> Out {
        self.exec(&[root], exec(command))
    }

    fn exec(&mut self, inputs: &[&Out], exec: pb::ExecOp) -> Out {
        self.add(inputs, pb::op::Op::Exec(exec))
    }

    fn file(&mut self, inputs: &[&Out], actions: &[pb::FileAction]) -> Out {
        self.add(inputs, pb::op::Op::File(pb::FileOp { actions: actions.to_vec() }))
    }

    /// Ends it with this result.
    fn end(mut self, result: &Out) -> pb::Definition {
        let inputs = vec![pb::Input { digest: result.0.clone(), index: result.1 }];
        let last = pb::Op { inputs, ..pb::Op::default() };
        self.operations.push(last.encode_to_vec());
        pb::Definition { def: self.operations, metadata: self.metadata, source: None }
    }
}

/// A shell's command on its first input.
fn exec(command: &str) -> pb::ExecOp {
    let args = ["sh", "-c", command].map(str::to_owned).to_vec();
    let meta = pb::Meta {
        args,
        env: vec!["PATH=/bin:/sbin:/usr/bin".into()],
        cwd: "/".into(),
        ..pb::Meta::default()
    };
    pb::ExecOp { meta: Some(meta), mounts: vec![bind(0, "/", 0)], ..pb::ExecOp::default() }
}

fn bind(input: i64, dest: &str, output: i64) -> pb::Mount {
    pb::Mount { input, dest: dest.to_owned(), output, ..pb::Mount::default() }
}

fn mount(kind: pb::MountType, dest: &str) -> pb::Mount {
    pb::Mount {
        input: -1,
        dest: dest.to_owned(),
        output: -1,
        mount_type: kind.into(),
        ..pb::Mount::default()
    }
}

fn action(input: i64, secondary: i64, output: i64, action: pb::file_action::Action) -> pb::FileAction {
    pb::FileAction { input, secondary_input: secondary, output, action: Some(action) }
}

/// An engine of ours.
fn engine() -> Engine {
    Engine::ours()
}
