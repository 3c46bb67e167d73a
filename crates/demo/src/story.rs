//! The demo step by step, each one an ordinary command line of this executable.

use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::application;
use crate::image;
use crate::inside::{EXIT_CODE, LINES};

/// What the engine's configuration calls it.
const RUNTIME: &str = "by-command-line";
/// Containers that are made only to be taken away.
const SEVERAL: &[&str] = &["one", "two", "three", "four", "five", "six"];
/// Where `network inspect` says what the default network's bridge is called.
const BRIDGE: &str = r#"{{index .Options "com.docker.network.bridge.name"}}"#;
const READY_TIME: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot {doing}: {source}")]
    Io { doing: &'static str, source: io::Error },
    #[error("`ketch {command}` ended with {code}: {stderr}")]
    Command { command: String, code: i32, stderr: String },
    #[error("the {what} did not become ready; its log says:\n{log}")]
    NotReady { what: &'static str, log: String },
    #[error("{0}")]
    Wrong(String),
}

pub(crate) fn io(doing: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::Io { doing, source }
}

pub(crate) fn say(line: &str) {
    // Whoever closed our output doesn't read it.
    let _ = writeln!(io::stdout(), "{line}");
}

pub(crate) fn tell() -> Result<(), Error> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::Wrong("the engine needs root: try `sudo ketch demo`".into()));
    }
    let mut stage = Stage::set()?;
    say("An image out of nothing but this executable:");
    let archive = stage.scratch.path().join("image.tar");
    image::write(&stage.executable, &archive).map_err(io("write the image"))?;
    stage.ketch(&["load", "-i", &archive.to_string_lossy()])?;

    say("\nA container of it, from its own namespaces:");
    let look = stage.ketch(&["run", "--rm", "--network", "none", image::NAME, "look"])?;
    expect(&look, "I am process 1 ")?;
    say(
        "\nThe same by another OCI runtime that the engine is told of: this executable's own command line of one:",
    );
    let look =
        stage.ketch(&["run", "--rm", "--network", "none", "--runtime", RUNTIME, image::NAME, "look"])?;
    expect(&look, "I am process 1 ")?;

    say("\nOne whose root is nobody on the host; what it sees and writes is its own all the same:");
    let look =
        stage.ketch(&["run", "--rm", "--network", "none", "--userns", "private", image::NAME, "look"])?;
    expect(&look, "I am root, whom the host knows as user ")?;
    expect(&look, "my own layer is writable")?;

    travel(&mut stage)?;
    application::show(&stage)?;

    say("\nA container that works while its engine is killed:");
    stage.ketch(&["run", "-d", "--name", "counter", "--network", "none", image::NAME, "count"])?;
    let guest = stage.ketch(&["exec", "counter", "/ketch", "__demo", "look"])?;
    expect(&guest, "I am process ")?;
    stage.kill_engine()?;
    say("$ kill -9 ENGINE    (the container runs on)");
    stage.start_engine()?;
    say("$ ketch daemon &    (another engine, the same containers)");
    let code = stage.ketch(&["wait", "counter"])?;
    expect(&code, &EXIT_CODE.to_string())?;
    let log = stage.quietly(&["logs", "counter"])?;
    let expected: String = (1..=LINES).map(|line| format!("line {line}\n")).collect();
    if log != expected {
        return Err(Error::Wrong(format!("the log should have {LINES} lines and is:\n{log}")));
    }
    say(&format!("all {LINES} lines and exit code {EXIT_CODE} are there"));
    stage.ketch(&["rm", "counter"])?;
    half_removed(&mut stage)?;
    stage.ketch(&["rmi", image::NAME])?;
    drop(stage);
    say("\nNothing was downloaded, nothing is left behind.");
    Ok(())
}

