//! How containers are confined, as far as it isn't namespaces and cgroups: the decision which system calls they may
//! make, and what a client may ask for instead. The runtime does what is decided here.

mod default_calls;
mod filters;
mod options;
mod profile;
mod seccomp;

pub use filters::check;
pub use options::Seccomp;

pub(crate) use filters::Filters;
pub(crate) use options::SecurityOptions;
