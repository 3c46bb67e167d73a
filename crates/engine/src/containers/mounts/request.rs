//! `-v` and `--mount` as clients write them, checked in dockerd's words.

use std::path::Component;

use serde::{Deserialize, Serialize};

use super::{Kind, Making, Point, clean, place, tmpfs};
use crate::Error;
use crate::containers::config::Labels;
use crate::settings::Settings;

/// `HostConfig.Mounts`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Mount {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub r#type: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// Ours: the container's user and the source's owner change places.
    #[serde(rename = "IDMap", skip_serializing_if = "std::ops::Not::not")]
    pub id_map: bool,
    /// For other systems than Linux; it changes nothing here.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub consistency: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind_options: Option<BindOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_options: Option<VolumeOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_options: Option<ImageOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmpfs_options: Option<TmpfsOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_options: Option<serde_json::Value>,
}

/// `Mount.BindOptions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BindOptions {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub propagation: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub non_recursive: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub create_mountpoint: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only_non_recursive: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only_force_recursive: bool,
}

/// `Mount.VolumeOptions`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeOptions {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_copy: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subpath: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver_config: Option<DriverConfig>,
}

/// `Mount.VolumeOptions.DriverConfig`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DriverConfig {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<Labels>,
}

/// `Mount.ImageOptions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageOptions {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subpath: String,
}

/// `Mount.TmpfsOptions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TmpfsOptions {
    #[serde(skip_serializing_if = "is_zero")]
    pub size_bytes: i64,
    #[serde(skip_serializing_if = "is_none")]
    pub mode: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<Vec<String>>,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

fn is_none(mode: &u32) -> bool {
    *mode == 0
}

/// A bind or a volume, understood.
#[derive(Debug, Clone, Default)]
pub(super) struct Spec {
    pub(super) volume: bool,
    pub(super) name: String,
    pub(super) source: String,
    pub(super) destination: String,
    pub(super) mode: String,
    pub(super) read_only: bool,
    pub(super) propagation: String,
    pub(super) flat: bool,
    pub(super) shallow: bool,
    pub(super) id_map: bool,
    pub(super) ensure_source: bool,
    pub(super) copy_up: bool,
    pub(super) tmpfs: Option<Vec<String>>,
    pub(super) image: bool,
    pub(super) subpath: String,
    pub(super) make: Making,
}

impl Spec {
    pub(super) fn point(mut self, settings: &Settings) -> Result<Point, Error> {
        let (kind, source) = match (&self.tmpfs, self.volume) {
            (Some(_), _) => (Kind::Tmpfs, String::new()),
            (None, _) if self.image => (Kind::Image, String::new()),
            (None, true) => (Kind::Volume, place(&mut self, settings)),
            (None, false) => (Kind::Bind, self.source),
        };
        if matches!(kind, Kind::Bind | Kind::Image) && self.propagation.is_empty() {
            "rprivate".clone_into(&mut self.propagation);
        }
        Ok(Point {
            kind,
            name: self.name,
            source,
            destination: self.destination,
            mode: self.mode,
            writable: !self.read_only,
            propagation: self.propagation,
            recursive: !self.flat,
            shallow: self.shallow,
            id_map: self.id_map,
            ensure_source: self.ensure_source,
            copy_up: self.copy_up,
            listed: true,
            options: self.tmpfs.unwrap_or_default(),
            subpath: self.subpath,
            make: self.make,
            layers: Vec::new(),
        })
    }
}

