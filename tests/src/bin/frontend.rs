//! A frontend for an image: what `tests/e2e/protocol/frontends.rs` has built and run by the engine. It speaks BuildKit's
//! gateway over its standard streams, as every such frontend does.
//!
//! It makes an image with one file, `/said`, of what it was told, and of what it found in the `context`, if there is one.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use buildkit::proto::{gateway, pb};
use grpc::{Channel, Metadata, Status};
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe;

struct Streams(pipe::Receiver, pipe::Sender);

impl Streams {
    /// The pipes that we were started with.
    fn own() -> std::io::Result<Self> {
        let input = std::io::stdin().as_fd().try_clone_to_owned()?;
        let output = std::io::stdout().as_fd().try_clone_to_owned()?;
        Ok(Self(pipe::Receiver::from_owned_fd(input)?, pipe::Sender::from_owned_fd(output)?))
    }
}

impl AsyncRead for Streams {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Streams {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.1).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.1).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.1).poll_shutdown(cx)
    }
}

struct Gateway(Channel);

impl Gateway {
    async fn ask<A: prost::Message + Default>(
        &self,
        method: &str,
        question: &impl prost::Message,
    ) -> Result<A, Status> {
        let path = format!("/moby.buildkit.v1.frontend.LLBBridge/{method}");
        self.0.unary(&path, &Metadata::default(), question).await
    }

    async fn solve(&self, definition: pb::Definition) -> Result<gateway::Ref, Status> {
        let question = gateway::SolveRequest {
            definition: Some(definition),
            allow_result_return: true,
            allow_result_array_ref: true,
            ..gateway::SolveRequest::default()
        };
        let answer: gateway::SolveResponse = self.ask("Solve", &question).await?;
        match answer.result.and_then(|result| result.result) {
            Some(gateway::result::Result::Ref(single)) => Ok(single),
            _ => Ok(gateway::Ref::default()),
        }
    }
}

/// One operation, and an end.
fn definition(op: pb::op::Op) -> pb::Definition {
    let op = pb::Op { op: Some(op), ..pb::Op::default() }.encode_to_vec();
    let digest = oci::Digest::sha256(&op).to_string();
    let end = pb::Op { inputs: vec![pb::Input { digest, index: 0 }], ..pb::Op::default() };
    pb::Definition { def: vec![op, end.encode_to_vec()], ..pb::Definition::default() }
}

fn options() -> BTreeMap<String, String> {
    let given = std::env::vars().filter(|(name, _)| name.starts_with("BUILDKIT_FRONTEND_OPT_"));
    given.filter_map(|(_, value)| value.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()))).collect()
}

async fn work(gateway: &Gateway, options: &BTreeMap<String, String>) -> Result<gateway::Result, Status> {
    let pong: gateway::PongResponse = gateway.ask("Ping", &gateway::PingRequest {}).await?;
    let option = |name: &str| options.get(name).map(String::as_str).unwrap_or("-");
    let mut said = format!(
        "{} {} {} {}\n",
        pong.workers.len(),
        option("build-arg:WORD"),
        option("cmdline"),
        std::env::var("BUILDKIT_SESSION_ID").is_ok_and(|id| !id.is_empty())
    );
    let inputs: gateway::InputsResponse = gateway.ask("Inputs", &gateway::InputsRequest {}).await?;
    let mut names: Vec<_> = inputs.definitions.keys().cloned().collect();
    names.sort();
    said.push_str(&format!("inputs {names:?}\n"));
    if let Some(input) = inputs.definitions.get("given") {
        let made = gateway.solve(input.clone()).await?;
        let question = gateway::ReadFileRequest {
            r#ref: made.id,
            file_path: "/word".into(),
            ..gateway::ReadFileRequest::default()
        };
        let read: gateway::ReadFileResponse = gateway.ask("ReadFile", &question).await?;
        said.push_str(&String::from_utf8_lossy(&read.data));
    }
    // What a step can't reach, this can't either.
    for path in ["/var/run/docker.sock", "/run/ketch", "/proc/1/root/etc/shadow-of-the-host"] {
        said.push_str(&format!("{path} {}\n", std::path::Path::new(path).exists()));
    }
    let capabilities = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = capabilities.lines().find(|line| line.starts_with("CapEff")).unwrap_or_default();
    said.push_str(&format!("{effective}\n"));
    let file = pb::FileActionMkFile {
        path: "/said".into(),
        mode: 0o644,
        data: said.into_bytes(),
        timestamp: -1,
        ..pb::FileActionMkFile::default()
    };
    let action = pb::FileAction {
        input: -1,
        secondary_input: -1,
        output: 0,
        action: Some(pb::file_action::Action::Mkfile(file)),
    };
    let made = gateway.solve(definition(pb::op::Op::File(pb::FileOp { actions: vec![action] }))).await?;
    let config = br#"{"architecture":"amd64","os":"linux","config":{"Labels":{"by":"a frontend"}}}"#.to_vec();
    let metadata = HashMap::from([("containerimage.config".to_owned(), config)]);
    let result = Some(gateway::result::Result::Ref(made));
    Ok(gateway::Result { metadata, result, ..gateway::Result::default() })
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let options = options();
    match options.get("build-arg:FAIL").map(String::as_str) {
        Some("early") => {
            eprintln!("a word before the end");
            std::process::exit(9);
        }
        Some("silent") => return,
        Some("hang") => std::future::pending().await,
        Some("garbage") => {
            use std::io::Write as _;
            let mut out = std::io::stdout();
            let _ = out.write_all(&[b'x'; 100_000]);
            let _ = out.flush();
            return;
        }
        _ => {}
    }
    let streams = Streams::own().unwrap_or_else(|error| {
        eprintln!("{error}");
        std::process::exit(1)
    });
    let gateway = Gateway(Channel::over(streams).await.unwrap_or_else(|status| {
        eprintln!("{status}");
        std::process::exit(1)
    }));
    let (result, error) = match work(&gateway, &options).await {
        Ok(_) if options.get("build-arg:FAIL").is_some_and(|how| how == "politely") => {
            let message = "this language has no such word".to_owned();
            (None, Some(buildkit::proto::Status { code: 2, message, details: Vec::new() }))
        }
        Ok(result) => (Some(result), None),
        Err(status) => {
            (None, Some(buildkit::proto::Status { code: 2, message: status.message, details: Vec::new() }))
        }
    };
    let end = gateway::ReturnRequest { result, error };
    if let Err(status) = gateway.ask::<gateway::ReturnResponse>("Return", &end).await {
        eprintln!("{status}");
        std::process::exit(1);
    }
}
