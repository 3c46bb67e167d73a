//! System calls that no maintained safe wrapper offers, each turned into a function that is hard to misuse.
//!
//! This is the only crate that says `unsafe`. Everything takes borrowed descriptors and returns owned ones; errors are
//! `io::Error` and the caller says what was being done. What `rustix` has is used from there directly.

mod adopt;
mod bpf;
mod clone;
mod fdpass;
mod memory;
mod mount;
mod network;
mod owner;
mod process;
mod quota;
mod sched;
mod seccomp;
mod signal;
mod spawn;
mod standing;
mod window;
mod writeback;

pub use adopt::adopt;
pub use bpf::attach_device_program;
pub use clone::{Cloned, Namespaces, clone3, clone3_by_go_between, number_of};
pub use fdpass::{receive_with_fd, send_with_fd};
pub use memory::give_back_memory;
pub use mount::{
    MountAttributes, NO_DEVICES, NO_EXEC, NO_SUID, Propagation, READ_ONLY, bare_mount, enter_new_mounts,
    in_own_mounts, map_ids, part_of_mount, set_mount_attributes,
};
pub use network::{enter_new_network, explain_netlink_errors};
pub use owner::as_owner;
pub use process::{
    become_user, close_all_but, close_inherited, exec_at, exec_path, exit_now, forget_program_pages,
    inherited, is_open, join_new_session_keyring, pass_on, set_cloexec_from, unshare_cgroup_namespace,
    unshare_time_namespace, wait_for,
};
pub use quota::{
    Account, WithinLimits, account, give_to_project, holds_projects, limit_project, next_account, project_of,
    quotas_by_descriptor,
};
pub use sched::{Scheduling, set_io_priority, set_memory_policy, set_personality, set_scheduling};
pub use seccomp::{
    SECCOMP_LOG, SECCOMP_SPEC_ALLOW, SECCOMP_WAIT_KILLABLE, load_seccomp_filter, load_seccomp_listener,
};
pub use signal::{
    SignalDescriptor, block_signals, restore_default_signals, send_signal, with_default_signals,
};
pub use spawn::{Spawn, Spawned, spawn};
pub use standing::in_new_namespaces;
pub use window::Window;
pub use writeback::Writeback;
