//! Errors between the two worlds: a build's, and a call's.

use build::Error;
use grpc::{Code, Status};

use crate::problem::{Problem, Source};
use crate::proto;
use crate::serve::news;

/// A status that came as a message.
pub(crate) fn of_message(message: &proto::Status) -> Status {
    let details = prost::Message::encode_to_vec(message).into();
    Status { code: Code::of(message.code), message: message.message.clone(), details }
}

/// The status that a client gets for an error: what failed, and where it was written.
pub(crate) fn status(error: &Error) -> Status {
    let mut problem = Problem::default();
    let (cause, positions) = match error {
        Error::Step(failed) => {
            problem.vertex = Some(failed.vertex.to_string());
            // The client says itself that it failed to solve.
            (&*failed.cause, failed.positions.as_slice())
        }
        Error::Language { positions, .. } => (error, positions.as_slice()),
        other => (other, &[][..]),
    };
    let source = |position| {
        let (info, ranges) = news::source(position);
        Source { info, ranges }
    };
    problem.sources = positions.iter().map(source).collect();
    if let Error::Exit { code, .. } = cause {
        problem.exit = Some(*code);
    }
    // Clients write any other code before the sentence, as if it were part of it.
    let code = if matches!(cause, Error::Cancelled) { Code::Cancelled } else { Code::Unknown };
    problem.on(Status::new(code, diag::chain(cause)))
}

/// The same where a client asks for a file: that there is none is an answer that it understands.
pub(crate) fn file_status(error: &Error) -> Status {
    let absent = |error: &Error| matches!(error, Error::NotFound(_));
    match error {
        Error::Step(failed) if absent(&failed.cause) => Status { code: Code::NotFound, ..status(error) },
        other if absent(other) => Status { code: Code::NotFound, ..status(other) },
        other => status(other),
    }
}
