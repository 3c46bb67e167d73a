//! The last steps into a container, alike for its first process and for every one that joins it later: limits, streams,
//! user, capabilities, the program. What a process may do is decided here and nowhere else.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use oci_spec::runtime::{Hook, Linux, Process};
use rustix::fs::{FileType, Mode, Uid, fchown, fstat};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use crate::create::{Keyring, Stdio};
use crate::credentials::{self, Last, Sets};
use crate::devices::Terminal;
use crate::error::{Doing, Fault};
use crate::gate::{self, Gate};
use crate::handshake::{Channel, FromInit, ToInit};
use crate::hooks::{HookState, run_hooks};
use crate::listener::Listener;
use crate::program::Program;
use crate::{Error, Filter, surroundings};

/// What a process needs once it is inside.
pub(crate) struct Entry<'a> {
    pub(crate) process: &'a Process,
    pub(crate) sets: Sets,
    pub(crate) seccomp: Option<&'a Filter>,
    pub(crate) listener: Option<Listener>,
    /// What is true of every process of the container.
    pub(crate) linux: Option<&'a Linux>,
    pub(crate) in_user_namespace: bool,
    pub(crate) start_hooks: Option<(&'a [Hook], HookState<'a>)>,
    /// Until they are where the program has them: whoever reads them waits for the last copy to go.
    pub(crate) stdio: Cell<Option<Stdio>>,
    pub(crate) preserved: u32,
    pub(crate) keyring: Keyring,
    pub(crate) gate: Gate,
    /// To whoever made us, and once we are started to whoever did that.
    pub(crate) channel: RefCell<Channel>,
    /// What whoever made us knows us by, where that was asked.
    pub(crate) pid: Cell<i32>,
}

