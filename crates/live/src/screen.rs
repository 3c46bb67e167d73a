//! The screen as the bytes that a terminal takes.

use std::io::{self, Write};

use ratatui_core::backend::{Backend, ClearType, WindowSize};
use ratatui_core::buffer::Cell;
use ratatui_core::layout::{Position, Size};
use ratatui_core::style::{Color, Modifier};

/// A terminal of this size behind `out`; the other screen is shown while this lives.
pub struct Screen<W: Write> {
    out: W,
    /// Columns and rows.
    size: fn() -> (u16, u16),
}

impl<W: Write> Screen<W> {
    /// Shows the terminal's other screen; what was on it is back when this is dropped.
    pub fn enter(mut out: W, size: fn() -> (u16, u16)) -> io::Result<Self> {
        out.write_all(b"\x1b[?1049h\x1b[?25l")?;
        Ok(Self { out, size })
    }

    fn end(&mut self) -> io::Result<()> {
        self.out.write_all(b"\x1b[0m\x1b[?25h\x1b[?1049l")?;
        self.out.flush()
    }
}

impl<W: Write> Drop for Screen<W> {
    fn drop(&mut self) {
        // A terminal that is gone shows nothing anyway.
        let _ = self.end();
    }
}

/// What a cell looks like, so that it is said only when it changes.
#[derive(PartialEq, Clone, Copy)]
struct Look(Color, Color, Modifier);

impl Look {
    fn of(cell: &Cell) -> Self {
        Self(cell.fg, cell.bg, cell.modifier)
    }

    fn say(self, out: &mut impl Write) -> io::Result<()> {
        write!(out, "\x1b[0")?;
        for (modifier, code) in [(Modifier::BOLD, 1), (Modifier::DIM, 2), (Modifier::REVERSED, 7)] {
            if self.2.contains(modifier) {
                write!(out, ";{code}")?;
            }
        }
        for (colour, base) in [(self.0, 30), (self.1, 40)] {
            if let Some(number) = number(colour) {
                write!(out, ";{}", base + number)?;
            }
        }
        write!(out, "m")
    }
}

/// The eight that every terminal has, in its own shades.
fn number(colour: Color) -> Option<u8> {
    let all = [
        Color::Black,
        Color::Red,
        Color::Green,
        Color::Yellow,
        Color::Blue,
        Color::Magenta,
        Color::Cyan,
        Color::Gray,
    ];
    let place = all.iter().position(|known| *known == colour)?;
    u8::try_from(place).ok()
}

/// ASCII, and what boxes and curves are drawn with.
fn is_narrow(character: char) -> bool {
    character.is_ascii() || ('\u{2500}'..='\u{259f}').contains(&character)
}

impl<W: Write> Backend for Screen<W> {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut look = None;
        let mut next = None;
        for (x, y, cell) in content {
            if next != Some((x, y)) {
                write!(self.out, "\x1b[{};{}H", y + 1, x + 1)?;
            }
            let now = Look::of(cell);
            if look != Some(now) {
                now.say(&mut self.out)?;
                look = Some(now);
            }
            self.out.write_all(cell.symbol().as_bytes())?;
            // Behind what may be wide, the place is said anew.
            next = cell.symbol().chars().all(is_narrow).then_some((x + 1, y));
        }
        write!(self.out, "\x1b[0m")
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.out.write_all(b"\x1b[?25l")
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.out.write_all(b"\x1b[?25h")
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let Position { x, y } = position.into();
        write!(self.out, "\x1b[{};{}H", y + 1, x + 1)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.out.write_all(b"\x1b[2J")
    }

    fn clear_region(&mut self, region: ClearType) -> io::Result<()> {
        self.out.write_all(match region {
            ClearType::All => b"\x1b[2J",
            ClearType::AfterCursor => b"\x1b[0J",
            ClearType::BeforeCursor => b"\x1b[1J",
            ClearType::CurrentLine => b"\x1b[2K",
            ClearType::UntilNewLine => b"\x1b[0K",
        })
    }

    fn size(&self) -> io::Result<Size> {
        let (width, height) = (self.size)();
        Ok(Size { width, height })
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize { columns_rows: self.size()?, pixels: Size::ZERO })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui_core::style::Style;
    use ratatui_core::terminal::Terminal;

    #[test]
    fn only_what_changed_is_written() {
        let mut bytes = Vec::new();
        let screen = Screen::enter(&mut bytes, || (20, 3)).unwrap();
        let mut terminal = Terminal::new(screen).unwrap();
        for text in ["cpu 10", "cpu 17"] {
            let style = Style::new().fg(Color::Green);
            let draw = |frame: &mut ratatui_core::terminal::Frame<'_>| {
                frame.buffer_mut().set_stringn(0, 0, text, 20, style);
            };
            terminal.draw(draw).unwrap();
        }
        drop(terminal);
        let text = String::from_utf8(bytes).unwrap();
        let (_, drawn) = text.split_once("cpu 10").unwrap();
        assert!(drawn.contains("\x1b[1;6H\x1b[0;32m7\x1b[0m"), "{text:?}");
        assert!(!drawn.contains("cpu"), "{text:?}");
        assert!(text.starts_with("\x1b[?1049h") && text.ends_with("\x1b[?1049l"), "{text:?}");
    }
}
