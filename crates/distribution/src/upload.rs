//! Giving: blobs that the registry lacks, then the manifest that names them.

use std::fs::File;
use std::io::{self, Read as _};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use content::Store;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming, SizeHint};
use oci::Digest;
use tokio::sync::mpsc;

use crate::auth::Auth;
use crate::redirect::{self, Answer};
use crate::repository::Repository;
use crate::retry::retrying;
use crate::transport::{RequestBody, full};
use crate::url::Url;
use crate::{Access, Error};

/// What is read from the disk at once.
pub(crate) const PIECE: usize = 128 << 10;
/// Pieces between the disk and the network.
pub(crate) const AHEAD: usize = 4;

impl Repository {
    /// Whether the registry has a blob already.
    pub async fn has_blob(&self, digest: &Digest) -> Result<bool, Error> {
        let url = self.url(&format!("blobs/{digest}"));
        let none = HeaderMap::new();
        match retrying(self.attempts(), || self.ask(&Method::HEAD, &url, &none)).await {
            Ok(_) => Ok(true),
            Err(Error::Status { status: 404, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Asks the registry to take a blob over from another repository of its own, `from`, where we may read.
    pub async fn mount_blob(&self, digest: &Digest, from: &str) -> Result<bool, Error> {
        let scope = format!("{} repository:{from}:pull", self.scope(Access::Push));
        // A token for both repositories; without the right to read there, nothing is lost.
        let auth = self.auth.for_scope(scope).await;
        let url = self.url("blobs/uploads/").with_query("mount", digest.as_str()).with_query("from", from);
        let answer = self.ask_as(&auth, &Method::POST, &url, &no_content()).await?;
        if answer.response.status() == StatusCode::CREATED {
            return Ok(true);
        }
        // It began an upload instead, which nobody goes on with.
        if let Ok(session) = redirect::location(&answer.url, &answer.response)
            && let Err(error) = self.ask(&Method::DELETE, &session, &HeaderMap::new()).await
        {
            tracing::debug!(error = diag::chain(&error), "an upload that nobody needs stays in the registry");
        }
        Ok(false)
    }

    /// Sends a blob of the content store. `progress` hears of the bytes that went out.
    pub async fn send_blob(
        &self,
        content: &Store,
        digest: &Digest,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), Error> {
        retrying(self.attempts(), || self.send_blob_once(content, digest, progress)).await
    }

    async fn send_blob_once(
        &self,
        content: &Store,
        digest: &Digest,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), Error> {
        let begun = self.ask(&Method::POST, &self.url("blobs/uploads/"), &no_content()).await?;
        let session = redirect::location(&begun.url, &begun.response)?;
        let url = session.with_query("digest", digest.as_str());
        let answer = self.put_blob(content, digest, url, progress).await?;
        self.taken(answer).await.map(drop)
    }

    /// An answer to bytes that were sent, unless it says that they aren't taken.
    pub(crate) async fn taken(&self, answer: Answer) -> Result<Answer, Error> {
        let status = answer.response.status();
        if status.is_success() {
            return Ok(answer);
        }
        let expired = status == StatusCode::UNAUTHORIZED && answer.url.origin == self.endpoint.origin;
        // A token may end while much is sent: the next attempt has a new one.
        if expired && self.auth.challenged(answer.response.headers(), None).await? {
            return Err(Error::Expired { host: self.host() });
        }
        Err(self.refused(answer).await)
    }

    async fn put_blob(
        &self,
        content: &Store,
        digest: &Digest,
        mut url: Url,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Answer, Error> {
        for _ in 0..=redirect::MOST {
            let file = content.get(digest)?;
            let read = |source| Error::Send { digest: digest.clone(), source };
            let size = file.metadata().map_err(read)?.len();
            let sent = Arc::new(AtomicU64::new(0));
            let mut request = Request::new(from_file(file, size, sent.clone()));
            *request.method_mut() = Method::PUT;
            let headers = request.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
            self.authorize(&url, headers).await?;
            let show = || progress(sent.load(Ordering::Relaxed));
            let response = self.exchange(&url, request, &sent, &show).await?;
            match response.status().as_u16() {
                307 | 308 => url = redirect::location(&url, &response)?,
                _ => return Ok(Answer { url, response }),
            }
        }
        Err(Error::Redirect { host: self.host(), why: "without end" })
    }

    /// Sends a large body, showing from time to time how far it is.
    pub(crate) async fn exchange(
        &self,
        url: &Url,
        request: Request<RequestBody>,
        sent: &AtomicU64,
        show: &(dyn Fn() + Sync),
    ) -> Result<Response<Incoming>, Error> {
        let mut sending = std::pin::pin!(self.transport.send_body(url, request, sent));
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(100));
        loop {
            tokio::select! {
                response = &mut sending => return response,
                _ = tick.tick() => show(),
            }
        }
    }

    /// The credentials are for the registry's own addresses alone, wherever it sends an upload.
    pub(crate) async fn authorize(&self, url: &Url, headers: &mut HeaderMap) -> Result<(), Error> {
        if url.origin == self.endpoint.origin
            && let Some(secret) = self.auth.header(&self.transport).await?
        {
            headers.insert(header::AUTHORIZATION, redirect::header_of(&secret)?);
        }
        Ok(())
    }

    /// Sends a small blob, unless the registry has it.
    pub async fn send_bytes(&self, bytes: &Bytes) -> Result<(), Error> {
        let digest = Digest::sha256(bytes);
        if self.has_blob(&digest).await? {
            return Ok(());
        }
        let begun = self.ask(&Method::POST, &self.url("blobs/uploads/"), &no_content()).await?;
        let session = redirect::location(&begun.url, &begun.response)?;
        let kind = "application/octet-stream";
        self.put(session.with_query("digest", digest.as_str()), kind, bytes).await
    }

    /// Makes a manifest known under `name`, a tag or its own digest, exactly as it is.
    pub async fn put_manifest(&self, name: &str, media_type: &str, bytes: &Bytes) -> Result<(), Error> {
        retrying(self.attempts(), || self.put_manifest_once(name, media_type, bytes)).await
    }

    async fn put_manifest_once(&self, name: &str, media_type: &str, bytes: &Bytes) -> Result<(), Error> {
        self.put(self.url(&format!("manifests/{name}")), media_type, bytes).await
    }

    async fn put(&self, url: Url, media_type: &str, bytes: &Bytes) -> Result<(), Error> {
        let mut request = Request::new(full(bytes.clone()));
        *request.method_mut() = Method::PUT;
        let kind = HeaderValue::from_str(media_type)
            .map_err(|_| Error::Address { what: "a media type", value: media_type.to_owned() })?;
        request.headers_mut().insert(header::CONTENT_TYPE, kind);
        self.authorize(&url, request.headers_mut()).await?;
        let response = self.transport.send(&url, request).await?;
        let answer = Answer { url, response };
        match answer.response.status() {
            status if status.is_success() => Ok(()),
            StatusCode::UNAUTHORIZED if self.auth.challenged(answer.response.headers(), None).await? => {
                Err(Error::Expired { host: self.host() })
            }
            _ => Err(self.refused(answer).await),
        }
    }

    async fn ask_as(
        &self,
        auth: &Auth,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
    ) -> Result<Answer, Error> {
        let header = auth.header(&self.transport).await?;
        let answer = redirect::follow(&self.transport, method, url, headers, header.as_ref()).await?;
        match answer.response.status().is_success() {
            true => Ok(answer),
            false => Err(self.refused(answer).await),
        }
    }
}

pub(crate) fn no_content() -> HeaderMap {
    HeaderMap::from_iter([(header::CONTENT_LENGTH, HeaderValue::from_static("0"))])
}

/// A file as a body, read away from the threads that serve the network.
fn from_file(mut file: File, size: u64, sent: Arc<AtomicU64>) -> RequestBody {
    let (sender, pieces) = mpsc::channel(AHEAD);
    tasks::blocking(move || {
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            let read = (&mut file).take(PIECE as u64).read_to_end(&mut piece);
            let goes_on = matches!(read, Ok(1..));
            if matches!(read, Ok(0)) {
                return;
            }
            // Nobody takes it when the request has failed.
            let taken = sender.blocking_send(read.map(|_| Bytes::from(piece)));
            if taken.is_err() || !goes_on {
                return;
            }
        }
    });
    body(pieces, Some(size), sent)
}

/// A body of pieces that another thread makes, of a length that is known or not.
pub(crate) fn body(
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    left: Option<u64>,
    sent: Arc<AtomicU64>,
) -> RequestBody {
    Pieces { pieces, left, sent }.boxed()
}

struct Pieces {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    left: Option<u64>,
    sent: Arc<AtomicU64>,
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.pieces.poll_recv(cx).map(|piece| {
            let piece = piece?.inspect(|bytes| {
                self.left = self.left.map(|left| left.saturating_sub(bytes.len() as u64));
                self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            });
            Some(piece.map(Frame::data))
        })
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use oci::Reference;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::{Client, Config, Proxies};

    /// Answers each request by its method; nothing is silence.
    async fn registry(answer: fn(&str) -> Option<&'static str>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await?);
                        // It speaks no TLS.
                        if head[0] == 0x16 {
                            return Ok(());
                        }
                    }
                    match answer(&String::from_utf8_lossy(&head)) {
                        Some(said) => stream.write_all(said.as_bytes()).await,
                        // Takes all and says nothing.
                        None => tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop),
                    }
                });
            }
        });
        address
    }

    async fn repository(address: &str) -> Repository {
        let config = Config {
            mirrors: Vec::new(),
            insecure: vec![address.to_owned()],
            proxies: Proxies::default(),
            certificates: "/nonexistent".into(),
            attempts: 1,
            patience: Duration::from_millis(200),
            user_agent: "test".into(),
            plain_http: false,
        };
        let reference = Reference::parse(&format!("{address}/a:1")).unwrap();
        Client::new(config).repository(&reference, Access::Push, None).await.unwrap()
    }

    const FINE: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
    const BEGUN: &str =
        "HTTP/1.1 202 x\r\nConnection: close\r\nContent-Length: 0\r\nLocation: /upload?a=b\r\n\r\n";

    #[tokio::test(flavor = "multi_thread")]
    async fn a_registry_that_takes_all_and_says_nothing_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let content = Store::open(folder.path()).unwrap();
        let blob = content.put(&vec![1; 1 << 20]).unwrap();
        let address = registry(|head| match head.split(' ').next() {
            Some("GET") => Some(FINE),
            Some("POST") => Some(BEGUN),
            _ => None,
        })
        .await;
        let repository = repository(&address).await;
        let error = repository.send_blob(&content, &blob.digest, &|_| {}).await.unwrap_err();
        assert!(matches!(error, Error::Silent { .. }), "{error}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_registry_that_refuses_has_the_last_word() {
        const DENIED: &str = "HTTP/1.1 403 x\r\nConnection: close\r\nContent-Length: 77\r\n\r\n\
             {\"errors\":[{\"code\":\"DENIED\",\"message\":\"requested access is denied to this\"}]} ";
        let address = registry(|head| Some(if head.starts_with("GET") { FINE } else { DENIED })).await;
        let manifest = Bytes::from_static(b"{}");
        let put = repository(&address).await.put_manifest("1", "application/json", &manifest).await;
        assert_eq!(put.unwrap_err().to_string(), "denied: requested access is denied to this");
    }
}
