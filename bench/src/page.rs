//! docs/benchmarks.md: written from what was measured last, case by case, and from a person's notes, so that a figure is never
//! typed and a note never lost.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Context;

use crate::case::{Case, Owed, Section};
use crate::cases::SECTIONS;
use crate::stats::Figure;

/// What two runs in a row differ by is no slowness.
const NOISE: f64 = 1.05;

/// A case's figures: ours, and the peer's if there was one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Measured {
    pub(crate) ours: Figure,
    pub(crate) theirs: Option<Figure>,
}

/// What is kept of the last time that each case was measured, and where that was.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Results {
    pub(crate) machine: String,
    pub(crate) cases: BTreeMap<String, Measured>,
}

impl Results {
    /// A line for each case: its name, then ours and the peer's, each median, 10th and 90th percentile.
    pub(crate) fn read(text: &str) -> anyhow::Result<Self> {
        let mut lines = text.lines();
        let machine = lines.next().unwrap_or_default().trim_start_matches("# ").to_owned();
        let cases = lines.map(|line| {
            let mut fields = line.split('\t');
            let name = fields.next().unwrap_or_default();
            let figures: Result<Vec<f64>, _> = fields.map(str::parse).collect();
            let measured = match figures.with_context(|| format!("{name}: not a number"))?[..] {
                [median, low, high] => Measured { ours: Figure { median, low, high }, theirs: None },
                [median, low, high, theirs, lowest, highest] => Measured {
                    ours: Figure { median, low, high },
                    theirs: Some(Figure { median: theirs, low: lowest, high: highest }),
                },
                _ => anyhow::bail!("{name}: neither three nor six figures"),
            };
            Ok((name.to_owned(), measured))
        });
        Ok(Self { machine, cases: cases.collect::<anyhow::Result<_>>()? })
    }

    pub(crate) fn write(&self) -> String {
        let mut text = format!("# {}\n", self.machine);
        for (name, measured) in &self.cases {
            let _ = write!(text, "{name}");
            for figure in [Some(measured.ours), measured.theirs].into_iter().flatten() {
                let _ = write!(text, "\t{:.3}\t{:.3}\t{:.3}", figure.median, figure.low, figure.high);
            }
            text.push('\n');
        }
        text
    }

    fn of(&self, name: &str) -> Option<&Measured> {
        self.cases.get(name)
    }
}

pub(crate) fn render(results: &Results) -> String {
    let mut page = format!(
        "# Benchmarks\n\nWritten by `cargo run --release -p bench -- --peer unix:///path/to/docker.sock` (CONTRIBUTING.md): whole \
         processes, the engines in turn, medians (10th–90th percentile). {}. A figure is owed in the same run as the peer's: 1/8 is an \
         eighth of its time, × 1.2 at most so much of the case that is named, not slower leaves the 5 % that two runs differ by; **where it falls short, the table says so**, and \
         the text below it why.\n",
        results.machine
    );
    for section in SECTIONS {
        let rows: Vec<String> = section
            .cases
            .iter()
            .filter_map(|case| Some(row(results, case, results.of(case.name)?)))
            .collect();
        if !rows.is_empty() {
            table(&mut page, section, &rows);
        }
    }
    page
}

fn table(page: &mut String, section: &Section, rows: &[String]) {
    let Section { title, peer, notes, .. } = section;
    let _ = write!(
        page,
        "\n## {title}\n\n| case | ketch | {peer} | ratio | owed | rounds |\n|---|---|---|---|---|---|\n{}\n\n![{title}](plots/{}.svg)\n",
        rows.join("\n"),
        file(title)
    );
    if !notes.trim().is_empty() {
        let _ = write!(page, "\n{}\n", notes.trim());
    }
}

/// The name of a section's picture.
pub(crate) fn file(title: &str) -> String {
    title.to_lowercase().replace(' ', "-")
}

fn row(results: &Results, case: &Case, measured: &Measured) -> String {
    let theirs = measured.theirs.map_or("–".to_owned(), |figure| figure.show(case.unit));
    let ratio = measured.theirs.map(|theirs| theirs.median / measured.ours.median);
    let shown = ratio.map_or("–".to_owned(), |ratio| format!("1/{ratio:.1}"));
    let owed: Vec<String> = case.owed.iter().filter_map(|owed| owed.show(results, case, measured)).collect();
    let owed = if owed.is_empty() { "–".to_owned() } else { owed.join("; ") };
    format!(
        "| {} | {} | {theirs} | {shown} | {owed} | {} |",
        case.what,
        measured.ours.show(case.unit),
        case.rounds
    )
}

impl Owed {
    /// What is owed and whether it is kept; nothing if what it is compared with wasn't measured.
    fn show(&self, results: &Results, case: &Case, measured: &Measured) -> Option<String> {
        let ours = measured.ours.median;
        let (text, kept) = match *self {
            Self::Part(part) => {
                let text = if part <= 1.0 { "not slower".to_owned() } else { format!("1/{part}") };
                let least = if part <= 1.0 { part / NOISE } else { part };
                let kept = measured.theirs?.median / ours >= least;
                (text, kept)
            }
            Self::Below(limit) => (format!("below {limit} {}", case.unit), ours < limit),
            Self::Times(factor, other) => {
                let times = ours / results.of(other)?.ours.median;
                (format!("× {factor} of `{other}`: × {times:.2}"), times <= factor)
            }
        };
        Some(if kept { text } else { format!("{text}: **short**") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> (Results, String) {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
        (Results::read(&read("results.tsv")).unwrap(), read("../docs/benchmarks.md"))
    }

    #[test]
    fn the_page_is_what_was_measured() {
        let (results, page) = kept();
        assert!(render(&results) == page, "run `cargo run -p bench -- --page`");
    }

    #[test]
    fn every_case_was_measured_and_every_figure_is_a_case_s() {
        let (results, _) = kept();
        let names: std::collections::BTreeSet<_> =
            crate::cases::all().map(|case| case.name.to_owned()).collect();
        assert_eq!(names, results.cases.keys().cloned().collect());
    }

    #[test]
    fn results_are_read_as_they_are_written() {
        let (results, _) = kept();
        assert_eq!(Results::read(&results.write()).unwrap(), results);
        assert!(Results::read("# m\nps\t1.0\t2.0\n").is_err());
        assert!(Results::read("# m\nps\tfast\t2.0\t1.0\n").is_err());
    }

    #[test]
    fn what_falls_short_is_said() {
        let figure = |median| Figure { median, low: median, high: median };
        let case = crate::cases::all().find(|case| case.name == "compose-ps").unwrap();
        let measured = |ours, theirs| Measured { ours: figure(ours), theirs: Some(figure(theirs)) };
        let shown = |owed: Owed, measured| owed.show(&Results::default(), case, &measured);
        assert_eq!(shown(Owed::Part(8.0), measured(5.0, 41.0)).unwrap(), "1/8");
        assert_eq!(shown(Owed::Part(8.0), measured(5.0, 39.0)).unwrap(), "1/8: **short**");
        assert_eq!(shown(Owed::Part(1.0), measured(51.0, 50.0)).unwrap(), "not slower");
        assert_eq!(shown(Owed::Below(30.0), measured(30.0, 1.0)).unwrap(), "below 30 ms: **short**");
        assert_eq!(shown(Owed::Times(1.2, "not measured"), measured(1.0, 1.0)), None);
    }
}
