//! Manifests in memory: they never change, and a thousand clients ask for the same few.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use oci::Digest;

use crate::route::Name;

/// All of them together.
const LIMIT: usize = 8 << 20;

/// A manifest as it is served.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) bytes: Bytes,
}

/// The manifests that were asked for; the oldest make room. Whether a repository still has one is for the caller to ask.
#[derive(Default)]
pub(crate) struct Cache(Mutex<Table>);

#[derive(Default)]
struct Table {
    known: HashMap<(Name, Digest), Stored>,
    order: VecDeque<(Name, Digest)>,
    size: usize,
}

impl Cache {
    pub(crate) fn get(&self, name: &Name, digest: &Digest) -> Option<Stored> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.known.get(&(name.clone(), digest.clone())).cloned()
    }

    pub(crate) fn put(&self, name: &Name, stored: &Stored) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name.clone(), stored.digest.clone());
        if stored.bytes.len() > LIMIT / 8 || table.known.contains_key(&key) {
            return;
        }
        table.size += stored.bytes.len();
        table.known.insert(key.clone(), stored.clone());
        table.order.push_back(key);
        while table.size > LIMIT {
            let Some(oldest) = table.order.pop_front() else { return };
            let length = table.known.remove(&oldest).map_or(0, |stored| stored.bytes.len());
            table.size -= length;
        }
    }
}
