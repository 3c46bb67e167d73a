//! docker's stream of progress: a JSON document for each step, an error as the last one.

use std::future::Future;

use bytes::Bytes;
use engine::images::progress::{Bar, Progress, Update};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::body;
use crate::error::Error;
use crate::reply::{self, Reply};

/// Answers with what `work` tells. An error before its first word has a status of its own, as with dockerd; a later one
/// is the stream's last document. When the client goes, the work is dropped.
pub(crate) async fn stream<F>(work: impl FnOnce(Progress) -> F) -> Result<Reply, Error>
where
    F: Future<Output = Result<(), engine::Error>> + Send + 'static,
{
    let (progress, mut updates) = Progress::channel();
    let mut task = tasks::spawn(work(progress));
    // Aborts the work if the client goes before there is anything to tell.
    let guard = AbortOnDrop(task.abort_handle());
    let Some(first) = updates.recv().await else {
        // It ended without a word.
        (&mut task).await.map_err(crashed)??;
        return Ok(reply::with_type(StatusCode::OK, "application/json", body::full("")));
    };
    let (sender, body) = body::streamed();
    tasks::spawn(async move {
        let _guard = guard;
        if forward(first, &mut updates, &sender).await.is_err() {
            return;
        }
        let ended = tokio::select! {
            ended = task => ended,
            () = sender.closed() => return,
        };
        let error = match ended {
            Ok(Ok(())) => return,
            Ok(Err(error)) => Error::from(error),
            Err(error) => crashed(error),
        };
        let message = error.message();
        let _ = sender.send(line(&json!({ "errorDetail": { "message": message }, "error": message }))).await;
    });
    Ok(reply::with_type(StatusCode::OK, "application/json", body))
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function for map_err")]
fn crashed(error: tokio::task::JoinError) -> Error {
    tracing::error!(%error, "a pull or push crashed");
    Error::new(StatusCode::INTERNAL_SERVER_ERROR, "the engine has a bug here; see its log")
}

async fn forward(
    first: Update,
    updates: &mut mpsc::Receiver<Update>,
    sender: &mpsc::Sender<Bytes>,
) -> Result<(), ()> {
    let mut next = Some(first);
    loop {
        let update = match next.take() {
            Some(update) => update,
            None => tokio::select! {
                update = updates.recv() => match update {
                    Some(update) => update,
                    None => return Ok(()),
                },
                () = sender.closed() => return Err(()),
            },
        };
        sender.send(line(&document(&update))).await.map_err(drop)?;
    }
}

fn document(update: &Update) -> Value {
    let mut document = json!({ "status": update.status });
    match &update.bar {
        Bar::None => {}
        Bar::Milestone => document["progressDetail"] = json!({}),
        Bar::Bytes { current, total } => {
            document["progressDetail"] = json!({ "current": current, "total": total });
        }
        Bar::Pushed { tag, digest, size } => {
            let aux = json!({ "Tag": tag, "Digest": digest, "Size": size });
            return json!({ "progressDetail": {}, "aux": aux });
        }
    }
    if !update.id.is_empty() {
        document["id"] = json!(update.id);
    }
    document
}

fn line(document: &Value) -> Bytes {
    format!("{document}\r\n").into()
}
