//! Lines on a terminal that change in their places, as docker compose shows them: one for each thing, with what is done about it
//! and how long that took. All of it is written at once, and nothing is wiped before: there is no flicker.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::ui::{self, Sink};

/// One thing.
struct Line {
    id: String,
    what: String,
    begun: Instant,
    /// Seconds that it took.
    took: Option<f64>,
}

/// What is shown at present.
#[derive(Default)]
struct Board {
    lines: Vec<Line>,
    /// How many rows of the terminal were written last.
    rows: usize,
}

static BOARD: Mutex<Board> = Mutex::new(Board { lines: Vec::new(), rows: 0 });

/// Something is done, or was where its end is known to be told.
pub(super) fn show(mode: &str, kind: &str, name: &str, what: &str, done: Option<Instant>) {
    let mut board = BOARD.lock().unwrap_or_else(PoisonError::into_inner);
    let id = format!("{mode}{kind} {name}");
    board.note(&id, what, done);
    let (columns, height) = ui::error_screen();
    let text = board.drawn(columns, height, Sink::Errors.is_coloured());
    let _ = ui::err_bytes(text.as_bytes());
}

/// What is on the terminal stays as it is: others write below it.
pub(super) fn leave() {
    *BOARD.lock().unwrap_or_else(PoisonError::into_inner) = Board::default();
}

impl Board {
    fn note(&mut self, id: &str, what: &str, done: Option<Instant>) {
        let known = self.lines.iter_mut().find(|line| line.id == id);
        let line = match known {
            Some(line) => line,
            None => {
                let begun = done.unwrap_or_else(Instant::now);
                self.lines.push(Line { id: id.to_owned(), what: String::new(), begun, took: None });
                let last = self.lines.len() - 1;
                &mut self.lines[last]
            }
        };
        // What was done and is at work again has begun again.
        if done.is_none() && line.took.take().is_some() {
            line.begun = Instant::now();
        }
        what.clone_into(&mut line.what);
        line.took = done.map(|_| line.begun.elapsed().as_secs_f64());
    }

    /// From the first row of what was written last: every row anew, each wiped behind its text.
    fn drawn(&mut self, columns: usize, height: usize, coloured: bool) -> String {
        let colour = |code: &'static str| if coloured { code } else { "" };
        let (green, yellow, blue, off) =
            (colour("\u{1b}[32m"), colour("\u{1b}[33m"), colour("\u{1b}[34m"), colour("\u{1b}[0m"));
        let mut text = String::from("\u{1b}[?25l");
        if self.rows > 0 {
            let _ = write!(text, "\u{1b}[{}A\r", self.rows);
        }
        let done = self.lines.iter().filter(|line| line.took.is_some()).count();
        let _ = write!(text, "[+] Running {done}/{}\u{1b}[K\r\n", self.lines.len());
        let wide = self.lines.iter().map(|line| line.id.chars().count()).max().unwrap_or(0);
        // A terminal that is too low shows the last ones.
        let shown = self.lines.len().min(height.saturating_sub(2).max(1));
        for line in &self.lines[self.lines.len() - shown..] {
            let (mark, tone) = if line.took.is_some() { ("✔", green) } else { ("⠿", yellow) };
            let time = line.took.map(|took| format!("{took:.1}s")).unwrap_or_default();
            let room = columns.saturating_sub(4 + time.len());
            let plain: String = format!("{:<wide$}  {}", line.id, line.what).chars().take(room).collect();
            let gap = " ".repeat(room.saturating_sub(plain.chars().count()));
            let told = match plain.strip_suffix(&line.what) {
                Some(rest) => format!("{rest}{tone}{}{off}", line.what),
                None => plain,
            };
            let _ = write!(text, " {tone}{mark}{off} {told}{gap}{blue}{time}{off}\u{1b}[K\r\n");
        }
        self.rows = shown + 1;
        text.push_str("\u{1b}[?25h");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_has_one_line_that_changes_in_its_place() {
        let mut board = Board::default();
        board.note("Network n", "Creating", None);
        let first = board.drawn(40, 24, false);
        assert!(
            first.starts_with("\u{1b}[?25l[+] Running 0/1\u{1b}[K\r\n ⠿ Network n  Creating "),
            "{first:?}"
        );
        board.note("Network n", "Created", Some(Instant::now()));
        board.note("Container c", "Creating", None);
        let second = board.drawn(40, 24, true);
        assert!(second.starts_with("\u{1b}[?25l\u{1b}[2A\r[+] Running 1/2"), "{second:?}");
        assert!(second.contains("Network n    \u{1b}[32mCreated\u{1b}[0m"), "{second:?}");
        let low = board.drawn(40, 3, false);
        assert!(!low.contains("Network n") && low.contains("Container c"), "{low:?}");
        let narrow = board.drawn(12, 24, false);
        assert!(
            narrow.lines().all(|line| line.trim_end_matches("\u{1b}[K\r\n").chars().count() < 40),
            "{narrow:?}"
        );
    }
}
