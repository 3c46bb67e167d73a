//! Reading and writing the client's small files: bounded, atomic, errors with the path.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use serde_json::Value;

use crate::Error;

/// No configuration file, certificate or context is larger.
const LIMIT: u64 = 16 << 20;

/// Attaches what was being done to which file.
pub fn at<'a>(verb: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| Error::File { verb, path: path.to_owned(), source }
}

/// The file's bytes; `None` where it doesn't exist.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(e) => return Err(at("read", path)(e)),
    };
    let mut bytes = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(at("read", path))?;
    if bytes.len() as u64 > LIMIT {
        return Err(at("read", path)(io::Error::other(format!("it is larger than {LIMIT} bytes"))));
    }
    Ok(Some(bytes))
}

/// The file as JSON, key order kept; a mistake is reported with its line and column.
pub fn read_json(path: &Path) -> Result<Option<Value>, Error> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    let parsed = serde_json::from_slice(&bytes);
    parsed.map(Some).map_err(|e| Error::Syntax {
        path: path.to_owned(),
        line: e.line(),
        column: e.column(),
        reason: plain(&e),
    })
}

/// serde's sentence without the position that it appends.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

/// Replaces the file in one step, readable by its owner alone; its folder is made where it is missing. A file that was
/// there keeps its owner: under sudo a person's file must not become root's.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    // Through a link the file that it names is replaced, as people keep their configuration in other places.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let dir = path.parent().unwrap_or(Path::new("."));
    make_dir(dir)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = dir.join(format!(".{name}.{}", std::process::id()));
    let written = write_new(&temporary, bytes).and_then(|()| {
        if let Ok(before) = fs::metadata(path) {
            // Who may not give files away has none to give.
            let _ = std::os::unix::fs::chown(&temporary, Some(before.uid()), Some(before.gid()));
        }
        fs::rename(&temporary, path)
    });
    written.map_err(|e| {
        let _ = fs::remove_file(&temporary);
        at("write", path)(e)
    })
}

/// A folder for its owner alone, with all above it.
pub fn make_dir(dir: &Path) -> Result<(), Error> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at("make folder", dir))
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Two kinds of JSON writing differ between Go and serde: Go escapes `<`, `>` and `&`.
pub fn go_escape(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' => text.push_str("\\u003c"),
            '>' => text.push_str("\\u003e"),
            '&' => text.push_str("\\u0026"),
            '\u{2028}' => text.push_str("\\u2028"),
            '\u{2029}' => text.push_str("\\u2029"),
            c => text.push(c),
        }
    }
    text
}

/// JSON that no terminal obeys: beside what it escapes anyhow, the younger control characters and those that turn the
/// direction of what follows.
pub fn harmless(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                text.push_str(&format!("\\u{:04x}", c as u32));
            }
            c => text.push(c),
        }
    }
    text
}

/// JSON with the indentation that is asked for.
pub fn indented(value: &Value, indent: &str) -> String {
    let mut bytes = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, format);
    // Writing a `Value` into memory has nothing that could fail.
    let _ = serde::Serialize::serialize(value, &mut serializer);
    String::from_utf8_lossy(&bytes).into_owned()
}
