//! The lines of a Dockerfile around a problem, as BuildKit's clients print them.

use std::fmt::Write as _;

use crate::Lines;

/// ```text
/// Dockerfile:3
/// --------------------
///    1 |     FROM scratch
///    2 |     
///    3 | >>> COPYY a b
/// --------------------
/// ```
///
/// Nothing where the lines aren't in the text.
pub fn excerpt(name: &str, text: &str, lines: Lines) -> String {
    let all: Vec<&str> = text.split('\n').collect();
    if lines.first == 0 || lines.first > all.len() {
        return String::new();
    }
    let last = lines.last.min(all.len());
    let (from, to) = around(lines.first, last, all.len());
    let mut shown = format!("{name}:{}\n--------------------\n", lines.first);
    for (line, text) in all.iter().enumerate().skip(from - 1).take(to + 1 - from) {
        let mark = if (lines.first..=last).contains(&(line + 1)) { ">>>" } else { "   " };
        let _ = writeln!(shown, " {:3} | {mark} {}", line + 1, text.trim_end_matches('\r'));
    }
    shown.push_str("--------------------\n");
    shown
}

/// Some lines before and after, more where only one is meant.
fn around(first: usize, last: usize, end: usize) -> (usize, usize) {
    let pad = if first == last { 4 } else { 2 };
    let (mut from, mut to, mut added) = (first, last, 0);
    while added < pad {
        if from > 1 {
            from -= 1;
            added += 1;
        }
        if to < end {
            to += 1;
            added += 1;
        }
        added += 1;
    }
    (from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_marked() {
        let text = "FROM scratch\n\nCOPYY a b\nRUN c\nRUN d\n";
        let shown = excerpt("Dockerfile", text, Lines::new(3, 3));
        let expected = "Dockerfile:3\n--------------------\n   1 |     FROM scratch\n   2 |     \n   \
                        3 | >>> COPYY a b\n   4 |     RUN c\n   5 |     RUN d\n--------------------\n";
        assert_eq!(shown, expected);
        assert_eq!(excerpt("Dockerfile", text, Lines::new(9, 9)), "");
        assert_eq!(excerpt("Dockerfile", text, Lines::default()), "");
    }
}
