//! Who does a build's steps.
//!
//! Every step has a key: what is done, and the identity of all it works on. An image's is its layers, a directory's what is
//! in it, a step's result its layers again; so a key says what a step would make whatever led there. A step that changes
//! files is also known by the changes themselves: where a directory differs in what isn't copied, the copy is found by
//! what it copies.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use build::Error;
use build::graph::{Bind, Exec, File, Input, Mount, MountKind, Op, Vertex};
use build::solver::{Looked, Step, Worker};
use oci::{Algorithm, Digest, Hasher};

use super::Parts;
use super::error::{blocking, engine, work};
use super::exec::{Chamber, Running, cache_mounts, on_top};
use super::explain::{Account, Ingredients};
use super::files::{Last, Performed, Planned, Root, perform, resolve};
use super::remote::Remote;
use super::sources::Sources;
use super::tree::{Layers, Tree};

type Boxed<T> = std::pin::Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// One build's worker. Clones share everything.
#[derive(Clone)]
pub(super) struct Works(Arc<Shared>);

struct Shared {
    parts: Arc<Parts>,
    running: Running,
    sources: Sources,
    /// What was planned for steps that are about to run.
    planned: Mutex<HashMap<Digest, Performed>>,
    /// Trees that are mounted to be read, by their ids.
    roots: Mutex<HashMap<Digest, Arc<Root>>>,
    /// What others have of the cache, and what they are to get.
    remote: Arc<Remote>,
    /// What is built, and why.
    explain: Arc<Account>,
}

