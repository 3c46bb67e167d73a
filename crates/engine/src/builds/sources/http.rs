//! `ADD https://…`: one file, known by its content.

use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use build::Error;
use build::frontend::Known;
use build::graph::{Http, Vertex};
use build::session::UPLOADS;
use build::solver::Looked;
use layers::About;
use oci::{Algorithm, Digest, Hasher};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::{Meter, Sources};
use crate::builds::error::{blocking, engine, work};
use crate::builds::files::{Content, Draft, Node, Planned, Root};
use crate::builds::tree::Tree;
use crate::builds::worker::Works;

/// No file is longer.
const MAX_FILE: u64 = 64 << 30;

impl Sources {
    /// Fetches it; there is no other way to know what it is.
    pub(super) async fn look_http(
        &self,
        works: &Works,
        http: &Http,
        vertex: &Vertex,
    ) -> Result<Looked<Tree>, Error> {
        let name = name_of(http)?;
        let Opened { bytes, total, modified } = self.open(http).await?;
        let meter = Meter::new(&self.progress, vertex.digest(), "downloading");
        let (parts, works, http) = (self.parts.clone(), works.clone(), http.clone());
        let vertex_name = vertex.shown.name.clone();
        blocking(move || {
            let folder = parts.scratch()?;
            let path = folder.path().join("file");
            let digest = save(bytes, &path, |at| meter.at(at, total))?;
            meter.end();
            if let Some(expected) = http.checksum.as_ref().filter(|expected| **expected != digest) {
                return Err(Error::Invalid(format!("digest mismatch {digest}: {expected}")));
            }
            let key =
                format!("http 2\0{digest}\0{name}\0{:?}\0{}\0{}\0{modified}", http.mode, http.uid, http.gid);
            let key = Digest::sha256(key.as_bytes());
            if let Some(found) = parts.cache.find(&key).map_err(|e| engine("look into the build cache", e))? {
                return Ok(Looked::Hit(found));
            }
            let size = std::fs::metadata(&path).map_err(|e| work("look at what was fetched", e))?.len();
            let root = Arc::new(Root::scratch(folder)?);
            // As BuildKit has it where a server says nothing of the time.
            let about = About {
                mode: http.mode.unwrap_or(0o600),
                uid: http.uid,
                gid: http.gid,
                time: (modified, 0),
                xattrs: Vec::new(),
            };
            let mut draft = Draft::new(None)?;
            let content = Content::Of { root, path: vec![b"file".to_vec()] };
            draft.put(&[name.into_bytes()], Node::File { about, size, content, same: None })?;
            let tree = works.write(Planned { base: Tree::scratch(), draft }, &vertex_name)?;
            let made = vec![tree];
            parts.cache.put(&key, &vertex_name, &made).map_err(|e| engine("remember what was fetched", e))?;
            Ok(Looked::Hit(made))
        })
        .await
    }
}

impl Sources {
    /// What is there now. It isn't kept: who wants it asks for it.
    pub(super) async fn known_http(&self, http: &Http) -> Result<Known, Error> {
        let name = name_of(http)?;
        let Opened { bytes, modified, .. } = self.open(http).await?;
        let parts = self.parts.clone();
        let digest = blocking(move || save(bytes, &parts.scratch()?.path().join("file"), |_| ())).await?;
        Ok(Known::Http { digest, name, modified })
    }
}

/// An upload, read by a thread that may block.
struct Uploaded(Box<dyn AsyncRead + Send + Unpin>);

impl Read for Uploaded {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        tokio::runtime::Handle::current().block_on(self.0.read(buffer))
    }
}

/// What is read.
struct Opened {
    bytes: Box<dyn Read + Send>,
    /// How many there are; 0 if that isn't known.
    total: u64,
    /// In seconds since 1970; 0 if nobody says.
    modified: i64,
}

/// HTTP's dates are mail's.
fn seconds(date: &str) -> Option<i64> {
    let parsed = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date);
    parsed.ok().map(|at| at.as_second()).filter(|at| *at >= 0)
}

