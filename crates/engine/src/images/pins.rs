//! What somebody is at work with: blobs and layers that no record needs yet and that nobody may remove.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oci::Digest;

/// How many are at work with each.
#[derive(Debug, Clone, Default)]
pub(super) struct Pins(Arc<Mutex<BTreeMap<Digest, usize>>>);

/// Pinned for as long as this lives.
#[derive(Debug)]
pub(super) struct Pin {
    pins: Pins,
    digest: Digest,
}

impl Pins {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn pin(&self, digest: &Digest) -> Pin {
        self.add(&mut self.lock(), digest)
    }

    /// Pins what `make` makes, in one step for everybody who might remove it.
    pub(super) fn making<T, E>(
        &self,
        make: impl FnOnce() -> Result<T, E>,
        digest: impl Fn(&T) -> &Digest,
    ) -> Result<(T, Pin), E> {
        let mut pins = self.lock();
        let made = make()?;
        let pin = self.add(&mut pins, digest(&made));
        Ok((made, pin))
    }

    fn add(&self, pins: &mut BTreeMap<Digest, usize>, digest: &Digest) -> Pin {
        *pins.entry(digest.clone()).or_default() += 1;
        Pin { pins: self.clone(), digest: digest.clone() }
    }

    /// Runs `remove` if nobody is at work with this, and lets nobody begin meanwhile.
    pub(super) fn unless_pinned<T: Default>(&self, digest: &Digest, remove: impl FnOnce() -> T) -> T {
        let pins = self.lock();
        match pins.contains_key(digest) {
            true => T::default(),
            false => remove(),
        }
    }
}

impl Pin {
    pub(super) fn digest(&self) -> &Digest {
        &self.digest
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut pins = self.pins.lock();
        match pins.get_mut(&self.digest) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(pins.remove(&self.digest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_lets_go() {
        let pins = Pins::default();
        let digest = Digest::sha256(b"a");
        let (first, second) = (pins.pin(&digest), pins.pin(&digest));
        drop(first);
        assert_eq!(pins.unless_pinned(&digest, || 1), 0);
        drop(second);
        assert_eq!(pins.unless_pinned(&digest, || 1), 1);
    }
}
