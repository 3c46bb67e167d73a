//! The client of the classic `POST /build`: a tar in the request's body, and the registries' credentials in its header.
//!
//! What is in the tar is unpacked once into a folder of ours and given to the build from there, as often as it asks. Such a
//! client says nothing by which the next one would be known as the same, so nothing is kept.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::os::fd::AsFd;
use std::sync::Arc;

use build::graph::Local;
use build::patterns::Patterns;
use build::session::{Credentials, Duplex, Receive, Secret, Session, Tree, Want};
use build::{Error, Job};
use tokio::io::AsyncWrite;

use super::error::{blocking, work};
use super::files::{Last, Look, Root, SeenKind, join, resolve};
use super::{Builds, gateway};

/// How much is read of a file at once.
const PIECE: usize = 64 * 1024;

/// One classic client.
pub struct Classic {
    id: String,
    /// Nothing where the context is an address.
    root: Option<Arc<Root>>,
    credentials: BTreeMap<String, Credentials>,
}

impl Builds {
    /// Takes in a context. Blocking: it reads all of it.
    pub fn take_context(
        &self,
        tar: Option<&mut dyn Read>,
        credentials: BTreeMap<String, Credentials>,
    ) -> Result<Classic, Error> {
        let root = match tar {
            None => None,
            Some(tar) => {
                let root = Root::scratch(self.parts.scratch()?)?;
                if let Root::Scratch(into, _) = &root {
                    let how = layers::Extract {
                        owner: layers::Owner::Archive,
                        overwrite: layers::Overwrite::Anything,
                        rename: None,
                        shown: "the context".into(),
                    };
                    let limits = self.parts.shared.layers.limits();
                    let failed = |e: layers::Error| {
                        Error::Invalid(format!("cannot read the context: {}", diag::chain(&e)))
                    };
                    let tar = layers::decompress_archive(tar)
                        .map_err(|e| Error::Invalid(format!("cannot read the context: {e}")))?;
                    layers::extract(tar, into.as_fd(), &how, limits).map_err(failed)?;
                }
                Some(Arc::new(root))
            }
        };
        Ok(Classic { id: crate::id::container_id(), root, credentials })
    }
}

impl Classic {
    /// Whether the context is a single file of this name, or has it.
    pub fn has(&self, path: &str) -> bool {
        let Some(root) = &self.root else { return false };
        let found = resolve(&**root, path.as_bytes(), Last::Followed).and_then(|found| root.look(&found));
        matches!(found, Ok(Some(seen)) if matches!(seen.kind, SeenKind::File { .. }))
    }
}

impl Session for Classic {
    fn id(&self) -> &str {
        &self.id
    }

    fn shared_key(&self) -> &str {
        ""
    }

    fn send<'a>(&'a self, wanted: &'a Local, into: Box<dyn Receive>) -> Job<'a, ()> {
        Box::pin(async move {
            if !matches!(wanted.name.as_str(), "context" | "dockerfile") {
                return Err(Error::NotFound(format!("no such directory of the client's: {}", wanted.name)));
            }
            let missing = || Error::NotFound("the request has no context".into());
            let root = self.root.clone().ok_or_else(missing)?;
            let wanted = wanted.clone();
            blocking(move || Sending::new(&root, &wanted, into)?.send()).await
        })
    }

    fn secret<'a>(&'a self, _: &'a str) -> Job<'a, Option<Secret>> {
        Box::pin(async { Ok(None) })
    }

    fn has_ssh<'a>(&'a self, _: &'a str) -> Job<'a, bool> {
        Box::pin(async { Ok(false) })
    }

    fn ssh<'a>(&'a self, _: &'a str) -> Job<'a, Box<dyn Duplex>> {
        Box::pin(async { Err(Error::Unsupported { what: "an ssh agent with the classic builder".into() }) })
    }

    fn credentials<'a>(&'a self, registry: &'a str) -> Job<'a, Option<Credentials>> {
        Box::pin(async move {
            let hub = "https://index.docker.io/v1/";
            let name = if registry == "registry-1.docker.io" { hub } else { registry };
            Ok(self.credentials.get(name).or_else(|| self.credentials.get(registry)).cloned())
        })
    }

