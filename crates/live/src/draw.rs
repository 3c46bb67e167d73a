//! The screen: which list, its lines, the meant container's curves, and which keys there are.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::{Color, Modifier, Style};
use ratatui_core::terminal::Frame;

use crate::curves::Curve;
use crate::log::Log;
use crate::room::{Column, Life, Room, Thing};
use crate::view::{Mode, View};

const KEYS: &str = "\
Tab, 1-4    another list            Up, Down   another line
/           only lines with a text  Esc        all lines
d           remove                  q          leave

Of a container:
Enter, l    its log                 e          a shell in it
s           start or stop           r          restart
p           pause or go on

In a log, Up, Down, PgUp, PgDn, g and G move; q goes back.";

/// A list that has less than this many lines beside its curves has none.
const LINES: u16 = 6;
const CURVES: u16 = 6;
const GAP: u16 = 2;

impl View {
    /// Draws all of it.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let area = frame.area();
        let screen = frame.buffer_mut();
        let curves = if self.has_curves(area) { CURVES } else { 0 };
        let body = Rect { y: area.y + 1, height: area.height.saturating_sub(2 + curves), ..area };
        self.draw_head(screen, Rect { height: 1, ..area });
        match &self.mode {
            Mode::Log(log) => draw_log(log, screen, body),
            Mode::Help => lines(screen, body, KEYS.lines()),
            _ => self.draw_list(screen, body),
        }
        if curves > 0 {
            self.draw_curves(screen, Rect { y: body.bottom(), height: curves, ..area });
        }
        self.draw_foot(screen, Rect { y: area.bottom().saturating_sub(1), height: 1, ..area });
    }

    fn has_curves(&self, area: Rect) -> bool {
        let listed = !matches!(self.mode, Mode::Log(_) | Mode::Help);
        listed && self.room == Room::Containers && area.height >= 2 + LINES + CURVES
    }

    fn colour(&self, colour: Color) -> Style {
        if self.coloured { Style::new().fg(colour) } else { Style::new() }
    }

    fn draw_head(&self, screen: &mut Buffer, area: Rect) {
        let mut at = area.x;
        for (number, room) in Room::ALL.into_iter().enumerate() {
            let style =
                if room == self.room { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
            let title = format!(" {} {} ", number + 1, room.title());
            text(screen, Rect { x: at, width: area.right().saturating_sub(at), ..area }, &title, style);
            at = at.saturating_add(title.len() as u16);
        }
    }

    fn draw_list(&self, screen: &mut Buffer, area: Rect) {
        let places = places(self.room.columns(), area);
        for (column, place) in self.room.columns().iter().zip(&places) {
            text(screen, *place, column.title, Style::new().add_modifier(Modifier::BOLD));
        }
        let room = usize::from(area.height.saturating_sub(1));
        let meant = self.list().place();
        // The line that is meant is always one of those on the screen.
        let first = (meant + 1).saturating_sub(room);
        for (number, (thing, line)) in self.list().shown().skip(first).zip(1..).take(room).enumerate() {
            let chosen = if first + number == meant { Modifier::REVERSED } else { Modifier::empty() };
            let style = self.style(thing).add_modifier(chosen);
            screen.set_style(Rect { y: area.y + line, height: 1, ..area }.intersection(screen.area), style);
            for (cell, place) in thing.cells.iter().zip(&places) {
                text(screen, Rect { y: area.y + line, ..*place }, cell, style);
            }
        }
        if self.list().shown().next().is_none() {
            let none = format!("no {} here", self.room.title().to_lowercase());
            text(
                screen,
                Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area },
                &none,
                Style::new(),
            );
        }
    }

    fn style(&self, thing: &Thing) -> Style {
        match thing.life {
            Some(Life::Running) => self.colour(Color::Green),
            Some(Life::Paused) => self.colour(Color::Yellow),
            Some(Life::Stopped) => Style::new().add_modifier(Modifier::DIM),
            None => Style::new(),
        }
    }

    fn draw_curves(&self, screen: &mut Buffer, area: Rect) {
        let Some(curves) = self.curves() else { return };
        let all = [
            (format!("CPU {:.1} %", curves.processor.last()), &curves.processor, Color::Green),
            (format!("Memory {}", (self.size)(curves.memory.last())), &curves.memory, Color::Cyan),
            (format!("Network {}/s", (self.size)(curves.network.last())), &curves.network, Color::Blue),
            (format!("Disk {}/s", (self.size)(curves.disk.last())), &curves.disk, Color::Magenta),
        ];
        // On a narrow screen, the first ones.
        let shown = (area.width / 18).clamp(1, all.len() as u16);
        let width = area.width / shown;
        for ((title, curve, colour), number) in all.into_iter().zip(0..shown) {
            let place = Rect { x: area.x + number * width, width, ..area };
            draw_curve(&title, curve, self.colour(colour), screen, place);
        }
    }

    fn draw_foot(&self, screen: &mut Buffer, area: Rect) {
        match &self.message {
            Some(message) => text(screen, area, message, self.colour(Color::Red)),
            None => text(screen, area, &self.hint(), Style::new().add_modifier(Modifier::DIM)),
        }
    }

    fn hint(&self) -> String {
        match &self.mode {
            Mode::List if !self.list().filter.is_empty() => {
                format!("only lines with \"{}\"   Esc all   ? keys   q leave", self.list().filter)
            }
            Mode::List if self.room == Room::Containers => {
                "l log   e shell   s start/stop   r restart   d remove   / filter   ? keys   q leave"
                    .to_owned()
            }
            Mode::List => "d remove   / filter   ? keys   q leave".to_owned(),
            Mode::Filter => format!("/{}", self.list().filter),
            Mode::Log(_) => "Up, Down, PgUp, PgDn move   G end   q back".to_owned(),
            Mode::Sure(thing) => format!("remove the {} {}? (y/N)", self.room.noun(), thing.name),
            Mode::Help => "any key goes back".to_owned(),
        }
    }
}

