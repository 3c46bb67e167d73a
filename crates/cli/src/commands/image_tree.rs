//! `images --tree`: each image with the platforms that it holds.

use std::fmt::Write as _;

use serde_json::Value;

use super::containers::short_id;
use super::units;
use crate::ui::Sink;

const WARNING: &str =
    "WARNING: This is an experimental feature. The output may change and shouldn't be depended on.";
/// Blanks between columns.
const GAP: usize = 3;
/// The first column is given up for no other one below this width.
const NARROW: usize = 12;
/// What the legend takes, on a terminal and elsewhere.
const LEGEND: (usize, usize) = (21, 19);

/// A column after the first one.
struct Column {
    title: &'static str,
    width: usize,
    right: bool,
}

const COLUMNS: [Column; 4] = [
    Column { title: "ID", width: 12, right: false },
    Column { title: "DISK USAGE", width: 10, right: true },
    Column { title: "CONTENT SIZE", width: 12, right: true },
    Column { title: "EXTRA", width: 5, right: false },
];

/// How a text is coloured.
#[derive(Debug, Clone, Copy)]
enum Colour {
    Warning,
    Header,
    Name,
    Normal,
    Faint,
    Chip,
}

impl Colour {
    fn codes(self) -> &'static str {
        match self {
            Self::Warning => "\u{1b}[93m",
            Self::Header => "\u{1b}[39m\u{1b}[1m",
            Self::Name => "\u{1b}[34m\u{1b}[1m",
            Self::Normal => "\u{1b}[39m",
            Self::Faint => "\u{1b}[39m\u{1b}[2m",
            Self::Chip => "\u{1b}[38;5;0m\u{1b}[48;5;14m",
        }
    }
}

struct Line {
    name: String,
    colour: Colour,
    id: String,
    size: f64,
    content: f64,
    in_use: bool,
}

struct Image {
    /// Further names, above the line that tells of the image.
    names: Vec<String>,
    line: Line,
    platforms: Vec<Line>,
}

/// The tree of an engine's list, with images without a name or without them.
pub(crate) fn tree(list: &Value, unnamed: bool) -> String {
    let columns = Sink::Output.columns().filter(|columns| *columns > 0).unwrap_or(80);
    let mut images: Vec<&Value> = list.as_array().into_iter().flatten().collect();
    images.sort_by_key(|image| std::cmp::Reverse(image["Created"].as_i64().unwrap_or_default()));
    let images: Vec<Image> = images.into_iter().filter_map(|item| image(item, unnamed)).collect();
    Page { coloured: Sink::Output.is_coloured(), width: columns.max(20) }.render(&images)
}

