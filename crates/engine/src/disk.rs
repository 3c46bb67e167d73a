//! What takes how much of the disk, measured where it lies.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use oci::Digest;

use crate::Engine;
use crate::images::Image;

/// Has ext4 put what is made in a folder far from one another. Where many files were removed it looks past each of them for
/// a minute before it makes another: after a step that made twenty thousand, the next one's take six times as long there.
/// Elsewhere there is no such flag, and no need.
pub(crate) fn spread(folder: &Path) {
    use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
    let spread = || {
        let folder = std::fs::File::open(folder)?;
        let flags = ioctl_getflags(&folder)?;
        ioctl_setflags(&folder, flags | IFlags::TOPDIR)?;
        Ok::<_, std::io::Error>(())
    };
    if let Err(error) = spread() {
        tracing::debug!(folder = %folder.display(), %error, "cannot have it spread");
    }
}

/// One kind's sums, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Total {
    pub size: u64,
    /// What would be free if everything unused went.
    pub reclaimable: u64,
    pub active: usize,
}

/// One measurement.
#[derive(Debug, Default)]
pub struct Usage {
    pub images: Total,
    pub containers: Total,
    written: HashMap<String, u64>,
    users: BTreeMap<Digest, usize>,
    /// Layers of more than one image.
    shared: BTreeSet<Digest>,
}

impl Usage {
    /// How many containers an image has.
    pub fn users_of(&self, image: &Digest) -> usize {
        self.users.get(image).copied().unwrap_or(0)
    }

    /// What a container has written.
    pub fn written_by(&self, container: &str) -> u64 {
        self.written.get(container).copied().unwrap_or(0)
    }

    /// How much of an image lies in layers that another image has too.
    pub fn shared_size(&self, image: &Image) -> u64 {
        layers_of(image).filter(|(layer, _)| self.shared.contains(*layer)).map(|(_, size)| size).sum()
    }
}

/// Walks what containers wrote and adds up the images' layers. Blocking.
pub fn measure(engine: &Engine) -> Usage {
    let mut usage = Usage::default();
    for view in engine.containers.list() {
        let container = &view.container;
        let size = written_below(&engine.containers.places(&container.id).upper());
        *usage.users.entry(container.image.clone()).or_default() += 1;
        usage.containers.size += size;
        match container.state.is_active() {
            true => usage.containers.active += 1,
            false => usage.containers.reclaimable += size,
        }
        usage.written.insert(container.id.clone(), size);
    }
    add_images(engine, &mut usage);
    usage
}

/// Adds up the images' layers alone, which needs no look at the disk.
pub fn measure_images(engine: &Engine) -> Usage {
    let mut usage = Usage::default();
    add_images(engine, &mut usage);
    usage
}

fn add_images(engine: &Engine, usage: &mut Usage) {
    let catalogue = engine.images.catalogue();
    let mut layers: BTreeMap<Digest, (u64, bool)> = BTreeMap::new();
    for image in catalogue.images.values() {
        let used = usage.users.contains_key(&image.id);
        usage.images.active += usize::from(used);
        for (layer, size) in layers_of(image) {
            let (_, by_any) = layers
                .entry(layer.clone())
                .and_modify(|_| {
                    usage.shared.insert(layer.clone());
                })
                .or_insert((size, false));
            *by_any |= used;
        }
    }
    usage.images.size = layers.values().map(|(size, _)| size).sum();
    usage.images.reclaimable = layers.values().filter(|(_, used)| !used).map(|(size, _)| size).sum();
}

/// An image that lists a layer twice keeps it once.
fn layers_of(image: &Image) -> impl Iterator<Item = (&Digest, u64)> {
    let mut seen = HashSet::new();
    let layers = image.config.rootfs.diff_ids.iter().zip(image.layer_sizes.iter().copied());
    layers.filter(move |(layer, _)| seen.insert(*layer))
}

/// What `du` says: blocks, each file once however many names it has. What can't be read counts nothing.
pub(crate) fn written_below(root: &Path) -> u64 {
    let mut seen = HashSet::new();
    let mut waiting = vec![root.to_owned()];
    let mut bytes = 0;
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            // Never through a link: a container writes these.
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() {
                waiting.push(entry.path());
            }
            if meta.nlink() == 1 || meta.is_dir() || seen.insert((meta.dev(), meta.ino())) {
                bytes += if meta.is_dir() { 0 } else { meta.blocks() * 512 };
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_two_names_counts_once_and_a_hole_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        std::fs::write(&file, vec![1; 8192]).unwrap();
        std::fs::hard_link(&file, dir.path().join("b")).unwrap();
        std::fs::File::create(dir.path().join("sparse")).unwrap().set_len(1 << 30).unwrap();
        std::os::unix::fs::symlink("/", dir.path().join("link")).unwrap();
        assert_eq!(written_below(dir.path()), 8192);
    }

    #[test]
    fn a_folder_is_spread_where_that_means_something() {
        use rustix::fs::{IFlags, ioctl_getflags, statfs};
        /// What ext4 tells of itself.
        const EXT4: i64 = 0xef53;
        let folder = tempfile::tempdir().unwrap();
        spread(folder.path());
        if statfs(folder.path()).unwrap().f_type == EXT4 {
            let flags = ioctl_getflags(std::fs::File::open(folder.path()).unwrap()).unwrap();
            assert!(flags.contains(IFlags::TOPDIR), "{flags:?}");
        }
        spread(&folder.path().join("absent"));
    }
}
