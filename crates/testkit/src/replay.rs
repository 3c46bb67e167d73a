//! dockerd's own answers, replayed: what the real command line made of them is what ours has to make of them.
//!
//! `tests/replayed/answers.json` holds the answers as dockerd gave them, `outputs.json` what the docker command line
//! printed when it was given exactly these. `cargo xtask replies --host unix://…` writes both.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::command::{self, Output};
use crate::filters;
use crate::http::{self, Request};
use crate::scratch::Scratch;

/// What the two command lines are asked.
pub const COMMANDS: &[&[&str]] = &[
    &["version"],
    &["version", "--format", "{{json .Server}}"],
    &["version", "--format", "{{range .Server.Components}}{{.Name}} {{.Version}};{{end}}"],
    &["info"],
    &["info", "--format", "{{json .RegistryConfig}} {{json .Plugins}} {{.MemTotal}}"],
    &[
        "system",
        "info",
        "--format",
        "{{range $name, $_ := .Runtimes}}{{$name}} {{end}}{{.Swarm.LocalNodeState}}",
    ],
    &["system", "df"],
    &["system", "df", "--format", "json"],
    &["system", "df", "--verbose"],
    &[
        "system",
        "df",
        "--verbose",
        "--format",
        "{{range .Images}}{{.Repository}}:{{.Tag}} {{.UniqueSize}};{{end}}",
    ],
    &["events", "--since", "1", "--until", "2"],
    &["events", "--since", "1", "--until", "2", "--format", "json"],
    &[
        "events",
        "--since",
        "1",
        "--until",
        "2",
        "--format",
        "{{.Type}} {{.Action}} {{.Actor.Attributes.name}} {{.Time}}",
    ],
    &["context", "ls"],
    &["context", "ls", "--format", "json"],
    &["context", "inspect"],
    &["context", "show"],
];

/// The version that the answers are in.
const VERSION: &str = "/v1.51";
/// Only the end of the past is kept.
const EVENTS: usize = 24;

const PATH_LENGTH: usize = 80;

/// One answer as it came.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Answer {
    headers: Vec<(String, String)>,
    body: String,
}

/// Answers by method and path.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answers(BTreeMap<String, Answer>);

/// What was printed, by command line.
pub type Outputs = BTreeMap<String, String>;

fn folder() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).join("tests/replayed")
}

fn read<T: for<'a> Deserialize<'a>>(name: &str) -> anyhow::Result<T> {
    let path = folder().join(name);
    let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&bytes).with_context(|| path.display().to_string())
}

fn write(name: &str, value: &impl Serialize) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder())?;
    Ok(std::fs::write(folder().join(name), serde_json::to_string_pretty(value)? + "\n")?)
}

impl Answers {
    pub fn committed() -> anyhow::Result<Self> {
        read("answers.json")
    }

    /// Answers of a test's own, by method and path (`GET /images/json`), beside an engine that can be reached.
    pub fn given(answers: &[(&str, String)]) -> Self {
        let headers = [("Api-Version", "1.51"), ("Ostype", "linux"), ("Content-Type", "application/json")];
        let headers: Vec<_> = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let ping = ["HEAD /_ping", "GET /_ping"].map(|key| (key, String::new()));
        let all = ping
            .iter()
            .chain(answers)
            .map(|(key, body)| ((*key).to_owned(), Answer { headers: headers.clone(), body: body.clone() }));
        Self(all.collect())
    }

    /// Asks a dockerd.
    fn ask(socket: &Path) -> anyhow::Result<Self> {
        let mut answers = BTreeMap::new();
        for (method, path) in [
            ("HEAD", "/_ping"),
            ("GET", "/_ping"),
            ("GET", "/version"),
            ("GET", "/info"),
            ("GET", "/system/df"),
            ("GET", "/events"),
        ] {
            let query = if path == "/events" { "?since=1&until=2000000000" } else { "" };
            let until = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
            let query = query.replace("2000000000", &until.to_string());
            let versioned = if path == "/_ping" { path.to_owned() } else { format!("{VERSION}{path}") };
            let reply = http::call(socket, &Request::new(method, &format!("{versioned}{query}")))?;
            anyhow::ensure!(reply.status() == 200, "{method} {path}: {}", reply.text());
            let kept = |name: &&str| reply.header(name).map(|value| ((*name).to_owned(), value.to_owned()));
            let names = [
                "api-version",
                "builder-version",
                "content-type",
                "docker-experimental",
                "ostype",
                "server",
                "swarm",
            ];
            let body = if path == "/events" { last_lines(&reply.text(), EVENTS) } else { reply.text() };
            let answer = Answer { headers: names.iter().filter_map(kept).collect(), body };
            answers.insert(format!("{method} {path}"), answer);
        }
        Ok(Self(answers))
    }
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].iter().map(|line| format!("{line}\n")).collect()
}

