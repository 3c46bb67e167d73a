//! `ADD` of archives: what is in one, told by its content.

use std::io::Read;
use std::os::fd::AsFd;
use std::sync::Arc;

use build::Error;

use super::Parts;
use super::error::work;
use super::files::{Root, shown};

/// What is in an archive, unpacked to be copied from; nothing if the file is none. Blocking.
pub(super) fn unpack(parts: &Parts, root: &Root, path: &[Vec<u8>]) -> Result<Option<Arc<Root>>, Error> {
    if !is_archive(root, path)? {
        return Ok(None);
    }
    let into = Root::scratch(parts.scratch()?)?;
    let how = layers::Extract {
        owner: layers::Owner::Archive,
        overwrite: layers::Overwrite::Anything,
        rename: None,
        shown: "the archive's target".into(),
    };
    let failed = |e: layers::Error| work(format!("unpack {}", shown(path)), e);
    let tar = uncompressed(root, path)?;
    if let Root::Scratch(into, _) = &into {
        layers::extract_anew(tar, into.as_fd(), &how, parts.shared.layers.limits()).map_err(failed)?;
    }
    Ok(Some(Arc::new(into)))
}

fn uncompressed(root: &Root, path: &[Vec<u8>]) -> Result<Box<dyn Read>, Error> {
    let file = std::io::BufReader::new(root.open(path)?);
    let tar = layers::decompress_archive(file).map_err(|e| work(format!("read {}", shown(path)), e))?;
    Ok(Box::new(tar))
}

/// Whether a file begins as a tar does, compressed or not.
fn is_archive(root: &Root, path: &[Vec<u8>]) -> Result<bool, Error> {
    let Ok(tar) = uncompressed(root, path) else { return Ok(false) };
    let mut header = [0; 512];
    let mut tar = tar;
    match read_full(&mut tar, &mut header) {
        Ok(512) => {
            let header = tar::Header::from_byte_slice(&header);
            Ok(header.as_ustar().is_some() || header.as_gnu().is_some() || is_old(header))
        }
        _ => Ok(false),
    }
}

/// A tar from before the formats had a mark: its sum fits.
fn is_old(header: &tar::Header) -> bool {
    let mut bytes = *header.as_bytes();
    let Ok(said) = header.cksum() else { return false };
    bytes[148..156].fill(b' ');
    let sum: u32 = bytes.iter().map(|byte| u32::from(*byte)).sum();
    said == sum && bytes[0] != 0
}

fn read_full(from: &mut dyn Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}
