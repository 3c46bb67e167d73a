//! What a frontend may ask this engine.

use std::sync::Arc;
use std::time::SystemTime;

use build::container::{Container, Room};
use build::frontend::{Files, Gateway, Known, Ref, ResolvedImage};
use build::graph::{Pull, Source};
use build::patterns::Glob;
use build::progress::{Event, Progress, VertexState, Warning};
use build::session::{Entry, Kind};
use build::solver::Solver;
use build::{Error, Job};
use oci::Digest;
use oci::image::Platform;

use super::error::{blocking, work};
use super::files::{Last, Look, Root, Seen, SeenKind, resolve, shown};
use super::tree::Tree;
use super::worker::Works;
use crate::images::Wanted;

/// No file that is read is longer.
const MAX_FILE: u64 = 64 << 20;
/// No directory that is listed has more.
const MAX_ENTRIES: usize = 100_000;

/// One build's gateway.
pub(super) struct Bridge {
    pub(super) works: Works,
    pub(super) solver: Arc<Solver<Works>>,
    pub(super) session: String,
    pub(super) progress: Progress,
}

impl Gateway for Bridge {
    fn session(&self) -> &str {
        &self.session
    }

    fn platforms(&self) -> Vec<Platform> {
        vec![Wanted::host().platform().clone()]
    }

    fn image<'a>(
        &'a self,
        reference: &'a str,
        platform: Option<&'a Platform>,
        pull: Pull,
        name: &'a str,
    ) -> Job<'a, ResolvedImage> {
        Box::pin(async move {
            let mut shown = begun(&self.progress, name);
            let resolved = self.works.sources().resolve(reference, platform, pull).await;
            ended(&self.progress, &mut shown, resolved.as_ref().err());
            resolved
        })
    }

    fn known<'a>(&'a self, source: &'a Source, name: &'a str) -> Job<'a, (Source, Known)> {
        Box::pin(async move {
            let mut shown = begun(&self.progress, name);
            let known = self.works.sources().known(source).await;
            ended(&self.progress, &mut shown, known.as_ref().err());
            Ok((source.clone(), known?))
        })
    }

    fn solve<'a>(&'a self, wanted: &'a Ref) -> Job<'a, Arc<dyn Files>> {
        Box::pin(async move {
            let tree = self.solver.solve(wanted).await?.unwrap_or_else(Tree::scratch);
            let works = self.works.clone();
            let held = tree.clone();
            let root = blocking(move || works.root(&held)).await?;
            Ok(Arc::new(TreeFiles::new(root, tree)) as Arc<dyn Files>)
        })
    }

    fn warn(&self, warning: Warning) {
        self.progress.tell(Event::Warning(warning));
    }

    fn container<'a>(&'a self, room: Room) -> Job<'a, Arc<dyn Container>> {
        Box::pin(async move {
            let solving = room.inputs.iter().map(|wanted| async move {
                Ok::<_, Error>(self.solver.solve(wanted).await?.unwrap_or_else(Tree::scratch))
            });
            let trees = futures_util::future::try_join_all(solving).await?;
            let chamber = self.works.chamber(room.like, trees).await?;
            Ok(Arc::new(chamber) as Arc<dyn Container>)
        })
    }
}

/// A vertex that is no step of the graph begins.
pub(super) fn begun(progress: &Progress, name: &str) -> VertexState {
    let shown = VertexState {
        // No other build's is the same: a client that shows several at once would show them as one.
        digest: Digest::sha256(format!("{}\0{name}", crate::id::container_id()).as_bytes()),
        inputs: Vec::new(),
        name: name.to_owned(),
        group: None,
        started: Some(SystemTime::now()),
        completed: None,
        cached: false,
        error: None,
    };
    progress.tell(Event::Vertex(shown.clone()));
    shown
}

/// And ends.
pub(super) fn ended(progress: &Progress, shown: &mut VertexState, error: Option<&Error>) {
    shown.completed = Some(SystemTime::now());
    shown.error = error.map(|error| diag::chain(error));
    progress.tell(Event::Vertex(shown.clone()));
}

/// What was built, looked at beneath its root.
pub(super) struct TreeFiles {
    root: Arc<Root>,
    /// Its layers stay.
    _tree: Tree,
}

