//! A file from somewhere on the web, for `import`: no registry, nobody's credentials.

use std::io::{self, Read};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};

use crate::redirect;
use crate::url::Url;
use crate::{Client, Error, Secret};

/// No error page is read further.
const ERROR_LIMIT: usize = 1 << 10;

/// A body that is read by code that blocks, away from the threads that serve the network.
pub struct Download {
    body: Incoming,
    /// When the server says that it was changed, in HTTP's words.
    modified: Option<String>,
    rest: Bytes,
    patience: Duration,
    runtime: tokio::runtime::Handle,
}

impl Client {
    /// Opens what is at an address; plain HTTP is as good as any, since nothing is believed of it. Other hosts to which
    /// its own leads see the headers, but not who asks.
    pub async fn download(
        &self,
        address: &str,
        headers: &HeaderMap,
        authorization: Option<&Secret>,
    ) -> Result<Download, Error> {
        let url = Url::parse(address)?;
        let answer = redirect::follow(&self.transport, &Method::GET, &url, headers, authorization).await?;
        let status = answer.response.status();
        let modified = answer.response.headers().get(http::header::LAST_MODIFIED);
        let modified = modified.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = answer.response.into_body();
        if status != StatusCode::OK {
            let host = answer.url.origin.authority();
            let said =
                self.transport.collect(&host, "the answer", body, ERROR_LIMIT).await.unwrap_or_default();
            let (url, said) = (address.to_owned(), String::from_utf8_lossy(&said).into_owned());
            return Err(Error::Download { url, status: status.as_u16(), said });
        }
        let (patience, runtime) = (self.transport.config.patience, tokio::runtime::Handle::current());
        Ok(Download { body, modified, rest: Bytes::new(), patience, runtime })
    }
}

impl Download {
    /// When it was changed last, as the server wrote it.
    pub fn modified(&self) -> Option<&str> {
        self.modified.as_deref()
    }

    /// Its length, if the server said so.
    pub fn length(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            let frame = async { tokio::time::timeout(self.patience, self.body.frame()).await };
            match self.runtime.block_on(frame) {
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(None) => return Ok(0),
                Ok(Some(Ok(frame))) => self.rest = frame.into_data().unwrap_or_default(),
                Ok(Some(Err(error))) => return Err(io::Error::other(error)),
            }
        }
        let count = self.rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.rest.split_to(count));
        Ok(count)
    }
}
