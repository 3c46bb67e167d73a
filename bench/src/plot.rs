//! The page's tables as pictures: for each section one, with a pair of bars for every row that has a peer. What is drawn is read from
//! the page, so that a picture never says anything else.

use std::fmt::Write as _;

use crate::page::file;

/// A picture: the file's name, the text.
pub(crate) type Picture = (String, String);

/// A time, with its spread where the page tells it; in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Time {
    median: f64,
    spread: Option<(f64, f64)>,
}

#[derive(Debug)]
struct Pair {
    case: String,
    ours: Time,
    theirs: Time,
}

const UNITS: [(&str, f64); 3] = [("µs", 0.001), ("ms", 1.0), ("s", 1000.0)];
const LEFT: f64 = 330.0;
const RIGHT: f64 = 110.0;
const WIDTH: f64 = 900.0;
const ROW: f64 = 44.0;
const TOP: f64 = 46.0;
/// Readable on white and on black; the rest follows the reader's theme where the viewer tells it.
const STYLE: &str = "text{font:13px sans-serif;fill:#1f2328}.head{font-weight:bold}.small{font-size:11px;fill:#59636e}.ours{fill:#1f77b4}\
    .theirs{fill:#9aa4ae}.line{stroke:#d1d9e0}.spread{stroke:#1f2328;fill:none}@media(prefers-color-scheme:dark){text{fill:#e6edf3}\
    .small{fill:#9198a1}.ours{fill:#58a6ff}.theirs{fill:#6e7681}.line{stroke:#3d444d}.spread{stroke:#e6edf3}}";

/// Every section's picture.
pub(crate) fn pictures(page: &str) -> Vec<Picture> {
    sections(page)
        .filter_map(|(title, text)| {
            let (peer, pairs) = table(text);
            (!pairs.is_empty()).then(|| (format!("{}.svg", file(title)), draw(title, &peer, &pairs)))
        })
        .collect()
}

/// Titles and what is below them.
fn sections(page: &str) -> impl Iterator<Item = (&str, &str)> {
    page.split("\n## ").skip(1).map(|text| text.split_once('\n').unwrap_or((text, "")))
}

/// The rows of a section's tables that compare, and the name of the peer.
fn table(text: &str) -> (String, Vec<Pair>) {
    let (mut peer, mut pairs) = (String::new(), Vec::new());
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [case, ours, theirs, ..] = cells[..] else { continue };
        if case == "case" {
            theirs.clone_into(&mut peer);
        } else if let (Some(ours), Some(theirs)) = (time(ours), time(theirs)) {
            pairs.push(Pair { case: case.replace('`', ""), ours, theirs });
        }
    }
    (peer, pairs)
}

/// `6.9 ms (5.7–7.7)`.
fn time(cell: &str) -> Option<Time> {
    let (value, spread) = cell.split_once(" (").unwrap_or((cell, ""));
    let (value, unit) = value.rsplit_once(' ')?;
    let (_, scale) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    let median = value.parse::<f64>().ok()? * scale;
    let ends = spread.trim_end_matches(')').split_once('–');
    let spread = ends
        .and_then(|(low, high)| Some((low.parse::<f64>().ok()? * scale, high.parse::<f64>().ok()? * scale)));
    Some(Time { median, spread })
}

/// How a picture's axis is divided: by powers of ten, since a few milliseconds and some seconds are to be seen beside each other.
struct Axis {
    low: f64,
    high: f64,
}

impl Axis {
    fn of(pairs: &[Pair]) -> Self {
        let ends = |time: &Time| {
            time.spread.map_or([time.median; 2], |(low, high)| [low.min(time.median), high.max(time.median)])
        };
        let all = pairs.iter().flat_map(|pair| [&pair.ours, &pair.theirs]).flat_map(ends);
        let (low, high) =
            all.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        Self { low: low.log10().floor(), high: high.log10().ceil() }
    }

    fn at(&self, milliseconds: f64) -> f64 {
        LEFT + (milliseconds.log10() - self.low) / (self.high - self.low) * (WIDTH - LEFT - RIGHT)
    }

    fn marks(&self) -> impl Iterator<Item = f64> {
        (self.low as i32..=self.high as i32).map(|power| 10f64.powi(power))
    }
}

