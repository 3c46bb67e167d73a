//! Caches in buckets, as BuildKit's `type=s3` keeps them: the config under a name that is written again and again, and
//! beside it the layers under their digests.

use std::time::{Duration, SystemTime};

use build::Error;
use build::request::CacheEntry;
use bytes::Bytes;
use distribution::Secret;
use distribution::sign::{Keys, Signer};
use futures_util::future::{BoxFuture, try_join_all};
use oci::image::Descriptor;

use crate::builds::Parts;
use crate::builds::error::engine;

pub(super) const KEYS: &[&str] = &[
    "bucket",
    "region",
    "prefix",
    "blobs_prefix",
    "manifests_prefix",
    "name",
    "endpoint_url",
    "use_path_style",
    "access_key_id",
    "secret_access_key",
    "session_token",
    "touch_refresh",
    "upload_parallelism",
    "retry_mode",
    "retry_max_attempts",
    "disable_accept_encoding",
];
/// A cache that is given has these, too.
pub(super) const GIVING: &[&str] = &[
    "mode",
    "compression",
    "compression-level",
    "force-compression",
    "oci-mediatypes",
    "ignore-error",
    "cache-mounts",
];
/// No config of a cache is longer.
const MAX_CONFIG: usize = 64 << 20;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What the attributes say.
pub(in crate::builds) struct Settings {
    origin: String,
    base: String,
    signer: Signer,
    attempts: u32,
    blobs: String,
    manifests: String,
    names: Vec<String>,
    touch: Duration,
    at_once: usize,
}

/// A bucket that was opened.
pub(in crate::builds) struct Bucket {
    bucket: distribution::Bucket,
    settings: Settings,
}

impl Settings {
    pub(super) fn read(entry: &CacheEntry) -> Result<Self, Error> {
        let get = |key: &str| entry.attributes.get(key).map(String::as_str).filter(|text| !text.is_empty());
        let needed = |key: &str| {
            get(key).ok_or_else(|| Error::Invalid(format!("{key} is required for a cache of type s3")))
        };
        let number = |key: &str, usual: u32| match get(key).map(str::parse) {
            None => Ok(usual),
            Some(Ok(number @ 1..=64)) => Ok(number),
            _ => Err(Error::Invalid(format!("{key} must be a positive integer"))),
        };
        let flag = |key: &str| match get(key) {
            None | Some("0" | "false") => Ok(false),
            Some("1" | "true") => Ok(true),
            Some(other) => Err(Error::Invalid(format!("failed to parse {key}: {other:?}"))),
        };
        // Nothing of what is signed is changed on its way by those who need this.
        flag("disable_accept_encoding")?;
        match get("retry_mode") {
            None | Some("standard") => {}
            Some(other) => return Err(Error::Unsupported { what: format!("retry_mode={other} of a cache") }),
        }
        let (bucket, region) = (needed("bucket")?, needed("region")?);
        let (origin, base) = place(bucket, region, get("endpoint_url"), flag("use_path_style")?)?;
        let secret = |key: &str| get(key).map(Secret::new);
        let needs_keys = || {
            Error::Invalid("access_key_id and secret_access_key are required for a cache of type s3".into())
        };
        let keys = Keys {
            id: get("access_key_id").ok_or_else(needs_keys)?.to_owned(),
            secret: secret("secret_access_key").ok_or_else(needs_keys)?,
            token: secret("session_token"),
        };
        let below = |key: &str, usual: &str| {
            let prefix = entry.attributes.get(key).map_or(usual, String::as_str);
            format!("{}{prefix}", get("prefix").unwrap_or_default())
        };
        Ok(Self {
            origin,
            base,
            signer: Signer { keys, region: region.to_owned() },
            attempts: number("retry_max_attempts", 3)?,
            blobs: below("blobs_prefix", "blobs/"),
            manifests: below("manifests_prefix", "manifests/"),
            names: get("name").unwrap_or("buildkit").split(';').map(str::to_owned).collect(),
            touch: get("touch_refresh").map_or(Ok(DAY), duration)?,
            at_once: number("upload_parallelism", 4)? as usize,
        })
    }

    pub(super) fn open(self, parts: &Parts) -> Bucket {
        let (settings, live) = (&parts.shared.settings, parts.shared.live.load());
        let mut config = crate::images::registry_config(settings, &live);
        // This host's own needn't speak TLS; for others the engine's insecure registries decide.
        if let Some(host) = self.origin.strip_prefix("http://").filter(|host| is_local(host)) {
            config.insecure.push(host.to_owned());
        }
        let bucket = distribution::Bucket {
            client: distribution::Client::new(config),
            origin: self.origin.clone(),
            base: self.base.clone(),
            signer: Signer { keys: self.signer.keys.clone(), region: self.signer.region.clone() },
            attempts: self.attempts,
        };
        Bucket { bucket, settings: self }
    }

    /// What it is called in words.
    pub(super) fn name(&self) -> String {
        format!("{}{}", self.origin, self.base)
    }
}

/// Whether a host with or without a port is this one: by its whole name, not by how that begins.
fn is_local(host: &str) -> bool {
    let Ok(authority) = host.parse::<http::uri::Authority>() else { return false };
    let (name, port) = host.split_at(authority.host().len());
    if !port.is_empty() && !port.starts_with(':') {
        return false;
    }
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let address = name.parse::<std::net::IpAddr>();
    address.map_or(name == "localhost" || name.ends_with(".localhost"), |address| address.is_loopback())
}