/// `/on/the/host:/in/the/container:ro,rslave`.
pub(super) fn bind(text: &str) -> Result<Spec, Error> {
    let invalid = |why: String| Error::Invalid(format!("invalid volume specification: '{text}'{why}"));
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() > 3 || parts.iter().any(|part| part.is_empty()) {
        return Err(invalid(String::new()));
    }
    if let [destination] = parts[..] {
        let kind = ": invalid mount config for type \"volume\"";
        let destination = destination_of(destination).map_err(|why| invalid(format!("{kind}: {why}")))?;
        return Ok(Spec { volume: true, destination, copy_up: true, ..Spec::default() });
    }
    let (source, mode) = (parts[0], parts.get(2).copied().unwrap_or_default());
    let mut spec = Spec { mode: mode.to_owned(), ensure_source: true, ..Spec::default() };
    let is_path = source.starts_with('/');
    let mut copied = true;
    for word in mode.split(',').filter(|_| !mode.is_empty()) {
        match word {
            "rw" | "z" | "Z" | "consistent" | "cached" | "delegated" => {}
            "ro" => spec.read_only = true,
            "idmap" => spec.id_map = true,
            "nocopy" if !is_path => copied = false,
            _ if is_propagation(word) && is_path && spec.propagation.is_empty() => {
                word.clone_into(&mut spec.propagation);
            }
            _ => return Err(Error::Invalid(format!("invalid mode: {mode}"))),
        }
    }
    let kind = if is_path { "bind" } else { "volume" };
    let config = format!(": invalid mount config for type {kind:?}");
    spec.destination = destination_of(parts[1]).map_err(|why| invalid(format!("{config}: {why}")))?;
    if !is_path {
        crate::volumes::check_name(source)?;
        if spec.mode.is_empty() {
            // As `inspect` of dockerd says it.
            "z".clone_into(&mut spec.mode);
        }
        return Ok(Spec {
            volume: true,
            name: source.to_owned(),
            copy_up: copied,
            ensure_source: false,
            ..spec
        });
    }
    spec.source = clean(source);
    Ok(spec)
}

