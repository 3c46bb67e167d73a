//! What is mounted into a container beside what every container has: `-v`, `--mount`, `--tmpfs`, `VOLUME`, and the mounts
//! of another container.
//!
//! What was asked for stays in the configuration as it was asked; what it comes to is a [`Point`] each, decided when the
//! container is made.

mod owners;
mod request;
mod tmpfs;

use std::fs;
use std::path::{Component, Path, PathBuf};

use oci::Digest;
use oci_spec::runtime as rt;
use serde::{Deserialize, Serialize};

pub use request::Mount;
use request::{Spec, bind, requested};

use super::Index;
use super::config::{Config, HostConfig, Labels};
use super::namespaces::Joined;
use crate::Error;
use crate::images::Images;
use crate::settings::Settings;

/// What kind of thing is mounted; the API's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Bind,
    Volume,
    Tmpfs,
    Image,
}

/// One place in a container and what is mounted there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    pub kind: Kind,
    /// The volume's, or the image's as it was asked for.
    #[serde(default)]
    pub name: String,
    /// On the host; empty for memory, and an image's id.
    pub source: String,
    pub destination: String,
    /// As it was asked for: `ro,z`.
    pub mode: String,
    pub writable: bool,
    pub propagation: String,
    /// Mounts below the source come with it.
    pub recursive: bool,
    /// If it is read-only, that is not so with mounts below the source.
    #[serde(default)]
    pub shallow: bool,
    /// A source that isn't there is made.
    pub ensure_source: bool,
    /// What the image has at the destination is copied into an empty volume.
    pub copy_up: bool,
    /// Whether `inspect` lists it among the mounts: what `--tmpfs` asked for it does not.
    pub listed: bool,
    /// The file system's own, for memory.
    #[serde(default)]
    pub options: Vec<String>,
    /// Only this part of the volume or image.
    #[serde(default)]
    pub subpath: String,
    /// The container's user and its owner change places.
    #[serde(default)]
    pub id_map: bool,
    /// What the volume is made with if it isn't there.
    #[serde(default)]
    pub make: Making,
    /// The layers of the image that is mounted, lowest first.
    #[serde(default)]
    pub layers: Vec<Digest>,
}

/// What a volume is made with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Making {
    /// Empty for the engine's own.
    #[serde(default)]
    pub driver: String,
    pub options: Option<Labels>,
    pub labels: Option<Labels>,
    /// Nobody named it.
    pub anonymous: bool,
}

/// What a request comes to, in the order in which it is mounted. New volumes are not made yet.
pub(super) fn settle(
    config: &mut Config,
    host: &HostConfig,
    image_volumes: impl Iterator<Item = String>,
    index: &Index,
    images: &Images,
    settings: &Settings,
) -> Result<Vec<Point>, Error> {
    let mut points: Vec<Point> = Vec::new();
    for from in host.volumes_from.iter().flatten() {
        // What is mounted by itself wins over what comes with another container.
        for point in of_another(from, index)? {
            points.retain(|known| known.destination != point.destination);
            points.push(point);
        }
    }
    let inherited = points.len();
    for text in host.binds.iter().flatten() {
        let mut spec = bind(text)?;
        spec.make.driver.clone_from(&host.volume_driver);
        add(&mut points, inherited, spec.point(settings)?)?;
    }
    for mount in host.mounts.iter().flatten() {
        let mut point = requested(mount)?.point(settings)?;
        if point.kind == Kind::Image {
            point.choose_image(images)?;
        }
        add(&mut points, inherited, point)?;
    }
    for (destination, options) in host.tmpfs.iter().flatten() {
        let point = tmpfs::point(destination, options)?;
        add(&mut points, inherited, point)?;
    }
    for destination in image_volumes {
        config.volumes.get_or_insert_default().entry(destination).or_default();
    }
    for destination in config.volumes.iter().flatten().map(|(destination, _)| clean(destination)) {
        if points.iter().any(|point| point.destination == destination) {
            continue;
        }
        let mut spec = Spec { volume: true, destination, copy_up: true, ..Spec::default() };
        spec.make.driver.clone_from(&host.volume_driver);
        points.push(spec.point(settings)?);
    }
    points.sort_by_key(|point| Path::new(&point.destination).components().count());
    Ok(points)
}

fn add(points: &mut Vec<Point>, inherited: usize, point: Point) -> Result<(), Error> {
    match points.iter().position(|known| known.destination == point.destination) {
        Some(at) if at < inherited => points[at] = point,
        Some(_) => return Err(Error::Invalid(format!("Duplicate mount point: {}", point.destination))),
        None => points.push(point),
    }
    Ok(())
}

