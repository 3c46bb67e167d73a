//! `storage.s3`: which bucket, at which address, with whose keys.

use distribution::Secret;
use distribution::sign::Keys;
use http::HeaderValue;

use super::file::Storage;
use super::invalid;
use crate::error::Error;

/// What the protocol takes as a part, but for the last one.
const SMALLEST_PART: u64 = 5 << 20;
/// What is held in memory of an upload that waits.
const LARGEST_PART: u64 = 64 << 20;
const PART: u64 = 10 << 20;

/// A bucket and how it is spoken to.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    /// Scheme and host.
    pub(crate) origin: String,
    /// What a path begins with: the bucket's name, unless that is in the host's.
    pub(crate) base: String,
    /// What every key begins with: nothing, or ends with a slash.
    pub(crate) folder: String,
    pub(crate) region: String,
    pub(crate) keys: Keys,
    pub(crate) part: u64,
    pub(crate) redirect: bool,
    pub(crate) class: Option<String>,
    pub(crate) encryption: Option<String>,
    pub(crate) encryption_key: Option<String>,
}

/// Reads the section; the keys may be in the environment, as for AWS' own tools.
pub(super) fn read(
    storage: &Storage,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Option<Bucket>, Error> {
    let Some(s3) = &storage.s3 else { return Ok(None) };
    let name = s3.bucket.as_str();
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
    if name.is_empty() || name.starts_with('.') || !name.bytes().all(is_name) {
        return Err(invalid("storage.s3.bucket", format!("{name:?} is no bucket's name")));
    }
    let region = s3.region.clone().or_else(|| environment("AWS_REGION"));
    let region = region.ok_or_else(|| invalid("storage.s3.region", "it is missing"))?;
    let part = s3.chunksize.map_or(PART, |size| size.0);
    if !(SMALLEST_PART..=LARGEST_PART).contains(&part) {
        return Err(invalid("storage.s3.chunksize", "it has to be between 5MiB and 64MiB"));
    }
    if s3.keyid.is_some() && !s3.encrypt {
        return Err(invalid("storage.s3.keyid", "it needs storage.s3.encrypt"));
    }
    let (scheme, host) = host(s3, &region)?;
    // A bucket's own host has a certificate only if the name has no dots.
    let in_path = s3.forcepathstyle.unwrap_or(s3.regionendpoint.is_some() || name.contains('.'));
    let (origin, base) = match in_path {
        true => (format!("{scheme}://{host}"), format!("/{name}")),
        false => (format!("{scheme}://{name}.{host}"), String::new()),
    };
    let folder = s3.rootdirectory.as_deref().unwrap_or_default().trim_matches('/');
    for (key, value) in [("storage.s3.keyid", &s3.keyid), ("storage.s3.storageclass", &s3.storageclass)] {
        if value.as_ref().is_some_and(|value| HeaderValue::from_str(value).is_err()) {
            return Err(invalid(key, "it can't be sent"));
        }
    }
    let encryption = s3.encrypt.then(|| if s3.keyid.is_some() { "aws:kms" } else { "AES256" }.to_owned());
    Ok(Some(Bucket {
        origin,
        base,
        folder: if folder.is_empty() { String::new() } else { format!("{folder}/") },
        region,
        keys: keys(s3, environment)?,
        part,
        redirect: !storage.redirect.disable,
        class: s3.storageclass.clone(),
        encryption,
        encryption_key: s3.keyid.clone(),
    }))
}

fn host(s3: &super::file::S3, region: &str) -> Result<(&'static str, String), Error> {
    let plain = |secure: bool| if secure { "https" } else { "http" };
    let Some(endpoint) = &s3.regionendpoint else {
        return Ok((plain(s3.secure.unwrap_or(true)), format!("s3.{region}.amazonaws.com")));
    };
    let (scheme, host) = match endpoint.split_once("://") {
        Some(("http", host)) => ("http", host),
        Some(("https", host)) => ("https", host),
        Some(_) => return Err(invalid("storage.s3.regionendpoint", "it is neither http nor https")),
        None => (plain(s3.secure.unwrap_or(true)), endpoint.as_str()),
    };
    let host = host.trim_end_matches('/');
    let port = if scheme == "http" { ":80" } else { ":443" };
    match host.parse::<http::uri::Authority>() {
        // What is signed is what is sent: a usual port isn't.
        Ok(authority) if !authority.as_str().contains('@') => {
            Ok((scheme, host.trim_end_matches(port).to_ascii_lowercase()))
        }
        _ => Err(invalid("storage.s3.regionendpoint", format!("{endpoint} is no host"))),
    }
}

fn keys(s3: &super::file::S3, environment: impl Fn(&str) -> Option<String>) -> Result<Keys, Error> {
    match (&s3.accesskey, &s3.secretkey) {
        (Some(id), Some(secret)) => {
            let token = s3.sessiontoken.as_ref().map(|token| Secret::new(&token.0));
            Ok(Keys { id: id.0.clone(), secret: Secret::new(&secret.0), token })
        }
        (None, None) => {
            let id = environment("AWS_ACCESS_KEY_ID");
            let secret = environment("AWS_SECRET_ACCESS_KEY").map(Secret::new);
            let token = environment("AWS_SESSION_TOKEN").map(Secret::new);
            match (id, secret) {
                (Some(id), Some(secret)) => Ok(Keys { id, secret, token }),
                _ => {
                    let why = "it is missing, and so is AWS_ACCESS_KEY_ID in the environment";
                    Err(invalid("storage.s3.accesskey", why))
                }
            }
        }
        _ => Err(invalid("storage.s3.accesskey", "it goes with storage.s3.secretkey")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::S3;
    use super::*;
    use crate::config::Hidden;

    fn bucket(change: impl FnOnce(&mut S3)) -> Result<Bucket, Error> {
        let hidden = |text: &str| Some(Hidden(text.into()));
        let mut s3 = S3 {
            bucket: "images".into(),
            region: Some("eu-west-1".into()),
            accesskey: hidden("id"),
            secretkey: hidden("secret"),
            ..S3::default()
        };
        change(&mut s3);
        let storage = Storage { s3: Some(s3), ..Storage::default() };
        Ok(read(&storage, |_| None)?.unwrap())
    }

    // covers: registry config-key storage storage.s3
    // covers: registry config-key storage storage.s3.accesskey
    // covers: registry config-key storage storage.s3.secretkey
    // covers: registry config-key storage storage.s3.bucket
    // covers: registry config-key storage storage.s3.region
    // covers: registry config-key storage storage.s3.regionendpoint
    // covers: registry config-key storage storage.s3.forcepathstyle
    // covers: registry config-key storage storage.s3.secure
    // covers: registry config-key storage storage.s3.rootdirectory
    // covers: registry config-key storage storage.s3.chunksize
    // covers: registry config-key storage storage.s3.encrypt
    // covers: registry config-key storage storage.s3.keyid
    // covers: registry config-key storage storage.s3.v4auth
    #[test]
    fn the_address_is_what_docker_s_registry_makes_of_the_same_keys() {
        let address = |change: fn(&mut S3)| {
            let bucket = bucket(change).unwrap();
            format!("{}{}/{}", bucket.origin, bucket.base, bucket.folder)
        };
        assert_eq!(address(|_| {}), "https://images.s3.eu-west-1.amazonaws.com/");
        assert_eq!(address(|s3| s3.bucket = "a.b".into()), "https://s3.eu-west-1.amazonaws.com/a.b/");
        assert_eq!(
            address(|s3| s3.forcepathstyle = Some(true)),
            "https://s3.eu-west-1.amazonaws.com/images/"
        );
        assert_eq!(
            address(|s3| s3.regionendpoint = Some("http://10.0.0.1:9000/".into())),
            "http://10.0.0.1:9000/images/"
        );
        assert_eq!(
            address(|s3| {
                s3.regionendpoint = Some("store.example:80".into());
                s3.secure = Some(false);
                s3.rootdirectory = Some("/team/registry/".into());
            }),
            "http://store.example/images/team/registry/"
        );
        let encrypted = |key: Option<&str>| {
            let key = key.map(ToOwned::to_owned);
            bucket(|s3| (s3.encrypt, s3.keyid) = (true, key)).unwrap().encryption.unwrap()
        };
        assert_eq!((encrypted(None).as_str(), encrypted(Some("k")).as_str()), ("AES256", "aws:kms"));
        assert!(super::super::parse("storage: {s3: {bucket: b, v4auth: true}}").is_ok());
        assert!(super::super::parse("storage: {s3: {bucket: b, v4auth: false}}").is_err());
    }

    #[test]
    fn what_is_missing_or_wrong_is_told_by_its_key() {
        let refused = |change: fn(&mut S3)| bucket(change).err().unwrap().to_string();
        assert!(refused(|s3| s3.bucket = String::new()).contains("storage.s3.bucket"));
        assert!(refused(|s3| s3.bucket = "../x".into()).contains("storage.s3.bucket"));
        assert!(refused(|s3| s3.region = None).contains("storage.s3.region"));
        assert!(refused(|s3| s3.secretkey = None).contains("storage.s3.accesskey"));
        assert!(refused(|s3| (s3.accesskey, s3.secretkey) = (None, None)).contains("AWS_ACCESS_KEY_ID"));
        assert!(refused(|s3| s3.regionendpoint = Some("ftp://x".into())).contains("regionendpoint"));
        assert!(refused(|s3| s3.regionendpoint = Some("a@b".into())).contains("regionendpoint"));
        assert!(refused(|s3| s3.keyid = Some("k".into())).contains("storage.s3.encrypt"));
        assert!(refused(|s3| s3.chunksize = Some(super::super::file::Size(1))).contains("chunksize"));
    }

    #[test]
    fn keys_are_not_shown() {
        assert!(!format!("{:?}", bucket(|_| {}).unwrap()).contains("secret\""));
    }
}
