//! A person at a terminal: a pseudo-terminal with a program in the foreground, what it shows and what is typed.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::waiting::{DEADLINE, eventually};

/// A program that believes that a person sits before it.
#[derive(Debug)]
pub struct Terminal {
    master: File,
    child: Child,
    shown: Arc<Mutex<String>>,
    /// Says when nobody can write to the terminal any more.
    closed: Receiver<()>,
}

impl Terminal {
    /// Starts `command` (its program, arguments and environment) as the session of a new terminal.
    #[track_caller]
    pub fn start(command: &Command, rows: u16, columns: u16) -> Self {
        let (master, slave) = open().unwrap_or_else(|error| panic!("no pseudo-terminal: {error}"));
        set_size(&master, rows, columns);
        let end = || Stdio::from(slave.try_clone().expect("a second descriptor of the terminal"));
        let mut session = Command::new("setsid");
        session.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args()).env_clear();
        session.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        session.stdin(end()).stdout(end()).stderr(end());
        let child = session.spawn().unwrap_or_else(|error| panic!("{session:?}: {error}"));
        let shown = Arc::new(Mutex::new(String::new()));
        let (close, closed) = mpsc::channel();
        let (copy, mut reader) = (Arc::clone(&shown), master.try_clone().expect("a second descriptor"));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The last program to close the other end makes this fail: the end.
            while let Ok(count) = reader.read(&mut buffer)
                && count > 0
            {
                let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                copy.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
            }
            let _ = close.send(());
        });
        Self { master, child, shown, closed }
    }

    /// Types.
    #[track_caller]
    pub fn type_in(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap_or_else(|error| panic!("cannot type: {error}"));
    }

    /// Changes the window's size, of which the program in the foreground is told.
    pub fn resize(&self, rows: u16, columns: u16) {
        set_size(&self.master, rows, columns);
    }

    /// Everything shown so far.
    pub fn shown(&self) -> String {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `text` was shown.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        eventually(DEADLINE, || {
            let shown = self.shown();
            if shown.contains(text) { Ok(()) } else { Err(shown) }
        });
    }

    /// Waits for the end of the program and of what it shows, and returns its exit code.
    #[track_caller]
    pub fn wait(&mut self) -> Option<i32> {
        let code = eventually(DEADLINE, || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status.code()),
            _ => Err(self.shown()),
        });
        // A program that it left behind may keep the terminal; what that one shows is nobody's business.
        let _ = self.closed.recv_timeout(DEADLINE);
        code
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn open() -> std::io::Result<(File, File)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let path = ptsname(&master, Vec::new())?;
    // Not ours: the session that is started there takes it.
    let slave = {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = rustix::fs::OFlags::NOCTTY.bits().cast_signed();
        OpenOptions::new().read(true).write(true).custom_flags(flags).open(&*path.to_string_lossy())?
    };
    Ok((File::from(master), slave))
}

fn set_size(master: &File, rows: u16, columns: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    if let Err(error) = tcsetwinsize(master, size) {
        panic!("cannot set the terminal's size: {error}");
    }
}
