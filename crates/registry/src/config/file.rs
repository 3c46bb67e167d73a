//! The configuration file: docker's registry's keys where they mean something here, and our own.
//!
//! A key that isn't here is refused by name, with its line; those of docker's that a file may well have are refused with
//! the reason in [`super::refused`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

/// Go's `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        flags::go::parse_duration(&text).map(Self).map_err(D::Error::custom)
    }
}

/// `10GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(u64),
            Text(String),
        }
        match Either::deserialize(from)? {
            Either::Number(bytes) => Ok(Self(bytes)),
            Either::Text(text) => {
                let bytes = flags::go::parse_bytes(&text).map_err(D::Error::custom)?;
                u64::try_from(bytes).map(Self).map_err(D::Error::custom)
            }
        }
    }
}

/// What must not be shown.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Hidden(pub(crate) String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("[redacted]")
    }
}

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, Deserialize)]
        #[serde(default, deny_unknown_fields, rename_all = "lowercase")]
        pub(crate) struct $name {
            $(pub(crate) $field: $kind,)*
        }
    };
}

section!(
    /// The whole file.
    File {
        version: Option<serde_json::Value>,
        log: Log,
        storage: Storage,
        auth: Auth,
        access: Vec<Rule>,
        http: Http,
        notifications: Notifications,
        health: Health,
        proxy: Option<Upstream>,
        proxies: Vec<Upstream>,
        catalog: Catalog,
        tags: Tags,
        retention: Vec<Retention>,
        warnings: Vec<Warning>,
    }
);
section!(Log {
    level: Option<String>,
    formatter: Option<String>,
    accesslog: AccessLog,
    fields: BTreeMap<String, String>,
});
section!(AccessLog { disabled: bool });
section!(Storage {
    filesystem: Filesystem,
    s3: Option<S3>,
    redirect: Redirect,
    delete: Delete,
    maintenance: Maintenance,
    cache: StorageCache,
    gc: Gc,
    maxblob: Option<Size>,
});
section!(Filesystem { rootdirectory: Option<PathBuf> });
section!(S3 {
    accesskey: Option<Hidden>,
    secretkey: Option<Hidden>,
    sessiontoken: Option<Hidden>,
    region: Option<String>,
    regionendpoint: Option<String>,
    forcepathstyle: Option<bool>,
    bucket: String,
    encrypt: bool,
    keyid: Option<String>,
    secure: Option<bool>,
    v4auth: Option<True>,
    chunksize: Option<Size>,
    rootdirectory: Option<String>,
    storageclass: Option<String>,
});

/// What can't be switched off.
#[derive(Debug, Clone, Copy)]
pub(crate) struct True;

impl<'de> Deserialize<'de> for True {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match bool::deserialize(from)? {
            true => Ok(Self),
            false => Err(D::Error::custom("requests are signed by version 4 alone")),
        }
    }
}

section!(Redirect { disable: bool });
section!(Delete { enabled: Option<bool> });
section!(Maintenance { uploadpurging: Purging, readonly: ReadOnly });
section!(Purging { enabled: Option<bool>, age: Option<Span>, interval: Option<Span>, dryrun: bool });
section!(ReadOnly { enabled: bool });
section!(StorageCache { blobdescriptor: Option<InMemory> });
section!(Gc { enabled: Option<bool>, interval: Option<Span>, grace: Option<Span>, untagged: bool });

/// The one cache there is.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum InMemory {
    InMemory,
}

section!(Auth { htpasswd: Option<Htpasswd>, token: Option<Token> });
section!(Htpasswd { realm: Option<String>, path: PathBuf });
section!(
    /// An outside token service, if there is a `realm`; our own otherwise.
    Token {
        realm: Option<String>,
        service: Option<String>,
        issuer: Option<String>,
        rootcertbundle: Option<PathBuf>,
        jwks: Option<PathBuf>,
        signingalgorithms: Vec<String>,
        expiration: Option<Span>,
    }
);
section!(Rule { repositories: Vec<String>, users: Vec<String>, actions: Vec<Permission> });

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Permission {
    Pull,
    Push,
    Create,
    Delete,
}

section!(Http {
    addr: Option<String>,
    host: Option<String>,
    relativeurls: Option<bool>,
    draintimeout: Option<Span>,
    tls: Option<Tls>,
    headers: BTreeMap<String, Vec<String>>,
    debug: Option<Debug>,
    http2: Http2,
    chunkmin: Option<Size>,
    maxconnections: Option<usize>,
});
section!(Tls {
    certificate: PathBuf,
    key: PathBuf,
    clientcas: Vec<PathBuf>,
    clientauth: Option<ClientAuth>,
});

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum ClientAuth {
    #[serde(rename = "require-and-verify-client-cert")]
    Required,
    #[serde(rename = "verify-client-cert-if-given")]
    Offered,
}

section!(Debug { addr: String, prometheus: Prometheus });
section!(Prometheus { enabled: bool, path: Option<String> });
section!(Http2 { disabled: Option<False> });

/// What can't be switched the other way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct False;

impl<'de> Deserialize<'de> for False {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match bool::deserialize(from)? {
            false => Ok(Self),
            true => Err(D::Error::custom("this can't be disabled: clients choose HTTP/1.1 or HTTP/2")),
        }
    }
}

section!(Notifications { events: Events, endpoints: Vec<Endpoint> });
section!(Events { includereferences: bool });
section!(Endpoint {
    name: String,
    disabled: bool,
    url: String,
    headers: BTreeMap<String, Vec<Hidden>>,
    timeout: Option<Span>,
    threshold: Option<u32>,
    backoff: Option<Span>,
    ignoredmediatypes: Vec<String>,
    ignore: Ignore,
});
section!(Ignore { mediatypes: Vec<String>, actions: Vec<EventAction> });

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EventAction {
    Push,
    Pull,
    Mount,
    Delete,
}

section!(Health { storagedriver: StorageHealth });
section!(StorageHealth { enabled: Option<bool>, interval: Option<Span>, threshold: Option<u32> });
section!(Upstream {
    prefix: String,
    remoteurl: String,
    username: Option<String>,
    password: Option<Hidden>,
    ttl: Option<Span>,
    maxsize: Option<Size>,
});
section!(Catalog { maxentries: Option<usize> });
section!(Tags { maxtags: Option<usize> });
section!(Retention { repositories: Vec<String>, keep: Option<usize>, olderthan: Option<Span>, protect: Vec<String> });
section!(Warning { repositories: Vec<String>, text: String });
