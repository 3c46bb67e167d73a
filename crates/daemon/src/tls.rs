//! TLS for TCP listeners: who may connect is decided by the client's certificate.

use std::sync::Arc;

use serving::{TlsFiles, Verify};

use crate::config::{Tls, TlsMode};
use crate::error::Error;

/// The certificates for these settings, or nothing where TCP is to be plain.
pub(crate) fn load(tls: &Tls) -> Result<Option<Arc<serving::Tls>>, Error> {
    let verify = match tls.mode {
        TlsMode::Unsaid | TlsMode::Off => return Ok(None),
        TlsMode::Encrypted => Verify::Nobody,
        TlsMode::Verified => Verify::Required(vec![tls.ca.clone()]),
    };
    let files = TlsFiles { certificate: tls.certificate.clone(), key: tls.key.clone(), verify };
    Ok(Some(Arc::new(serving::Tls::load(files)?)))
}