impl Works {
    pub(super) fn new(
        parts: Arc<Parts>,
        running: Running,
        sources: Sources,
        remote: Arc<Remote>,
        explain: Arc<Account>,
    ) -> Self {
        let (planned, roots) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Shared { parts, running, sources, planned, roots, remote, explain }))
    }

    pub(super) fn sources(&self) -> &Sources {
        &self.0.sources
    }

    /// A tree, to be read. Blocking.
    pub(super) fn root(&self, tree: &Tree) -> Result<Arc<Root>, Error> {
        let id = match tree {
            Tree::Folder(folder) => return Ok(Arc::new(Root::Folder(folder.clone()))),
            Tree::Layers(_) => tree.id(),
        };
        let known = || self.0.roots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(root) = known().get(&id) {
            return Ok(root.clone());
        }
        let mounted = self.0.parts.shared.images.layer_store().mount_over(&tree.diff_ids(), None, None);
        let root = Arc::new(Root::Mounted(mounted.map_err(|e| work("mount layers", e))?));
        Ok(known().entry(id).or_insert(root).clone())
    }

    /// A container over these trees, for a frontend.
    pub(super) async fn chamber(&self, like: Exec, trees: Vec<Tree>) -> Result<Chamber, Error> {
        let trees = self.layered_roots(&like, trees).await?;
        self.0.running.clone().chamber(like, trees).await
    }

    async fn look_for(self, step: Step<Tree>) -> Result<Looked<Tree>, Error> {
        let vertex = step.vertex.clone();
        match &vertex.op {
            Op::Source(source) => {
                let sources = self.0.sources.lent_by(&vertex.shown.lenders);
                let looked = sources.look(&self, source, &vertex).await?;
                if let Looked::Hit(trees) = &looked {
                    self.0.explain.given(&vertex, trees);
                }
                Ok(looked)
            }
            Op::Exec(exec) => {
                self.0.remote.had(cache_mounts(exec));
                // What may not be done may not be had from the cache either.
                let devices = self.0.running.check(exec)?;
                let key = self.exec_key(exec, &devices, &vertex, &step.inputs)?;
                match self.found(&vertex, &key)? {
                    Some(found) => Ok(Looked::Hit(found)),
                    None => self.brought(&vertex, key).await,
                }
            }
            Op::File(file) => {
                let (works, file, asked) = (self.clone(), file.clone(), vertex.clone());
                match blocking(move || works.look_for_files(&file, &asked, &step.inputs)).await? {
                    Looked::Miss(key) => self.brought(&vertex, key).await,
                    hit => Ok(hit),
                }
            }
            Op::Merge(inputs) => {
                let inputs: Vec<Tree> =
                    inputs.iter().map(|at| input(&step.inputs, *at)).collect::<Result<_, _>>()?;
                let works = self.clone();
                blocking(move || Ok(Looked::Hit(vec![works.merge(&inputs)?]))).await
            }
            Op::Diff { lower, upper } => {
                let tree =
                    |at: &Option<Input>| at.map_or_else(|| Ok(Tree::scratch()), |at| input(&step.inputs, at));
                Ok(Looked::Hit(vec![self.diff(&tree(lower)?, &tree(upper)?)?]))
            }
        }
    }

    /// What the cache has, where it may answer.
    fn found(&self, vertex: &Vertex, key: &Digest) -> Result<Option<Vec<Tree>>, Error> {
        if vertex.shown.ignore_cache {
            return Ok(None);
        }
        let found =
            self.0.parts.cache.find_by_any(key).map_err(|e| engine("look into the build cache", e))?;
        Ok(found.map(|(own, trees)| {
            self.0.remote.note(&own, &trees);
            self.0.explain.made(vertex, &own, &trees);
            trees
        }))
    }

    /// What somebody else has, where the cache may answer.
    async fn brought(&self, vertex: &Vertex, key: Digest) -> Result<Looked<Tree>, Error> {
        if vertex.shown.ignore_cache {
            return Ok(Looked::Miss(key));
        }
        let Some(trees) = self.0.remote.find(&self.0.parts, &key).await else { return Ok(Looked::Miss(key)) };
        self.0.planned.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        self.remember(&key, &vertex.shown.name)(&trees)?;
        self.0.explain.made(vertex, &key, &trees);
        Ok(Looked::Hit(trees))
    }

    async fn run_step(self, step: Step<Tree>, key: Digest) -> Result<Vec<Tree>, Error> {
        if let Some(found) = self.found(&step.vertex, &key)? {
            return Ok(found);
        }
        let name = step.vertex.shown.name.clone();
        let made = match &step.vertex.op {
            Op::Exec(exec) => {
                let digest = step.vertex.digest().clone();
                let inputs = self.layered_roots(exec, step.inputs.clone()).await?;
                let running = self.0.running.lent_by(&step.vertex.shown.lenders);
                let remember = self.remember(&key, &name);
                let made_of = self.ingredients(exec, &step, &key).await?;
                let made = running.run((**exec).clone(), inputs, digest, name, remember).await?;
                self.0.parts.cache.put_made_of(&key, &made_of);
                made
            }
            Op::File(_) => {
                let (works, step, key, name) = (self.clone(), step.clone(), key.clone(), name.clone());
                blocking(move || works.write_files(&step, &key, &name)).await?
            }
            Op::Source(source) => {
                let remember = self.remember(&key, &name);
                let sources = self.0.sources.lent_by(&step.vertex.shown.lenders);
                sources.run(&self, source, &name, remember).await?
            }
            Op::Merge(_) | Op::Diff { .. } => {
                return Err(Error::Invalid("a step that makes nothing was run".into()));
            }
        };
        self.0.explain.made(&step.vertex, &key, &made);
        Ok(made)
    }

    /// Writes down what a step made.
    fn remember(&self, key: &Digest, name: &str) -> impl FnOnce(&[Tree]) -> Result<(), Error> + Send + use<> {
        let (parts, key, name) = (self.0.parts.clone(), key.clone(), name.to_owned());
        let remote = self.0.remote.clone();
        move |made| {
            remote.note(&key, made);
            let tops = made.iter().filter_map(|tree| tree.list().last());
            parts.grow(tops.map(|layer| layer.size).sum());
            parts.cache.put(&key, &name, made).map_err(|e| engine("remember what a step made", e))
        }
    }

    // ── programs ──

    /// What a program's step is made of, told to who wants to know why it runs.
    async fn ingredients(&self, exec: &Exec, step: &Step<Tree>, key: &Digest) -> Result<Ingredients, Error> {
        let (works, exec, step, key) = (self.clone(), exec.clone(), step.clone(), key.clone());
        blocking(move || {
            let made_of = Ingredients::of_exec(&exec, &step.vertex, &step.inputs);
            works.0.explain.runs(&step.vertex, &key, &made_of);
            Ok(made_of)
        })
        .await
    }

    fn exec_key(
        &self,
        exec: &Exec,
        devices: &[String],
        vertex: &Vertex,
        inputs: &[Tree],
    ) -> Result<Digest, Error> {
        let said = serde_json::to_vec(&(exec, &vertex.platform)).map_err(|e| work("write down a step", e))?;
        let mut key = Hasher::new(Algorithm::Sha256);
        key.update(b"exec 1\0");
        key.update(Digest::sha256(&said).as_str().as_bytes());
        // One that may be absent makes another result when it is there.
        devices.iter().for_each(|device| key.update(format!("device {device}\0").as_bytes()));
        for mount in &exec.mounts {
            let identity = match &mount.kind {
                MountKind::Bind(Bind { from: Some(from), selector }) => {
                    self.identity(&input(inputs, *from)?, mount, selector)?
                }
                MountKind::Cache(cache) => match cache.from {
                    Some(from) => input(inputs, from)?.id().to_string(),
                    None => String::new(),
                },
                _ => String::new(),
            };
            key.update(identity.as_bytes());
            key.update(b"\0");
        }
        Ok(key.finish())
    }

    /// What becomes an output is made of layers.
    async fn layered_roots(&self, exec: &Exec, mut inputs: Vec<Tree>) -> Result<Vec<Tree>, Error> {
        for mount in exec.mounts.iter().filter(|mount| mount.output.is_some()) {
            if let MountKind::Bind(Bind { from: Some(from), .. }) = &mount.kind
                && let Some(tree) = inputs.get_mut(from.0 as usize)
            {
                *tree = self.layered(tree).await?;
            }
        }
        Ok(inputs)
    }

    /// A tree of layers: a client's directory becomes one.
    pub(super) async fn layered(&self, tree: &Tree) -> Result<Tree, Error> {
        match tree {
            Tree::Layers(_) => Ok(tree.clone()),
            Tree::Folder(_) => {
                let (works, tree) = (self.clone(), tree.clone());
                blocking(move || works.copied(&tree)).await
            }
        }
    }

    /// Of a client's directory only what is mounted counts.
    fn identity(&self, tree: &Tree, mount: &Mount, selector: &str) -> Result<String, Error> {
        match tree {
            Tree::Folder(folder) if mount.output.is_none() => {
                let root = Root::Folder(folder.clone());
                let path = resolve(&root, selector.as_bytes(), Last::Followed)?;
                Ok(folder.id_below(&path).to_string())
            }
            _ => Ok(tree.id().to_string()),
        }
    }

    // ── files ──

    fn look_for_files(&self, file: &File, vertex: &Vertex, inputs: &[Tree]) -> Result<Looked<Tree>, Error> {
        let fast = self.files_key(file, inputs)?;
        if let Some(found) = self.found(vertex, &fast)? {
            return Ok(Looked::Hit(found));
        }
        let performed = perform(file, inputs, self).map_err(|error| missing(error, vertex))?;
        let key = describe(&performed, file)?;
        if let Some(found) = self.found(vertex, &key)? {
            self.0.parts.cache.alias(&fast, &key).map_err(|e| engine("remember a key", e))?;
            return Ok(Looked::Hit(found));
        }
        self.0.planned.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), performed);
        Ok(Looked::Miss(key))
    }

    fn files_key(&self, file: &File, inputs: &[Tree]) -> Result<Digest, Error> {
        let said = serde_json::to_vec(file).map_err(|e| work("write down a step", e))?;
        let mut key = Hasher::new(Algorithm::Sha256);
        key.update(b"files 1\0");
        key.update(Digest::sha256(&said).as_str().as_bytes());
        for tree in inputs {
            key.update(tree.id().as_str().as_bytes());
        }
        Ok(key.finish())
    }

    fn write_files(&self, step: &Step<Tree>, key: &Digest, name: &str) -> Result<Vec<Tree>, Error> {
        let Op::File(file) = &step.vertex.op else {
            return Err(Error::Invalid("a step that changes no files was asked to".into()));
        };
        let planned = self.0.planned.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        let performed = match planned {
            Some(performed) => performed,
            None => perform(file, &step.inputs, self)?,
        };
        let made_of = Ingredients::of_files(file, &performed, &step.inputs);
        self.0.explain.runs(&step.vertex, key, &made_of);
        let mut made = Vec::new();
        for planned in performed.outputs {
            made.push(self.write(planned, name)?);
        }
        self.remember(key, name)(&made)?;
        self.0.parts.cache.put_made_of(key, &made_of);
        let fast = self.files_key(file, &step.inputs)?;
        self.0.parts.cache.alias(&fast, key).map_err(|e| engine("remember a key", e))?;
        Ok(made)
    }

    /// Changes to a tree as a layer on it.
    pub(super) fn write(&self, planned: Planned, name: &str) -> Result<Tree, Error> {
        let Planned { base, draft } = planned;
        let tar = layers::Written::by(move |out| draft.write(out));
        let tar = tar.map_err(|e| work("make a pipe for a layer", e))?;
        on_top(&self.0.parts.shared, &base, tar, name)
    }

    fn merge(&self, inputs: &[Tree]) -> Result<Tree, Error> {
        let mut all = Layers::default();
        for tree in inputs {
            let tree = match tree {
                Tree::Layers(_) => tree.clone(),
                Tree::Folder(_) => self.copied(tree)?,
            };
            all.list.extend(tree.list().iter().cloned());
        }
        let kept = self.0.parts.cache.hold(&[all.list]).and_then(|mut trees| trees.pop());
        kept.ok_or_else(|| work("merge", "a layer was removed meanwhile"))
    }

    /// A client's directory as a layer.
    fn copied(&self, tree: &Tree) -> Result<Tree, Error> {
        let copy = build::graph::Copy {
            contents_only: true,
            ..build::graph::Copy::new(build::graph::Place::Input(Input(0)), "/", "/")
        };
        let action = build::graph::Action {
            base: build::graph::Place::Scratch,
            change: build::graph::Change::Copy(Box::new(copy)),
            output: Some(0),
        };
        let performed = perform(&File { actions: vec![action] }, std::slice::from_ref(tree), self)?;
        let first = performed.outputs.into_iter().next();
        self.write(first.ok_or_else(|| work("copy a directory", "nothing came of it"))?, "")
    }

    fn diff(&self, lower: &Tree, upper: &Tree) -> Result<Tree, Error> {
        let (below, all) = (lower.list(), upper.list());
        let same = |(a, b): (&super::tree::Layer, &super::tree::Layer)| a.diff_id == b.diff_id;
        if below.len() > all.len() || !below.iter().zip(all).all(same) {
            let what = "the difference of trees that aren't made from one another".to_owned();
            return Err(Error::Unsupported { what });
        }
        let rest = all[below.len()..].to_vec();
        let kept = self.0.parts.cache.hold(&[rest]).and_then(|mut trees| trees.pop());
        kept.ok_or_else(|| work("compare", "a layer was removed meanwhile"))
    }
}

