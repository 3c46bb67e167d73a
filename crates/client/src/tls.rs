//! TLS to an engine: its certificate against the given authority alone, ours where the engine asks for it.

use std::path::Path;
use std::sync::Arc;

use dial::Unverified;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::connect::Io;
use crate::resolve::TlsFiles;
use crate::{Error, files};

/// Agrees on TLS over an open connection.
pub(crate) async fn wrap(
    stream: TcpStream,
    name: &str,
    config: ClientConfig,
    address: &str,
) -> Result<Io, Error> {
    let name = ServerName::try_from(name.to_owned()).map_err(|_| Error::Host(address.to_owned()))?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let stream = connected.map_err(|source| Error::Tls { host: address.to_owned(), source })?;
    Ok(Box::new(stream))
}

/// What the files say, all of them read.
pub(crate) fn config(files: &TlsFiles) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions();
    // ring offers every protocol version that is compiled in, so this can't fail; it must not panic either.
    let builder = builder.map_err(|e| unusable(Path::new("TLS"), &e))?;
    let roots = files.ca.as_deref().map(roots).transpose()?;
    let builder = match roots.filter(|_| files.verify) {
        Some(roots) => builder.with_root_certificates(roots),
        // `--tls` without `--tlsverify`: docker's contract is encryption to an engine that is not verified.
        None => builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified::new(provider))),
    };
    let Some((cert, key)) = &files.identity else { return Ok(builder.with_no_client_auth()) };
    let chain = certificates(cert)?;
    let bytes = read(key)?;
    let private = PrivateKeyDer::from_pem_slice(&bytes).map_err(|e| unusable(key, &e))?;
    builder.with_client_auth_cert(chain, private).map_err(|e| unusable(cert, &e))
}

fn roots(ca: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots.add(certificate).map_err(|e| unusable(ca, &e))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let bytes = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|e| unusable(path, &e))?;
    if found.is_empty() { Err(unusable(path, &"it holds no certificate")) } else { Ok(found) }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    files::read(path)?.ok_or_else(|| unusable(path, &"no such file"))
}

fn unusable(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::Certificate { path: path.to_owned(), reason: reason.to_string() }
}
