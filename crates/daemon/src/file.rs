//! `daemon.json`: read with a bound, and every mistake with its line and column.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::{Map, Value};

use crate::error::Error;

const MAX_FILE: u64 = 1 << 20;

/// Reads the file. One that isn't there is empty, unless somebody named it.
pub(crate) fn read(path: &Path, named: bool) -> Result<Map<String, Value>, Error> {
    let unreadable = |source| Error::File { doing: "read", path: path.to_owned(), source };
    let mut text = String::new();
    match File::open(path) {
        Ok(file) => file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(unreadable)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !named => return Ok(Map::new()),
        Err(error) => return Err(unreadable(error)),
    };
    if text.len() as u64 > MAX_FILE {
        return Err(Error::FileTooLong { path: path.to_owned(), limit: MAX_FILE });
    }
    parse(&text, path)
}

fn parse(text: &str, path: &Path) -> Result<Map<String, Value>, Error> {
    // Editors on other systems write a byte order mark; dockerd passes over it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    let wrong = |line, column, what| Error::Syntax { path: path.to_owned(), line, column, what };
    match serde_json::from_str(text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(wrong(1, 1, "the file must be one object".to_owned())),
        Err(error) => {
            let what = error.to_string();
            let what = what.split(" at line ").next().unwrap_or(&what).to_owned();
            let (line, column) = place(text, error.line(), error.column());
            Err(wrong(line, column, what))
        }
    }
}

/// Column 0 of a line is the end of the one before: that is where a person looks.
fn place(text: &str, line: usize, column: usize) -> (usize, usize) {
    match text.lines().nth(line.saturating_sub(2)) {
        Some(before) if column == 0 && line > 1 => (line - 1, before.chars().count()),
        _ => (line, column),
    }
}

/// What the fuzzer feeds: any bytes, never a panic.
pub fn fuzz(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(map) = parse(text, Path::new("daemon.json"))
    {
        let _ = crate::config::check_file(map);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_has_a_line_and_a_column() {
        let error = parse("{\n  \"debug\": tru\n}", Path::new("/etc/docker/daemon.json")).unwrap_err();
        assert_eq!(error.to_string(), "/etc/docker/daemon.json:2:14: expected ident");
    }

    #[test]
    fn a_missing_file_matters_only_to_who_named_it() {
        let path = Path::new("/nonexistent/daemon.json");
        assert!(read(path, false).unwrap().is_empty());
        assert!(read(path, true).is_err());
    }

    #[test]
    fn an_empty_file_and_a_byte_order_mark_are_fine() {
        assert!(parse(" \n", Path::new("x")).unwrap().is_empty());
        assert_eq!(parse("\u{feff}{\"debug\":true}", Path::new("x")).unwrap().len(), 1);
    }
}
