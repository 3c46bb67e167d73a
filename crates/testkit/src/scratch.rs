//! One directory for everything that one engine owns.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{leaks, own_network};

/// `<tmp>/kt-<pid>-<n>`: short, because a unix socket's path has 108 bytes, and in every process's command line below
/// it, which is how leaks are found. An engine removes its own: removal can fail, and that is a finding. What nobody
/// removed goes with the value, unless its test failed: somebody will want to look at it.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    pub fn create() -> Self {
        own_network::enter();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let base = std::env::var_os("KETCH_TEST_SCRATCH").map_or_else(std::env::temp_dir, PathBuf::from);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("kt-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file below the scratch directory and returns its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        let folder = path.parent().unwrap_or(&self.path);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, content))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// Takes the directory away; what can't be taken away was left by somebody.
    #[track_caller]
    pub fn remove(&self) {
        fs::remove_dir_all(&self.path).unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is still mounted below it may be anybody's.
        if !std::thread::panicking() && leaks::mounts(&self.path).is_empty() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