/// Writes both files anew: dockerd's answers, and what the real command line makes of them.
pub fn record(socket: &Path) -> anyhow::Result<()> {
    let answers = Answers::ask(socket)?;
    write("answers.json", &answers)?;
    let replay = Replay::start(answers)?;
    let outputs: Outputs = COMMANDS
        .iter()
        .map(|words| (words.join(" "), replay.run(command::client("docker"), words)))
        .collect();
    write("outputs.json", &outputs)
}

/// What the real command line printed.
pub fn outputs() -> anyhow::Result<Outputs> {
    read("outputs.json")
}

/// A server on a socket of its own that gives the answers and knows nothing else.
#[derive(Debug)]
pub struct Replay {
    scratch: Scratch,
    socket: PathBuf,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Replay {
    pub fn start(answers: Answers) -> anyhow::Result<Self> {
        let scratch = Scratch::create();
        // As long in every run: tables are as wide as what is in them.
        let room = PATH_LENGTH.saturating_sub(scratch.path().as_os_str().len() + 1);
        let socket = scratch.join(&format!("{:d>room$}", ".sock"));
        let (listener, answers) = (UnixListener::bind(&socket)?, Arc::new(answers));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        // Ends with the process; a connection is served to its end.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, log) = (answers.clone(), log.clone());
                std::thread::spawn(move || answer(&stream, &answers, &log));
            }
        });
        Ok(Self { scratch, socket, asked })
    }

    /// `DOCKER_HOST` for this server.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// What was asked since the last time: method and path with its query.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a command line prints here, without what is about the client itself or about the moment.
    #[track_caller]
    pub fn run(&self, mut command: Command, words: &[&str]) -> String {
        command.env_clear().env("HOME", self.scratch.join("home")).env("TZ", "UTC");
        command.env("DOCKER_HOST", self.host());
        let Output { stdout, stderr, code, .. } = command::run(command.args(words));
        let about_the_engine = stdout.find("Server:\n").or_else(|| stdout.find("Server: ")).unwrap_or(0);
        let text = format!("{}{stderr}exit code {code}\n", &stdout[about_the_engine..]);
        let text = filters::snapshot(&text.replace(&self.socket.display().to_string(), "[SOCKET]"));
        // Where an age is shown, columns are wider or narrower from month to month.
        let aged = text.contains("[AGO]");
        text.lines().map(|line| if aged { squeeze(line) } else { line.to_owned() } + "\n").collect()
    }
}

/// One space for many.
fn squeeze(line: &str) -> String {
    line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

impl Drop for Replay {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.scratch.path());
    }
}

fn answer(stream: &UnixStream, answers: &Answers, asked: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    let mut head = reader.by_ref().lines().map_while(Result::ok);
    let first = head.next().unwrap_or_default();
    let length =
        |line: String| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse::<u64>().ok();
    let length: u64 = head.take_while(|line| !line.is_empty()).filter_map(length).sum();
    // A client that still writes when the connection is closed says so instead of what it was told.
    let _ = std::io::copy(&mut reader.take(length), &mut std::io::sink());
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if !path.ends_with("/_ping") {
        let line = format!("{method} {}", path.strip_prefix(VERSION).unwrap_or(path));
        asked.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
    let path = path.split('?').next().unwrap_or_default();
    let key = format!("{method} {}", path.strip_prefix(VERSION).unwrap_or(path));
    let unknown = Answer { headers: Vec::new(), body: format!("{{\"message\":\"not recorded: {key}\"}}") };
    let (status, found) = match answers.0.get(&key) {
        Some(found) => ("200 OK", found),
        None => ("404 Not Found", &unknown),
    };
    let mut text =
        format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n", found.body.len());
    for (name, value) in &found.headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += "\r\n";
    text += &found.body;
    let mut stream = stream;
    // A client that went away wants no answer.
    let _ = stream.write_all(text.as_bytes());
}
