//! The lines of a Dockerfile around a mistake, as BuildKit draws them.

use buildkit::proto::pb::Range;

/// The excerpt; nothing where the ranges are in no line.
pub(super) fn of(filename: &str, data: &[u8], ranges: &[Range]) -> String {
    let text = String::from_utf8_lossy(data);
    let lines: Vec<&str> = text.split('\n').collect();
    let number = |line: i32| usize::try_from(line).unwrap_or(0);
    let bounds = |range: &Range| {
        let start = range.start.as_ref().map_or(0, |at| number(at.line));
        let end = range.end.as_ref().map_or(start, |at| number(at.line));
        (start, end.max(start))
    };
    let marked: Vec<(usize, usize)> = ranges.iter().map(bounds).filter(|(start, _)| *start > 0).collect();
    let first = marked.iter().map(|(start, _)| *start).min();
    let last = marked.iter().map(|(_, end)| *end).max();
    let (Some(first), Some(last)) = (first, last) else { return String::new() };
    if first > lines.len() {
        return String::new();
    }
    let last = last.min(lines.len());
    let (from, to) = around(first, last, lines.len());
    let mut out = format!("{filename}:{first}\n--------------------\n");
    for (index, line) in lines.iter().enumerate().take(to).skip(from - 1) {
        let at = index + 1;
        let mark =
            if marked.iter().any(|(start, end)| (*start..=*end).contains(&at)) { ">>>" } else { "   " };
        out.push_str(&format!(" {at:3} | {mark} {line}\n"));
    }
    out.push_str("--------------------\n");
    out
}

/// A few lines on both sides: two of a line, one of several, and more below where there are none above.
fn around(first: usize, last: usize, count: usize) -> (usize, usize) {
    let (mut from, mut to, mut spent) = (first, last, 0);
    let pad = if first == last { 4 } else { 2 };
    while spent < pad {
        if from > 1 {
            from -= 1;
            spent += 1;
        }
        if to < count {
            to += 1;
            spent += 1;
        }
        spent += 1;
    }
    (from, to)
}

#[cfg(test)]
mod tests {
    use buildkit::proto::pb::Position;

    use super::*;

    fn range(start: i32, end: i32) -> Range {
        let at = |line| Some(Position { line, character: 0 });
        Range { start: at(start), end: at(end) }
    }

    #[test]
    fn a_line_with_its_neighbours() {
        // As BuildKit draws it.
        let text = "FROM busybox\nRUN echo out; exit 3\n";
        let expected = "Dockerfile:2\n--------------------\n   1 |     FROM busybox\n   2 | >>> RUN echo out; exit 3\n   3 |     \n--------------------\n";
        assert_eq!(of("Dockerfile", text.as_bytes(), &[range(2, 2)]), expected);
    }

    #[test]
    fn ranges_that_are_in_no_line_are_nothing() {
        for ranges in [vec![], vec![range(0, 0)], vec![range(9, 9)], vec![range(-1, 5)]] {
            assert_eq!(of("Dockerfile", b"FROM x", &ranges), "");
        }
    }
}
