//! An engine's gateway with the frontends that this protocol brings: those in images.
//!
//! Such a frontend is a program in a container of the build's, confined as a step is. It is the client of a connection
//! over its standard input and output, on which it finds the gateway and nothing else; what it logs is told when it fails.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use build::container::{Container, Process, Program, Room};
use build::frontend::{Built, Files, Gateway, Known, Ref, ResolvedImage};
use build::graph::{Exec, Graph, Image, Input, Mount, Network, Op, Pull, Shown, Source};
use build::progress::{Stream, Warning};
use build::{Error, Job};
use grpc::{Call, Service, Status};
use oci::image::Platform;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf};

use super::bridge::{self, Bridge};
use super::engine::Engine;
use super::lent::Desk;
use super::llb;
use crate::proto::pb;

/// A frontend in an image may ask another one.
const MAX_DEPTH: usize = 8;
/// What of a frontend's words is kept for when it fails.
const LAST_WORDS: usize = 16 << 10;
/// What is on its way between a frontend and us.
const BUFFER: usize = 256 << 10;
const IN_IMAGE: &str = "gateway.v0";

/// A build's gateway.
#[derive(Clone)]
pub(super) struct Forwarding {
    inner: Arc<dyn Gateway>,
    engine: Arc<dyn Engine>,
    inputs: Arc<HashMap<String, pb::Definition>>,
    desk: Desk,
    depth: usize,
}

/// Refuses a frontend that nobody has, before anything is done.
pub(super) fn check(engine: &dyn Engine, name: &str) -> Result<(), Error> {
    match name == IN_IMAGE || engine.frontend(name).is_some() {
        true => Ok(()),
        false => Err(Error::Unsupported { what: format!("the frontend {name}") }),
    }
}

impl Forwarding {
    pub(super) fn over(
        inner: Arc<dyn Gateway>,
        engine: Arc<dyn Engine>,
        inputs: HashMap<String, pb::Definition>,
        desk: Desk,
    ) -> Self {
        Self { inner, engine, inputs: Arc::new(inputs), desk, depth: 0 }
    }

    /// The same for a frontend that is given something else.
    pub(super) fn with_inputs(&self, inputs: HashMap<String, pb::Definition>) -> Self {
        Self { inputs: Arc::new(inputs), ..self.clone() }
    }

    /// What the frontend is given.
    pub(super) fn inputs(&self) -> &HashMap<String, pb::Definition> {
        &self.inputs
    }

    pub(super) fn desk(&self) -> &Desk {
        &self.desk
    }

    /// What the frontend of this name makes.
    pub(super) async fn ask(
        &self,
        name: &str,
        attributes: &BTreeMap<String, String>,
    ) -> Result<Built, Error> {
        if name == IN_IMAGE {
            return self.in_image(attributes).await;
        }
        check(&*self.engine, name)?;
        let inputs = bridge::inputs(&self.inputs, &self.desk)?;
        // While those who lent them are there.
        for input in inputs.values() {
            self.take_lent(input).await?;
        }
        match self.engine.frontend(name) {
            Some(frontend) => frontend.build(attributes, &inputs, self).await,
            None => Ok(Built::default()),
        }
    }

    /// Gets the directories of other builds' clients that a result is made of. A client waits for those who borrow from it only
    /// until they have asked.
    pub(super) async fn take_lent(&self, wanted: &Ref) -> Result<(), Error> {
        for (id, vertex) in wanted.graph.iter() {
            if matches!(&vertex.op, Op::Source(source) if source.is_lent()) {
                self.inner.solve(&Ref::new(wanted.graph.clone(), Some(id.output()))?).await?;
            }
        }
        Ok(())
    }