impl Entry<'_> {
    /// The first thing in a new process: nothing in the container may look into us or take our descriptors until we are
    /// its program.
    pub(crate) fn hide(&self) -> Result<(), Error> {
        set_dumpable_behavior(DumpableBehavior::NotDumpable).doing("hide init's memory")?;
        rustix::process::setsid().doing("make a session")?;
        rustix::process::umask(Mode::empty());
        Ok(())
    }

    /// Closes every descriptor but its own and those given: a process that is seen in a container must have none of the
    /// host's. The streams at 0, 1 and 2 are its own from here on.
    pub(crate) fn close_others(&self, mut all: Vec<i32>) -> Result<(), Error> {
        let stdio = self.stdio.take();
        if let Some(stdio) = &stdio {
            let streams = [&stdio.stdin, &stdio.stdout, &stdio.stderr];
            redirect(streams.map(AsFd::as_fd))?;
            all.extend(streams.map(AsRawFd::as_raw_fd));
        }
        self.stdio.set(stdio);
        all.push(self.channel.borrow().as_fd().as_raw_fd());
        all.extend(self.listener.as_ref().map(|listener| listener.as_fd().as_raw_fd()));
        if let Gate::Socket(socket) = &self.gate {
            all.push(socket.as_raw_fd());
        }
        let preserved = 0..self.preserved.saturating_add(3);
        all.extend(preserved.filter_map(|number| i32::try_from(number).ok()));
        sys::close_all_but(&mut all).doing("close what is the host's")
    }

    /// Everything that is left once namespaces, root and cgroup are the container's.
    pub(crate) fn become_program(&self, terminal: Option<Terminal>, home: &str) -> Result<Infallible, Error> {
        credentials::limit(self.process.rlimits().as_deref().unwrap_or_default())?;
        if self.keyring == Keyring::New {
            // A kernel may have none.
            let _ = sys::join_new_session_keyring();
        }
        self.standard_streams(terminal)?;
        surroundings::apply(self.process, self.linux)?;
        let last = Last::of(self.process, self.seccomp.is_some());
        credentials::become_user(self.process, self.sets, last)?;
        self.working_directory()?;
        let program = Program::find(self.process, home)?;
        rustix::process::umask(Mode::from_raw_mode(self.process.user().umask().unwrap_or(0o022)));
        self.wait_for_start()?;
        sys::restore_default_signals();
        if let Some((hooks, state)) = &self.start_hooks {
            let pid = Some(std::process::id() as i32);
            run_hooks("startContainer", hooks, &HookState { status: "created", pid, ..state.clone() })?;
        }
        sys::set_cloexec_from(3).doing("mark descriptors to be closed")?;
        sys::pass_on(3, self.preserved).doing("pass descriptors on")?;
        self.filter_calls(last)?;
        Err(program.execute())
    }

    /// Says why it could not be, and ends.
    pub(crate) fn fail(&self, error: Error) -> ! {
        // If nobody hears it, the caller sees the channel close.
        let _ = self.channel.borrow().send(&FromInit::Failed(Fault::from(error)), None);
        sys::exit_now(1)
    }

    /// The last thing before the program: the profile is about the program and need not allow what we did until here.
    fn filter_calls(&self, last: Last) -> Result<(), Error> {
        let Some(filter) = self.seccomp else { return Ok(()) };
        last.arm(self.sets)?;
        match &self.listener {
            Some(listener) if filter.listens() => listener.tell(&filter.load_listening()?, self.pid.get())?,
            _ => filter.load()?,
        }
        last.disarm(self.sets)
    }

    /// Puts the streams at 0, 1 and 2 and gives them to the container's user, who could not reopen them otherwise.
    fn standard_streams(&self, terminal: Option<Terminal>) -> Result<(), Error> {
        let stdio = self.stdio.take();
        if let Some(Terminal { master, slave }) = terminal {
            if let Some(size) = self.process.console_size() {
                let window = rustix::termios::Winsize {
                    ws_row: size.height().min(u64::from(u16::MAX)) as u16,
                    ws_col: size.width().min(u64::from(u16::MAX)) as u16,
                    ws_xpixel: 0,
                    ws_ypixel: 0,
                };
                rustix::termios::tcsetwinsize(&slave, window).doing("set the terminal's size")?;
            }
            rustix::process::ioctl_tiocsctty(&slave).doing("take the terminal as controlling terminal")?;
            redirect([slave.as_fd(); 3])?;
            return self
                .channel
                .borrow()
                .send(&FromInit::Console, Some(master.as_fd()))
                .doing("hand the terminal over");
        }
        let uid = Uid::from_raw(self.process.user().uid());
        let Some(stdio) = stdio else { return Ok(()) };
        let streams = [stdio.stdin.as_fd(), stdio.stdout.as_fd(), stdio.stderr.as_fd()];
        for stream in streams {
            let stat = fstat(stream).doing("look at a standard stream")?;
            // The host's /dev/null stays the host's.
            if FileType::from_raw_mode(stat.st_mode) == FileType::Fifo && stat.st_uid != uid.as_raw() {
                match fchown(stream, Some(uid), None) {
                    // The stream of a user that this namespace doesn't have: whoever made it sees to it.
                    Err(Errno::PERM | Errno::INVAL) if self.in_user_namespace => {}
                    other => other.doing("give a standard stream to the container's user")?,
                }
            }
        }
        redirect(streams)
    }

    /// As the container's user, who must be allowed to be there; and it must be a place in the container.
    fn working_directory(&self) -> Result<(), Error> {
        let cwd = self.process.cwd();
        rustix::process::chdir(cwd).doing(&format!("change to the working directory {}", cwd.display()))?;
        let reached = rustix::process::getcwd(Vec::new()).doing("verify the working directory")?;
        // The kernel writes `(unreachable)` before a directory outside of our root.
        if !reached.as_bytes().starts_with(b"/") {
            let why = format!("({}) is outside of the container", cwd.display());
            return Err(Error::Invalid { field: "process.cwd", why });
        }
        Ok(())
    }

    /// Says that the namespaces are there, and returns when what is done from outside is done.
    pub(crate) fn wait_for_outside(&self) -> Result<(), Error> {
        let channel = self.channel.borrow();
        channel.send(&FromInit::Made, None).doing("report the namespaces")?;
        match channel.receive::<ToInit>().doing("wait for what is done from outside")? {
            Some((ToInit::Go { pid }, _)) => {
                self.pid.set(pid);
                Ok(())
            }
            _ => sys::exit_now(1),
        }
    }

    fn wait_for_start(&self) -> Result<(), Error> {
        self.channel.borrow().send(&FromInit::Ready, None).doing("report that init is ready")?;
        loop {
            if let Gate::Socket(listening) = &self.gate {
                let connection = gate::accept(listening).doing("wait for the start")?;
                *self.channel.borrow_mut() = Channel::over(connection);
            }
            let heard = self.channel.borrow().receive::<ToInit>();
            match (heard.doing("wait for the start")?, &self.gate) {
                (Some((ToInit::Exec, _)), _) => return Ok(()),
                // Whoever connected thought better of it; another will come.
                (_, Gate::Socket(_)) => {}
                // Whoever made us has gone before it wanted us to run.
                (_, Gate::Maker) => sys::exit_now(1),
            }
        }
    }
}

fn redirect(streams: [BorrowedFd<'_>; 3]) -> Result<(), Error> {
    rustix::stdio::dup2_stdin(streams[0]).doing("set standard input")?;
    rustix::stdio::dup2_stdout(streams[1]).doing("set standard output")?;
    rustix::stdio::dup2_stderr(streams[2]).doing("set standard error")
}