impl Sources {
    /// What is at an address.
    async fn open(&self, http: &Http) -> Result<Opened, Error> {
        if let Some(name) = http.url.strip_prefix(UPLOADS) {
            let upload = self.session.upload(name).await?;
            return Ok(Opened { bytes: Box::new(Uploaded(upload)), total: 0, modified: 0 });
        }
        let headers = headers(http)?;
        let secret = match http.auth_header_secret.as_str() {
            "" => None,
            id => {
                let secret = self.session.secret(id).await?;
                let secret = secret.ok_or_else(|| Error::NotFound(format!("secret {id}: not found")))?;
                let text = String::from_utf8(secret.0);
                let invalid = |_| Error::Invalid(format!("secret {id} is no header"));
                Some(distribution::Secret::new(text.map_err(invalid)?))
            }
        };
        let client = self.parts.web();
        let failed = |e: distribution::Error| engine(format!("fetch {}", shown(&http.url)), e.into());
        let download = client.download(&http.url, &headers, secret.as_ref()).await.map_err(failed)?;
        let total = download.length().unwrap_or(0);
        let modified = download.modified().and_then(seconds).unwrap_or(0);
        Ok(Opened { bytes: Box::new(download), total, modified })
    }
}

/// What a definition may say to a server: what BuildKit lets it.
fn headers(http: &Http) -> Result<http::HeaderMap, Error> {
    let mut headers = http::HeaderMap::new();
    for (name, value) in &http.headers {
        let name = match name.as_str() {
            "accept" => http::header::ACCEPT,
            "user-agent" => http::header::USER_AGENT,
            other => return Err(Error::Unsupported { what: format!("the header {other:?} of a source") }),
        };
        let invalid = |_| Error::Invalid(format!("the header {name} of a source has no such value"));
        let value = http::HeaderValue::from_str(value).map_err(invalid)?;
        headers.insert(name, value);
    }
    Ok(headers)
}

fn save(mut from: impl Read, path: &std::path::Path, told: impl Fn(u64)) -> Result<Digest, Error> {
    let failed = |e: std::io::Error| work("keep what is fetched", e);
    let mut file = std::fs::File::create(path).map_err(failed)?;
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut buffer = vec![0; 128 * 1024];
    let mut at = 0;
    loop {
        let count = from.read(&mut buffer).map_err(failed)?;
        if count == 0 {
            break;
        }
        at += count as u64;
        if at > MAX_FILE {
            return Err(Error::Invalid(format!("a fetched file is longer than {MAX_FILE} bytes")));
        }
        hasher.update(&buffer[..count]);
        file.write_all(&buffer[..count]).map_err(failed)?;
        told(at);
    }
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    Ok(hasher.finish())
}

/// A single component, from what is said or the address.
fn name_of(http: &Http) -> Result<String, Error> {
    let path = http.url.split(['?', '#']).next().unwrap_or_default();
    let last = path.splitn(4, '/').nth(3).and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    let name = http.filename.clone().unwrap_or_else(|| last.to_owned());
    match name.as_str() {
        "" => Ok("download".into()),
        "." | ".." => Err(Error::Invalid(format!("{name:?} is no name for a file"))),
        name if name.contains(['/', '\0']) || name.len() > 255 => {
            Err(Error::Invalid("what is fetched has a name that is no file's".into()))
        }
        name => Ok(name.to_owned()),
    }
}

/// An address without what may be secret in it.
fn shown(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.split_once('@')?.1))) {
        Some((scheme, rest)) => format!("{scheme}://{rest}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_say_when_a_file_was_changed() {
        assert_eq!(seconds("Tue, 14 Nov 2023 22:13:20 GMT"), Some(1_700_000_000));
        assert_eq!(seconds("yesterday"), None);
        assert_eq!(seconds("Tue, 14 Nov 1950 22:13:20 GMT"), None);
    }

    #[test]
    fn names_are_single_components() {
        let name = |url: &str, filename: Option<&str>| {
            name_of(&Http { url: url.into(), filename: filename.map(Into::into), ..Http::default() }).ok()
        };
        assert_eq!(name("http://h/a/b.tar?x=/y", None).as_deref(), Some("b.tar"));
        assert_eq!(name("http://h", None).as_deref(), Some("download"));
        assert_eq!(name("http://h/a/", None).as_deref(), Some("download"));
        assert_eq!(name("http://h/a/..", None), None);
        assert_eq!(name("http://h/a", Some("../../x")), None);
        assert_eq!(name("http://h/a", Some("/abs")), None);
        assert_eq!(shown("https://user:secret@h/a?token=1"), "https://h/a");
    }
}
