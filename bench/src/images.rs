//! Images on their way: registry, archive, disk. Generated, so that every machine measures the same bytes.

use std::fs::File;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use serde_json::json;
use testkit::images::{self, Layer};
use testkit::registry::Registry;

use crate::cases::Bench;
use crate::stats::milliseconds;

/// What an image is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One layer with one file of a gigabyte.
    Large,
    /// One layer with 50,000 small files.
    Many,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Large, Self::Many];

    fn name(self) -> &'static str {
        match self {
            Self::Large => "bench/large:1",
            Self::Many => "bench/many:1",
        }
    }

    fn layer(self) -> anyhow::Result<Vec<u8>> {
        let mut layer = Layer::default();
        match self {
            Self::Large => layer.file("large", &letters(1 << 30))?,
            Self::Many => {
                let text = letters(4000);
                for number in 0..50_000_usize {
                    if number % 500 == 0 {
                        layer.directory(&format!("folder{}", number / 500), 0o755)?;
                    }
                    let size = 200 + number * 37 % 3600;
                    layer.file(&format!("folder{}/file{number}", number / 500), &text[..size])?;
                }
            }
        }
        layer.finish()
    }
}

/// Sixteen letters by chance: about as compressible as programs are.
fn letters(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(count);
    while bytes.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend((0..16).map(|nibble| b'a' + (state >> (nibble * 4) & 15) as u8));
    }
    bytes.truncate(count);
    bytes
}

/// A registry with both images, and the archives that `load` takes.
pub(crate) struct Corpus {
    registry: Registry,
    folder: tempfile::TempDir,
}

impl Corpus {
    pub(crate) fn make() -> anyhow::Result<Self> {
        let corpus = Self { registry: Registry::start(), folder: tempfile::tempdir()? };
        for kind in Kind::ALL {
            let name = corpus.name(kind);
            let archive = images::archive(&name, &kind.layer()?, &json!({"Cmd": ["none"]}))?;
            File::create(corpus.archive(kind))?.write_all(&archive)?;
            corpus.registry.receive(kind.name(), &archive);
        }
        Ok(corpus)
    }

    fn name(&self, kind: Kind) -> String {
        self.registry.name(kind.name())
    }

    fn archive(&self, kind: Kind) -> std::path::PathBuf {
        self.folder.path().join(kind.name().replace('/', "-"))
    }
}

type Client = fn(&Bench, &[&str]) -> Command;

/// One piece of work with an image; what it needs is done before the clock runs and undone after.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    Pull,
    Push,
    Load,
    Save,
    Remove,
}

pub(crate) fn sample(bench: &Bench, client: Client, work: Work, kind: Kind) -> anyhow::Result<f64> {
    let corpus = bench.corpus()?;
    let name = corpus.name(kind);
    let archive = || File::open(corpus.archive(kind)).context("the archive");
    let run = |words: &[&str], input: Stdio| timed(client(bench, words).stdin(input));
    let load = || run(&["load", "--quiet"], archive()?.into());
    let remove = || run(&["rmi", "--force", &name], Stdio::null());
    let took = match work {
        Work::Pull => run(&["pull", "--quiet", &name], Stdio::null())?,
        Work::Load => load()?,
        Work::Save => {
            load()?;
            run(&["save", &name], Stdio::null())?
        }
        Work::Push => {
            load()?;
            // Under a name of its own each time, so that the registry has none of it by that name. Its blobs it has: a
            // registry that knows them would be asked, not given; so they go to another one.
            let fresh = Registry::start();
            let target = fresh.name(kind.name());
            run(&["tag", &name, &target], Stdio::null())?;
            let took = run(&["push", "--quiet", &target], Stdio::null())?;
            run(&["rmi", &target], Stdio::null())?;
            took
        }
        Work::Remove => {
            load()?;
            return remove();
        }
    };
    remove()?;
    Ok(took)
}

fn timed(command: &mut Command) -> anyhow::Result<f64> {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let begun = Instant::now();
    let status = command.status().with_context(|| format!("{command:?}"))?;
    let took = milliseconds(begun.elapsed());
    ensure!(status.success(), "{command:?}: {status}");
    Ok(took)
}