/// `--volumes-from web:ro`.
fn of_another(text: &str, index: &Index) -> Result<Vec<Point>, Error> {
    let (name, mode) = text.split_once(':').unwrap_or((text, "rw"));
    let mode_is_known = mode.split(',').all(|word| matches!(word, "ro" | "rw" | "z" | "Z"));
    if name.is_empty() || !mode_is_known {
        return Err(Error::Invalid(format!("invalid mode: {mode}")));
    }
    // Not "not found": of a create, clients take that for the image's absence.
    let view = index.get(name).map_err(|error| Error::Invalid(error.to_string()))?.view();
    let read_only = mode.split(',').any(|word| word == "ro");
    let points = view.container.mounts.iter().filter(|point| point.kind != Kind::Tmpfs);
    Ok(points
        .map(|point| Point { writable: point.writable && !read_only, copy_up: false, ..point.clone() })
        .collect())
}

/// A path in the container without `.`, `..` and doubled slashes.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => parts.extend(name.to_str()),
            Component::ParentDir => drop(parts.pop()),
            _ => {}
        }
    }
    format!("/{}", parts.join("/"))
}

impl Point {
    /// The image that its name means now: another one may get the name later.
    fn choose_image(&mut self, images: &Images) -> Result<(), Error> {
        // Not "not found": of a create, clients take that for the absence of the container's own image.
        let image = images.get_on(&self.name, None).map_err(|error| Error::Invalid(error.to_string()))?;
        self.source = image.id.as_str().to_owned();
        self.layers.clone_from(&image.config.rootfs.diff_ids);
        Ok(())
    }

    /// Makes what has to be there. Blocking.
    pub(super) fn prepare(&self) -> Result<(), Error> {
        if self.kind == Kind::Tmpfs {
            return self.options.iter().try_for_each(|word| tmpfs::check(word));
        }
        if self.kind != Kind::Bind || !self.ensure_source || fs::symlink_metadata(&self.source).is_ok() {
            return Ok(());
        }
        let path = PathBuf::from(&self.source);
        fs::create_dir_all(&path).map_err(|source| Error::File {
            doing: "create the bind's source",
            path,
            source,
        })
    }

    /// As the runtime is told, for a container of this user.
    pub(super) fn spec_for(&self, joined: &Joined, user: Option<(u32, u32)>) -> Result<rt::Mount, Error> {
        let mut mount = self.spec(joined);
        if let Some(user) = user.filter(|_| self.id_map) {
            owners::exchange(&mut mount, user)?;
        }
        // A volume belongs to those who use it. What is the host's stays the host's, unless it is asked for.
        if let Some(users) = joined.users()
            && (self.kind == Kind::Volume || self.id_map)
        {
            users.show(&mut mount);
        }
        Ok(mount)
    }

    fn spec(&self, joined: &Joined) -> rt::Mount {
        let mut mount = rt::Mount::default();
        mount.set_destination(self.destination.clone().into());
        let access = if self.writable { "rw" } else { "ro" };
        if self.kind == Kind::Tmpfs {
            let mut options: Vec<String> = ["noexec", "nosuid", "nodev"].map(str::to_owned).into();
            options.extend(self.options.iter().cloned());
            if !self.writable {
                options.push(access.to_owned());
            }
            mount
                .set_typ(Some("tmpfs".to_owned()))
                .set_source(Some("tmpfs".into()))
                .set_options(Some(options));
            return mount;
        }
        let how = if self.recursive { "rbind" } else { "bind" };
        let propagation = if self.propagation.is_empty() { "rprivate" } else { &self.propagation };
        // What can't be written to can't be written to by what is mounted below it either.
        let access = if self.writable || self.shallow { access } else { "rro" };
        let options = [how, access, propagation].map(str::to_owned).into();
        mount
            .set_typ(Some("bind".to_owned()))
            .set_source(Some(joined.source(&self.destination).unwrap_or_else(|| self.source.clone()).into()))
            .set_options(Some(options));
        mount
    }
}

/// The volume that a point is on, if it is on one.
pub(super) fn volume_of(point: &Point) -> Option<&str> {
    (point.kind == Kind::Volume).then_some(point.name.as_str())
}

/// A volume's point without a name gets a volume of its own.
fn place(spec: &mut Spec, settings: &Settings) -> String {
    if spec.name.is_empty() {
        spec.name = crate::id::container_id();
        spec.make.anonymous = true;
    }
    settings.data_root.join("volumes").join(&spec.name).join("_data").display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_go_does() {
        for (path, cleaned) in [("/a//b/./c/../d/", "/a/b/d"), ("x", "/x"), ("/../..", "/")] {
            assert_eq!(clean(path), cleaned);
        }
    }
}
