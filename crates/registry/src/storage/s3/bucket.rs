//! Requests to a bucket: signed, tried again where that may help, and waited for by threads that may block.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use distribution::sign::{self, Signer, Target, UNSIGNED};
use distribution::{Client, Part, RequestBody};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use jiff::Timestamp;
use tokio::runtime::Handle;

use super::xml;
use crate::config::Bucket as Settings;
use crate::error::Error;

/// How long the store may be silent.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often one request is sent.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(100);
/// No document, and no page of a list, is longer: what waits of an upload is the longest.
const LONGEST: usize = 80 << 20;
/// A client that was sent to the store has so many seconds to begin.
const LENT: u32 = 20 * 60;

/// A bucket, or what is below a folder of it.
pub(super) struct Bucket {
    client: Client,
    runtime: Handle,
    /// Scheme and host.
    origin: String,
    host: String,
    /// What is before a key, encoded.
    base: String,
    folder: String,
    signer: Signer,
    /// What every object is to be stored with.
    stored: Vec<(HeaderName, HeaderValue)>,
    tls: bool,
}

/// One object of a list.
#[derive(Debug)]
pub(super) struct Object {
    /// Below the folder.
    pub(super) key: String,
    pub(super) size: u64,
    pub(super) modified: SystemTime,
}

/// A list of what begins with the same words.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) objects: Vec<Object>,
    /// What is one level below, where that was asked for.
    pub(super) folders: Vec<String>,
}

/// A small object.
pub(super) struct Document {
    pub(super) bytes: Bytes,
    pub(super) modified: SystemTime,
}

/// What is sent.
#[derive(Clone)]
pub(super) enum Payload {
    None,
    Bytes(Bytes),
    /// From its beginning, so many bytes.
    File(Arc<File>, u64),
}

/// Whether an object may take another one's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replace {
    Yes,
    No,
}

/// A request before it is signed.
struct Call<'a> {
    doing: &'static str,
    method: Method,
    key: &'a str,
    query: Vec<(&'a str, String)>,
    headers: HeaderMap,
    payload: Payload,
    /// Answers besides success that mean something.
    fine: &'a [StatusCode],
}

impl<'a> Call<'a> {
    fn new(doing: &'static str, method: Method, key: &'a str) -> Self {
        let (headers, payload) = (HeaderMap::new(), Payload::None);
        Self { doing, method, key, query: Vec::new(), headers, payload, fine: &[] }
    }
}