/// What was being removed goes with the next engine, and nothing stands between.
fn half_removed(stage: &mut Stage) -> Result<(), Error> {
    say("\nAn engine that is killed while it takes containers away:");
    for name in SEVERAL {
        stage.quietly(&["create", "--name", name, "--network", "none", image::NAME])?;
    }
    let listed = || stage.quietly(&["ps", "--all", "--quiet"]);
    let removal = stage.start(&[&["rm"], SEVERAL].concat())?;
    wait_until(|| listed().ok().filter(|left| left.lines().count() < SEVERAL.len()));
    stage.kill_engine()?;
    drop(removal);
    stage.start_engine()?;
    let half = || stage.quietly(&["ps", "--all", "--quiet", "--filter", "status=removing"]).ok();
    let ended = wait_until(|| half().filter(String::is_empty));
    ended.ok_or_else(|| Error::Wrong("a container is neither there nor gone".into()))?;
    let whole = stage.quietly(&["ps", "--all", "--quiet"])?;
    let whole: Vec<&str> = whole.lines().collect();
    say(&format!(
        "{} of {} are gone, {} whole, none is half there",
        SEVERAL.len() - whole.len(),
        SEVERAL.len(),
        whole.len()
    ));
    match whole[..] {
        [] => Ok(()),
        _ => stage.quietly(&[&["rm"], &whole[..]].concat()).map(drop),
    }
}

/// The image goes to a private registry and comes back from it.
fn travel(stage: &mut Stage) -> Result<(), Error> {
    say("\nThe image travels through a registry, which is this executable too:");
    let address = stage.start_registry()?;
    say(&format!("$ ketch registry serve --addr {address} &"));
    let far = format!("{address}/demo:1");
    stage.ketch(&["tag", image::NAME, &far])?;
    stage.ketch(&["push", "--quiet", &far])?;
    stage.ketch(&["rmi", &far, image::NAME])?;
    stage.ketch(&["pull", "--quiet", &far])?;
    stage.ketch(&["tag", &far, image::NAME])?;
    stage.quietly(&["rmi", &far])?;
    Ok(())
}

pub(crate) fn expect(output: &str, wanted: &str) -> Result<(), Error> {
    match output.contains(wanted) {
        true => Ok(()),
        false => Err(Error::Wrong(format!("{wanted:?} was expected in:\n{output}"))),
    }
}

/// Asks again and again for as long as a process may take to be ready.
pub(crate) fn wait_until<T>(ready: impl Fn() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    while began.elapsed() < READY_TIME {
        if let Some(found) = ready() {
            return Some(found);
        }
        let pause = rustix::time::Timespec { tv_sec: 0, tv_nsec: 2_000_000 };
        let _ = rustix::event::poll(&mut [], Some(&pause));
    }
    None
}

/// A scratch folder with an engine and a registry in it.
pub(crate) struct Stage {
    scratch: TempDir,
    executable: PathBuf,
    engine: Option<Child>,
    registry: Option<Child>,
}

impl Stage {
    fn set() -> Result<Self, Error> {
        let scratch = tempfile::Builder::new().prefix("ketch-demo-").tempdir();
        let executable = std::env::current_exe().map_err(io("find this executable"))?;
        let scratch = scratch.map_err(io("make a scratch folder"))?;
        let mut stage = Self { scratch, executable, engine: None, registry: None };
        stage.start_engine()?;
        Ok(stage)
    }

