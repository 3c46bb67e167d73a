//! The container's first process, from `clone3` to `execve`: a copy of the caller that sets everything up around itself.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd};

use oci_spec::runtime::{Linux, Process, Spec};
use rustix::fs::{FileType, Mode, OFlags, Uid, fchown, fstat, open};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::system::{setdomainname, sethostname};
use sys::{MountAttributes, Propagation};

use crate::cgroups::{Cgroup, Entrance};
use crate::create::Stdio;
use crate::credentials::{self, Last, Sets};
use crate::devices::{self, Terminal};
use crate::error::{Doing, Fault};
use crate::handshake::{Channel, FromInit, ToInit};
use crate::namespaces::Plan;
use crate::procfs::{Procfs, apply_sysctls};
use crate::program::Program;
use crate::root::Root;
use crate::{Error, Filter, home, masks, mounts};

/// Everything that was read, checked and opened before the `clone3`.
pub(crate) struct Init<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) process: &'a Process,
    pub(crate) linux: &'a Linux,
    pub(crate) sysctls: BTreeMap<String, String>,
    pub(crate) sets: Sets,
    pub(crate) seccomp: Option<&'a Filter>,
    pub(crate) root: BorrowedFd<'a>,
    pub(crate) namespaces: Plan,
    pub(crate) cgroup: &'a Cgroup,
    pub(crate) entrance: Entrance,
    pub(crate) stdio: Stdio,
    pub(crate) channel: Channel,
}