/// Where the columns stand that have room, from the left; what is left over is shared by those that take a share.
fn places(columns: &[Column], area: Rect) -> Vec<Rect> {
    let mut taken = 0;
    let fit = columns.iter().take_while(|column| {
        taken += column.least + if taken == 0 { 0 } else { GAP };
        taken <= area.width
    });
    let shown = &columns[..fit.count().max(1)];
    let least: u16 = shown.iter().map(|column| column.least + GAP).sum();
    let left = u32::from((area.width + GAP).saturating_sub(least));
    let shares: u32 = shown.iter().map(|column| u32::from(column.share)).sum();
    let mut at = area.x;
    let place = |column: &Column| {
        let more = left * u32::from(column.share) / shares.max(1);
        // No more than the screen's width, which is one of these.
        let width = (column.least + more as u16).min(area.right().saturating_sub(at));
        let place = Rect { x: at, width, ..area };
        at = at.saturating_add(width + GAP).min(area.right());
        place
    };
    shown.iter().map(place).collect()
}

/// A line of text at the top of a place, cut off at its end.
fn text(screen: &mut Buffer, place: Rect, text: &str, style: Style) {
    let place = place.intersection(screen.area);
    if !place.is_empty() {
        screen.set_stringn(place.x, place.y, text, usize::from(place.width), style);
    }
}

fn lines<'a>(screen: &mut Buffer, area: Rect, all: impl Iterator<Item = &'a str>) {
    for (line, y) in all.zip(area.y..area.bottom()) {
        text(screen, Rect { y, height: 1, ..area }, line, Style::new());
    }
}

/// A box with a title; returns what is in it.
fn frame(screen: &mut Buffer, area: Rect, title: &str) -> Rect {
    let inner = Rect {
        x: area.x + 1,
        y: area.y + 1,
        width: area.width.saturating_sub(2),
        height: area.height.saturating_sub(2),
    };
    let dashes = "─".repeat(usize::from(inner.width));
    let line = |y: u16| Rect { y, height: 1, ..area };
    text(screen, line(area.y), &format!("┌{dashes}┐"), Style::new());
    for y in inner.y..inner.bottom() {
        text(screen, line(y), "│", Style::new());
        text(screen, Rect { x: inner.right(), width: 1, ..line(y) }, "│", Style::new());
    }
    text(screen, line(inner.bottom()), &format!("└{dashes}┘"), Style::new());
    text(screen, Rect { height: 1, y: area.y, ..inner }, title, Style::new());
    inner
}

/// The last points of a curve as bars, of which the highest one is as high as the box.
fn draw_curve(title: &str, curve: &Curve, style: Style, screen: &mut Buffer, area: Rect) {
    const EIGHTHS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
    let inner = frame(screen, area, title);
    let points = curve.tail(usize::from(inner.width));
    let most = points.iter().fold(0.0, |most: f64, point| most.max(*point));
    for (point, x) in points.iter().zip(inner.x..) {
        let height = if most > 0.0 { point / most * f64::from(inner.height) * 8.0 } else { 0.0 };
        for (row, y) in (inner.y..inner.bottom()).rev().enumerate() {
            let eighths = (height - 8.0 * row as f64).clamp(0.0, 8.0).round() as usize;
            text(screen, Rect { x, y, width: 1, height: 1 }, EIGHTHS[eighths], style);
        }
    }
}

fn draw_log(log: &Log, screen: &mut Buffer, area: Rect) {
    let inner = frame(screen, area, &format!("log of {}", log.name));
    lines(screen, inner, log.tail(usize::from(inner.height)));
}

#[cfg(test)]
mod tests;
