//! The graph of operations.
//!
//! A vertex can only be added after the vertices whose outputs it takes, so a graph has no cycles. A vertex is known by
//! the digest of its definition: what is done, on what platform, to which inputs. Equal definitions are one vertex.
//! What is shown to people, and whether the cache may answer, is no part of the definition ([`Shown`]).
//!
//! Nothing (`scratch`) is no vertex: where an operation may work on nothing, its input is an `Option`.
//!
//! BuildKit's LLB lowers to this one to one: `pb.Op.inputs` are [`Vertex::inputs`], an index into them is an
//! [`Input`], -1 is `None`.

mod exec;
mod file;
mod source;

use std::collections::{BTreeMap, HashMap};

use oci::Digest;
use oci::image::Platform;
use serde::Serialize;

pub use exec::{
    Bind, CacheMount, Device, Exec, ExtraHost, Mount, MountKind, Network, Proxy, SecretEnv, SecretFile,
    Security, Sharing, SshMount, Ulimit,
};
pub use file::{Action, Change, Copy, File, Id, Mkdir, Mkfile, Mode, Owner, Place, Remove, Symlink};
pub use source::{Git, Http, Image, LENT, Local, OciLayout, Pull, Source};

use crate::Error;

/// No graph has more vertices.
pub const MAX_VERTICES: usize = 50_000;
/// No vertex has more inputs.
pub const MAX_INPUTS: usize = 1024;

/// A vertex of one graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VertexId(u32);

/// One of the things that a vertex makes. Most make one, number 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Output {
    pub vertex: VertexId,
    pub index: u32,
}

impl VertexId {
    /// The first output.
    pub fn output(self) -> Output {
        Output { vertex: self, index: 0 }
    }

    /// The place in the order of adding, from 0.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// An index into a vertex' inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Input(pub u32);

/// What is done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Op {
    Source(Source),
    Exec(Box<Exec>),
    File(File),
    /// All inputs' changes on top of one another, lowest first.
    Merge(Vec<Input>),
    /// What has to be done to `lower` to get `upper`, as a layer on nothing.
    Diff {
        lower: Option<Input>,
        upper: Option<Input>,
    },
}

impl Op {
    /// How many outputs a vertex with this operation has.
    pub fn outputs(&self) -> u32 {
        match self {
            Self::Source(_) | Self::Merge(_) | Self::Diff { .. } => 1,
            Self::Exec(exec) => exec.outputs(),
            Self::File(file) => file.outputs(),
        }
    }

    /// The inputs that it names.
    fn named(&self) -> Vec<Input> {
        match self {
            Self::Source(_) => Vec::new(),
            Self::Exec(exec) => exec.inputs().collect(),
            Self::File(file) => file.inputs(),
            Self::Merge(inputs) => inputs.clone(),
            Self::Diff { lower, upper } => lower.iter().chain(upper).copied().collect(),
        }
    }
}

/// What a vertex says to people, how much of it is done anew, and who is asked for what it needs. No part of its definition.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shown {
    /// `[stage 2/5] RUN make`.
    pub name: String,
    pub group: Option<Group>,
    /// Where it was written, outermost first.
    pub positions: Vec<Position>,
    /// The cache may not answer (`--no-cache`); what is made is remembered.
    pub ignore_cache: bool,
    /// LLB's free descriptions (`llb.customname`, `com.docker.dockerfile.v1.command`).
    pub description: BTreeMap<String, String>,
    /// The sessions of other builds that lent it, the one whose step it is first. What it needs of a client (secrets,
    /// agents, credentials) they have, whichever build comes to it first.
    pub lenders: Vec<String>,
    /// The build whose step it is, if another's: what that one wants done anew is done once for it and all whom it is lent to.
    pub origin: String,
}

impl Shown {
    /// These lent it, too.
    pub fn lent_by(&mut self, sessions: &[String]) {
        for session in sessions {
            if !self.lenders.contains(session) {
                self.lenders.push(session.clone());
            }
        }
    }
}

/// Vertices that are shown as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub id: String,
    pub name: String,
    /// Its vertices are shown one by one where another build shows them so.
    pub weak: bool,
}

/// A place in a source file that a person wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    pub file: std::sync::Arc<SourceFile>,
    pub ranges: Vec<Range>,
}

/// From one character to another, lines from 1 and characters from 0, as BuildKit counts; the end's character is not
/// part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub start: (u32, u32),
    pub end: (u32, u32),
}

/// A Dockerfile.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    pub name: String,
    pub language: String,
    pub data: Vec<u8>,
}

/// An operation with what it works on.
#[derive(Debug, Clone, PartialEq)]
pub struct Vertex {
    pub op: Op,
    pub inputs: Vec<Output>,
    /// What it is done for or on; `None` where it doesn't matter or is the host's.
    pub platform: Option<Platform>,
    pub shown: Shown,
    digest: Digest,
}

impl Vertex {
    /// The digest of its definition.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }
}

/// Vertices in an order in which all could be done.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    vertices: Vec<Vertex>,
    known: HashMap<Digest, VertexId>,
}

