//! The engine's id: made once for a data root, kept for ever.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use crate::Error;

/// Reads the data root's `engine-id`, or makes one.
pub fn engine_id(data_root: &Path) -> Result<String, Error> {
    let path = data_root.join("engine-id");
    match fs::read_to_string(&path) {
        Ok(text) if is_uuid(text.trim()) => return Ok(text.trim().to_owned()),
        Ok(_) => tracing::warn!(path = %path.display(), "not an id; making a new one"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(Error::File { doing: "read", path, source }),
    }
    let id = uuid(crate::id::random());
    fs::write(&path, &id).map_err(|source| Error::File { doing: "write", path, source })?;
    Ok(id)
}

/// A version 4 UUID from random bytes.
fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let id = engine_id(dir.path()).unwrap();
        assert!(is_uuid(&id), "{id}");
        assert_eq!(engine_id(dir.path()).unwrap(), id);
    }

    #[test]
    fn a_damaged_id_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("engine-id"), "\0garbage").unwrap();
        assert!(is_uuid(&engine_id(dir.path()).unwrap()));
    }
}
