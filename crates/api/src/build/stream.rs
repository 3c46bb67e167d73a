//! What a build tells, as the classic builder's JSON documents.

use std::collections::BTreeSet;
use std::future::Future;

use build::Error;
use build::progress::{Event, Status, Subscriber, VertexState};
use build::request::Outcome;
use bytes::Bytes;
use oci::Digest;
use serde_json::{Value, json};
use tokio::sync::mpsc::Sender;

/// How many events are taken at once.
const EVENTS: usize = 256;

/// Tells what goes on until the build ends, and how it ended. When the client goes, the build is dropped.
pub(super) async fn tell(
    building: impl Future<Output = Result<Outcome, Error>>,
    mut heard: Subscriber,
    quiet: bool,
    names: &[String],
    to: &Sender<Bytes>,
) {
    let telling = async {
        let mut told = Told::default();
        while let Some(events) = heard.next(EVENTS).await {
            events.iter().for_each(|event| told.hear(event));
            for document in events.iter().flat_map(|event| told.documents(event)) {
                if !quiet && to.send(line(&document)).await.is_err() {
                    return;
                }
            }
        }
    };
    let both = async { tokio::join!(building, telling).0 };
    let outcome = tokio::select! {
        outcome = both => outcome,
        () = to.closed() => return,
    };
    for document in end(&outcome, quiet, names) {
        if to.send(line(&document)).await.is_err() {
            return;
        }
    }
}

pub(super) fn line(document: &Value) -> Bytes {
    format!("{document}\r\n").into()
}

/// What was told already.
#[derive(Default)]
struct Told {
    /// All steps that are known of: they are counted.
    steps: BTreeSet<Digest>,
    begun: BTreeSet<Digest>,
    ended: BTreeSet<Digest>,
}

impl Told {
    fn hear(&mut self, event: &Event) {
        if let Event::Vertex(vertex) = event
            && step(&vertex.name).is_some()
        {
            self.steps.insert(vertex.digest.clone());
        }
    }

    fn documents(&mut self, event: &Event) -> Vec<Value> {
        match event {
            Event::Vertex(vertex) => self.vertex(vertex),
            Event::Log(log) => vec![stream(&String::from_utf8_lossy(&log.data))],
            Event::Warning(warning) => vec![stream(&format!("[Warning] {}\n", warning.short))],
            Event::Status(status) => fetched(status).into_iter().collect(),
        }
    }

    /// Only what a person wrote is a step.
    fn vertex(&mut self, vertex: &VertexState) -> Vec<Value> {
        let Some(what) = step(&vertex.name) else { return Vec::new() };
        let mut documents = Vec::new();
        if vertex.started.is_some() && self.begun.insert(vertex.digest.clone()) {
            documents.push(stream(&format!("Step {}/{} : {what}\n", self.begun.len(), self.steps.len())));
        }
        if vertex.completed.is_some() && self.ended.insert(vertex.digest.clone()) {
            documents.extend(vertex.cached.then(|| stream(" ---> Using cache\n")));
        }
        documents
    }
}

/// What comes from elsewhere, as a pull tells it: its size is known.
fn fetched(status: &Status) -> Option<Value> {
    let mut document = match status.completed {
        _ if status.total == 0 => return None,
        Some(_) => json!({ "status": "Download complete", "progressDetail": {} }),
        None => {
            let progress = json!({ "current": status.current, "total": status.total });
            json!({ "status": "Downloading", "progressDetail": progress })
        }
    };
    // A layer has a name; a file of the web has none.
    if status.id != "downloading" {
        document["id"] = json!(status.id);
    }
    Some(document)
}

fn stream(text: &str) -> Value {
    json!({ "stream": text })
}

/// `[stage 2/5] RUN make` is a step.
fn step(name: &str) -> Option<&str> {
    let (place, what) = name.strip_prefix('[')?.split_once("] ")?;
    place.rsplit(' ').next()?.contains('/').then_some(what)
}

fn end(outcome: &Result<Outcome, Error>, quiet: bool, names: &[String]) -> Vec<Value> {
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            let (code, message) = failure(error);
            return vec![json!({ "errorDetail": { "code": code, "message": message }, "error": message })];
        }
    };
    let Some(id) = outcome.response.get("containerimage.config.digest") else { return Vec::new() };
    if quiet {
        return vec![stream(&format!("{id}\n"))];
    }
    let short: String = id.trim_start_matches("sha256:").chars().take(12).collect();
    let mut documents =
        vec![json!({ "aux": { "ID": id } }), stream(&format!("Successfully built {short}\n"))];
    let tagged = names.iter().filter_map(|name| oci::Reference::parse(name).ok());
    documents
        .extend(tagged.map(|name| stream(&format!("Successfully tagged {}\n", name.or_latest().familiar()))));
    documents
}

/// In the classic builder's words, which clients match on.
fn failure(error: &Error) -> (i32, String) {
    if let Error::Step(failed) = error
        && let Error::Exit { command, code } = &*failed.cause
    {
        return (*code, format!("The command '{command}' returned a non-zero code: {code}"));
    }
    (1, diag::chain(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_what_a_person_wrote() {
        assert_eq!(step("[2/3] RUN make"), Some("RUN make"));
        assert_eq!(step("[build 2/3] RUN make [x] y"), Some("RUN make [x] y"));
        assert_eq!(step("[internal] load build context"), None);
        assert_eq!(step("exporting to image"), None);
    }

    #[test]
    fn the_steps_of_all_stages_are_counted_together() {
        let vertex = |number: u8, name: &str, begun: bool| {
            Event::Vertex(VertexState {
                digest: Digest::sha256(&[number]),
                inputs: Vec::new(),
                name: name.to_owned(),
                group: None,
                started: begun.then_some(std::time::UNIX_EPOCH),
                completed: None,
                cached: false,
                error: None,
            })
        };
        let known = [
            vertex(1, "[a 1/2] FROM x", false),
            vertex(2, "[a 2/2] RUN make", false),
            vertex(3, "[b 2/2] COPY / /", false),
            vertex(4, "[internal] load build context", false),
        ];
        let mut told = Told::default();
        known.iter().for_each(|event| told.hear(event));
        let mut said = |number, name| told.documents(&vertex(number, name, true));
        assert_eq!(said(1, "[a 1/2] FROM x"), [stream("Step 1/3 : FROM x\n")]);
        assert_eq!(said(4, "[internal] load build context"), [] as [Value; 0]);
        assert_eq!(said(3, "[b 2/2] COPY / /"), [stream("Step 2/3 : COPY / /\n")]);
        assert_eq!(said(3, "[b 2/2] COPY / /"), [] as [Value; 0]);
    }
}