impl Graph {
    /// Adds a vertex, or finds the one with the same definition, whose [`Shown`] stays (but a cache that one of them
    /// may not use, the other may not either, and what was lent to one was lent to both). Refuses inputs that aren't in the graph or aren't made, and an operation
    /// that names inputs which the vertex doesn't have.
    pub fn add(
        &mut self,
        op: Op,
        inputs: Vec<Output>,
        platform: Option<Platform>,
        shown: Shown,
    ) -> Result<VertexId, Error> {
        self.check(&op, &inputs)?;
        let digest = self.define(&op, &inputs, platform.as_ref())?;
        if let Some(&known) = self.known.get(&digest) {
            let known_shown = &mut self.vertices[known.index()].shown;
            known_shown.ignore_cache |= shown.ignore_cache;
            known_shown.lent_by(&shown.lenders);
            return Ok(known);
        }
        let id = VertexId(self.vertices.len() as u32);
        self.known.insert(digest.clone(), id);
        self.vertices.push(Vertex { op, inputs, platform, shown, digest });
        Ok(id)
    }

    fn check(&self, op: &Op, inputs: &[Output]) -> Result<(), Error> {
        if self.vertices.len() >= MAX_VERTICES {
            return Err(Error::Invalid(format!("the build has more than {MAX_VERTICES} steps")));
        }
        if inputs.len() > MAX_INPUTS {
            return Err(Error::Invalid(format!("a step takes more than {MAX_INPUTS} inputs")));
        }
        for input in inputs {
            let made = self.vertices.get(input.vertex.index()).map_or(0, |vertex| vertex.op.outputs());
            if input.index >= made {
                return Err(Error::Invalid("a step takes what no step before it makes".into()));
            }
        }
        if op.named().iter().any(|input| input.0 as usize >= inputs.len()) {
            return Err(Error::Invalid("an operation names an input that its step doesn't take".into()));
        }
        match op {
            Op::Exec(exec) => exec.check(),
            Op::File(file) => file.check(),
            _ => Ok(()),
        }
    }

    fn define(&self, op: &Op, inputs: &[Output], platform: Option<&Platform>) -> Result<Digest, Error> {
        let inputs: Vec<_> =
            inputs.iter().map(|input| (self.get(input.vertex).digest(), input.index)).collect();
        let bytes = serde_json::to_vec(&(op, inputs, platform))
            .map_err(|e| Error::Invalid(format!("a step can't be written down: {e}")))?;
        Ok(Digest::sha256(&bytes))
    }

    /// A vertex of this graph.
    pub fn get(&self, id: VertexId) -> &Vertex {
        &self.vertices[id.index()]
    }

    /// What it shows can be changed after it was added.
    pub fn shown_mut(&mut self, id: VertexId) -> &mut Shown {
        &mut self.vertices[id.index()].shown
    }

    /// The vertex with this definition.
    pub fn find(&self, digest: &Digest) -> Option<VertexId> {
        self.known.get(digest).copied()
    }

    /// All vertices, each after those that it needs.
    pub fn iter(&self) -> impl Iterator<Item = (VertexId, &Vertex)> {
        self.vertices.iter().enumerate().map(|(at, vertex)| (VertexId(at as u32), vertex))
    }

    pub fn len(&self) -> usize {
        self.vertices.len()
    }

    pub fn is_empty(&self) -> bool {
        self.vertices.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(name: &str) -> Op {
        Op::Source(Source::Local(Local { name: name.into(), ..Local::default() }))
    }

    fn shown(name: &str, ignore_cache: bool) -> Shown {
        Shown { name: name.into(), ignore_cache, ..Shown::default() }
    }

    #[test]
    fn equal_definitions_are_one_vertex_whatever_they_are_called() {
        let mut graph = Graph::default();
        let first = graph.add(local("context"), vec![], None, shown("a", false)).unwrap();
        let again = graph.add(local("context"), vec![], None, shown("b", true)).unwrap();
        let other = graph.add(local("dockerfile"), vec![], None, shown("a", false)).unwrap();
        assert_eq!(first, again);
        assert_ne!(first, other);
        assert_eq!(graph.get(first).shown, shown("a", true));
    }

    #[test]
    fn who_lent_a_step_is_known_wherever_it_is_found_again() {
        let mut graph = Graph::default();
        let lent = |by: &[&str]| Shown {
            lenders: by.iter().map(|&session| session.to_owned()).collect(),
            ..Shown::default()
        };
        let first = graph.add(local("context"), vec![], None, lent(&[])).unwrap();
        graph.add(local("context"), vec![], None, lent(&["a", "b"])).unwrap();
        graph.add(local("context"), vec![], None, lent(&["c", "a"])).unwrap();
        assert_eq!(graph.get(first).shown.lenders, ["a", "b", "c"]);
    }

    #[test]
    fn what_no_step_makes_is_refused() {
        let mut graph = Graph::default();
        let source = graph.add(local("context"), vec![], None, Shown::default()).unwrap();
        let absent = Output { vertex: VertexId(7), index: 0 };
        let second = Output { vertex: source, index: 1 };
        for inputs in [vec![absent], vec![second], vec![]] {
            let merge = Op::Merge(vec![Input(0)]);
            assert!(graph.add(merge, inputs, None, Shown::default()).is_err());
        }
        assert!(graph.add(Op::Merge(vec![Input(0)]), vec![source.output()], None, Shown::default()).is_ok());
    }

    #[test]
    fn a_proxy_is_no_part_of_the_definition() {
        let exec = |http: &str| {
            let proxy = Proxy { http: http.into(), ..Proxy::default() };
            let mut exec = Exec::new(["true"]);
            exec.mounts.push(Mount::root(None));
            Op::Exec(Box::new(Exec { proxy, ..exec }))
        };
        let mut graph = Graph::default();
        let plain = graph.add(exec(""), vec![], None, Shown::default()).unwrap();
        let proxied = graph.add(exec("http://proxy"), vec![], None, Shown::default()).unwrap();
        assert_eq!(plain, proxied);
    }
}
