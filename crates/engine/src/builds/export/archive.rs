//! An image as an archive for the client: an OCI layout with docker's own lists beside it.

use std::collections::BTreeMap;
use std::io::Write;

use build::Error;
use build::frontend::Built;
use build::request::{Export, ExportKind};
use build::session::Session;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::{Exporting, Named, Response, names};
use crate::builds::error::{blocking, engine, work};
use crate::builds::gateway::{begun, ended};
use crate::builds::tree::Tree;

/// What is written is gathered to pieces of this size, and so many wait for the client.
const PIECE: usize = 128 << 10;
const PIECES: usize = 8;

impl Exporting<'_> {
    pub(super) async fn archive(
        &self,
        number: usize,
        export: &Export,
        built: &Built,
        trees: &[(String, Tree)],
        response: &mut Response,
    ) -> Result<(), Error> {
        let name = match export.kind {
            ExportKind::Docker => "exporting to docker image format",
            _ => "exporting to oci image format",
        };
        let mut shown = begun(self.progress, name);
        let step = Named { progress: self.progress, shown: &shown };
        let exported = self.send_archive(number, export, built, trees, (&step, response)).await;
        ended(self.progress, &mut shown, exported.as_ref().err());
        exported
    }

    async fn send_archive(
        &self,
        number: usize,
        export: &Export,
        built: &Built,
        trees: &[(String, Tree)],
        (step, response): (&Named<'_>, &mut Response),
    ) -> Result<(), Error> {
        let names = names(export)?;
        let said = self.attest.for_image(true);
        let drawn = self.draw(export, built, trees, &said, step).await?;
        let config = drawn.images.first().map(|first| first.image.id.clone());
        let (store, all) = (self.parts.shared.images.clone(), names.clone());
        let (images, whole) = (drawn.images, (drawn.written, drawn.kept));
        let archive = blocking(move || {
            store.archive_built(images, &all, whole).map_err(|e| engine("gather the image's archive", e))
        });
        let mut archive = archive.await?;
        if export.kind == ExportKind::Oci {
            archive.without_docker_s_lists();
        }
        if let (Some(top), Some(config)) = (archive.top(), config) {
            response.insert("containerimage.digest".into(), top.digest.to_string());
            response.insert("containerimage.config.digest".into(), config.to_string());
            response.insert("containerimage.descriptor".into(), super::described(&top));
        }
        if !names.is_empty() {
            response.insert("image.name".into(), names.join(","));
        }
        let held = drawn.trees;
        let done = step.begin("sending tarball");
        let write = move |out: &mut dyn Write| archive.write(out).map_err(|e| engine("write the archive", e));
        send(&**self.session, number, write).await?;
        // Until here nobody removes the layers.
        drop(held);
        done();
        Ok(())
    }
}

/// Gives the client what `write` writes on a thread of its own. It counts only if all of it was written.
pub(super) async fn send(
    session: &dyn Session,
    number: usize,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Error> + Send + 'static,
) -> Result<(), Error> {
    let mut to = session.take_archive(number, BTreeMap::new()).await?;
    let (sender, mut pieces) = mpsc::channel(PIECES);
    let writing = tasks::blocking(move || {
        let mut out = std::io::BufWriter::with_capacity(PIECE, Pieces(sender));
        write(&mut out)?;
        out.flush().map_err(|e| work("give the client an archive", e))
    });
    let sent = forward(&mut to, &mut pieces).await;
    // Nobody takes what is still to come: the writer ends.
    drop(pieces);
    let written = writing.await.map_err(|e| work("write an archive", e))?;
    sent.map_err(|e| Error::Session { doing: "send an archive to", source: Box::new(e) })?;
    written?;
    to.shutdown().await.map_err(|e| Error::Session { doing: "send an archive to", source: Box::new(e) })
}

async fn forward(
    to: &mut (dyn AsyncWrite + Send + Unpin),
    pieces: &mut mpsc::Receiver<Vec<u8>>,
) -> std::io::Result<()> {
    while let Some(piece) = pieces.recv().await {
        to.write_all(&piece).await?;
    }
    Ok(())
}

struct Pieces(mpsc::Sender<Vec<u8>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let gone = |_| std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        self.0.blocking_send(bytes.to_vec()).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
