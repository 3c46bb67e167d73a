//! `up --menu`: single keys while a project is followed. Without a terminal there is none.

use std::io::{self, IsTerminal as _, Read as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

use super::report::says;
use crate::call::Call;
use crate::ui;

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// `d`: it runs on without us.
    Detach,
    /// `w`: changes of files are watched from now on, or no longer.
    Watch,
}

/// Keys without their line's end; the terminal is as it was when this is dropped.
pub(super) struct Menu {
    keys: mpsc::UnboundedReceiver<Key>,
    before: Termios,
}

impl Menu {
    /// Where `--menu` or `COMPOSE_MENU` ask for it and somebody sits there.
    pub(super) fn enter(call: &Call) -> Option<Self> {
        let flags = call.flags();
        let wanted = if flags.changed("menu") { flags.bool("menu") } else { says("COMPOSE_MENU") };
        if !wanted || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return None;
        }
        let before = tcgetattr(io::stdin()).ok()?;
        let mut single = before.clone();
        // Ctrl-C stays a signal.
        single.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &single).ok()?;
        let (sender, keys) = mpsc::unbounded_channel();
        // A thread's, because a terminal can't be waited for; it ends with the process.
        std::thread::spawn(move || {
            for key in io::stdin().lock().bytes().map_while(Result::ok) {
                let key = match key {
                    b'd' | b'D' => Key::Detach,
                    b'w' | b'W' => Key::Watch,
                    _ => continue,
                };
                if sender.send(key).is_err() {
                    return;
                }
            }
        });
        ui::err("w Enable Watch   d Detach");
        Some(Self { keys, before })
    }
}

/// The next key; where there is no menu, none ever comes.
pub(super) async fn pressed(menu: &mut Option<Menu>) -> Key {
    if let Some(menu) = menu
        && let Some(key) = menu.keys.recv().await
    {
        return key;
    }
    std::future::pending().await
}

impl Drop for Menu {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}
