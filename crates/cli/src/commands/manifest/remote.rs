//! Manifests of registries, without an engine: as docker's own command line does it.

use std::time::Duration;

use client::credentials::Auth;
use client::resolve::process_env;
use distribution::{Access, Client, Config, Credentials, Document, Parsed, Proxies, Repository, Secret};
use oci::{Algorithm, Digest, Hasher, Reference};
use serde_json::Value;

use super::entry::{Entry, ordered};
use crate::call::Call;
use crate::commands::compose;
use crate::error::Error;
use crate::ui;

/// A registry that says nothing for so long has gone.
const PATIENCE: Duration = Duration::from_secs(60);
const ATTEMPTS: u32 = 5;
const CERTIFICATES: &str = "/etc/docker/certs.d";

/// The registry of one command.
pub(super) struct Remote {
    client: Client,
    credentials: Option<Credentials>,
}

/// What a name means.
pub(super) enum Found {
    Image(Box<Entry>),
    List(Vec<Entry>),
}

impl Remote {
    /// The registry of `reference`, known by what the user kept for it.
    pub(super) fn new(call: &Call, reference: &Reference) -> Self {
        let (client, credentials) = registry(call, reference.domain());
        Self { client, credentials }
    }

    /// The image that a name means; a list is none.
    pub(super) async fn image(&self, reference: &Reference) -> Result<Entry, Error> {
        match self.find(reference).await? {
            Found::Image(entry) => Ok(*entry),
            Found::List(_) => Err(Error::Usage(format!("{reference} is a manifest list"))),
        }
    }

    pub(super) async fn find(&self, reference: &Reference) -> Result<Found, Error> {
        let missing = |error: distribution::Error| match error {
            distribution::Error::NoManifest(_) | distribution::Error::Denied { .. } => {
                Error::Usage(format!("no such manifest: {reference}"))
            }
            other => other.into(),
        };
        let named = self.client.document(reference, self.credentials.as_ref()).await;
        let (repository, document) = named.map_err(missing)?;
        let Parsed::Index(index) = &document.parsed else {
            let image = entry(&repository, reference.clone(), document).await?;
            return Ok(Found::Image(Box::new(image)));
        };
        // The list's own word on a platform is in its bytes; ours keep only what we know of.
        let list: Value = serde_json::from_slice(&document.bytes).unwrap_or_default();
        let mut entries = Vec::new();
        for (at, descriptor) in index.manifests.iter().enumerate() {
            let one = reference.with_digest(descriptor.digest.clone());
            let found = repository.document(&one).await.map_err(missing)?;
            let named = reference.at_digest(descriptor.digest.clone());
            let mut entry = entry(&repository, named, found).await?;
            entry.platform = ordered(&list["manifests"][at]["platform"]);
            entries.push(entry);
        }
        Ok(Found::List(entries))
    }

    /// Brings the images of a list to its repository, and then the list; returns its digest.
    pub(super) async fn push(
        &self,
        target: &Reference,
        entries: &[Entry],
        media_type: &str,
        text: String,
    ) -> Result<Digest, Error> {
        let repository = self.client.repository(target, Access::Push, self.credentials.as_ref()).await?;
        for entry in entries.iter().filter(|entry| entry.reference.path() != target.path()) {
            mount(&repository, target, entry).await?;
        }
        for entry in entries.iter().filter(|entry| entry.reference.path() != target.path()) {
            let bytes = entry.raw.clone().into();
            repository.put_manifest(entry.digest.as_str(), &entry.media_type, &bytes).await?;
            let there = target.with_digest(entry.digest.clone());
            ui::out(&format!("Pushed ref {there} with digest: {}\n", entry.digest))?;
        }
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(text.as_bytes());
        let digest = hasher.finish();
        let name = target.digest().map(Digest::as_str).or(target.tag()).unwrap_or("latest");
        repository.put_manifest(name, media_type, &text.into()).await?;
        Ok(digest)
    }
}

/// An image's blobs have to be in the repository before its manifest is.
async fn mount(repository: &Repository, target: &Reference, entry: &Entry) -> Result<(), Error> {
    let manifest = entry.manifest()?;
    let layers = manifest["layers"].as_array().into_iter().flatten();
    for blob in [&manifest["config"]].into_iter().chain(layers) {
        let text = blob["digest"].as_str().unwrap_or_default();
        let digest: Digest = text.parse().map_err(|_| {
            Error::Usage(format!(
                "the manifest of {} names a blob {text:?}, which is no digest",
                entry.reference
            ))
        })?;
        if !repository.mount_blob(&digest, entry.reference.path()).await? {
            let from = entry.reference.with_digest(digest);
            return Err(Error::Usage(format!("error mounting {from} to {target}")));
        }
    }
    Ok(())
}

/// An image with the platform that its config says.
async fn entry(repository: &Repository, reference: Reference, document: Document) -> Result<Entry, Error> {
    let Parsed::Manifest(manifest) = &document.parsed else {
        return Err(Error::Usage(format!("{reference} is a list inside a list")));
    };
    let config = repository.config(&manifest.config).await?;
    let config: Value = serde_json::from_slice(&config).unwrap_or_default();
    Ok(Entry {
        reference,
        media_type: document.media_type,
        digest: document.digest,
        platform: ordered(&config),
        raw: document.bytes.to_vec(),
    })
}

/// The registry of this name, and who the user is there.
pub(in crate::commands) fn registry(call: &Call, domain: &str) -> (Client, Option<Credentials>) {
    let is_insecure =
        call.flags().has("insecure") && call.flags().bool("insecure") || compose::is_insecure(call, domain);
    let insecure = if is_insecure { vec![domain.to_owned()] } else { Vec::new() };
    (Client::new(registries(insecure)), credentials(call.auth(domain)))
}

/// How this host's user reaches registries; these without verified TLS.
pub(in crate::commands) fn registries(insecure: Vec<String>) -> Config {
    let proxy = |names: [&str; 2]| names.into_iter().find_map(process_env).unwrap_or_default();
    Config {
        mirrors: Vec::new(),
        insecure,
        proxies: Proxies {
            http: proxy(["HTTP_PROXY", "http_proxy"]),
            https: proxy(["HTTPS_PROXY", "https_proxy"]),
            none: proxy(["NO_PROXY", "no_proxy"]),
        },
        certificates: CERTIFICATES.into(),
        attempts: ATTEMPTS,
        patience: PATIENCE,
        user_agent: format!("Ketch-Client/{} (linux)", env!("CARGO_PKG_VERSION")),
        plain_http: false,
    }
}

/// What a registry is shown of what the user kept for it.
pub(in crate::commands) fn credentials(auth: Auth) -> Option<Credentials> {
    let Auth { username: name, password, identity_token, registry_token, .. } = auth;
    if !identity_token.is_empty() {
        return Some(Credentials::Identity(Secret::new(identity_token)));
    }
    if !registry_token.is_empty() {
        return Some(Credentials::Bearer(Secret::new(registry_token)));
    }
    (!name.is_empty()).then(|| Credentials::Password { name, password: Secret::new(password) })
}
