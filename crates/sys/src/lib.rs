//! System calls that no maintained safe wrapper offers, each turned into a function that is hard to misuse.
//!
//! This is the only crate that says `unsafe`. Everything takes borrowed descriptors and returns owned ones; errors are
//! `io::Error` and the caller says what was being done. What `rustix` has is used from there directly.

mod bpf;
mod clone;
mod fdpass;
mod mount;
mod network;
mod process;
mod seccomp;
mod signal;
mod spawn;

pub use bpf::attach_device_program;
pub use clone::{Cloned, Namespaces, clone3};
pub use fdpass::{receive_with_fd, send_with_fd};
pub use mount::{
    MountAttributes, NO_DEVICES, NO_EXEC, NO_SUID, Propagation, READ_ONLY, bare_mount, set_mount_attributes,
};
pub use network::{enter_new_network, explain_netlink_errors};
pub use process::{
    become_user, exec_at, exec_path, exit_now, forget_program_pages, inherited, join_new_session_keyring,
    set_cloexec_from, unshare_cgroup_namespace, wait_for,
};
pub use seccomp::{SECCOMP_LOG, SECCOMP_SPEC_ALLOW, load_seccomp_filter};
pub use signal::{block_signals, restore_default_signals, send_signal};
pub use spawn::{Spawn, Spawned, spawn};
