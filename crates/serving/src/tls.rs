//! TLS for listeners. Files that changed are taken over with the next connection.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot use {} for TLS", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot set up TLS")]
    Setup { source: rustls::Error },
}

/// Where certificates are.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub verify: Verify,
}

/// Which clients may connect.
#[derive(Debug, Clone)]
pub enum Verify {
    Nobody,
    /// Those that may have a certificate of one of these authorities, or none.
    Offered(Vec<PathBuf>),
    /// Those with a certificate of one of these authorities.
    Required(Vec<PathBuf>),
}

/// The certificates of a listener.
pub struct Tls {
    files: TlsFiles,
    current: Mutex<Current>,
}

struct Current {
    seen: Vec<Stamp>,
    acceptor: TlsAcceptor,
}

/// Tells a changed file from the old one.
type Stamp = Option<(u64, u64, i64, i64)>;

impl Tls {
    /// Reads the files.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let seen = stamps(&files);
        let acceptor = acceptor(&files)?;
        Ok(Self { files, current: Mutex::new(Current { seen, acceptor }) })
    }

    /// For the next connection. While the files are being replaced and don't fit, the old ones stay.
    pub fn acceptor(&self) -> TlsAcceptor {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let found = stamps(&self.files);
        if found != current.seen {
            current.seen = found;
            match acceptor(&self.files) {
                Ok(acceptor) => {
                    tracing::info!(certificate = %self.files.certificate.display(), "certificates reloaded");
                    current.acceptor = acceptor;
                }
                Err(error) => {
                    tracing::error!(%error, "the certificates changed and can't be used: the old ones stay");
                }
            }
        }
        current.acceptor.clone()
    }
}

fn stamps(files: &TlsFiles) -> Vec<Stamp> {
    let stamp = |path: &PathBuf| {
        let meta = fs::metadata(path).ok()?;
        Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
    };
    let authorities = match &files.verify {
        Verify::Nobody => &[][..],
        Verify::Offered(paths) | Verify::Required(paths) => paths,
    };
    [&files.certificate, &files.key].into_iter().chain(authorities).map(stamp).collect()
}

fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|source| TlsError::Setup { source })?;
    let verifier = |paths: &[PathBuf]| {
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(paths)?), provider.clone());
        let first = paths.first().cloned().unwrap_or_default();
        Ok::<_, TlsError>((verifier, first))
    };
    let builder = match &files.verify {
        Verify::Nobody => builder.with_no_client_auth(),
        Verify::Offered(paths) => {
            let (verifier, path) = verifier(paths)?;
            let verifier = verifier.allow_unauthenticated().build();
            builder.with_client_cert_verifier(verifier.map_err(|e| unusable(&path, io::Error::other(e)))?)
        }
        Verify::Required(paths) => {
            let (verifier, path) = verifier(paths)?;
            builder.with_client_cert_verifier(
                verifier.build().map_err(|e| unusable(&path, io::Error::other(e)))?,
            )
        }
    };
    let chain = certificates(&files.certificate)?;
    let key = read(&files.key)?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|e| unusable(&files.key, io::Error::other(e)))?;
    let config = builder.with_single_cert(chain, key);
    let mut config = config.map_err(|source| TlsError::Setup { source })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn roots(paths: &[PathBuf]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for path in paths {
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(|error| unusable(path, io::Error::other(error)))?;
        }
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates = certificates.map_err(|error| unusable(path, io::Error::other(error)))?;
    match certificates.is_empty() {
        true => Err(unusable(path, io::Error::other("there is no certificate in it"))),
        false => Ok(certificates),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| unusable(path, source))
}

fn unusable(path: &Path, source: io::Error) -> TlsError {
    TlsError::File { path: path.to_owned(), source }
}
