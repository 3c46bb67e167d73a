//! One build from its first byte to its last: connections, the session, the display, what is written at the end.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use buildkit::attach::Session;
use buildkit::client::Builder;
use buildkit::problem::Problem;
use buildkit::proto::control::{SolveRequest, StatusResponse};
use buildkit::proto::gateway;
use client::Engine;
use grpc::Status;

use super::answer::Question;
use super::keys::Keys;
use super::progress::{Display, Mode};
use super::request::{self, Request};
use super::{answer, context, excerpt, metadata};
use crate::call::Call;
use crate::commands::{builder, pull};
use crate::error::{Error, Outcome};
use crate::interrupt;
use crate::refs::Refs;
use crate::ui::{self, Sink};

const FRONTEND: &str = "dockerfile.v0";

/// Builds what the command line says; one of several builds is shown under its name.
pub(super) fn run(call: &Call, name: &str) -> Outcome {
    let endpoint = call.endpoint()?;
    let builder = builder::name(call, &endpoint.context)?;
    let refs = builder::refs(call)?;
    let quiet = call.flags().bool("quiet");
    let mode = if quiet { Mode::Quiet } else { Mode::parse(&progress_word(call))? };
    classic(call)?;
    let mut request = request::read(call)?;
    request.offer.keyring = Some(Arc::new(Keys::new(call)));
    call.with_engine(|engine| async move {
        let display = RefCell::new(Display::new(mode, &builder)?);
        let cache_folders = std::mem::take(&mut request.cache_folders);
        let explain = call.flags().bool("explain");
        let build = Build::open(&engine, request).await?;
        build.note(call, &refs, "");
        if explain {
            check_is_ours(&build.builder, "--explain").await?;
        }
        if call.flags().bool("squash") {
            check_is_ours(&build.builder, "--squash").await?;
        }
        let built = build.run(&Shown { display: &display, prefix: name }).await;
        let mut display = display.into_inner();
        if explain {
            Sink::Errors.write(&display.explanation())?;
        }
        let built = built?;
        if !name.is_empty() {
            display.finish()?;
        }
        for folder in &cache_folders {
            folder.note(&built.response)?;
        }
        Sink::Errors.write(&display.warnings(call.debug() || call.flags().bool("debug")))?;
        metadata::write(call, &built.builder, &refs.name(&built.id), &built.response).await?;
        let id = metadata::image_id(&built.response);
        if mode == Mode::Quiet && !id.is_empty() {
            ui::out(&format!("{id}\n"))?;
        }
        built
            .answer
            .map_or(Ok(0), |(question, answer)| answer::show(&question, &answer, &context::dockerfile(call)))
    })
}

/// Builds what several command lines say, all at once and shown together, each under a name, or not at all if the first one
/// says so.
pub(super) fn together(call: &Call, all: &[(String, Call)]) -> Outcome {
    let builder = builder::name(call, &call.endpoint()?.context)?;
    let refs = builder::refs(call)?;
    let quiet = all.first().is_some_and(|(_, first)| first.flags().bool("quiet"));
    let mode = if quiet { Mode::Quiet } else { Mode::parse(&progress_word(call))? };
    let mut requests = Vec::new();
    for (name, one) in all {
        classic(one)?;
        let mut request = request::read(one)?;
        request.offer.keyring = Some(Arc::new(Keys::new(call)));
        requests.push((name, one, request));
    }
    call.with_engine(|engine| async move {
        let display = RefCell::new(Display::new(mode, &builder)?);
        let building = requests.into_iter().map(|(name, one, mut request)| {
            let (engine, refs, shown) = (&engine, &refs, Shown { display: &display, prefix: name });
            async move {
                let folders = std::mem::take(&mut request.cache_folders);
                let build = async {
                    let build = Build::open(engine, request).await?;
                    build.note(one, refs, name);
                    build.run(&shown).await
                };
                let about = |error: Error| match error {
                    Error::Usage(text) => Error::Usage(format!("target {name}: {text}")),
                    other => other,
                };
                let built = build.await.map_err(about)?;
                folders.iter().try_for_each(|folder| folder.note(&built.response))?;
                metadata::write(one, &built.builder, &refs.name(&built.id), &built.response).await?;
                Ok::<_, Error>(metadata::image_id(&built.response).to_owned())
            }
        });
        let built = futures_util::future::try_join_all(building).await;
        let mut display = display.into_inner();
        // One that failed has shown the end.
        let ids = built?;
        for id in ids.iter().filter(|id| quiet && !id.is_empty()) {
            ui::out(&format!("{id}\n"))?;
        }
        display.finish()?;
        Sink::Errors.write(&display.warnings(call.debug()))?;
        Ok(0)
    })
}

