//! The engine that a test talks to: one of its own, or the peer.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::command::{self, Output};
use crate::daemon::{Daemon, Plan};
use crate::http::{self, Exchange, Reply, Request};
use crate::images;
use crate::leaks;
use crate::netfilter;
use crate::recording::{Recordings, split_version, versions};
use crate::scratch::Scratch;

/// See the crate's documentation. Dropping it checks for leaks.
#[derive(Debug)]
pub struct Engine {
    socket: PathBuf,
    scratch: Scratch,
    own: Option<Own>,
    recordings: Recordings,
    names: Names,
    /// Interfaces and firewall rules that were there before.
    network: BTreeSet<String>,
    ended: bool,
}

#[derive(Debug)]
struct Own {
    plan: Plan,
    daemon: Option<Daemon>,
}

/// Names on a shared engine carry the test's prefix and are taken away by it.
#[derive(Debug)]
struct Names {
    prefix: String,
}

impl Engine {
    /// An engine for this test alone; or the peer, if `KETCH_TEST_DOCKER_HOST` names one.
    #[track_caller]
    pub fn isolated() -> Self {
        match std::env::var("KETCH_TEST_DOCKER_HOST") {
            Ok(host) => Self::peer(&host),
            Err(_) => Self::ours(),
        }
    }

    /// An engine of ours even when the other tests judge a peer: for what only Ketch has.
    #[track_caller]
    pub fn ours() -> Self {
        Self::planned(|plan, _| plan)
    }

    /// An engine of ours with more arguments or files.
    #[track_caller]
    pub fn planned(change: impl FnOnce(Plan, &Scratch) -> Plan) -> Self {
        let scratch = Scratch::create();
        let plan = change(Plan::below(&scratch), &scratch);
        let network = netfilter::look();
        let daemon = Daemon::start(&plan);
        let names = Names { prefix: "kt".into() };
        let (socket, own) = (plan.socket.clone(), Some(Own { plan, daemon: Some(daemon) }));
        Self { socket, scratch, own, recordings: Recordings::committed(), names, network, ended: false }
    }

    fn peer(host: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let socket = host.strip_prefix("unix://").unwrap_or_else(|| panic!("not a unix:// host: {host}"));
        let prefix = format!("kt{}x{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let (scratch, recordings) = (Scratch::create(), Recordings::committed());
        let (names, network) = (Names { prefix }, BTreeSet::new());
        Self { socket: socket.into(), scratch, own: None, recordings, names, network, ended: false }
    }

    pub fn is_peer(&self) -> bool {
        self.own.is_none()
    }

    /// A name for a container or image of this test, unique on a shared engine.
    pub fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.names.prefix)
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// The engine's process. Only an engine of ours has one that the test may signal.
    #[track_caller]
    pub fn daemon(&mut self) -> &mut Daemon {
        self.own
            .as_mut()
            .and_then(|own| own.daemon.as_mut())
            .expect("only an isolated engine of ours has a process")
    }

    /// The process of an engine of ours.
    pub fn pid(&self) -> Option<u32> {
        self.own.as_ref().and_then(|own| own.daemon.as_ref()).map(Daemon::pid)
    }

    /// Where an engine of ours keeps everything.
    #[track_caller]
    pub fn data_root(&self) -> &Path {
        &self.own.as_ref().expect("only an isolated engine of ours has a data root to look into").plan.root
    }

    /// `kill -9` to the engine, and a new one on the same data.
    #[track_caller]
    pub fn crash_and_restart(&mut self) {
        let own = self.own.as_mut().expect("only an isolated engine of ours may be killed");
        own.daemon.take().into_iter().for_each(|mut daemon| daemon.kill());
        own.daemon = Some(Daemon::start(&own.plan));
    }

    /// Makes a call and compares the answer with the recordings.
    ///
    /// A path without a version is asked in the newest version that is recorded: what a newer one answers can't be
    /// compared. [`Engine::request_unchecked`] sends it as it is.
    #[track_caller]
    pub fn request(&self, request: &Request) -> Reply {
        let request = &pinned(request);
        let reply = self.request_unchecked(request);
        let list = self.deviations(request, &reply);
        assert!(list.is_empty(), "otherwise than dockerd:\n{}\nbody: {}", list.join("\n"), reply.text());
        reply
    }

