//! The init that a container can have as its first process (`--init`): it starts the program, passes signals on to it, reaps
//! what others left behind, and ends as the program did.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, WaitOptions, set_child_subreaper, wait};
use sys::SignalDescriptor;

const SIGCHLD: i32 = 17;
/// They are the terminal's word to this process alone.
const SIGTTIN: i32 = 21;
const SIGTTOU: i32 = 22;

/// The role `docker-init -- program …`: returns the program's exit code, or 128 and the signal that ended it.
pub fn main(args: &[OsString]) -> i32 {
    let words = match args {
        [dashes, rest @ ..] if dashes == "--" => rest,
        all => all,
    };
    let Some((program, rest)) = words.split_first() else {
        eprintln!("docker-init: no program is given");
        return 125;
    };
    match run(program, rest) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("docker-init: cannot run {}: {error}", program.display());
            if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }
        }
    }
}

fn run(program: &OsStr, args: &[OsString]) -> io::Result<i32> {
    // Before there is anybody who could end: what comes is kept until it is read.
    let signals = SignalDescriptor::of_all()?;
    // Where another process is the first one, orphans come here all the same.
    let _ = set_child_subreaper(Some(rustix::process::getpid()));
    // A group of its own: what the terminal sends to the foreground is for the program.
    let mut command = Command::new(program);
    command.args(args).process_group(0);
    let child = sys::with_default_signals(&mut command).spawn()?;
    let pid = pid_of(&child)?;
    // Without a terminal there is no foreground.
    let _ = rustix::termios::tcsetpgrp(rustix::stdio::stdin(), pid);
    loop {
        let mut fds = [PollFd::new(&signals, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        while let Some(signal) = signals.next()? {
            match signal {
                SIGCHLD => {
                    if let Some(code) = reap(pid) {
                        return Ok(code);
                    }
                }
                SIGTTIN | SIGTTOU => {}
                other => pass(pid, other),
            }
        }
    }
}

fn pid_of(child: &Child) -> io::Result<Pid> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| io::Error::other("the program has no process number"))
}

/// Lets everybody go who has ended; the exit code, if the program is among them.
fn reap(program: Pid) -> Option<i32> {
    let mut code = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == program {
            let status = ExitStatus::from_raw(status.as_raw());
            code = Some(status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1));
        }
    }
    code
}

/// A program that is gone already hears nothing.
fn pass(program: Pid, signal: i32) {
    let Ok(pidfd) = rustix::process::pidfd_open(program, rustix::process::PidfdFlags::empty()) else {
        return;
    };
    let _ = sys::send_signal(pidfd.as_fd(), signal);
}
