//! A result's files for the client: one by one, or as a tar.

use std::collections::{HashMap, VecDeque};
use std::io::{Read, Write};
use std::sync::Arc;

use build::Error;
use build::request::{Export, ExportKind};
use build::session::{Entry, Kind, Tree as Wanted};
use layers::{About, Composer, What};

use super::archive::send;
use super::{Exporting, Named};
use crate::builds::error::{blocking, work};
use crate::builds::files::{Look, Root, Seen, SeenKind, join};
use crate::builds::gateway::{begun, ended, entry};
use crate::builds::tree::Tree;

impl Exporting<'_> {
    pub(super) async fn files(
        &self,
        number: usize,
        export: &Export,
        trees: &[(String, Tree)],
    ) -> Result<(), Error> {
        let (name, doing) = match export.kind {
            ExportKind::Tar => ("exporting to client tarball", "sending tarball"),
            _ => ("exporting to client directory", "copying files"),
        };
        let mut shown = begun(self.progress, name);
        let step = Named { progress: self.progress, shown: &shown };
        let done = step.begin(doing);
        let exported = self.send_files(number, export, trees).await;
        done();
        ended(self.progress, &mut shown, exported.as_ref().err());
        exported
    }

    async fn send_files(
        &self,
        number: usize,
        export: &Export,
        trees: &[(String, Tree)],
    ) -> Result<(), Error> {
        let split = match export.attributes.get("platform-split").map(String::as_str) {
            Some("false") => false,
            Some("true") => true,
            _ => trees.len() > 1,
        };
        let (works, held) = (self.works.clone(), trees.to_vec());
        let files = blocking(move || {
            let mut files = Files::default();
            for (key, tree) in &held {
                files.add(if split { key.replace('/', "_") } else { String::new() }, works.root(tree)?)?;
            }
            Ok(files)
        });
        let files = files.await?;
        let sent = match export.kind {
            ExportKind::Tar => send(&**self.session, number, move |out| pack(files, out)).await,
            _ => self.session.take_tree(number, Box::new(files)).await,
        };
        // Until here nobody removes the layers.
        let _ = trees;
        sent
    }
}

/// Trees beside one another, walked depth first with names sorted: the order of BuildKit's walks.
#[derive(Default)]
struct Files {
    /// With the directory that each is in; nothing for one that is all.
    roots: Vec<(String, Arc<Root>)>,
    /// What is still to be told: which tree, and where in it.
    ahead: VecDeque<(usize, Vec<Vec<u8>>)>,
    /// Where the first name is of files that have several.
    linked: HashMap<(usize, (u64, u64)), Vec<u8>>,
}

impl Files {
    fn add(&mut self, folder: String, root: Arc<Root>) -> Result<(), Error> {
        let number = self.roots.len();
        if folder.is_empty() {
            let names = root.names(&[])?;
            self.ahead.extend(names.into_iter().map(|name| (number, vec![name])));
        } else {
            self.ahead.push_back((number, Vec::new()));
        }
        self.roots.push((folder, root));
        Ok(())
    }

    /// The next thing: which tree, its path among all, what it is.
    fn step(&mut self) -> Result<Option<(usize, Vec<u8>, Seen)>, Error> {
        while let Some((number, path)) = self.ahead.pop_front() {
            let Some((folder, root)) = self.roots.get(number) else { continue };
            let Some(seen) = root.look(&path)? else { continue };
            if seen.is_directory() {
                let names = root.names(&path)?;
                for name in names.into_iter().rev() {
                    self.ahead.push_front((number, [&path[..], &[name]].concat()));
                }
            }
            let whole = match (folder.is_empty(), path.is_empty()) {
                (true, _) => join(&path),
                (false, true) => folder.clone().into_bytes(),
                (false, false) => [folder.as_bytes(), b"/", &join(&path)].concat(),
            };
            return Ok(Some((number, whole, seen)));
        }
        Ok(None)
    }

    /// Which tree a path is in, and where.
    fn find(&self, path: &[u8]) -> Option<(&Arc<Root>, Vec<Vec<u8>>)> {
        let parts: Vec<Vec<u8>> = path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect();
        self.roots.iter().find_map(|(folder, root)| match folder.is_empty() {
            true => Some((root, parts.clone())),
            false if parts.first().is_some_and(|first| first == folder.as_bytes()) => {
                Some((root, parts[1..].to_vec()))
            }
            false => None,
        })
    }
}

impl Wanted for Files {
    fn next(&mut self) -> Option<Result<Entry, Error>> {
        loop {
            match self.step() {
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
                Ok(Some((number, path, seen))) => {
                    let Some(mut entry) = entry(&path, &seen) else { continue };
                    if let SeenKind::File { same: Some(same), .. } = seen.kind {
                        match self.linked.get(&(number, same)) {
                            Some(first) => entry.kind = Kind::Hardlink { to: first.clone() },
                            None => drop(self.linked.insert((number, same), path)),
                        }
                    }
                    return Some(Ok(entry));
                }
            }
        }
    }

    fn open(&self, path: &[u8]) -> Result<Box<dyn Read + Send>, Error> {
        let missing =
            || Error::NotFound(format!("{:?} isn't among the files", String::from_utf8_lossy(path)));
        let (root, path) = self.find(path).ok_or_else(missing)?;
        Ok(Box::new(root.open(&path)?))
    }
}

fn pack(mut files: Files, out: &mut dyn Write) -> Result<(), Error> {
    let failed = |e: layers::Error| work("write a tar", e);
    let mut composer = Composer::new(out);
    let mut links: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
    while let Some((_, path, seen)) = files.step()? {
        let about: &About = &seen.about;
        match &seen.kind {
            SeenKind::Directory => composer.put(&path, about, What::Directory).map_err(failed)?,
            SeenKind::File { size, same } => {
                if let Some(first) = same.and_then(|same| links.get(&same)) {
                    composer.put(&path, about, What::Link { to: first }).map_err(failed)?;
                    continue;
                }
                if let Some(same) = same {
                    links.insert(*same, path.clone());
                }
                let mut content = Wanted::open(&files, &path)?;
                let what = What::File { size: *size, content: &mut *content };
                composer.put(&path, about, what).map_err(failed)?;
            }
            SeenKind::Symlink(to) => composer.put(&path, about, What::Symlink { to }).map_err(failed)?,
            SeenKind::Fifo => composer.put(&path, about, What::Fifo).map_err(failed)?,
            SeenKind::Device { block, major, minor } => {
                let what = What::Device { block: *block, major: *major, minor: *minor };
                composer.put(&path, about, what).map_err(failed)?;
            }
            SeenKind::Socket => {}
        }
    }
    composer.finish().map_err(failed)
}