fn image(item: &Value, unnamed: bool) -> Option<Image> {
    let tags = item["RepoTags"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut names: Vec<String> = tags.map(diag::printable).collect();
    // The longest stand above: the last one shares its line with the numbers.
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    let (name, colour) = match names.pop() {
        Some(name) => (name, Colour::Name),
        None if unnamed => ("<untagged>".to_owned(), Colour::Faint),
        None => return None,
    };
    let manifests = item["Manifests"].as_array().into_iter().flatten();
    let mut platforms: Vec<Line> =
        manifests.filter(|manifest| manifest["Kind"] == "image").map(platform).collect();
    let last = platforms.len().saturating_sub(1);
    for (at, platform) in platforms.iter_mut().enumerate() {
        platform.name.insert_str(0, if at == last { "└─ " } else { "├─ " });
    }
    let line = Line {
        name,
        colour,
        id: item["Id"].as_str().unwrap_or_default().to_owned(),
        size: item["Size"].as_f64().unwrap_or_default(),
        content: platforms.iter().map(|platform| platform.content).sum(),
        in_use: item["Containers"].as_i64() > Some(0) || platforms.iter().any(|platform| platform.in_use),
    };
    Some(Image { names, line, platforms })
}

fn platform(manifest: &Value) -> Line {
    let platform = &manifest["ImageData"]["Platform"];
    let parts = ["os", "architecture", "variant"].map(|key| platform[key].as_str().unwrap_or_default());
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let number = |key: &str| manifest["Size"][key].as_f64().unwrap_or_default();
    Line {
        name: diag::printable(&parts.join("/")),
        colour: if manifest["Available"] == true { Colour::Normal } else { Colour::Faint },
        id: manifest["ID"].as_str().unwrap_or_default().to_owned(),
        size: number("Total"),
        content: number("Content"),
        in_use: manifest["ImageData"]["Containers"].as_array().is_some_and(|list| !list.is_empty()),
    }
}

struct Page {
    coloured: bool,
    width: usize,
}

impl Page {
    fn render(&self, images: &[Image]) -> String {
        let (columns, rest) = fitting(self.width);
        let lines = images.iter().flat_map(|image| image.platforms.iter().chain([&image.line]));
        let names = images.iter().flat_map(|image| &image.names).chain(lines.map(|line| &line.name));
        // docker measures bytes.
        let widest = names.map(String::len).max().unwrap_or(0).max("IMAGE".len());
        let first = rest.min(widest);
        let mut text = format!("{}\n{}\n\n", self.paint(Colour::Warning, WARNING), self.legend());
        text.push_str(&self.cell("IMAGE", first, false, Colour::Header));
        for column in columns {
            let _ =
                write!(text, "{:GAP$}{}", "", self.cell(column.title, column.width, false, Colour::Header));
        }
        text.push('\n');
        let apart = images.iter().any(|image| !image.platforms.is_empty());
        for image in images {
            for name in &image.names {
                // It has its line for itself: the terminal alone is its limit.
                let _ =
                    writeln!(text, "{}", self.cell(name, self.width.min(name.len()), false, Colour::Name));
            }
            for line in [&image.line].into_iter().chain(&image.platforms) {
                text.push_str(&self.line(line, first, columns));
            }
            if apart {
                text.push('\n');
            }
        }
        text
    }

    fn line(&self, line: &Line, first: usize, columns: &[Column]) -> String {
        let mut text = self.cell(&line.name, first, false, line.colour);
        // A name's colour is not its numbers'; a missing platform is faint as a whole.
        let colour = match line.colour {
            Colour::Faint if line.name != "<untagged>" => Colour::Faint,
            _ => Colour::Normal,
        };
        let values = [short_id(&line.id).to_owned(), units::size(line.size, 3), units::size(line.content, 3)];
        for (at, column) in columns.iter().enumerate() {
            let _ = write!(text, "{:GAP$}", "");
            text.push_str(&match values.get(at) {
                Some(value) => self.cell(value, column.width, column.right, colour),
                None => self.chip(line.in_use, column.width),
            });
        }
        text + "\n"
    }

    fn chip(&self, in_use: bool, width: usize) -> String {
        match (in_use, self.coloured) {
            (false, _) => " ".repeat(width),
            (true, false) => format!("{:width$}", "U"),
            (true, true) => self.paint(Colour::Chip, " U ") + &" ".repeat(width.saturating_sub(3)),
        }
    }

    fn legend(&self) -> String {
        let wide = if self.coloured { LEGEND.0 } else { LEGEND.1 };
        let (before, chip) = match self.coloured {
            true => (
                "\u{1b}[1m\u{1b}[106m\u{1b}[30mi\u{1b}[0m\u{1b}[0m \u{1b}[96mInfo → \u{1b}[0m\u{1b}[0m",
                self.paint(Colour::Chip, " U "),
            ),
            false => (" Info -> ", "U".to_owned()),
        };
        format!("{}{before} {chip} In Use ", " ".repeat(self.width.saturating_sub(wide)))
    }

    fn cell(&self, value: &str, width: usize, right: bool, colour: Colour) -> String {
        let length = value.chars().count();
        if length > width {
            let cut: String = value.chars().take(width.saturating_sub(1)).chain(['…']).collect();
            return self.paint(colour, &cut);
        }
        let (value, blank) = (self.paint(colour, value), " ".repeat(width - length));
        if right { blank + &value } else { value + &blank }
    }

    fn paint(&self, colour: Colour, text: &str) -> String {
        if self.coloured { format!("{}{text}\u{1b}[0m", colour.codes()) } else { text.to_owned() }
    }
}

/// The columns that there is room for, and what is left for the first one.
fn fitting(width: usize) -> (&'static [Column], usize) {
    let mut rest = width;
    for (at, column) in COLUMNS.iter().enumerate() {
        let taken = column.width + GAP;
        if rest < taken + NARROW {
            return (&COLUMNS[..at], rest);
        }
        rest -= taken;
    }
    (&COLUMNS, rest)
}
