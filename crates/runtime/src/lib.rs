//! From an OCI specification and a root directory's descriptor to a running process.
//!
//! ```text
//! create ── supported? ── cgroups made ── clone3 ─────────────► init (a copy of the caller, single-threaded)
//!   │                                                             joins its cgroups and remaining namespaces
//!   │                                                             attaches the root, mounts, devices, masks, pivots
//!   │                                                             sysctls, limits, credentials, finds the program
//!   │◄──────────────────────────── Console(fd)? Ready | Failed ── waits
//! start ──────────────────────────────────────────────── Exec ──► execve
//!   │◄──────────────────────────────── end of channel | Failed
//! join ──── clone3 ──► go-between: joins process 1's cgroup and namespaces, closes what is the host's
//!   │                      └─ clone3 ─────────────────────────────► guest: goes on as init does from the limits on (`entry`)
//! ```
//!
//! Invariants: no path is resolved inside the container's tree but beneath its root's descriptor; every write to
//! `/proc` goes through a procfs that we mounted ourselves and that is attached nowhere; every descriptor is
//! close-on-exec; a part of the specification that isn't built is refused by name in [`supported`], never ignored.
//!
//! The library does not know images, logs or engines. The caller must be single-threaded, because init is a copy of it.

mod cgroups;
mod create;
mod credentials;
mod devices;
mod entry;
mod error;
mod gate;
mod handshake;
mod home;
mod hooks;
mod identities;
mod init;
mod join;
mod listener;
mod masks;
mod mounts;
mod namespaces;
mod net_devices;
mod procfs;
mod program;
mod root;
mod seccomp;
mod supported;
mod surroundings;
mod waiting;

pub use cgroups::{Cgroup, check_systemd};
pub use create::{Created, Keyring, Manner, Request, Stdio, WayIn, cgroup_path, create};
pub use error::Error;
pub use gate::Gate;
pub use hooks::{HookState, run_hooks};
pub use join::{Joining, join};
pub use seccomp::{Filter, compile as compile_seccomp};
pub use waiting::{Waiting, start};

/// The words that a mount's options may be, for `features`.
pub fn mount_options() -> Vec<String> {
    mounts::option_names()
}

/// The capabilities that there are, for `features`.
pub fn capability_names() -> Vec<String> {
    rustix::thread::CapabilitySet::all().iter_names().map(|(name, _)| format!("CAP_{name}")).collect()
}
