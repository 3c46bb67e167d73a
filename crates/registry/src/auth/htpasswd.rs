//! Users from a file of Apache's form with bcrypt hashes. The file is read again when it changes.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use crate::error::Error;

/// No file of users is longer.
const LONGEST: u64 = 16 << 20;
/// Passwords that were right: as many clients at once are real.
const REMEMBERED: usize = 1000;
/// Hashes at once: each takes a processor for a tenth of a second, which a stranger may ask for.
const AT_ONCE: usize = 2;
/// Of a user that isn't there the hash of nothing is computed, so that both take as long.
const NOBODY: &str = "$2y$10$7EqJtq98hPqEX7fNZaFWoOhi5Zf0Wf7bD0c3uYp8GZ6PpJ8rTzqVO";

pub(super) struct Users {
    path: PathBuf,
    state: Mutex<State>,
    /// Mixed into what is remembered, so that it is worth nothing elsewhere.
    salt: [u8; 32],
    busy: Arc<Semaphore>,
}

struct State {
    seen: Option<(u64, u64, i64, i64)>,
    hashes: Arc<HashMap<String, String>>,
    right: HashMap<[u8; 32], ()>,
}

impl Users {
    pub(super) fn load(path: &Path) -> Result<Self, Error> {
        let hashes = Arc::new(read(path)?);
        let state = State { seen: stamp(path), hashes, right: HashMap::new() };
        let salt = crate::random().map_err(|source| Error::System { doing: "get random bytes", source })?;
        let busy = Arc::new(Semaphore::new(AT_ONCE));
        Ok(Self { path: path.to_owned(), state: Mutex::new(state), salt, busy })
    }

    /// Whether this user is there, for a token that was given out before.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.hashes().contains_key(name)
    }

    /// Whether this is the user's password.
    pub(super) async fn check(&self, name: &str, password: &str) -> bool {
        let hashes = self.hashes();
        let Some(hash) = hashes.get(name).cloned() else {
            self.verify(password, NOBODY).await;
            return false;
        };
        let key = self.key(name, password, &hash);
        if self.state.lock().unwrap_or_else(PoisonError::into_inner).right.contains_key(&key) {
            return true;
        }
        let right = self.verify(password, &hash).await;
        if right {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.right.len() >= REMEMBERED {
                state.right.clear();
            }
            state.right.insert(key, ());
        }
        right
    }

    async fn verify(&self, password: &str, hash: &str) -> bool {
        let Ok(permit) = self.busy.clone().acquire_owned().await else { return false };
        let (password, hash) = (password.to_owned(), hash.to_owned());
        let verified = tasks::blocking(move || {
            let _permit = permit;
            bcrypt::verify(password, &hash).unwrap_or(false)
        });
        verified.await.unwrap_or(false)
    }

    /// The hash is part of it: a changed password is not remembered.
    fn key(&self, name: &str, password: &str, hash: &str) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(self.salt);
        for part in [name, password, hash] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.finalize().into()
    }

    fn hashes(&self) -> Arc<HashMap<String, String>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let found = stamp(&self.path);
        if found != state.seen {
            state.seen = found;
            match read(&self.path) {
                Ok(hashes) => {
                    state.hashes = Arc::new(hashes);
                    state.right.clear();
                }
                Err(error) => {
                    tracing::error!(
                        error = diag::chain(&error),
                        "the users changed and can't be read: the old ones stay"
                    );
                }
            }
        }
        state.hashes.clone()
    }
}

fn stamp(path: &Path) -> Option<(u64, u64, i64, i64)> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
}

fn read(path: &Path) -> Result<HashMap<String, String>, Error> {
    use std::io::Read as _;
    let failed = |source| Error::Store { doing: "read", path: path.to_owned(), source };
    let mut text = String::new();
    fs::File::open(path).map_err(failed)?.take(LONGEST).read_to_string(&mut text).map_err(failed)?;
    parse(&text).map_err(|why| Error::Damaged { path: path.to_owned(), why })
}

fn parse(text: &str) -> Result<HashMap<String, String>, String> {
    let mut hashes = HashMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, hash) = line.split_once(':').ok_or_else(|| format!("line {} has no colon", number + 1))?;
        if !["$2a$", "$2b$", "$2y$"].iter().any(|kind| hash.starts_with(kind)) {
            return Err(format!("line {}: only bcrypt is accepted (`htpasswd -B`)", number + 1));
        }
        hashes.insert(name.to_owned(), hash.to_owned());
    }
    Ok(hashes)
}

/// For `crate::fuzzing`.
pub(super) fn fuzz(bytes: &[u8]) {
    if let Ok(users) = std::str::from_utf8(bytes).map_or(Err(String::new()), parse) {
        assert!(users.iter().all(|(name, hash)| !name.contains(':') && hash.starts_with("$2")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bcrypt_is_accepted() {
        assert!(parse("# users\n\nann:$2y$05$abc\n").unwrap().contains_key("ann"));
        for wrong in ["ann:{SHA}x", "ann:$apr1$x", "ann:plain", "ann"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn passwords_are_checked_and_nobody_takes_as_long() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        fs::write(&path, format!("ann:{}\n", bcrypt::hash("secret", 4).unwrap())).unwrap();
        let users = Users::load(&path).unwrap();
        for _ in 0..2 {
            assert!(users.check("ann", "secret").await);
            assert!(!users.check("ann", "other").await);
            assert!(!users.check("bob", "secret").await);
        }
        fs::write(
            &path,
            format!("ann:{}\nbob:{}\n", bcrypt::hash("new", 4).unwrap(), bcrypt::hash("b", 4).unwrap()),
        )
        .unwrap();
        assert!(!users.check("ann", "secret").await && users.check("ann", "new").await);
        assert!(users.check("bob", "b").await);
        assert!(bcrypt::verify("", NOBODY).is_ok(), "the stand-in has to be computed");
    }
}
