//! docker's context store: `contexts/meta/<sha256 of name>/meta.json` and `contexts/tls/<sha256>/<endpoint>/`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::{Error, files};

/// The endpoint that docker's contexts describe.
pub const ENDPOINT: &str = "docker";
/// The context that is not in the store: flags, environment and built-in default.
pub const DEFAULT: &str = "default";

/// All contexts below one configuration folder.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// One context as its file describes it, unknown keys included.
#[derive(Debug, Clone)]
pub struct Context {
    /// Its name.
    pub name: String,
    /// `meta.json`.
    pub meta: Value,
}

impl Context {
    /// A context of this name for an engine at `host`.
    pub fn new(name: &str, description: &str, endpoint: &Value) -> Self {
        let mut metadata = Map::new();
        if !description.is_empty() {
            metadata.insert("Description".into(), description.into());
        }
        let meta = json!({ "Name": name, "Metadata": metadata, "Endpoints": { ENDPOINT: endpoint } });
        Self { name: name.to_owned(), meta }
    }

    /// What a person wrote about it.
    pub fn description(&self) -> &str {
        self.meta["Metadata"]["Description"].as_str().unwrap_or_default()
    }

    /// Where its engine is.
    pub fn host(&self) -> &str {
        self.meta["Endpoints"][ENDPOINT]["Host"].as_str().unwrap_or_default()
    }

    /// Whether its engine's certificate is believed unseen.
    pub fn skip_tls_verify(&self) -> bool {
        self.meta["Endpoints"][ENDPOINT]["SkipTLSVerify"].as_bool().unwrap_or(false)
    }
}

impl Store {
    /// The store of a configuration folder.
    pub fn new(config_dir: &Path) -> Self {
        Self { root: config_dir.join("contexts") }
    }

    /// Where a context's description is.
    pub fn meta_dir(&self, name: &str) -> PathBuf {
        self.root.join("meta").join(id(name))
    }

    /// Where a context's certificates are.
    pub fn tls_dir(&self, name: &str) -> PathBuf {
        self.root.join("tls").join(id(name))
    }

    /// One context; `None` where there is none of this name.
    pub fn find(&self, name: &str) -> Result<Option<Context>, Error> {
        self.read(&self.meta_dir(name).join("meta.json"))
    }

    /// One context.
    pub fn get(&self, name: &str) -> Result<Context, Error> {
        self.find(name)?.ok_or_else(|| Error::NoContext(name.to_owned()))
    }

    fn read(&self, path: &Path) -> Result<Option<Context>, Error> {
        let Some(meta) = files::read_json(path)? else { return Ok(None) };
        let name = meta["Name"].as_str().unwrap_or_default().to_owned();
        Ok(Some(Context { name, meta }))
    }

    /// All contexts, by name.
    pub fn list(&self) -> Result<Vec<Context>, Error> {
        let dir = self.root.join("meta");
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(files::at("read", &dir)(e)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(files::at("read", &dir))?.path().join("meta.json");
            found.extend(self.read(&path)?);
        }
        found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Writes a context's description; an existing one is replaced.
    pub fn save(&self, context: &Context) -> Result<(), Error> {
        check_name(&context.name)?;
        let path = self.meta_dir(&context.name).join("meta.json");
        files::write(&path, files::go_escape(&context.meta.to_string()).as_bytes())
    }

    /// The certificates of a context: endpoint, file name, bytes.
    pub fn tls_files(&self, name: &str) -> Result<Vec<(String, String, Vec<u8>)>, Error> {
        let mut found = Vec::new();
        for file in ["ca.pem", "cert.pem", "key.pem"] {
            let path = self.tls_dir(name).join(ENDPOINT).join(file);
            if let Some(bytes) = files::read(&path)? {
                found.push((ENDPOINT.to_owned(), file.to_owned(), bytes));
            }
        }
        Ok(found)
    }

    /// Replaces a context's certificates.
    pub fn save_tls(&self, name: &str, material: &[(String, String, Vec<u8>)]) -> Result<(), Error> {
        let dir = self.tls_dir(name);
        remove_all(&dir)?;
        for (endpoint, file, bytes) in material {
            files::write(&dir.join(endpoint).join(file), bytes)?;
        }
        Ok(())
    }

    /// Removes a context with its certificates.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        self.get(name)?;
        remove_all(&self.meta_dir(name))?;
        remove_all(&self.tls_dir(name))
    }
}

fn remove_all(dir: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(files::at("remove", dir)(e)),
        _ => Ok(()),
    }
}

/// The folder name of a context.
fn id(name: &str) -> String {
    hex::encode(Sha256::digest(name.as_bytes()))
}

/// Whether docker would take this name for a context.
pub fn check_name(name: &str) -> Result<(), Error> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = bytes.all(|b| b.is_ascii_alphanumeric() || b"_.+-".contains(&b));
    if first && rest && name.len() > 1 { Ok(()) } else { Err(Error::ContextName(name.to_owned())) }
}
