//! A result's files for the client: one by one, or as a tar.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::SystemTime;

use build::Error;
use build::frontend::Built;
use build::request::{Export, ExportKind};
use build::session::{Entry, Kind, Tree as Wanted};
use layers::{About, Composer, What};
use oci::{Algorithm, Digest, Hasher};

use super::archive::send;
use super::{Exporting, Named};
use crate::builds::attest::{Subject, file_name};
use crate::builds::error::{blocking, work};
use crate::builds::files::{Look, Root, Seen, SeenKind, join};
use crate::builds::gateway::{begun, ended, entry};
use crate::builds::tree::Tree;
use crate::builds::worker::Works;
use crate::images::Statement;

impl Exporting<'_> {
    pub(super) async fn files(
        &self,
        number: usize,
        export: &Export,
        built: &Built,
        trees: &[(String, Tree)],
    ) -> Result<(), Error> {
        let (name, doing) = match export.kind {
            ExportKind::Tar => ("exporting to client tarball", "sending tarball"),
            _ => ("exporting to client directory", "copying files"),
        };
        let mut shown = begun(self.progress, name);
        let step = Named { progress: self.progress, shown: &shown };
        let done = step.begin(doing);
        let exported = self.send_files(number, export, built, trees).await;
        done();
        ended(self.progress, &mut shown, exported.as_ref().err());
        exported
    }

    async fn send_files(
        &self,
        number: usize,
        export: &Export,
        built: &Built,
        trees: &[(String, Tree)],
    ) -> Result<(), Error> {
        let split = match export.attributes.get("platform-split").map(String::as_str) {
            Some("false") => false,
            Some("true") => true,
            _ => trees.len() > 1,
        };
        let epoch = super::reshape::read(export, built)?.epoch;
        let (works, held) = (self.works.clone(), trees.to_vec());
        let folder = move |key: &str| if split { key.replace('/', "_") } else { String::new() };
        let files = blocking(move || {
            let mut all = Vec::new();
            for (key, tree) in &held {
                let mut files = Files { epoch, ..Files::default() };
                files.add(folder(key), works.root(tree)?)?;
                all.push(files);
            }
            if !split && all.len() > 1 {
                apart(&held, &works)?;
            }
            Ok(all)
        });
        let mut files = files.await?;
        if self.attest.for_image(false).is_asked() {
            let prefix = export.attributes.get("attestation-prefix").map_or("", String::as_str);
            for ((key, tree), files) in trees.iter().zip(&mut files) {
                let place = if split { format!("{}/{prefix}", folder(key)) } else { prefix.to_owned() };
                // Beside one another, their names tell them apart.
                let platform = if split { "" } else { key };
                let said = self.say(built, key, tree).await?;
                files.state(&place, platform, said)?;
            }
        }
        if export.kind == ExportKind::Tar {
            return send(&**self.session, number, move |out| pack(files, out)).await;
        }
        // Each platform's for itself, as BuildKit sends them: a client takes one after the other into one folder.
        for files in files {
            self.session.take_tree(number, Box::new(files)).await?;
        }
        Ok(())
    }
}

impl Exporting<'_> {
    /// What is said of a platform's files.
    async fn say(&self, built: &Built, key: &str, tree: &Tree) -> Result<Vec<Statement>, Error> {
        let (works, held) = (self.works.clone(), tree.clone());
        let listed = blocking(move || {
            let mut files = Files::default();
            files.add(String::new(), works.root(&held)?)?;
            files.digests()
        });
        let subject = Subject::files(key, &listed.await?);
        self.statements(&self.attest.for_image(false), built, tree, &subject).await
    }
}

/// Files of several platforms in one folder have names of their own.
fn apart(trees: &[(String, Tree)], works: &Works) -> Result<(), Error> {
    let mut known: HashMap<Vec<u8>, &str> = HashMap::new();
    for (key, tree) in trees {
        let mut files = Files::default();
        files.add(String::new(), works.root(tree)?)?;
        while let Some((_, path, seen)) = files.step()? {
            if !seen.is_directory()
                && let Some(before) = known.insert(path.clone(), key)
            {
                let path = String::from_utf8_lossy(&path).into_owned();
                return Err(Error::Invalid(format!(
                    "cannot overwrite {path} from {before} with {key} when split option is disabled"
                )));
            }
        }
    }
    Ok(())
}

/// Bytes of a file that are read at once.
const PIECE: usize = 128 << 10;

