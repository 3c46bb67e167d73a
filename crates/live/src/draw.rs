//! The screen: which list, its lines, the meant container's curves, and which keys there are.

use ratatui_core::layout::{Constraint, Layout, Rect};
use ratatui_core::style::{Color, Modifier, Style};
use ratatui_core::terminal::Frame;
use ratatui_core::text::{Line, Span};
use ratatui_widgets::block::Block;
use ratatui_widgets::paragraph::Paragraph;
use ratatui_widgets::sparkline::Sparkline;
use ratatui_widgets::table::{Row, Table, TableState};

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
        let curves = if self.has_curves(area) { CURVES } else { 0 };
        let [head, body, below, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Min(0),
            Constraint::Length(curves),
            Constraint::Length(1),
        ])
        .areas(area);
        self.draw_head(frame, head);
        match &self.mode {
            Mode::Log(log) => draw_log(log, frame, body),
            Mode::Help => frame.render_widget(Paragraph::new(KEYS), body),
            _ => self.draw_list(frame, body),
        }
        if curves > 0 {
            self.draw_curves(frame, below);
        }
        self.draw_foot(frame, foot);
    }

    fn has_curves(&self, area: Rect) -> bool {
        let listed = !matches!(self.mode, Mode::Log(_) | Mode::Help);
        listed && self.room == Room::Containers && area.height >= 2 + LINES + CURVES
    }

    fn colour(&self, colour: Color) -> Style {
        if self.coloured { Style::new().fg(colour) } else { Style::new() }
    }

    fn draw_head(&self, frame: &mut Frame<'_>, area: Rect) {
        let mut line = Line::default();
        for (number, room) in Room::ALL.into_iter().enumerate() {
            let chosen =
                if room == self.room { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
            line.push_span(Span::styled(format!(" {} {} ", number + 1, room.title()), chosen));
        }
        frame.render_widget(line, area);
    }

    fn draw_list(&self, frame: &mut Frame<'_>, area: Rect) {
        let columns = fitting(self.room.columns(), area.width);
        let widths = columns.iter().map(|column| match column.share {
            0 => Constraint::Length(column.least),
            share => Constraint::Fill(share),
        });
        let rows = self.list().shown().map(|thing| self.row(thing, columns.len()));
        let titles = Row::new(columns.iter().map(|column| column.title));
        let table = Table::new(rows, widths)
            .column_spacing(GAP)
            .header(titles.style(Style::new().add_modifier(Modifier::BOLD)))
            .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
        let mut state = TableState::new().with_selected(self.list().place());
        frame.render_stateful_widget(table, area, &mut state);
        if self.list().shown().next().is_none() {
            let none = format!("no {} here", self.room.title().to_lowercase());
            frame
                .render_widget(Line::raw(none), area.intersection(Rect { y: area.y + 1, height: 1, ..area }));
        }
    }

    fn row<'a>(&self, thing: &'a Thing, columns: usize) -> Row<'a> {
        let style = match thing.life {
            Some(Life::Running) => self.colour(Color::Green),
            Some(Life::Paused) => self.colour(Color::Yellow),
            Some(Life::Stopped) => Style::new().add_modifier(Modifier::DIM),
            None => Style::new(),
        };
        Row::new(thing.cells.iter().take(columns).map(String::as_str)).style(style)
    }

    fn draw_curves(&self, frame: &mut Frame<'_>, area: Rect) {
        let Some(curves) = self.curves() else { return };
        let all = [
            (format!("CPU {:.1} %", curves.processor.last()), &curves.processor, Color::Green),
            (format!("Memory {}", (self.size)(curves.memory.last())), &curves.memory, Color::Cyan),
            (format!("Network {}/s", (self.size)(curves.network.last())), &curves.network, Color::Blue),
            (format!("Disk {}/s", (self.size)(curves.disk.last())), &curves.disk, Color::Magenta),
        ];
        // On a narrow screen, the first ones.
        let shown = usize::from(area.width / 18).clamp(1, all.len());
        let places = Layout::horizontal(vec![Constraint::Fill(1); shown]).split(area);
        for ((title, curve, colour), place) in all.into_iter().zip(places.iter()) {
            draw_curve(title, curve, self.colour(colour), frame, *place);
        }
    }

    fn draw_foot(&self, frame: &mut Frame<'_>, area: Rect) {
        let error = self.message.as_deref().map(|message| (message.to_owned(), self.colour(Color::Red)));
        let (text, style) = error.unwrap_or_else(|| (self.hint(), Style::new().add_modifier(Modifier::DIM)));
        frame.render_widget(Line::styled(text, style), area);
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

/// Those that have room, from the left.
fn fitting(columns: &'static [Column], width: u16) -> &'static [Column] {
    let mut taken = 0;
    let fit = columns.iter().take_while(|column| {
        taken += column.least + if taken == 0 { 0 } else { GAP };
        taken <= width
    });
    &columns[..fit.count().max(1)]
}

fn draw_curve(title: String, curve: &Curve, style: Style, frame: &mut Frame<'_>, area: Rect) {
    let block = Block::bordered().title(title);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let points = curve.tail(usize::from(inner.width));
    let mut drawing = Sparkline::default().data(&points).style(style);
    // A course of nothing is no full one.
    if points.iter().all(|point| *point == 0) {
        drawing = drawing.max(1);
    }
    frame.render_widget(drawing, inner);
}

fn draw_log(log: &Log, frame: &mut Frame<'_>, area: Rect) {
    let block = Block::bordered().title(format!("log of {}", log.name));
    let inner = block.inner(area);
    let lines: Vec<Line<'_>> = log.tail(usize::from(inner.height)).map(Line::raw).collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

#[cfg(test)]
mod tests;
