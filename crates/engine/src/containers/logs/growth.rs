//! Waiting for a log to grow.

use std::io;
use std::path::Path;

use rustix::fs::inotify;

use crate::Error;
use crate::ready::Readable;

/// Wakes a reader when a log may have grown.
#[derive(Debug)]
pub struct Growth(Readable);

impl Growth {
    /// Watches the folder that holds the log: the file itself is replaced when it rotates.
    pub fn watch(path: &Path) -> Result<Self, Error> {
        let failed = |source: io::Error| Error::File { doing: "watch", path: path.to_owned(), source };
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let watcher = inotify::init(flags).map_err(|e| failed(e.into()))?;
        let interest =
            inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
        let folder = path.parent().unwrap_or(path);
        inotify::add_watch(&watcher, folder, interest).map_err(|e| failed(e.into()))?;
        Readable::new(watcher).map(Self).map_err(failed)
    }

    /// Waits for a change. What happened before is told once.
    pub async fn changed(&mut self) -> io::Result<()> {
        self.0.wait().await?;
        let mut buffer = [0; 4096];
        // Many changes are one reason to look.
        while matches!(self.0.read(&mut buffer), Ok(1..)) {}
        Ok(())
    }
}
