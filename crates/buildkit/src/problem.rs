//! What an error says beside its sentence: where in which file it was written, in which step it happened, how a program
//! ended. Each is JSON in a `google.rpc.Status`' details, as Go's structs become it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use grpc::Status;
use prost::Message;
use serde_json::{Value, json};

use crate::proto::pb::{Position, Range, SourceInfo};
use crate::proto::{self, Any};

const SOURCE: &str = "github.com/moby/buildkit/errdefs.Source+json";
const VERTEX: &str = "github.com/moby/buildkit/errdefs.Vertex+json";
const EXIT: &str = "github.com/moby/buildkit/gatewayapi.ExitMessage+json";

/// Where something was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The file.
    pub info: SourceInfo,
    /// The lines.
    pub ranges: Vec<Range>,
}

/// All that can be known of a failure.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Problem {
    /// The places that it is about, innermost first.
    pub sources: Vec<Source>,
    /// The digest of the step's vertex.
    pub vertex: Option<String>,
    /// How its program ended.
    pub exit: Option<i32>,
}

impl Problem {
    /// What a status carries.
    #[must_use]
    pub fn of(status: &Status) -> Self {
        let mut problem = Self::default();
        let Ok(whole) = proto::Status::decode(status.details.clone()) else { return problem };
        for Any { type_url, value } in whole.details {
            let Ok(value) = serde_json::from_slice::<Value>(&value) else { continue };
            match type_url.as_str() {
                SOURCE => problem.sources.push(source(&value)),
                VERTEX => problem.vertex = value["digest"].as_str().map(str::to_owned),
                EXIT => problem.exit = value["Code"].as_i64().and_then(|code| code.try_into().ok()),
                _ => {}
            }
        }
        problem
    }

    /// The status with all this.
    #[must_use]
    pub fn on(&self, status: Status) -> Status {
        let sources = self.sources.iter().map(|source| (SOURCE, written(source)));
        let vertex = self.vertex.iter().map(|digest| (VERTEX, json!({ "digest": digest })));
        let exit = self.exit.iter().map(|code| (EXIT, json!({ "Code": code })));
        let details = sources.chain(vertex).chain(exit);
        let details = details
            .map(|(name, value)| Any { type_url: name.to_owned(), value: value.to_string().into_bytes() });
        let whole = proto::Status {
            code: status.code as i32,
            message: status.message.clone(),
            details: details.collect(),
        };
        match whole.details.is_empty() {
            true => status,
            false => Status { details: whole.encode_to_vec().into(), ..status },
        }
    }
}

fn source(value: &Value) -> Source {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let info = &value["info"];
    let number = |value: &Value| value.as_i64().and_then(|number| i32::try_from(number).ok()).unwrap_or(0);
    let position = |value: &Value| {
        value
            .is_object()
            .then(|| Position { line: number(&value["line"]), character: number(&value["character"]) })
    };
    let range = |value: &Value| Range { start: position(&value["start"]), end: position(&value["end"]) };
    Source {
        info: SourceInfo {
            filename: text(&info["filename"]),
            data: STANDARD.decode(text(&info["data"])).unwrap_or_default(),
            definition: None,
            language: text(&info["language"]),
        },
        ranges: value["ranges"].as_array().into_iter().flatten().map(range).collect(),
    }
}

fn written(source: &Source) -> Value {
    let position = |at: &Option<Position>| {
        at.as_ref().map(|at| match at.character {
            0 => json!({ "line": at.line }),
            character => json!({ "line": at.line, "character": character }),
        })
    };
    let range = |range: &Range| json!({ "start": position(&range.start), "end": position(&range.end) });
    json!({
        "info": {
            "filename": source.info.filename,
            "data": STANDARD.encode(&source.info.data),
            "language": source.info.language,
        },
        "ranges": source.ranges.iter().map(range).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use grpc::Code;

    use super::*;

    #[test]
    fn a_problem_survives_its_status() {
        let at = |line, character| Some(Position { line, character });
        let info = SourceInfo {
            filename: "Dockerfile".into(),
            data: b"FROM x\nRUN y".to_vec(),
            definition: None,
            language: "Dockerfile".into(),
        };
        let source = Source { info, ranges: vec![Range { start: at(2, 0), end: at(2, 5) }] };
        let problem = Problem { sources: vec![source], vertex: Some("sha256:0".into()), exit: Some(3) };
        let status = problem.on(Status::new(Code::Unknown, "it failed"));
        assert_eq!(status.message, "it failed");
        assert_eq!(Problem::of(&status), problem);
        assert_eq!(Problem::of(&Status::new(Code::Unknown, "")), Problem::default());
    }
}
