//! `LLBBridge`: a frontend outside drives a build through it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use build::Error;
use build::container::Room;
use build::frontend::{Built, Files, Gateway as _, Known, Ref};
use build::graph::{OciLayout, Op};
use build::progress::Warning;
use build::session::{Entry, Kind};
use grpc::{Call, Code, Status};
use oci::Digest;
use tokio::sync::oneshot;

use super::engine::Engine;
use super::forwarding::{self, Forwarding};
use super::lent::Desk;
use super::policy::{self, Policies};
use super::rooms::Rooms;
use super::{capabilities, llb, worker_record};
use crate::error::{self, file_status, status};
use crate::proto::gateway::{self as proto, result};
use crate::proto::{Timestamp, pb};
use fsutil::packet::go_mode;

/// Results that one frontend may hold.
const MAX_REFS: usize = 10_000;
const SERVICE: &str = "/moby.buildkit.v1.frontend.LLBBridge/";

/// One build's bridge.
pub(super) struct Bridge {
    engine: Arc<dyn Engine>,
    gateway: Forwarding,
    refs: Mutex<HashMap<String, Ref>>,
    rooms: Rooms,
    returned: Mutex<Option<oneshot::Sender<Result<Built, Error>>>>,
    /// What the frontend failed with, word for word: its client is told so.
    failed: Mutex<Option<Status>>,
}

impl std::fmt::Debug for Bridge {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Bridge").finish_non_exhaustive()
    }
}

/// The method's name, of a call of this service.
pub(super) fn method(path: &str) -> Option<&str> {
    path.strip_prefix(SERVICE)
}

impl Bridge {
    /// A bridge, and what the frontend returns over it.
    pub(super) fn new(
        engine: Arc<dyn Engine>,
        gateway: Forwarding,
    ) -> (Arc<Self>, oneshot::Receiver<Result<Built, Error>>) {
        let (returned, result) = oneshot::channel();
        let (refs, returned) = (Mutex::default(), Mutex::new(Some(returned)));
        let failed = Mutex::default();
        (Arc::new(Self { engine, gateway, refs, rooms: Rooms::default(), returned, failed }), result)
    }

    /// What the frontend failed with.
    pub(super) fn failure(&self) -> Option<Status> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Answers one call.
    pub(super) async fn answer(&self, method: &str, call: Call) -> Result<(), Status> {
        match method {
            "Ping" => call.answer(|_: proto::PingRequest| self.ping()).await,
            "Solve" => call.answer(|question| self.solve(question)).await,
            "ResolveImageConfig" => call.answer(|question| self.image(question)).await,
            "ResolveSourceMeta" => call.answer(|question| self.source(question)).await,
            "ReadFile" => call.answer(|question| self.read_file(question)).await,
            "ReadDir" => call.answer(|question| self.read_directory(question)).await,
            "StatFile" => call.answer(|question| self.stat(question)).await,
            "Evaluate" => call.answer(|question| self.evaluate(question)).await,
            "Return" => call.answer(|question| self.end(question)).await,
            "Inputs" => call.answer(|_: proto::InputsRequest| self.give_inputs()).await,
            "Warn" => call.answer(|question| self.warn(question)).await,
            "NewContainer" => call.answer(|question| self.new_container(question)).await,
            "ReleaseContainer" => call.answer(|question| self.release(question)).await,
            "ExecProcess" => self.rooms.run(call).await,
            "ReadFileContainer" => call.answer(|question| self.read_file_there(question)).await,
            "ReadDirContainer" => call.answer(|question| self.read_directory_there(question)).await,
            "StatFileContainer" => call.answer(|question| self.stat_there(question)).await,
            _ => Err(Status::unimplemented(&call.path)),
        }
    }

    async fn ping(&self) -> Result<proto::PongResponse, Status> {
        Ok(proto::PongResponse {
            frontend_api_caps: capabilities::gateway(),
            llb_caps: capabilities::llb(),
            workers: vec![worker_record(&self.engine.worker())],
        })
    }

