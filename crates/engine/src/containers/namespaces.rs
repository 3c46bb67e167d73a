//! Whose namespaces a container lives in: its own, the host's, or another container's.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use oci_spec::runtime::LinuxNamespaceType as Kind;
use rustix::fs::{Mode as FileMode, OFlags, ResolveFlags, open, openat2};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::config::{Config, HostConfig};
use super::exec::root_of;
use super::identities::Users;
use super::state::State;
use super::{Index, View};
use crate::Error;
use crate::networks::Inside;

/// A namespace mode as clients write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode<'a> {
    /// The default: one of its own.
    Own,
    None,
    Shareable,
    Host,
    Of(&'a str),
}

impl<'a> Mode<'a> {
    fn read(text: &'a str) -> Option<Self> {
        Some(match text {
            "" | "private" => Self::Own,
            "none" => Self::None,
            "shareable" => Self::Shareable,
            "host" => Self::Host,
            _ => Self::Of(text.strip_prefix("container:").filter(|name| !name.is_empty())?),
        })
    }
}

/// Checks the modes, and writes containers' names as their ids: a name may be another's later.
pub(super) fn settle(host: &mut HostConfig, config: &Config, index: &Index) -> Result<(), Error> {
    let invalid = |kind: &str, text: &str| Err(Error::Invalid(format!("invalid {kind} mode: {text}")));
    if host.ipc_mode.is_empty() {
        "private".clone_into(&mut host.ipc_mode);
    }
    if Mode::read(&host.ipc_mode).is_none() {
        return invalid("IPC", &host.ipc_mode);
    }
    if !matches!(host.pid_mode.as_str(), "" | "host") && !is_other(&host.pid_mode) {
        return invalid("PID", &host.pid_mode);
    }
    if !matches!(host.uts_mode.as_str(), "" | "host") {
        return invalid("UTS", &host.uts_mode);
    }
    if host.uts_mode == "host" && !config.hostname.is_empty() {
        return Err(Error::Invalid("conflicting options: hostname and the UTS mode".into()));
    }
    if is_other(&host.network_mode) {
        refuse_with_anothers_network(host, config)?;
    }
    for mode in [&mut host.ipc_mode, &mut host.pid_mode, &mut host.network_mode] {
        if let Some(Mode::Of(name)) = Mode::read(mode) {
            // Not "not found": of a create, clients take that for the image's absence.
            let other = index.get(name).map_err(|error| Error::Invalid(error.to_string()))?;
            *mode = format!("container:{}", other.id());
        }
    }
    Ok(())
}

/// What belongs to the network's owner.
fn refuse_with_anothers_network(host: &HostConfig, config: &Config) -> Result<(), Error> {
    let given = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    let conflicts = [
        (!config.hostname.is_empty(), "hostname and the network mode"),
        (
            given(&host.links),
            "container type network can't be used with links. This would result in undefined behavior",
        ),
        (given(&host.dns), "dns and the network mode"),
        (given(&host.extra_hosts), "custom host-to-IP mapping and the network mode"),
        (
            host.port_bindings.as_ref().is_some_and(|ports| !ports.is_empty()) || host.publish_all_ports,
            "port publishing and the container type network mode",
        ),
        (
            config.exposed_ports.as_ref().is_some_and(|ports| !ports.is_empty()),
            "port exposing and the container type network mode",
        ),
    ];
    match conflicts.into_iter().find(|(broken, _)| *broken) {
        Some((_, what)) => Err(Error::Invalid(format!("conflicting options: {what}"))),
        None => Ok(()),
    }
}

fn is_other(mode: &str) -> bool {
    matches!(Mode::read(mode), Some(Mode::Of(_)))
}

/// The container that a mode names.
pub(super) fn other(mode: &str) -> Option<&str> {
    match Mode::read(mode) {
        Some(Mode::Of(id)) => Some(id),
        _ => None,
    }
}

/// Whether others may join its IPC namespace, in dockerd's reading.
fn shares_ipc(host: &HostConfig) -> bool {
    !matches!(Mode::read(&host.ipc_mode), Some(Mode::Own | Mode::None) | None)
}

/// Namespaces of other containers, held open until they are joined: by its number alone, a process that has ended could
/// be mistaken for its successor.
#[derive(Debug, Default)]
pub(super) struct Joined {
    namespaces: Vec<(Kind, OwnedFd)>,
    users: Option<Users>,
    /// With an IPC namespace goes what is shared in it through `/dev/shm`.
    shared_memory: Option<OwnedFd>,
    /// What is mounted at a place in the container, where a path could lead elsewhere.
    sources: Vec<(String, OwnedFd)>,
}

