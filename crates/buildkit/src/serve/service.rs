//! `Control`, and the other services of `/grpc`: who is asked what.

use std::collections::HashMap;
use std::sync::Arc;

use build::frontend::{Built, Gateway};
use build::progress::Progress;
use build::request::{Allowed, Cache, CacheEntry, Devices, Export, Limits, Outcome, Request, What};
use build::session::Session;
use build::{Error, Job};
use grpc::{Call, Code, Service, Status};
use http::HeaderMap;
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use super::bridge::{self, Bridge};
use super::caller::Caller;
use super::engine::Engine;
use super::forwarding::{self, Forwarding};
use super::history::History;
use super::lent::{Desk, Lent};
use super::live::{Builds, Live};
use super::policy::Policies;
use super::sessions::Sessions;
use super::uploaded::Uploaded;
use super::{llb, news, usage, worker_record};
use crate::error::status;
use crate::proto::control::{
    CacheOptions, Exporter, InfoRequest, InfoResponse, ListWorkersRequest, ListWorkersResponse, SolveRequest,
    SolveResponse, StatusRequest,
};
use crate::tunnel;

/// Events that are put into one message.
const EVENTS: usize = 500;
const MAX_NAME: usize = 256;

/// An engine's builder, as clients of BuildKit reach it.
#[derive(Clone)]
pub struct Builder {
    engine: Arc<dyn Engine>,
    sessions: Arc<Sessions>,
    builds: Arc<Builds>,
    history: Arc<History>,
    lent: Arc<Lent>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Builder").field("sessions", &self.sessions).finish_non_exhaustive()
    }
}

