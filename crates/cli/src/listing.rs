//! All listings: rows with named fields → docker's table, JSON lines, or a template of the user's.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::error::Error;
use crate::template::{LISTING, Template};

/// What one kind of listing shows.
pub(crate) struct Listing {
    /// Every field that a template may name, with its header.
    pub(crate) fields: &'static [(&'static str, &'static str)],
    /// The template of the table that is shown by itself.
    pub(crate) table: &'static str,
    /// The template of `-q`.
    pub(crate) quiet: &'static str,
}

/// One row.
pub(crate) type Row = Map<String, Value>;

type Rows<'a> = &'a mut dyn Iterator<Item = Cow<'a, Row>>;

impl Listing {
    /// The rows in the format that was asked for; an empty one is the table.
    pub(crate) fn render(&self, format: &str, quiet: bool, rows: &[Row]) -> Result<String, Error> {
        self.render_each(format, quiet, &mut rows.iter().map(Cow::Borrowed))
    }

    /// The same for thousands, each of which is made when its turn has come.
    pub(crate) fn render_each(&self, format: &str, quiet: bool, rows: Rows<'_>) -> Result<String, Error> {
        if quiet && matches!(format, "" | "table") {
            return lines(&Template::parse(self.quiet, LISTING)?, rows, str::to_owned);
        }
        match format {
            "" | "table" => self.render_table(self.table, rows),
            "json" => {
                let json = rows.map(|row| {
                    client::files::go_escape(&Value::Object(sorted(&row, str::to_owned)).to_string())
                });
                Ok(json.map(|line| line + "\n").collect())
            }
            _ => match format.strip_prefix("table ") {
                Some(columns) => self.render_table(&unescape(columns.trim()), rows),
                None => {
                    let template = Template::parse(&unescape(format), LISTING)?;
                    self.check_fields(&template)?;
                    lines(&template, rows, str::to_owned)
                }
            },
        }
    }

    /// A field that doesn't exist is an error also where there is no row to find that out with.
    fn check_fields(&self, template: &Template) -> Result<(), Error> {
        match template.render_header(self.headers()) {
            Err(error) if diag::chain(&error).contains("no entry for key") => Err(error),
            _ => Ok(()),
        }
    }

    fn headers(&self) -> Value {
        let headers = self.fields.iter().map(|(name, header)| ((*name).to_owned(), (*header).into()));
        Value::Object(headers.collect())
    }

    fn render_table(&self, columns: &str, rows: Rows<'_>) -> Result<String, Error> {
        let template = Template::parse(columns, LISTING)?;
        let head = template.render_header(self.headers())?;
        // What an image or a container calls itself must not steer people's terminals.
        Ok(align(&format!("{head}\n{}", lines(&template, rows, diag::printable)?)))
    }
}

/// docker sorts the keys of a row.
fn sorted(row: &Row, cell: fn(&str) -> String) -> Row {
    let shown = |value: &Value| match value {
        Value::String(text) => Value::String(cell(text)),
        value => value.clone(),
    };
    let mut pairs: Vec<_> = row.iter().map(|(key, value)| (key.clone(), shown(value))).collect();
    pairs.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    pairs.into_iter().collect()
}

fn lines(template: &Template, rows: Rows<'_>, cell: fn(&str) -> String) -> Result<String, Error> {
    let mut text = String::new();
    for row in rows {
        let line = match template.fill(&row, cell) {
            Some(line) => line,
            None => {
                let value = Value::Object(sorted(&row, cell));
                template.render(value.clone(), value)?
            }
        };
        let _ = writeln!(text, "{line}");
    }
    Ok(text)
}

/// A shell's single quotes leave `\t` as two characters, which docker takes for a tab.
fn unescape(format: &str) -> String {
    format.replace("\\t", "\t").replace("\\n", "\n")
}

/// Go's `tabwriter` as docker sets it up: columns of at least ten, three blanks apart.
pub(crate) fn align(text: &str) -> String {
    align_with(text, 10, 3)
}

/// The same for other widths.
pub(crate) fn align_with(text: &str, least: usize, gap: usize) -> String {
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        // The last cell ends its line and belongs to no column.
        for (at, cell) in row.iter().take(row.len() - 1).enumerate() {
            let width = (cell.chars().count() + gap).max(least);
            match widths.get_mut(at) {
                Some(widest) => *widest = (*widest).max(width),
                None => widths.push(width),
            }
        }
    }
    let mut out = String::with_capacity(text.len() * 2);
    for row in rows {
        let (last, cells) = row.split_last().unwrap_or((&"", &[]));
        for (cell, width) in cells.iter().zip(&widths) {
            let _ = write!(out, "{cell:<width$}");
        }
        let _ = writeln!(out, "{last}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PEOPLE: Listing = Listing {
        fields: &[("Name", "NAME"), ("Age", "AGE"), ("Labels", "LABELS")],
        table: "{{.Name}}\t{{.Age}}",
        quiet: "{{.Name}}",
    };

    fn rows() -> Vec<Row> {
        let row = |name: &str, age: u8| {
            json!({ "Name": name, "Age": age, "Labels": "a.b-c=<x>" }).as_object().cloned().unwrap()
        };
        vec![row("Al", 3), row("Bartholomew", 30)]
    }

    #[test]
    fn a_listing_is_a_table_json_or_a_template() {
        let show = |format, quiet| PEOPLE.render(format, quiet, &rows()).unwrap();
        assert_eq!(show("", false), "NAME          AGE\nAl            3\nBartholomew   30\n");
        assert_eq!(show("table", true), "Al\nBartholomew\n");
        assert_eq!(show("{{.Age}}\\t{{upper .Name}}", false), "3\tAL\n30\tBARTHOLOMEW\n");
        assert_eq!(
            show("table {{lower .Name}}\\t{{.Label \"a.b-c\"}}", false).lines().next(),
            Some("NAME          b c")
        );
        let json = show("json", false);
        assert_eq!(json.lines().next(), Some(r#"{"Age":3,"Labels":"a.b-c=\u003cx\u003e","Name":"Al"}"#));
    }
}
