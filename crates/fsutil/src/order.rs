//! The order in which files are told, which is what makes paths harmless: each below a directory that was told before,
//! no name twice.

use std::cmp::Ordering;

use build::Error;

use crate::MAX_PATH;

/// Checks one path after the other.
#[derive(Debug, Default)]
pub(super) struct Order {
    last: Vec<u8>,
    /// The directories that `last` is in, and itself if it is one.
    open: Vec<Vec<u8>>,
}

impl Order {
    /// Takes the next path, or says why it may not come now.
    pub(super) fn next(&mut self, path: &[u8], is_directory: bool) -> Result<(), Error> {
        if !is_plain(path) {
            return Err(wrong(path, "is no path below the directory"));
        }
        if !self.last.is_empty() && compare(&self.last, path) != Ordering::Less {
            return Err(wrong(path, "comes out of order"));
        }
        let parent = path.iter().rposition(|byte| *byte == b'/').map_or(&[][..], |at| &path[..at]);
        while self.open.last().is_some_and(|open| open != parent) {
            self.open.pop();
        }
        if !parent.is_empty() && self.open.is_empty() {
            return Err(wrong(path, "comes before its directory"));
        }
        if is_directory {
            self.open.push(path.to_vec());
        }
        self.last = path.to_vec();
        Ok(())
    }
}

fn wrong(path: &[u8], what: &str) -> Error {
    Error::Invalid(format!("the client sent {:?}, which {what}", String::from_utf8_lossy(path)))
}

/// Whether a path is relative, leads nowhere but down, and is as short as it can be said.
pub(super) fn is_plain(path: &[u8]) -> bool {
    path.len() <= MAX_PATH
        && path.split(|byte| *byte == b'/').all(|part| {
            !part.is_empty() && part != b"." && part != b".." && part.len() <= 255 && !part.contains(&0)
        })
}

/// By path, where `/` sorts before all other bytes: a directory's files come before its neighbours.
pub(super) fn compare(left: &[u8], right: &[u8]) -> Ordering {
    let rank = |byte: &u8| if *byte == b'/' { 0 } else { u16::from(*byte) + 1 };
    left.iter().map(rank).cmp(right.iter().map(rank))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(paths: &[&str]) -> Result<(), Error> {
        let mut order = Order::default();
        let told = |path: &&str| order.next(path.trim_end_matches('+').as_bytes(), path.ends_with('+'));
        paths.iter().try_for_each(told)
    }

    #[test]
    fn directories_first_and_all_in_order() {
        assert!(all(&["a+", "a/b+", "a/b/c", "a/d", "a-b+", "a-b/x", "b"]).is_ok());
        assert!(all(&["a+", "b+", "b/x"]).is_ok());
    }

    #[test]
    fn what_leads_elsewhere_or_comes_at_the_wrong_time_is_refused() {
        for wrong in [
            &["../x"][..],
            &["/etc/passwd"],
            &["a/../../x"],
            &["a//b"],
            &["."],
            &[""],
            &["a/"],
            &["a\0b"],
            &["a", "a"],
            &["b", "a"],
            &["a", "a/b"],
            &["a/b"],
            &["a+", "b", "a/c"],
            &["a+", "a/b+", "a/c", "a/b/d"],
        ] {
            assert!(all(wrong).is_err(), "{wrong:?}");
        }
        assert!(all(&[&"x".repeat(256)]).is_err());
    }
}