/// Where a build is shown: alone, or beside others under its name.
struct Shown<'a> {
    display: &'a RefCell<Display>,
    prefix: &'a str,
}

impl Shown<'_> {
    fn take(&self, mut told: StatusResponse) -> Result<(), Error> {
        if !self.prefix.is_empty() {
            for vertex in &mut told.vertexes {
                vertex.name = self.named(&vertex.name);
                if let Some(group) = &mut vertex.progress_group {
                    group.name = self.named(&group.name);
                }
            }
        }
        self.display.borrow_mut().take(told)
    }

    /// `[app 1/2] FROM busybox`.
    fn named(&self, step: &str) -> String {
        match step.strip_prefix('[') {
            Some(rest) => format!("[{} {rest}", self.prefix),
            None => format!("[{}] {step}", self.prefix),
        }
    }
}

/// Flags of the builder before BuildKit, which has no containers that could stay and sends no archive.
fn classic(call: &Call) -> Result<(), Error> {
    let flags = call.flags();
    pull::check_trust(call)?;
    if !flags.bool("rm") && !flags.bool("force-rm") {
        return Err(Error::Usage("--rm=false: BuildKit leaves no containers that could be kept".into()));
    }
    if flags.bool("compress") {
        ui::err(
            "WARNING: --compress changes nothing: files are sent one by one, and only those that changed",
        );
    }
    Ok(())
}

/// What `--progress` says, or the variable that stands for it.
fn progress_word(call: &Call) -> String {
    let variable = || client::resolve::process_env("BUILDKIT_PROGRESS").unwrap_or_default();
    if call.flags().changed("progress") { call.flags().text("progress").to_owned() } else { variable() }
}

/// A build with its connections.
struct Build {
    builder: Builder,
    solve: SolveRequest,
    question: Option<(Question, gateway::SolveRequest)>,
    session: Session,
    session_io: client::Io,
    /// Held until the end: its folders are sent.
    _context: context::Context,
}

/// What came of it.
struct Built {
    builder: Builder,
    id: String,
    response: HashMap<String, String>,
    answer: Option<(Question, HashMap<String, Vec<u8>>)>,
}

impl Build {
    async fn open(engine: &Engine, request: Request) -> Result<Self, Error> {
        let builder = builder::reach(engine).await?;
        let mut attributes = request.attributes;
        if !request.gateway_hosts.is_empty() {
            let address = gateway_address(&builder).await?;
            let hosts = request.gateway_hosts.iter().map(|name| format!("{name}={address}"));
            let known = attributes.remove("add-hosts");
            attributes
                .insert("add-hosts".into(), known.into_iter().chain(hosts).collect::<Vec<_>>().join(","));
        }
        let session = Session::new(request.context.shared_key.clone(), request.offer);
        let session = session.map_err(|status| failure(&status))?;
        let asking = engine.with_headers(session.headers());
        let session_io = asking.upgrade("/session", "h2c", None).await?;
        let id = buildkit::identity().map_err(|status| failure(&status))?;
        let frontend_attrs: HashMap<String, String> = attributes.into_iter().collect();
        let policy = super::policy::read()?;
        let mut solve = SolveRequest {
            r#ref: id,
            session: session.id().to_owned(),
            entitlements: request.entitlements,
            exporters: request.outputs.exporters,
            ..SolveRequest::default()
        };
        let question = match request.question {
            Some(question) => {
                solve.internal = true;
                let asked = asked(&question.method, frontend_attrs);
                Some((question, asked))
            }
            None => {
                solve.frontend = FRONTEND.into();
                solve.frontend_attrs = frontend_attrs;
                solve.cache = Some(request.cache);
                solve.source_policy = policy;
                None
            }
        };
        Ok(Self {
            builder,
            solve,
            question,
            session,
            session_io: Box::new(session_io.io),
            _context: request.context,
        })
    }