/// One of `HostConfig.Mounts`.
pub(super) fn requested(mount: &Mount) -> Result<Spec, Error> {
    let invalid =
        |why: String| Error::Invalid(format!("invalid mount config for type \"{}\": {why}", mount.r#type));
    if mount.r#type.is_empty() {
        return Err(invalid("mount type unknown".into()));
    }
    let known = ["bind", "volume", "tmpfs", "image"].contains(&mount.r#type.as_str());
    match mount.r#type.as_str() {
        _ if known => {}
        "npipe" | "cluster" => {
            return Err(unsupported(format!("a mount of type {}", mount.r#type)));
        }
        _ => return Err(invalid("mount type unknown".into())),
    }
    if mount.target.is_empty() {
        return Err(invalid("field Target must not be empty".into()));
    }
    let destination = destination_of(&mount.target).map_err(invalid)?;
    for (given, field, own) in [
        (mount.bind_options.is_some(), "BindOptions", "bind"),
        (mount.volume_options.is_some(), "VolumeOptions", "volume"),
        (mount.tmpfs_options.is_some(), "TmpfsOptions", "tmpfs"),
        (mount.image_options.is_some(), "ImageOptions", "image"),
    ] {
        if given && own != mount.r#type {
            return Err(invalid(format!("field {field} must not be specified")));
        }
    }
    if mount.id_map && !matches!(mount.r#type.as_str(), "bind" | "volume") {
        return Err(invalid("field IDMap must not be specified".into()));
    }
    let spec = Spec { destination, read_only: mount.read_only, id_map: mount.id_map, ..Spec::default() };
    match mount.r#type.as_str() {
        "bind" => requested_bind(mount, spec).map_err(invalid),
        "volume" => requested_volume(mount, spec),
        "image" => requested_image(mount, spec),
        _ if !mount.source.is_empty() => Err(invalid("field Source must not be specified".into())),
        _ => Ok(Spec { tmpfs: Some(tmpfs::requested(mount.tmpfs_options.as_ref())?), ..spec }),
    }
}

/// What its mount is at fault for is a sentence.
fn requested_bind(mount: &Mount, mut spec: Spec) -> Result<Spec, String> {
    let options = mount.bind_options.clone().unwrap_or_default();
    if mount.source.is_empty() {
        return Err("field Source must not be empty".into());
    }
    if !mount.source.starts_with('/') {
        return Err(format!("invalid mount path: '{}' mount path must be absolute", mount.source));
    }
    if !options.propagation.is_empty() && !is_propagation(&options.propagation) {
        return Err(format!("invalid propagation mode: {}", options.propagation));
    }
    if options.read_only_non_recursive && options.read_only_force_recursive {
        return Err("mutually exclusive options: ReadOnlyNonRecursive and ReadOnlyForceRecursive".into());
    }
    if !options.create_mountpoint && std::fs::symlink_metadata(&mount.source).is_err() {
        return Err(format!("bind source path does not exist: {}", mount.source));
    }
    spec.source = clean(&mount.source);
    spec.propagation = options.propagation;
    spec.flat = options.non_recursive;
    spec.shallow = options.read_only_non_recursive;
    spec.ensure_source = options.create_mountpoint;
    Ok(spec)
}

/// Nothing is ever written to an image.
fn requested_image(mount: &Mount, spec: Spec) -> Result<Spec, Error> {
    let invalid = |why: &str| Error::Invalid(format!("invalid mount config for type \"image\": {why}"));
    if mount.source.is_empty() {
        return Err(invalid("field Source must not be empty"));
    }
    let subpath = mount.image_options.clone().unwrap_or_default().subpath;
    if !is_beneath(&subpath) {
        return Err(invalid("subpath must be a relative path within the volume"));
    }
    Ok(Spec { image: true, name: mount.source.clone(), read_only: true, flat: true, subpath, ..spec })
}

fn is_beneath(subpath: &str) -> bool {
    let mut parts = std::path::Path::new(subpath).components();
    parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

fn requested_volume(mount: &Mount, spec: Spec) -> Result<Spec, Error> {
    let invalid = |why: &str| Error::Invalid(format!("invalid mount config for type \"volume\": {why}"));
    if mount.source.is_empty() && mount.read_only {
        return Err(invalid("must not set ReadOnly mode when using anonymous volumes"));
    }
    if !mount.source.is_empty() {
        crate::volumes::check_name(&mount.source)?;
    }
    let options = mount.volume_options.clone().unwrap_or_default();
    if !is_beneath(&options.subpath) {
        return Err(invalid("subpath must be a relative path within the volume"));
    }
    if !options.subpath.is_empty() && mount.source.is_empty() {
        return Err(invalid("must not set Subpath when using anonymous volumes"));
    }
    let config = options.driver_config.unwrap_or_default();
    Ok(Spec {
        volume: true,
        name: mount.source.clone(),
        copy_up: !options.no_copy,
        mode: "z".into(),
        subpath: options.subpath,
        make: Making {
            driver: config.name,
            options: config.options,
            labels: options.labels,
            anonymous: false,
        },
        ..spec
    })
}

fn unsupported(feature: String) -> Error {
    Error::Unsupported { feature, instead: None }
}

fn destination_of(path: &str) -> Result<String, String> {
    if !path.starts_with('/') {
        return Err(format!("invalid mount path: '{path}' mount path must be absolute"));
    }
    match clean(path) {
        root if root == "/" => Err("invalid specification: destination can't be '/'".into()),
        path => Ok(path),
    }
}

fn is_propagation(word: &str) -> bool {
    matches!(word, "private" | "rprivate" | "slave" | "rslave" | "shared" | "rshared")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binds_are_read_with_their_modes() {
        let spec = bind("/a/../b:/c:ro,rslave").unwrap();
        assert_eq!((spec.source.as_str(), spec.destination.as_str()), ("/b", "/c"));
        assert!(spec.read_only && spec.propagation == "rslave");
        assert!(bind("/x").unwrap().volume);
    }

    #[test]
    fn what_is_wrong_is_said_as_dockerd_says_it() {
        let told = |text: &str| bind(text).unwrap_err().to_string();
        assert_eq!(told("/a:/b:zz"), "invalid mode: zz");
        assert_eq!(
            told("/tmp:x"),
            "invalid volume specification: '/tmp:x': invalid mount config for type \"bind\": invalid mount path: 'x' \
             mount path must be absolute"
        );
        assert!(told("/tmp:/").ends_with("invalid specification: destination can't be '/'"));
        assert_eq!(told("a:/b:c:d"), "invalid volume specification: 'a:/b:c:d'");
        assert!(told("rel/x:/x").starts_with("create rel/x: \"rel/x\" includes invalid characters"));
        let named = bind("data:/x:nocopy").unwrap();
        assert_eq!((named.name.as_str(), named.copy_up), ("data", false));
    }
}