    fn host(&self) -> String {
        format!("unix://{}", self.path("ketch.sock").display())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn start_engine(&mut self) -> Result<(), Error> {
        let log = std::fs::File::create(self.path("log")).map_err(io("write the engine's log"))?;
        let settings = self.path("daemon.json");
        let runtime = serde_json::json!({ "path": self.executable, "runtimeArgs": ["runtime"] });
        let text = serde_json::json!({ "runtimes": { RUNTIME: runtime } }).to_string();
        std::fs::write(&settings, text).map_err(io("write a configuration"))?;
        let parent = format!("/ketch-demo-{}", std::process::id());
        let child = Command::new(&self.executable)
            .arg("daemon")
            .args(["--host", &self.host(), "--cgroup-parent", &parent, "--config-file"])
            .arg(&settings)
            .arg("--data-root")
            .arg(self.path("data"))
            .arg("--exec-root")
            .arg(self.path("run"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn();
        self.engine = Some(child.map_err(io("start the engine"))?);
        self.wait_until_ready()
    }

    fn wait_until_ready(&self) -> Result<(), Error> {
        let socket = self.path("ketch.sock");
        let log = || std::fs::read_to_string(self.path("log")).unwrap_or_default();
        wait_until(|| std::os::unix::net::UnixStream::connect(&socket).ok())
            .map(drop)
            .ok_or_else(|| Error::NotReady { what: "engine", log: log() })
    }

    /// Starts a registry on a port that was free, and returns where it listens.
    fn start_registry(&mut self) -> Result<String, Error> {
        let log = std::fs::File::create(self.path("registry.log")).map_err(io("write the registry's log"))?;
        let child = Command::new(&self.executable)
            .args(["registry", "serve", "--addr", "127.0.0.1:0", "--root"])
            .arg(self.path("registry"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn();
        self.registry = Some(child.map_err(io("start the registry"))?);
        let log = || std::fs::read_to_string(self.path("registry.log")).unwrap_or_default();
        let address = |log: String| {
            let line = log.lines().find(|line| line.contains("the registry listens"))?.to_owned();
            Some(line.split("address=").nth(1)?.split(' ').next()?.to_owned())
        };
        wait_until(|| address(log())).ok_or_else(|| Error::NotReady { what: "registry", log: log() })
    }

    fn kill_engine(&mut self) -> Result<(), Error> {
        let Some(mut engine) = self.engine.take() else { return Ok(()) };
        engine.kill().map_err(io("kill the engine"))?;
        engine.wait().map_err(io("wait for the engine"))?;
        Ok(())
    }

    /// Runs a command line, shows it and what it says, and returns that.
    pub(crate) fn ketch(&self, words: &[&str]) -> Result<String, Error> {
        let shown = words.join(" ").replace(&*self.scratch.path().to_string_lossy(), "…");
        say(&format!("$ ketch {shown}"));
        let output = self.quietly(words)?;
        output.lines().for_each(say);
        Ok(output)
    }

    /// Starts a command line that goes on until it is dropped.
    pub(crate) fn start(&self, words: &[&str]) -> Result<Running, Error> {
        let shown = words.join(" ").replace(&*self.scratch.path().to_string_lossy(), "…");
        say(&format!("$ ketch {shown} &"));
        let mut command = Command::new(&self.executable);
        command.arg0("ketch").args(["--host", &self.host()]).args(words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().map(Running).map_err(io("run a command"))
    }

    pub(crate) fn quietly(&self, words: &[&str]) -> Result<String, Error> {
        let output = Command::new(&self.executable)
            .arg0("ketch")
            .args(["--host", &self.host()])
            .args(words)
            .stdin(Stdio::null())
            .output()
            .map_err(io("run a command"))?;
        match output.status.code() {
            Some(0) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            code => Err(Error::Command {
                command: words.join(" "),
                code: code.unwrap_or(-1),
                stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            }),
        }
    }
}

/// A command line that ends with this.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Also after a failure half way: whatever container is left goes with its engine.
        let _ = self.quietly(&["rm", "-f", "counter"]);
        let _ = self.quietly(&[&["rm", "-f"], SEVERAL].concat());
        for project in [application::PROJECT, application::BESIDE] {
            let _ = self.quietly(&["compose", "-p", project, "down", "--volumes", "--timeout", "0"]);
        }
        let bridge = self.quietly(&["network", "inspect", "--format", BRIDGE, "bridge"]);
        for child in [&mut self.engine, &mut self.registry].into_iter().flatten() {
            let pid = rustix::process::Pid::from_child(child);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let _ = child.wait();
        }
        remove_cgroups(Path::new("/sys/fs/cgroup"), &format!("ketch-demo-{}", std::process::id()));
        if let Ok(bridge) = bridge
            && let Err(error) = remove_bridge(bridge.trim())
        {
            say(&format!("the bridge {} stays: {error}", bridge.trim()));
        }
    }
}

/// What an engine leaves for its successor: the default network's bridge, and the firewall's tables, which are called the same.
fn remove_bridge(name: &str) -> Result<(), network::Error> {
    network::Links::open()?.remove(name)?;
    network::firewall::Firewall::install(name, &[])?.uninstall()
}

/// The parent group that the engine made for this demo alone, in every hierarchy.
fn remove_cgroups(root: &Path, name: &str) {
    let hierarchies = std::fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    for folder in hierarchies.chain([root.to_owned()]) {
        // Only an empty group can be removed: a shim that ends just now is awaited.
        let _ = wait_until(|| match std::fs::remove_dir(folder.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => None,
            _ => Some(()),
        });
    }
}
