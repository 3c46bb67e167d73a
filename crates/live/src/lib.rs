//! A machine's containers, images, networks and volumes on one screen, as they change.
//!
//! Nothing here knows an engine or a terminal: a [`View`] is told what there is and which keys were pressed, says what
//! is to be done ([`Ask`]), and draws itself.

mod curves;
mod draw;
mod keys;
mod log;
mod room;
mod screen;
mod view;

pub use curves::Sample;
pub use keys::{Key, keys};
pub use room::{Life, Room, Thing};
pub use screen::Screen;
pub use view::{Ask, Deed, View};

/// A view on a terminal.
pub type Terminal<W> = ratatui_core::terminal::Terminal<Screen<W>>;
