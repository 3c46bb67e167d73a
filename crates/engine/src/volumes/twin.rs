//! What becomes of a volume's content elsewhere: a volume from an archive, a volume's twin, a part of it in another one.

use std::io::Read;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::SystemTime;

use layers::{Overwrite, Written};
use serde::Deserialize;

use super::{Volume, VolumeError, Volumes};
use crate::Error;
use crate::containers::config::Labels;
use crate::images::progress::Meter;

/// The labels of a snapshot: of what, and when.
const SNAPSHOT_OF: &str = "ketch.snapshot.of";
const SNAPSHOT_AT: &str = "ketch.snapshot.at";

/// The body of `POST /volumes/{name}/clone`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
pub struct Twin {
    /// May be empty for a snapshot, which is called after its volume and the time then.
    pub name: String,
    pub labels: Option<Labels>,
    /// It says what it is a snapshot of.
    pub snapshot: bool,
}

/// The body of `POST /volumes/{name}/copy`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
pub struct CopyBetween {
    /// The other volume.
    pub from: String,
    /// What of it.
    pub from_path: String,
    /// The directory that it goes to.
    pub path: String,
    /// What it is called there, if not as before.
    pub name: String,
}

impl Volumes {
    /// Makes a volume of a tar, compressed or not. Blocking.
    pub fn import(&self, name: &str, labels: Option<Labels>, tar: impl Read) -> Result<Volume, Error> {
        let staged = self.stage(name)?;
        let unreadable = |source| Error::Layers(layers::Error::ReadTar { source });
        let tar = layers::decompress_archive(tar).map_err(unreadable)?;
        layers::restore(tar, staged.open()?.as_fd(), &self.limits)?;
        self.publish(&staged, folder_volume(name.to_owned(), labels))
    }

    /// Makes a volume with the content that another one has now. What `still` returns lives for as long as it is read.
    /// Blocking.
    pub fn twin<S>(
        self: &Arc<Self>,
        source: &str,
        wanted: Twin,
        meter: &Meter,
        still: impl FnOnce() -> Result<S, Error>,
    ) -> Result<Volume, Error> {
        let lent = self.lend(source, "clone")?;
        let (name, labels) = called(source, wanted);
        let staged = self.stage(&name)?;
        let held = still()?;
        let into = staged.open()?;
        layers::copy_tree(lent.root(), layers::Source::Live, into.as_fd(), &self.limits, &mut |bytes| {
            meter.at(bytes);
            if meter.is_watched() { Ok(()) } else { Err(layers::Error::Unwanted) }
        })?;
        drop(held);
        self.publish(&staged, folder_volume(name, labels))
    }

    /// Copies a part of one volume into another one. Blocking.
    pub fn copy(self: &Arc<Self>, name: &str, copy: &CopyBetween, meter: &Meter) -> Result<(), Error> {
        let target = self.lend(name, "cp")?;
        let source = self.lend(&copy.from, "cp")?;
        let part = source.part(&copy.from_path)?;
        let rename = (!copy.name.is_empty()).then(|| (part.stat.name.clone(), copy.name.clone()));
        let failed = |source| Error::System { doing: "copy between volumes", source };
        let tar = Written::by(move |out| part.pack(out)).map_err(failed)?;
        let tar = Watched { tar, meter, read: 0 };
        target.take(&copy.path, Overwrite::SameKind, rename, tar)
    }
}

/// What it is called, and what it says of itself.
fn called(source: &str, wanted: Twin) -> (String, Option<Labels>) {
    let Twin { mut name, mut labels, snapshot } = wanted;
    if snapshot {
        let now = jiff::Timestamp::now();
        if name.is_empty() {
            name = format!("{source}-{}", now.strftime("%Y%m%dT%H%M%S%3f"));
        }
        let own = labels.get_or_insert_default();
        own.insert(SNAPSHOT_OF.to_owned(), source.to_owned());
        own.insert(SNAPSHOT_AT.to_owned(), now.to_string());
    }
    (name, labels)
}

fn folder_volume(name: String, labels: Option<Labels>) -> Volume {
    let labels = labels.filter(|labels| !labels.is_empty());
    Volume {
        name,
        created: SystemTime::now(),
        anonymous: false,
        options: None,
        labels,
        plugin: None,
        renamed_from: None,
    }
}

/// Ends when nobody waits for it any more.
struct Watched<'a> {
    tar: Written,
    meter: &'a Meter,
    read: u64,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if !self.meter.is_watched() {
            return Err(std::io::Error::other(layers::Error::Unwanted));
        }
        let count = self.tar.read(buffer)?;
        self.read += count as u64;
        self.meter.at(self.read);
        Ok(count)
    }
}

impl Volumes {
    /// How much there is to be copied of a volume that is a folder here; nothing is known of others. Blocking.
    pub fn size_of(&self, name: &str) -> Result<u64, Error> {
        let volume = self.get(name)?;
        match volume.plugin {
            Some(_) => Ok(0),
            None => Ok(crate::disk::written_below(&self.mountpoint(&volume))),
        }
    }

    /// Refuses early what can't be made; it is looked at again when it is.
    pub fn check_new(&self, name: &str) -> Result<(), Error> {
        super::check_name(name)?;
        match self.find(name)? {
            Some(_) => Err(VolumeError::Exists(name.to_owned()).into()),
            None => Ok(()),
        }
    }
}
