//! Docker's volume plugins: programs of others that are asked over their sockets, in HTTP with JSON.
//!
//! A plugin `x` is found as `<run dir>/plugins/x.sock`, or as dockerd finds it: `/run/docker/plugins/x.sock` (or
//! `x/x.sock`), and `x.spec` with an address in `/etc/docker/plugins` or `/usr/lib/docker/plugins`. It is somebody else's:
//! each answer is bounded in time and size, and believed only where it can be checked.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::containers::config::Labels;

/// Where dockerd looks.
const FOLDERS: [&str; 3] = ["/run/docker/plugins", "/etc/docker/plugins", "/usr/lib/docker/plugins"];
/// An answer is a few names and paths.
const LONGEST: u64 = 1 << 20;
/// What is shown of a plugin's own words.
const WORDS: usize = 1000;

/// Why a plugin didn't do it.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    #[error("plugin \"{0}\" not found")]
    NotFound(String),
    #[error("plugin \"{name}\": {what} is not supported")]
    Address { name: String, what: String },
    #[error("plugin \"{name}\" is no volume driver: it implements {implements:?}")]
    NoVolumes { name: String, implements: Vec<String> },
    #[error("{call}: cannot talk to plugin \"{name}\"")]
    Talk { name: String, call: &'static str, source: io::Error },
    #[error("{call}: plugin \"{name}\" gave no answer that makes sense: {why}")]
    Nonsense { name: String, call: &'static str, why: String },
    /// Its own words.
    #[error("{call}: {words}")]
    Refused { call: &'static str, words: String },
}

/// Where plugins are, and how long they may take.
#[derive(Debug, Clone)]
pub(crate) struct Plugins {
    folders: Vec<PathBuf>,
    patience: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    Unix(PathBuf),
    Tcp(String),
}

/// One of them, found.
#[derive(Debug)]
pub(super) struct Plugin {
    name: String,
    address: Address,
    patience: Duration,
}

/// What a plugin says of a volume.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Told {
    pub(super) name: String,
    pub(super) mountpoint: String,
    pub(super) status: Option<serde_json::Map<String, Value>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Answer {
    err: String,
    implements: Vec<String>,
    mountpoint: String,
    volume: Told,
    capabilities: Capabilities,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Capabilities {
    scope: String,
}

impl Plugins {
    pub(super) fn new(run_dir: &Path, patience: Duration) -> Self {
        let own = run_dir.join("plugins");
        Self { folders: [own].into_iter().chain(FOLDERS.map(PathBuf::from)).collect(), patience }
    }

    /// The plugin of this name, which says that it is a volume driver.
    pub(super) fn get(&self, name: &str) -> Result<Plugin, PluginError> {
        let unknown = || PluginError::NotFound(name.to_owned());
        // It becomes a file's name.
        super::check_name(name).map_err(|_| unknown())?;
        let address = self.folders.iter().find_map(|folder| find(folder, name)).ok_or_else(unknown)?;
        let plugin = Plugin { name: name.to_owned(), address: address?, patience: self.patience };
        let implements = plugin.ask("Plugin.Activate", &json!({}))?.implements;
        match implements.iter().any(|what| what == "VolumeDriver") {
            true => Ok(plugin),
            false => Err(PluginError::NoVolumes { name: name.to_owned(), implements }),
        }
    }
}

fn find(folder: &Path, name: &str) -> Option<Result<Address, PluginError>> {
    let sockets = [folder.join(format!("{name}.sock")), folder.join(name).join(format!("{name}.sock"))];
    if let Some(socket) = sockets.into_iter().find(|path| path.exists()) {
        return Some(Ok(Address::Unix(socket)));
    }
    let unsupported = |what: &str| PluginError::Address { name: name.to_owned(), what: what.to_owned() };
    if folder.join(format!("{name}.json")).exists() {
        return Some(Err(unsupported("a description in JSON, which is for TLS")));
    }
    let mut text = String::new();
    let file = fs::File::open(folder.join(format!("{name}.spec"))).ok()?;
    file.take(4096).read_to_string(&mut text).ok()?;
    Some(match text.trim().split_once("://") {
        Some(("unix", path)) if path.starts_with('/') => Ok(Address::Unix(path.into())),
        Some(("tcp" | "http", host)) => Ok(Address::Tcp(host.trim_end_matches('/').to_owned())),
        _ => Err(unsupported(&format!("the address {:?}", text.trim()))),
    })
}

impl Plugin {
    pub(super) fn create(&self, volume: &str, options: &Labels) -> Result<(), PluginError> {
        self.ask("VolumeDriver.Create", &json!({ "Name": volume, "Opts": options })).map(drop)
    }

    pub(super) fn remove(&self, volume: &str) -> Result<(), PluginError> {
        self.ask("VolumeDriver.Remove", &json!({ "Name": volume })).map(drop)
    }

    /// Where it is mounted now for this user.
    pub(super) fn mount(&self, volume: &str, user: &str) -> Result<PathBuf, PluginError> {
        const CALL: &str = "VolumeDriver.Mount";
        let answer = self.ask(CALL, &json!({ "Name": volume, "ID": user }))?;
        let path = PathBuf::from(&answer.mountpoint);
        let nonsense = |why: String| Err(PluginError::Nonsense { name: self.name.clone(), call: CALL, why });
        if !path.is_absolute() || path == Path::new("/") {
            return nonsense(format!("a volume can't be mounted at {:?}", answer.mountpoint));
        }
        match fs::metadata(&path) {
            Ok(meta) if meta.is_dir() => Ok(path),
            Ok(_) => nonsense(format!("{} is no directory", path.display())),
            Err(error) => nonsense(format!("{}: {error}", path.display())),
        }
    }

    pub(super) fn unmount(&self, volume: &str, user: &str) -> Result<(), PluginError> {
        self.ask("VolumeDriver.Unmount", &json!({ "Name": volume, "ID": user })).map(drop)
    }

    /// What it knows of a volume.
    pub(super) fn tell(&self, volume: &str) -> Result<Told, PluginError> {
        const CALL: &str = "VolumeDriver.Get";
        let told = self.ask(CALL, &json!({ "Name": volume }))?.volume;
        match told.name == volume {
            true => Ok(told),
            false => Err(PluginError::Nonsense {
                name: self.name.clone(),
                call: CALL,
                why: format!("it was asked for {volume:?} and tells of {:?}", told.name),
            }),
        }
    }

    /// `local` or `global`; a plugin that doesn't say has local volumes.
    pub(super) fn scope(&self) -> String {
        let said = self.ask("VolumeDriver.Capabilities", &json!({})).map(|answer| answer.capabilities.scope);
        said.ok().filter(|scope| scope == "global").unwrap_or_else(|| "local".to_owned())
    }

    fn ask(&self, call: &'static str, what: &Value) -> Result<Answer, PluginError> {
        let talk = |source| PluginError::Talk { name: self.name.clone(), call, source };
        let until = Instant::now() + self.patience;
        let request = request(call, what);
        let reply = match &self.address {
            Address::Unix(path) => {
                UnixStream::connect(path).and_then(|stream| exchange(stream, &request, until))
            }
            Address::Tcp(host) => {
                TcpStream::connect(host).and_then(|stream| exchange(stream, &request, until))
            }
        };
        let nonsense = |why: String| PluginError::Nonsense { name: self.name.clone(), call, why };
        let (status, body) = parse(&reply.map_err(talk)?).map_err(nonsense)?;
        let answer: Result<Answer, _> = serde_json::from_slice(&body);
        match (status, answer) {
            (_, Ok(answer)) if !answer.err.is_empty() => {
                Err(PluginError::Refused { call, words: answer.err.chars().take(WORDS).collect() })
            }
            (200..=299, Ok(answer)) => Ok(answer),
            (200..=299, Err(_)) if body.is_empty() => Ok(Answer::default()),
            (200..=299, Err(error)) => Err(nonsense(error.to_string())),
            (status, _) => Err(nonsense(format!("status {status}"))),
        }
    }
}

/// HTTP/1.0: the answer ends with the connection, and isn't cut into chunks.
fn request(call: &str, what: &Value) -> Vec<u8> {
    let body = what.to_string();
    let length = body.len();
    let head = format!(
        "POST /{call} HTTP/1.0\r\nHost: plugin\r\nAccept: application/vnd.docker.plugins.v1.2+json\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.into_bytes(), body.into_bytes()].concat()
}

trait Timed: Read + Write {
    fn limit(&self, time: Duration) -> io::Result<()>;
}

impl Timed for UnixStream {
    fn limit(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time))?;
        self.set_write_timeout(Some(time))
    }
}

impl Timed for TcpStream {
    fn limit(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time))?;
        self.set_write_timeout(Some(time))
    }
}

