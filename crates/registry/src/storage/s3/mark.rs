//! Marks of those who collect: what others wait for who have just written something that relies on what is there.
//!
//! A mark is written again as long as its process lives. One that wasn't for a while is nobody's: who left it does nothing
//! more, and nobody waits for it.

use std::collections::HashSet;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use content::Session;

use super::bucket::{Payload, Replace};
use super::{S3, age};
use crate::error::Error;
use crate::route::Name;

const AGAIN: Duration = Duration::from_secs(15);
/// Who couldn't write it for so long does nothing more;
const LASTS: Duration = Duration::from_secs(60);
/// others wait well beyond that, whatever their clocks say.
const IS_OLD: Duration = Duration::from_secs(150);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Below this are those who collect blobs that no repository has.
pub(super) const BLOBS: &str = "collecting/_blobs/";

/// Below this are those who collect in a repository.
pub(super) fn of(name: &Name) -> String {
    format!("collecting/{name}/_/")
}

/// What says that somebody collects. It goes when that is done.
pub(crate) struct Mark {
    s3: S3,
    key: String,
    written: Arc<Mutex<Instant>>,
    /// The thread that writes it again ends when this goes.
    writer: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

impl Mark {
    pub(super) fn leave(s3: &S3, prefix: &str) -> Result<Self, Error> {
        let random = crate::random().map(Session::new);
        let session = random.map_err(|source| Error::System { doing: "get random bytes", source })?;
        let (key, written) = (format!("{prefix}{}", session.as_str()), Arc::new(Mutex::new(Instant::now())));
        s3.bucket().put(&key, Payload::None, Replace::Yes)?;
        let (stop, stopped) = mpsc::channel();
        let (again, seen, place) = (s3.clone(), written.clone(), key.clone());
        let writer = thread::spawn(move || {
            while stopped.recv_timeout(AGAIN) == Err(RecvTimeoutError::Timeout) {
                let begun = Instant::now();
                match again.bucket().put(&place, Payload::None, Replace::Yes) {
                    Ok(_) => *seen.lock().unwrap_or_else(PoisonError::into_inner) = begun,
                    Err(error) => {
                        tracing::warn!(error = diag::chain(&error), "a collection can't go on for long");
                    }
                }
            }
        });
        Ok(Self { s3: s3.clone(), key, written, writer: Some((stop, writer)) })
    }

    /// Whether others wait for it.
    pub(crate) fn lasts(&self) -> bool {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < LASTS
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        if let Some((stop, writer)) = self.writer.take() {
            drop(stop);
            let _ = writer.join();
        }
        if let Err(error) = self.s3.bucket().delete(&self.key) {
            tracing::warn!(error = diag::chain(&error), "the mark of a collection stays for a while");
        }
    }
}

/// Waits until those are done whose marks are there now.
pub(super) fn wait(s3: &S3, prefix: &str) -> Result<(), Error> {
    let fresh = || -> Result<HashSet<String>, Error> {
        let objects = s3.bucket().list(prefix, false)?.objects.into_iter();
        Ok(objects.filter(|mark| age(mark.modified) < IS_OLD).map(|mark| mark.key).collect())
    };
    let (mut open, mut pause) = (fresh()?, Duration::from_millis(20));
    while !open.is_empty() {
        s3.bucket().pause(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
        let now = fresh()?;
        open.retain(|mark| now.contains(mark));
    }
    Ok(())
}

/// Removes the marks of those who died.
pub(super) fn sweep(s3: &S3) -> Result<(), Error> {
    for mark in s3.bucket().list("collecting/", false)?.objects {
        if age(mark.modified) >= IS_OLD {
            s3.bucket().delete(&mark.key)?;
        }
    }
    Ok(())
}