impl Init<'_> {
    /// Never returns: it becomes the program, or says why not and ends.
    pub(crate) fn run(&self) -> ! {
        let error = match self.set_up_and_execute() {
            Ok(never) => match never {},
            Err(error) => error,
        };
        // If nobody hears it, the caller sees the channel close.
        let _ = self.channel.send(&FromInit::Failed(Fault::from(error)), None);
        sys::exit_now(1)
    }

    fn set_up_and_execute(&self) -> Result<Infallible, Error> {
        // Nothing in the container may look into us or take our descriptors until we are its program.
        set_dumpable_behavior(DumpableBehavior::NotDumpable).doing("hide init's memory")?;
        rustix::process::setsid().doing("make a session")?;
        rustix::process::umask(Mode::empty());
        self.entrance.enter()?;
        self.namespaces.join()?;
        if self.namespaces.new_cgroup {
            sys::unshare_cgroup_namespace().doing("make a cgroup namespace")?;
        }
        let (terminal, home) = self.file_systems()?;
        self.kernel_settings()?;
        credentials::limit(self.process.rlimits().as_deref().unwrap_or_default())?;
        let _ = sys::join_new_session_keyring();
        self.standard_streams(terminal)?;
        let last = Last::of(self.process, self.seccomp.is_some());
        credentials::become_user(self.process, self.sets, last)?;
        self.working_directory()?;
        let program = Program::find(self.process, &home)?;
        rustix::process::umask(Mode::from_raw_mode(self.process.user().umask().unwrap_or(0o022)));
        self.wait_for_start()?;
        sys::restore_default_signals();
        sys::set_cloexec_from(3).doing("mark descriptors to be closed")?;
        self.filter_calls(last)?;
        Err(program.execute())
    }

    /// The last thing before the program: the profile is about the program and need not allow what we did until here.
    fn filter_calls(&self, last: Last) -> Result<(), Error> {
        let Some(filter) = self.seccomp else { return Ok(()) };
        last.arm(self.sets)?;
        filter.load()?;
        last.disarm(self.sets)
    }

    /// The terminal, if there is one, and the user's home directory.
    fn file_systems(&self) -> Result<(Option<Terminal>, String), Error> {
        let planned = mounts::plan(self.spec.mounts().as_deref().unwrap_or_default())?;
        make_private()?;
        let root = Root::attach(self.root)?;
        planned.iter().try_for_each(|mount| mount.mount(&root, self.cgroup))?;
        devices::make(&root, self.linux.devices().as_deref().unwrap_or_default())?;
        let owner = self.process.user().uid();
        let terminal = match self.process.terminal() {
            Some(true) => Some(Terminal::open(&root, owner)?),
            _ => None,
        };
        root.ensure_directory(self.process.cwd())?;
        masks::mask(&root, self.linux.masked_paths().as_deref().unwrap_or_default())?;
        masks::make_read_only(&root, self.linux.readonly_paths().as_deref().unwrap_or_default())?;
        root.pivot()?;
        self.root_attributes(&root)?;
        Ok((terminal, home::of(&root, owner)))
    }

    fn root_attributes(&self, root: &Root<'_>) -> Result<(), Error> {
        let read_only = self.spec.root().as_ref().is_some_and(|r| r.readonly() == Some(true));
        let propagation = match self.linux.rootfs_propagation().as_deref() {
            None | Some("" | "private" | "rprivate" | "slave" | "rslave") => None,
            Some("shared" | "rshared") => Some(Propagation::Shared),
            Some("unbindable" | "runbindable") => Some(Propagation::Unbindable),
            Some(other) => return Err(Error::Unsupported(format!("linux.rootfsPropagation: {other}"))),
        };
        if !read_only && propagation.is_none() {
            return Ok(());
        }
        let set = if read_only { sys::READ_ONLY } else { 0 };
        let change = MountAttributes { set, propagation, ..MountAttributes::default() };
        sys::set_mount_attributes(root.fd(), change).doing("set the options of the root file system")
    }

    fn kernel_settings(&self) -> Result<(), Error> {
        if let Some(name) = self.spec.hostname() {
            sethostname(name.as_bytes()).doing("set the host name")?;
        }
        if let Some(name) = self.spec.domainname() {
            setdomainname(name.as_bytes()).doing("set the domain name")?;
        }
        let score = self.process.oom_score_adj();
        if self.sysctls.is_empty() && score.is_none() {
            return Ok(());
        }
        let procfs = Procfs::open()?;
        apply_sysctls(&procfs, &self.sysctls)?;
        if let Some(score) = score {
            procfs.write(&format!("{}/oom_score_adj", std::process::id()), &score.to_string())?;
        }
        Ok(())
    }

    /// Puts the streams at 0, 1 and 2 and gives them to the container's user, who could not reopen them otherwise.
    fn standard_streams(&self, terminal: Option<Terminal>) -> Result<(), Error> {
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
                .send(&FromInit::Console, Some(master.as_fd()))
                .doing("hand the terminal over");
        }
        let uid = Uid::from_raw(self.process.user().uid());
        let streams = [self.stdio.stdin.as_fd(), self.stdio.stdout.as_fd(), self.stdio.stderr.as_fd()];
        for stream in streams {
            let stat = fstat(stream).doing("look at a standard stream")?;
            // The host's /dev/null stays the host's.
            if FileType::from_raw_mode(stat.st_mode) == FileType::Fifo && stat.st_uid != uid.as_raw() {
                fchown(stream, Some(uid), None).doing("give a standard stream to the container's user")?;
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

    fn wait_for_start(&self) -> Result<(), Error> {
        self.channel.send(&FromInit::Ready, None).doing("report that init is ready")?;
        match self.channel.receive::<ToInit>().doing("wait for the start")? {
            Some((ToInit::Exec, _)) => Ok(()),
            // Whoever made us has gone before it wanted us to run.
            None => sys::exit_now(1),
        }
    }
}

/// Nothing that is mounted in here is seen on the host.
fn make_private() -> Result<(), Error> {
    let host =
        open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).doing("open /")?;
    let change = MountAttributes {
        propagation: Some(Propagation::Private),
        recursive: true,
        ..MountAttributes::default()
    };
    sys::set_mount_attributes(host.as_fd(), change).doing("make the mount namespace private")
}

fn redirect(streams: [BorrowedFd<'_>; 3]) -> Result<(), Error> {
    rustix::stdio::dup2_stdin(streams[0]).doing("set standard input")?;
    rustix::stdio::dup2_stdout(streams[1]).doing("set standard output")?;
    rustix::stdio::dup2_stderr(streams[2]).doing("set standard error")
}
