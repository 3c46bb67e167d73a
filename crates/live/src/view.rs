//! What is shown, and what keys make of it.

use std::collections::HashMap;

use crate::curves::{Curves, Sample};
use crate::keys::Key;
use crate::log::Log;
use crate::room::{Life, List, Room, Thing};

/// What becomes of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    Start,
    Stop,
    Restart,
    Pause,
    Unpause,
    Remove,
}

/// What is to be done for whoever looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    Leave,
    /// The log of this container is to be passed to [`View::log`].
    Follow(String),
    Unfollow,
    /// A shell in this container is to have the terminal for as long as it runs.
    Shell(String),
    Do(Deed, Room, String),
}

pub(crate) enum Mode {
    List,
    /// What is typed filters the list.
    Filter,
    Log(Log),
    /// Whether this thing is to be removed.
    Sure(Thing),
    Help,
}

/// The state of the screen.
pub struct View {
    pub(crate) room: Room,
    pub(crate) mode: Mode,
    /// What went wrong last.
    pub(crate) message: Option<String>,
    /// How a number of bytes is said.
    pub(crate) size: fn(f64) -> String,
    pub(crate) coloured: bool,
    lists: [List; 4],
    curves: HashMap<String, Curves>,
}

impl View {
    pub fn new(size: fn(f64) -> String, coloured: bool) -> Self {
        Self {
            room: Room::Containers,
            mode: Mode::List,
            message: None,
            size,
            coloured,
            lists: Default::default(),
            curves: HashMap::new(),
        }
    }

    /// What there is now.
    pub fn set(&mut self, room: Room, things: Vec<Thing>) {
        if room == Room::Containers {
            self.curves.retain(|key, _| things.iter().any(|thing| thing.key == *key));
        }
        self.lists[room as usize].set(things);
    }

    /// What a container has used until now.
    pub fn sample(&mut self, key: &str, sample: Sample) {
        self.curves.entry(key.to_owned()).or_default().push(sample);
    }

    /// More of a container's log; what is still on its way of one that was closed is nobody's.
    pub fn log(&mut self, key: &str, text: &str) {
        match &mut self.mode {
            Mode::Log(log) if log.key == key => log.push(text),
            _ => {}
        }
    }

    /// What went wrong; shown until the next key.
    pub fn fail(&mut self, message: String) {
        self.message = Some(message);
    }

    /// The list that is shown.
    pub fn room(&self) -> Room {
        self.room
    }

    pub(crate) fn list(&self) -> &List {
        &self.lists[self.room as usize]
    }

    pub(crate) fn curves(&self) -> Option<&Curves> {
        let meant = self.list().meant().filter(|_| self.room == Room::Containers)?;
        self.curves.get(&meant.key)
    }

    /// What a key asks for, if it isn't for the screen alone.
    pub fn press(&mut self, key: Key) -> Option<Ask> {
        self.message = None;
        if key == Key::Interrupt {
            return Some(Ask::Leave);
        }
        match &mut self.mode {
            Mode::List => self.press_list(key),
            Mode::Filter => {
                self.press_filter(key);
                None
            }
            Mode::Log(log) => {
                let closed = press_log(log, key);
                closed.then(|| self.mode = Mode::List).map(|()| Ask::Unfollow)
            }
            Mode::Sure(thing) => {
                let ask = (matches!(key, Key::Char('y' | 'Y') | Key::Enter))
                    .then(|| Ask::Do(Deed::Remove, self.room, thing.key.clone()));
                self.mode = Mode::List;
                ask
            }
            Mode::Help => {
                self.mode = Mode::List;
                None
            }
        }
    }

    fn press_list(&mut self, key: Key) -> Option<Ask> {
        match key {
            Key::Char('q') => return Some(Ask::Leave),
            Key::Char('?' | 'h') => self.mode = Mode::Help,
            Key::Char('/') => self.mode = Mode::Filter,
            Key::Escape => self.lists[self.room as usize].filter.clear(),
            Key::Tab | Key::Right => self.room = self.room.further(1),
            Key::BackTab | Key::Left => self.room = self.room.further(Room::ALL.len() - 1),
            Key::Char(digit @ '1'..='4') => self.room = Room::ALL[digit as usize - '1' as usize],
            Key::Char('d') | Key::Delete => {
                if let Some(thing) = self.list().meant() {
                    self.mode = Mode::Sure(thing.clone());
                }
            }
            _ if self.step(key) => {}
            _ if self.room == Room::Containers => return self.press_container(key),
            _ => {}
        }
        None
    }

    fn press_container(&mut self, key: Key) -> Option<Ask> {
        let Thing { key: id, name, life, .. } = self.list().meant()?.clone();
        let runs = life == Some(Life::Running);
        let act = |deed| Some(Ask::Do(deed, Room::Containers, id.clone()));
        match key {
            Key::Enter | Key::Char('l') => {
                self.mode = Mode::Log(Log::of(&id, &name));
                Some(Ask::Follow(id))
            }
            Key::Char('e') if runs => Some(Ask::Shell(id)),
            Key::Char('e') => {
                self.fail(format!("{name} doesn't run: s starts it"));
                None
            }
            Key::Char('s') => act(if life == Some(Life::Stopped) { Deed::Start } else { Deed::Stop }),
            Key::Char('r') => act(Deed::Restart),
            Key::Char('p') => act(if life == Some(Life::Paused) { Deed::Unpause } else { Deed::Pause }),
            _ => None,
        }
    }

