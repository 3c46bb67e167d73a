//! Images on their way: registry, archive, disk. Generated, so that every machine measures the same bytes.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use serde_json::json;
use testkit::http::{self, Request};
use testkit::images::{self, Layer};
use testkit::registry::Registry;

use crate::case::{Against, Case, Owed};
use crate::processes::peak;
use crate::stage::Bench;
use crate::stats::milliseconds;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "pull-large",
        what: "`pull`, one layer of 1 GB",
        unit: "ms",
        rounds: 3,
        owed: &[Owed::Part(3.0), Owed::Times(1.3, "inflate-large")],
        against: Against::Docker,
        ours: |bench| sample(bench, Bench::ketch, Work::Pull, Kind::Large),
        theirs: Some(|bench| sample(bench, Bench::docker, Work::Pull, Kind::Large)),
    },
    Case {
        name: "inflate-large",
        what: "bare inflate of that layer",
        unit: "ms",
        rounds: 3,
        owed: &[],
        against: Against::Docker,
        ours: |bench| inflate(bench, Kind::Large),
        theirs: None,
    },
    Case {
        name: "push-large",
        what: "`push`, one layer of 1 GB",
        unit: "ms",
        rounds: 3,
        owed: &[Owed::Part(2.0)],
        against: Against::Docker,
        ours: |bench| sample(bench, Bench::ketch, Work::Push, Kind::Large),
        theirs: Some(|bench| sample(bench, Bench::docker, Work::Push, Kind::Large)),
    },
    Case {
        name: "load-large",
        what: "`load`, one layer of 1 GB",
        unit: "ms",
        rounds: 3,
        owed: &[Owed::Part(2.0)],
        against: Against::Docker,
        ours: |bench| sample(bench, Bench::ketch, Work::Load, Kind::Large),
        theirs: Some(|bench| sample(bench, Bench::docker, Work::Load, Kind::Large)),
    },
    Case {
        name: "save-large",
        what: "`save`, one layer of 1 GB",
        unit: "ms",
        rounds: 3,
        owed: &[Owed::Part(2.0)],
        against: Against::Docker,
        ours: |bench| sample(bench, Bench::ketch, Work::Save, Kind::Large),
        theirs: Some(|bench| sample(bench, Bench::docker, Work::Save, Kind::Large)),
    },
    Case {
        name: "pull-ten",
        what: "`pull`, ten layers of 100 MB",
        unit: "ms",
        rounds: 3,
        owed: &[Owed::Part(3.0), Owed::Times(1.3, "inflate-ten")],
        against: Against::Docker,
        ours: |bench| sample(bench, Bench::ketch, Work::Pull, Kind::Ten),
        theirs: Some(|bench| sample(bench, Bench::docker, Work::Pull, Kind::Ten)),
    },
    Case {
        name: "inflate-ten",
        what: "bare inflate of those layers",
        unit: "ms",
        rounds: 3,
        owed: &[],
        against: Against::Docker,
        ours: |bench| inflate(bench, Kind::Ten),
        theirs: None,
    },
    Case {
        name: "pull-many",
        what: "`pull`, 50,000 small files",
        unit: "ms",
        rounds: 3,
        owed: &[Owed::Part(20.0)],
        against: Against::Docker,
        ours: |bench| sample(bench, Bench::ketch, Work::Pull, Kind::Many),
        theirs: Some(|bench| sample(bench, Bench::docker, Work::Pull, Kind::Many)),
    },
    Case {
        name: "inflate-many",
        what: "bare inflate of that layer",
        unit: "ms",
        rounds: 3,
        owed: &[],
        against: Against::Docker,
        ours: |bench| inflate(bench, Kind::Many),
        theirs: None,
    },
    Case {
        name: "load-many",
        what: "`load`, 50,000 small files",
        unit: "ms",
        rounds: 3,
        owed: &[Owed::Part(2.0)],
        against: Against::Docker,
        ours: |bench| sample(bench, Bench::ketch, Work::Load, Kind::Many),
        theirs: Some(|bench| sample(bench, Bench::docker, Work::Load, Kind::Many)),
    },
    Case {
        name: "rmi-many",
        what: "`rmi`, 50,000 small files",
        unit: "ms",
        rounds: 3,
        owed: &[Owed::Part(20.0)],
        against: Against::Docker,
        ours: |bench| sample(bench, Bench::ketch, Work::Remove, Kind::Many),
        theirs: Some(|bench| sample(bench, Bench::docker, Work::Remove, Kind::Many)),
    },
    Case {
        name: "peak",
        what: "engine's largest resident size in all of that",
        unit: "MB",
        rounds: 1,
        owed: &[Owed::Below(100.0)],
        against: Against::Docker,
        ours: peak,
        theirs: None,
    },
    Case {
        name: "thousand",
        what: "`images`, a thousand of them",
        unit: "ms",
        rounds: 20,
        owed: &[Owed::Below(20.0)],
        against: Against::Docker,
        ours: |bench| {
            bench.thousand()?;
            thousand(bench, Bench::ketch)
        },
        theirs: None,
    },
];

