//! Who a user is to registries: docker's `auths` in `config.json`, and the helpers that keep secrets outside of it.
//!
//! Which place is meant for a registry: `credHelpers`, else `credsStore`, else `auths` itself. `DOCKER_AUTH_CONFIG`
//! is asked before all of them and never written.

mod helper;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Map, Value, json};

use crate::Error;
use crate::config::Config;
use helper::Helper;

/// Docker Hub's name in every place that keeps credentials.
pub const HUB: &str = "https://index.docker.io/v1/";
/// The variable that holds an `auths` table of its own.
pub const AUTH_VARIABLE: &str = "DOCKER_AUTH_CONFIG";
/// The name under which helpers keep an identity token.
const TOKEN_NAME: &str = "<token>";

/// What somebody shows to one registry; empty fields are none. Its secrets are never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Auth {
    pub username: String,
    pub password: String,
    pub server: String,
    /// Exchanged for short-lived tokens instead of a password.
    pub identity_token: String,
    /// Sent to the registry as it is.
    pub registry_token: String,
}

impl fmt::Debug for Auth {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Auth").field("username", &self.username).field("server", &self.server).finish()
    }
}

impl Auth {
    /// As the API wants it in a body.
    pub fn json(&self) -> Value {
        let fields = [
            ("username", &self.username),
            ("password", &self.password),
            ("serveraddress", &self.server),
            ("identitytoken", &self.identity_token),
            ("registrytoken", &self.registry_token),
        ];
        let given = fields.into_iter().filter(|(_, value)| !value.is_empty());
        Value::Object(given.map(|(key, value)| (key.to_owned(), value.as_str().into())).collect())
    }

    /// The value of `X-Registry-Auth`.
    pub fn header(&self) -> String {
        URL_SAFE.encode(self.json().to_string())
    }

    /// An entry of `auths`.
    fn read(server: &str, entry: &Value) -> Result<Self, Error> {
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let (mut username, mut password) = (text("username"), text("password"));
        if let Some(auth) = entry["auth"].as_str().filter(|auth| !auth.is_empty()) {
            let decoded = STANDARD.decode(auth).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
            let pair = pair.filter(|(name, _)| !name.is_empty());
            let (name, secret) = pair.ok_or_else(|| Error::AuthEntry(server.to_owned()))?;
            (username, password) = (name.to_owned(), secret.trim_matches('\0').to_owned());
        }
        let (identity_token, registry_token) = (text("identitytoken"), text("registrytoken"));
        Ok(Self { username, password, server: server.to_owned(), identity_token, registry_token })
    }

    /// As an entry of `auths`.
    pub fn entry(&self) -> Value {
        let mut entry = Map::new();
        if !(self.username.is_empty() && self.password.is_empty()) {
            let auth = STANDARD.encode(format!("{}:{}", self.username, self.password));
            entry.insert("auth".into(), auth.into());
        }
        for (key, value) in [("identitytoken", &self.identity_token), ("registrytoken", &self.registry_token)]
        {
            if !value.is_empty() {
                entry.insert(key.into(), value.as_str().into());
            }
        }
        Value::Object(entry)
    }
}

/// Where credentials were put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// With a helper.
    ByHelper,
    /// In the file, readable by whoever reads the file; the file was written.
    InFile,
    /// The same were in the file already.
    AsBefore,
}

