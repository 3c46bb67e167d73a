//! Users of a container's own: `--userns private` and `keep-id`.
//!
//! Such a container has 65,536 users and groups that nobody else on the host has. Its layers and volumes keep the owners that
//! they have on disk and are shown to it with its own; what it writes is kept as if it had none.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use layers::{IdMap, Span};
use oci_spec::runtime as rt;
use serde::{Deserialize, Serialize};

use super::config::HostConfig;
use super::foreign;
use crate::Error;

/// The first of the numbers that containers get: far from people's, from those that `useradd` writes into `/etc/subuid`, and
/// from systemd's.
const FIRST: u32 = 0x4000_0000;
/// How many each gets.
const EACH: u32 = 0x1_0000;
/// How many containers can have some.
const RANGES: u32 = 0x2000;

/// Which numbers are a container's, for as long as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identities {
    first: u32,
    /// Somebody who is the same person inside and outside.
    #[serde(default)]
    kept: Option<Kept>,
}

/// A user and a group in the container, and whom they are on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) inside: (u32, u32),
    host: (u32, u32),
}

/// `HostConfig.UsernsMode`: nothing where the container's users are the host's.
pub(super) fn read(mode: &str) -> Result<Option<Option<Kept>>, Error> {
    let invalid = |why: &str| Err(Error::Invalid(format!("invalid user namespace mode: {mode}: {why}")));
    let (kind, options) = mode.split_once(':').unwrap_or((mode, ""));
    match (kind, options) {
        ("" | "host", "") => return Ok(None),
        ("private" | "auto", "") => return Ok(Some(None)),
        ("private" | "auto" | "host" | "", _) => return invalid("it has no options"),
        ("keep-id", _) => {}
        _ => return invalid("it is host, private or keep-id"),
    }
    let (mut inside, mut host) = ((None, None), (None, None));
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let Ok(number) = value.parse::<u32>() else { return invalid("its options are numbers") };
        match name {
            "uid" => inside.0 = Some(number),
            "gid" => inside.1 = Some(number),
            "host-uid" => host.0 = Some(number),
            "host-gid" => host.1 = Some(number),
            _ => return invalid("its options are uid, gid, host-uid and host-gid"),
        }
    }
    let host = (host.0.or(inside.0), host.1.or(inside.1));
    let (Some(uid), Some(gid)) = host else {
        return invalid("an engine doesn't know who its client is: say keep-id:uid=…,gid=…");
    };
    let kept = Kept { inside: (inside.0.unwrap_or(uid), inside.1.unwrap_or(gid)), host: (uid, gid) };
    if uid == 0 || gid == 0 {
        return invalid("it would make the host's root one of the container's users: say private");
    }
    if uid >= FIRST || gid >= FIRST || kept.inside.0 >= EACH || kept.inside.1 >= EACH {
        return invalid("its numbers are too high");
    }
    Ok(Some(Some(kept)))
}

/// Refuses what reaches beyond such a container's own, as dockerd does with its remapped users.
pub(super) fn check(host: &HostConfig) -> Result<(), Error> {
    if read(&host.userns_mode)?.is_none() {
        return Ok(());
    }
    let invalid = |text: &str| Err(Error::Invalid(text.to_owned()));
    if host.privileged {
        return invalid(
            "privileged mode is incompatible with user namespaces.  You must run the container in the host \
             namespace when running privileged mode",
        );
    }
    if host.network_mode == "host" {
        return invalid("cannot share the host's network namespace when user namespaces are enabled");
    }
    if host.pid_mode == "host" {
        return invalid("cannot share the host PID namespace when user namespaces are enabled");
    }
    if host.ipc_mode == "host" {
        return invalid("cannot share the host IPC namespace when user namespaces are enabled");
    }
    let others = [("network", &host.network_mode), ("PID", &host.pid_mode), ("IPC", &host.ipc_mode)];
    if let Some((kind, _)) = others.iter().find(|(_, mode)| mode.starts_with("container:")) {
        let text = format!("cannot join another container's {kind} namespace with users of one's own");
        return invalid(&text);
    }
    if foreign::is_foreign(&host.runtime) {
        let feature = format!("HostConfig.UsernsMode {} with runtime {}", host.userns_mode, host.runtime);
        return Err(Error::Unsupported { feature, instead: Some("leave the runtime out".into()) });
    }
    Ok(())
}