/// One request, one answer, before a moment: one who says a byte now and then is not waited for either.
fn exchange(mut stream: impl Timed, request: &[u8], until: Instant) -> io::Result<Vec<u8>> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, "it took too long");
    let limit = |stream: &dyn Timed| {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(late()) } else { stream.limit(left) }
    };
    limit(&stream)?;
    stream.write_all(request)?;
    let (mut reply, mut buffer) = (Vec::new(), [0; 16 << 10]);
    loop {
        limit(&stream)?;
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(reply),
            Ok(length) => reply.extend(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(late()),
            Err(error) => return Err(error),
        }
        if reply.len() as u64 > LONGEST {
            return Err(io::Error::other("it says more than an answer can be"));
        }
    }
}

/// The status, and what follows the head.
fn parse(reply: &[u8]) -> Result<(u16, Vec<u8>), String> {
    let end = reply.windows(4).position(|window| window == b"\r\n\r\n").ok_or("it isn't HTTP")?;
    let head = std::str::from_utf8(&reply[..end]).map_err(|_| "its head is no text")?;
    let first = head.lines().next().unwrap_or_default();
    let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
    let status =
        status.ok_or_else(|| format!("{:?} is no status", first.chars().take(100).collect::<String>()))?;
    let field = |name: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    let body = &reply[end + 4..];
    if field("transfer-encoding").is_some() {
        return Err("it answers in chunks, which it wasn't asked for".to_owned());
    }
    match field("content-length").map(str::parse::<usize>) {
        None => Ok((status, body.to_vec())),
        Some(Ok(length)) if length <= body.len() => Ok((status, body[..length].to_vec())),
        Some(Ok(length)) => Err(format!("it ended after {} of {length} bytes", body.len())),
        Some(Err(_)) => Err("its length is no number".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_what_is_none_is_told() {
        let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}rest";
        assert_eq!(parse(ok).unwrap(), (200, b"{}".to_vec()));
        assert_eq!(parse(b"HTTP/1.0 500 Oops\r\n\r\nx").unwrap(), (500, b"x".to_vec()));
        for (wrong, expected) in [
            (&b"nonsense"[..], "it isn't HTTP"),
            (b"HTTP/1.1 x\r\n\r\n", "is no status"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "it ended after 2 of 9 bytes"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "chunks"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "no number"),
        ] {
            let told = parse(wrong).unwrap_err();
            assert!(told.contains(expected), "{told}");
        }
    }

    #[test]
    fn a_plugin_is_found_by_its_socket_or_its_address() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| find(folder.path(), name).map(|found| found.map_err(|error| error.to_string()));
        assert!(at("x").is_none());
        fs::write(folder.path().join("a.spec"), "unix:///run/a.sock\n").unwrap();
        fs::write(folder.path().join("b.spec"), "tcp://127.0.0.1:99").unwrap();
        fs::write(folder.path().join("c.spec"), "https://x").unwrap();
        fs::write(folder.path().join("d.sock"), "").unwrap();
        assert_eq!(at("a"), Some(Ok(Address::Unix("/run/a.sock".into()))));
        assert_eq!(at("b"), Some(Ok(Address::Tcp("127.0.0.1:99".to_owned()))));
        assert!(at("c").unwrap().unwrap_err().contains("https://x"));
        assert_eq!(at("d"), Some(Ok(Address::Unix(folder.path().join("d.sock")))));
    }
}
