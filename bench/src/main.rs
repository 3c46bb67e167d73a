//! The same work on Ketch and on a peer: whole processes, alternating, medians.
//!
//! `cargo run --release -p bench -- [--peer unix:///path/docker.sock] [case…]` writes docs/benchmarks.md. Without a peer
//! (or `KETCH_BENCH_PEER`) only Ketch is measured. `--short` runs each case once and small, and writes nothing;
//! `--plots` measures nothing, draws what the page says (docs/plots) and repeats its first table in the README. The peer's client is the one that `cargo xtask clients` fetched.

mod builds;
mod bundle;
mod cases;
mod compose;
mod containers;
mod dns;
mod images;
mod networks;
mod plot;
mod processes;
mod readme;
mod registry;
mod stage;
mod stats;
mod volumes;

use std::fmt::Write as _;

use anyhow::Context;

use crate::cases::{Case, all};
use crate::stage::Bench;
use crate::stats::Samples;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");

struct Row {
    case: &'static Case,
    ours: Samples,
    theirs: Option<Samples>,
}

fn main() -> anyhow::Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments == ["--plots"] {
        return plots();
    }
    let mut peer = std::env::var("KETCH_BENCH_PEER").ok();
    if let Some(at) = arguments.iter().position(|argument| argument == "--peer") {
        peer = Some(arguments.get(at + 1).context("--peer needs a host")?.clone());
        arguments.drain(at..at + 2);
    }
    let short = arguments.iter().any(|argument| argument == "--short");
    arguments.retain(|argument| argument != "--short");
    let unknown = arguments.iter().find(|name| !all().any(|case| case.name == **name));
    if let Some(name) = unknown {
        let names: Vec<_> = all().map(|case| case.name).collect();
        anyhow::bail!("no case {name}; there are: {}", names.join(", "));
    }
    let bench = Bench::start(peer, short)?;
    let mut rows = Vec::new();
    for case in all().filter(|case| arguments.is_empty() || arguments.iter().any(|name| case.name == name)) {
        match measure(&bench, case) {
            Ok(row) => rows.push(row),
            Err(error) => eprintln!("{}: not measured: {error:#}", case.name),
        }
    }
    let page = render(&rows);
    println!("{page}");
    if arguments.is_empty() && !short {
        std::fs::create_dir_all(DOCS)?;
        std::fs::write(format!("{DOCS}/benchmarks.md"), page)?;
        plots()?;
    }
    Ok(())
}

fn plots() -> anyhow::Result<()> {
    let page = std::fs::read_to_string(format!("{DOCS}/benchmarks.md"))?;
    std::fs::create_dir_all(format!("{DOCS}/plots"))?;
    for (name, picture) in plot::pictures(&page) {
        std::fs::write(format!("{DOCS}/plots/{name}"), picture)?;
    }
    let path = format!("{DOCS}/../README.md");
    let readme = std::fs::read_to_string(&path)?;
    std::fs::write(path, readme::with_figures(&readme, &page).context("README.md has no table of figures")?)?;
    Ok(())
}

/// One sample of each engine in turn, so that a slow minute of the machine hits both.
fn measure(bench: &Bench, case: &'static Case) -> anyhow::Result<Row> {
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
    let theirs = (!theirs.is_empty()).then(|| Samples::new(theirs));
    Ok(Row { case, ours: Samples::new(ours), theirs })
}

fn render(rows: &[Row]) -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let mut page = format!(
        "# Benchmarks\n\nWritten by `cargo run --release -p bench -- --peer unix:///path/to/docker.sock`: whole processes, \
         the engines in turn, medians (10th–90th percentile). Linux {}, {cpus} CPUs.\n\n\
         | case | ketch | docker | ratio | rounds |\n|---|---|---|---|---|\n",
        kernel.trim()
    );
    for row in rows {
        let theirs = row.theirs.as_ref().map_or("–".to_owned(), |samples| samples.show(row.case.unit));
        let ratio = row.theirs.as_ref().map(|samples| samples.median() / row.ours.median());
        let ratio = ratio.map_or("–".to_owned(), |ratio| format!("1/{ratio:.1}"));
        let (name, ours) = (row.case.what, row.ours.show(row.case.unit));
        let _ = writeln!(page, "| {name} | {ours} | {theirs} | {ratio} | {} |", row.case.rounds);
    }
    page + "\n![These figures](plots/start.svg)\n"
}