    async fn in_image(&self, attributes: &BTreeMap<String, String>) -> Result<Built, Error> {
        if self.depth >= MAX_DEPTH {
            return Err(Error::Invalid("frontends in images ask each other in a circle".into()));
        }
        let source = attributes.get("source").filter(|source| !source.is_empty());
        let source = source.ok_or_else(|| Error::Invalid("no source specified for gateway".into()))?;
        let platform = self.inner.platforms().into_iter().next();
        let pull = llb::pull(attributes.get("image-resolve-mode").map_or("", String::as_str))?;
        let shown = format!("resolve image config for docker-image://{source}");
        let image = self.inner.image(source, platform.as_ref(), pull, &shown).await?;
        let config = Config::of(&image.config)?;
        let room = room(&image, platform, pull, &config)?;
        let container = self.inner.container(room).await?;
        let process = container.start(self.program(attributes, config)?).await?;
        let deeper = Self { depth: self.depth + 1, ..self.clone() };
        // Held here as well: a connection that has ended is no result.
        let (bridge, mut returned) = Bridge::new(self.engine.clone(), deeper);
        let talking = talk(process, bridge.clone());
        tokio::select! {
            biased;
            returned = &mut returned => returned.unwrap_or(Err(Error::Cancelled)),
            failed = talking => match returned.try_recv() {
                Ok(returned) => returned,
                Err(_) => Err(failed),
            },
        }
    }

    fn program(&self, attributes: &BTreeMap<String, String>, config: Config) -> Result<Program, Error> {
        let mut env = config.env;
        let options = attributes.iter().enumerate();
        env.extend(options.map(|(at, (key, value))| format!("BUILDKIT_FRONTEND_OPT_{at}={key}={value}")));
        env.push(format!("BUILDKIT_SESSION_ID={}", self.inner.session()));
        env.push("BUILDKIT_EXPORTEDPRODUCT=docker".to_owned());
        env.push(format!("BUILDKIT_WORKERS={}", workers(&*self.engine)));
        if config.args.is_empty() {
            return Err(Error::Invalid("the frontend's image has no program".into()));
        }
        Ok(Program {
            args: config.args,
            env,
            cwd: if config.cwd.is_empty() { "/".into() } else { config.cwd },
            user: config.user,
            input: true,
            ..Program::default()
        })
    }
}

/// Who would build, as frontends read it.
fn workers(engine: &dyn Engine) -> serde_json::Value {
    let worker = engine.worker();
    let platform = |platform: &Platform| {
        let variant = platform.variant.as_deref().unwrap_or_default();
        json!({ "architecture": platform.architecture, "os": platform.os, "variant": variant })
    };
    let platforms: Vec<_> = worker.platforms.iter().map(platform).collect();
    json!([{ "ID": worker.id, "Labels": worker.labels, "Platforms": platforms }])
}

/// What of an image's config a frontend is run by.
#[derive(Default)]
struct Config {
    args: Vec<String>,
    env: Vec<String>,
    cwd: String,
    user: String,
    offline: bool,
}

impl Config {
    fn of(bytes: &[u8]) -> Result<Self, Error> {
        let invalid = |e: serde_json::Error| Error::Invalid(format!("the frontend's image config: {e}"));
        let whole: serde_json::Value = serde_json::from_slice(bytes).map_err(invalid)?;
        let config = &whole["config"];
        let list = |key: &str| -> Vec<String> {
            let values = config[key].as_array().into_iter().flatten();
            values.filter_map(|value| value.as_str().map(str::to_owned)).collect()
        };
        let text = |key: &str| config[key].as_str().unwrap_or_default().to_owned();
        let offline = &config["Labels"]["moby.buildkit.frontend.network.none"];
        Ok(Self {
            args: list("Entrypoint").into_iter().chain(list("Cmd")).collect(),
            env: list("Env"),
            cwd: text("WorkingDir"),
            user: text("User"),
            offline: offline == "true" || offline == "1",
        })
    }
}