/// The lowest range that none of `taken` is, nor anybody's of `/etc/subuid` and `/etc/subgid`.
pub(super) fn free(taken: impl Fn(u32) -> bool) -> Result<u32, Error> {
    let others: Vec<(u64, u64)> = ["/etc/subuid", "/etc/subgid"].into_iter().flat_map(subordinate).collect();
    let overlaps = |first: u32| {
        let (start, end) = (u64::from(first), u64::from(first) + u64::from(EACH));
        others.iter().any(|(other, count)| start < other.saturating_add(*count) && *other < end)
    };
    let mut ranges = (0..RANGES).map(|number| FIRST + number * EACH);
    ranges
        .find(|first| !taken(*first) && !overlaps(*first))
        .ok_or_else(|| Error::Invalid(format!("{RANGES} containers have users of their own: no more can")))
}

/// Ranges as (first, how many). A line that says something else is nobody's.
fn subordinate(path: &str) -> Vec<(u64, u64)> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let range = |line: &str| {
        let mut fields = line.split(':').skip(1);
        Some((fields.next()?.trim().parse().ok()?, fields.next()?.trim().parse().ok()?))
    };
    text.lines().filter_map(range).collect()
}

impl Identities {
    pub(super) fn new(first: u32, kept: Option<Kept>) -> Self {
        Self { first, kept }
    }

    pub(super) fn first(&self) -> u32 {
        self.first
    }

    /// As whom the container runs if nobody says otherwise.
    pub(super) fn user(&self) -> Option<String> {
        self.kept.map(|Kept { inside: (uid, gid), .. }| format!("{uid}:{gid}"))
    }

    pub(super) fn map(&self) -> IdMap {
        let spans = |kept: Option<(u32, u32)>| match kept {
            None => vec![Span { inside: 0, host: self.first, count: EACH }],
            Some((inside, host)) => {
                let around = [
                    Span { inside: 0, host: self.first, count: inside },
                    Span { inside, host, count: 1 },
                    Span { inside: inside + 1, host: self.first + inside + 1, count: EACH - inside - 1 },
                ];
                around.into_iter().filter(|span| span.count > 0).collect()
            }
        };
        let kept = self.kept;
        IdMap::new(
            spans(kept.map(|kept| (kept.inside.0, kept.host.0))),
            spans(kept.map(|kept| (kept.inside.1, kept.host.1))),
        )
    }

    /// Makes the user namespace, and a network that belongs to it.
    pub(super) fn namespaces(&self) -> Result<Users, Error> {
        let map = self.map();
        let (users, groups) = map.tables();
        let wanted = sys::Namespaces { user: true, network: true, ..sys::Namespaces::default() };
        let made = sys::in_new_namespaces(wanted, |pid| {
            fs::write(format!("/proc/{pid}/uid_map"), users)?;
            fs::write(format!("/proc/{pid}/gid_map"), groups)?;
            let open = |name: &str| fs::File::open(format!("/proc/{pid}/ns/{name}")).map(OwnedFd::from);
            Ok((open("user")?, open("net")?))
        });
        let (namespace, network) =
            made.map_err(|source| Error::System { doing: "make a user namespace", source })?;
        Ok(Users { map, namespace, network })
    }
}

/// A container's users while it is started.
#[derive(Debug)]
pub(super) struct Users {
    map: IdMap,
    namespace: OwnedFd,
    /// A network in which they may do what root may.
    pub(super) network: OwnedFd,
}

impl Users {
    /// Whom the host knows the container's root as.
    pub(super) fn root(&self) -> (u32, u32) {
        self.map.on_host(0, 0)
    }

    /// Shows a mount's owners as the container's, after what the mount itself says of them.
    pub(super) fn show(&self, mount: &mut rt::Mount) {
        let own = (mount.uid_mappings().clone(), mount.gid_mappings().clone());
        mount
            .set_uid_mappings(Some(composed(own.0, self.map.users())))
            .set_gid_mappings(Some(composed(own.1, self.map.groups())));
    }

