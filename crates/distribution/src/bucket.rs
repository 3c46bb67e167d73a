//! A bucket of S3's protocol, as far as a cache of builds needs one: whole objects, read and written.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use content::Store;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use oci::Digest;
use oci::image::Descriptor;
use tokio::sync::mpsc;

use crate::part::Part;
use crate::sign::{self, Signer, Target, UNSIGNED};
use crate::transport::full;
use crate::{Client, Error, RequestBody};

/// What an object may be that comes in one piece.
const MAX_OBJECT: u64 = 5 << 30;
/// Pieces that wait to be written.
const AHEAD: usize = 16;
const PAUSE: Duration = Duration::from_millis(100);
/// What is kept of an answer that says no.
const MAX_SAID: usize = 64 << 10;

/// Where it is, and who we are to it.
pub struct Bucket {
    pub client: Client,
    /// Scheme and host.
    pub origin: String,
    /// The bucket's name before a key, where the host hasn't got it.
    pub base: String,
    pub signer: Signer,
    /// How often one request is sent.
    pub attempts: u32,
}

/// What is sent.
#[derive(Clone)]
enum Payload {
    Bytes(Bytes),
    File(Arc<File>, u64),
}

impl Bucket {
    fn host(&self) -> &str {
        self.origin.split_once("://").map_or("", |(_, host)| host)
    }

