//! The container's first process: a copy of the caller that sets everything up around itself.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd};

use oci_spec::runtime::{Linux, Spec};
use rustix::fs::{Mode, OFlags, open};
use rustix::system::{setdomainname, sethostname};
use sys::{MountAttributes, Propagation};

use crate::cgroups::{Cgroup, Entrance};
use crate::create::WayIn;
use crate::devices::{self, Terminal};
use crate::entry::Entry;
use crate::error::Doing;
use crate::hooks::{HookState, run_hooks};
use crate::mounts::Planned;
use crate::namespaces::Plan;
use crate::procfs::{Procfs, apply_sysctls};
use crate::root::Root;
use crate::waiting::Enter;
use crate::{Error, home, masks};

/// Everything that was read, checked and opened before the `clone3`.
pub(crate) struct Init<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) linux: &'a Linux,
    pub(crate) sysctls: BTreeMap<String, String>,
    pub(crate) root: BorrowedFd<'a>,
    pub(crate) namespaces: &'a Plan,
    pub(crate) mounts: Vec<Planned>,
    /// Whether something has to be done from outside once the namespaces are there.
    pub(crate) outside: bool,
    pub(crate) state: HookState<'a>,
    pub(crate) way_in: WayIn,
    pub(crate) cgroup: &'a Cgroup,
    pub(crate) entrance: Entrance,
    pub(crate) entry: Entry<'a>,
}

impl Enter for Init<'_> {
    fn enter(&self) -> ! {
        match self.set_up_and_execute() {
            Ok(never) => match never {},
            Err(error) => self.entry.fail(error),
        }
    }
}

impl Init<'_> {
    fn set_up_and_execute(&self) -> Result<Infallible, Error> {
        self.entry.hide()?;
        self.entrance.enter()?;
        if self.outside {
            self.entry.wait_for_outside()?;
        }
        if self.namespaces.has_own_users() {
            // What we do to our namespaces is done as their root.
            sys::become_user(0, 0, &[]).doing("become root of the user namespace")?;
        }
        self.namespaces.join()?;
        if self.namespaces.new_cgroup {
            sys::unshare_cgroup_namespace().doing("make a cgroup namespace")?;
        }
        let (terminal, home) = self.file_systems()?;
        self.kernel_settings()?;
        self.entry.become_program(terminal, &home)
    }

    /// The terminal, if there is one, and the user's home directory.
    fn file_systems(&self) -> Result<(Option<Terminal>, String), Error> {
        make_private()?;
        let root = Root::attach(self.root)?;
        self.mounts.iter().try_for_each(|mount| mount.mount(&root, self.cgroup))?;
        let source = match self.namespaces.has_own_users() {
            true => devices::Source::Host,
            false => devices::Source::New,
        };
        devices::make(&root, self.linux.devices().as_deref().unwrap_or_default(), source)?;
        let owner = self.entry.process.user().uid();
        let terminal = match self.entry.process.terminal() {
            Some(true) => Some(Terminal::open(&root, owner)?.at_console(&root)?),
            _ => None,
        };
        root.ensure_directory(self.entry.process.cwd())?;
        masks::mask(&root, self.linux.masked_paths().as_deref().unwrap_or_default())?;
        masks::make_read_only(&root, self.linux.readonly_paths().as_deref().unwrap_or_default())?;
        if let Some(hooks) = self.spec.hooks().as_ref().and_then(|hooks| hooks.create_container().as_deref())
        {
            let pid = Some(std::process::id() as i32);
            run_hooks("createContainer", hooks, &HookState { pid, ..self.state.clone() })?;
        }
        match self.way_in {
            WayIn::Pivot => root.pivot()?,
            WayIn::Chroot => root.chroot()?,
        }
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
        if let Some(name) = self.spec.hostname().as_ref().filter(|name| !name.is_empty()) {
            sethostname(name.as_bytes()).doing("set the host name")?;
        }
        if let Some(name) = self.spec.domainname().as_ref().filter(|name| !name.is_empty()) {
            setdomainname(name.as_bytes()).doing("set the domain name")?;
        }
        let score = self.entry.process.oom_score_adj();
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
    sys::set_mount_attributes(host.as_fd(), change).map_err(|source| match source.raw_os_error() {
        // A root that is not a mount: neither could it be left behind by `pivot_root`.
        Some(number) if number == rustix::io::Errno::INVAL.raw_os_error() => Error::Invalid {
            field: "root",
            why: "can't be changed in a chroot: the engine's own root directory must be a mount (use pivot_root)".into(),
        },
        _ => Error::Setup { doing: "make the mount namespace private".into(), source },
    })
}
