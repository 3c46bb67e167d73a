//! Whom to believe: the host's certificate authorities, and what `/etc/docker/certs.d/<host>` adds to them.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::Error;

/// Where distributions keep their bundle; the first that exists is it. `SSL_CERT_FILE` goes before them.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// No bundle is larger.
const LIMIT: u64 = 16 << 20;

/// Whether a registry's certificate is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Trust {
    Verified,
    /// The administrator named it in `insecure-registries`.
    Unverified,
}

/// The configuration for connections to `host`, as it is named in `certs.d`.
pub(crate) fn config(folder: &Path, host: &str, trust: Trust) -> Result<ClientConfig, Error> {
    let own = OwnFiles::of(&folder.join(host))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(|e| unusable(Path::new("TLS"), &e))?;
    let builder = match trust {
        Trust::Verified => {
            let (roots, own) = roots(host, &own)?;
            let verifier = dial::Pinned::new(roots, own, provider).map_err(|e| unusable(folder, &e))?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
        Trust::Unverified => {
            let verifier = Arc::new(dial::Unverified::new(provider));
            builder.dangerous().with_custom_certificate_verifier(verifier)
        }
    };
    let mut config = match &own.identity {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|e| unusable(key, &e))?;
            builder.with_client_auth_cert(certificates(cert)?, private).map_err(|e| unusable(cert, &e))?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// What `certs.d` has for one host: every `*.crt` is an authority, `x.cert` with `x.key` is who we are.
#[derive(Default)]
struct OwnFiles {
    authorities: Vec<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
}

impl OwnFiles {
    fn of(folder: &Path) -> Result<Self, Error> {
        let mut own = Self::default();
        let entries = match fs::read_dir(folder) {
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(own);
            }
            entries => entries.and_then(Iterator::collect::<io::Result<Vec<_>>>),
        };
        let mut paths: Vec<PathBuf> =
            entries.map_err(|e| unusable(folder, &e))?.into_iter().map(|entry| entry.path()).collect();
        paths.sort_unstable();
        for path in paths {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => own.authorities.push(path),
                Some("cert") => {
                    let key = path.with_extension("key");
                    if !key.exists() {
                        return Err(unusable(&path, &format!("missing key {}", key.display())));
                    }
                    own.identity.get_or_insert((path, key));
                }
                _ => {}
            }
        }
        Ok(own)
    }
}

/// All authorities, and those among them that are this host's own.
fn roots(host: &str, own: &OwnFiles) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), Error> {
    let (mut roots, mut certificates_of_host) = (system_roots().clone(), Vec::new());
    for path in &own.authorities {
        for certificate in certificates(path)? {
            roots.add(certificate.clone()).map_err(|e| unusable(path, &e))?;
            certificates_of_host.push(certificate);
        }
    }
    match roots.is_empty() {
        true => Err(Error::NoAuthorities { host: host.to_owned() }),
        false => Ok((roots, certificates_of_host)),
    }
}

/// Read once: an update of the bundle is seen by the next engine.
fn system_roots() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
        let bundle = named.into_iter().chain(BUNDLES.iter().map(PathBuf::from)).find(|path| path.exists());
        match bundle.map(|path| certificates(&path)) {
            // A bundle may hold authorities of kinds that nobody can check any more.
            Some(Ok(found)) => drop(roots.add_parsable_certificates(found)),
            Some(Err(error)) => tracing::warn!(%error, "no certificate authorities"),
            None => {}
        }
        roots
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let bytes = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|e| unusable(path, &e))?;
    if found.is_empty() { Err(unusable(path, &"it holds no certificate")) } else { Ok(found) }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(LIMIT).read_to_end(&mut bytes));
    read.map_err(|e| unusable(path, &e))?;
    Ok(bytes)
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::Certificate { path: path.to_owned(), why: why.to_string() }
}
