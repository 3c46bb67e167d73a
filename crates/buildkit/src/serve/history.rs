//! The history of builds: there is none yet, which is what a client is told that asks for it.

use grpc::{Call, Code, Status};

use crate::proto::control::{BuildHistoryRequest, UpdateBuildHistoryRequest, UpdateBuildHistoryResponse};

/// Tells of the builds that are remembered, and goes on telling unless it is to end at once.
pub(super) async fn listen(mut call: Call) -> Result<(), Status> {
    let Some(question) = call.receiver.next::<BuildHistoryRequest>().await? else {
        return Err(Status::new(Code::InvalidArgument, "no question about builds"));
    };
    if !question.early_exit {
        call.sender.closed().await;
    }
    Ok(())
}

/// Nothing can be changed of what isn't remembered. A client that only wants it to be written down is content.
pub(super) async fn update(call: Call) -> Result<(), Status> {
    let answer = |question: UpdateBuildHistoryRequest| async move {
        if question.delete || question.pinned {
            return Err(Status::new(Code::NotFound, format!("no build {} is remembered", question.r#ref)));
        }
        Ok(UpdateBuildHistoryResponse {})
    };
    call.answer(answer).await
}