    /// A small object; nothing if there is none.
    pub async fn document(&self, key: &str, limit: usize) -> Result<Option<Bytes>, Error> {
        let response = self.send(&Method::GET, key, HeaderMap::new(), Payload::Bytes(Bytes::new())).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(None),
            _ => self.client.collect(self.host(), response.into_body(), limit).await.map(Some),
        }
    }

    /// When an object was written; nothing if there is none.
    pub async fn written(&self, key: &str) -> Result<Option<SystemTime>, Error> {
        let response = self.send(&Method::HEAD, key, HeaderMap::new(), Payload::Bytes(Bytes::new())).await?;
        let text = response.headers().get(header::LAST_MODIFIED).and_then(|value| value.to_str().ok());
        let time = jiff::fmt::rfc2822::parse(text.unwrap_or_default()).map(|time| time.timestamp());
        let time = time.map_or_else(|_| SystemTime::now(), SystemTime::from);
        Ok((response.status() != StatusCode::NOT_FOUND).then_some(time))
    }

    /// Writes a small object.
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<(), Error> {
        self.done(key, HeaderMap::new(), Payload::Bytes(bytes)).await
    }

    /// Writes a blob of the store's.
    pub async fn put_blob(&self, key: &str, content: &Store, blob: &Descriptor) -> Result<(), Error> {
        if blob.size > MAX_OBJECT {
            let what = format!("blob {}", blob.digest);
            return Err(Error::TooLarge { host: self.host().to_owned(), what, limit: MAX_OBJECT });
        }
        let file = Arc::new(content.get(&blob.digest)?);
        self.done(key, HeaderMap::new(), Payload::File(file, blob.size)).await
    }

    /// Has an object be as if it were written now.
    pub async fn touch(&self, key: &str) -> Result<(), Error> {
        let mut headers = HeaderMap::new();
        let from = format!("{}/{key}", self.base.trim_start_matches('/'));
        let from = from.split('/').map(sign::encode).collect::<Vec<_>>().join("/");
        for (name, value) in [("x-amz-copy-source", from.as_str()), ("x-amz-metadata-directive", "REPLACE")] {
            let value = HeaderValue::from_str(value).map_err(|_| self.malformed(key))?;
            headers.insert(HeaderName::from_static(name), value);
        }
        self.done(key, headers, Payload::Bytes(Bytes::new())).await
    }

    /// Brings a blob into the store; it is what its digest says.
    pub async fn fetch(&self, key: &str, content: &Store, blob: &Descriptor) -> Result<(), Error> {
        if content.find(&blob.digest)?.is_some() {
            return Ok(());
        }
        let response = self.send(&Method::GET, key, HeaderMap::new(), Payload::Bytes(Bytes::new())).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Err(self.said(key, StatusCode::NOT_FOUND, b""));
        }
        let mut ingest = content.ingest(blob.digest.algorithm(), blob.size)?;
        let (sender, mut pieces) = mpsc::channel::<Bytes>(AHEAD);
        let expected: Digest = blob.digest.clone();
        let writing = tasks::blocking(move || {
            while let Some(piece) = pieces.blocking_recv() {
                ingest.push(&piece)?;
            }
            ingest.commit(&expected).map(drop)
        });
        let mut body = response.into_body();
        let read = self.pump(&mut body, sender).await;
        let written = writing.await.map_err(|e| self.broken(io::Error::other(e)))?;
        read?;
        Ok(written?)
    }

    async fn pump(&self, body: &mut Incoming, to: mpsc::Sender<Bytes>) -> Result<(), Error> {
        let patience = self.client.patience();
        loop {
            let frame = tokio::time::timeout(patience, body.frame()).await;
            let host = || self.host().to_owned();
            let frame = frame.map_err(|_| Error::Silent { host: host(), after: patience })?;
            let Some(frame) = frame else { return Ok(()) };
            let frame = frame.map_err(|source| Error::Http { host: host(), source })?;
            let Ok(bytes) = frame.into_data() else { continue };
            // The writer says why it stopped.
            if to.send(bytes).await.is_err() {
                return Ok(());
            }
        }
    }

    async fn done(&self, key: &str, headers: HeaderMap, payload: Payload) -> Result<(), Error> {
        let response = self.send(&Method::PUT, key, headers, payload).await?;
        let status = response.status();
        let text = self.client.collect(self.host(), response.into_body(), MAX_SAID).await?;
        // A copy's answer begins before the work is done, and says then how it went.
        match status.is_success() && !text.windows(7).any(|part| part == b"<Error>") {
            true => Ok(()),
            false => Err(self.said(key, status, &text)),
        }
    }

    /// Sends it until it is answered; what is neither success nor absence is an error.
    async fn send(
        &self,
        method: &Method,
        key: &str,
        headers: HeaderMap,
        payload: Payload,
    ) -> Result<Response<Incoming>, Error> {
        let (mut pause, mut attempt) = (PAUSE, 1);
        loop {
            let error = match self.send_once(method, key, headers.clone(), &payload).await {
                Ok(response) => {
                    let status = response.status();
                    if status.is_success() || status == StatusCode::NOT_FOUND {
                        return Ok(response);
                    }
                    let text = self.client.collect(self.host(), response.into_body(), MAX_SAID).await?;
                    let error = self.said(key, status, &text);
                    if !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS {
                        return Err(error);
                    }
                    error
                }
                Err(error) => error,
            };
            if attempt >= self.attempts {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
            attempt += 1;
        }
    }

    async fn send_once(
        &self,
        method: &Method,
        key: &str,
        headers: HeaderMap,
        payload: &Payload,
    ) -> Result<Response<Incoming>, Error> {
        let sent = Arc::new(AtomicU64::new(0));
        let (body, hash): (RequestBody, String) = match payload {
            Payload::Bytes(bytes) => (full(bytes.clone()), sign::hash(bytes)),
            Payload::File(file, size) => {
                let hash = match self.origin.starts_with("https://") {
                    true => UNSIGNED.to_owned(),
                    false => sign::hash_of(file, *size),
                };
                (Part::new(file.clone(), *size, sent.clone()).boxed(), hash)
            }
        };
        let parts: Vec<String> = key.split('/').map(sign::encode).collect();
        let path = format!("{}/{}", self.base, parts.join("/"));
        let mut request = Request::new(body);
        *request.method_mut() = method.clone();
        *request.headers_mut() = headers;
        let target = Target { method, host: self.host(), path: &path, query: &[] };
        self.signer.sign(&target, &hash, request.headers_mut(), jiff::Timestamp::now());
        self.client.send(&format!("{}{path}", self.origin), request, &sent).await
    }

    fn said(&self, key: &str, status: StatusCode, text: &[u8]) -> Error {
        let said: String = String::from_utf8_lossy(text).chars().take(300).collect();
        let message = format!("for {key}: {said}");
        Error::Status { host: self.host().to_owned(), status: status.as_u16(), message, retry_after: None }
    }

    fn malformed(&self, key: &str) -> Error {
        Error::Malformed { host: self.host().to_owned(), what: "the key".into(), why: key.to_owned() }
    }

    fn broken(&self, source: io::Error) -> Error {
        Error::Unreachable { host: self.host().to_owned(), source }
    }
}
