//! A shim is started with all that it needs.

use std::os::fd::{AsFd, OwnedFd};

use super::relief;
use crate::Error;
use crate::containers::identities::Users;
use crate::containers::mounts::{self, Point, volume_of};
use crate::containers::namespaces::Joined;
use crate::containers::record::{Container, Places};
use crate::containers::{Index, Shared, create, foreign, spec};
use crate::networks::Inside;

/// Everything between the record and the shim's first word. Blocking, about a millisecond.
pub(super) fn launch_shim(
    shared: &Shared,
    index: &Index,
    container: &Container,
    (users, interior): (Option<Users>, Option<Inside>),
    kept: &[OwnedFd],
    log: shim::LogConfig,
) -> Result<(shim::Launched, Joined), Error> {
    let places = shared.places(&container.id);
    create::make_folder(&places.volatile, 0o700)?;
    shim::forget_exit(&places.durable)?;
    let mut joined = Joined::open(&container.host, index)?.with_network(interior).with_users(users);
    container.mounts.iter().try_for_each(Point::prepare)?;
    let root = match joined.users() {
        Some(users) => {
            shared.layers.mount_root_for(users.as_fd(), users.root(), &container.layers, &places.durable)?
        }
        None => shared.layers.mount_root(&container.layers, &places.upper(), &places.work())?,
    };
    if spec::has_init(container, &shared.settings) {
        joined.add_source(spec::INIT, shim::program()?);
    }
    for point in container.mounts.iter().filter(|point| volume_of(point).is_some()) {
        shared.volumes.take(&container.id, point, root.as_fd(), shared.layers.limits())?;
        // Where a plugin has it mounted, only that one knows.
        if !point.subpath.is_empty() || point.source.is_empty() {
            joined.add_source(&point.destination, shared.volumes.open_below(point)?);
        }
    }
    for point in container.mounts.iter().filter(|point| point.kind == mounts::Kind::Image) {
        let tree = open_image(shared, point, &places, joined.users())?;
        joined.add_source(&point.destination, tree);
    }
    let mut spec = spec::build(container, root.as_fd(), &places, &shared.settings, &joined)?;
    let runtime = foreign::of(shared, &container.host, &mut spec)?;
    let seccomp = match &runtime {
        None => spec::filter(&container.host, &shared.filters)?.as_deref().cloned(),
        Some(_) => None,
    };
    let ports = container.behind.as_ref().map_or(&container.ports, |behind| &behind.held);
    let doors = crate::networks::doors(ports, &shared.settings.bridge);
    let lent = relief::borrow(shared, index, container)?;
    let doors = crate::networks::open_doors(doors, lent).map_err(Error::Networking)?;
    let (relays, doors): (Vec<_>, Vec<_>) = doors.into_iter().unzip();
    let launch = shim::Launch {
        id: container.id.clone(),
        spec,
        seccomp,
        runtime,
        stdin: match (container.config.open_stdin, container.config.stdin_once) {
            (false, _) => shim::Stdin::Closed,
            (true, false) => shim::Stdin::Open,
            (true, true) => shim::Stdin::Once,
        },
        log,
        run_dir: places.volatile,
        container_dir: places.durable,
        kept: kept.len() as u32,
        relays,
        closed: container.behind.is_some(),
        fleeting: container.host.auto_remove,
    };
    let along: Vec<_> = kept.iter().chain(&doors).map(AsFd::as_fd).collect();
    Ok((shim::launch(&launch, root.as_fd(), &along)?, joined))
}

/// An image's files, or a part of them, as a mount of its own.
fn open_image(
    shared: &Shared,
    point: &Point,
    places: &Places,
    users: Option<&Users>,
) -> Result<OwnedFd, Error> {
    let tree = match users {
        Some(users) => shared.layers.mount_read_only_for(users.as_fd(), &point.layers)?,
        None => shared.layers.mount_read_only(&point.layers)?,
    };
    if point.subpath.is_empty() {
        return Ok(tree);
    }
    let part = sys::part_of_mount(tree.as_fd(), &places.volatile, std::ffi::OsStr::new(&point.subpath));
    part.map_err(|source| {
        let path = std::path::Path::new(&point.name).join(&point.subpath);
        Error::File { doing: "find in the image", path, source }
    })
}
