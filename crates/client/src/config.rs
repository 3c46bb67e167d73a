//! docker's `config.json`: read leniently, written back with every key and its order kept.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::{Error, files};

/// The configuration file of one user.
#[derive(Debug, Clone)]
pub struct Config {
    path: PathBuf,
    keys: Map<String, Value>,
}

impl Config {
    /// The file in `dir`; an absent one is empty.
    pub fn load(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("config.json");
        let keys = match files::read_json(&path)? {
            Some(Value::Object(keys)) => keys,
            None => Map::new(),
            Some(_) => {
                let reason = "the file must hold a JSON object".to_owned();
                return Err(Error::Syntax { path, line: 1, column: 1, reason });
            }
        };
        Ok(Self { path, keys })
    }

    /// A configuration without any key, for when the file can't be read.
    pub fn empty(dir: &Path) -> Self {
        Self { path: dir.join("config.json"), keys: Map::new() }
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A key's value.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.keys.get(key)
    }

    /// A key's value, where it is a text that isn't empty.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// The context that commands use by themselves.
    pub fn current_context(&self) -> Option<&str> {
        self.text("currentContext")
    }

    /// The headers that the user wants on every request.
    pub fn headers(&self) -> Vec<(String, String)> {
        let table = self.get("HttpHeaders").and_then(Value::as_object);
        let pairs = table.into_iter().flatten();
        pairs.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
    }

    /// The variables by which containers and builds learn of the user's proxies, for the engine at an address, in both of the
    /// spellings that programs look for.
    pub fn proxies(&self, engine: &str) -> Vec<(String, String)> {
        const VARIABLES: [(&str, &str); 5] = [
            ("httpProxy", "HTTP_PROXY"),
            ("httpsProxy", "HTTPS_PROXY"),
            ("noProxy", "NO_PROXY"),
            ("ftpProxy", "FTP_PROXY"),
            ("allProxy", "ALL_PROXY"),
        ];
        let all = self.get("proxies");
        let Some(own) = all.and_then(|all| all.get(engine).or_else(|| all.get("default"))) else {
            return Vec::new();
        };
        let pairs = VARIABLES.iter().filter_map(|(key, variable)| {
            let value = own.get(key)?.as_str().filter(|value| !value.is_empty())?;
            Some([(*variable).to_owned(), variable.to_lowercase()].map(|name| (name, value.to_owned())))
        });
        pairs.flatten().collect()
    }

    /// Chooses the context that commands use by themselves, and writes the file.
    pub fn set_current_context(&mut self, name: Option<&str>) -> Result<(), Error> {
        match name {
            Some(name) => drop(self.keys.insert("currentContext".into(), name.into())),
            // `shift_remove` keeps the order of the others.
            None => drop(self.keys.shift_remove("currentContext")),
        }
        self.save()
    }

    /// A key's value, to be changed.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.keys.get_mut(key)
    }

    /// The same for a key that is made where it is missing.
    pub(crate) fn entry(&mut self, key: &str, missing: impl FnOnce() -> Value) -> &mut Value {
        self.keys.entry(key).or_insert_with(missing)
    }

    /// Writes the file.
    pub(crate) fn save(&self) -> Result<(), Error> {
        let text = files::go_escape(&files::indented(&Value::Object(self.keys.clone()), "\t"));
        files::write(&self.path, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_keys_and_their_order_survive() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, r#"{"z":{"b":1,"a":2},"currentContext":"x","auths":{}}"#).unwrap();
        let mut config = Config::load(dir.path()).unwrap();
        assert_eq!(config.current_context(), Some("x"));
        config.set_current_context(None).unwrap();
        config.set_current_context(Some("y")).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "{\n\t\"z\": {\n\t\t\"b\": 1,\n\t\t\"a\": 2\n\t},\n\t\"auths\": {},\n\t\"currentContext\": \"y\"\n}"
        );
    }

    #[test]
    fn a_mistake_has_a_line_and_a_column() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), "{\n  \"a\": ]\n}").unwrap();
        let text = Config::load(dir.path()).unwrap_err().to_string();
        assert!(text.ends_with("config.json:2:8: expected value"), "{text}");
    }
}
