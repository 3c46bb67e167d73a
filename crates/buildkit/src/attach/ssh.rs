//! The user's ssh agents, lent to a step.

use std::collections::BTreeMap;
use std::path::PathBuf;

use grpc::{Call, Code, Status};
use tokio::net::UnixStream;

use crate::proto::ssh::{BytesMessage, CheckAgentRequest, CheckAgentResponse};
use crate::tunnel;

/// Says whether there is an agent of this name.
pub(super) async fn check(agents: &BTreeMap<String, PathBuf>, call: Call) -> Result<(), Status> {
    let answer = |question: CheckAgentRequest| async move {
        find(agents, &question.id).map(|_| CheckAgentResponse {})
    };
    call.answer(answer).await
}

/// Joins the call with a new connection to the agent.
pub(super) async fn forward(agents: &BTreeMap<String, PathBuf>, call: Call) -> Result<(), Status> {
    let socket = find(agents, call.text("buildkit.ssh.id").unwrap_or_default())?;
    let agent = UnixStream::connect(socket).await;
    let agent = agent
        .map_err(|e| Status::new(Code::Unknown, format!("failed to connect to {}: {e}", socket.display())))?;
    let stream = grpc::Stream { sender: call.sender, receiver: call.receiver };
    tunnel::join::<BytesMessage>(stream, agent).await
}

fn find<'a>(agents: &'a BTreeMap<String, PathBuf>, id: &str) -> Result<&'a PathBuf, Status> {
    let name = if id.is_empty() { "default" } else { id };
    agents.get(name).ok_or_else(|| Status::new(Code::Unknown, format!("unset ssh forward key {name}")))
}
