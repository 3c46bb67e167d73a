//! `POST /containers/{id}/wait`: the head at once, so that the client knows it waits; the exit when it comes.

use engine::containers::WaitFor;
use http::StatusCode;
use serde_json::json;

use crate::body;
use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn post(call: Call) -> Result<Reply, Error> {
    let until = match call.query.get("condition") {
        "" | "not-running" => WaitFor::NotRunning,
        "next-exit" => WaitFor::NextExit,
        "removed" => WaitFor::Removed,
        other => return Err(Error::invalid(format!("invalid condition: \"{other}\""))),
    };
    let waiter = call.engine.containers.get(call.name())?.waiter(until);
    let (sender, body) = body::streamed();
    let mut closing = call.closing;
    tasks::spawn(async move {
        let exit = tokio::select! {
            exit = waiter.done() => exit,
            () = sender.closed() => return,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        let answer = json!({ "StatusCode": exit.map_or(0, |exit| exit.code) });
        let _ = sender.send(format!("{answer}\n").into()).await;
    });
    Ok(reply::with_type(StatusCode::OK, "application/json", body))
}