/// `https://r.example/v1/` and `r.example/x` as `r.example`.
pub fn host_of(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// The name under which the credentials for a registry are kept: its domain, and for Docker Hub an old address.
pub fn key_of(domain: &str) -> &str {
    if matches!(domain, "docker.io" | "index.docker.io") { HUB } else { domain }
}

impl Config {
    /// What is known for a registry, under its [`key_of`]; an [`Auth`] without fields where nothing is.
    pub fn auth(&self, key: &str, variable: Option<&str>) -> Result<Auth, Error> {
        if let Some(text) = variable.filter(|text| !text.is_empty()) {
            let parsed: Result<Value, _> = serde_json::from_str(text);
            let parsed = parsed.map_err(|e| Error::AuthVariable(e.to_string()))?;
            if let Some(entry) = parsed["auths"].get(key) {
                return Auth::read(key, entry);
            }
        }
        let filed = self.filed(key)?;
        let Some(helper) = self.helper(key) else { return Ok(filed) };
        let mut auth = filed;
        (auth.username, auth.password, auth.identity_token) = Default::default();
        if let Some((name, secret)) = helper.get(key)? {
            key.clone_into(&mut auth.server);
            if name == TOKEN_NAME {
                auth.identity_token = secret;
            } else {
                (auth.username, auth.password) = (name, secret);
            }
        }
        Ok(auth)
    }

    /// All that is known, with secrets, of every registry that the variable, the file or its table of helpers names.
    pub fn auths(&self, variable: Option<&str>) -> Result<Vec<Auth>, Error> {
        let parsed: Option<Value> = variable.and_then(|text| serde_json::from_str(text).ok());
        let listed = parsed.as_ref().map(|parsed| &parsed["auths"]);
        let tables = [listed, self.get("auths"), self.get("credHelpers")].into_iter().flatten();
        let mut servers: Vec<&String> =
            tables.filter_map(Value::as_object).flat_map(serde_json::Map::keys).collect();
        servers.sort_unstable();
        servers.dedup();
        let found = servers.into_iter().map(|server| self.auth(server, variable));
        let secret = |auth: &Auth| auth.entry().as_object().is_some_and(|entry| !entry.is_empty());
        found.filter(|auth| auth.as_ref().map_or(true, secret)).collect()
    }

    /// Keeps credentials under their `server`.
    pub fn keep_auth(&mut self, auth: &Auth) -> Result<Kept, Error> {
        let Some(helper) = self.helper(&auth.server) else {
            return Ok(if self.file_auth(auth)? { Kept::InFile } else { Kept::AsBefore });
        };
        match auth.identity_token.is_empty() {
            true => helper.store(&auth.server, &auth.username, &auth.password)?,
            false => helper.store(&auth.server, TOKEN_NAME, &auth.identity_token)?,
        }
        // The file says of whom a helper knows, without any secret.
        self.file_auth(&Auth { server: auth.server.clone(), ..Auth::default() })?;
        Ok(Kept::ByHelper)
    }

    /// Forgets the credentials under this name.
    pub fn forget_auth(&mut self, key: &str) -> Result<(), Error> {
        if let Some(helper) = self.helper(key) {
            helper.erase(key)?;
        }
        let Some(entries) = self.get_mut("auths").and_then(Value::as_object_mut) else { return Ok(()) };
        match entries.shift_remove(key) {
            Some(_) => self.save(),
            None => Ok(()),
        }
    }

    /// Whether the file changed.
    fn file_auth(&mut self, auth: &Auth) -> Result<bool, Error> {
        let entries = self.entry("auths", || json!({}));
        if !entries.is_object() {
            *entries = json!({});
        }
        let written = auth.entry();
        if entries.get(&auth.server) == Some(&written) {
            return Ok(false);
        }
        entries[&auth.server] = written;
        self.save().map(|()| true)
    }

    fn filed(&self, key: &str) -> Result<Auth, Error> {
        let Some(entries) = self.get("auths").and_then(Value::as_object) else { return Ok(Auth::default()) };
        let found = entries.get_key_value(key);
        // Old files have addresses where newer ones have names.
        let found = found.or_else(|| entries.iter().find(|(address, _)| host_of(address) == key));
        found.map_or_else(|| Ok(Auth::default()), |(server, entry)| Auth::read(server, entry))
    }

    fn helper(&self, key: &str) -> Option<Helper> {
        let own = self.get("credHelpers").and_then(|table| table.get(key)).and_then(Value::as_str);
        let name = own.or_else(|| self.text("credsStore")).filter(|name| !name.is_empty())?;
        Some(Helper::new(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(dir: &tempfile::TempDir, text: &str) -> Config {
        std::fs::write(dir.path().join("config.json"), text).unwrap();
        Config::load(dir.path()).unwrap()
    }

    #[test]
    fn credentials_are_kept_found_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(&dir, r#"{"z":1,"auths":{"https://old.example/v1/":{"auth":"YTpi"}}}"#);
        let auth = Auth {
            username: "me".into(),
            password: "a:b".into(),
            server: "r.example".into(),
            ..Auth::default()
        };
        assert_eq!(config.keep_auth(&auth).unwrap(), Kept::InFile);
        assert_eq!(config.keep_auth(&auth).unwrap(), Kept::AsBefore);
        let mut config = Config::load(dir.path()).unwrap();
        assert_eq!(config.auth("r.example", None).unwrap(), auth);
        assert_eq!(config.auth("old.example", None).unwrap().password, "b");
        assert_eq!(config.auth("new.example", None).unwrap(), Auth::default());
        config.forget_auth("r.example").unwrap();
        let text = std::fs::read_to_string(dir.path().join("config.json")).unwrap();
        assert!(text.starts_with("{\n\t\"z\": 1,") && !text.contains("r.example"), "{text}");
    }

    #[test]
    fn the_variable_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(&dir, r#"{"auths":{"r.example":{"auth":"YTpi"}}}"#);
        let variable = r#"{"auths":{"r.example":{"auth":"Yzpk"}}}"#;
        assert_eq!(config.auth("r.example", Some(variable)).unwrap().username, "c");
        assert_eq!(config.auth("r.example", Some(r#"{"auths":{}}"#)).unwrap().username, "a");
        assert!(config.auth("r.example", Some("nonsense")).is_err());
    }

    #[test]
    fn what_is_no_entry_is_an_error_without_its_content() {
        let dir = tempfile::tempdir().unwrap();
        for wrong in ["c2VjcmV0", "OnNlY3JldA==", "%%"] {
            let text = format!(r#"{{"auths":{{"r.example":{{"auth":"{wrong}"}}}}}}"#);
            let error = config(&dir, &text).auth("r.example", None).unwrap_err().to_string();
            assert!(error.contains("r.example") && !error.contains("secret"), "{error}");
        }
        let auth = Auth { password: "hunter2".into(), ..Auth::default() };
        assert!(!format!("{auth:?}").contains("hunter2"));
    }
}
