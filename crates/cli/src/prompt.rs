//! Questions to whoever sits at the input.

use std::io::{self, BufRead as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::error::Error;
use crate::interrupt;
use crate::ui;

/// Whether what is typed is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Echo {
    Yes,
    No,
}

/// Asks for one line; its blanks at both ends are taken off.
pub(crate) async fn line(question: &str, echo: Echo) -> Result<String, Error> {
    // Before anybody can see the question: a Ctrl-C at once must not leave the terminal as it is made here.
    let mut interrupts = interrupt::listen()?;
    let _silent = (echo == Echo::No).then(Silent::enter).flatten();
    ui::out(question)?;
    // A thread's, because a terminal can't be waited for together with signals. It may outlive the question.
    let read = tasks::blocking(|| {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    tokio::select! {
        read = read => {
            let read = read.unwrap_or_else(|e| Err(io::Error::other(e)));
            Ok(read.map_err(|e| Error::Io("read the answer", e))?.trim().to_owned())
        }
        _ = interrupts.recv() => {
            ui::out("\n")?;
            Err(Error::Interrupted)
        }
    }
}

/// Asks for consent; anything but a `y` is none.
pub(crate) async fn confirm(question: &str) -> Result<bool, Error> {
    Ok(line(&format!("{question} [y/N] "), Echo::Yes).await?.eq_ignore_ascii_case("y"))
}

/// A terminal that doesn't show what is typed; as it was when this is dropped.
struct Silent(Termios);

impl Silent {
    fn enter() -> Option<Self> {
        let before = tcgetattr(io::stdin()).ok()?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &silent).ok()?;
        Some(Self(before))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
