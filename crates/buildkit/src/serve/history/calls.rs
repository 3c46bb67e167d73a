//! `ListenBuildHistory` and `UpdateBuildHistory`.

use std::sync::Arc;

use grpc::{Call, Code, Status};
use tokio::sync::broadcast::error::RecvError;

use super::filter::{self, Filters};
use super::{History, unknown};
use crate::proto::control::{
    BuildHistoryEvent, BuildHistoryEventType, BuildHistoryRecord, BuildHistoryRequest,
    UpdateBuildHistoryRequest, UpdateBuildHistoryResponse,
};

impl History {
    /// Tells of the builds that are remembered, and goes on telling unless it is to end at once.
    pub(in crate::serve) async fn listen(&self, mut call: Call) -> Result<(), Status> {
        let Some(question) = call.receiver.next::<BuildHistoryRequest>().await? else {
            return Err(Status::new(Code::InvalidArgument, "no question about builds"));
        };
        let filters = Filters::parse(&question.filter)?;
        let wanted = |record: &BuildHistoryRecord| {
            (question.r#ref.is_empty() || question.r#ref == record.r#ref) && filters.admit(record)
        };
        // From before the look, so that nothing is missed in between.
        let mut events = self.events.subscribe();
        for (kind, record) in self.known(&question, &wanted) {
            call.sender.send(&BuildHistoryEvent { r#type: kind.into(), record: Some(record) }).await?;
        }
        if question.early_exit {
            return Ok(());
        }
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = call.sender.closed() => return Ok(()),
            };
            match event {
                Ok(event) => {
                    let over = event.r#type != i32::from(BuildHistoryEventType::Started);
                    if event.record.as_ref().is_some_and(&wanted) && !(question.active_only && over) {
                        call.sender.send(&event).await?;
                    }
                }
                Err(RecvError::Lagged(count)) => {
                    let why = format!("{count} events of builds were missed: listen again");
                    return Err(Status::new(Code::ResourceExhausted, why));
                }
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    }

    /// What is there now, the last to begin first where only some are wanted.
    fn known(
        &self,
        question: &BuildHistoryRequest,
        wanted: &dyn Fn(&BuildHistoryRecord) -> bool,
    ) -> Vec<(BuildHistoryEventType, BuildHistoryRecord)> {
        let table = self.table();
        let active = table.active.values().map(|record| (BuildHistoryEventType::Started, record));
        let ended = table.ended.values().map(|record| (BuildHistoryEventType::Complete, record));
        let ended = ended.filter(|_| !question.active_only);
        let fitting = active.chain(ended).filter(|(_, record)| wanted(record));
        let mut known: Vec<_> = fitting.map(|(kind, record)| (kind, record.clone())).collect();
        drop(table);
        let begun = |record: &BuildHistoryRecord| {
            (filter::seconds(record.created_at.as_ref()), record.created_at.as_ref().map(|at| at.nanos))
        };
        known.sort_by_key(|(_, record)| std::cmp::Reverse(begun(record)));
        if let Ok(limit @ 1..) = usize::try_from(question.limit) {
            known.truncate(limit);
        }
        known
    }

    /// Removes, pins, or makes the trace: all else is written down as soon as a build has ended.
    pub(in crate::serve) async fn update(self: &Arc<Self>, call: Call) -> Result<(), Status> {
        let history = self.clone();
        let answer = |question: UpdateBuildHistoryRequest| async move {
            let id = question.r#ref.clone();
            let work = move || match () {
                () if question.delete => match history.remove(&id) {
                    true => Ok(()),
                    false => Err(unknown(&id)),
                },
                () if question.finalize => history.finalize(&id),
                () => history.pin(&id, question.pinned),
            };
            let done = tasks::blocking(work).await;
            done.map_err(|e| Status::new(Code::Internal, e.to_string()))??;
            Ok(UpdateBuildHistoryResponse {})
        };
        call.answer(answer).await
    }
}