impl Joined {
    /// Opens what the modes name. The containers must run.
    pub(super) fn open(host: &HostConfig, index: &Index) -> Result<Self, Error> {
        let mut joined = Self::default();
        for (mode, kind, file) in [
            (&host.ipc_mode, Kind::Ipc, "ipc"),
            (&host.pid_mode, Kind::Pid, "pid"),
            (&host.network_mode, Kind::Network, "net"),
        ] {
            let Some(id) = other(mode) else { continue };
            let donor = index.get(id)?.view();
            joined.namespaces.push((kind, namespace(&donor, kind, file)?));
            if kind == Kind::Ipc {
                joined.shared_memory = shared_memory_of(&donor)?;
            }
        }
        Ok(joined)
    }

    /// Users of its own.
    pub(super) fn with_users(mut self, users: Option<Users>) -> Self {
        self.users = users;
        self
    }

    pub(super) fn users(&self) -> Option<&Users> {
        self.users.as_ref()
    }

    /// A network that is its own and was made before it.
    pub(super) fn with_network(mut self, interior: Option<Inside>) -> Self {
        self.namespaces.extend(interior.map(|interior| (Kind::Network, interior.into())));
        self
    }

    /// Where the runtime finds one of them, for as long as this lives.
    pub(super) fn path(&self, kind: Kind) -> Option<String> {
        if kind == Kind::User {
            return self.users.as_ref().map(|users| ours(&users.as_fd()));
        }
        let (_, fd) = self.namespaces.iter().find(|(known, _)| *known == kind)?;
        Some(ours(fd))
    }

    /// Has this mounted at a place in the container.
    pub(super) fn add_source(&mut self, destination: &str, source: OwnedFd) {
        self.sources.push((destination.to_owned(), source));
    }

    pub(super) fn source(&self, destination: &str) -> Option<String> {
        self.sources.iter().find(|(known, _)| known == destination).map(|(_, fd)| ours(fd))
    }

    /// Likewise another container's `/dev/shm`.
    pub(super) fn shared_memory(&self) -> Option<String> {
        self.shared_memory.as_ref().map(ours)
    }
}

fn ours(fd: &impl AsRawFd) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), fd.as_raw_fd())
}

/// The mount itself: it is in the donor's mount namespace alone. One whose `/dev/shm` is the host's or nothing gives none.
fn shared_memory_of(donor: &View) -> Result<Option<OwnedFd>, Error> {
    let failed = |source| Error::System { doing: "share the other container's /dev/shm", source };
    let Some(live) = donor.container.state.live() else { return Ok(None) };
    let root = root_of(live.pid).map_err(failed)?;
    let (flags, resolve) = (OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, ResolveFlags::IN_ROOT);
    let found = openat2(&root, "dev/shm", flags, FileMode::empty(), resolve).map_err(|e| failed(e.into()))?;
    let pid = Pid::from_raw(live.pid).ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(|e| failed(e.into()))?;
    sys::bare_mount(pidfd.as_fd(), found.as_fd()).map(Some).map_err(failed)
}

fn namespace(donor: &View, kind: Kind, file: &str) -> Result<OwnedFd, Error> {
    let container = &donor.container;
    let refused = |why: String| match kind {
        Kind::Ipc => Error::Join(format!("failed to join IPC namespace: {why}")),
        Kind::Pid => Error::Join(format!("failed to join PID namespace: {why}")),
        _ => Error::Join(format!("cannot join network namespace of a non running container: {why}")),
    };
    let not_running = || match kind {
        Kind::Network => refused(format!("container {} is {}", container.name, container.state.word())),
        _ => refused(format!("container {} is not running", container.id)),
    };
    if let State::Restarting { .. } = container.state.shown() {
        return Err(Error::IsRestarting(container.id.clone()));
    }
    let live = container.state.live().ok_or_else(not_running)?;
    if kind == Kind::Ipc && !shares_ipc(&container.host) {
        let hint = "non-shareable IPC (hint: use IpcMode:shareable for the donor container)";
        return Err(refused(format!("container {}: {hint}", container.id)));
    }
    open_of(live.pid, file).map_err(|_| not_running())
}

/// A namespace of a process that is alive, as the same one, after it was opened.
fn open_of(pid: i32, file: &str) -> std::io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or(std::io::ErrorKind::NotFound)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let path = format!("/proc/{}/ns/{file}", pid.as_raw_nonzero());
    let namespace = open(path, OFlags::RDONLY | OFlags::CLOEXEC, FileMode::empty())?;
    sys::send_signal(pidfd.as_fd(), 0)?;
    Ok(namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_what_clients_write() {
        for (text, mode) in [
            ("", Some(Mode::Own)),
            ("private", Some(Mode::Own)),
            ("host", Some(Mode::Host)),
            ("shareable", Some(Mode::Shareable)),
            ("container:a", Some(Mode::Of("a"))),
            ("container:", None),
            ("foo", None),
        ] {
            assert_eq!(Mode::read(text), mode, "{text}");
        }
    }
}