    /// Where an answer isn't as dockerd's recorded one, as lines to print.
    #[track_caller]
    pub fn deviations(&self, request: &Request, reply: &Reply) -> Vec<String> {
        let list =
            self.recordings.check(request, reply).unwrap_or_else(|error| panic!("recordings: {error:#}"));
        let call = format!("{} {} ({})", request.method, request.path, reply.status());
        list.iter().map(|deviation| format!("{call} {}: {}", deviation.path, deviation.what)).collect()
    }

    /// Makes a call whose answer isn't a recorded one.
    #[track_caller]
    pub fn request_unchecked(&self, request: &Request) -> Reply {
        http::call(&self.socket, request)
            .unwrap_or_else(|error| panic!("{} {}: {error}\n{}", request.method, request.path, self.log()))
    }

    /// Starts a call whose answer streams.
    #[track_caller]
    pub fn stream(&self, request: &Request) -> Exchange {
        http::open(&self.socket, request)
            .unwrap_or_else(|error| panic!("{} {}: {error}\n{}", request.method, request.path, self.log()))
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.request(&Request::new("GET", path))
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.request(&Request::new("POST", path).json(body))
    }

    #[track_caller]
    pub fn delete(&self, path: &str) -> Reply {
        self.request(&Request::new("DELETE", path))
    }

    /// Our own command line against this engine.
    #[track_caller]
    pub fn ketch<const N: usize>(&self, arguments: [&str; N]) -> Output {
        command::run(self.ketch_command().args(arguments))
    }

    /// The real docker command line against this engine.
    #[track_caller]
    pub fn docker<const N: usize>(&self, arguments: [&str; N]) -> Output {
        command::run(self.docker_command().args(arguments))
    }

    /// Our own command line, to be given arguments and started in the test's own way.
    pub fn ketch_command(&self) -> Command {
        self.environment(Command::new(command::ketch_binary()))
    }

    /// The real docker command line likewise.
    #[track_caller]
    pub fn docker_command(&self) -> Command {
        self.environment(command::client("docker"))
    }

