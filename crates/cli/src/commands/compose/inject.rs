//! Files that are put into a container before it starts: configurations and secrets that no file of the host's stands
//! for.

use client::{Engine, encode};
use compose::container::Injected;
use http::Method;
use http_body_util::{BodyExt as _, Full};

use crate::error::Error;

/// Puts them in.
pub(in crate::commands) async fn inject(engine: &Engine, id: &str, files: &[Injected]) -> Result<(), Error> {
    if files.is_empty() {
        return Ok(());
    }
    let archive = archive(files).map_err(|e| Error::Io("write an archive of configs and secrets", e))?;
    let body = Full::new(bytes::Bytes::from(archive)).map_err(|never| match never {}).boxed();
    let path = format!("/containers/{}/archive?path=%2F", encode(id));
    let mut answer = engine.stream_from(Method::PUT, &path, body).await?;
    while answer.next().await?.is_some() {}
    Ok(())
}

fn archive(files: &[Injected]) -> std::io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.content.len() as u64);
        header.set_mode(file.mode);
        header.set_uid(file.uid);
        header.set_gid(file.gid);
        header.set_mtime(0);
        builder.append_data(&mut header, file.target.trim_start_matches('/'), file.content.as_slice())?;
    }
    builder.into_inner()
}