impl Worker for Works {
    type Value = Tree;

    fn look(&self, step: Step<Tree>) -> Boxed<Looked<Tree>> {
        Box::pin(self.clone().look_for(step))
    }

    fn run(&self, step: Step<Tree>, key: Digest) -> Boxed<Vec<Tree>> {
        Box::pin(self.clone().run_step(step, key))
    }
}

impl super::files::Help for Works {
    fn root(&self, tree: &Tree) -> Result<Arc<Root>, Error> {
        Works::root(self, tree)
    }

    fn unpack(&self, root: &Root, path: &[Vec<u8>]) -> Result<Option<Arc<Root>>, Error> {
        super::archives::unpack(&self.0.parts, root, path)
    }
}

/// What isn't there is told as BuildKit tells it, who looks for it while it makes a key.
fn missing(error: Error, vertex: &Vertex) -> Error {
    let reference = vertex.inputs.len();
    match error {
        Error::NotFound(why) if why.starts_with('"') => Error::NotFound(format!(
            "failed to compute cache key: failed to calculate checksum of ref {}::{reference}: {why}",
            vertex.digest().short()
        )),
        other => other,
    }
}

fn input(inputs: &[Tree], at: Input) -> Result<Tree, Error> {
    let tree = inputs.get(at.0 as usize);
    tree.cloned().ok_or_else(|| Error::Invalid("a step names an input that isn't there".into()))
}

/// What the changes are, on what. Times that were asked for are changes, too.
fn describe(performed: &Performed, file: &File) -> Result<Digest, Error> {
    let mut key = Hasher::new(Algorithm::Sha256);
    key.update(b"changes 1\0");
    let times: Vec<_> = file.actions.iter().map(|action| action.change.time()).collect();
    key.update(format!("{times:?}\0").as_bytes());
    for planned in &performed.outputs {
        key.update(planned.base.id().as_str().as_bytes());
        planned.draft.describe(&mut key)?;
        key.update(b"\0end\0");
    }
    Ok(key.finish())
}