    async fn solve(&self, question: proto::SolveRequest) -> Result<proto::SolveResponse, Status> {
        // What a frontend says for one question counts beside what the client says for all.
        let policies = Policies::read(&question.source_policies).map_err(|e| status(&e))?;
        let built = match (question.frontend.as_str(), &question.definition) {
            ("", Some(definition)) => {
                let decoded = llb::decode_at(definition, self.gateway.desk());
                let decoded = decoded.map_err(|e| status(&e))?;
                self.gateway.take_lent(&decoded).await.map_err(|e| status(&e))?;
                Built::single(decoded)
            }
            ("", None) => Built::default(),
            (name, _) => self.ask_frontend(name, &question).await?,
        };
        let built = policies.apply_to(built).map_err(|e| status(&e))?;
        if question.evaluate {
            for wanted in built.refs.values() {
                self.gateway.solve(wanted).await.map_err(|e| status(&e))?;
            }
        }
        let result = self.keep(built, question.allow_result_array_ref)?;
        if question.allow_result_return {
            return Ok(proto::SolveResponse { result: Some(result), ..proto::SolveResponse::default() });
        }
        let only = match result.result {
            Some(result::Result::Ref(single)) => single.id,
            Some(result::Result::RefDeprecated(id)) => id,
            None => String::new(),
            Some(_) => return Err(unsupported("several results for a client that takes one")),
        };
        Ok(proto::SolveResponse { r#ref: only, ..proto::SolveResponse::default() })
    }

    async fn ask_frontend(&self, name: &str, question: &proto::SolveRequest) -> Result<Built, Status> {
        let attributes: BTreeMap<String, String> =
            question.frontend_opt.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        forwarding::check(&*self.engine, name).map_err(|e| unsupported(&e.to_string()))?;
        let gateway = self.gateway.with_inputs(question.frontend_inputs.clone());
        gateway.ask(name, &attributes).await.map_err(|e| status(&e))
    }

    /// Gives what was built names that the client can say.
    fn keep(&self, built: Built, as_refs: bool) -> Result<proto::Result, Status> {
        let mut named = HashMap::new();
        for (key, wanted) in built.refs {
            named.insert(key, self.name(wanted)?);
        }
        let single = named.len() == 1 && named.contains_key("");
        let reference = |id: String| {
            let def = self.find(&id).ok().filter(|made| made.output.is_some());
            proto::Ref { def: def.map(|made| self.gateway.desk().lend(&id, made)), id }
        };
        let result = match (single, as_refs) {
            _ if named.is_empty() => None,
            (true, true) => named.remove("").map(|id| result::Result::Ref(reference(id))),
            (true, false) => named.remove("").map(result::Result::RefDeprecated),
            (false, true) => {
                let refs = named.into_iter().map(|(key, id)| (key, reference(id))).collect();
                Some(result::Result::Refs(proto::RefMap { refs }))
            }
            (false, false) => Some(result::Result::RefsDeprecated(proto::RefMapDeprecated { refs: named })),
        };
        let metadata = built.metadata.into_iter().collect();
        Ok(proto::Result { result, metadata, ..proto::Result::default() })
    }

    /// Nothing at all has no name.
    fn name(&self, wanted: Ref) -> Result<String, Status> {
        if wanted.output.is_none() {
            return Ok(String::new());
        }
        let id = crate::identity()?;
        let mut refs = self.refs.lock().unwrap_or_else(PoisonError::into_inner);
        if refs.len() >= MAX_REFS {
            return Err(Status::new(Code::ResourceExhausted, format!("more than {MAX_REFS} results")));
        }
        refs.insert(id.clone(), wanted);
        Ok(id)
    }

    fn find(&self, id: &str) -> Result<Ref, Error> {
        if id.is_empty() {
            return Ref::new(Arc::default(), None);
        }
        let refs = self.refs.lock().unwrap_or_else(PoisonError::into_inner);
        refs.get(id).cloned().ok_or_else(|| Error::NotFound(format!("no such ref: {id}")))
    }

    async fn files(&self, id: &str) -> Result<Arc<dyn Files>, Status> {
        let wanted = self.find(id).map_err(|e| status(&e))?;
        self.gateway.solve(&wanted).await.map_err(|e| status(&e))
    }

    async fn image(
        &self,
        question: proto::ResolveImageConfigRequest,
    ) -> Result<proto::ResolveImageConfigResponse, Status> {
        // 1 is a client's OCI layout.
        let reference = match question.resolver_type {
            1 => in_layout(&question.r#ref, &question.store_id),
            _ => question.r#ref,
        };
        let policies = Policies::read(&question.source_policies).map_err(|e| status(&e))?;
        let asked = (question.platform, question.resolve_mode.as_str(), question.log_name.as_str());
        let found = self.resolve(&policies, &reference, asked).await.map_err(|e| status(&e))?;
        Ok(proto::ResolveImageConfigResponse {
            digest: found.digest.to_string(),
            config: found.config,
            r#ref: found.reference,
        })
    }

    async fn resolve(
        &self,
        policies: &Policies,
        reference: &str,
        (platform, mode, shown): (Option<pb::Platform>, &str, &str),
    ) -> Result<build::frontend::ResolvedImage, Error> {
        let platform = platform.map(llb::platform);
        let shown = match shown {
            "" => format!("resolve image config for {reference}"),
            shown => shown.to_owned(),
        };
        let (reference, pull) = policies.image(reference, llb::pull(mode)?)?;
        self.gateway.image(&reference, platform.as_ref(), pull, &shown).await
    }

    async fn source(
        &self,
        question: proto::ResolveSourceMetaRequest,
    ) -> Result<proto::ResolveSourceMetaResponse, Status> {
        let Some(mut source) = question.source else {
            return Err(Status::new(Code::InvalidArgument, "no source to resolve"));
        };
        let policies = Policies::read(&question.source_policies).map_err(|e| status(&e))?;
        let reference = match source.identifier.split_once("://") {
            Some(("docker-image", reference)) => reference.to_owned(),
            Some(("oci-layout", reference)) => {
                in_layout(reference, source.attrs.get("oci.store").map_or("", String::as_str))
            }
            _ => return self.other_source(&policies, &source, &question.log_name, question.http).await,
        };
        if question
            .image
            .as_ref()
            .is_some_and(|asked| asked.attestation_chain || !asked.resolve_attestations.is_empty())
        {
            return Err(unsupported("what is attested of an image can't be resolved"));
        }
        let asked = (question.platform, question.resolve_mode.as_str(), question.log_name.as_str());
        let found = self.resolve(&policies, &reference, asked).await.map_err(|e| status(&e))?;
        if source.identifier.starts_with("docker-image:") {
            source.identifier = format!("docker-image://{}", found.reference);
        }
        let image = proto::ResolveSourceImageResponse {
            digest: found.digest.to_string(),
            config: found.config,
            ..proto::ResolveSourceImageResponse::default()
        };
        let source = Some(source);
        Ok(proto::ResolveSourceMetaResponse { source, image: Some(image), ..Default::default() })
    }

    /// A repository, or a file of the web.
    async fn other_source(
        &self,
        policies: &Policies,
        asked: &pb::SourceOp,
        shown: &str,
        http: Option<proto::ResolveSourceHttpRequest>,
    ) -> Result<proto::ResolveSourceMetaResponse, Status> {
        if http.is_some_and(|http| http.checksum_request.is_some()) {
            return Err(unsupported("a checksum of one's own can't be asked of a file of the web"));
        }
        let shown = if shown.is_empty() { format!("resolve {}", asked.identifier) } else { shown.to_owned() };
        let resolving = async {
            let (Op::Source(source), _) = llb::source(asked)? else {
                return Err(Error::Invalid("no source to resolve".into()));
            };
            let source = policies.other(&source)?.unwrap_or(source);
            self.gateway.known(&source, &shown).await
        };
        let (source, known) = resolving.await.map_err(|e| status(&e))?;
        let mut answer = proto::ResolveSourceMetaResponse {
            source: Some(policy::operation(&source)),
            ..Default::default()
        };
        match known {
            Known::Git { name, object, commit } => {
                answer.git = Some(proto::ResolveSourceGitResponse {
                    checksum: object,
                    r#ref: name,
                    commit_checksum: commit.unwrap_or_default(),
                    ..Default::default()
                });
            }
            Known::Http { digest, name, modified } => {
                let time = (modified > 0).then_some(Timestamp { seconds: modified, nanos: 0 });
                answer.http = Some(proto::ResolveSourceHttpResponse {
                    checksum: digest.to_string(),
                    filename: name,
                    last_modified: time,
                    ..Default::default()
                });
            }
        }
        Ok(answer)
    }

    async fn read_file(&self, question: proto::ReadFileRequest) -> Result<proto::ReadFileResponse, Status> {
        read_file(&*self.files(&question.r#ref).await?, &question).await
    }

    async fn read_file_there(
        &self,
        question: proto::ReadFileRequest,
    ) -> Result<proto::ReadFileResponse, Status> {
        read_file(&*self.rooms.files(&question.r#ref, question.mount_index).await?, &question).await
    }

    async fn read_directory(
        &self,
        question: proto::ReadDirRequest,
    ) -> Result<proto::ReadDirResponse, Status> {
        list(&*self.files(&question.r#ref).await?, &question).await
    }

    async fn read_directory_there(
        &self,
        question: proto::ReadDirRequest,
    ) -> Result<proto::ReadDirResponse, Status> {
        list(&*self.rooms.files(&question.r#ref, question.mount_index).await?, &question).await
    }

    async fn stat(&self, question: proto::StatFileRequest) -> Result<proto::StatFileResponse, Status> {
        stat(&*self.files(&question.r#ref).await?, &question.path).await
    }

    async fn stat_there(&self, question: proto::StatFileRequest) -> Result<proto::StatFileResponse, Status> {
        stat(&*self.rooms.files(&question.r#ref, question.mount_index).await?, &question.path).await
    }

    async fn new_container(
        &self,
        question: proto::NewContainerRequest,
    ) -> Result<proto::NewContainerResponse, Status> {
        if question.constraints.as_ref().is_some_and(|constraints| !constraints.filter.is_empty()) {
            return Err(unsupported("a constraint on the worker is not supported"));
        }
        let id = question.container_id.clone();
        let place = self.rooms.reserve(&id)?;
        let (like, results) = llb::room(question).map_err(|e| status(&e))?;
        let inputs: Result<Vec<Ref>, Error> = results.iter().map(|id| self.find(id)).collect();
        let room = Room { like, inputs: inputs.map_err(|e| status(&e))? };
        place.fill(self.gateway.container(room).await.map_err(|e| status(&e))?);
        Ok(proto::NewContainerResponse {})
    }

    async fn release(
        &self,
        question: proto::ReleaseContainerRequest,
    ) -> Result<proto::ReleaseContainerResponse, Status> {
        self.rooms.release(&question.container_id)?;
        Ok(proto::ReleaseContainerResponse {})
    }

    async fn evaluate(&self, question: proto::EvaluateRequest) -> Result<proto::EvaluateResponse, Status> {
        self.files(&question.r#ref).await?;
        Ok(proto::EvaluateResponse {})
    }

    async fn end(&self, question: proto::ReturnRequest) -> Result<proto::ReturnResponse, Status> {
        let returned = match question.error {
            Some(error) => {
                let status = error::of_message(&error);
                let failure = Error::Invalid(status.message.clone());
                *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
                Err(failure)
            }
            None => self.returned(question.result.unwrap_or_default()),
        };
        let waiting = self.returned.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(waiting) = waiting else {
            return Err(Status::new(Code::FailedPrecondition, "the frontend has returned already"));
        };
        // A build that was given up meanwhile waits for nothing.
        let _ = waiting.send(returned);
        Ok(proto::ReturnResponse {})
    }

    fn returned(&self, result: proto::Result) -> Result<Built, Error> {
        if !result.attestations.is_empty() {
            return Err(Error::Unsupported { what: "attestations by a frontend".into() });
        }
        let found = |(key, id): (String, String)| Ok((key, self.find(&id)?));
        let refs = match result.result {
            None => BTreeMap::new(),
            Some(result::Result::RefDeprecated(id)) => BTreeMap::from([found((String::new(), id))?]),
            Some(result::Result::Ref(single)) => BTreeMap::from([found((String::new(), single.id))?]),
            Some(result::Result::RefsDeprecated(map)) => {
                map.refs.into_iter().map(found).collect::<Result<_, Error>>()?
            }
            Some(result::Result::Refs(map)) => {
                map.refs.into_iter().map(|(key, one)| found((key, one.id))).collect::<Result<_, Error>>()?
            }
        };
        Ok(Built { refs, metadata: result.metadata.into_iter().collect() })
    }

    async fn give_inputs(&self) -> Result<proto::InputsResponse, Status> {
        Ok(proto::InputsResponse { definitions: self.gateway.inputs().clone() })
    }

    async fn warn(&self, question: proto::WarnRequest) -> Result<proto::WarnResponse, Status> {
        let vertex: Digest = question.digest.parse().map_err(|_| {
            Status::new(Code::InvalidArgument, format!("a warning about no step: {:?}", question.digest))
        })?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let position = question.info.map(|info| build::graph::Position {
            file: Arc::new(build::graph::SourceFile {
                name: info.filename,
                language: info.language,
                data: info.data,
            }),
            ranges: question.ranges.iter().map(llb::range).collect(),
        });
        self.gateway.warn(Warning {
            vertex,
            level: u32::try_from(question.level).unwrap_or(0),
            short: text(&question.short),
            detail: question.detail.iter().map(|line| text(line)).collect(),
            url: question.url,
            position,
        });
        Ok(proto::WarnResponse {})
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let refs = self.refs.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.gateway.desk().lent.take_back(refs.keys());
    }
}

/// Definitions by their names.
pub(super) fn inputs(
    given: &HashMap<String, pb::Definition>,
    desk: &Desk,
) -> Result<BTreeMap<String, Ref>, Error> {
    given.iter().map(|(name, definition)| Ok((name.clone(), llb::decode_at(definition, desk)?))).collect()
}

async fn read_file(
    files: &dyn Files,
    question: &proto::ReadFileRequest,
) -> Result<proto::ReadFileResponse, Status> {
    let range = question.range.map(|range| {
        let number = |number: i64| u64::try_from(number).unwrap_or(0);
        (number(range.offset), number(range.length))
    });
    let data = files.read(&question.file_path, range).await.map_err(|e| file_status(&e))?;
    Ok(proto::ReadFileResponse { data })
}

async fn list(files: &dyn Files, question: &proto::ReadDirRequest) -> Result<proto::ReadDirResponse, Status> {
    let pattern = Some(question.include_pattern.as_str()).filter(|pattern| !pattern.is_empty());
    let entries = files.list(&question.dir_path, pattern).await.map_err(|e| file_status(&e))?;
    Ok(proto::ReadDirResponse { entries: entries.iter().map(told).collect() })
}

async fn stat(files: &dyn Files, path: &str) -> Result<proto::StatFileResponse, Status> {
    let entry = files.stat(path).await.map_err(|e| file_status(&e))?;
    Ok(proto::StatFileResponse { stat: Some(told(&entry)) })
}

fn unsupported(why: &str) -> Status {
    Status::new(Code::Unimplemented, why)
}

/// A file as messages have it.
fn told(entry: &Entry) -> crate::proto::Stat {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut stat = crate::proto::Stat {
        path: text(&entry.path),
        uid: entry.uid,
        gid: entry.gid,
        mod_time: entry.mtime,
        ..crate::proto::Stat::default()
    };
    let form = match &entry.kind {
        Kind::Directory => 0o040_000,
        Kind::File { size } => {
            stat.size = i64::try_from(*size).unwrap_or(i64::MAX);
            0o100_000
        }
        Kind::Hardlink { .. } => 0o100_000,
        Kind::Symlink { to } => {
            stat.linkname = text(to);
            0o120_000
        }
        Kind::Fifo => 0o010_000,
        Kind::Device { block, major, minor } => {
            (stat.devmajor, stat.devminor) = ((*major).into(), (*minor).into());
            if *block { 0o060_000 } else { 0o020_000 }
        }
    };
    stat.mode = go_mode(form | entry.mode & 0o7777);
    stat
}

/// An image by its digest, in one of the client's stores.
fn in_layout(reference: &str, store: &str) -> String {
    let layout =
        OciLayout { reference: reference.to_owned(), store: store.to_owned(), session: String::new() };
    layout.address()
}
