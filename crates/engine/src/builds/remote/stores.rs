//! Clients' content stores: folders of blobs, reached through the session. What comes is a stranger's until its digest is
//! what was asked for.

use std::sync::Arc;

use build::Error;
use build::request::CacheEntry;
use build::session::Session;
use oci::Digest;
use oci::image::Descriptor;
use tokio::sync::mpsc;

use crate::builds::error::work;

/// No document is longer.
const MAX_DOCUMENT: u64 = 8 << 20;
/// Pieces that wait to be written.
const AHEAD: usize = 4;

/// A client's store.
pub(in crate::builds) struct Store {
    session: Arc<dyn Session>,
    name: String,
}

/// What the store of a cache's folder is called: BuildKit's clients put `local:` before it.
pub(in crate::builds) fn name(entry: &CacheEntry, key: &str) -> Result<String, Error> {
    match entry.attributes.get(key).filter(|folder| !folder.is_empty()) {
        Some(folder) => Ok(format!("local:{folder}")),
        None => Err(Error::Invalid(format!("{key} is required for a cache of type local"))),
    }
}

/// Which of the folder's documents is meant.
pub(in crate::builds) fn digest(entry: &CacheEntry) -> Result<Digest, Error> {
    name(entry, "src")?;
    let text = entry.attributes.get("digest").map(String::as_str).unwrap_or_default();
    text.parse().map_err(|e| {
        Error::Invalid(format!("a cache of type local needs a digest, and {text:?} is none: {e}"))
    })
}

impl Store {
    pub(in crate::builds) fn new(session: Arc<dyn Session>, name: String) -> Self {
        Self { session, name }
    }

    pub(in crate::builds) fn name(&self) -> &str {
        &self.name
    }

    /// A small blob, whole and checked.
    pub(in crate::builds) async fn document(
        &self,
        digest: &Digest,
        size: Option<u64>,
    ) -> Result<Vec<u8>, Error> {
        let limit = size.unwrap_or(MAX_DOCUMENT).min(MAX_DOCUMENT);
        let (sender, mut pieces) = mpsc::channel::<Vec<u8>>(AHEAD);
        let name = &self.name;
        // Moved, so that whoever sends hears that nobody wants more.
        let gathering = async move {
            let mut bytes = Vec::new();
            while let Some(piece) = pieces.recv().await {
                bytes.extend_from_slice(&piece);
                if bytes.len() as u64 > limit {
                    return Err(Error::Invalid(format!("{digest} in {name} is longer than {limit} bytes")));
                }
            }
            Ok(bytes)
        };
        let (read, bytes) = tokio::join!(self.session.blob(&self.name, digest, sender), gathering);
        let bytes = bytes?;
        read?;
        let mut hasher = oci::Hasher::new(digest.algorithm());
        hasher.update(&bytes);
        match hasher.finish() == *digest {
            true => Ok(bytes),
            false => Err(Error::Invalid(format!("{} gave something else for {digest}", self.name))),
        }
    }

    /// A blob into the engine's own store.
    pub(in crate::builds) async fn fetch(
        &self,
        content: &content::Store,
        blob: &Descriptor,
    ) -> Result<(), Error> {
        let failed = |e: content::Error| work("keep what a client's store has", e);
        let found = content.find(&blob.digest).map_err(failed)?;
        if found.is_some() {
            return Ok(());
        }
        let mut ingest = content.ingest(blob.digest.algorithm(), blob.size).map_err(failed)?;
        let (sender, mut pieces) = mpsc::channel::<Vec<u8>>(AHEAD);
        let writing = tasks::blocking(move || {
            while let Some(piece) = pieces.blocking_recv() {
                ingest.push(&piece)?;
            }
            Ok::<_, content::Error>(ingest)
        });
        let read = self.session.blob(&self.name, &blob.digest, sender).await;
        let ingest = writing.await.map_err(|e| work("keep what a client's store has", e))?.map_err(failed)?;
        read?;
        let expected = blob.digest.clone();
        let committed = tasks::blocking(move || ingest.commit(&expected)).await;
        committed.map_err(|e| work("keep what a client's store has", e))?.map(drop).map_err(failed)
    }

    /// A blob of the engine's for the client.
    pub(in crate::builds) async fn give(
        &self,
        content: &content::Store,
        blob: &Descriptor,
    ) -> Result<(), Error> {
        let file = content.get(&blob.digest).map_err(|e| work("read what goes to a client's store", e))?;
        self.session.give_blob(&self.name, (&blob.digest, blob.size), Box::new(file)).await
    }
}
