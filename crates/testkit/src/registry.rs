//! A real registry of a test's own: Debian's docker-registry on a loopback port that was free.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use sha2::{Digest, Sha256};

use crate::command;
use crate::images;
use crate::scratch::Scratch;
use crate::waiting::DEADLINE;

/// The only account of a registry with [`Door::Login`].
pub const USER: &str = "me";
/// Its password.
pub const PASSWORD: &str = "secret";
/// Both as htpasswd keeps them; at bcrypt's lowest cost, which registries and tests alike have to pay.
const HTPASSWD: &str = "me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// What a registry asks of who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Nothing.
    Open,
    /// A name and a password.
    Login,
}

/// How a registry is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    Plain,
    /// With a certificate for its address that only [`Registry::certificate`] vouches for.
    Tls,
}

/// A running registry. Its process and its folder end with it.
#[derive(Debug)]
pub struct Registry {
    scratch: Scratch,
    child: Child,
    address: String,
    door: Door,
}

impl Registry {
    /// An open registry without TLS, which loopback registries may be.
    #[track_caller]
    pub fn start() -> Self {
        Self::with(Door::Open, Wire::Plain)
    }

    /// A registry of this kind, when it listens.
    #[track_caller]
    pub fn with(door: Door, wire: Wire) -> Self {
        Self::at("127.0.0.1", door, wire)
    }

    /// The same at another address of this machine: a loopback one may always go without TLS.
    #[track_caller]
    pub fn at(host: &str, door: Door, wire: Wire) -> Self {
        let scratch = Scratch::create();
        let config = scratch.write("config.yml", config(&scratch, host, door, wire));
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(config).env_clear().stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("docker-registry: {error}: apt-get install it"));
        let lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let (announce, heard) = mpsc::channel();
        std::thread::spawn(move || {
            // Reads to the end: a registry whose log nobody takes would stop at a full pipe.
            let mut log = String::new();
            for line in lines.map_while(Result::ok) {
                let found = line.split("listening on ").nth(1);
                if let Some(address) = found.and_then(|rest| rest.split(['"', ',']).next()) {
                    let _ = announce.send(Ok(address.to_owned()));
                }
                let _ = writeln!(log, "{line}");
            }
            let _ = announce.send(Err(log));
        });
        match heard.recv_timeout(DEADLINE) {
            Ok(Ok(address)) => Self { scratch, child, address, door },
            other => panic!("the registry does not listen: {other:?}"),
        }
    }

    /// `127.0.0.1:<port>`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The name of an image in this registry.
    pub fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }

    /// The certificate of a registry with TLS.
    pub fn certificate(&self) -> PathBuf {
        self.scratch.join("certificate.pem")
    }

    /// Puts the image of a docker archive under `name` (`a/b:1`), without any engine.
    #[track_caller]
    pub fn receive(&self, name: &str, archive: &[u8]) {
        let archive = self.scratch.write("archive.tar", archive);
        let (from, to) = (format!("docker-archive:{}", archive.display()), self.url(name));
        let mut command = self.skopeo("copy", "--dest-");
        command::run(command.args([&from, &to])).ok();
    }

    /// The manifest behind `name`, byte for byte as the registry has it.
    #[track_caller]
    pub fn manifest(&self, name: &str) -> String {
        command::run(self.skopeo("inspect", "--").arg("--raw").arg(self.url(name))).assert_code(0).stdout
    }

    /// The digest of that manifest.
    #[track_caller]
    pub fn digest(&self, name: &str) -> String {
        format!("sha256:{}", images::hex(&Sha256::digest(self.manifest(name))))
    }

    /// Where the registry keeps the bytes of this image's layers.
    pub fn layers(&self, name: &str) -> Vec<PathBuf> {
        let manifest: serde_json::Value = serde_json::from_str(&self.manifest(name)).expect("a manifest");
        let layers = manifest["layers"].as_array().into_iter().flatten();
        let digests = layers.map(|layer| layer["digest"].as_str().unwrap_or_default());
        let digests = digests.map(|digest| digest.trim_start_matches("sha256:").to_owned());
        let folder = "data/docker/registry/v2/blobs/sha256";
        digests.map(|hex| self.scratch.join(&format!("{folder}/{}/{hex}/data", &hex[..2]))).collect()
    }

    /// Forgets the bytes of this image's layers, whose manifest stays.
    pub fn lose_layers(&self, name: &str) {
        for path in self.layers(name) {
            std::fs::remove_file(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }

    fn url(&self, name: &str) -> String {
        format!("docker://{}", self.name(name))
    }

    fn skopeo(&self, verb: &str, prefix: &str) -> Command {
        let mut command = Command::new("skopeo");
        command.env_clear().env("HOME", self.scratch.path()).env("TMPDIR", self.scratch.path());
        command.args(["--insecure-policy", verb, &format!("{prefix}tls-verify=false")]);
        if self.door == Door::Login {
            command.arg(format!("{prefix}creds={USER}:{PASSWORD}"));
        }
        command
    }
}

/// The `X-Registry-Auth` header of an account, or of nobody.
pub fn auth(account: Option<(&str, &str)>) -> String {
    use base64::Engine as _;
    let text = account.map_or_else(
        || "{}".to_owned(),
        |(name, password)| serde_json::json!({"username": name, "password": password}).to_string(),
    );
    base64::engine::general_purpose::URL_SAFE.encode(text)
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(self.scratch.path());
    }
}

/// Port 0 is any free one; the log says which.
fn config(scratch: &Scratch, host: &str, door: Door, wire: Wire) -> String {
    let mut text = format!(
        "version: 0.1\nlog: {{level: info, accesslog: {{disabled: true}}}}\n\
         storage:\n  delete: {{enabled: true}}\n  filesystem: {{rootdirectory: {}}}\n\
         http:\n  addr: {host}:0\n",
        scratch.join("data").display()
    );
    if wire == Wire::Tls {
        let (certificate, key) = certificate(scratch.path(), host);
        let _ = writeln!(text, "  tls: {{certificate: {}, key: {}}}", certificate.display(), key.display());
    }
    if door == Door::Login {
        let path = scratch.write("htpasswd", HTPASSWD);
        let _ = writeln!(text, "auth: {{htpasswd: {{realm: test, path: {}}}}}", path.display());
    }
    text
}

#[track_caller]
fn certificate(folder: &Path, host: &str) -> (PathBuf, PathBuf) {
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
    openssl
        .args(["-days", "30", "-subj", "/CN=registry", "-addext"])
        .arg(format!("subjectAltName=IP:{host}"));
    command::run(openssl.arg("-out").arg(&certificate).arg("-keyout").arg(&key)).ok();
    (certificate, key)
}