impl TreeFiles {
    pub(super) fn new(root: Arc<Root>, tree: Tree) -> Self {
        Self { root, _tree: tree }
    }
}

impl TreeFiles {
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Root) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let root = self.root.clone();
        blocking(move || work(&root)).await
    }
}

impl Files for TreeFiles {
    fn read<'a>(&'a self, path: &'a str, range: Option<(u64, u64)>) -> Job<'a, Vec<u8>> {
        let path = path.to_owned();
        Box::pin(self.with(move |root| read(root, &path, range)))
    }

    fn list<'a>(&'a self, path: &'a str, pattern: Option<&'a str>) -> Job<'a, Vec<Entry>> {
        let (path, pattern) = (path.to_owned(), pattern.map(str::to_owned));
        Box::pin(self.with(move |root| list(root, &path, pattern.as_deref())))
    }

    fn stat<'a>(&'a self, path: &'a str) -> Job<'a, Entry> {
        let path = path.to_owned();
        Box::pin(self.with(move |root| {
            let found = resolve(root, path.as_bytes(), Last::Kept)?;
            let seen = root.look(&found)?;
            let name = found.last().cloned().unwrap_or_default();
            seen.and_then(|seen| entry(&name, &seen)).ok_or_else(|| missing(&path))
        }))
    }
}

fn missing(path: &str) -> Error {
    Error::NotFound(format!("stat {path}: no such file or directory"))
}

fn read(root: &Root, path: &str, range: Option<(u64, u64)>) -> Result<Vec<u8>, Error> {
    use std::io::{Read, Seek, SeekFrom};
    let found = resolve(root, path.as_bytes(), Last::Followed)?;
    let seen = root
        .look(&found)?
        .ok_or_else(|| Error::NotFound(format!("open {path}: no such file or directory")))?;
    let SeenKind::File { size, .. } = seen.kind else {
        return Err(Error::Invalid(format!("{path} is no file")));
    };
    let (offset, length) = range.unwrap_or((0, size));
    if length.min(size) > MAX_FILE {
        return Err(Error::Invalid(format!("{path} is longer than {MAX_FILE} bytes")));
    }
    let failed = |e: std::io::Error| work(format!("read {}", shown(&found)), e);
    let mut file = root.open(&found)?;
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(length.min(MAX_FILE)).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn list(root: &Root, path: &str, pattern: Option<&str>) -> Result<Vec<Entry>, Error> {
    let found = resolve(root, path.as_bytes(), Last::Followed)?;
    if !root.look(&found)?.ok_or_else(|| missing(path))?.is_directory() {
        return Err(Error::Invalid(format!("{path} is no directory")));
    }
    let glob = pattern.filter(|text| !text.is_empty()).map(Glob::simple).transpose()?;
    let names = root.names(&found)?;
    if names.len() > MAX_ENTRIES {
        return Err(Error::Invalid(format!("{path} has more than {MAX_ENTRIES} entries")));
    }
    let mut entries = Vec::new();
    for name in names.into_iter().filter(|name| glob.as_ref().is_none_or(|glob| glob.matches(name))) {
        let seen = root.look(&[&found[..], std::slice::from_ref(&name)].concat())?;
        entries.extend(seen.and_then(|seen| entry(&name, &seen)));
    }
    Ok(entries)
}

/// In the words of sessions; nothing for what they have none for.
pub(super) fn entry(path: &[u8], seen: &Seen) -> Option<Entry> {
    let kind = match &seen.kind {
        SeenKind::Directory => Kind::Directory,
        SeenKind::File { size, .. } => Kind::File { size: *size },
        SeenKind::Symlink(to) => Kind::Symlink { to: to.clone() },
        SeenKind::Fifo => Kind::Fifo,
        SeenKind::Device { block, major, minor } => {
            Kind::Device { block: *block, major: *major, minor: *minor }
        }
        SeenKind::Socket => return None,
    };
    let about = &seen.about;
    Some(Entry {
        path: path.to_vec(),
        kind,
        mode: about.mode,
        uid: about.uid,
        gid: about.gid,
        mtime: about.time.0.saturating_mul(1_000_000_000).saturating_add(about.time.1.into()),
        xattrs: about.xattrs.iter().cloned().collect(),
    })
}
