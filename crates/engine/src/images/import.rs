//! Importing: a tar becomes the only layer of an image.

use std::io::Read;
use std::sync::Arc;

use content::{Blob, Ingest};
use oci::image::{ContainerConfig, History, ImageConfig, Platform, RootFs};
use oci::{Algorithm, Digest, Reference};

use super::pins::Pin;
use super::progress::{Meter, Progress};
use super::{Image, Images, Naming, Wanted, blocking, manifest};
use crate::Error;

/// No tar that is imported is larger; the layer store has its own limits for what is inside.
const MAX_TAR: u64 = 1 << 40;

/// What an import is to become.
#[derive(Debug)]
pub struct Import {
    pub name: Option<Reference>,
    pub platform: Platform,
    pub config: ContainerConfig,
    pub comment: String,
}

impl Import {
    /// The platform of an image for `wanted`, or for this host.
    pub fn platform(wanted: Option<&str>) -> Result<Platform, Error> {
        let wanted = wanted.map_or_else(|| Ok(Wanted::host()), Wanted::parse)?;
        match wanted.platform() {
            platform if platform.os == "linux" => Ok(platform.clone()),
            _ => Err(Error::Invalid("operating system is not supported".into())),
        }
    }
}

impl Images {
    /// Imports a tar, compressed or not. Blocking.
    pub fn import(&self, tar: impl Read, import: Import) -> Result<Digest, Error> {
        let unreadable = |source| Error::ReadLayer { source };
        let tar = layers::decompress_archive(tar).map_err(unreadable)?;
        let (blob, pins) = self.take_layer(tar)?;
        let recorded = self.record_import(import, &blob);
        drop(pins);
        if recorded.is_err() {
            self.release_blobs(std::iter::once(&blob.digest))?;
            self.release_layers(std::slice::from_ref(&blob.digest))?;
        }
        recorded
    }

    /// Takes in a layer that no image has yet. It stays for as long as the pins live.
    pub(super) fn take_layer(&self, tar: impl Read) -> Result<(Blob, Vec<Pin>), Error> {
        let mut pins = Vec::new();
        let layer = match self.layers.keeps_tars() {
            true => {
                let unpacked = self.layers.unpack(tar, None)?;
                let (layer, pin) =
                    self.pins.making(|| unpacked.publish(), |layer: &layers::Layer| &layer.diff_id)?;
                pins.push(pin);
                layer
            }
            false => {
                // The driver keeps no tar, so the content store does: what the unpacking reads, and no more.
                let mut ingest = self.content.ingest(Algorithm::Sha256, MAX_TAR)?;
                let unpacked = self.layers.unpack(Copied { inner: tar, to: &mut ingest }, None)?;
                ingest.sync()?;
                let (_, pin) = self.pins.making(|| ingest.finish(), |blob: &Blob| &blob.digest)?;
                pins.push(pin);
                unpacked.publish()?
            }
        };
        Ok((Blob { digest: layer.diff_id, size: layer.tar_size }, pins))
    }

    fn record_import(&self, import: Import, layer: &Blob) -> Result<Digest, Error> {
        let now = Some(jiff::Timestamp::now().to_string());
        let step = History { created: now.clone(), comment: Some(import.comment), ..History::default() };
        let config = ImageConfig {
            created: now,
            author: None,
            platform: import.platform,
            config: import.config,
            rootfs: RootFs { diff_ids: vec![layer.digest.clone()], ..RootFs::default() },
            history: vec![step],
        };
        let blob = self.content.put(&manifest::json(&config)?)?;
        let descriptors = vec![manifest::layer(layer, layers::Compression::None)];
        let manifest = Some(manifest::make(&self.content, &blob, descriptors)?);
        let id = blob.digest;
        let image = Image { id: id.clone(), config, layer_sizes: vec![layer.size], manifest };
        let name = import.name.map(|name| name.or_latest().familiar());
        self.record(&[image], name.as_slice(), Naming::Replace)?;
        if let Some(name) = name {
            self.emit("tag", id.as_str(), &name);
        }
        self.emit("import", id.as_str(), id.as_str());
        Ok(id)
    }

    /// Imports what is at an address.
    pub async fn import_from(
        self: &Arc<Self>,
        client: &distribution::Client,
        address: &str,
        import: Import,
        progress: &Progress,
    ) -> Result<(), Error> {
        let download = client.download(address, &http::HeaderMap::new(), None).await?;
        progress.say("", format!("Downloading from {address}")).await;
        let meter = progress.meter("", "Importing", download.length().unwrap_or(0));
        let images = self.clone();
        let tar = Metered { inner: download, meter, read: 0 };
        let id = blocking(move || images.import(tar, import)).await?;
        progress.say("", id.to_string()).await;
        Ok(())
    }
}

/// Writes down what is read.
struct Copied<'a, R> {
    inner: R,
    to: &'a mut Ingest,
}

impl<R: Read> Read for Copied<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.to.push(&buffer[..count]).map_err(std::io::Error::other)?;
        Ok(count)
    }
}

/// Shows how much was read.
pub(super) struct Metered<R> {
    pub(super) inner: R,
    pub(super) meter: Meter,
    pub(super) read: u64,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read += count as u64;
        self.meter.at(self.read);
        Ok(count)
    }
}
