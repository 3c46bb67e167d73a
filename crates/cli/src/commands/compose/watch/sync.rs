//! Changed files into the containers of a service.

use std::io::{self, Write};
use std::path::Path;

use client::{Engine, encode};
use compose::watch::Copy;
use futures_util::future::try_join_all;
use http::Method;
use serde_json::json;

use super::super::observe;
use crate::commands::load::streamed;
use crate::error::Error;

/// Names in one call of `rm`.
const NAMES: usize = 500;

/// Makes the files of all these containers what they are here.
pub(super) async fn sync(
    engine: &Engine,
    containers: &[serde_json::Value],
    copies: &[Copy],
) -> Result<(), Error> {
    let (gone, there): (Vec<_>, Vec<_>) = copies.iter().cloned().partition(|copy| copy.is_gone);
    let (gone, there) = (&gone, &there);
    try_join_all(containers.iter().map(|one| async move {
        let id = observe::id(one);
        if !gone.is_empty() {
            remove(engine, id, &observe::name(one), gone).await?;
        }
        if !there.is_empty() {
            put(engine, id, there.clone()).await?;
        }
        Ok::<_, Error>(())
    }))
    .await
    .map(drop)
}

/// Files belong to the container's user, who has to work with them.
async fn put(engine: &Engine, id: &str, copies: Vec<Copy>) -> Result<(), Error> {
    let (reader, writer) = io::pipe().map_err(|e| Error::Io("make a pipe", e))?;
    let packing = tokio::task::spawn_blocking(move || pack(&copies, writer));
    let path = format!("/containers/{}/archive?path=%2F&copyUIDGID=true", encode(id));
    let mut answer = engine.stream_from(Method::PUT, &path, streamed(Box::new(reader))).await?;
    while answer.next().await?.is_some() {}
    let packed = packing.await.map_err(|e| Error::Io("pack changed files", io::Error::other(e)))?;
    packed.map_err(|e| Error::Io("pack changed files", e))
}

fn pack(copies: &[Copy], out: impl Write) -> io::Result<()> {
    let mut tar = tar::Builder::new(io::BufWriter::with_capacity(256 << 10, out));
    tar.follow_symlinks(false);
    for copy in copies {
        let name = copy.to.trim_start_matches('/');
        match append(&mut tar, &copy.from, name) {
            Ok(()) => {}
            // It went, or became shorter while it was read: that is another change, which is told by itself.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    tar.into_inner()?.flush()
}

fn append(tar: &mut tar::Builder<impl Write>, from: &Path, name: &str) -> io::Result<()> {
    let seen = std::fs::symlink_metadata(from)?;
    let kind = seen.file_type();
    // Sockets, pipes and devices are nobody's source.
    if !(kind.is_file() || kind.is_dir() || kind.is_symlink()) {
        return Ok(());
    }
    tar.append_path_with_name(from, name)
}

/// By the container's own `rm`, as its root.
async fn remove(engine: &Engine, id: &str, name: &str, gone: &[Copy]) -> Result<(), Error> {
    for names in gone.chunks(NAMES) {
        let mut command = vec!["rm", "-rf", "--"];
        command.extend(names.iter().map(|copy| copy.to.as_str()));
        let hook = json!({ "command": command, "user": "0" });
        super::super::run::hook(engine, name, id, &hook).await?;
    }
    Ok(())
}