    /// Notes where it is built from; a question is no build.
    fn note(&self, call: &Call, refs: &Refs, target: &str) {
        if self.question.is_none() {
            let context = call.args().first().map_or("", String::as_str);
            refs.note(&self.solve.r#ref, target, context, call.flags().text("file"));
        }
    }

    async fn run(self, shown: &Shown<'_>) -> Result<Built, Error> {
        let session = tasks::spawn(self.session.serve(self.session_io));
        let mut news = self.builder.news(&self.solve.r#ref).map_err(|status| failure(&status))?;
        let solving = async {
            match self.question {
                None => self.builder.solve(&self.solve).await.map(|response| (response, None)),
                Some((question, asked)) => {
                    let answer = self.builder.ask_frontend(&self.solve, asked).await;
                    answer.map(|answer| (HashMap::new(), Some((question, answer))))
                }
            }
        };
        let showing = async {
            loop {
                let tick = shown.display.borrow().tick();
                let next = match tick {
                    Some(tick) => tokio::time::timeout(tick, news.next()).await.ok(),
                    None => Some(news.next().await),
                };
                match next {
                    None => shown.display.borrow_mut().show()?,
                    Some(Ok(Some(told))) => shown.take(told)?,
                    // Why there is no more, the build itself says.
                    Some(Ok(None) | Err(_)) => break Ok(()),
                }
            }
        };
        let both = async { Ok(tokio::join!(solving, showing)) };
        let (solved, told): (_, Result<(), Error>) = interrupt::unless(Box::pin(both)).await?;
        session.abort();
        told?;
        if shown.prefix.is_empty() || solved.is_err() {
            shown.display.borrow_mut().finish()?;
        }
        let (response, answer) = solved.map_err(|status| failure(&status))?;
        Ok(Built { builder: self.builder, id: self.solve.r#ref, response, answer })
    }
}

fn asked(method: &str, mut attributes: HashMap<String, String>) -> gateway::SolveRequest {
    attributes.insert("requestid".into(), method.into());
    let subrequests = "moby.buildkit.frontend.subrequests";
    let caps = attributes.entry("frontend.caps".into()).or_default();
    *caps = if caps.is_empty() { subrequests.into() } else { format!("{caps},{subrequests}") };
    gateway::SolveRequest {
        frontend: FRONTEND.into(),
        frontend_opt: attributes,
        allow_result_return: true,
        allow_result_array_ref: true,
        ..gateway::SolveRequest::default()
    }
}

/// Other engines build without a word about what they don't know of.
async fn check_is_ours(builder: &Builder, flag: &str) -> Result<(), Error> {
    let workers = builder.workers().await.map_err(|status| failure(&status))?;
    let label = "org.mobyproject.buildkit.worker.executor";
    match workers.record.iter().any(|worker| worker.labels.get(label).is_some_and(|name| name == "ketch")) {
        true => Ok(()),
        false => Err(Error::Usage(format!("{flag}: this engine's builder has nothing like it"))),
    }
}

/// What `host-gateway` means there.
async fn gateway_address(builder: &Builder) -> Result<String, Error> {
    let workers = builder.workers().await.map_err(|status| failure(&status))?;
    let label = "org.mobyproject.buildkit.worker.moby.host-gateway-ip";
    let found = workers.record.iter().find_map(|worker| worker.labels.get(label));
    found.cloned().ok_or_else(|| {
        Error::Usage("unable to derive the IP value for host-gateway: the engine doesn't say it".into())
    })
}

/// What went wrong, after the lines of the Dockerfile that it is about.
fn failure(status: &Status) -> Error {
    for source in Problem::of(status).sources {
        let text = excerpt::of(&source.info.filename, &source.info.data, &source.ranges);
        // Without it the sentence is still true.
        let _ = Sink::Errors.write(&diag::printable(&text));
    }
    Error::Usage(format!("failed to build: failed to solve: {}", status.message))
}