/// The bucket's host, and what is before a key.
fn place(
    bucket: &str,
    region: &str,
    endpoint: Option<&str>,
    path_style: bool,
) -> Result<(String, String), Error> {
    let is_name = |text: &str| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
        !text.starts_with('.') && text.bytes().all(allowed)
    };
    for (key, text) in [("bucket", bucket), ("region", region)] {
        if !is_name(text) {
            return Err(Error::Invalid(format!("{key}={text} is no name that a bucket's can be")));
        }
    }
    let Some(endpoint) = endpoint else {
        return Ok((format!("https://{bucket}.s3.{region}.amazonaws.com"), String::new()));
    };
    let wrong = || Error::Invalid(format!("endpoint_url={endpoint} is no host's address"));
    let (scheme, host) = endpoint.trim_end_matches('/').split_once("://").ok_or_else(wrong)?;
    let authority = host.parse::<http::uri::Authority>().map_err(|_| wrong())?;
    // What is signed is what is sent: a usual port isn't.
    let host = match (scheme, authority.as_str().contains('@')) {
        ("https", false) => host.trim_end_matches(":443"),
        ("http", false) => host.trim_end_matches(":80"),
        _ => return Err(wrong()),
    };
    Ok(match path_style {
        true => (format!("{scheme}://{host}"), format!("/{bucket}")),
        false => (format!("{scheme}://{bucket}.{host}"), String::new()),
    })
}

fn duration(text: &str) -> Result<Duration, Error> {
    let wrong = || Error::Invalid(format!("touch_refresh={text} is no duration"));
    crate::images::changes::duration(text).ok_or_else(wrong)
}

impl Bucket {
    fn failed(&self, doing: &str) -> impl Fn(distribution::Error) -> Error + use<> {
        let what = format!("{doing} the cache in {}", self.settings.name());
        move |error| engine(what.clone(), error.into())
    }

    /// The config, if there is one.
    pub(super) async fn config(&self) -> Result<Option<Bytes>, Error> {
        let name = self.settings.names.first().map_or("", String::as_str);
        let key = format!("{}{name}", self.settings.manifests);
        self.bucket.document(&key, MAX_CONFIG).await.map_err(self.failed("read"))
    }

    fn blob(&self, blob: &Descriptor) -> String {
        format!("{}{}", self.settings.blobs, blob.digest)
    }

    /// A layer into the engine's own store.
    pub(super) async fn fetch(
        &self,
        content: &content::Store,
        blob: &Descriptor,
    ) -> Result<(), distribution::Error> {
        self.bucket.fetch(&self.blob(blob), content, blob).await
    }

    /// Gives layers, then the config that names them.
    pub(super) async fn give(
        &self,
        content: &content::Store,
        blobs: &[Descriptor],
        config: Bytes,
    ) -> Result<(), Error> {
        let failed = self.failed("write");
        for some in blobs.chunks(self.settings.at_once) {
            let mut giving: Vec<BoxFuture<'_, Result<(), distribution::Error>>> = Vec::new();
            for blob in some {
                giving.push(Box::pin(self.give_one(content, blob)));
            }
            try_join_all(giving).await.map_err(&failed)?;
        }
        for name in &self.settings.names {
            let key = format!("{}{name}", self.settings.manifests);
            self.bucket.put(&key, config.clone()).await.map_err(&failed)?;
        }
        Ok(())
    }

    async fn give_one(&self, content: &content::Store, blob: &Descriptor) -> Result<(), distribution::Error> {
        let key = self.blob(blob);
        match self.bucket.written(&key).await? {
            None => self.bucket.put_blob(&key, content, blob).await,
            // What a bucket's rules remove by its age is young again while it is used.
            Some(written)
                if SystemTime::now().duration_since(written).unwrap_or_default() > self.settings.touch =>
            {
                self.bucket.touch(&key).await
            }
            Some(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_at_its_host_or_below_another() {
        let at = |endpoint, path| place("images", "eu-west-1", endpoint, path).ok();
        let pair = |origin: &str, base: &str| Some((origin.to_owned(), base.to_owned()));
        assert_eq!(at(None, false), pair("https://images.s3.eu-west-1.amazonaws.com", ""));
        assert_eq!(at(Some("http://127.0.0.1:9000/"), true), pair("http://127.0.0.1:9000", "/images"));
        assert_eq!(at(Some("https://s3.example:443"), false), pair("https://images.s3.example", ""));
        for wrong in ["s3.example", "ftp://s3.example", "https://me@s3.example", "https://s3.example/below"] {
            assert_eq!(at(Some(wrong), true), None, "{wrong}");
        }
        assert!(place("../x", "r", None, false).is_err());
    }

    #[test]
    fn only_this_host_may_do_without_tls() {
        for here in ["127.0.0.1:9000", "127.8.9.1", "localhost", "images.localhost:9000", "[::1]:9000"] {
            assert!(is_local(here), "{here}");
        }
        for elsewhere in ["127.example", "localhost.example:80", "10.0.0.1", "[::2]", "[::1].example", ""] {
            assert!(!is_local(elsewhere), "{elsewhere}");
        }
    }
}
