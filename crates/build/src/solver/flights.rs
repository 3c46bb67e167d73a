//! What is being made, by whichever build: two that want the same thing make it once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use oci::Digest;

use crate::Error;

type Made<V> = Result<Vec<V>, Arc<Error>>;

/// Steps under way, by their keys. One goes on for as long as a build waits for it, whoever began it.
pub struct Flights<V: Clone>(Mutex<HashMap<Digest, WeakShared<BoxFuture<'static, Made<V>>>>>);

impl<V: Clone> Default for Flights<V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<V: Clone + Send + Sync + 'static> Flights<V> {
    /// What is under way for this key, or `make`, which begins when the first who waits does.
    pub fn join(
        &self,
        key: &Digest,
        make: impl FnOnce() -> BoxFuture<'static, Made<V>>,
    ) -> Shared<BoxFuture<'static, Made<V>>> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