/// What an image is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One layer with one file of a gigabyte.
    Large,
    /// Ten layers of 100 MB.
    Ten,
    /// One layer with 50,000 small files.
    Many,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Large => "bench/large:1",
            Self::Ten => "bench/ten:1",
            Self::Many => "bench/many:1",
        }
    }

    /// What other runs left behind somewhere must not be taken for this run's: no layer is like any before.
    fn layers(self) -> anyhow::Result<Vec<Vec<u8>>> {
        let count = if self == Self::Ten { 10 } else { 1 };
        (0..count).map(|number| self.layer(number)).collect()
    }

    fn layer(self, number: usize) -> anyhow::Result<Vec<u8>> {
        let mut layer = Layer::default();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos();
        layer.file("run", format!("{now} {number}").as_bytes())?;
        match self {
            Self::Large => layer.file("large", &letters(1 << 30))?,
            Self::Ten => layer.file(&format!("part{number}"), &letters(100 << 20))?,
            Self::Many => {
                // No two files share their text: what repeats would inflate in no time, as no real layer does.
                let text = letters(50_000 * 2000 + 4000);
                for number in 0..50_000_usize {
                    if number % 500 == 0 {
                        layer.directory(&format!("folder{}", number / 500), 0o755)?;
                    }
                    let size = 200 + number * 37 % 3600;
                    let text = &text[number * 2000..][..size];
                    layer.file(&format!("folder{}/file{number}", number / 500), text)?;
                }
            }
        }
        layer.finish()
    }
}

/// Sixteen letters by chance: about as compressible as programs are.
pub(crate) fn letters(count: usize) -> Vec<u8> {
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

/// A registry with the image, the archive that `load` takes, and the packed layers as the registry has them.
pub(crate) struct Corpus {
    registry: Registry,
    folder: tempfile::TempDir,
}

impl Corpus {
    pub(crate) fn make(kind: Kind) -> anyhow::Result<Self> {
        let corpus = Self { registry: Registry::start(), folder: tempfile::tempdir()? };
        let archive =
            images::archive_of_layers(&corpus.name(kind), &kind.layers()?, &json!({"Cmd": ["none"]}))?;
        File::create(corpus.archive(kind))?.write_all(&archive)?;
        corpus.registry.receive(kind.name(), &archive);
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
    let corpus = bench.corpus(kind)?;
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

/// The bare inflate of the image's layers as the registry sends them, on all cores: what no pull can be faster than.
pub(crate) fn inflate(bench: &Bench, kind: Kind) -> anyhow::Result<f64> {
    let corpus = bench.corpus(kind)?;
    let layers = corpus.registry.layers(kind.name());
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let work = layers.iter().map(|path| {
            scope.spawn(move || {
                let packed = std::io::BufReader::with_capacity(256 << 10, File::open(path)?);
                let mut decoder = flate2::bufread::MultiGzDecoder::new(packed);
                let mut buffer = vec![0; 256 << 10];
                while decoder.read(&mut buffer)? > 0 {}
                std::io::Result::Ok(())
            })
        });
        let work: Vec<_> = work.collect();
        work.into_iter().try_for_each(|thread| thread.join().unwrap_or(Ok(())))
    })?;
    Ok(milliseconds(begun.elapsed()))
}

/// `images` with a thousand of them.
pub(crate) fn thousand(bench: &Bench, client: Client) -> anyhow::Result<f64> {
    timed(client(bench, &["images"]).stdin(Stdio::null()))
}

/// A thousand images with a layer of their own each, in the engine behind this socket.
pub(crate) fn fill(socket: &std::path::Path) -> anyhow::Result<()> {
    for number in 0..1000 {
        let layer = images::archive_of(&[("file", format!("{number}").as_bytes())]);
        let archive = images::archive(&format!("ketch-bench-of-many:{number}"), &layer, &json!({}))?;
        let load = Request::new("POST", "/images/load").header("Content-Type", "application/x-tar");
        ensure!(http::call(socket, &load.body(archive))?.status() == 200, "image {number}");
    }
    Ok(())
}

fn timed(command: &mut Command) -> anyhow::Result<f64> {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let begun = Instant::now();
    let status = command.status().with_context(|| format!("{command:?}"))?;
    let took = milliseconds(begun.elapsed());
    ensure!(status.success(), "{command:?}: {status}");
    Ok(took)
}
