//! The same work on Ketch and on a peer: whole processes, alternating, medians.
//!
//! `cargo run --release -p bench -- [--peer unix:///path/docker.sock] [--keep] [case…]`. Without names all cases are measured and
//! kept: in results.tsv, of which docs/benchmarks.md, its pictures and the README's table are written. Cases that are named are only
//! shown, unless `--keep` is given. Without a peer (or `KETCH_BENCH_PEER`) only Ketch is measured. `--short` runs each case once
//! and small, and keeps nothing; `--page` measures nothing and writes the page anew. The peer's client is the one that `cargo
//! xtask clients` fetched.

mod builds;
mod case;
mod cases;
mod compose;
mod containers;
mod dns;
mod images;
mod networks;
mod page;
mod plot;
mod podman;
mod processes;
mod readme;
mod registry;
mod runtime;
mod stage;
mod start;
mod stats;
mod volumes;

use anyhow::Context;

use crate::case::Case;
use crate::cases::{SECTIONS, all};
use crate::page::{Measured, Results};
use crate::stage::Bench;
use crate::stats::Figure;

const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/results.tsv");
const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");

/// What was asked for.
#[derive(Default)]
struct Asked {
    peer: Option<String>,
    short: bool,
    keep: bool,
    names: Vec<String>,
}

impl Asked {
    fn read(mut words: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut asked = Self { peer: std::env::var("KETCH_BENCH_PEER").ok(), ..Self::default() };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--peer" => asked.peer = Some(words.next().context("--peer needs a host")?),
                "--short" => asked.short = true,
                "--keep" => asked.keep = true,
                name if all().any(|case| case.name == name) => asked.names.push(word),
                name => {
                    let names: Vec<_> = all().map(|case| case.name).collect();
                    anyhow::bail!("no case {name}; there are: {}", names.join(", "));
                }
            }
        }
        asked.keep = (asked.keep || asked.names.is_empty()) && !asked.short;
        Ok(asked)
    }

    fn wants(&self, case: &Case) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| case.name == *name)
    }
}

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words == ["--page"] {
        return write(&kept()?);
    }
    let asked = Asked::read(words.into_iter())?;
    let mut results = Results { machine: machine(), ..Results::default() };
    for section in SECTIONS {
        let cases: Vec<&Case> = section.cases.iter().filter(|case| asked.wants(case)).collect();
        if cases.is_empty() {
            continue;
        }
        // Each section has an engine of its own: what one leaves behind is not measured with the next.
        let bench = Bench::start(asked.peer.clone(), asked.short)?;
        for case in cases {
            match measure(&bench, case) {
                Ok(measured) => {
                    eprintln!("{}: {}", case.name, measured.ours.show(case.unit));
                    results.cases.insert(case.name.to_owned(), measured);
                }
                Err(error) => eprintln!("{}: not measured: {error:#}", case.name),
            }
        }
    }
    println!("{}", page::render(&results));
    if asked.keep {
        let mut kept = kept()?;
        kept.machine = results.machine;
        kept.cases.extend(results.cases);
        std::fs::write(RESULTS, kept.write())?;
        write(&kept)?;
    }
    Ok(())
}

fn kept() -> anyhow::Result<Results> {
    Results::read(&std::fs::read_to_string(RESULTS)?)
}

fn machine() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    format!("Linux {}, {cpus} CPUs", kernel.trim())
}

/// The page, its pictures, and the README's part of it.
fn write(results: &Results) -> anyhow::Result<()> {
    let page = page::render(results);
    std::fs::create_dir_all(format!("{DOCS}/plots"))?;
    std::fs::write(format!("{DOCS}/benchmarks.md"), &page)?;
    for (name, picture) in plot::pictures(&page) {
        std::fs::write(format!("{DOCS}/plots/{name}"), picture)?;
    }
    let path = format!("{DOCS}/../README.md");
    let readme = std::fs::read_to_string(&path)?;
    std::fs::write(path, readme::with_figures(&readme, &page).context("README.md has no table of figures")?)?;
    Ok(())
}

/// One sample of each engine in turn, so that a slow minute of the machine hits both.
fn measure(bench: &Bench, case: &'static Case) -> anyhow::Result<Measured> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    (case.ours)(bench)?;
    for _ in 0..if bench.short { 1 } else { case.rounds } {
        ours.push((case.ours)(bench)?);
        if let (true, Some(run)) = (bench.has(&case.against), case.theirs) {
            // A peer that fails once doesn't take what was measured of ours with it.
            match run(bench) {
                Ok(sample) => theirs.push(sample),
                Err(error) => eprintln!("{}: the peer: {error:#}", case.name),
            }
        }
    }
    let theirs = (!theirs.is_empty()).then(|| Figure::of(theirs));
    Ok(Measured { ours: Figure::of(ours), theirs })
}