    /// Whether the key means another line of the list.
    fn step(&mut self, key: Key) -> bool {
        let list = &mut self.lists[self.room as usize];
        let place = list.place();
        list.select(match key {
            Key::Up | Key::Char('k') => place.saturating_sub(1),
            Key::Down | Key::Char('j') => place + 1,
            Key::PageUp => place.saturating_sub(10),
            Key::PageDown => place + 10,
            Key::Home | Key::Char('g') => 0,
            Key::End | Key::Char('G') => usize::MAX,
            _ => return false,
        });
        true
    }

    fn press_filter(&mut self, key: Key) {
        let list = &mut self.lists[self.room as usize];
        match key {
            Key::Enter => self.mode = Mode::List,
            Key::Escape => {
                list.filter.clear();
                self.mode = Mode::List;
            }
            Key::Backspace => {
                list.filter.pop();
            }
            Key::Char(character) if list.filter.len() < 64 => list.filter.push(character),
            _ => {}
        }
    }
}

/// Whether it closes the log.
fn press_log(log: &mut Log, key: Key) -> bool {
    match key {
        Key::Char('q') | Key::Escape | Key::Left => return true,
        Key::Up | Key::Char('k') => log.scroll(1),
        Key::Down | Key::Char('j') => log.scroll(-1),
        Key::PageUp => log.scroll(20),
        Key::PageDown => log.scroll(-20),
        Key::Home | Key::Char('g') => log.scroll(isize::MAX),
        Key::End | Key::Char('G') => log.scroll(isize::MIN),
        _ => {}
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(name: &str, life: Life) -> Thing {
        Thing { key: format!("id-{name}"), name: name.into(), life: Some(life), cells: vec![name.into()] }
    }

    fn view() -> View {
        let mut view = View::new(|bytes| format!("{bytes}B"), false);
        let things = vec![
            container("web", Life::Running),
            container("db", Life::Stopped),
            container("job", Life::Paused),
        ];
        view.set(Room::Containers, things);
        view
    }

    fn press(view: &mut View, keys: &str) -> Vec<Ask> {
        crate::keys::keys(keys.as_bytes()).into_iter().filter_map(|key| view.press(key)).collect()
    }

    fn act(deed: Deed, name: &str) -> Ask {
        Ask::Do(deed, Room::Containers, format!("id-{name}"))
    }

    #[test]
    fn what_a_key_does_depends_on_whether_the_container_runs() {
        let mut view = view();
        assert_eq!(
            press(&mut view, "sprjs"),
            [
                act(Deed::Stop, "web"),
                act(Deed::Pause, "web"),
                act(Deed::Restart, "web"),
                act(Deed::Start, "db"),
            ]
        );
        assert_eq!(press(&mut view, "jp"), [act(Deed::Unpause, "job")]);
        assert_eq!(press(&mut view, "ge"), [Ask::Shell("id-web".into())]);
        assert_eq!(press(&mut view, "je"), []);
        assert_eq!(view.message.as_deref(), Some("db doesn't run: s starts it"));
    }

    #[test]
    fn nothing_is_removed_without_a_yes() {
        let mut view = view();
        assert_eq!(press(&mut view, "dnd\x1bd\x1b[A"), []);
        assert_eq!(press(&mut view, "dy"), [act(Deed::Remove, "web")]);
        // What was asked about is what is removed, whatever the list says by now.
        assert_eq!(press(&mut view, "d"), []);
        view.set(Room::Containers, vec![container("db", Life::Stopped)]);
        assert_eq!(press(&mut view, "y"), [act(Deed::Remove, "web")]);
    }

    #[test]
    fn a_log_is_followed_until_it_is_closed() {
        let mut view = view();
        assert_eq!(press(&mut view, "\r"), [Ask::Follow("id-web".into())]);
        assert_eq!(press(&mut view, "sd"), []);
        view.log("id-web", "one\n");
        assert_eq!(press(&mut view, "q"), [Ask::Unfollow]);
        // The last lines of the one before come late.
        assert_eq!(press(&mut view, "jl"), [Ask::Follow("id-db".into())]);
        view.log("id-web", "late\n");
        view.log("id-db", "two\n");
        let Mode::Log(log) = &view.mode else { panic!("no log is shown") };
        assert_eq!(log.tail(9).collect::<Vec<_>>(), ["two"]);
        assert_eq!(press(&mut view, "qq"), [Ask::Unfollow, Ask::Leave]);
    }

    #[test]
    fn a_filter_is_typed_and_cleared() {
        let mut view = view();
        assert_eq!(press(&mut view, "/dq\x7f\rs"), [act(Deed::Start, "db")]);
        assert_eq!(press(&mut view, "\x1bgs"), [act(Deed::Stop, "web")]);
        assert_eq!(press(&mut view, "/zz\rsd"), []);
        assert_eq!(press(&mut view, "\x03"), [Ask::Leave]);
    }

    #[test]
    fn other_rooms_have_no_shells() {
        let mut view = view();
        let image = Thing { key: "sha".into(), name: "app".into(), life: None, cells: vec!["app".into()] };
        view.set(Room::Images, vec![image]);
        assert_eq!(press(&mut view, "\tesr\rdy"), [Ask::Do(Deed::Remove, Room::Images, "sha".into())]);
        assert_eq!(press(&mut view, "4dy"), []);
        assert_eq!((press(&mut view, "\t"), view.room), (vec![], Room::Containers));
    }
}