fn draw(title: &str, peer: &str, pairs: &[Pair]) -> String {
    let (axis, bottom) = (Axis::of(pairs), TOP + ROW * pairs.len() as f64);
    let height = bottom + 28.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n\
         <style>{STYLE}</style>\n<text class=\"head\" x=\"10\" y=\"20\">{}</text>\n",
        escaped(title)
    );
    let legend = [("ours", "ketch", LEFT), ("theirs", peer, LEFT + 90.0)];
    for (class, name, x) in legend {
        let _ = writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"10\" width=\"12\" height=\"12\"/><text x=\"{:.1}\" y=\"20\">{}</text>",
            x + 17.0,
            escaped(name)
        );
    }
    let _ = writeln!(
        svg,
        "<text class=\"small\" x=\"{:.1}\" y=\"20\" text-anchor=\"end\">medians with their spread, logarithmic</text>",
        WIDTH - 10.0
    );
    for mark in axis.marks() {
        let (x, label) = (axis.at(mark), shown(mark));
        let _ = writeln!(
            svg,
            "<path class=\"line\" d=\"M{x:.1} {TOP}V{bottom}\"/><text class=\"small\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
            bottom + 16.0
        );
    }
    for (pair, row) in pairs.iter().zip(0u16..) {
        let y = TOP + ROW * f64::from(row);
        lines(&mut svg, &pair.case, y);
        bar(&mut svg, &axis, "ours", pair.ours, y + 5.0);
        bar(&mut svg, &axis, "theirs", pair.theirs, y + 21.0);
    }
    svg + "</svg>\n"
}

/// A case's name, on two lines if it is a long one.
fn lines(svg: &mut String, case: &str, y: f64) {
    const LETTERS: usize = 46;
    let cut = (case.chars().count() > LETTERS).then(|| {
        let end = case.char_indices().nth(LETTERS).map_or(case.len(), |(at, _)| at);
        case[..end].rfind(' ').unwrap_or(end)
    });
    let (first, second) = case.split_at(cut.unwrap_or(case.len()));
    let middle = if second.is_empty() { 25.0 } else { 18.0 };
    for (text, line) in
        [(first, middle), (second.trim(), 34.0)].into_iter().filter(|(text, _)| !text.is_empty())
    {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 10.0,
            y + line,
            escaped(text)
        );
    }
}

fn bar(svg: &mut String, axis: &Axis, class: &str, time: Time, y: f64) {
    let end = axis.at(time.median);
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"14\"/>",
        end - LEFT
    );
    let mut beside = end;
    if let Some((low, high)) = time.spread {
        let (low, high, middle) = (axis.at(low), axis.at(high), y + 7.0);
        beside = beside.max(high);
        let _ = writeln!(
            svg,
            "<path class=\"spread\" d=\"M{low:.1} {middle:.1}H{high:.1}M{low:.1} {:.1}v6M{high:.1} {:.1}v6\"/>",
            y + 4.0,
            y + 4.0
        );
    }
    let _ = writeln!(
        svg,
        "<text class=\"small\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        beside + 6.0,
        y + 11.0,
        shown(time.median)
    );
}

/// Milliseconds as a person says them.
fn shown(milliseconds: f64) -> String {
    let (value, unit) = match milliseconds {
        below if below < 1.0 => (below * 1000.0, "µs"),
        below if below < 1000.0 => (below, "ms"),
        rest => (rest / 1000.0, "s"),
    };
    let digits = usize::from(value < 10.0 && value.fract() > 0.001);
    format!("{value:.digits$} {unit}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_read_as_they_are_written() {
        let time = |median, spread| Some(Time { median, spread });
        assert_eq!(super::time("6.9 ms (5.7–7.7)"), time(6.9, Some((5.7, 7.7))));
        assert_eq!(super::time("0.27 s"), time(270.0, None));
        for none in ["–", "14.3 MB (14.2–14.3)", "below 20 ms"] {
            assert_eq!(super::time(none), None, "{none}");
        }
    }

    #[test]
    fn the_pictures_are_the_page_s() {
        let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let page = std::fs::read_to_string(docs.join("benchmarks.md")).unwrap();
        let pictures = pictures(&page);
        assert!(pictures.len() > 4);
        for (name, picture) in pictures {
            let kept = std::fs::read_to_string(docs.join("plots").join(&name)).unwrap_or_default();
            assert!(
                kept == picture,
                "docs/plots/{name} isn't what docs/benchmarks.md says: run `cargo run -p bench -- --page`"
            );
            assert!(
                page.contains(&format!("(plots/{name})")),
                "docs/benchmarks.md doesn't show plots/{name}"
            );
        }
    }
}