/// Trees beside one another, walked depth first with names sorted: the order of BuildKit's walks.
#[derive(Default)]
struct Files {
    /// With the directory that each is in; nothing for one that is all.
    roots: Vec<(String, Arc<Root>)>,
    /// What is still to be told: which tree, and where in it.
    ahead: VecDeque<(usize, Vec<Vec<u8>>)>,
    /// Where the first name is of files that have several.
    linked: HashMap<(usize, (u64, u64)), Vec<u8>>,
    /// What is said of them, by its path among them.
    said: BTreeMap<Vec<u8>, Arc<[u8]>>,
    /// How much of that was told.
    told: usize,
    /// The file before which it was.
    next: Option<Step>,
    /// The time of all files, if somebody says one.
    epoch: Option<i64>,
}

/// A tree's number, a path among all, what is there.
type Step = (usize, Vec<u8>, Seen);

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

    /// Adds statements. A file of their name would be another one's.
    fn state(&mut self, place: &str, platform: &str, said: Vec<Statement>) -> Result<(), Error> {
        for statement in said {
            let name = file_name(&statement);
            let name = match (platform, name.rsplit_once('.')) {
                ("", _) | (_, None) => format!("{place}{name}"),
                (platform, Some((name, end))) => {
                    format!("{place}{name}.{}.{end}", platform.replace('/', "_"))
                }
            };
            let whole = name.clone().into_bytes();
            let (root, path) = self.find(&whole).unzip();
            let there = root.zip(path).map(|(root, path)| root.look(&path)).transpose()?.flatten().is_some();
            if there || self.said.insert(whole, statement.bytes.into()).is_some() {
                return Err(Error::Invalid(format!("duplicate attestation path name {name}")));
            }
        }
        Ok(())
    }

    /// Every file's.
    fn digests(&mut self) -> Result<Vec<(String, Digest)>, Error> {
        let mut found = Vec::new();
        while let Some((_, path, seen)) = self.step()? {
            let SeenKind::File { .. } = seen.kind else { continue };
            let mut hasher = Hasher::new(Algorithm::Sha256);
            let mut file = Wanted::open(self, &path)?;
            let mut piece = vec![0; PIECE];
            loop {
                match file.read(&mut piece).map_err(|e| work("read a file of the result", e))? {
                    0 => break,
                    count => hasher.update(&piece[..count]),
                }
            }
            found.push((String::from_utf8_lossy(&path).into_owned(), hasher.finish()));
        }
        Ok(found)
    }

    /// The next thing, at the time that is said.
    fn step(&mut self) -> Result<Option<Step>, Error> {
        let mut next = self.any_step()?;
        if let (Some((_, _, seen)), Some(epoch)) = (&mut next, self.epoch) {
            seen.about.time = (epoch, 0);
        }
        Ok(next)
    }

    /// The next thing, statements in their places among it.
    fn any_step(&mut self) -> Result<Option<Step>, Error> {
        let next = match self.next.take() {
            Some(next) => Some(next),
            None => self.walk()?,
        };
        let Some((path, bytes)) = self.said.iter().nth(self.told) else { return Ok(next) };
        let parts = |path: &'_ [u8]| path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect::<Vec<_>>();
        if next.as_ref().is_some_and(|(_, other, _)| parts(other) < parts(path)) {
            return Ok(next);
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let time = (i64::try_from(now.as_secs()).unwrap_or(0), 0);
        let about = About { mode: 0o600, uid: 0, gid: 0, time, xattrs: Vec::new() };
        let kind = SeenKind::File { size: bytes.len() as u64, same: None };
        let statement = (usize::MAX, path.clone(), Seen { about, kind });
        (self.told, self.next) = (self.told + 1, next);
        Ok(Some(statement))
    }

    /// The next thing in the trees.
    fn walk(&mut self) -> Result<Option<Step>, Error> {
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
        if let Some(bytes) = self.said.get(path) {
            return Ok(Box::new(std::io::Cursor::new(bytes.clone())));
        }
        let missing =
            || Error::NotFound(format!("{:?} isn't among the files", String::from_utf8_lossy(path)));
        let (root, path) = self.find(path).ok_or_else(missing)?;
        Ok(Box::new(root.open(&path)?))
    }
}

fn pack(all: Vec<Files>, out: &mut dyn Write) -> Result<(), Error> {
    let mut composer = Composer::new(out);
    for files in all {
        pack_tree(files, &mut composer)?;
    }
    composer.finish().map_err(|e| work("write a tar", e))
}

fn pack_tree(mut files: Files, composer: &mut Composer<'_>) -> Result<(), Error> {
    let failed = |e: layers::Error| work("write a tar", e);
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
    Ok(())
}
