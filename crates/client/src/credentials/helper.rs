//! `docker-credential-<name>`: a program that keeps secrets, asked with one word, its input and its output.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::Error;

/// No answer of a helper is longer.
const LIMIT: u64 = 1 << 20;
/// What helpers say of a registry that they don't know.
const NOT_FOUND: &str = "credentials not found in native keychain";

/// One helper program.
pub(super) struct Helper {
    program: String,
}

impl Helper {
    pub(super) fn new(name: &str) -> Self {
        Self { program: format!("docker-credential-{name}") }
    }

    /// The name and the secret for a registry.
    pub(super) fn get(&self, server: &str) -> Result<Option<(String, String)>, Error> {
        let answer = match self.run("get", server, "getting") {
            Err(Error::Helper { said, .. }) if said == NOT_FOUND => return Ok(None),
            other => other?,
        };
        let parsed: Result<Value, _> = serde_json::from_str(&answer);
        let failed = |reason: String| self.failed("getting", reason, String::new());
        // serde's sentence may quote what it read, which is a secret.
        let parsed = parsed.map_err(|e| failed(format!("its answer is no JSON at column {}", e.column())))?;
        let text = |key: &str| parsed[key].as_str().unwrap_or_default().to_owned();
        Ok(Some((text("Username"), text("Secret"))))
    }

    pub(super) fn store(&self, server: &str, name: &str, secret: &str) -> Result<(), Error> {
        let input = json!({ "ServerURL": server, "Username": name, "Secret": secret });
        self.run("store", &format!("{input}\n"), "storing").map(drop)
    }

    pub(super) fn erase(&self, server: &str) -> Result<(), Error> {
        match self.run("erase", server, "erasing") {
            Err(Error::Helper { said, .. }) if said == NOT_FOUND => Ok(()),
            other => other.map(drop),
        }
    }

    fn run(&self, verb: &str, input: &str, doing: &'static str) -> Result<String, Error> {
        let mut command = Command::new(&self.program);
        command.arg(verb).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let spawned = command.spawn();
        let mut child = spawned.map_err(|e| {
            let reason = match e.kind() {
                std::io::ErrorKind::NotFound => {
                    format!("exec: {:?}: executable file not found in $PATH", self.program)
                }
                _ => e.to_string(),
            };
            self.failed(doing, reason, String::new())
        })?;
        if let Some(mut pipe) = child.stdin.take() {
            // A helper that doesn't want its input has still to be heard.
            let _ = pipe.write_all(input.as_bytes());
        }
        let mut said = String::new();
        let read = child.stdout.take().map(|pipe| pipe.take(LIMIT).read_to_string(&mut said));
        let ended = child.wait();
        let failed = |reason: String, said: &str| self.failed(doing, reason, said.trim().to_owned());
        if let Some(Err(e)) = read {
            return Err(failed(e.to_string(), ""));
        }
        match ended {
            Ok(status) if status.success() => Ok(said),
            Ok(status) => Err(failed(status.to_string().replace(": ", " "), &said)),
            Err(e) => Err(failed(e.to_string(), "")),
        }
    }

    fn failed(&self, doing: &'static str, reason: String, said: String) -> Error {
        Error::Helper { doing, reason, said }
    }
}
