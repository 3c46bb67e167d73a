//! `save`: images as an archive, to a file that is there whole or not at all, or to the output.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use client::{Body, encode};
use http::Method;

use super::volume_content::Bar;
use super::{filters, platform};
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::interrupt;
use crate::ui;

/// `save`, `image save`.
pub(crate) fn save(call: &Call) -> Outcome {
    let flags = call.flags();
    let mut query = platform::parameter(flags)?;
    query.extend(call.args().iter().map(|name| Some(format!("names={}", encode(name)))));
    let path = filters::with_query("/images/get", &query);
    let file = match flags.find("output").filter(|path| !path.is_empty()) {
        Some(path) => Some(Unfinished::create(Path::new(path), "failed to save image")?),
        None if ui::out_is_terminal() => {
            let message = "cowardly refusing to save to a terminal. Use the -o flag or redirect";
            return Err(Error::Usage(message.into()));
        }
        None => None,
    };
    fetch(call, path, file)
}

/// Gets an archive into a file or to the output.
pub(super) fn fetch(call: &Call, path: String, file: Option<Unfinished>) -> Outcome {
    fetch_to(call, path, file, |_| ())
}

/// The same with a bar for the bytes that came.
pub(super) fn fetch_shown(call: &Call, path: String, file: Unfinished, mut bar: Bar) -> Outcome {
    fetch_to(call, path, Some(file), move |bytes| bar.at(bytes))
}

fn fetch_to(call: &Call, path: String, file: Option<Unfinished>, came: impl FnMut(u64)) -> Outcome {
    call.with_engine(|engine| async move {
        let work = async {
            let body = engine.stream(Method::GET, &path, None).await?;
            match file {
                Some(file) => file.fill(body, came).await,
                None => copy(body, ui::out_bytes).await,
            }
        };
        // What was written so far must go: by the end of this block, not of the process.
        interrupt::unless(work).await.map(|()| 0)
    })
}

async fn copy(mut body: Body, mut to: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
    while let Some(bytes) = body.next().await? {
        to(&bytes)?;
    }
    Ok(())
}

/// A file under another name, until it is whole. Dropped before, it is gone.
pub(super) struct Unfinished {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
}

impl Unfinished {
    /// `doing` begins what is said when it can't be.
    pub(super) fn create(path: &Path, doing: &str) -> Result<Self, Error> {
        let failed = |why: String| Error::Usage(format!("{doing}: {why}"));
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        match fs::symlink_metadata(&path).map(|found| found.file_type()) {
            Ok(kind) if kind.is_dir() => return Err(failed("cannot write to a directory".into())),
            Ok(kind) if kind.is_char_device() => {
                return Err(failed("cannot write to a character device file".into()));
            }
            Ok(kind) if !kind.is_file() => return Err(failed("cannot write to a special file".into())),
            _ => {}
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::metadata(folder)
            .map_err(|e| failed(format!("invalid output path: stat {}: {e}", folder.display())))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let temporary = folder.join(format!(".{name}.{}", std::process::id()));
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
        let file = opened.map_err(|e| failed(format!("open {}: {e}", path.display())))?;
        Ok(Self { path, temporary, file })
    }

    async fn fill(mut self, body: Body, mut came: impl FnMut(u64)) -> Result<(), Error> {
        let failed = |e: io::Error| Error::Io("write the archive", e);
        let mut size = 0;
        let write = |bytes: &[u8]| {
            size += bytes.len() as u64;
            came(size);
            self.file.write_all(bytes).map_err(failed)
        };
        copy(body, write).await?;
        self.keep()
    }

    /// It is whole.
    pub(super) fn keep(self) -> Result<(), Error> {
        let failed = |e: io::Error| Error::Io("write the archive", e);
        self.file.sync_all().map_err(failed)?;
        fs::rename(&self.temporary, &self.path).map_err(failed)
    }
}

impl io::Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // It is there no more when it got its own name.
        let _ = fs::remove_file(&self.temporary);
    }
}
