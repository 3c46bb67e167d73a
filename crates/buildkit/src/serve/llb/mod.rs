//! From BuildKit's definitions to a graph.
//!
//! A definition is a list of encoded operations that name each other by the digest of their bytes, so what they name
//! can't lead in a circle; but it may be absent, or deep. The last one does nothing and names the result. Capabilities
//! that an operation needs stand beside it: one that we don't have is refused by name.

mod exec;
mod file;
mod source;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use build::Error;
use build::frontend::Ref;
use build::graph::{Graph, Group, Input, Op, Output, Position, Range, Shown, SourceFile, VertexId};
use oci::Digest;
use oci::image::Platform;
use prost::Message as _;

use super::capabilities;
use super::lent::{self, Desk};
use crate::proto::pb;
pub(super) use exec::{program, room};
pub(super) use source::{decode as source, pull};

/// As many operations as a graph takes.
const MAX_OPERATIONS: usize = build::graph::MAX_VERTICES;

/// Operations that wait for others, each as often as it is needed. No message has more edges.
const MAX_OPEN: usize = 1 << 20;

/// What a definition builds; nothing for one without operations.
pub fn decode(definition: &pb::Definition) -> Result<Ref, Error> {
    decode_at(definition, &Desk::default())
}

/// The same, of one that may name other builds' results.
pub(super) fn decode_at(definition: &pb::Definition, desk: &Desk) -> Result<Ref, Error> {
    let Some((last, _)) = definition.def.split_last() else { return Ref::new(Arc::default(), None) };
    if definition.def.len() > MAX_OPERATIONS {
        return Err(Error::Invalid(format!("the definition has more than {MAX_OPERATIONS} operations")));
    }
    let mut decoding = Decoding::new(definition, desk);
    let end = operation(last)?;
    let output = match (end.inputs.as_slice(), &end.op) {
        // Old clients end with an operation itself.
        (_, Some(_)) => decoding.vertex(&digest(last))?,
        ([wanted], None) => {
            let first = decoding.vertex(&wanted.digest)?;
            output(first, wanted.index)?
        }
        _ => return Err(Error::Invalid("the definition's last operation has to have one input".into())),
    };
    Ref::new(Arc::new(decoding.graph), Some(output))
}

struct Decoding<'a> {
    definition: &'a pb::Definition,
    bytes: HashMap<String, &'a [u8]>,
    files: Vec<Arc<SourceFile>>,
    graph: Graph,
    /// Each operation's first output.
    done: HashMap<String, Output>,
    desk: &'a Desk,
}

impl<'a> Decoding<'a> {
    fn new(definition: &'a pb::Definition, desk: &'a Desk) -> Self {
        let bytes = definition.def.iter().map(|bytes| (digest(bytes), bytes.as_slice())).collect();
        let infos = definition.source.iter().flat_map(|source| &source.infos);
        let file = |info: &pb::SourceInfo| {
            let (name, language) = (info.filename.clone(), info.language.clone());
            Arc::new(SourceFile { name, language, data: info.data.clone() })
        };
        let files = infos.map(file).collect();
        Self { definition, bytes, files, graph: Graph::default(), done: HashMap::new(), desk }
    }

    /// Adds an operation after all that it needs. Without recursion: a chain may be as long as the list.
    fn vertex(&mut self, wanted: &str) -> Result<Output, Error> {
        let mut open = vec![wanted.to_owned()];
        while let Some(current) = open.last().cloned() {
            if self.done.contains_key(&current) {
                open.pop();
                continue;
            }
            let Some(bytes) = self.bytes.get(&current) else {
                return Err(Error::Invalid(format!("invalid missing input digest {current}")));
            };
            let op = operation(bytes)?;
            let missing = op.inputs.iter().filter(|input| !self.done.contains_key(&input.digest));
            let missing: Vec<String> = missing.map(|input| input.digest.clone()).collect();
            if missing.is_empty() {
                let first = match self.desk.borrow(&op) {
                    Some(result) => self.graft(&result?)?,
                    None => self.add(&current, op)?.output(),
                };
                self.done.insert(current, first);
                open.pop();
            } else if open.len() > MAX_OPEN {
                return Err(Error::Invalid("the definition leads in a circle".into()));
            } else {
                open.extend(missing);
            }
        }
        Ok(self.done[wanted])
    }

    fn add(&mut self, digest: &str, op: pb::Op) -> Result<VertexId, Error> {
        let inputs = op.inputs.iter().map(|input| output(self.done[&input.digest], input.index));
        let inputs: Vec<Output> = inputs.collect::<Result<_, Error>>()?;
        if op.constraints.as_ref().is_some_and(|constraints| !constraints.filter.is_empty()) {
            return Err(Error::Unsupported { what: "a constraint on the worker".into() });
        }
        let metadata = self.definition.metadata.get(digest);
        for needed in
            metadata.into_iter().flat_map(|metadata| metadata.caps.iter()).filter(|(_, needed)| **needed)
        {
            capabilities::check(needed.0)?;
        }
        let platform = op.platform.map(platform);
        let Some(kind) = op.op else {
            return Err(Error::Invalid(format!("operation {digest} does nothing that is known here")));
        };
        let (made, name) = make(kind, inputs.len())?;
        let shown = self.shown(digest, metadata, name)?;
        self.graph.add(made, inputs, platform, shown)
    }

