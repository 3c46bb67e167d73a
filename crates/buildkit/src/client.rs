//! Asking an engine to build.

use std::collections::HashMap;

use grpc::{Channel, Metadata, Receiver, Status};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::proto::content::{ReadContentRequest, ReadContentResponse};
use crate::proto::control::{
    BuildHistoryEvent, BuildHistoryRequest, DiskUsageRequest, DiskUsageResponse, InfoRequest, InfoResponse,
    ListWorkersRequest, ListWorkersResponse, PruneRequest, SolveRequest, SolveResponse, StatusRequest,
    StatusResponse, UpdateBuildHistoryRequest, UpdateBuildHistoryResponse, UsageRecord,
};
use crate::proto::gateway;

/// No blob that a record names is longer.
const MAX_BLOB: usize = 256 << 20;

/// A call of `Control`.
fn control(method: &str) -> String {
    format!("/moby.buildkit.v1.Control/{method}")
}

/// An engine's builder.
#[derive(Debug, Clone)]
pub struct Builder {
    channel: Channel,
}

/// News of a build.
#[derive(Debug)]
pub struct News(Receiver);

impl News {
    /// The next; `None` when the build has ended and all was told.
    pub async fn next(&mut self) -> Result<Option<StatusResponse>, Status> {
        self.0.next().await
    }
}

/// What went, one by one.
#[derive(Debug)]
pub struct Pruned(Receiver);

impl Pruned {
    /// The next.
    pub async fn next(&mut self) -> Result<Option<UsageRecord>, Status> {
        self.0.next().await
    }
}

/// Builds that are remembered, one by one.
#[derive(Debug)]
pub struct Records(Receiver);

impl Records {
    /// The next.
    pub async fn next(&mut self) -> Result<Option<BuildHistoryEvent>, Status> {
        self.0.next().await
    }
}

impl Builder {
    /// Over a connection on which `/grpc` was answered.
    pub async fn over(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Self, Status> {
        Ok(Self { channel: Channel::over(io).await? })
    }

    /// Builds. Dropping the future gives up, and so does the engine.
    pub async fn solve(&self, request: &SolveRequest) -> Result<HashMap<String, String>, Status> {
        let (path, nothing) = (control("Solve"), Metadata::default());
        let answer: SolveResponse = self.channel.unary(&path, &nothing, request).await?;
        Ok(answer.exporter_response)
    }

    /// What the build of this id tells, from its beginning; asked before it begins, the engine waits for it.
    pub fn news(&self, id: &str) -> Result<News, Status> {
        let question = StatusRequest { r#ref: id.to_owned() };
        self.channel.ask(&control("Status"), &Metadata::default(), &question).map(News)
    }

    /// Who would build.
    pub async fn workers(&self) -> Result<ListWorkersResponse, Status> {
        let question = ListWorkersRequest::default();
        self.channel.unary(&control("ListWorkers"), &Metadata::default(), &question).await
    }

    /// Which version it is.
    pub async fn info(&self) -> Result<InfoResponse, Status> {
        self.channel.unary(&control("Info"), &Metadata::default(), &InfoRequest {}).await
    }

    /// What its cache holds.
    pub async fn usage(&self, question: &DiskUsageRequest) -> Result<DiskUsageResponse, Status> {
        self.channel.unary(&control("DiskUsage"), &Metadata::default(), question).await
    }

    /// Empties its cache.
    pub fn prune(&self, what: &PruneRequest) -> Result<Pruned, Status> {
        self.channel.ask(&control("Prune"), &Metadata::default(), what).map(Pruned)
    }

    /// Builds that are remembered, and if that is asked for, what becomes of others.
    pub fn history(&self, question: &BuildHistoryRequest) -> Result<Records, Status> {
        self.channel.ask(&control("ListenBuildHistory"), &Metadata::default(), question).map(Records)
    }

    /// A blob that a record names.
    pub async fn content(&self, digest: &str) -> Result<Vec<u8>, Status> {
        let path = "/containerd.services.content.v1.Content/Read";
        let question = ReadContentRequest { digest: digest.to_owned(), ..ReadContentRequest::default() };
        let mut pieces = self.channel.ask(path, &Metadata::default(), &question)?;
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.next::<ReadContentResponse>().await? {
            bytes.extend(piece.data);
            if bytes.len() > MAX_BLOB {
                return Err(Status::new(
                    grpc::Code::OutOfRange,
                    format!("{digest} is longer than {MAX_BLOB} bytes"),
                ));
            }
        }
        Ok(bytes)
    }

    /// Changes what is remembered.
    pub async fn update_history(&self, question: &UpdateBuildHistoryRequest) -> Result<(), Status> {
        let path = control("UpdateBuildHistory");
        let answer = self.channel.unary(&path, &Metadata::default(), question).await;
        answer.map(|UpdateBuildHistoryResponse {}| ())
    }

    /// Drives a build from outside: what `frontend` says becomes of `request`, without an export. The answers to
    /// `--check` and its kin come this way.
    pub async fn ask_frontend(
        &self,
        request: &SolveRequest,
        frontend: gateway::SolveRequest,
    ) -> Result<HashMap<String, Vec<u8>>, Status> {
        let about = Metadata::default().and("buildkit-controlapi-buildid", &request.r#ref)?;
        let asked = async {
            let call = |method: &str| format!("/moby.buildkit.v1.frontend.LLBBridge/{method}");
            // The engine answers when it knows the build.
            let ping = gateway::PingRequest {};
            let _: gateway::PongResponse = self.channel.unary(&call("Ping"), &about, &ping).await?;
            let answer =
                self.channel.unary::<gateway::SolveResponse>(&call("Solve"), &about, &frontend).await;
            let (result, error) = match &answer {
                Ok(answer) => (answer.result.clone(), None),
                Err(status) => (None, Some(rpc(status))),
            };
            let end = gateway::ReturnRequest { result: result.clone(), error };
            let _: gateway::ReturnResponse = self.channel.unary(&call("Return"), &about, &end).await?;
            answer.map(|_| result.unwrap_or_default().metadata)
        };
        let solve = async {
            let solved = self.solve(request).await;
            // It ends when the frontend has returned: before that, something is wrong.
            match solved {
                Ok(_) => std::future::pending().await,
                Err(status) => Err(status),
            }
        };
        tokio::select! {
            answer = asked => answer,
            failed = solve => failed,
        }
    }
}

/// A status as a message.
fn rpc(status: &Status) -> crate::proto::Status {
    match <crate::proto::Status as prost::Message>::decode(status.details.clone()) {
        Ok(whole) if !status.details.is_empty() => whole,
        _ => crate::proto::Status {
            code: status.code as i32,
            message: status.message.clone(),
            details: Vec::new(),
        },
    }
}
