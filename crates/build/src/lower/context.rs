//! Where files come from besides images: the build's own context, and named ones.

use std::collections::BTreeSet;

use oci::image::{ImageConfig, Platform};

use super::git;
use super::problem::Problem;
use crate::frontend::Ref;
use crate::graph::{
    Action, Change, Copy, File, Git, Graph, Http, Input, Local, OciLayout, Op, Output, Place, Shown, Source,
};

/// The build's own context.
#[derive(Debug, Clone)]
pub struct Main {
    kind: Kind,
    /// Only this directory of it; the client's directories are scoped by the client.
    subdir: String,
}

#[derive(Debug, Clone)]
enum Kind {
    Local {
        name: String,
        session: String,
    },
    Git {
        source: Box<Git>,
        shown: String,
    },
    /// A file, which is the only one of the context, or an archive of it.
    Http {
        url: String,
        archive: bool,
    },
    Input(Ref),
}

/// The name of the only file of a context that is one file.
pub(super) const ONLY_FILE: &str = "context";

impl Main {
    /// A directory of the client's.
    pub fn local(name: impl Into<String>) -> Self {
        Self::of(Kind::Local { name: name.into(), session: String::new() })
    }

    fn of(kind: Kind) -> Self {
        Self { kind, subdir: String::new() }
    }

    pub(super) fn git(source: Git, shown: String) -> Self {
        Self::of(Kind::Git { source: Box::new(source), shown })
    }

    pub(super) fn http(url: String, archive: bool) -> Self {
        Self::of(Kind::Http { url, archive })
    }

    pub(super) fn input(input: Ref) -> Self {
        Self::of(Kind::Input(input))
    }

    pub(super) fn in_session(mut self, id: &str) -> Self {
        if let Kind::Local { session, .. } = &mut self.kind {
            id.clone_into(session);
        }
        self
    }

    pub(super) fn below(self, subdir: &str) -> Self {
        Self { subdir: subdir.to_owned(), ..self }
    }

    /// Whether it's the client's, so that only what is used is sent.
    pub(super) fn is_local(&self) -> bool {
        matches!(self.kind, Kind::Local { .. })
    }

    /// The vertex that brings it. `follow` are the paths that are used; none are all.
    pub(super) fn add(
        &self,
        graph: &mut Graph,
        ignore: &[String],
        follow: Vec<String>,
    ) -> Result<Option<Output>, Problem> {
        let internal = |name: &str| Shown { name: format!("[internal] {name}"), ..Shown::default() };
        let output = match &self.kind {
            Kind::Local { name, session } => {
                let local = Local {
                    name: name.clone(),
                    exclude: ignore.to_vec(),
                    follow,
                    shared_key: name.clone(),
                    session: session.clone(),
                    include: Vec::new(),
                };
                let op = Op::Source(Source::Local(local));
                return Ok(Some(graph.add(op, Vec::new(), None, internal("load build context"))?.output()));
            }
            Kind::Git { source, shown } => {
                let op = Op::Source(Source::Git((**source).clone()));
                Some(graph.add(op, Vec::new(), None, internal(&format!("load git source {shown}")))?.output())
            }
            Kind::Http { url, archive } => {
                Some(download(graph, url, *archive, internal("load remote build context"))?)
            }
            Kind::Input(input) => graft(graph, input)?,
        };
        match output {
            Some(output) if !self.subdir.is_empty() => Ok(Some(scoped(graph, output, &self.subdir)?)),
            output => Ok(output),
        }
    }
}

fn download(graph: &mut Graph, url: &str, archive: bool, shown: Shown) -> Result<Output, Problem> {
    let http = Http { url: url.to_owned(), filename: Some(ONLY_FILE.to_owned()), ..Http::default() };
    let file = graph.add(Op::Source(Source::Http(http)), Vec::new(), None, shown)?.output();
    if !archive {
        return Ok(file);
    }
    let mut copy = Copy::new(Place::Input(Input(0)), format!("/{ONLY_FILE}"), "/");
    copy.unpack = true;
    copied(graph, copy, file)
}

fn scoped(graph: &mut Graph, output: Output, subdir: &str) -> Result<Output, Problem> {
    let source = dockerfile::ignore::clean(&format!("/{subdir}"));
    let mut copy = Copy::new(Place::Input(Input(0)), source, "/");
    copy.contents_only = true;
    copied(graph, copy, output)
}

fn copied(graph: &mut Graph, copy: Copy, from: Output) -> Result<Output, Problem> {
    let change = Change::Copy(Box::new(copy));
    let action = Action { base: Place::Scratch, change, output: Some(0) };
    let op = Op::File(File { actions: vec![action] });
    Ok(graph.add(op, vec![from], None, Shown::default())?.output())
}

