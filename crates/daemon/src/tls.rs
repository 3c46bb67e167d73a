//! TLS for TCP listeners: who may connect is decided by the client's certificate.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::{Tls, TlsMode};
use crate::error::Error;

/// An acceptor for these settings, or nothing where TCP is to be plain.
pub(crate) fn acceptor(tls: &Tls) -> Result<Option<TlsAcceptor>, Error> {
    let builder = match tls.mode {
        TlsMode::Unsaid | TlsMode::Off => return Ok(None),
        TlsMode::Encrypted => builder()?.with_no_client_auth(),
        TlsMode::Verified => {
            let roots = Arc::new(roots(&tls.ca)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
            let verifier = verifier.map_err(|error| unusable(&tls.ca, io::Error::other(error)))?;
            builder()?.with_client_cert_verifier(verifier)
        }
    };
    let chain = certificates(&tls.certificate)?;
    let key = read(&tls.key)?;
    let key =
        PrivateKeyDer::from_pem_slice(&key).map_err(|error| unusable(&tls.key, io::Error::other(error)))?;
    let mut config = builder.with_single_cert(chain, key).map_err(|source| Error::TlsSetup { source })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn builder() -> Result<rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier>, Error> {
    ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|source| Error::TlsSetup { source })
}

fn roots(path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| unusable(path, io::Error::other(error)))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = read(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates = certificates.map_err(|error| unusable(path, io::Error::other(error)))?;
    match certificates.is_empty() {
        true => Err(unusable(path, io::Error::other("there is no certificate in it"))),
        false => Ok(certificates),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| unusable(path, source))
}

fn unusable(path: &Path, source: io::Error) -> Error {
    Error::Tls { path: path.to_owned(), source }
}