impl Builder {
    /// Over an engine.
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        let history = History::open(engine.records(), engine.remembers());
        Self { engine, sessions: Arc::default(), builds: Arc::default(), history, lent: Arc::default() }
    }

    /// The sessions that are open.
    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// A connection on which `/grpc` was answered.
    pub async fn serve(
        &self,
        io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<(), Status> {
        grpc::serve(io, Arc::new(self.clone())).await
    }

    /// One call of a client that speaks HTTP/2 to the engine's own socket.
    pub fn answer(&self, request: http::Request<grpc::Incoming>) -> http::Response<grpc::Outgoing> {
        grpc::answer(request, Arc::new(self.clone()))
    }

    /// A connection on which `/session` was answered: the client's, until it is gone.
    pub async fn hold(
        &self,
        headers: &HeaderMap,
        io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<(), Status> {
        self.sessions.hold(Caller::over(headers, io, &self.sessions).await?).await
    }

    /// Builds for a client that isn't on `/grpc`, and tells it of the build in messages as `StatusResponse` has them. Its context may
    /// have come otherwise than by its session.
    pub async fn solve_and_tell(
        &self,
        question: SolveRequest,
        context: Option<Arc<dyn Session>>,
        to: mpsc::Sender<Vec<u8>>,
    ) -> Result<HashMap<String, String>, Status> {
        let id = question.r#ref.clone();
        let telling = async {
            let Ok(live) = self.builds.get(&id).await else { return };
            let mut listening = live.progress.subscribe();
            while let Some(events) = listening.next(EVENTS).await {
                for response in news::responses(events.iter().map(|event| &**event)) {
                    if to.send(response.encode_to_vec()).await.is_err() {
                        return;
                    }
                }
            }
        };
        let solving = self.solve(question, context);
        tokio::pin!(telling, solving);
        let solved = tokio::select! {
            solved = &mut solving => {
                // One that never began has nothing to tell.
                if self.builds.knows(&id) {
                    telling.await;
                }
                solved
            }
            () = &mut telling => solving.await,
        };
        solved.map(|answer| answer.exporter_response)
    }

    async fn solve(
        &self,
        question: SolveRequest,
        context: Option<Arc<dyn Session>>,
    ) -> Result<SolveResponse, Status> {
        for name in [&question.r#ref, &question.session] {
            if name.is_empty() || name.len() > MAX_NAME {
                return Err(Status::new(Code::InvalidArgument, "a build needs an id and a session"));
            }
        }
        let session = self.sessions.get(&question.session).await?;
        let progress = Progress::default();
        let begun = self.builds.begin(&question.r#ref, progress.clone())?;
        let recording = self.history.begin(&question, progress.clone());
        let solved = self.solve_for(question, (session, context), progress, begun.live.clone()).await;
        if let Some(recording) = recording {
            recording.end(&solved).await;
        }
        let exporter_response = solved?.response.into_iter().collect();
        Ok(SolveResponse { exporter_response })
    }

    async fn solve_for(
        &self,
        question: SolveRequest,
        (session, context): (Arc<Caller>, Option<Arc<dyn Session>>),
        progress: Progress,
        live: Arc<Live>,
    ) -> Result<Outcome, Status> {
        let client: Arc<dyn Session> = match context {
            Some(context) => Arc::new(Uploaded { client: session.clone(), context }),
            None => session.clone(),
        };
        let request = self.request(question, live.clone()).map_err(|e| status(&e))?;
        let solved = tokio::select! {
            solved = self.engine.build(request, client, progress) => solved,
            // Nobody would be left to take the result.
            () = session.ended() => Err(Error::Cancelled),
        };
        match solved {
            Ok(outcome) => Ok(outcome),
            Err(error) => {
                let bridge = live.bridge.borrow().clone();
                Err(bridge.and_then(|bridge| bridge.failure()).unwrap_or_else(|| status(&error)))
            }
        }
    }

    fn request(&self, mut question: SolveRequest, live: Arc<Live>) -> Result<Request, Error> {
        let unsupported = |what: &str| Err(Error::Unsupported { what: what.to_owned() });
        if !question.source_policy_session.is_empty() {
            return unsupported("a source policy that the session decides");
        }
        let policies = Policies::read(&question.source_policy)?;
        if question.enable_session_exporter {
            return unsupported("an exporter of the session's");
        }
        let exports = exports(&question)?;
        let cache = question.cache.as_ref().map(cache).transpose()?.unwrap_or_default();
        let allowed = allowed(&question.entitlements)?;
        let explain = question.frontend_attrs.remove(crate::EXPLAIN).is_some_and(|value| value == "1");
        let id = question.r#ref.clone();
        let asked = question.frontend_attrs.clone().into_iter().collect();
        let what = self.what(question, policies, live)?;
        Ok(Request { id, what, asked, exports, cache, allowed, limits: Limits::default(), explain })
    }

    fn what(&self, question: SolveRequest, policies: Policies, live: Arc<Live>) -> Result<What, Error> {
        let desk = Desk {
            lent: self.lent.clone(),
            session: question.session.clone(),
            build: question.r#ref.clone(),
        };
        let definition = question.definition.as_ref().filter(|definition| !definition.def.is_empty());
        if let Some(definition) = definition {
            return match question.frontend.is_empty() {
                true => Ok(What::Graph(policies.apply(&llb::decode_at(definition, &desk)?)?)),
                false => Err(Error::Invalid("a build is a frontend's or a definition's".into())),
            };
        }
        let (engine, inputs) = (self.engine.clone(), question.frontend_inputs);
        if question.frontend.is_empty() {
            let outside = move |gateway: Arc<dyn Gateway>| -> Job<'static, Built> {
                let gateway = policies.over(gateway);
                let (bridge, returned) =
                    Bridge::new(engine.clone(), Forwarding::over(gateway, engine, inputs, desk));
                live.bridge.send_replace(Some(bridge));
                Box::pin(async move { policies.apply_to(returned.await.unwrap_or(Err(Error::Cancelled))?) })
            };
            return Ok(What::Outside(Box::new(outside)));
        }
        forwarding::check(&*engine, &question.frontend)?;
        let attributes = question.frontend_attrs.into_iter().collect();
        let frontend = question.frontend;
        let asking = move |gateway: Arc<dyn Gateway>| -> Job<'static, Built> {
            let gateway = Forwarding::over(policies.over(gateway), engine, inputs, desk);
            Box::pin(async move { policies.apply_to(gateway.ask(&frontend, &attributes).await?) })
        };
        Ok(What::Outside(Box::new(asking)))
    }

    async fn tell(&self, mut call: Call) -> Result<(), Status> {
        let Some(StatusRequest { r#ref: id }) = call.receiver.next().await? else {
            return Err(Status::new(Code::InvalidArgument, "no build to tell of"));
        };
        if !self.builds.knows(&id) && self.history.has_ended(&id) {
            return self.tell_again(&id, call).await;
        }
        let live = self.builds.get(&id).await?;
        let mut listening = live.progress.subscribe();
        while let Some(events) = listening.next(EVENTS).await {
            for response in news::responses(events.iter().map(|event| &**event)) {
                call.sender.send(&response).await?;
            }
        }
        Ok(())
    }

    /// A build of which only the log is left.
    async fn tell_again(&self, id: &str, call: Call) -> Result<(), Status> {
        let mut story = self.history.story(id)?;
        let broken = |e: std::io::Error| Status::new(Code::DataLoss, format!("the log of build {id}: {e}"));
        while let Some(response) = story.next().map_err(broken)? {
            call.sender.send(&response).await?;
        }
        Ok(())
    }

    async fn bridge(&self, method: &str, call: Call) -> Result<(), Status> {
        let Some(id) = call.text("buildkit-controlapi-buildid") else {
            return Err(Status::new(Code::InvalidArgument, "no buildid found in context"));
        };
        let live = self.builds.get(id).await?;
        let mut known = live.bridge.subscribe();
        // A build ends when it is given up, and then so does this.
        let bridge = tokio::select! {
            bridge = known.wait_for(Option::is_some) => bridge.ok().and_then(|bridge| bridge.clone()),
            () = ended(&live) => None,
        };
        match bridge {
            Some(bridge) => bridge.answer(method, call).await,
            None => Err(Status::new(Code::NotFound, format!("no such job {id}"))),
        }
    }

    async fn workers(&self) -> Result<ListWorkersResponse, Status> {
        Ok(ListWorkersResponse { record: vec![worker_record(&self.engine.worker())] })
    }

    async fn info(&self) -> Result<InfoResponse, Status> {
        let record = worker_record(&self.engine.worker());
        Ok(InfoResponse { buildkit_version: record.buildkit_version })
    }

    /// A session in a call, for clients that can't upgrade a request.
    async fn session(&self, call: Call) -> Result<(), Status> {
        let (ours, theirs) = tokio::io::duplex(SESSION_BUFFER);
        let headers = call.metadata;
        let stream = grpc::Stream { sender: call.sender, receiver: call.receiver };
        let carry = tunnel::join::<crate::proto::control::BytesMessage>(stream, theirs);
        tokio::select! {
            carried = carry => carried,
            held = self.hold(&headers, ours) => held,
        }
    }
}

const SESSION_BUFFER: usize = 256 << 10;
const CONTENT: &str = "/containerd.services.content.v1.Content/";
const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// A client's account of its own time. It is taken, as buildx waits for that, and read by nobody.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
struct TraceRequest {}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
struct TraceResponse {}

/// Says that all is well, for as long as somebody wants to know.
async fn watch(mut call: Call) -> Result<(), Status> {
    let asked = call.receiver.next().await?.unwrap_or_default();
    call.sender.send(&crate::attach::healthy(asked).await?).await?;
    call.sender.closed().await;
    Ok(())
}

async fn ended(live: &Live) {
    let mut listening = live.progress.subscribe();
    while listening.next(EVENTS).await.is_some() {}
}

impl Service for Builder {
    async fn call(&self, call: Call) -> Result<(), Status> {
        if let Some(method) = bridge::method(&call.path) {
            let method = method.to_owned();
            return self.bridge(&method, call).await;
        }
        if let Some(method) = call.path.strip_prefix(CONTENT) {
            let method = method.to_owned();
            return self.history.content(&method, call).await;
        }
        match call.path.as_str() {
            "/moby.buildkit.v1.Control/Solve" => call.answer(|question| self.solve(question, None)).await,
            "/moby.buildkit.v1.Control/Status" => self.tell(call).await,
            "/moby.buildkit.v1.Control/ListWorkers" => {
                call.answer(|_: ListWorkersRequest| self.workers()).await
            }
            "/moby.buildkit.v1.Control/Info" => call.answer(|_: InfoRequest| self.info()).await,
            "/moby.buildkit.v1.Control/DiskUsage" => {
                call.answer(|question| usage::list(&*self.engine, question)).await
            }
            "/moby.buildkit.v1.Control/Prune" => usage::prune(&*self.engine, call).await,
            "/moby.buildkit.v1.Control/Session" => self.session(call).await,
            "/moby.buildkit.v1.Control/ListenBuildHistory" => self.history.listen(call).await,
            "/moby.buildkit.v1.Control/UpdateBuildHistory" => self.history.update(call).await,
            "/grpc.health.v1.Health/Check" => call.answer(crate::attach::healthy).await,
            "/grpc.health.v1.Health/Watch" => watch(call).await,
            TRACES => call.answer(|_: TraceRequest| async { Ok(TraceResponse {}) }).await,
            path => Err(Status::unimplemented(path)),
        }
    }
}

/// What becomes of the result. Old clients say it in two fields of their own.
fn exports(question: &SolveRequest) -> Result<Vec<Export>, Error> {
    let old = Exporter {
        r#type: question.exporter_deprecated.clone(),
        attrs: question.exporter_attrs_deprecated.clone(),
    };
    let old = (question.exporters.is_empty() && !old.r#type.is_empty()).then_some(old);
    let export = |exporter: &Exporter| {
        let attributes = exporter.attrs.clone().into_iter().collect();
        Ok(Export { kind: Export::kind(&exporter.r#type)?, attributes })
    };
    question.exporters.iter().chain(&old).map(export).collect()
}

fn cache(options: &CacheOptions) -> Result<Cache, Error> {
    if !options.export_ref_deprecated.is_empty() || !options.import_refs_deprecated.is_empty() {
        return Err(Error::Unsupported { what: "caches as clients before BuildKit 0.4 name them".into() });
    }
    let entries = |entries: &[crate::proto::control::CacheOptionsEntry]| {
        let entry = |entry: &crate::proto::control::CacheOptionsEntry| CacheEntry {
            kind: entry.r#type.clone(),
            attributes: entry.attrs.clone().into_iter().collect(),
        };
        entries.iter().map(entry).collect()
    };
    Ok(Cache { from: entries(&options.imports), to: entries(&options.exports) })
}

fn allowed(entitlements: &[String]) -> Result<Allowed, Error> {
    let mut allowed = Allowed::default();
    for name in entitlements {
        let (kind, of) = name.split_once('=').unwrap_or((name, ""));
        match (kind, name.as_str()) {
            (_, "network.host") => allowed.network_host = true,
            (_, "security.insecure") => allowed.security_insecure = true,
            ("device", _) => device(allowed.devices.get_or_insert_default(), of)?,
            _ => return Err(Error::Invalid(format!("unknown entitlement {name}"))),
        }
    }
    Ok(allowed)
}

/// `name[,alias=other]`; nothing means all devices.
fn device(devices: &mut Devices, text: &str) -> Result<(), Error> {
    if text.is_empty() {
        devices.all = true;
        return Ok(());
    }
    let mut fields = text.split(',');
    let name = fields.next().unwrap_or_default().to_owned();
    let mut alias = None;
    for field in fields {
        match field.split_once('=') {
            Some(("alias", value)) => alias = Some(value.to_owned()).filter(|value| !value.is_empty()),
            Some((key, _)) => return Err(Error::Invalid(format!("unknown device config key {key:?}"))),
            None => return Err(Error::Invalid(format!("invalid device config {field:?}"))),
        }
    }
    match alias {
        Some(alias) => devices.names.insert(alias, Some(name)),
        None => devices.names.insert(name, None),
    };
    Ok(())
}