    fn take_archive<'a>(
        &'a self,
        _: usize,
        _: BTreeMap<String, String>,
    ) -> Job<'a, Box<dyn AsyncWrite + Send + Unpin>> {
        Box::pin(async { Err(Error::Unsupported { what: "an archive of the classic builder's".into() }) })
    }

    fn take_tree<'a>(&'a self, _: usize, _: Box<dyn Tree>) -> Job<'a, ()> {
        Box::pin(async { Err(Error::Unsupported { what: "files of the classic builder's".into() }) })
    }
}

/// A directory on its way.
struct Sending<'a> {
    root: &'a Root,
    include: Patterns,
    exclude: Patterns,
    into: Box<dyn Receive>,
    next: u32,
    /// The first name of each file that has several.
    links: HashMap<(u64, u64), Vec<u8>>,
    /// Directories that are told when something in them is.
    pending: Vec<(Vec<u8>, build::session::Entry)>,
}

impl<'a> Sending<'a> {
    fn new(root: &'a Root, wanted: &Local, into: Box<dyn Receive>) -> Result<Self, Error> {
        let mut include = wanted.include.clone();
        for path in &wanted.follow {
            include.push(path.clone());
            // What its links lead to, and every link on the way.
            let mut on_the_way = Vec::new();
            for name in path.split('/').filter(|name| !name.is_empty()) {
                on_the_way.push(name.as_bytes().to_vec());
                let found = resolve(root, &join(&on_the_way), Last::Followed)?;
                let kept = resolve(root, &join(&on_the_way), Last::Kept)?;
                for found in [kept, found] {
                    if root.look(&found)?.is_some_and(|seen| !seen.is_directory()) {
                        include.push(String::from_utf8_lossy(&join(&found)).into_owned());
                    }
                }
            }
            let whole = resolve(root, path.as_bytes(), Last::Followed)?;
            include.push(String::from_utf8_lossy(&join(&whole)).into_owned());
        }
        let (include, exclude) = (Patterns::new(&include)?, Patterns::new(&wanted.exclude)?);
        Ok(Self { root, include, exclude, into, next: 0, links: HashMap::new(), pending: Vec::new() })
    }

    fn send(mut self) -> Result<(), Error> {
        self.folder(&mut Vec::new())?;
        self.into.end()
    }

    fn folder(&mut self, path: &mut Vec<Vec<u8>>) -> Result<(), Error> {
        for name in self.root.names(path)? {
            path.push(name);
            self.one(path)?;
            path.pop();
        }
        Ok(())
    }

    fn one(&mut self, path: &mut Vec<Vec<u8>>) -> Result<(), Error> {
        let Some(seen) = self.root.look(path)? else { return Ok(()) };
        let name = join(path);
        let excluded = self.exclude.matches(&name);
        let included = self.include.is_empty() || self.include.matches(&name);
        // As BuildKit's clients send it: nobody's in particular.
        let Some(mut entry) = gateway::entry(&name, &seen) else { return Ok(()) };
        (entry.uid, entry.gid) = (0, 0);
        if seen.is_directory() {
            if excluded && !self.exclude.may_except_below(&name) {
                return Ok(());
            }
            self.pending.push((name.clone(), entry));
            if included && !excluded {
                self.tell_pending()?;
            }
            self.folder(path)?;
            self.pending.retain(|(known, _)| *known != name);
            return Ok(());
        }
        if excluded || !included {
            return Ok(());
        }
        self.tell_pending()?;
        if let SeenKind::File { same: Some(same), .. } = seen.kind {
            match self.links.get(&same) {
                Some(to) => entry.kind = build::session::Kind::Hardlink { to: to.clone() },
                None => drop(self.links.insert(same, name)),
            }
        }
        let number = self.next;
        self.next += 1;
        if self.into.entry(number, entry)? == Want::Content {
            self.content(number, path)?;
        }
        Ok(())
    }

    fn tell_pending(&mut self) -> Result<(), Error> {
        for (_, entry) in std::mem::take(&mut self.pending) {
            let number = self.next;
            self.next += 1;
            self.into.entry(number, entry)?;
        }
        Ok(())
    }

    fn content(&mut self, number: u32, path: &[Vec<u8>]) -> Result<(), Error> {
        let mut file = self.root.open(path)?;
        let mut buffer = vec![0; PIECE];
        loop {
            match file.read(&mut buffer).map_err(|e| work("read the context", e))? {
                0 => return self.into.file_end(number),
                count => self.into.data(number, &buffer[..count])?,
            }
        }
    }
}