/// Takes what another graph makes into this one.
pub(super) fn graft(graph: &mut Graph, wanted: &Ref) -> Result<Option<Output>, Problem> {
    let Some(output) = wanted.output else { return Ok(None) };
    let mut taken = Vec::new();
    for (_, vertex) in wanted.graph.iter() {
        let moved = |input: &Output| {
            let vertex = taken.get(input.vertex.index()).copied();
            let vertex: crate::graph::VertexId =
                vertex.ok_or_else(|| Problem::new("an input's steps are out of order"))?;
            Ok(Output { vertex, index: input.index })
        };
        let inputs = vertex.inputs.iter().map(moved).collect::<Result<Vec<_>, Problem>>()?;
        taken.push(graph.add(vertex.op.clone(), inputs, vertex.platform.clone(), vertex.shown.clone())?);
    }
    let vertex = taken.get(output.vertex.index()).copied();
    Ok(vertex.map(|vertex| Output { vertex, index: output.index }))
}

/// A named context.
#[derive(Debug, Clone)]
pub enum Context {
    /// `docker-image://`; an image of the client's with its `oci-layout://`.
    Image(String),
    Local {
        name: String,
        session: String,
    },
    Git(Box<Git>, String),
    Http(String),
    /// What another build made, with the image's configuration if it has one.
    Input(Ref, Option<Box<ImageConfig>>),
}

impl Context {
    /// What a `context:` attribute says. `inputs` are the results of other builds.
    pub(super) fn parse(
        key: &str,
        value: &str,
        input: impl Fn(&str) -> Option<(Ref, Option<ImageConfig>)>,
    ) -> Result<Self, Problem> {
        let Some((scheme, rest)) = value.split_once(':') else {
            return Err(Problem::new(format!("invalid context specifier {value} for {key}")));
        };
        let repository = || git::parse(value, false);
        let git = |address: git::Address| {
            let keep_git_dir = address.keep_git_dir == Some(true);
            Self::Git(Box::new(Git { keep_git_dir, ..address.source }), value.to_owned())
        };
        match scheme {
            "docker-image" => Ok(Self::Image(rest.trim_start_matches("//").to_owned())),
            "oci-layout" => match OciLayout::at(value).filter(|layout| !layout.digest().is_empty()) {
                Some(_) => Ok(Self::Image(value.to_owned())),
                None => {
                    let reference = rest.trim_start_matches("//");
                    Err(Problem::new(format!("oci-layout reference {reference:?} has no digest")))
                }
            },
            "local" => Ok(Self::Local { name: rest.to_owned(), session: String::new() }),
            "http" | "https" => Ok(repository()?.map_or_else(|| Self::Http(value.to_owned()), git)),
            "input" => match input(rest) {
                Some((found, config)) => Ok(Self::Input(found, config.map(Box::new))),
                None => Err(Problem::new(format!("invalid input {rest} for {key}"))),
            },
            _ => match repository()? {
                Some(address) => Ok(git(address)),
                None if scheme == "git" => Err(Problem::new(format!("invalid git context {value}"))),
                None => Err(Problem::new(format!("unsupported context source {scheme} for {key}"))),
            },
        }
    }

    /// The vertex that brings a context other than an image.
    pub(super) fn add(
        &self,
        graph: &mut Graph,
        key: &str,
        ignore: &[String],
        follow: Vec<String>,
        platform: &Platform,
    ) -> Result<Option<Output>, Problem> {
        let shown = |what: &str| Shown { name: format!("[context {key}] {what}"), ..Shown::default() };
        let (source, shown) = match self {
            Self::Local { name, session } => {
                let local = Local {
                    name: name.clone(),
                    exclude: ignore.to_vec(),
                    follow,
                    shared_key: format!("context:{key}"),
                    session: session.clone(),
                    include: Vec::new(),
                };
                (Source::Local(local), shown("load from client"))
            }
            Self::Git(source, from) => {
                let name = format!("[internal] load git source {from}");
                (Source::Git((**source).clone()), Shown { name, ..Shown::default() })
            }
            Self::Http(url) => {
                let http = Http { url: url.clone(), filename: Some(ONLY_FILE.to_owned()), ..Http::default() };
                (Source::Http(http), shown(url))
            }
            Self::Input(input, _) => return graft(graph, input),
            Self::Image(reference) if let Some(layout) = OciLayout::at(reference) => {
                let op = Op::Source(Source::OciLayout(layout.named(key)));
                let shown = shown("OCI load from client");
                return Ok(Some(graph.add(op, Vec::new(), Some(platform.clone()), shown)?.output()));
            }
            Self::Image(reference) => {
                let pull = crate::graph::Pull::Missing;
                let image = crate::graph::Image { reference: reference.clone(), pull };
                let op = Op::Source(Source::Image(image));
                return Ok(Some(
                    graph.add(op, Vec::new(), Some(platform.clone()), shown(reference))?.output(),
                ));
            }
        };
        Ok(Some(graph.add(Op::Source(source), Vec::new(), None, shown)?.output()))
    }
}

/// The paths that are used of a directory, as the session's `followpaths`: none if all of it is.
pub(super) fn follow(paths: Option<&BTreeSet<String>>) -> Vec<String> {
    let Some(paths) = paths.filter(|paths| !paths.contains("/")) else { return Vec::new() };
    paths.iter().map(|path| dockerfile::ignore::clean(path.trim_start_matches('/'))).collect()
}
