//! `context export` and `import`: a tar of `meta.json` and `tls/<endpoint>/<file>`.

use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;

use client::context::Context;
use serde_json::Value;

use super::{name, new_name};
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::ui;

/// docker's own limit for an imported context.
const LIMIT: u64 = 10 << 20;
/// A context has a description and three certificates.
const MOST_FILES: usize = 64;

fn broken(reason: impl Into<String>) -> Error {
    Error::Usage(format!("invalid context file: {}", reason.into()))
}

/// `context export NAME [FILE|-]`.
pub(crate) fn export(call: &Call) -> Outcome {
    let name = name(call);
    let archive = write(call, name)?;
    let target = call.args().get(1).cloned().unwrap_or_else(|| format!("{name}.dockercontext"));
    if target == "-" {
        if ui::out_is_terminal() {
            return Err(Error::Usage(
                "cowardly refusing to export to a terminal, specify a file path".into(),
            ));
        }
        ui::out_bytes(&archive)?;
        return Ok(0);
    }
    // It holds a private key: for its owner alone, and never through a link that somebody left there.
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&target);
    let mut file = opened.map_err(|e| Error::Usage(format!("cannot write {target}: {e}")))?;
    file.write_all(&archive).map_err(|e| Error::Io("write the context", e))?;
    ui::err(&format!("Written file \"{target}\""));
    Ok(0)
}

fn write(call: &Call, name: &str) -> Result<Vec<u8>, Error> {
    let store = call.contexts();
    let context = store.get(name)?;
    let failed = |e| Error::Io("pack the context", e);
    let mut builder = tar::Builder::new(Vec::new());
    let meta = client::files::go_escape(&context.meta.to_string());
    append(&mut builder, "meta.json", meta.as_bytes()).map_err(failed)?;
    for (endpoint, file, bytes) in store.tls_files(name)? {
        append(&mut builder, &format!("tls/{endpoint}/{file}"), &bytes).map_err(failed)?;
    }
    builder.into_inner().map_err(failed)
}

fn append(builder: &mut tar::Builder<Vec<u8>>, path: &str, bytes: &[u8]) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o600);
    header.set_cksum();
    builder.append_data(&mut header, path, bytes)
}

/// `context import NAME FILE|-`.
pub(crate) fn import(call: &Call) -> Outcome {
    let name = name(call);
    new_name(call, name)?;
    let source = call.args().get(1).map_or("", String::as_str);
    let input: Box<dyn Read> = if source == "-" {
        Box::new(std::io::stdin())
    } else {
        let opened = std::fs::File::open(source);
        Box::new(opened.map_err(|_| Error::Usage(format!("open {source}: no such file or directory")))?)
    };
    let mut bytes = Vec::new();
    input.take(LIMIT + 1).read_to_end(&mut bytes).map_err(|e| Error::Io("read the context", e))?;
    if bytes.len() as u64 > LIMIT {
        return Err(broken(format!("it is larger than {LIMIT} bytes")));
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return Err(broken("zip archives are not read; export the context again as a tar"));
    }
    let (mut meta, tls) = read(&bytes)?;
    meta["Name"] = name.into();
    let store = call.contexts();
    store.save(&Context { name: name.to_owned(), meta })?;
    store.save_tls(name, &tls)?;
    ui::out(&format!("{name}\n"))?;
    ui::err(&format!("Successfully imported context \"{name}\""));
    Ok(0)
}

type Certificates = Vec<(String, String, Vec<u8>)>;

/// Only the two shapes of name that a context has are taken, so that nothing lands outside of its folder.
fn read(bytes: &[u8]) -> Result<(Value, Certificates), Error> {
    let unreadable = |e: std::io::Error| broken(e.to_string());
    let (mut meta, mut tls) = (None, Vec::new());
    let mut archive = tar::Archive::new(bytes);
    for (count, entry) in archive.entries().map_err(unreadable)?.enumerate() {
        let mut entry = entry.map_err(unreadable)?;
        if count > MOST_FILES {
            return Err(broken("it holds too many files"));
        }
        if entry.header().entry_type().is_dir() {
            continue;
        }
        let path = entry.path().map_err(unreadable)?.to_string_lossy().into_owned();
        if !entry.header().entry_type().is_file() {
            return Err(broken(format!("{path} is not a file")));
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(unreadable)?;
        let parts: Vec<&str> = path.split('/').collect();
        match parts[..] {
            ["meta.json"] => {
                meta = Some(serde_json::from_slice(&content).map_err(|e| broken(format!("meta.json: {e}")))?);
            }
            ["tls", endpoint, file] if is_plain(endpoint) && is_plain(file) => {
                tls.push((endpoint.to_owned(), file.to_owned(), content));
            }
            _ => return Err(broken(format!("unexpected file {path}"))),
        }
    }
    let meta: Value = meta.ok_or_else(|| broken("it has no meta.json"))?;
    if meta.is_object() { Ok((meta, tls)) } else { Err(broken("meta.json is not an object")) }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(path: &str, bytes: &[u8]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        append(&mut builder, "meta.json", b"{\"Name\":\"x\"}").unwrap();
        let mut header = tar::Header::new_gnu();
        // Written into the header by hand: the builder itself refuses to write such names.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        builder.append(&header, bytes).unwrap();
        builder.into_inner().unwrap()
    }

    #[test]
    fn nothing_lands_outside_of_the_context() {
        assert_eq!(read(&packed("tls/docker/ca.pem", b"x")).unwrap().1.len(), 1);
        for path in ["../../etc/passwd", "tls/../x", "tls/docker/..", "/etc/passwd", "tls/a/b/c", "other"] {
            assert!(read(&packed(path, b"x")).is_err(), "{path}");
        }
        assert!(read(b"").is_err() && read(&[b'x'; 2048]).is_err());
    }
}