    /// Gives the real docker command line its plugins buildx and compose.
    #[track_caller]
    pub fn with_plugins(self) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        for name in ["docker-buildx", "docker-compose"] {
            let script = command::plugin_script(name);
            let path = self.scratch.write(&format!("home/.docker/cli-plugins/{name}"), script);
            let executable = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(&path, executable).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        }
        self
    }

    /// A Python program with docker-py, whose `docker.from_env()` is this engine.
    #[track_caller]
    pub fn docker_py(&self, program: &str) -> Command {
        self.environment(command::docker_py(program))
    }

    /// A program for Node whose `DOCKER_HOST` is this engine.
    #[track_caller]
    pub fn node(&self, program: &str) -> Command {
        let node = command::node(program);
        let modules = node.get_envs().find_map(|(name, value)| (name == "NODE_PATH").then_some(value?));
        let modules = modules.map(std::ffi::OsStr::to_owned).unwrap_or_default();
        let mut node = self.environment(node);
        node.env("NODE_PATH", modules);
        node
    }

    /// A program of tests/rust-clients whose `DOCKER_HOST` is this engine.
    #[track_caller]
    pub fn rust_client(&self, name: &str) -> Command {
        self.environment(command::rust_client(name))
    }

    fn environment(&self, mut command: Command) -> Command {
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
            .env("HOME", self.scratch.join("home"))
            .env("DOCKER_CONFIG", self.scratch.join("home/.docker"));
        command.env("DOCKER_HOST", format!("unix://{}", self.socket.display()));
        command
    }

    /// Loads the busybox image under a name of this test and returns that name.
    #[track_caller]
    pub fn busybox(&self) -> String {
        self.load("busybox", images::busybox)
    }

    /// The same with a database, that is Redis.
    #[track_caller]
    pub fn redis(&self) -> String {
        self.load("redis", images::redis)
    }

    #[track_caller]
    fn load(&self, name: &str, image: fn(&str) -> anyhow::Result<Vec<u8>>) -> String {
        let tag = format!("{}:1", self.name(name));
        let archive = image(&tag).unwrap_or_else(|error| panic!("{error:#}"));
        self.request(
            &Request::new("POST", "/images/load").header("Content-Type", "application/x-tar").body(archive),
        )
        .expect(200);
        tag
    }

    /// What the engine has logged; empty for a peer.
    pub fn log(&self) -> String {
        self.own.as_ref().and_then(|own| own.daemon.as_ref()).map_or_else(String::new, Daemon::log)
    }

    /// Takes away this test's containers, networks and images. What can't be listed can't be removed: the leak check tells.
    fn clear(&self) {
        let list = |path: &str| match http::call(&self.socket, &Request::new("GET", path)) {
            Ok(reply) if reply.status() == 200 => reply.json().as_array().cloned().unwrap_or_default(),
            _ => Vec::new(),
        };
        let mine = |name: &Value| {
            name.as_str().is_some_and(|name| name.trim_start_matches('/').starts_with(&self.names.prefix))
        };
        let ours = |item: &Value, key: &str| {
            self.own.is_some() || item[key].as_array().is_some_and(|names| names.iter().any(mine))
        };
        for item in list("/containers/json?all=1").iter().filter(|item| ours(item, "Names")) {
            let path = format!("/containers/{}?force=1", item["Id"].as_str().unwrap_or_default());
            let _ = http::call(&self.socket, &Request::new("DELETE", &path));
        }
        for item in list("/networks") {
            let name = item["Name"].as_str().unwrap_or_default();
            let predefined = matches!(name, "bridge" | "host" | "none");
            if !predefined && (self.own.is_some() || mine(&item["Name"])) {
                let path = format!("/networks/{}", item["Id"].as_str().unwrap_or_default());
                let _ = http::call(&self.socket, &Request::new("DELETE", &path));
            }
        }
        for tag in list("/images/json")
            .iter()
            .flat_map(|item| item["RepoTags"].as_array().cloned().unwrap_or_default())
        {
            if mine(&tag) {
                let path = format!("/images/{}?force=1", tag.as_str().unwrap_or_default());
                let _ = http::call(&self.socket, &Request::new("DELETE", &path));
            }
        }
    }

    /// Takes everything of this test away, ends our engine in an orderly way, and returns what was left all the same.
    /// Dropping does it too, and fails the test over what it finds.
    pub fn close(mut self) -> Vec<String> {
        self.end()
    }

    fn end(&mut self) -> Vec<String> {
        if std::mem::replace(&mut self.ended, true) {
            return Vec::new();
        }
        // What a killed engine left, its successor has to take away. A test that failed may have an engine that can't
        // start, and a second panic would hide the first: there it is only looked at.
        if !std::thread::panicking()
            && let Some(own) = &mut self.own
            && !own.daemon.as_mut().is_some_and(Daemon::is_running)
        {
            own.daemon = Some(Daemon::start(&own.plan));
        }
        let folders = self.own.as_ref().map(|own| [own.plan.root.clone(), own.plan.run.clone()]);
        let ids = leaks::container_ids(folders.as_ref().map_or(&[], |folders| folders));
        self.clear();
        let mut found = self.finish(&ids);
        if let Err(error) = std::fs::remove_dir_all(self.scratch.path()) {
            found.push(format!("file: {}: {error}", self.scratch.path().display()));
        }
        found
    }

    fn finish(&mut self, ids: &BTreeSet<String>) -> Vec<String> {
        let Some(mut own) = self.own.take() else { return Vec::new() };
        let mut found = Vec::new();
        if let Some(daemon) = &mut own.daemon {
            daemon.signal(rustix::process::Signal::TERM);
            if !daemon.ends() {
                found.push(format!("the engine, pid {}, doesn't end", daemon.pid()));
            }
        }
        drop(own.daemon.take());
        found.extend(leaks::run_files(&own.plan.run));
        for (pid, how) in leaks::processes(self.scratch.path()) {
            found.push(how);
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        found.extend(leaks::mounts(self.scratch.path()));
        found.extend(leaks::cgroups(ids).into_iter().map(|path| format!("cgroup: {}", path.display())));
        found.extend(netfilter::left_since(&self.network));
        found
    }
}

fn pinned(request: &Request) -> Request {
    let newest = versions().pop().unwrap_or_default();
    let path = match split_version(&request.path) {
        (None, path) if path.starts_with('/') => format!("/v{newest}{path}"),
        _ => request.path.clone(),
    };
    Request { path, ..request.clone() }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let found = self.end();
        let report = found.join("\n  ");
        if std::thread::panicking() {
            if !found.is_empty() {
                eprintln!("and the engine left:\n  {report}");
            }
        } else {
            assert!(found.is_empty(), "the engine left:\n  {report}");
        }
    }
}