    /// Whom the host knows its users as, for a runtime that finds the namespace made.
    pub(super) fn tell(&self, linux: &mut rt::Linux) {
        linux
            .set_uid_mappings(Some(composed(None, self.map.users())))
            .set_gid_mappings(Some(composed(None, self.map.groups())));
    }
}

impl AsFd for Users {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }
}

/// From disk to container, then from container to host. Whoever the second doesn't know falls away.
fn composed(first: Option<Vec<rt::LinuxIdMapping>>, second: &[Span]) -> Vec<rt::LinuxIdMapping> {
    let first = match first {
        Some(first) => first.iter().map(|map| (map.container_id(), map.host_id(), map.size())).collect(),
        None => vec![(0, 0, u32::MAX)],
    };
    let mut composed = Vec::new();
    for (disk, inside, count) in first {
        for span in second {
            let start = inside.max(span.inside);
            let end = inside.saturating_add(count).min(span.inside.saturating_add(span.count));
            if start < end {
                let builder = rt::LinuxIdMappingBuilder::default()
                    .container_id(disk + (start - inside))
                    .host_id(span.host + (start - span.inside))
                    .size(end - start);
                // With all three given there is nothing that the builder could miss.
                composed.extend(builder.build().ok());
            }
        }
    }
    composed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn triples(maps: &[rt::LinuxIdMapping]) -> Vec<(u32, u32, u32)> {
        maps.iter().map(|map| (map.container_id(), map.host_id(), map.size())).collect()
    }

    #[test]
    fn modes_are_what_clients_write() {
        assert_eq!(read("").unwrap(), None);
        assert_eq!(read("host").unwrap(), None);
        assert_eq!(read("private").unwrap(), Some(None));
        assert_eq!(read("auto").unwrap(), Some(None));
        let kept = |inside, host| Some(Some(Kept { inside, host }));
        assert_eq!(read("keep-id:uid=1000,gid=100").unwrap(), kept((1000, 100), (1000, 100)));
        let other = "keep-id:uid=7,gid=8,host-uid=1000,host-gid=100";
        assert_eq!(read(other).unwrap(), kept((7, 8), (1000, 100)));
        for wrong in [
            "foo",
            "auto:size=3",
            "keep-id",
            "keep-id:uid=0,gid=5",
            "keep-id:uid=70000,gid=70000",
            "keep-id:uid=x,gid=1",
            "keep-id:size=1,uid=1,gid=1",
            "host:1",
        ] {
            assert!(read(wrong).unwrap_err().to_string().contains(wrong), "{wrong}");
        }
    }

    #[test]
    fn who_is_kept_is_the_same_and_all_others_are_not() {
        let kept = Kept { inside: (7, 0), host: (1000, 1001) };
        let map = Identities::new(FIRST, Some(kept)).map();
        assert_eq!(map.on_host(7, 0), (1000, 1001));
        assert_eq!(map.on_host(0, 1), (FIRST, FIRST + 1));
        assert_eq!(map.on_host(8, 65535), (FIRST + 8, FIRST + 65535));
        assert_eq!(map.groups().len(), 2);
    }

    #[test]
    fn ranges_are_taken_once() {
        assert_eq!(free(|_| false).unwrap(), FIRST);
        assert_eq!(free(|first| first < FIRST + 3 * EACH).unwrap(), FIRST + 3 * EACH);
        assert!(free(|_| true).is_err());
    }

    #[test]
    fn an_exchange_of_owners_goes_before_the_containers_own() {
        let spans = [Span { inside: 0, host: 5000, count: 100 }];
        assert_eq!(triples(&composed(None, &spans)), [(0, 5000, 100)]);
        let swap: Vec<_> = [(0u32, 9u32, 1u32), (1, 1, 8), (9, 0, 1), (10, 10, 1000)]
            .into_iter()
            .map(|(disk, inside, count)| {
                let builder = rt::LinuxIdMappingBuilder::default();
                builder.container_id(disk).host_id(inside).size(count).build().unwrap()
            })
            .collect();
        let both = composed(Some(swap), &spans);
        assert_eq!(triples(&both), [(0, 5009, 1), (1, 5001, 8), (9, 5000, 1), (10, 5010, 90)]);
    }
}
