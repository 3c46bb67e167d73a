//! What is being made, by whichever build: two that want the same thing make it once.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use oci::Digest;

use crate::Error;

type Made<V> = Result<Vec<V>, Arc<Error>>;

/// So many steps that were done anew are known to have been. A build whose step is forgotten does it once more.
const MAX_ANEW: usize = 10_000;

/// Steps under way, by their keys. One goes on for as long as a build waits for it, whoever began it.
pub struct Flights<V: Clone> {
    under_way: Mutex<HashMap<Digest, WeakShared<BoxFuture<'static, Made<V>>>>>,
    anew: Mutex<VecDeque<Digest>>,
}

impl<V: Clone> Default for Flights<V> {
    fn default() -> Self {
        Self { under_way: Mutex::default(), anew: Mutex::default() }
    }
}

impl<V: Clone + Send + Sync + 'static> Flights<V> {
    /// What is under way for this key, or `make`, which begins when the first who waits does.
    pub fn join(
        &self,
        key: &Digest,
        make: impl FnOnce() -> BoxFuture<'static, Made<V>>,
    ) -> Shared<BoxFuture<'static, Made<V>>> {
        let mut flights = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        // One that failed or was done is nobody's any more: what it made is in the cache.
        flights.retain(|_, flight| flight.upgrade().is_some_and(|flight| flight.peek().is_none()));
        if let Some(flight) = flights.get(key).and_then(WeakShared::upgrade) {
            return flight;
        }
        let flight = make().shared();
        if let Some(weak) = flight.downgrade() {
            flights.insert(key.clone(), weak);
        }
        flight
    }

    /// The same for what a build wants done anew, which doesn't take what another began before. But it is done once for that
    /// build and all that it lent its steps to: `make` is told whether it was done already, and the cache may answer.
    pub fn join_anew<F>(
        self: &Arc<Self>,
        (build, key): (&str, &Digest),
        make: F,
    ) -> Shared<BoxFuture<'static, Made<V>>>
    where
        F: FnOnce(bool) -> BoxFuture<'static, Made<V>> + Send + 'static,
    {
        let key = Digest::sha256(format!("anew\0{build}\0{key}").as_bytes());
        let (flights, own) = (self.clone(), key.clone());
        let once = || {
            async move {
                let made = make(flights.was_made(&own)).await?;
                flights.note(own);
                Ok(made)
            }
            .boxed()
        };
        self.join(&key, once)
    }

    fn was_made(&self, key: &Digest) -> bool {
        self.anew.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    fn note(&self, key: Digest) {
        let mut anew = self.anew.lock().unwrap_or_else(PoisonError::into_inner);
        if !anew.contains(&key) {
            anew.push_back(key);
        }
        while anew.len() > MAX_ANEW {
            anew.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn two_make_it_once_and_it_ends_with_the_last_who_waits() {
        let flights = Flights::<u32>::default();
        let key = Digest::sha256(b"k");
        let (made, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let make = || {
            let (made, go) = (made.clone(), go.clone());
            async move {
                made.fetch_add(1, Ordering::SeqCst);
                go.notified().await;
                Ok(vec![7])
            }
            .boxed()
        };
        let first = tokio::spawn(flights.join(&key, make));
        let second = tokio::spawn(flights.join(&key, make));
        tokio::task::yield_now().await;
        first.abort();
        assert!(first.await.is_err());
        go.notify_one();
        assert_eq!(second.await.unwrap().unwrap(), [7]);
        assert_eq!(made.load(Ordering::SeqCst), 1);
        // Nobody waits for the next one, so it is dropped where it stands.
        let third = flights.join(&key, make);
        assert!(third.clone().now_or_never().is_none());
        drop(third);
        assert_eq!(made.load(Ordering::SeqCst), 2);
        assert_eq!(Arc::strong_count(&go), 1);
    }
}