    /// Takes over what another build's result is made by.
    fn graft(&mut self, result: &lent::Result) -> Result<Output, Error> {
        let graph = &result.made.graph;
        let mut taken: Vec<VertexId> = Vec::with_capacity(graph.len());
        for (_, vertex) in graph.iter() {
            let moved = |input: &Output| Output { vertex: taken[input.vertex.index()], index: input.index };
            let inputs = vertex.inputs.iter().map(moved).collect();
            let (op, shown) = (result.operation(&vertex.op), result.shown(&vertex.shown));
            taken.push(self.graph.add(op, inputs, vertex.platform.clone(), shown)?);
        }
        let wanted = result.made.output.ok_or_else(|| Error::Invalid("the result is nothing".into()))?;
        Ok(Output { vertex: taken[wanted.vertex.index()], index: wanted.index })
    }

    fn shown(&self, digest: &str, metadata: Option<&pb::OpMetadata>, name: String) -> Result<Shown, Error> {
        let mut shown = Shown { name, positions: self.positions(digest)?, ..Shown::default() };
        let Some(metadata) = metadata else { return Ok(shown) };
        shown.ignore_cache = metadata.ignore_cache;
        shown.description = metadata.description.clone().into_iter().collect::<BTreeMap<_, _>>();
        if let Some(name) = metadata.description.get("llb.customname") {
            shown.name.clone_from(name);
        }
        shown.group = metadata.progress_group.as_ref().map(|group| Group {
            id: group.id.clone(),
            name: group.name.clone(),
            weak: group.weak,
        });
        Ok(shown)
    }

    fn positions(&self, digest: &str) -> Result<Vec<Position>, Error> {
        let found = self.definition.source.as_ref().and_then(|source| source.locations.get(digest));
        let position = |location: &pb::Location| {
            let file = usize::try_from(location.source_index).ok().and_then(|at| self.files.get(at));
            let file = file.ok_or_else(|| Error::Invalid("an operation was written in no file".into()))?;
            Ok(Position { file: file.clone(), ranges: location.ranges.iter().map(range).collect() })
        };
        found.into_iter().flat_map(|locations| &locations.locations).map(position).collect()
    }
}

/// One operation, and what it is called where nobody says.
fn make(op: pb::op::Op, inputs: usize) -> Result<(Op, String), Error> {
    let unsupported = |what: &str| Error::Unsupported { what: what.to_owned() };
    match op {
        pb::op::Op::Source(source) => source::decode(&source),
        pb::op::Op::Exec(exec) => exec::decode(exec),
        pb::op::Op::File(file) => file::decode(file, inputs),
        pb::op::Op::Merge(merge) => {
            let inputs = merge.inputs.iter().map(|input| input_at(input.input));
            Ok((Op::Merge(inputs.collect::<Result<_, _>>()?), "merge".into()))
        }
        pb::op::Op::Diff(diff) => {
            let lower = diff.lower.map_or(Ok(None), |lower| optional_input(lower.input))?;
            let upper = diff.upper.map_or(Ok(None), |upper| optional_input(upper.input))?;
            Ok((Op::Diff { lower, upper }, "diff".into()))
        }
        pb::op::Op::Build(_) => Err(unsupported("a build within a build")),
    }
}

fn operation(bytes: &[u8]) -> Result<pb::Op, Error> {
    pb::Op::decode(bytes).map_err(|e| Error::Invalid(format!("cannot decode an operation: {e}")))
}

fn digest(bytes: &[u8]) -> String {
    Digest::sha256(bytes).to_string()
}

/// The number of an output.
fn index(number: i64) -> Result<u32, Error> {
    u32::try_from(number).map_err(|_| Error::Invalid(format!("an operation has no output {number}")))
}

/// The output of this number, of an operation with this first one.
fn output(first: Output, number: i64) -> Result<Output, Error> {
    Ok(Output { index: first.index.saturating_add(index(number)?), ..first })
}

/// An input that has to be.
fn input_at(number: i64) -> Result<Input, Error> {
    let number = u32::try_from(number);
    number.map(Input).map_err(|_| Error::Invalid("an operation names an input that can't be".into()))
}

/// An input, or -1 for none.
fn optional_input(number: i64) -> Result<Option<Input>, Error> {
    if number == -1 { Ok(None) } else { input_at(number).map(Some) }
}

/// A platform as images have it.
pub(super) fn platform(platform: pb::Platform) -> Platform {
    let given = |text: String| (!text.is_empty()).then_some(text);
    Platform {
        architecture: platform.architecture,
        os: platform.os,
        os_version: given(platform.os_version),
        os_features: platform.os_features,
        variant: given(platform.variant),
    }
}

/// A range of a file, as BuildKit counts.
pub(super) fn range(range: &pb::Range) -> Range {
    let place = |at: Option<&pb::Position>| {
        let number = |number: i32| u32::try_from(number).unwrap_or(0);
        at.map_or((0, 0), |at| (number(at.line), number(at.character)))
    };
    Range { start: place(range.start.as_ref()), end: place(range.end.as_ref()) }
}
