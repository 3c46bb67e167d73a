//! The last lines of a container's log.

use std::collections::VecDeque;

const LINES: usize = 5_000;
/// More than any screen's width; the rest of a longer line isn't shown.
const WIDTH: usize = 4_096;

/// A container's log while it is followed.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) key: String,
    pub(crate) name: String,
    lines: VecDeque<String>,
    /// What has no end yet.
    begun: String,
    /// So many lines above the last one: what one reads stays where it is while others come.
    pub(crate) above: usize,
}

impl Log {
    pub(crate) fn of(key: &str, name: &str) -> Self {
        Self { key: key.to_owned(), name: name.to_owned(), ..Self::default() }
    }

    pub(crate) fn push(&mut self, text: &str) {
        for piece in text.split_inclusive('\n') {
            let room = WIDTH.saturating_sub(self.begun.len());
            self.begun.extend(piece.trim_end_matches(['\r', '\n']).chars().take(room));
            if piece.ends_with('\n') {
                let line = plain(&std::mem::take(&mut self.begun));
                self.line(line);
            }
        }
    }

    fn line(&mut self, line: String) {
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
        if self.above > 0 {
            self.scroll(1);
        }
    }

    /// Up, or down where it is negative.
    pub(crate) fn scroll(&mut self, by: isize) {
        let most = self.lines.len().saturating_sub(1);
        self.above = self.above.saturating_add_signed(by).min(most);
    }

    /// As many as fit, the last one last.
    pub(crate) fn tail(&self, count: usize) -> impl Iterator<Item = &str> {
        let end = self.lines.len() - self.above.min(self.lines.len());
        self.lines.range(end.saturating_sub(count)..end).map(String::as_str)
    }
}

/// A line without the sequences by which a program colours it, its tabs as spaces.
fn plain(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        match character {
            '\x1b' if rest.as_str().starts_with('[') => {
                rest.by_ref().skip(1).find(|c| ('\x40'..='\x7e').contains(c));
            }
            '\t' => plain.push_str("    "),
            character if character.is_control() => {}
            character => plain.push(character),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_in_pieces_and_colours() {
        let mut log = Log::of("k", "web");
        log.push("one\r\n\x1b[31mtw");
        log.push("o\x1b[0m\n\tthree\nrest");
        assert_eq!(log.tail(9).collect::<Vec<_>>(), ["one", "two", "    three"]);
        assert_eq!(log.tail(1).collect::<Vec<_>>(), ["    three"]);
    }

    #[test]
    fn what_is_read_stays_while_others_come() {
        let mut log = Log::of("k", "web");
        log.push("1\n2\n3\n");
        log.scroll(1);
        log.push("4\n");
        assert_eq!(log.tail(1).collect::<Vec<_>>(), ["2"]);
        log.scroll(99);
        assert_eq!(log.tail(9).collect::<Vec<_>>(), ["1"]);
        log.scroll(-99);
        assert_eq!(log.tail(1).collect::<Vec<_>>(), ["4"]);
    }

    #[test]
    fn a_flood_is_bounded() {
        let mut log = Log::of("k", "web");
        log.push(&"x".repeat(100_000));
        log.push("\n");
        log.push(&"y\n".repeat(20_000));
        assert_eq!(log.tail(usize::MAX).count(), LINES);
        assert!(log.begun.is_empty());
    }
}