/// The image, as a container's root.
fn room(
    image: &ResolvedImage,
    platform: Option<Platform>,
    pull: Pull,
    config: &Config,
) -> Result<Room, Error> {
    let mut graph = Graph::default();
    let source = Source::Image(Image { reference: image.reference.clone(), pull });
    let shown = Shown { name: format!("docker-image://{}", image.reference), ..Shown::default() };
    let vertex = graph.add(Op::Source(source), Vec::new(), platform, shown)?;
    let mut root = Mount::root(Some(Input(0)));
    root.output = None;
    let network = if config.offline { Network::None } else { Network::Default };
    let like = Exec { mounts: vec![root], network, ..Exec::default() };
    Ok(Room { like, inputs: vec![Ref::new(Arc::new(graph), Some(vertex.output()))?] })
}

/// Answers a frontend for as long as it runs; then, why it is at its end too early.
async fn talk(process: Process, bridge: Arc<Bridge>) -> Error {
    let Process { input, output, orders, ended } = process;
    let (inside, outside) = tokio::io::duplex(BUFFER);
    let words = hear(output, inside);
    let serving = grpc::serve(Wire { from: outside, to: input }, Arc::new(End(bridge)));
    let (words, served, code) = tokio::join!(words, serving, ended);
    drop(orders);
    let why = match (code, served) {
        (Ok(0), Ok(())) => "it ended without a result".to_owned(),
        (Ok(0), Err(status)) => status.message,
        (Ok(code), _) => format!("exit code: {code}"),
        (Err(error), _) => return error,
    };
    let words = String::from_utf8_lossy(&words);
    let words = words.trim_end();
    let said = if words.is_empty() { String::new() } else { format!(": {words}") };
    Error::Invalid(format!("the frontend's image failed: {why}{said}"))
}

/// Takes a program's output apart: what it says on the wire, and its last words beside.
async fn hear(mut output: tokio::sync::mpsc::Receiver<(Stream, Vec<u8>)>, mut wire: DuplexStream) -> Vec<u8> {
    let mut words = VecDeque::new();
    while let Some((stream, data)) = output.recv().await {
        match stream {
            // Who has stopped to listen has had its result.
            Stream::Out => drop(wire.write_all(&data).await),
            Stream::Error => {
                words.extend(data);
                let more = words.len().saturating_sub(LAST_WORDS);
                words.drain(..more);
            }
        }
    }
    words.into()
}

/// A program's standard streams as one connection.
struct Wire {
    from: DuplexStream,
    to: Box<dyn AsyncWrite + Send + Unpin>,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.from).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.to).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.to).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.to).poll_shutdown(cx)
    }
}

/// What a frontend in an image can call.
struct End(Arc<Bridge>);

impl Service for End {
    async fn call(&self, call: Call) -> Result<(), Status> {
        match bridge::method(&call.path) {
            Some(method) => {
                let method = method.to_owned();
                self.0.answer(&method, call).await
            }
            None if call.path == "/grpc.health.v1.Health/Check" => call.answer(crate::attach::healthy).await,
            None => Err(Status::unimplemented(&call.path)),
        }
    }
}

impl Gateway for Forwarding {
    fn session(&self) -> &str {
        self.inner.session()
    }

    fn platforms(&self) -> Vec<Platform> {
        self.inner.platforms()
    }

    fn image<'a>(
        &'a self,
        reference: &'a str,
        platform: Option<&'a Platform>,
        pull: Pull,
        name: &'a str,
    ) -> Job<'a, ResolvedImage> {
        self.inner.image(reference, platform, pull, name)
    }

    fn known<'a>(&'a self, source: &'a Source, name: &'a str) -> Job<'a, (Source, Known)> {
        self.inner.known(source, name)
    }

    fn solve<'a>(&'a self, wanted: &'a Ref) -> Job<'a, Arc<dyn Files>> {
        self.inner.solve(wanted)
    }

    fn warn(&self, warning: Warning) {
        self.inner.warn(warning);
    }

    fn container<'a>(&'a self, room: Room) -> Job<'a, Arc<dyn Container>> {
        self.inner.container(room)
    }

    fn forward<'a>(
        &'a self,
        attributes: &'a BTreeMap<String, String>,
        // As definitions they are here already.
        _: &'a BTreeMap<String, Ref>,
    ) -> Job<'a, Built> {
        Box::pin(self.in_image(attributes))
    }
}