impl Bucket {
    pub(super) fn new(settings: &Settings, runtime: Handle) -> Self {
        let mut stored = Vec::new();
        let mut add = |name: &'static str, value: &str| {
            // Checked with the configuration.
            stored.extend(HeaderValue::from_str(value).map(|value| (HeaderName::from_static(name), value)));
        };
        if let Some(class) = &settings.class {
            add("x-amz-storage-class", class);
        }
        if let Some(encryption) = &settings.encryption {
            add("x-amz-server-side-encryption", encryption);
        }
        if let Some(key) = &settings.encryption_key {
            add("x-amz-server-side-encryption-aws-kms-key-id", key);
        }
        let origin = settings.origin.clone();
        let (scheme, host) = origin.split_once("://").unwrap_or(("https", &origin));
        Self {
            client: crate::outgoing::client(&origin, PATIENCE),
            host: host.to_owned(),
            tls: scheme == "https",
            origin: origin.clone(),
            base: settings.base.clone(),
            folder: settings.folder.clone(),
            signer: Signer { keys: settings.keys.clone(), region: settings.region.clone() },
            stored,
            runtime,
        }
    }

    /// A small object, if there is one.
    pub(super) fn get(&self, key: &str) -> Result<Option<Document>, Error> {
        self.wait(async {
            let fine = &[StatusCode::NOT_FOUND];
            let response = self.send(Call { fine, ..Call::new("read", Method::GET, key) }).await?;
            if response.status() == StatusCode::NOT_FOUND {
                self.collect("read", key, response).await?;
                return Ok(None);
            }
            let modified = modified(response.headers());
            let bytes = self.collect("read", key, response).await?;
            Ok(Some(Document { bytes, modified }))
        })
    }

    /// When an object was written, if there is one.
    pub(super) fn head(&self, key: &str) -> Result<Option<SystemTime>, Error> {
        let fine = &[StatusCode::NOT_FOUND];
        let response = self.wait(self.send(Call { fine, ..Call::new("read", Method::HEAD, key) }))?;
        Ok((response.status() != StatusCode::NOT_FOUND).then(|| modified(response.headers())))
    }

    /// Writes an object; false if it may not take the place of one that is there.
    pub(super) fn put(&self, key: &str, payload: Payload, replace: Replace) -> Result<bool, Error> {
        let mut call = Call::new("write", Method::PUT, key);
        call.payload = payload;
        call.headers.extend(self.stored.iter().map(|(name, value)| (name.clone(), value.clone())));
        if replace == Replace::No {
            call.headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("*"));
            call.fine = &[StatusCode::PRECONDITION_FAILED, StatusCode::CONFLICT];
        }
        Ok(self.answer(call)?.0.is_success())
    }

    /// Removes an object; one that isn't there is no error.
    pub(super) fn delete(&self, key: &str) -> Result<(), Error> {
        let fine = &[StatusCode::NOT_FOUND];
        self.answer(Call { fine, ..Call::new("remove", Method::DELETE, key) }).map(drop)
    }

    /// All objects whose keys begin so. With `levels`, those behind another slash are folders.
    pub(super) fn list(&self, prefix: &str, levels: bool) -> Result<Listed, Error> {
        let mut listed = Listed::default();
        let mut token = None;
        loop {
            let page = self.page(prefix, levels, token.take(), 1000)?;
            self.read_page(&page, &mut listed);
            token = xml::text(&page, "NextContinuationToken").filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(listed);
            }
        }
    }

    /// Whether there is any object whose key begins so.
    pub(super) fn any(&self, prefix: &str) -> Result<bool, Error> {
        let page = self.page(prefix, false, None, 1)?;
        Ok(xml::each(&page, "Contents").next().is_some())
    }

    fn page(&self, prefix: &str, levels: bool, token: Option<String>, most: u32) -> Result<String, Error> {
        let mut call = Call::new("list", Method::GET, "");
        call.query = vec![
            ("list-type", "2".into()),
            ("max-keys", most.to_string()),
            ("prefix", format!("{}{prefix}", self.folder)),
        ];
        if levels {
            call.query.push(("delimiter", "/".into()));
        }
        call.query.extend(token.map(|token| ("continuation-token", token)));
        Ok(self.answer(call)?.2)
    }

    fn read_page(&self, page: &str, listed: &mut Listed) {
        let below = |key: String| key.strip_prefix(&self.folder).map(ToOwned::to_owned);
        for one in xml::each(page, "Contents") {
            let key = xml::text(one, "Key").and_then(below);
            let size = xml::text(one, "Size").and_then(|size| size.trim().parse().ok());
            let written =
                xml::text(one, "LastModified").and_then(|time| time.trim().parse::<Timestamp>().ok());
            if let (Some(key), Some(size)) = (key, size) {
                let modified = written.map_or(SystemTime::UNIX_EPOCH, SystemTime::from);
                listed.objects.push(Object { key, size, modified });
            }
        }
        let folders = xml::each(page, "CommonPrefixes").filter_map(|one| xml::text(one, "Prefix"));
        listed.folders.extend(folders.filter_map(below));
    }

    /// Begins an object that comes in parts.
    pub(super) fn begin(&self, key: &str) -> Result<String, Error> {
        let mut call = Call::new("begin", Method::POST, key);
        call.query = vec![("uploads", String::new())];
        call.headers.extend(self.stored.iter().map(|(name, value)| (name.clone(), value.clone())));
        let text = self.answer(call)?.2;
        xml::text(&text, "UploadId").ok_or_else(|| self.said("begin", key, StatusCode::OK, &text))
    }

    /// Sends one part; what the store calls it.
    pub(super) fn part(&self, key: &str, id: &str, number: usize, payload: Payload) -> Result<String, Error> {
        let mut call = Call::new("write a part of", Method::PUT, key);
        call.query = vec![("partNumber", number.to_string()), ("uploadId", id.to_owned())];
        call.payload = payload;
        let (status, headers, text) = self.answer(call)?;
        let tag = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok());
        tag.map(ToOwned::to_owned).ok_or_else(|| self.said("write a part of", key, status, &text))
    }

    /// Makes the parts one object.
    pub(super) fn complete(&self, key: &str, id: &str, parts: &[String]) -> Result<(), Error> {
        let part = |(at, tag): (usize, &String)| {
            let tag = tag.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
            format!("<Part><PartNumber>{}</PartNumber><ETag>{tag}</ETag></Part>", at + 1)
        };
        let parts: String = parts.iter().enumerate().map(part).collect();
        let mut call = Call::new("complete", Method::POST, key);
        call.query = vec![("uploadId", id.to_owned())];
        let text = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        call.payload = Payload::Bytes(text.into());
        let (status, _, text) = self.answer(call)?;
        // The answer begins before the work is done, and says then how it went.
        match xml::text(&text, "Error").is_some() {
            true => Err(self.said("complete", key, status, &text)),
            false => Ok(()),
        }
    }

    /// Forgets the parts of an object that was begun; they may be forgotten already.
    pub(super) fn abort(&self, key: &str, id: &str) -> Result<(), Error> {
        let mut call = Call::new("abandon", Method::DELETE, key);
        call.query = vec![("uploadId", id.to_owned())];
        call.fine = &[StatusCode::NOT_FOUND];
        self.answer(call).map(drop)
    }

    /// An object's bytes as they come.
    pub(super) fn open(&self, key: &str, range: Option<String>) -> Result<Incoming, Error> {
        let mut call = Call::new("read", Method::GET, key);
        let range = range.and_then(|range| HeaderValue::from_str(&range).ok());
        call.headers.extend(range.map(|range| (header::RANGE, range)));
        Ok(self.wait(self.send(call))?.into_body())
    }

    /// An address that whoever has it may read the object from, for a while.
    pub(super) fn lend(&self, key: &str) -> String {
        let path = self.path(key);
        let target = Target { method: &Method::GET, host: &self.host, path: &path, query: &[] };
        format!("{}{path}?{}", self.origin, self.signer.presign(&target, LENT, Timestamp::now()))
    }

    /// Lets some time pass.
    pub(super) fn pause(&self, time: Duration) {
        self.wait(tokio::time::sleep(time));
    }

    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    fn path(&self, key: &str) -> String {
        let whole = if key.is_empty() { String::new() } else { format!("{}{key}", self.folder) };
        let parts: Vec<String> = whole.split('/').map(sign::encode).collect();
        format!("{}/{}", self.base, parts.join("/"))
    }

    /// A request with a short answer.
    fn answer(&self, call: Call<'_>) -> Result<(StatusCode, HeaderMap, String), Error> {
        let (doing, key) = (call.doing, call.key);
        self.wait(async {
            let response = self.send(call).await?;
            let (status, headers) = (response.status(), response.headers().clone());
            let bytes = self.collect(doing, key, response).await?;
            Ok((status, headers, String::from_utf8_lossy(&bytes).into_owned()))
        })
    }

    async fn collect(&self, doing: &'static str, key: &str, of: Response<Incoming>) -> Result<Bytes, Error> {
        let collected = self.client.collect(&self.host, of.into_body(), LONGEST).await;
        collected.map_err(|source| Error::Reach { doing, key: key.to_owned(), source: Box::new(source) })
    }

    /// Sends it until it is answered; what isn't success, and isn't expected, is an error.
    async fn send(&self, call: Call<'_>) -> Result<Response<Incoming>, Error> {
        let (mut pause, mut attempt) = (PAUSE, 1);
        loop {
            let error = match self.send_once(&call).await {
                Ok(response) if response.status().is_success() || call.fine.contains(&response.status()) => {
                    return Ok(response);
                }
                Ok(response) => {
                    let status = response.status();
                    let text = self.collect(call.doing, call.key, response).await?;
                    let error = self.said(call.doing, call.key, status, &String::from_utf8_lossy(&text));
                    if !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS {
                        return Err(error);
                    }
                    error
                }
                Err(source) => {
                    let source = Box::new(source);
                    Error::Reach { doing: call.doing, key: call.key.to_owned(), source }
                }
            };
            if attempt == ATTEMPTS {
                return Err(error);
            }
            tracing::debug!(error = diag::chain(&error), attempt, "the store is asked again");
            tokio::time::sleep(pause).await;
            pause *= 3;
            attempt += 1;
        }
    }

    async fn send_once(&self, call: &Call<'_>) -> Result<Response<Incoming>, distribution::Error> {
        let sent = Arc::new(AtomicU64::new(0));
        let (body, hash) = self.body(&call.payload, &sent);
        let path = self.path(call.key);
        let mut request = Request::new(body);
        *request.method_mut() = call.method.clone();
        *request.headers_mut() = call.headers.clone();
        let target = Target { method: &call.method, host: &self.host, path: &path, query: &call.query };
        self.signer.sign(&target, &hash, request.headers_mut(), Timestamp::now());
        let query = sign::query(&call.query);
        let separator = if query.is_empty() { "" } else { "?" };
        self.client.send(&format!("{}{path}{separator}{query}", self.origin), request, &sent).await
    }

    fn body(&self, payload: &Payload, sent: &Arc<AtomicU64>) -> (RequestBody, String) {
        let at_hand = |bytes: Bytes| {
            let hash = sign::hash(&bytes);
            (Full::new(bytes).map_err(|never| match never {}).boxed(), hash)
        };
        match payload {
            Payload::None => at_hand(Bytes::new()),
            Payload::Bytes(bytes) => at_hand(bytes.clone()),
            Payload::File(file, size) => {
                let hash = if self.tls { UNSIGNED.to_owned() } else { sign::hash_of(file, *size) };
                let part = Part::new(file.clone(), *size, sent.clone());
                (part.boxed(), hash)
            }
        }
    }

    fn said(&self, doing: &'static str, key: &str, status: StatusCode, text: &str) -> Error {
        let part = |name| xml::text(text, name).unwrap_or_default();
        let said = format!("{status} {} {}", part("Code"), part("Message"));
        let said = said.chars().filter(|character| !character.is_control()).take(300).collect();
        Error::Answered { doing, key: key.to_owned(), host: self.host.clone(), said }
    }
}

fn modified(headers: &HeaderMap) -> SystemTime {
    let text = headers.get(header::LAST_MODIFIED).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let time = jiff::fmt::rfc2822::parse(text).map(|time| time.timestamp());
    time.map_or_else(|_| SystemTime::now(), SystemTime::from)
}
